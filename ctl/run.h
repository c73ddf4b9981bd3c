/* SPDX-License-Identifier: MIT */
#pragma once

/* What `run` and `workflow show -f` share. */

#include "ctl.h"

/* Looks on while the workflow of that id runs, with its console text from the beginning on. Return:
 * the exit code. */
int run_attach(struct ctl *ctl, const char *id);
