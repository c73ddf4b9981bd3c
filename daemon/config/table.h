/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Inside of config/: one row per key. Paths are the keys of the file, offsets the fields of struct
 * config (or of struct config_type and struct config_hook for the members of the two group lists).
 * The order is the order of the annotated file.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "config/config.h"

enum key_type {
    KEY_BOOL,   /* bool */
    KEY_INT,    /* uint32_t */
    KEY_USEC,   /* usec_t, "1.5s" */
    KEY_SIZE,   /* uint64_t, "64KiB" */
    KEY_TEXT,   /* char * */
    KEY_CHOICE, /* an enum or uint32_t: min + the index in words */
    KEY_QUORUM, /* uint32_t: "majority", "all" or a number */
    KEY_MODE,   /* uint32_t, octal as text */
    KEY_LIST,   /* struct config_strings */
    KEY_TYPES,  /* struct config_type *, size_t behind it */
    KEY_HOOKS,  /* struct config_hook *, size_t behind it */
};

/* What a text, or every text of a list, has to look like. */
struct key_form {
    bool (*is_valid)(const char *text);
    const char *wanted; /* "an absolute path" */
};

struct key {
    const char *path;
    enum key_type type;
    size_t offset;
    uint64_t min, max;           /* in the units of the field; lists: the number of entries */
    const char *standard;        /* the default as text; lists: separated by commas */
    bool needs_restart;          /* not reloadable */
    const struct key_form *form; /* NULL = any text without control characters */
    const char *const *words;    /* KEY_CHOICE, and lists of a closed set; NULL-terminated */
    bool has_zero;               /* 0 is allowed too, and means off, none or as many as there are */
    bool has_unset;              /* KEY_USEC: "" is allowed too, as CONFIG_UNSET */
    const char *help;
};

extern const struct key config_keys[];
extern const size_t config_keys_length;

/* The members of one group of tasks.types and of hooks. */
extern const struct key config_type_keys[];
extern const size_t config_type_keys_length;
extern const struct key config_hook_keys[];
extern const size_t config_hook_keys_length;
