/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The job log of a run, as GNU parallel writes one: nine columns with tabs between them, a line for
 * each task that has ended, in the order of their ends. Scripts that read that read this.
 */

#include <cjson/cJSON.h>
#include <stdio.h>
#include "base/table.h"

struct joblog_entry;

struct joblog {
    FILE *file;                   /* owned; NULL = none is written */
    struct joblog_entry *entries; /* owned; one per task of the plan */
    size_t entries_count;
    struct table by_name;
};

void joblog_init(struct joblog *joblog);

/* @path NULL: none. The file is emptied. Return: 0, or the exit code after telling. */
int joblog_open(struct joblog *joblog, const char *path);

/* It is whole. Return: 0, or a negative errno. */
int joblog_close(struct joblog *joblog);
void joblog_done(struct joblog *joblog);

/* The plan: once. Return: 0, or the exit code. */
int joblog_plan(struct joblog *joblog, const cJSON *tasks);

/* A task has changed; a line follows if it has ended, once. Return: 0, or a negative errno: then no
 * more is written. */
int joblog_add(struct joblog *joblog, const cJSON *task);
