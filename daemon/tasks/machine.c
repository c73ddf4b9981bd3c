/* SPDX-License-Identifier: MIT */
#include "tasks/machine.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "base/macro.h"
#include "tasks/internal.h"

#define LOAD_MAX 1000.0 /* per core: what is above is as good as this */

/* As often as the kernel counts anew what it averages. */
#define WATCH_USEC    (5 * USEC_PER_SEC)
#define ACCURACY_USEC USEC_PER_SEC

static uint32_t read_load(void)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    double average = 0;

    if (getloadavg(&average, 1) != 1 || average < 0)
        return 0;
    average /= (double)MAX(cores, 1L);
    return (uint32_t)(MIN(average, LOAD_MAX) * 1000);
}

/* MemTotal and MemAvailable stand in the first three lines. */
static uint32_t read_memory(void)
{
    FILE *file = fopen("/proc/meminfo", "re");
    unsigned long total = 0, available = 0;
    char line[128];

    if (!file)
        return 0;
    while (fgets(line, sizeof(line), file) && (total == 0 || available == 0))
        if (sscanf(line, "MemTotal: %lu", &total) != 1)
            (void)sscanf(line, "MemAvailable: %lu", &available);
    (void)fclose(file);
    if (total == 0 || available > total)
        return 0;
    return (uint32_t)((total - available) * 100 / total);
}

/* What the kernel does not tell counts as nothing. */
static int on_timer(sd_event_source *source, uint64_t usec _unused_, void *data)
{
    struct tasks *tasks = data;

    tasks->machine =
        (struct machine){.load_permille = read_load(), .memory_percent = read_memory()};
    slots_set_machine_load(tasks->slots, tasks->machine.load_permille);
    tasks_pump(tasks);
    (void)sd_event_source_set_time_relative(source, WATCH_USEC);
    (void)sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
    return 0;
}

int machine_watch(struct tasks *tasks)
{
    int r = sd_event_add_time_relative(tasks->event, &tasks->machine_timer, CLOCK_MONOTONIC, 0,
                                       ACCURACY_USEC, on_timer, tasks);

    if (r >= 0)
        (void)sd_event_source_set_description(tasks->machine_timer, "tasks-machine");
    return MIN(r, 0);
}
