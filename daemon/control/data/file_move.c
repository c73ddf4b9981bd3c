/* SPDX-License-Identifier: MIT */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include "base/log.h"
#include "control/data/file.h"
#include "control/data/moving.h"
#include "store/batch.h"

/* Files put and got: the transfers of clients. */

#define INTEGER_MAX ((uint64_t)1 << 53)

static void on_gone(struct call *call _unused_, void *data)
{
    struct moving *moving = data;

    transfer_cancel(moving->transfer);
    moving_free(moving);
}

static void on_progress(const struct transfer_progress *progress, void *data)
{
    struct moving *moving = data;
    char waits[NODE_NAME_MAX + 40] = "";

    moving_note(moving, progress);
    if (!moving->call || !moving->call->wants_more || call_is_congested(moving->call))
        return;
    cJSON *json = cJSON_CreateObject();
    json_add_string(json, "type", "progress");
    json_add_u64(json, "done_bytes", progress->done);
    if (progress->total == FILES_SIZE_UNKNOWN)
        json_add_null(json, "total_bytes");
    else
        json_add_u64(json, "total_bytes", progress->total);
    json_add_u64(json, "resumed_bytes", progress->resumed);
    if (progress->ahead > 0)
        snprintf(waits, sizeof(waits), "%zu transfer%s under way", progress->ahead,
                 progress->ahead > 1 ? "s are" : " is");
    else if (progress->is_put_off)
        snprintf(waits, sizeof(waits), "%s has no place for it yet", moving->place);
    if (*waits)
        json_add_string(json, "waits", waits);
    call_notify(moving->call, json);
}

/* --- Ends --- */

static void answer_end(const struct moving *moving, const struct transfer_end *end)
{
    cJSON *reply = cJSON_CreateObject();

    json_add_string(reply, "type", "end");
    json_add_string(reply, "schema", moving->is_put ? "p2pctl.file-put/1" : "p2pctl.file-get/1");
    if (end->count > 0) {
        json_add_string(reply, "node", moving->place);
        if (moving->is_put)
            json_add_string(reply, "owner", end->owner);
        moving_fill_list(reply, moving, end);
    } else {
        file_fill(reply, moving->place, &end->info);
        json_add_bool(reply, "kept", end->r == UPLOAD_KEPT);
        json_add_u64(reply, "resumed_bytes", end->resumed);
    }
    json_add_u64(reply, "elapsed_ms", end->elapsed_usec / USEC_PER_MSEC);
    call_reply(moving->call, reply);
}

/* Whether it is the way to the other node that failed, or what came over it. */
static bool is_unreachable(int r)
{
    return r == -EBADMSG || r == -EPROTO || r == -ETIMEDOUT ||
           error_from_errno(r) == ERROR_UNREACHABLE;
}

/* Whether what was got has no place where its reader wants it. */
static bool is_written_badly(int r)
{
    return r == -ENOSPC || r == -EDQUOT || r == -EFBIG || r == -EIO;
}

static void answer_failure(struct moving *moving, const struct transfer_end *end)
{
    const char *place = moving->place;
    char what[2 * FILES_NAME_MAX];

    if (moving->count > 1)
        snprintf(what, sizeof(what), "%zu files", moving->count);
    else
        snprintf(what, sizeof(what), "\"%s\"", moving->name);
    if (!moving_is_here(moving) && is_unreachable(end->r))
        call_fail(moving->call, ERROR_UNREACHABLE,
                  moving->is_put && moving_is_resumable(moving)
                      ? "see how it is:    p2pctl members\n"
                        "to go on from where it was: repeat the command"
                      : "p2pctl members",
                  "cannot %s %s %s %s: %s", moving->is_put ? "put" : "get", what,
                  moving->is_put ? "to" : "from", place, end->reason);
    else if ((end->r == -ESTALE || end->r == -ENOENT) && *moving->stored) /* the one to be put */
        fail_file(moving->call, end->r, moving->stored, moving->node->config->node.name, NULL);
    else if (!moving->is_put && is_written_badly(end->r))
        call_fail(moving->call, error_from_errno(end->r), NULL, "cannot get %s from %s: %s", what,
                  place, end->reason);
    else
        fail_file(moving->call, end->r, moving->name, place, end->reason);
}

