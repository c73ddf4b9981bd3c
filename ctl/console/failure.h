/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * How p2pctl says that something failed: `p2pctl: WHAT: WHY` and lines of `hint:` on stderr, or one
 * JSON object there with --json; and which exit code follows. The codes themselves are the daemon's
 * (varlink/error.h).
 */

#include <cjson/cJSON.h>
#include <stdbool.h>
#include "base/macro.h"
#include "varlink/error.h"

#define EXIT_OWN_FAILURE 125 /* where a task's own code was to be handed on */
#define EXIT_INTERRUPTED 130

/* @json: as JSON. @verbose: with the code. */
void fail_configure(bool json, bool verbose);

/* Whether failures of our own exit with 125, of the command line too; but a time limit that is
 * reached is 124 as ever. */
void fail_hand_on(bool hand_on);

/**
 * fail() - tell a failure
 * @why:     the reason, after a colon; NULL for none
 * @hints:   lines "what for: command"; NULL for none
 * @format:  what failed; lower case, no full stop
 *
 * Return: the exit code.
 */
int fail(enum error_code code, const char *why, const char *hints, const char *format, ...)
    _printf_(4, 5);

/* The same with another exit code than the code's own. */
int fail_with(int exit_code, enum error_code code, const char *why, const char *hints,
              const char *format, ...) _printf_(5, 6);

/*
 * The same with what is wrong in detail, one line each ("tasks.txt:1:7: …"): before the failure, or
 * inside of it with --json. @details: an array, of which only the strings count; NULL for none.
 */
int fail_in_detail(enum error_code code, const cJSON *details, const char *hints,
                   const char *format, ...) _printf_(4, 5);

/* @path, which is to be read, cannot be: exit code 4 where it is not there, else 1. */
int fail_to_read(const char *path, int error);

/*
 * @path, which is to be written, cannot be: @error is the errno. Always exit code 1: 4 says that
 * what was asked about is not there.
 */
int fail_to_write(const char *path, int error);

/*
 * That Ctrl-C came, and how to come back: "detached: w7@lab-01 goes on; look on again with: …; end
 * it with: …" behind the "^C", with --json as a failure. @hints: as fail(). Return:
 * EXIT_INTERRUPTED, also where codes are handed on.
 */
int fail_interrupted(const char *hints, const char *format, ...) _printf_(2, 3);

/* Standard output cannot be written to: says why, if it still is so. @hints: as fail(). */
int fail_output(const char *hints);

/* Wrong usage of this command: hints at its help. */
int fail_usage(const char *format, ...) _printf_(1, 2);

/* No memory. */
int fail_memory(void);
