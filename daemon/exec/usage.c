/* SPDX-License-Identifier: MIT */
#include "exec/usage.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include "base/macro.h"
#include "exec/children.h"

#define PROCESSES_MAX 65536 /* that are looked at */
#define TEXT_SIZE     4096

struct process {
    pid_t pid;
    struct child_status status;
    bool is_ours; /* a descendant */
};

struct processes {
    struct process *items; /* owned */
    size_t count, allocated;
};

static void processes_done(struct processes *processes)
{
    free(processes->items);
}

static void closedirp(DIR **dir)
{
    if (*dir)
        (void)closedir(*dir);
}

/* One more process, unless it has just ended. Return: 0, -ENOMEM. */
static int add(struct processes *processes, pid_t pid)
{
    struct child_status status;

    if (!children_read(pid, &status))
        return 0;
    if (processes->count == processes->allocated) {
        size_t more = 2 * processes->allocated + 64;
        struct process *items = reallocarray(processes->items, more, sizeof(*items));
        if (!items)
            return -ENOMEM;
        processes->items = items;
        processes->allocated = more;
    }
    processes->items[processes->count++] =
        (struct process){.pid = pid, .status = status, .is_ours = status.parent == getpid()};
    return 0;
}

static const struct process *find(const struct processes *processes, pid_t pid)
{
    for (size_t i = 0; i < processes->count; i++)
        if (processes->items[i].pid == pid)
            return &processes->items[i];
    return NULL;
}

/* Children of ours are ours, however deep. */
static void mark(struct processes *processes)
{
    bool has_changed = true;

    while (has_changed) {
        has_changed = false;
        for (size_t i = 0; i < processes->count; i++) {
            struct process *process = &processes->items[i];
            const struct process *parent =
                process->is_ours ? NULL : find(processes, process->status.parent);
            if (parent && parent->is_ours)
                process->is_ours = has_changed = true;
        }
    }
}

/* The number behind "Pss_Anon:" and such, bytes. */
static uint64_t get_field(const char *text, const char *name)
{
    const char *at = strstr(text, name);

    return at ? strtoull(at + strlen(name), NULL, 10) * 1024 : 0;
}

/* Its own memory, and its share of what it has in common with others. */
static uint64_t measure(const struct process *process)
{
    char path[64], text[TEXT_SIZE];

    snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", (int)process->pid);
    _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t size = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
    text[MAX(size, (ssize_t)0)] = '\0';
    if (!strstr(text, "Pss_Anon:")) {
        struct child_status now;
        /* One that does not let us look counts in full; of one that has just ended nothing is left.
         */
        return children_read(process->pid, &now) ? now.resident : 0;
    }
    return get_field(text, "Pss_Anon:") + get_field(text, "Pss_Shmem:") +
           get_field(text, "SwapPss:");
}

static bool look(uint64_t limit)
{
    _cleanup_(closedirp) DIR *proc = opendir("/proc");
    _cleanup_(processes_done) struct processes processes = {0};
    struct dirent *entry;
    uint64_t sum = 0;

    while (proc && (entry = readdir(proc)) && processes.count < PROCESSES_MAX) {
        pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);
        if (pid > 0 && add(&processes, pid) < 0)
            return false;
    }
    mark(&processes);
    for (size_t i = 0; i < processes.count; i++)
        if (processes.items[i].is_ours)
            sum += processes.items[i].status.resident;
    /* The exact sum costs the kernel more, and is never larger. */
    if (sum <= limit)
        return false;
    sum = 0;
    for (size_t i = 0; i < processes.count; i++)
        if (processes.items[i].is_ours)
            sum += measure(&processes.items[i]);
    return sum > limit;
}

bool usage_is_above(uint64_t limit)
{
    /* The share of each grows while others end, and they are not read all at once: a second look
     * finds them in peace. */
    return look(limit) && look(limit);
}
