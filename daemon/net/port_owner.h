/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Who has the port that we want: read from /proc, as far as this user may look. Only used for the
 * text of an error, never for a decision.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * port_owner_describe() - one line about a port that could not be bound
 * @is_udp: the protocol, else TCP
 *
 * Writes "udp 7717 is in use by pid 812 (serf)", or "udp 7717 is in use" where the owner cannot be
 * seen.
 */
void port_owner_describe(bool is_udp, uint16_t port, char *target, size_t target_size);
