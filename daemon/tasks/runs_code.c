/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>
#include "base/bundle.h"
#include "tasks/internal.h"
#include "tasks/runs_core.h"

/*
 * The code of a step that is a function: one of the files that came with the list, which are in a
 * bundle on the disk. It becomes part of the task, and so of its record.
 */

struct run_code {
    struct tasks *tasks; /* borrowed */
    struct bundles_key key;
    char name[12]; /* of the file in the bundle */
    run_code_done_t done;
    void *data;
    bool is_cancelled;
    int result;
    char *text; /* owned */
};

/* --- On a thread --- */

static int read_text(struct run_code *code)
{
    _cleanup_close_ int fd = bundles_open_read(code->tasks->bundles, &code->key);
    struct bundle_entry entry;
    int r = fd < 0 ? fd : bundle_find(fd, code->name, &entry);

    if (r <= 0)
        return r < 0 ? r : -ENOENT;
    if (entry.size > TASK_CODE_MAX)
        return -EFBIG;
    _cleanup_free_ char *text = calloc(1, entry.size + 1);
    if (!text)
        return -ENOMEM;
    ssize_t size = pread(fd, text, entry.size, (off_t)entry.offset);
    if (size != (ssize_t)entry.size)
        return size < 0 ? -errno : -ENODATA;
    /* A byte that ends texts would hide what follows. */
    if (memchr(text, '\0', entry.size))
        return -EILSEQ;
    code->text = TAKE_PTR(text);
    return 0;
}

static void run(void *data)
{
    struct run_code *code = data;

    code->result = read_text(code);
}

/* --- In the loop --- */

static void lane_done(void *data)
{
    struct run_code *code = data;

    if (!code->is_cancelled && !code->tasks->is_closed)
        code->done(code->result, code->text, code->data);
    free(code->text);
    free(code);
}

int run_code_load(struct run *run_of_list, uint32_t index, run_code_done_t done, void *data,
                  struct run_code **ret)
{
    struct tasks *tasks = run_of_list->tasks;
    struct run_code *code = calloc(1, sizeof(*code));
    int r;

    if (!code)
        return -ENOMEM;
    *code =
        (struct run_code){.tasks = tasks,
                          .key = {.kind = BUNDLES_IN, .number = run_of_list->options.inputs.bundle},
                          .done = done,
                          .data = data,
                          .result = -ECANCELED};
    snprintf(code->name, sizeof(code->name), "%u", index);
    r = worker_submit(tasks->setup.worker, WORKER_FILES, run, lane_done, code);
    if (r < 0) {
        free(code);
        return r;
    }
    *ret = code;
    return 0;
}

void run_code_cancel(struct run_code *code)
{
    code->is_cancelled = true;
}
