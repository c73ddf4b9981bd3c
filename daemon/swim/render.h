/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The four lines that the first description of this system gave to the wire, as texts: what the
 * journal, `p2pctl events --format=seed` and `monitor --wire` show. Our packets carry the same
 * fields in binary. Times are seconds of the wall clock with three decimals, addresses are without
 * their port (IPv6 in brackets, so that the colons can be told apart).
 *
 *     Dead Node:10.0.4.17:1795244870.874:10.0.4.11
 *     1795244870.874:10.0.4.11:17
 *     Liveness Request:1795244870.874:10.0.4.11
 *     Liveness Reply:1795244870.874:10.0.4.11:10.0.4.13
 *
 * Formatting drops what a line has no place for: ports and microseconds. Parsing gives port 0.
 */

#include <stdint.h>
#include "base/address.h"

#define RENDER_TEXT_MAX 160

/* All return @target. @wall_usec is rounded down to a millisecond. */
char *render_dead_node(const struct address *dead, uint64_t wall_usec,
                       const struct address *reporter, char target[static RENDER_TEXT_MAX]);
char *render_gossip(uint64_t wall_usec, const struct address *origin, uint64_t number,
                    char target[static RENDER_TEXT_MAX]);
char *render_liveness_request(uint64_t wall_usec, const struct address *sender,
                              char target[static RENDER_TEXT_MAX]);
/* @wall_usec and @sender are those of the request; @self is who answers. */
char *render_liveness_reply(uint64_t wall_usec, const struct address *sender,
                            const struct address *self, char target[static RENDER_TEXT_MAX]);

enum render_type {
    RENDER_DEAD_NODE,
    RENDER_GOSSIP,
    RENDER_LIVENESS_REQUEST,
    RENDER_LIVENESS_REPLY,
};

struct render_line {
    enum render_type type;
    uint64_t wall_usec;
    struct address subject; /* the dead node, the origin, or the sender of the request */
    struct address other;   /* the reporter, or who answers; none elsewhere */
    uint64_t number;        /* of a gossip */
};

/* Reads any of the four. Return: 0, or -EINVAL for everything else, trailing bytes included. */
int render_parse(const char *line, struct render_line *ret);
