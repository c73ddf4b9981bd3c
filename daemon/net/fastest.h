/* SPDX-License-Identifier: MIT */
#pragma once

/* security.cipher = "auto": which of the two ciphers this processor does faster, by trying. */

#include "seal/seal.h"

/* Takes less than 1 ms of CPU. Return: SEAL_AES_256_GCM or SEAL_CHACHA20_POLY1305. */
enum seal_algorithm fastest_algorithm(void);
