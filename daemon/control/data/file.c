/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>
#include "control/data/file.h"
#include "journal.h"

/* Files as they are stored: lists and removal. The store blocks, so that a thread asks it. */

#define PAGE_SIZE     500                  /* entries of one answer */
#define WHOLE_MAX     2000                 /* of the only one */
#define REMOVE_MAX    1000                 /* names of one call */
#define PAUSE_USEC    (20 * USEC_PER_MSEC) /* until a slow reader, or a hash, is looked at again */
#define HASHES_USEC   (3 * USEC_PER_SEC)   /* that a list waits for hashes */
#define ACCURACY_USEC USEC_PER_MSEC

#define NO_FILE "what is called \"%s\" on %s is no file, and stays there"

#define TELL_AGAIN_USEC (3600 * USEC_PER_SEC) /* of the same damaged file */

void file_add_mode(cJSON *json, uint16_t mode)
{
    if (mode & FILES_MODE_KNOWN)
        json_add_u64(json, "mode", mode & 0777);
    else
        json_add_null(json, "mode");
}

void file_fill(cJSON *json, const char *node, const struct files_info *info)
{
    char sha256[2 * FILES_HASH_SIZE + 1];

    text_format_hex(info->sha256, FILES_HASH_SIZE, sha256);
    json_add_string(json, "name", info->name);
    json_add_string(json, "node", node);
    json_add_u64(json, "size_bytes", info->size);
    json_add_string(json, "sha256", info->has_sha256 && !info->is_changed ? sha256 : NULL);
    json_add_string(json, "owner", info->owner);
    json_add_time(json, "modified", info->modified_wall_usec);
    json_add_bool(json, "executable", info->is_executable);
    file_add_mode(json, info->mode);
    json_add_bool(json, "damaged", info->is_changed);
}

void file_tell_changed(struct node *node, const char *name, const char *place)
{
    struct damage_told *told = &node->damage_told;
    char text[2 * FILES_NAME_MAX];

    if (told->usec > 0 && usec_sub(node_now(node), told->usec) < TELL_AGAIN_USEC &&
        strcmp(told->name, name) == 0 && strcmp(told->place, place ? place : "") == 0)
        return;
    told->usec = node_now(node);
    snprintf(told->name, sizeof(told->name), "%s", name);
    snprintf(told->place, sizeof(told->place), "%s", place ? place : "");
    snprintf(text, sizeof(text),
             "the stored file \"%s\" is damaged: it was changed since it was stored", name);
    journal_problem("file-damaged", place, text, false);
}

static void fail_changed(struct call *call, const char *name, const char *node)
{
    char hint[3 * FILES_NAME_MAX];

    snprintf(hint, sizeof(hint),
             "put it again:     p2pctl file put --overwrite=always FILE %s:%s\n"
             "or remove it:     p2pctl file rm %s:%s",
             node, name, node, name);
    call_fail(call, ERROR_CONFLICT, hint,
              "\"%s\" on %s is damaged: it was changed since it was stored", name, node);
}

/* What the daemon may not do in its own directory is nothing that its caller is not permitted. */
static bool is_of_directory(int r)
{
    return r == -EACCES || r == -EPERM || r == -EROFS;
}

static enum error_code code_of(int r)
{
    return is_of_directory(r) ? ERROR_INTERNAL : error_from_errno(r);
}

