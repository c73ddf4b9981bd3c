/* SPDX-License-Identifier: MIT */
#pragma once

/* The identity of a node: 128 random bits, made once, written as a UUID. */

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

struct node_id {
    uint8_t bytes[16];
};

#define NODE_ID_NULL      ((struct node_id){{0}})
#define NODE_ID_TEXT_MAX  37
#define NODE_ID_START_MIN 4 /* digits that may stand for a whole id, where no other begins so */

/* "6f1c7e02-93d4-4a43-8a2c-5b6f1f0c9b2e". Returns @target. */
char *node_id_format(const struct node_id *id, char target[static NODE_ID_TEXT_MAX]);

/* Return: 0, or -EINVAL for anything but 32 hex digits with or without the four dashes. */
int node_id_parse(const char *text, struct node_id *ret);

/* Whether @text is the beginning of the id: NODE_ID_START_MIN hex digits or more, with or without
 * the dashes. */
bool node_id_begins(const struct node_id *id, const char *text);

static inline bool node_id_is_equal(const struct node_id *a, const struct node_id *b)
{
    return memcmp(a, b, sizeof(*a)) == 0;
}

static inline bool node_id_is_null(const struct node_id *id)
{
    return node_id_is_equal(id, &NODE_ID_NULL);
}
