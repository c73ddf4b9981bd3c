/* SPDX-License-Identifier: MIT */
#pragma once

/* Waits that a signal ends instead of the program, so that it can say where things stand. */

#include <poll.h>
#include "base/usec.h"

/* Ctrl-C ends a wait from now on instead of the program. */
void interrupt_catch(void);

/* So does a SIGTERM or SIGHUP, for who has something to clean up. */
void interrupt_catch_end(void);

/* Ends the program by the signal that ended a wait, if it was one of those. */
void interrupt_end_as_told(void);

/* Waits for @pollfd, NULL: for nothing but the time. Return: 0, -EINTR where a caught signal came,
 * -ETIMEDOUT. */
int interrupt_wait(struct pollfd *pollfd, usec_t deadline_usec);
