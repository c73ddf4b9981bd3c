/* SPDX-License-Identifier: MIT */
#include "base/console.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/table.h"

#define LINE_MAX_SIZE 512

struct task {
    char *name; /* owned */
    size_t batch;
    bool has_started;
    bool has_ended;
};

struct batch {
    size_t first, left; /* tasks: the first, and how many have not ended */
    char *failures;     /* owned: "b3: exit 1, b4: exit 2"; NULL = none */
    bool is_told;
};

struct console {
    struct task *tasks; /* owned */
    size_t tasks_count;
    struct batch *batches; /* owned; one entry per task is room enough */
    size_t batches_count;
    struct table by_name;
    char **lines; /* owned, with what they point to; a queue */
    size_t lines_first, lines_count, lines_allocated;
    char *last; /* owned: what console_next_line gave */
    bool is_over;
};

/* Without memory a line is missing; the run itself goes on. */
static void say(struct console *console, const char *format, ...) _printf_(2, 3);
static void say(struct console *console, const char *format, ...)
{
    char text[LINE_MAX_SIZE];
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    if (console->lines_count == console->lines_allocated) {
        size_t allocated = console->lines_allocated ? console->lines_allocated * 2 : 16;
        char **lines = reallocarray(console->lines, allocated, sizeof(*lines));
        if (!lines)
            return;
        console->lines = lines;
        console->lines_allocated = allocated;
    }
    char *copy = strdup(text);
    if (copy)
        console->lines[console->lines_count++] = copy;
}

int console_new(struct console **ret)
{
    struct console *console = calloc(1, sizeof(*console));

    if (!console)
        return -ENOMEM;
    table_init(&console->by_name, 0, 0);
    say(console, "Discovering peers...");
    *ret = console;
    return 0;
}

static void free_plan(struct console *console)
{
    for (size_t i = 0; console->tasks && i < console->tasks_count; i++)
        free(console->tasks[i].name);
    for (size_t i = 0; console->batches && i < console->batches_count; i++)
        free(console->batches[i].failures);
    free(console->tasks);
    free(console->batches);
    table_done(&console->by_name);
    console->tasks = NULL;
    console->batches = NULL;
    console->tasks_count = console->batches_count = 0;
}

struct console *console_free(struct console *console)
{
    if (!console)
        return NULL;
    free_plan(console);
    for (size_t i = console->lines_first; i < console->lines_count; i++)
        free(console->lines[i]);
    free(console->lines);
    free(console->last);
    free(console);
    return NULL;
}

/* Letters at the beginning: the type. */
static size_t type_size(const char *name)
{
    size_t size = 0;

    while ((name[size] >= 'a' && name[size] <= 'z') || (name[size] >= 'A' && name[size] <= 'Z'))
        size++;
    return size;
}

static bool is_name(const char *name)
{
    size_t letters = type_size(name);
    size_t digits = strspn(name + letters, "0123456789");

    return letters > 0 && digits > 0 && name[letters + digits] == '\0';
}

static bool is_same_type(const char *a, const char *b)
{
    return type_size(a) == type_size(b) && strncmp(a, b, type_size(a)) == 0;
}

static int add_task(struct console *console, const char *name)
{
    struct task *task = &console->tasks[console->tasks_count];
    int r;

    if (!is_name(name))
        return -EINVAL;
    task->name = strdup(name);
    if (!task->name)
        return -ENOMEM;
    r = table_insert(&console->by_name, task->name, task);
    if (r < 0) {
        free(TAKE_PTR(task->name));
        return r == -EEXIST ? -EINVAL : r;
    }
    if (console->tasks_count == 0 || !is_same_type(task->name, (task - 1)->name))
        console->batches[console->batches_count++].first = console->tasks_count;
    task->batch = console->batches_count - 1;
    console->batches[task->batch].left++;
    console->tasks_count++;
    return 0;
}

int console_plan(struct console *console, const char *const *names, size_t count)
{
    if (console->tasks)
        return -EEXIST;
    console->tasks = calloc(count + 1, sizeof(*console->tasks));
    console->batches = calloc(count + 1, sizeof(*console->batches));
    int r = console->tasks && console->batches ? 0 : -ENOMEM;
    for (size_t i = 0; r >= 0 && i < count; i++)
        r = add_task(console, names[i]);
    if (r < 0) {
        free_plan(console);
        table_init(&console->by_name, 0, 0);
        return r;
    }
    say(console, "Initiating connections...");
    say(console, "Assigning tasks...");
    return 0;
}

static void say_batch(struct console *console, struct batch *batch)
{
    const char *name = console->tasks[batch->first].name;
    size_t size = type_size(name);
    char type[64];

    size = size < sizeof(type) ? size : sizeof(type) - 1;
    for (size_t i = 0; i < size; i++)
        type[i] = (char)toupper((unsigned char)name[i]);
    type[size] = '\0';
    batch->is_told = true;
    if (batch->failures)
        say(console, "Task failed by peer handling type '%s': %s", type, batch->failures);
    else
        say(console, "Task completed by peer handling type '%s'", type);
}

void console_started(struct console *console, const char *name)
{
    struct task *task = table_find(&console->by_name, name);

    if (!task || task->has_started || console->is_over)
        return;
    task->has_started = true;
    say(console, "Executing task: %s", name);
}

static void add_failure(struct batch *batch, const char *name, const char *failure)
{
    char text[LINE_MAX_SIZE];

    (void)snprintf(text, sizeof(text), "%s%s%s: %s", batch->failures ? batch->failures : "",
                   batch->failures ? ", " : "", name, failure);
    char *copy = strdup(text);
    if (copy) {
        free(batch->failures);
        batch->failures = copy;
    }
}

void console_ended(struct console *console, const char *name, const char *failure)
{
    struct task *task = table_find(&console->by_name, name);

    if (!task || task->has_ended || console->is_over)
        return;
    if (!failure)
        console_started(console, name);
    task->has_ended = true;
    struct batch *batch = &console->batches[task->batch];
    batch->left--;
    if (failure)
        add_failure(batch, name, failure);
    if (batch->left == 0)
        say_batch(console, batch);
}

void console_end(struct console *console)
{
    if (console->is_over)
        return;
    for (size_t i = 0; i < console->batches_count; i++)
        if (console->batches[i].failures && !console->batches[i].is_told)
            say_batch(console, &console->batches[i]);
    say(console, "Terminating connections...");
    say(console, "Disconnected from all nodes.");
    console->is_over = true;
}

const char *console_next_line(struct console *console)
{
    free(TAKE_PTR(console->last));
    if (console->lines_first == console->lines_count) {
        console->lines_first = console->lines_count = 0;
        return NULL;
    }
    console->last = console->lines[console->lines_first++];
    return console->last;
}
