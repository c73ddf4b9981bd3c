/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Descriptors 0, 1 and 2 of a program that was started without some of them ("p2pctl ... >&-").
 * Left free, the next socket or file that is opened gets such a number, and what is written as
 * output or as an error goes into it: to the daemon as calls, to a database as garbage.
 */

/*
 * Fills those that are closed with what can be neither read nor written (EBADF), so that output
 * that has no place still fails, and input is no empty one. To be called before anything else is
 * opened. Programs that are started inherit it. Return: 0, or a negative errno: there is none to
 * be had, and the program had better end.
 */
int stdfd_hold(void);
