/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The few algorithms of libcrypto that seal/ uses, in a library context of their own. A fetch from
 * the default context makes a method for each of the 130 ciphers of its provider, which are 190 KiB
 * of heap in every process. So a provider of ours offers what the default provider has under a
 * handful of names, and nothing else: the same code, found by provider-base(7).
 *
 * libcrypto is told, too, to read no openssl.cnf (the protocol leaves nothing to choose) and to
 * fill no tables of names and error texts, which nobody asks.
 */

#include <openssl/types.h>

/*
 * For EVP_CIPHER_fetch (AES-256-GCM, ChaCha20-Poly1305) and EVP_MD_fetch (SHA256). One for the
 * process and all its threads, made with the first call, never freed; a fetch of what the installed
 * libcrypto lacks fails. Return: NULL where libcrypto fails.
 */
OSSL_LIB_CTX *provider_get_context(void);
