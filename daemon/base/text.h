/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Text at the edges: durations and sizes with units, validation of names and UTF-8, and the closest
 * known word for a "did you mean". Used by the configuration, the control server and p2pctl alike.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/usec.h"

#define NODE_NAME_MAX 63 /* bytes, without the NUL */

/*
 * "200ms" "1.5s" "10min" "2h" "7d" "250us" "0"; a bare number counts seconds.
 * Return: 0; -EINVAL for a malformed text; -ERANGE where it does not fit.
 */
int text_parse_usec(const char *text, usec_t *ret);

/* "64KiB" "20GiB" (1024) "20GB" (1000) "512" "10B". Return: 0, -EINVAL, -ERANGE. */
int text_parse_size(const char *text, uint64_t *ret);

/*
 * "2", "0.5", "1.25" in thousandths: up to seven digits, and up to three behind a point. Return: 0,
 * -EINVAL.
 */
int text_parse_milli(const char *text, uint32_t *ret);

/* The shortest exact spelling that text_parse_usec reads back: "1.5s", "500ms", "0". Returns
 * @target. */
char *text_format_usec(usec_t usec, char target[static 32]);

/* The same for sizes: "64KiB", "1000", "0". Returns @target. */
char *text_format_size(uint64_t size, char target[static 32]);

/* For people: "0 B", "21.5 MiB". Returns @target. */
char *text_show_size(double size, char target[static 32]);

/* Two lower-case digits for each byte: @target has 2 * @size + 1. Returns @target. */
char *text_format_hex(const void *data, size_t size, char *target);

/* Whether @text is 1..63 bytes of [A-Za-z0-9._-], not starting with '-' or '.'. */
bool text_is_node_name(const char *text);

/* Whether @text is a task type: 1..32 letters. */
bool text_is_type_name(const char *text);

/* Whether @size bytes are well-formed UTF-8 (no surrogates, no overlong forms, at most U+10FFFF).
 */
bool text_is_utf8(const void *data, size_t size);

/* One code point of @size bytes; returns its length in bytes, 0 where there is none. */
size_t text_decode_utf8(const void *data, size_t size, uint32_t *ret);

/* Whether @text is well-formed UTF-8 without control characters and line separators; "" is. */
bool text_is_printable(const char *text);

/* Whether @text may name something of a user's: printable, not empty, and without what cannot be
 * seen: marks of direction, spaces of no width, code points that are no characters. */
bool text_is_name(const char *text);

/* Whether anything of it can be seen, and not only blanks, accents without a letter and characters
 * of private use. Asked of new names alone: older ones can still be read and removed. */
bool text_is_visible(const char *text);

/* Whether it steers a terminal, cannot be seen, or is no character. */
bool text_misleads(uint32_t point);

/*
 * Puts a '?' for every control character (C1 and line separators too: they steer terminals and
 * readers of logs) and for every byte that is not UTF-8; never longer. Returns @text.
 */
char *text_mask_controls(char *text);

/* Drops the last character where a buffer's end has cut it in two. Returns @text. */
char *text_mend_end(char *text);

/*
 * Whether @text may name a stored file: 1..255 bytes of printable UTF-8, no '/', not "." or "..",
 * not starting with '-', no control characters.
 */
bool text_is_file_name(const char *text);

/*
 * Bytes of the name that @text begins with, as programs name things: letters, digits, '_', not a
 * digit first; all that is not ASCII counts as letters.
 */
size_t text_name_size(const char *text);

/* Where the value of an argument begins: behind its "NAME=", or at once where it has none. */
const char *text_skip_name(const char *argument);

/* Edit distance with swaps (optimal string alignment), capped at 16 for long words. */
size_t text_distance(const char *a, const char *b);

/*
 * The word of @words (NULL-terminated) closest to @word, or NULL where none is near: the distance
 * is at most 2 and at most a third of the length, or @word is a prefix of exactly one.
 */
const char *text_closest(const char *word, const char *const *words);
