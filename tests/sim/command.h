/* SPDX-License-Identifier: MIT */
#pragma once

/* The commands of a scenario: one table, one function each. */

#include <stdio.h>
#include "sim.h"

#define SCRIPT_NODES_MAX   1024
#define SCRIPT_NODES_LEAST 64 /* for which there is room in each world */

struct script {
    const char *path;
    size_t line; /* of the file, the one that runs */
    struct swim_config config;
    uint64_t seed;
    bool is_sealed;
    FILE *trace;       /* borrowed */
    struct sim *sim;   /* owned; from the first `nodes` on */
    char problem[512]; /* why the last line failed */
};

/* Runs one line, which it cuts up. Return: 0; -EINVAL with the reason in @script->problem. */
int command_run(struct script *script, char *line);

/* Prints the commands and conditions that a scenario may have. */
void command_help(void);
