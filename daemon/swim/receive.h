/* SPDX-License-Identifier: MIT */
#pragma once

/* One packet, frame by frame, to the parts that understand them. */

#include <stddef.h>
#include <stdint.h>

struct swim;
struct source;

/* Return: 0; -EBADMSG where any frame is malformed or claims what no honest node does. */
int receive_packet(struct swim *swim, const struct source *source, const void *data, size_t size);
