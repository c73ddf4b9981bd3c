/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What a member says about itself beside its address and load: version, task types, tags, keys.
 * Carried by the membership core as an opaque blob of at most SWIM_META_MAX bytes; read here,
 * strictly.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "sched/place.h"

#define RECORD_TYPES_MAX 48
#define RECORD_TAGS_MAX  16
#define RECORD_KEYS_MAX  16

#define RECORD_PROTOCOL 1 /* what this program speaks */

#define RECORD_MAX_TOLD PLACE_MAX_TOLD /* the largest `max` of a type that is told */

/* What a type has in the way of a task, beside its slots. */
struct record_limits {
    bool is_for_some; /* it has users */
    uint8_t max;      /* so many of it run at once; 0 = no limit, or one above RECORD_MAX_TOLD */
};

struct record {
    char version[24];
    uint8_t protocol;
    bool has_tasks;                 /* runs tasks at all */
    bool has_commands;              /* takes `submit -- CMD` from other nodes */
    bool has_python;                /* takes `submit --python` from other nodes */
    char python[16];                /* version of its interpreter, "3.11"; "" = it has none */
    uint16_t cpus;                  /* that its tasks may use; 0 = not known */
    uint32_t keys[RECORD_KEYS_MAX]; /* ids; the first is in use */
    size_t keys_count;
    char types[RECORD_TYPES_MAX][33];
    struct record_limits limits[RECORD_TYPES_MAX]; /* of each type */
    size_t types_count;
    char tags[RECORD_TAGS_MAX][64]; /* "room=2.07" */
    size_t tags_count;
    uint16_t rules; /* changes when what it refused for good since its start might be taken now */
};

/* Without rules and limits, where there is no room for them. Return: 0 with the bytes used in
 * *@ret_size; -EMSGSIZE where it does not fit into @size. */
int record_encode(const struct record *record, uint8_t *data, size_t size, size_t *ret_size);

/*
 * Return: 0; -EBADMSG where it is malformed. Bytes after the known fields are left to later
 * versions.
 */
int record_decode(const uint8_t *data, size_t size, struct record *ret);

bool record_has_type(const struct record *record, const char *type);
bool record_has_tag(const struct record *record, const char *tag);
