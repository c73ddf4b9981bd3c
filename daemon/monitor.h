/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Those who watch the daemon's log live: `p2pctl monitor`, at a level of their own, whatever the
 * log itself is set to. While nobody watches, nothing of this runs.
 *
 * Lines come from any thread (diagnostics do) into a bounded queue; the loop hands them on. Who
 * does not keep up misses lines and is told how many; the daemon never waits for a watcher.
 */

#include <systemd/sd-event.h>
#include "varlink/call.h"

#define MONITOR_QUEUE_MAX 1024 /* lines; then new ones are lost to all watchers */

struct monitor;

/* One per process, as there is one log. Return: 0, -ENOMEM. */
int monitor_new(sd_event *event, struct monitor **ret);

/* After the servers, which abandon the calls of those who watch. Returns NULL. */
struct monitor *monitor_free(struct monitor *monitor);
DEFINE_CLEANUP(struct monitor *, monitor_free)

/* Method Monitor. */
void monitor_serve(struct monitor *monitor, struct call *call);
