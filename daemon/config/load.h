/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Inside of config/: one load in progress. Its stages (file.c, environment.c, check.c) write into
 * one configuration and one list of complaints, so that a user sees all errors at once.
 */

#include "config/table.h"
#include "config/value.h"

#define LOAD_WHERE_MAX 4200

struct load {
    struct config *config;         /* owned by load.c */
    struct config_strings *errors; /* borrowed: the caller's */
    bool is_out_of_memory;
    char where[LOAD_WHERE_MAX]; /* "lab.conf:12": what is looked at */
};

/* Adds "@where: text"; bounded, so that a hostile file cannot make it grow without end. */
void load_complain(struct load *load, const char *where, const char *format, ...) _printf_(3, 4);

/* The same for what is no error, but probably not meant: it goes to the configuration's warnings.
 */
void load_warn(struct load *load, const char *where, const char *format, ...) _printf_(3, 4);

/* Complains that the value of @name, a key like @key, is not what it wants: "got ..." where known.
 */
void load_complain_value(struct load *load, const char *where, const char *name,
                         const struct key *key, const char *got);

/* Reports -ENOMEM; returns whether @r is 0. */
bool load_succeeds(struct load *load, int r);

/* Remembers where the key's value comes from. */
void load_set_origin(struct load *load, size_t index, const char *origin);

/* The index of a top-level or dotted path in config_keys, or -ENOENT. */
int load_find_key(const char *path);

/* Appends one zeroed entry with default members. Return: the entry, or NULL without memory. */
struct config_type *load_add_type(struct load *load);
struct config_hook *load_add_hook(struct load *load);

/* The stages, in their order. */
void load_file(struct load *load, const char *path);
void load_environment(struct load *load, char *const *environment);
void load_seeds_file(struct load *load);
void load_check(struct load *load, const char *path); /* NULL = there is no file */