/* The file is not here, or was seen to be damaged before the client had a byte of it. */
static bool is_worth_a_search(const struct transfer_end *end)
{
    return end->r == -ENOENT || (end->r == -ESTALE && !*end->info.name);
}

static void on_end(const struct transfer_end *end, void *data)
{
    _cleanup_(moving_freep) struct moving *moving = data;
    struct call *call = moving->call;

    moving_tell_journal(moving, end);
    if (!call)
        return;
    call_on_gone(call, NULL, NULL);
    if (moving->may_search && is_worth_a_search(end))
        file_search(moving->node, call, moving->is_put ? moving->stored : moving->name,
                    moving->is_put ? file_put_from : file_get_from, end->r == -ESTALE);
    else if (end->r < 0)
        answer_failure(moving, end);
    else
        answer_end(moving, end);
}

static const struct transfer_handler handler = {.on_progress = on_progress, .on_end = on_end};

/* --- Beginning --- */

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
        call_fail(call, ERROR_UNREACHABLE, "p2pctl members", "cannot reach %s: it %s", name,
                  member->state == SWIM_DEAD ? "is dead" : "has left");
        return false;
    }
    *ret = (struct transfer_place){
        .is_self = member->is_self, .id = member->id, .address = member->address};
    return true;
}

/* The transfer is on its way, or could not begin. */
static void begin(struct moving *moving, int r)
{
    struct call *call = moving->call;
    static const char *const unknown[] = {"size_bytes",    "sha256",    "owner",   "modified",
                                          "executable",    "mode",      "damaged", "kept",
                                          "resumed_bytes", "elapsed_ms"};
    uint64_t rate = 0;
    const char *text = NULL;
    bool waits = true;

    if (r >= 0)
        r = transfer_set_user(moving->transfer, call->caller.user);
    if (r < 0) {
        if (moving->transfer)
            transfer_cancel(moving->transfer);
        moving_free(moving);
        call_fail(call, r == -EBUSY ? ERROR_BUSY : error_from_errno(r),
                  "p2pctl config show net.transfers_max", "cannot begin the transfer: %s",
                  r == -EBUSY ? "too many are under way" : strerror(-r));
        return;
    }
    if (json_get_string(call->parameters, "rate", &text) > 0 && text_parse_size(text, &rate) >= 0)
        transfer_set_rate(moving->transfer, rate);
    (void)json_get_bool(call->parameters, "wait", &waits);
    if (waits) {
        call_on_gone(call, on_gone, moving);
        return;
    }
    moving->call = NULL;
    cJSON *reply = cJSON_CreateObject();
    json_add_string(reply, "type", "end");
    json_add_string(reply, "schema", "p2pctl.file-put/1");
    json_add_string(reply, "name", moving->name);
    json_add_string(reply, "node", moving->place);
    /* What only the end tells. */
    for (size_t i = 0; i < ARRAY_SIZE(unknown); i++)
        json_add_null(reply, unknown[i]);
    call_reply(call, reply);
}

/* What begin() takes for right. False: the call has been answered. */
static bool check_common(struct call *call)
{
    const char *text = NULL;
    bool waits = true;
    uint64_t rate;

    if (!read_string(call, "rate", &text) || !read_bool(call, "wait", &waits))
        return false;
    if (!text || (text_parse_size(text, &rate) >= 0 && (rate == 0 || rate >= TRANSFERS_RATE_MIN)))
        return true;
    call_invalid(call, "rate");
    return false;
}

static int parse_overwrite(const char *text)
{
    return strcmp(text, "never") == 0    ? UPLOAD_NEVER
           : strcmp(text, "newer") == 0  ? UPLOAD_NEWER
           : strcmp(text, "always") == 0 ? UPLOAD_ALWAYS
                                         : -EINVAL;
}

