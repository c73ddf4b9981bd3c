/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Long answers through a pager, as systemd's tools do: $P2PCTL_PAGER, else $PAGER, else less. Only
 * on a terminal, and only for commands that just show something and end.
 */

#include "ctl.h"

/* From now on what is printed goes to the pager, where one is wanted. */
void pager_open(const struct ctl *ctl);

/* Waits until the user has read it. Return: whether there was a pager. */
bool pager_close(void);
