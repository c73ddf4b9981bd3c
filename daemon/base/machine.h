/* SPDX-License-Identifier: MIT */
#pragma once

/* What kind of machine this is, where what we say to its administrator depends on it. */

#include <stdbool.h>

/* Whether systemd is its init, as sd_booted(3) tells; not so in most containers. */
bool machine_has_systemd(void);