void fail_file(struct call *call, int r, const char *name, const char *node, const char *reason)
{
    switch (-r) {
    case EINVAL:
        call_fail(call, ERROR_USAGE, NULL,
                  "\"%s\" cannot name a file: 1 to 255 bytes of printable text without '/', not "
                  "starting with '-', and nothing that cannot be seen",
                  name);
        break;
    case ENOENT:
        call_fail(call, ERROR_NOT_FOUND, "p2pctl file ls --all-nodes", "no file \"%s\" on %s", name,
                  node);
        break;
    case EEXIST:
        call_fail(call, ERROR_CONFLICT, "p2pctl file put --overwrite=always ...",
                  "\"%s\" is on %s already", name, node);
        break;
    case ESTALE:
        fail_changed(call, name, node);
        break;
    case ELOOP:
        call_fail(call, ERROR_CONFLICT, "move it out of the files.dir of that node by hand",
                  NO_FILE, name, node);
        break;
    case EMSGSIZE:
        call_fail(call, ERROR_CONFLICT, "once nobody writes into it: repeat the command", "%s",
                  reason && *reason ? reason : "it changed while it was read");
        break;
    default:
        if (reason && *reason)
            call_fail(call, code_of(r), NULL, "%s", reason);
        else
            call_fail(call, code_of(r), NULL, "\"%s\" on %s: %s", name, node, strerror(-r));
        break;
    }
}

/* --- One question to the store --- */

struct query {
    struct node *node; /* borrowed */
    struct call *call; /* borrowed until gone; NULL = nobody waits */
    sd_event_source *pause;
    bool is_list;
    bool is_brief;
    char glob[FILES_NAME_MAX + 1]; /* "" = all */
    char name[FILES_NAME_MAX + 1]; /* to be removed; of a list, the last one that was told */
    struct files_info *infos;      /* owned: one page, or what was removed */
    size_t count;
    size_t told;
    bool wants_hashes;
    usec_t hashes_usec; /* when the list stops to wait for hashes; 0 = it has not waited */
    cJSON *names;       /* owned: many to be removed; NULL = one */
    struct files_removal *removals; /* owned: what became of them; count says how many */
    cJSON *kept; /* owned: what is told with the last page, to who takes but one answer */
    int r;
};

static void query_free(struct query *query)
{
    sd_event_source_disable_unref(query->pause);
    cJSON_Delete(query->kept);
    cJSON_Delete(query->names);
    free(query->removals);
    free(query->infos);
    free(query);
}

static void on_gone(struct call *call _unused_, void *data)
{
    struct query *query = data;

    query->call = NULL;
    if (query->pause)
        query_free(query);
}

static void run(void *data)
{
    struct query *query = data;
    struct files *files = query->node->files;

    if (query->is_list) {
        const struct files_query page = {*query->glob ? query->glob : NULL, query->name, PAGE_SIZE,
                                         query->is_brief};
        query->r = files_list(files, &page, &query->infos, &query->count);
        return;
    }
    if (query->names) {
        files_remove_many(files, query->removals, query->count);
        return;
    }
    query->infos = calloc(1, sizeof(*query->infos));
    query->r = query->infos ? files_remove(files, query->name, query->infos) : -ENOMEM;
}

static void done(void *data);

static void submit(struct query *query)
{
    int r = worker_submit(query->node->worker, WORKER_FILES, run, done, query);

    if (r >= 0)
        return;
    call_fail(query->call, error_from_errno(r), NULL, "cannot look at the files: %s", strerror(-r));
    query_free(query);
}

static void start(struct node *node, struct call *call, struct query *query)
{
    query->node = node;
    query->call = call;
    call_on_gone(call, on_gone, query);
    submit(query);
}

/* --- Lists --- */

static int on_pause(sd_event_source *source _unused_, uint64_t usec _unused_, void *data)
{
    struct query *query = data;

    query->pause = sd_event_source_disable_unref(query->pause);
    submit(query);
    return 0;
}

/* The next page, when its reader has had the last one. */
static void go_on(struct query *query)
{
    if (!call_is_congested(query->call) ||
        sd_event_add_time_relative(query->node->event, &query->pause, CLOCK_MONOTONIC, PAUSE_USEC,
                                   ACCURACY_USEC, on_pause, query) < 0)
        submit(query);
}

static void fill_brief(cJSON *json, const struct files_info *info)
{
    json_add_string(json, "name", info->name);
    json_add_u64(json, "size_bytes", info->size);
}

