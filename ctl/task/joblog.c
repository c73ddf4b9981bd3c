/* SPDX-License-Identifier: MIT */
#include "task/joblog.h"

#include <errno.h>
#include <string.h>
#include "base/usec.h"
#include "console/failure.h"
#include "console/output.h"
#include "console/render.h"

#define TERM_SIGNAL 15 /* what a task that ran too long or was cancelled got */

struct joblog_entry {
    char *name, *command; /* owned */
    bool is_written;
};

void joblog_init(struct joblog *joblog)
{
    *joblog = (struct joblog){0};
    table_init(&joblog->by_name, 0, 0);
}

int joblog_open(struct joblog *joblog, const char *path)
{
    if (!path)
        return 0;
    joblog->file = fopen(path, "we");
    if (!joblog->file)
        return fail_to_write(path, errno);
    fputs("Seq\tHost\tStarttime\tJobRuntime\tSend\tReceive\tExitval\tSignal\tCommand\n",
          joblog->file);
    return fflush(joblog->file) < 0 ? fail_to_write(path, errno) : 0;
}

int joblog_close(struct joblog *joblog)
{
    FILE *file = TAKE_PTR(joblog->file);

    return file && fclose(file) < 0 ? -errno : 0;
}

void joblog_done(struct joblog *joblog)
{
    for (size_t i = 0; i < joblog->entries_count; i++) {
        free(joblog->entries[i].name);
        free(joblog->entries[i].command);
    }
    free(joblog->entries);
    table_done(&joblog->by_name);
    (void)joblog_close(joblog);
}

int joblog_plan(struct joblog *joblog, const cJSON *tasks)
{
    if (!joblog->file || joblog->entries)
        return 0;
    joblog->entries = calloc((size_t)cJSON_GetArraySize(tasks) + 1, sizeof(*joblog->entries));
    if (!joblog->entries)
        return fail_memory();
    json_for_each (task, tasks) {
        struct joblog_entry *entry = &joblog->entries[joblog->entries_count++];
        const char *name = json_text(task, "task", ""), *words = json_text(task, "command", NULL);
        bool is_command = strcmp(json_text(task, "type", ""), "cmd") == 0;
        entry->name = strdup(name);
        /* A typed task's words are what its handler gets besides. */
        if (asprintf(&entry->command, "%s%s%s", is_command ? "" : name,
                     words && !is_command ? " " : "", words ? words : "") < 0)
            entry->command = NULL;
        if (!entry->name || !entry->command ||
            table_insert(&joblog->by_name, entry->name, entry) < 0)
            return fail_memory();
    }
    return 0;
}

int joblog_add(struct joblog *joblog, const cJSON *task)
{
    struct joblog_entry *entry =
        joblog->file ? table_find(&joblog->by_name, json_text(task, "task", "")) : NULL;

    if (!entry || entry->is_written || !output_has_ended(task))
        return 0;
    const char *state = json_text(task, "state", ""), *started = json_text(task, "started", NULL);
    bool is_killed = strcmp(state, "timed-out") == 0 || strcmp(state, "cancelled") == 0;
    bool is_ended_by_us = is_killed || (!json_is_set(task, "exit") && !json_is_set(task, "signal"));
    entry->is_written = true;
    fprintf(joblog->file, "%zu\t%s\t%.3f\t%10.3f\t%.0f\t%.0f\t%d\t%d\t%s\n",
            (size_t)(entry - joblog->entries) + 1, json_text(task, "node", ":"),
            started ? (double)render_parse_time(started) / (double)USEC_PER_SEC : 0,
            json_number(task, "run_s", 0), json_number(task, "in_bytes", 0),
            json_number(task, "out_bytes", 0),
            is_ended_by_us ? -1 : (int)json_number(task, "exit", 0),
            (int)json_number(task, "signal", is_killed ? TERM_SIGNAL : 0), entry->command);
    if (fflush(joblog->file) == 0)
        return 0;
    int error = errno;
    (void)joblog_close(joblog);
    return -error;
}
