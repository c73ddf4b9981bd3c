/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Small things made readable: sizes, durations, times, marks, colours, and JSON as the user asked
 * for it. Text from other nodes passes through render_text(), so that no record can steer a
 * terminal.
 */

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include "base/json.h"
#include "ctl.h"

#define RENDER_TEXT_MAX 96

/* What a thing means; shown as a colour, always beside a word or a mark that says the same. */
enum tone { TONE_PLAIN, TONE_GOOD, TONE_WARN, TONE_BAD, TONE_DIM, TONE_BOLD };

enum mark { MARK_ALIVE, MARK_SUSPECT, MARK_LEFT, MARK_DEAD, MARK_DONE, MARK_ARROW, MARK_ELLIPSIS };

/* Takes the locale from the environment. To be called once, before anything is shown. */
void render_init(void);

/* In UTF-8, or ASCII where the locale is no UTF-8. */
const char *render_mark(enum mark mark);
bool render_is_ascii(void);

/* The SGR sequence of @tone ("\033[32m"), or NULL for TONE_PLAIN. */
const char *render_tone(enum tone tone);

/* Writes @size bytes with control characters and broken UTF-8 as \xNN. */
void render_text(FILE *stream, const char *text, size_t size);

/* The same for a whole string, in a colour where @ctl wants that. */
void render_tinted(const struct ctl *ctl, FILE *stream, enum tone tone, const char *text);

/* How many columns of a terminal it takes. */
size_t render_width(const char *text);

/* At most @width columns of it, the last of them the mark where it is cut; for the caller to free.
 * NULL without memory. */
char *render_shorten(const char *text, size_t width);

/* "21.5 MiB", "5 B". */
char *render_size(double size, char target[static RENDER_TEXT_MAX]);

/* How long, in one unit, for tables: "0.2s" "4s" "3min" "2h" "5d". */
char *render_span(double seconds, char target[static RENDER_TEXT_MAX]);

/* The same, exacter below ten seconds: "now" "0.2s" "4.1s". */
char *render_age(double seconds, char target[static RENDER_TEXT_MAX]);

/* In two units, for sentences: "1.84s" "33.1s" "8min 12s" "1h 12min" "3d 4h". */
char *render_elapsed(double seconds, char target[static RENDER_TEXT_MAX]);

/* RFC 3339 in UTC. Return: microseconds of wall time, 0 for anything else. */
uint64_t render_parse_time(const char *text);

/* A point in time as --time wants it; relative: how long ago, as render_age(). NULL: "-". */
char *render_time(const struct ctl *ctl, const char *text, char target[static RENDER_TEXT_MAX]);

/* A point in time as a clock shows it: "07:58:11.402"; with the date where that is not today. */
char *render_clock(const struct ctl *ctl, const char *text, char target[static RENDER_TEXT_MAX]);

/* " Timeline:" and a line per {time, text}; nothing where there is none. */
void render_timeline(const struct ctl *ctl, const cJSON *timeline);

/* Seconds since @text, at least 0. */
double render_seconds_since(const char *text);

/* Prints @json on stdout as --json wants it. @list: the key of its list, for --json=lines; or NULL.
 */
int render_json(const struct ctl *ctl, const cJSON *json, const char *list);

/*
 * From here on what render_json() is given becomes one object, each of them in the list @list;
 * render_several_end() prints it, where there is any. Lines stay lines.
 */
void render_several(struct ctl *ctl, const char *list);

/* @result: the exit code so far. Return: that, or that of a failure to print. */
int render_several_end(struct ctl *ctl, int result);

/* One object of a stream: always one line. */
int render_json_line(const cJSON *json);

/* Getters for what was promised but may be missing in an answer. Strings are never NULL. */
const char *json_text(const cJSON *object, const char *key, const char *otherwise);
double json_number(const cJSON *object, const char *key, double otherwise);
bool json_flag(const cJSON *object, const char *key);
bool json_is_set(const cJSON *object, const char *key); /* there and not null */
const cJSON *json_member(const cJSON *object, const char *key);
