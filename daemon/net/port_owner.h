/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Who has the port that we want: read from /proc, as far as this user may look. Only used for the
 * text of an error, never for a decision.
 */

#include <stddef.h>
#include "base/address.h"

/**
 * port_owner_describe() - one line about a port that could not be bound
 * @is_udp:  the protocol, else TCP
 * @address: what was wanted; sockets on the same port of other addresses are not in its way
 *
 * Writes "udp 7717 is in use by pid 812 (serf)", or "udp 7717 is in use" where the owner cannot be
 * seen.
 */
void port_owner_describe(bool is_udp, const struct address *address, char *target,
                         size_t target_size);
