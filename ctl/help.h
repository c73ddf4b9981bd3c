/* SPDX-License-Identifier: MIT */
#pragma once

/* Help, all of it from the command table. On stdout, since it was asked for. */

#include "ctl.h"

/* One screen: all commands, one line each. */
void help_show_overview(void);

/* One screen about @command: examples first. */
void help_show_command(const struct command *command);

/* The verbs of @noun. */
void help_show_noun(const char *noun);