/* The parameters that all puts have. False: the call has been answered. */
static bool read_offer(struct call *call, struct upload_offer *ret)
{
    const char *overwrite = "never", *modified = NULL;
    bool executable = false, is_hashed = true;
    uint64_t mode = UINT64_MAX;
    int r;

    if (!read_string(call, "overwrite", &overwrite) || !read_string(call, "modified", &modified) ||
        !read_bool(call, "executable", &executable) || !read_u64(call, "mode", 0777, &mode) ||
        !read_bool(call, "hash", &is_hashed) || !check_common(call))
        return false;
    r = parse_overwrite(overwrite);
    if (r < 0) {
        call_invalid(call, "overwrite");
        return false;
    }
    if (modified && json_parse_time(modified, &ret->modified_wall_usec) < 0) {
        call_invalid(call, "modified");
        return false;
    }
    ret->overwrite = (enum upload_overwrite)r;
    ret->is_executable = executable;
    ret->is_hashed_later = !is_hashed;
    if (mode <= 0777)
        ret->mode = (uint16_t)(mode | FILES_MODE_KNOWN);
    ret->owner = call->caller.user;
    return true;
}

/* --- Put --- */

static int read_item(const cJSON *json, struct transfer_item *ret)
{
    const char *name = NULL, *modified = NULL;
    uint64_t mode = UINT64_MAX;

    if (json_get_string(json, "name", &name) <= 0 || json_get_u64(json, "mode", 0777, &mode) < 0 ||
        json_get_u64(json, "size_bytes", TRANSFERS_ITEM_MAX, &ret->size) <= 0 ||
        json_get_string(json, "modified", &modified) < 0 ||
        json_get_bool(json, "executable", &ret->is_executable) < 0 ||
        (modified && json_parse_time(modified, &ret->modified_wall_usec) < 0) ||
        strlen(name) > FILES_NAME_MAX)
        return -EINVAL;
    if (mode <= 0777)
        ret->mode = (uint16_t)(mode | FILES_MODE_KNOWN);
    ret->name = strdup(name);
    return ret->name ? 0 : -ENOMEM;
}

/* Many small files in one descriptor. */
static void put_list(struct node *node, struct call *call, const cJSON *files)
{
    const char *place_name = NULL;
    struct upload_offer offer = {0};
    struct transfer_place place;
    size_t count = (size_t)cJSON_GetArraySize(files), i = 0;
    bool is_brief = false;
    int r = 0;

    if (!read_string(call, "node", &place_name) || !read_bool(call, "brief", &is_brief) ||
        !read_offer(call, &offer))
        return;
    if (count == 0 || count > BATCH_FILES_MAX)
        return call_invalid(call, "files");
    if (!find_place(node, call, place_name, &place))
        return;
    struct transfer_item *list = calloc(count, sizeof(*list));
    struct moving *moving = list ? moving_new(node, call, place_name, "", true) : NULL;
    if (!moving) {
        if (!list)
            fail_memory(call);
        free(list);
        return;
    }
    json_for_each (item, files)
        r = r < 0 ? r : read_item(item, &list[i++]);
    if (r < 0) {
        transfer_list_free(list, count);
        moving_free(moving);
        return call_invalid(call, "files");
    }
    /* While the files are under way it would be most of what this takes. */
    cJSON_DeleteItemFromObjectCaseSensitive(
        cJSON_GetObjectItemCaseSensitive(call->json, "parameters"), "files");
    snprintf(moving->name, sizeof(moving->name), "%s", list[0].name);
    moving->count = count;
    moving->is_brief = is_brief;
    begin(moving, transfers_put_list(node->transfers, &place, TAKE_FD(call->fds[0]), &offer,
                                     (struct transfer_list){list, count}, &handler, moving,
                                     &moving->transfer));
}

void file_put_from(struct node *node, struct call *call, const char *place, const char *name)
{
    cJSON *parameters = cJSON_GetObjectItemCaseSensitive(call->json, "parameters");
    const struct swim_member *source = node_find_member(node, place);
    struct transfer_place found;

    if (!find_place(node, call, place, &found))
        return;
    if (found.is_self)
        return fail_file(call, -ESTALE, name, place, NULL);
    /* "Here" is another place there. */
    if (!cJSON_IsString(cJSON_GetObjectItemCaseSensitive(parameters, "to")))
        json_add_string(parameters, "to", node->config->node.name);
    cJSON_DeleteItemFromObjectCaseSensitive(parameters, "search");
    remote_forward(node->remote, source, call);
}

