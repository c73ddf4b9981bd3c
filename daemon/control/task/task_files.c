/* SPDX-License-Identifier: MIT */
#include "control/methods_internal.h"

#include <string.h>
#include <sys/stat.h>

/* GetTaskFiles: the results of a task, from where the origin keeps them. */

struct get {
    struct node *node;      /* borrowed */
    struct call *call;      /* borrowed until gone */
    struct task_spec *spec; /* owned: the task may be forgotten meanwhile */
    struct task_read *read; /* borrowed until done */
    char id[TASK_ID_TEXT_MAX];
};

static void get_free(struct get *get)
{
    if (get->spec)
        task_spec_done(get->spec);
    free(get->spec);
    free(get);
}

static void on_gone(struct call *call _unused_, void *data)
{
    struct get *get = data;

    tasks_read_cancel(get->read);
    get_free(get);
}

static cJSON *new_item(const struct get *get, const struct bundle_entry *entry)
{
    cJSON *item = cJSON_CreateObject();

    json_add_string(item, "name", entry->name);
    json_add_u64(item, "size_bytes", entry->size);
    json_add_u64(item, "mode", entry->mode);
    json_add_string(item, "out",
                    entry->tag < get->spec->outs.count ? get->spec->outs.items[entry->tag] : NULL);
    return item;
}

static void on_read(int r, const struct task_content *content, void *data)
{
    struct get *get = data;
    struct call *call = get->call;

    if (r < 0) {
        char hint[sizeof("p2pctl task show ") + TASK_ID_TEXT_MAX];
        snprintf(hint, sizeof(hint), "p2pctl task show %s", get->id);
        call_fail(
            call, r == -ENOENT ? ERROR_NOT_FOUND : error_from_errno(r), r == -ENOENT ? hint : NULL,
            r == -ENOENT ? "task %s has no such result" : "cannot read the results of task %s: %s",
            get->id, strerror(-r));
        get_free(get);
        return;
    }
    cJSON *reply = call_new_reply("p2pctl.task-files/1");
    json_add_string(reply, "id", get->id);
    cJSON *list = cJSON_AddArrayToObject(reply, "files");
    for (size_t i = 0; i < content->count; i++)
        cJSON_AddItemToArray(list, new_item(get, &content->entries[i]));
    get_free(get);
    if (content->piece)
        call_reply_bytes(call, reply, "value", content->piece, content->piece_size);
    else
        call_reply_list(call, reply, "files");
}

/* A pipe that nobody reads would hold up a thread. False: the call has been answered. */
static bool check_descriptor(struct call *call)
{
    struct stat status;

    if (call->fds_count > 0 && fstat(call->fds[0], &status) == 0 && S_ISREG(status.st_mode))
        return true;
    call_invalid(call, "descriptor");
    return false;
}

/*
 * A call for what another node has, by -N or by the id. Lists come as they are passed on; contents
 * are fetched. Return: whether it is one; then it has been answered, or will be.
 */
static bool pass(struct node *node, struct call *call, const char *id, const char *file)
{
    char origin[NODE_NAME_MAX + 1] = "";
    const char *name = NULL;
    uint64_t number;

    if (!read_string(call, "node", &name))
        return true;
    if (!name && file && task_id_parse(id, "", &number, origin) >= 0 && *origin)
        name = origin;
    if (!name || strcmp(name, node->config->node.name) == 0 || call->caller.is_remote)
        return false;
    const struct swim_member *member = find_live(node, call, name);
    if (member && !file)
        remote_forward(node->remote, member, call);
    else if (member && check_descriptor(call))
        task_fetch(node, call, member, TAKE_FD(call->fds[0]));
    return true;
}

/* Return: as tasks_read_results(). */
static int begin(struct get *get, uint64_t number, const char *file, uint64_t offset)
{
    struct tasks *tasks = get->node->tasks;

    if (file && get->call->caller.is_remote)
        return tasks_read_piece(tasks, number, file, offset, on_read, get, &get->read);
    return tasks_read_results(tasks, number, file, file ? TAKE_FD(get->call->fds[0]) : -EBADF,
                              on_read, get, &get->read);
}

void method_get_task_files(struct node *node, struct call *call)
{
    const char *id = NULL, *file = NULL;
    const struct task *task;
    uint64_t offset = 0;

    if (!need_string(call, "id", &id) || !read_string(call, "file", &file) ||
        !read_u64(call, "offset", INT64_MAX, &offset) || pass(node, call, id, file) ||
        !(task = find_task(node, call, id)) ||
        (file && !call->caller.is_remote && !check_descriptor(call)))
        return;
    if (!may_change_task(call, task)) {
        call_fail(call, ERROR_NOT_PERMITTED, NULL, "not permitted: task %s belongs to %s", id,
                  task->spec.user);
        return;
    }
    struct get *get = calloc(1, sizeof(*get));
    if (get)
        get->spec = calloc(1, sizeof(*get->spec));
    if (!get || !get->spec || task_spec_copy(&task->spec, get->spec) < 0) {
        if (get)
            get_free(get);
        fail_memory(call);
        return;
    }
    get->node = node;
    get->call = call;
    task_id_format(task->number, node->config->node.name, get->id);
    int r = begin(get, task->number, file, offset);
    if (r < 0) {
        get_free(get);
        call_fail(call, error_from_errno(r), NULL, "too much is being read from the disk");
        return;
    }
    call_on_gone(call, on_gone, get);
}
