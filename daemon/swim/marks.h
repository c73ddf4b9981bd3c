/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What somebody who pulls pages has already: one mark of four bytes per member of the buckets that
 * it asks for, so that pages bring what it lacks and little else. A mark stands for a member in a
 * state at an incarnation. Where not all marks fit into the packet, those that come first in the
 * order of the pages are in it; what has none is sent, known or not.
 */

#include <stdbool.h>
#include <stdint.h>
#include "base/bytes.h"
#include "base/id.h"

#define MARKS_MAX 320 /* of one PULL; more are passed over */

struct swim;
struct member;

/* A set; 0 stands for a free place. */
struct marks {
    uint32_t places[512];
};

uint32_t marks_of(const struct member *member);

/* Writes those of the members of @mask after @cursor (null: of all of them), up to @size bytes. */
void marks_write(const struct swim *swim, uint64_t mask, const struct node_id *cursor, size_t size,
                 struct writer *writer);

void marks_read(struct reader *reader, struct marks *ret);
bool marks_have(const struct marks *marks, uint32_t mark);