/* "user1" of "user1@lab-01": an owner is called the same whichever node does it for him. */
static void read_owner(const struct caller *caller, char ret[static CALLER_MAX])
{
    const char *at = caller->is_remote ? strrchr(caller->user, '@') : NULL;
    int size = at ? (int)(at - caller->user) : CALLER_MAX - 1;

    snprintf(ret, CALLER_MAX, "%.*s", size, caller->user);
}

/* From one store to another: the node that has the file puts it. */
static void put_stored(struct node *node, struct call *call, const char *stored)
{
    const char *from = NULL, *to = NULL, *name = stored;
    struct upload_offer offer = {.is_resumable = true};
    struct transfer_place place;
    char owner[CALLER_MAX];
    bool searches = false;

    if (!read_string(call, "node", &from) || !read_bool(call, "search", &searches) ||
        !read_string(call, "to", &to) || !read_string(call, "name", &name) ||
        !read_offer(call, &offer))
        return;
    if (searches && cJSON_IsFalse(cJSON_GetObjectItemCaseSensitive(call->parameters, "wait")))
        return call_invalid(call, "search");
    if (!text_is_file_name(stored) || !text_is_file_name(name)) {
        fail_file(call, -EINVAL, text_is_file_name(stored) ? name : stored, "", NULL);
        return;
    }
    const struct swim_member *source = node_find_member(node, from);
    if (source && !source->is_self && !call->caller.is_remote) {
        file_put_from(node, call, from, stored);
        return;
    }
    if (!find_place(node, call, source ? to : from, &place))
        return;
    struct moving *moving = moving_new(node, call, to, name, true);
    if (!moving)
        return;
    snprintf(moving->stored, sizeof(moving->stored), "%s", stored);
    moving->may_search = searches && !from && !call->caller.is_remote;
    read_owner(&call->caller, owner);
    offer.owner = owner;
    offer.name = name;
    offer.size = FILES_SIZE_UNKNOWN; /* until the file is open */
    int r =
        transfers_put(node->transfers, &place, -EBADF, &offer, &handler, moving, &moving->transfer);
    if (r >= 0)
        r = transfer_set_source(moving->transfer, stored);
    begin(moving, r);
}

/* The content's size where the descriptor tells it. */
static uint64_t size_of(int fd)
{
    struct stat status;

    return fstat(fd, &status) == 0 && S_ISREG(status.st_mode) ? (uint64_t)status.st_size
                                                              : FILES_SIZE_UNKNOWN;
}

/* What has no block on a disk may have another size than it says: files of /proc and /sys. */
static bool has_blocks(int fd)
{
    struct stat status;

    return fstat(fd, &status) == 0 && status.st_blocks > 0;
}

static void put_one(struct node *node, struct call *call)
{
    const char *name = NULL, *place_name = NULL;
    struct transfer_place place;
    struct upload_offer offer = {.is_resumable = true};
    uint64_t size = FILES_SIZE_UNKNOWN;
    bool waits = true;

    if (!need_string(call, "name", &name) || !read_string(call, "node", &place_name) ||
        !read_u64(call, "size_bytes", INTEGER_MAX, &size) || !read_offer(call, &offer))
        return;
    (void)json_get_bool(call->parameters, "wait", &waits);
    offer.name = name;
    offer.size = size_of(call->fds[0]);
    if (size == FILES_SIZE_UNKNOWN && waits && !has_blocks(call->fds[0]))
        offer.size = FILES_SIZE_UNKNOWN; /* nobody says that it is the true one */
    if (!waits && offer.size == FILES_SIZE_UNKNOWN)
        return call_invalid(call, "wait"); /* nobody would say whether the end is one */
    if (!text_is_file_name(name)) {
        fail_file(call, -EINVAL, name, "", NULL);
        return;
    }
    if (!find_place(node, call, place_name, &place))
        return;
    struct moving *moving = moving_new(node, call, place_name, name, true);
    if (!moving)
        return;
    int r = transfers_put(node->transfers, &place, TAKE_FD(call->fds[0]), &offer, &handler, moving,
                          &moving->transfer);
    if (r >= 0 && waits)
        transfer_set_guard(moving->transfer, call_get_guard(call));
    begin(moving, r);
}