static cJSON *build_page(const struct query *query)
{
    cJSON *reply = call_new_reply("p2pctl.files/1");
    cJSON *list = cJSON_AddArrayToObject(reply, "files");

    for (size_t i = 0; i < query->count; i++) {
        cJSON *item = cJSON_CreateObject();
        if (query->is_brief)
            fill_brief(item, &query->infos[i]);
        else
            file_fill(item, query->node->config->node.name, &query->infos[i]);
        cJSON_AddItemToArray(list, item);
    }
    return reply;
}

static void end_list(struct query *query, cJSON *reply)
{
    struct call *call = query->call;
    bool all_nodes = false;

    (void)json_get_bool(call->parameters, "all_nodes", &all_nodes);
    if (all_nodes && !call->caller.is_remote) {
        gather(query->node, call, reply, "files");
        return;
    }
    cJSON_AddArrayToObject(reply, "unanswered");
    call_reply(call, reply);
}

/* Who puts a file and then asks for its hash gets it, although it comes after the put. */
static bool awaits_hashes(struct query *query)
{
    bool is_missing = false;

    for (size_t i = 0; query->wants_hashes && i < query->count; i++)
        is_missing = is_missing || (query->infos[i].awaits_hash && !query->infos[i].is_changed);
    if (!is_missing || !transfers_are_hashing(query->node->transfers))
        return false;
    if (query->hashes_usec == 0)
        query->hashes_usec = usec_add(node_now(query->node), HASHES_USEC);
    return node_now(query->node) < query->hashes_usec &&
           sd_event_add_time_relative(query->node->event, &query->pause, CLOCK_MONOTONIC,
                                      PAUSE_USEC, ACCURACY_USEC, on_pause, query) >= 0;
}

/* One page is here. Whoever takes but one answer gets no more than fits into it. */
static void take_page(struct query *query)
{
    struct call *call = query->call;
    bool is_last =
        query->count < PAGE_SIZE || (!call->wants_more && query->told + query->count >= WHOLE_MAX);

    if (awaits_hashes(query)) {
        free(TAKE_PTR(query->infos));
        return;
    }
    cJSON *reply = build_page(query);

    query->told += query->count;
    if (query->count > 0)
        memcpy(query->name, query->infos[query->count - 1].name, sizeof(query->name));
    free(TAKE_PTR(query->infos));
    if (!call->wants_more && query->kept) {
        cJSON *list = cJSON_GetObjectItemCaseSensitive(reply, "files");
        cJSON *all = cJSON_GetObjectItemCaseSensitive(query->kept, "files");
        while (list && list->child)
            cJSON_AddItemToArray(all, cJSON_DetachItemViaPointer(list, list->child));
        cJSON_Delete(reply);
        reply = TAKE_PTR(query->kept);
    }
    if (is_last) {
        end_list(query, reply);
        query_free(query);
        return;
    }
    if (call->wants_more) {
        cJSON_AddArrayToObject(reply, "unanswered");
        call_notify(call, reply);
    } else {
        query->kept = reply;
    }
    go_on(query);
}

void method_list_files(struct node *node, struct call *call)
{
    const char *glob = NULL;
    bool all_nodes = false, is_brief = false, wants_hashes = false;

    if (!read_string(call, "glob", &glob) || !read_bool(call, "all_nodes", &all_nodes) ||
        !read_bool(call, "brief", &is_brief) || !read_bool(call, "hashes", &wants_hashes))
        return;
    if (glob && strlen(glob) > FILES_NAME_MAX)
        return call_invalid(call, "glob");
    if (all_nodes && is_brief)
        return call_invalid(call, "brief");
    struct query *query = calloc(1, sizeof(*query));
    if (!query)
        return fail_memory(call);
    query->is_list = true;
    query->is_brief = is_brief;
    query->wants_hashes = wants_hashes && !is_brief;
    strcpy(query->glob, glob ? glob : "");
    start(node, call, query);
}

/* --- Removal --- */

