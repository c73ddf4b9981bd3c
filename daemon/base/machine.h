/* SPDX-License-Identifier: MIT */
#pragma once

/* What kind of machine this is, where what we say to its administrator depends on it. */

#include <stdbool.h>
#include <stdint.h>

/* Whether systemd is its init, as sd_booted(3) tells; not so in most containers. */
bool machine_has_systemd(void);

/* CPUs that this process may use, and so its tasks; 0 where the kernel does not say. */
uint16_t machine_count_cpus(void);