void method_put_file(struct node *node, struct call *call)
{
    const cJSON *files = NULL;
    const char *stored = NULL;

    if (!read_string(call, "stored", &stored))
        return;
    if (json_get_array(call->parameters, "files", &files) < 0)
        return call_invalid(call, "files");
    if (!stored && call->fds_count == 0)
        return call_invalid(call, "descriptor");
    if (stored)
        put_stored(node, call, stored);
    else if (files)
        put_list(node, call, files);
    else
        put_one(node, call);
}

/* --- Get --- */

static void get_from(struct node *node, struct call *call, const char *place_name, const char *name,
                     bool may_search)
{
    struct transfer_place place;
    bool resumes = false;

    if (!read_bool(call, "resume", &resumes) || !find_place(node, call, place_name, &place))
        return;
    struct moving *moving = moving_new(node, call, place_name, name, false);
    if (!moving)
        return;
    moving->may_search = may_search;
    /* It is wanted once more where another node has to be asked. */
    int fd = fcntl(call->fds[0], F_DUPFD_CLOEXEC, 3);
    int r = fd < 0 ? -errno
                   : transfers_get(node->transfers, &place, name, fd, &handler, moving,
                                   &moving->transfer);
    if (r >= 0 && resumes)
        transfer_set_resumable(moving->transfer);
    begin(moving, r);
}

void file_get_from(struct node *node, struct call *call, const char *place, const char *name)
{
    get_from(node, call, place, name, false);
}

/* Many small files into one descriptor. */
static void get_list(struct node *node, struct call *call, const char *place_name,
                     const cJSON *names)
{
    size_t count = (size_t)cJSON_GetArraySize(names), i = 0;
    struct transfer_place place;
    bool is_whole = true, is_brief = false;

    if (!read_bool(call, "brief", &is_brief))
        return;
    if (count == 0 || count > BATCH_FILES_MAX)
        return call_invalid(call, "names");
    json_for_each (name, names)
        if (!text_is_file_name(cJSON_GetStringValue(name)))
            return call_invalid(call, "names");
    if (size_of(call->fds[0]) == FILES_SIZE_UNKNOWN)
        return call_invalid(call, "descriptor");
    if (!find_place(node, call, place_name, &place))
        return;
    struct transfer_item *list = calloc(count, sizeof(*list));
    struct moving *moving = list ? moving_new(node, call, place_name, "", false) : NULL;
    if (!moving) {
        if (!list)
            fail_memory(call);
        free(list);
        return;
    }
    json_for_each (name, names) {
        list[i].name = strdup(cJSON_GetStringValue(name));
        is_whole = is_whole && list[i++].name;
    }
    if (!is_whole) {
        transfer_list_free(list, count);
        moving_free(moving);
        return fail_memory(call);
    }
    snprintf(moving->name, sizeof(moving->name), "%s", list[0].name);
    moving->count = count;
    moving->is_brief = is_brief;
    begin(moving, transfers_get_list(node->transfers, &place, TAKE_FD(call->fds[0]),
                                     (struct transfer_list){list, count}, &handler, moving,
                                     &moving->transfer));
}

void method_get_file(struct node *node, struct call *call)
{
    const char *name = NULL, *place = NULL;
    const cJSON *names = NULL;

    if (!read_string(call, "node", &place) || !read_array(call, "names", &names) ||
        !check_common(call))
        return;
    if (call->fds_count == 0)
        return call_invalid(call, "descriptor");
    if (names)
        return get_list(node, call, place, names);
    if (!need_string(call, "name", &name))
        return;
    if (!text_is_file_name(name)) {
        fail_file(call, -EINVAL, name, "", NULL);
        return;
    }
    get_from(node, call, place, name, !place);
}