static void take_removed(struct query *query)
{
    struct call *call = query->call;
    const char *here = query->node->config->node.name;
    char reason[2048];

    if (query->r >= 0)
        journal_file_removed(query->infos->name, query->infos->size, 1);
    if (!call)
        return;
    if (query->r < 0) {
        snprintf(reason, sizeof(reason),
                 "cannot remove \"%s\" on %s: the directory of files %.1000s: %s", query->name,
                 here, files_get_directory(query->node->files), strerror(-query->r));
        fail_file(call, query->r, query->name, here, is_of_directory(query->r) ? reason : NULL);
        return;
    }
    cJSON *reply = call_new_reply("p2pctl.file-rm/1");
    json_add_string(reply, "name", query->infos->name);
    json_add_string(reply, "node", here);
    json_add_u64(reply, "size_bytes", query->infos->size);
    call_reply(call, reply);
}

static void add_no_file(cJSON *item, const char *name, const char *node)
{
    char text[3 * FILES_NAME_MAX];

    snprintf(text, sizeof(text), NO_FILE, name, node);
    json_add_string(item, "message", text);
}

/* What became of each of many. */
static cJSON *build_removals(const struct query *query, const char *here)
{
    cJSON *reply = call_new_reply("p2pctl.file-rm/1");
    cJSON *list;

    json_add_string(reply, "node", here);
    list = cJSON_AddArrayToObject(reply, "files");
    for (size_t i = 0; i < query->count; i++) {
        const struct files_removal *removal = &query->removals[i];
        cJSON *item = cJSON_CreateObject();
        json_add_string(item, "name", removal->name);
        if (removal->r < 0)
            json_add_string(item, "error", error_get_varlink(code_of(removal->r)));
        else
            json_add_u64(item, "size_bytes", removal->size);
        if (removal->r == -ELOOP)
            add_no_file(item, removal->name, here);
        cJSON_AddItemToArray(list, item);
    }
    return reply;
}

static void take_many_removed(struct query *query)
{
    const struct files_removal *first = NULL;
    struct call *call = query->call;
    uint64_t size = 0;
    size_t count = 0;

    for (size_t i = 0; i < query->count; i++)
        if (query->removals[i].r == 0) {
            first = first ? first : &query->removals[i];
            size += query->removals[i].size;
            count++;
        }
    if (first)
        journal_file_removed(first->name, size, count);
    if (!call)
        return;
    call_reply(call, build_removals(query, query->node->config->node.name));
}

static void remove_many(struct node *node, struct call *call, const cJSON *names)
{
    size_t count = (size_t)cJSON_GetArraySize(names), i = 0;
    struct query *query;

    if (count == 0 || count > REMOVE_MAX)
        return call_invalid(call, "names");
    query = calloc(1, sizeof(*query));
    if (query) {
        query->names = cJSON_Duplicate(names, true);
        query->removals = calloc(count, sizeof(*query->removals));
        query->count = count;
    }
    if (!query || !query->names || !query->removals) {
        if (query)
            query_free(query);
        return fail_memory(call);
    }
    json_for_each (name, query->names)
        query->removals[i++].name = cJSON_GetStringValue(name);
    start(node, call, query);
}

void method_remove_file(struct node *node, struct call *call)
{
    const char *name = NULL;
    const cJSON *names = NULL;

    if (!read_array(call, "names", &names))
        return;
    if (names)
        return remove_many(node, call, names);
    if (!need_string(call, "name", &name))
        return;
    if (!text_is_file_name(name)) {
        fail_file(call, -EINVAL, name, "", NULL);
        return;
    }
    struct query *query = calloc(1, sizeof(*query));
    if (!query)
        return fail_memory(call);
    strcpy(query->name, name);
    start(node, call, query);
}

/* The thread is back, or was never asked as the node ends. */
static void done(void *data)
{
    struct query *query = data;

    if (query->call && query->is_list && query->r >= 0) {
        take_page(query);
        return;
    }
    if (query->names) {
        take_many_removed(query);
    } else if (!query->is_list) {
        take_removed(query);
    } else if (query->call) {
        call_fail(query->call, code_of(query->r), NULL, "cannot list the files: %s",
                  strerror(-query->r));
    }
    query_free(query);
}
