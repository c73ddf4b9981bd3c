/* SPDX-License-Identifier: MIT */
#include "control/methods_internal.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include "journal.h"

#define LIST_PAGE 1000

static void format_sha256(const uint8_t hash[static FILES_HASH_SIZE],
                          char target[static 2 * FILES_HASH_SIZE + 1])
{
    for (size_t i = 0; i < FILES_HASH_SIZE; i++)
        snprintf(target + 2 * i, 3, "%02x", hash[i]);
}

static void fill(cJSON *json, const char *node, const struct files_info *info)
{
    char sha256[2 * FILES_HASH_SIZE + 1];

    format_sha256(info->sha256, sha256);
    json_add_string(json, "name", info->name);
    json_add_string(json, "node", node);
    json_add_u64(json, "size_bytes", info->size);
    json_add_string(json, "sha256", info->has_sha256 ? sha256 : NULL);
    json_add_string(json, "owner", info->owner);
    json_add_time(json, "modified", info->modified_wall_usec);
}

static void fail_file(struct call *call, int r, const char *name, const char *node,
                      const char *reason)
{
    switch (-r) {
    case EINVAL:
        call_fail(call, ERROR_USAGE, NULL,
                  "\"%s\" cannot name a file: 1 to 255 bytes of printable text without '/', not "
                  "starting with '-'",
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
    default:
        call_fail(call, error_from_errno(r), NULL, "%s", reason && *reason ? reason : strerror(-r));
        break;
    }
}

/* --- Lists --- */

void method_list_files(struct node *node, struct call *call)
{
    const char *glob = NULL;
    bool all_nodes = false;
    char after[FILES_NAME_MAX + 1] = "";

    if (!read_string(call, "glob", &glob) || !read_bool(call, "all_nodes", &all_nodes))
        return;
    cJSON *reply = call_new_reply("p2pctl.files/1");
    cJSON *list = cJSON_AddArrayToObject(reply, "files");
    for (size_t count = LIST_PAGE; count == LIST_PAGE;) {
        _cleanup_free_ struct files_info *infos = NULL;
        int r = files_list(node->files, glob, after, LIST_PAGE, &infos, &count);
        if (r < 0) {
            cJSON_Delete(reply);
            call_fail(call, error_from_errno(r), NULL, "cannot list the files: %s", strerror(-r));
            return;
        }
        for (size_t i = 0; i < count; i++) {
            cJSON *item = cJSON_CreateObject();
            fill(item, node->config->node.name, &infos[i]);
            cJSON_AddItemToArray(list, item);
        }
        if (count > 0)
            memcpy(after, infos[count - 1].name, sizeof(after));
    }
    if (all_nodes && !call->caller.is_remote) {
        gather(node, call, reply, "files");
        return;
    }
    cJSON_AddArrayToObject(reply, "unanswered");
    call_reply_list(call, reply, "files");
}

void method_remove_file(struct node *node, struct call *call)
{
    const char *name = NULL;
    struct files_info info;

    if (!need_string(call, "name", &name))
        return;
    int r = files_remove(node->files, name, &info);
    if (r < 0) {
        fail_file(call, r, name, node->config->node.name, NULL);
        return;
    }
    journal_file_removed(info.name, info.size);
    cJSON *reply = call_new_reply("p2pctl.file-rm/1");
    json_add_string(reply, "name", info.name);
    json_add_string(reply, "node", node->config->node.name);
    json_add_u64(reply, "size_bytes", info.size);
    call_reply(call, reply);
}

/* --- Put and get --- */

struct moving {
    struct node *node;         /* borrowed */
    struct call *call;         /* borrowed until gone */
    struct transfer *transfer; /* borrowed until its end */
    bool is_put;
    char place[NODE_NAME_MAX + 1]; /* the other end */
    char name[FILES_NAME_MAX + 1];
};

static void on_gone(struct call *call _unused_, void *data)
{
    struct moving *moving = data;

    transfer_cancel(moving->transfer);
    free(moving);
}

static void on_progress(uint64_t done, uint64_t total, void *data)
{
    struct moving *moving = data;

    if (!moving->call->wants_more || call_is_congested(moving->call))
        return;
    cJSON *json = cJSON_CreateObject();
    json_add_string(json, "type", "progress");
    json_add_u64(json, "done_bytes", done);
    if (total == FILES_SIZE_UNKNOWN)
        json_add_null(json, "total_bytes");
    else
        json_add_u64(json, "total_bytes", total);
    call_notify(moving->call, json);
}

static void on_end(const struct transfer_end *end, void *data)
{
    struct moving *moving = data;
    struct call *call = moving->call;

    call_on_gone(call, NULL, NULL);
    if (end->r < 0) {
        fail_file(call, end->r, moving->name, moving->place, end->reason);
        free(moving);
        return;
    }
    if (moving->is_put && end->r == 0 &&
        strcmp(moving->place, moving->node->config->node.name) == 0)
        journal_file_stored(end->info.name, end->info.size, end->info.owner);
    cJSON *reply = cJSON_CreateObject();
    json_add_string(reply, "type", "end");
    json_add_string(reply, "schema", moving->is_put ? "p2pctl.file-put/1" : "p2pctl.file-get/1");
    fill(reply, moving->place, &end->info);
    json_add_u64(reply, "elapsed_ms", end->elapsed_usec / USEC_PER_MSEC);
    call_reply(call, reply);
    free(moving);
}

static const struct transfer_handler handler = {.on_progress = on_progress, .on_end = on_end};

/* Where the other end is. False: the call has been answered. */
static bool find_place(struct node *node, struct call *call, const char *name,
                       struct transfer_place *ret)
{
    const struct swim_member *member = node_find_member(node, name);

    if (!member) {
        call_fail(call, ERROR_NOT_FOUND, "p2pctl members", "no node is called \"%s\"", name);
        return false;
    }
    if (!member->is_self && (member->state == SWIM_DEAD || member->state == SWIM_LEFT)) {
        call_fail(call, ERROR_UNREACHABLE, "p2pctl members", "cannot reach %s: it is %s", name,
                  member_state_name(member));
        return false;
    }
    *ret = (struct transfer_place){
        .is_self = member->is_self, .id = member->id, .address = member->address};
    return true;
}

static struct moving *new_moving(struct node *node, struct call *call, const char *place,
                                 const char *name, bool is_put)
{
    struct moving *moving = calloc(1, sizeof(*moving));

    if (!moving) {
        fail_memory(call);
        return NULL;
    }
    *moving = (struct moving){.node = node, .call = call, .is_put = is_put};
    snprintf(moving->place, sizeof(moving->place), "%s", place ? place : node->config->node.name);
    snprintf(moving->name, sizeof(moving->name), "%s", name);
    return moving;
}

/* The transfer is on its way, or could not begin. */
static void begin(struct moving *moving, int r)
{
    struct call *call = moving->call;

    if (r < 0) {
        free(moving);
        call_fail(call, r == -EBUSY ? ERROR_BUSY : ERROR_INTERNAL,
                  "p2pctl config show net.transfers_max", "cannot begin the transfer: %s",
                  r == -EBUSY ? "too many are under way" : strerror(-r));
        return;
    }
    call_on_gone(call, on_gone, moving);
}

static int parse_overwrite(const char *text)
{
    return strcmp(text, "never") == 0    ? UPLOAD_NEVER
           : strcmp(text, "newer") == 0  ? UPLOAD_NEWER
           : strcmp(text, "always") == 0 ? UPLOAD_ALWAYS
                                         : -EINVAL;
}

/* The content's size where the descriptor tells it. */
static uint64_t size_of(int fd)
{
    struct stat status;

    return fstat(fd, &status) == 0 && S_ISREG(status.st_mode) ? (uint64_t)status.st_size
                                                              : FILES_SIZE_UNKNOWN;
}

void method_put_file(struct node *node, struct call *call)
{
    const char *name = NULL, *place_name = NULL, *overwrite = "never", *modified = NULL;
    struct transfer_place place;
    struct upload_offer offer = {0};
    uint64_t size = FILES_SIZE_UNKNOWN;

    if (!need_string(call, "name", &name) || !read_string(call, "node", &place_name) ||
        !read_string(call, "overwrite", &overwrite) || !read_string(call, "modified", &modified) ||
        !read_u64(call, "size_bytes", (uint64_t)1 << 53, &size))
        return;
    if (call->fds_count == 0)
        return call_invalid(call, "descriptor");
    if (parse_overwrite(overwrite) < 0)
        return call_invalid(call, "overwrite");
    if (modified && json_parse_time(modified, &offer.modified_wall_usec) < 0)
        return call_invalid(call, "modified");
    if (!text_is_file_name(name)) {
        fail_file(call, -EINVAL, name, "", NULL);
        return;
    }
    if (!find_place(node, call, place_name, &place))
        return;
    struct moving *moving = new_moving(node, call, place_name, name, true);
    if (!moving)
        return;
    offer.name = name;
    offer.owner = call->caller.user;
    offer.size = size_of(call->fds[0]);
    offer.overwrite = (enum upload_overwrite)parse_overwrite(overwrite);
    int r = transfers_put(node->transfers, &place, TAKE_FD(call->fds[0]), &offer, &handler, moving,
                          &moving->transfer);
    if (r >= 0)
        transfer_set_guard(moving->transfer, call_get_guard(call));
    begin(moving, r);
}

/* --- A file whose holder is not named: this node, else whoever has it --- */

struct search {
    struct node *node; /* borrowed */
    struct call *call; /* borrowed until gone; NULL = nobody waits, or one was found */
    size_t pending;
};

static void get_from(struct node *node, struct call *call, const char *place_name, const char *name)
{
    struct transfer_place place;

    if (!find_place(node, call, place_name, &place))
        return;
    struct moving *moving = new_moving(node, call, place_name, name, false);
    if (moving)
        begin(moving, transfers_get(node->transfers, &place, name, TAKE_FD(call->fds[0]), &handler,
                                    moving, &moving->transfer));
}

static void on_search_gone(struct call *call _unused_, void *data)
{
    struct search *search = data;

    search->call = NULL;
}

/* Whether this node has exactly that file. */
static const char *find_holder(const cJSON *files, const char *name)
{
    const char *file = NULL, *holder = NULL;

    json_for_each (item, files)
        if (json_get_string(item, "name", &file) > 0 && strcmp(file, name) == 0 &&
            json_get_string(item, "node", &holder) > 0)
            return holder;
    return NULL;
}

static void on_search_answer(const struct remote_reply *answer, void *data)
{
    struct search *search = data;
    struct call *call = search->call;
    const cJSON *files = NULL;
    const char *name = NULL, *holder = NULL;

    search->pending--;
    if (call && answer->r >= 0 && !answer->error &&
        json_get_array(answer->parameters, "files", &files) > 0) {
        (void)json_get_string(call->parameters, "name", &name);
        holder = find_holder(files, name);
    }
    if (holder || (call && search->pending == 0)) {
        search->call = NULL;
        call_on_gone(call, NULL, NULL);
        if (holder) {
            get_from(search->node, call, holder, name);
        } else {
            (void)json_get_string(call->parameters, "name", &name);
            call_fail(call, ERROR_NOT_FOUND, "p2pctl file ls --all-nodes",
                      "no node has a file \"%s\"", name);
        }
    }
    if (search->pending == 0)
        free(search);
}

/* A glob that only @name matches. */
static void quote_glob(const char *name, char target[static 3 * FILES_NAME_MAX + 1])
{
    for (; *name; name++)
        target += snprintf(target, 4, strchr("*?[", *name) ? "[%c]" : "%c", *name);
}

static void search_holder(struct node *node, struct call *call, const char *name)
{
    const struct swim *swim = cluster_get_swim(node->cluster);
    struct search *search = calloc(1, sizeof(*search));
    _cleanup_json_ cJSON *parameters = cJSON_CreateObject();
    char glob[3 * FILES_NAME_MAX + 1] = "";

    if (!search)
        return fail_memory(call);
    *search = (struct search){.node = node, .call = call};
    quote_glob(name, glob);
    if (strlen(glob) <= FILES_NAME_MAX)
        json_add_string(parameters, "glob", glob);
    for (size_t i = 0; i < swim_members_count(swim); i++) {
        const struct swim_member *member = swim_member_at(swim, i);
        if (member->is_self || member->state != SWIM_ALIVE)
            continue;
        if (remote_call(node->remote,
                        &(struct remote_request){.member = member,
                                                 .method = "org.p2pnode.ListFiles",
                                                 .parameters = parameters,
                                                 .caller = &call->caller,
                                                 .timeout_usec = 5 * USEC_PER_SEC},
                        on_search_answer, search, NULL) >= 0)
            search->pending++;
    }
    if (search->pending > 0) {
        call_on_gone(call, on_search_gone, search);
        return;
    }
    free(search);
    call_fail(call, ERROR_NOT_FOUND, "p2pctl file ls --all-nodes", "no node has a file \"%s\"",
              name);
}

void method_get_file(struct node *node, struct call *call)
{
    const char *name = NULL, *place_name = NULL;
    struct files_info info;

    if (!need_string(call, "name", &name) || !read_string(call, "node", &place_name))
        return;
    if (call->fds_count == 0)
        return call_invalid(call, "descriptor");
    if (!text_is_file_name(name)) {
        fail_file(call, -EINVAL, name, "", NULL);
        return;
    }
    if (!place_name && files_stat(node->files, name, &info) == -ENOENT)
        search_holder(node, call, name);
    else
        get_from(node, call, place_name, name);
}
