/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The newest of many numbers that come in order: where they begin. What is told in pages later goes
 * by that number, whatever has come and gone since it was found.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct newest {
    uint64_t *numbers; /* owned; the last `max` of them, in a ring */
    size_t max, count; /* count: of all that came */
    uint64_t *open;    /* owned; numbers that are not among them, ascending */
    size_t open_count, open_allocated;
};

/* Return: 0, -ENOMEM. */
int newest_init(struct newest *newest, size_t max);
void newest_done(struct newest *newest);
void newest_add(struct newest *newest, uint64_t number);

/* Of those that came, the @wanted newest, at most max, are this number and those above it. */
uint64_t newest_find_first(const struct newest *newest, size_t wanted);

/* Notes one that has not ended, above those noted before. Return: 0, -ENOMEM. */
int newest_add_open(struct newest *newest, uint64_t number);
bool newest_was_open(const struct newest *newest, uint64_t number);

/* Forgets all but those that were open below @first. */
void newest_keep_open(struct newest *newest, uint64_t first);
