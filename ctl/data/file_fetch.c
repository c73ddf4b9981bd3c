/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include "base/text.h"
#include "client.h"
#include "console/failure.h"
#include "data/file.h"
#include "console/progress.h"
#include "console/render.h"

/*
 * Many small files for `p2pctl file get`: their contents come one behind the other in a file in
 * memory, so that one call gets thousands. While the daemon gets two such packs the last one is
 * written. All of a pack are on the disk before any of them has its name.
 */

#define PACK_FILES_MAX     2048
#define PACK_FILES_UNKNOWN 256 /* where nobody knows how large they are */

/* One call. */
struct pack {
    struct ctl *ctl;              /* borrowed: whose connection it went over */
    int fd;                       /* owned */
    struct file_wanted **entries; /* owned array; whom it asked for */
    size_t count;
    cJSON *end; /* owned: the answer */
};

struct fetch {
    struct ctl *ctl;
    struct file_lanes lanes;
    const struct place *source;
    const char *directory;
    struct file_wanted *wanted;
    size_t count;
    size_t next; /* to be asked for */
    size_t pack_files_max;
    uint8_t *buffer; /* owned: of FILE_PACKED_MAX */
    struct progress progress;
    struct file_sum sum;
    uint64_t total, done;
};

#define PACK_NONE ((struct pack){.fd = -EBADF})

static void pack_done(struct pack *pack)
{
    cJSON_Delete(pack->end);
    free(pack->entries);
    close_fd(pack->fd);
    *pack = PACK_NONE;
}

/* Whether it may be asked for at all: nothing is overwritten unasked, or leads elsewhere, whatever
 * another node calls its files. */
static bool is_free(struct fetch *fetch, const char *name)
{
    _cleanup_free_ char *path = file_path_in(fetch->directory, name);

    if (!path) {
        file_note(&fetch->sum, fail_memory());
        return false;
    }
    int r = file_check_name(name);
    if (r == 0)
        r = file_check_target(fetch->ctl, path);
    file_note(&fetch->sum, r);
    return r == 0;
}

/* --- Asking --- */

static bool has_room(const struct fetch *fetch, const struct pack *pack, size_t files_max,
                     uint64_t bytes, size_t names)
{
    uint64_t size = fetch->wanted[fetch->next].size;

    return pack->count < files_max && names < FILE_PACK_NAMES_MAX &&
           (size == FILE_SIZE_UNKNOWN ? pack->count < PACK_FILES_UNKNOWN
                                      : pack->count == 0 || bytes + size <= FILE_PACK_BYTES_MAX);
}

static cJSON *choose(struct fetch *fetch, struct pack *pack)
{
    cJSON *list = cJSON_CreateArray();
    uint64_t bytes = 0;
    size_t names = 0;
    size_t files_max = file_pack_count(fetch->count - fetch->next, fetch->pack_files_max);

    for (; fetch->next < fetch->count && has_room(fetch, pack, files_max, bytes, names);
         fetch->next++) {
        struct file_wanted *one = &fetch->wanted[fetch->next];
        if (one->is_left || !is_free(fetch, one->name))
            continue;
        cJSON_AddItemToArray(list, cJSON_CreateString(one->name));
        pack->entries[pack->count++] = one;
        names += 2 * strlen(one->name) + 4;
        bytes += one->size == FILE_SIZE_UNKNOWN ? 0 : one->size;
    }
    fetch->pack_files_max = MIN(2 * fetch->pack_files_max, (size_t)PACK_FILES_MAX);
    return list;
}

/* Asks for the next files. Return: 0, also where there are none; or the exit code. */
static int ask(struct fetch *fetch, struct pack *pack)
{
    struct ctl *ctl = fetch->ctl;

    *pack = (struct pack){.fd = memfd_create("files", MFD_CLOEXEC),
                          .entries = calloc(PACK_FILES_MAX, sizeof(*pack->entries))};
    if (!pack->entries || pack->fd < 0)
        return fail(ERROR_INTERNAL, strerror(errno), NULL, "cannot hold the files");
    cJSON *list = choose(fetch, pack);
    if (pack->count == 0) {
        cJSON_Delete(list);
        return 0;
    }
    pack->ctl = file_lanes_next(&fetch->lanes);
    cJSON *parameters = place_parameters(ctl, fetch->source);
    cJSON_AddItemToObject(parameters, "names", list);
    if (options_get(&ctl->options, "rate"))
        json_add_string(parameters, "rate", options_get(&ctl->options, "rate"));
    return client_start(pack->ctl, (struct call){"GetFile", parameters, pack->fd, true, NULL});
}

/* Until all of them are in memory. */
static int await(struct fetch *fetch, struct pack *pack)
{
    bool last = false;
    int r = 0;

    while (r == 0 && !last && pack->count > 0) {
        _cleanup_json_ cJSON *object = NULL;
        r = client_next(pack->ctl, &object, &last);
        if (r == 0 && last)
            pack->end = TAKE_PTR(object);
        else if (r == 0)
            file_show_progress(&fetch->progress, object, (double)fetch->done, (double)fetch->total);
    }
    return r;
}

/* --- Writing --- */

/* The next @size bytes of the pack into the part. Return: 0, or the exit code. */
static int copy(const struct fetch *fetch, int source, off_t offset, size_t size, struct part *part,
                const char *target)
{
    if (pread(source, fetch->buffer, size, offset) != (ssize_t)size)
        return fail(ERROR_INTERNAL, "the daemon gave less than it said", NULL, "cannot write %s",
                    target);
    for (size_t done = 0; done < size;) {
        ssize_t put = write(part->fd, fetch->buffer + done, size - done);
        if (put < 0)
            return fail_to_write(target, errno);
        done += (size_t)put;
    }
    return 0;
}

/* One that has come, beside its target. Return: 0 with the part; 1 where the one that is there
 * stays; or a negative exit code. */
static int write_one(struct fetch *fetch, const cJSON *got, int source, off_t offset,
                     struct part *ret)
{
    const struct ctl *ctl = fetch->ctl;
    _cleanup_free_ char *target = file_path_in(fetch->directory, json_text(got, "name", ""));
    _cleanup_(part_done) struct part part = PART_NONE;
    int r;

    if (!target)
        return -fail_memory();
    if (file_is_to_be_kept(ctl, target, got))
        return 1;
    r = part_open(target, PART_MODE, &part);
    if (r == 0)
        r = copy(fetch, source, offset, (size_t)json_number(got, "size_bytes", 0), &part, target);
    if (r != 0)
        return -r;
    file_set_metadata(part.fd, got);
    r = options_has(&ctl->options, "verify") ? file_verify(&part, target, got) : 0;
    if (r != 0)
        return -r;
    /* Thousands of them wait for the one sync. */
    part.fd = close_fd(part.fd);
    *ret = part;
    part = PART_NONE;
    return 0;
}

/* Whether the answer belongs to what was asked. */
static bool fits(const struct pack *pack, const cJSON *files)
{
    size_t i = 0;

    json_for_each (got, files)
        if (i >= pack->count || strcmp(json_text(got, "name", ""), pack->entries[i++]->name) != 0 ||
            json_number(got, "size_bytes", 0) > (double)FILE_PACKED_MAX)
            return false;
    return i == pack->count;
}

/* What could not be had: somebody else may have it, or it is large; or it is told. */
static void refuse(struct fetch *fetch, struct file_wanted *one, const cJSON *got)
{
    enum error_code code = error_from_varlink(json_text(got, "error", ""));
    bool may_be_elsewhere = !*fetch->source->node && !fetch->ctl->globals.node &&
                            (code == ERROR_NOT_FOUND || code == ERROR_CONFLICT);

    if (code == ERROR_TOO_LARGE || may_be_elsewhere)
        one->is_left = true;
    else
        file_note(&fetch->sum,
                  fail(code, NULL, code == ERROR_CONFLICT ? "see which are: p2pctl file ls" : NULL,
                       "%s", json_text(got, "message", "it was refused")));
}

static void write_all(struct fetch *fetch, const struct pack *pack, const cJSON *files,
                      struct part *parts, bool *is_kept)
{
    off_t offset = 0;
    size_t i = 0;

    json_for_each (got, files) {
        size_t index = i++;
        if (json_is_set(got, "error")) {
            refuse(fetch, pack->entries[index], got);
            continue;
        }
        int r = write_one(fetch, got, pack->fd, offset, &parts[index]);
        offset += (off_t)json_number(got, "size_bytes", 0);
        is_kept[index] = r > 0;
        if (r < 0)
            file_note(&fetch->sum, -r);
    }
}

static void name_all(struct fetch *fetch, const struct pack *pack, const cJSON *files,
                     struct part *parts, const bool *is_kept)
{
    const char *hint = file_get_hint(fetch->ctl);
    size_t i = 0;

    json_for_each (got, files) {
        size_t index = i++;
        _cleanup_free_ char *target = file_path_in(fetch->directory, json_text(got, "name", ""));
        if (!parts[index].path && !is_kept[index])
            continue;
        int r = !target          ? fail_memory()
                : is_kept[index] ? 0
                                 : part_rename(&parts[index], target, hint);
        if (r == 0)
            r = file_show_one(fetch->ctl, &fetch->sum, "p2pctl.file-get/1", pack->end, got,
                              json_text(got, "owner", NULL),
                              is_kept[index] ? NULL : json_text(got, "sha256", ""));
        file_note(&fetch->sum, r);
    }
}

/* Return: 0, or the exit code where nothing of it is of use. */
static int write_pack(struct fetch *fetch, const struct pack *pack)
{
    const cJSON *files = json_member(pack->end, "files");
    _cleanup_close_ int directory = open(fetch->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    _cleanup_free_ struct part *parts = calloc(pack->count, sizeof(*parts));
    _cleanup_free_ bool *is_kept = calloc(pack->count, sizeof(*is_kept));

    if (!parts || !is_kept)
        return fail_memory();
    if (!fits(pack, files))
        return fail(ERROR_VERSION, NULL, NULL, "the daemon's answer is not about what was asked");
    for (size_t i = 0; i < pack->count; i++)
        parts[i] = PART_NONE;
    progress_wipe(&fetch->progress);
    write_all(fetch, pack, files, parts, is_kept);
    if (directory < 0 || syncfs(directory) < 0)
        file_note(&fetch->sum, fail_to_write(fetch->directory, errno));
    else
        name_all(fetch, pack, files, parts, is_kept);
    for (size_t i = 0; i < pack->count; i++)
        part_done(&parts[i]);
    for (size_t i = 0; i < pack->count; i++)
        fetch->done += pack->entries[i]->size == FILE_SIZE_UNKNOWN ? 0 : pack->entries[i]->size;
    return 0;
}

/* Asks for as many packs as are under way at once. Return: 0, or the exit code. */
static int ask_more(struct fetch *fetch, struct pack *flying, size_t *count)
{
    int r = 0;

    for (; r == 0 && *count < (fetch->lanes.is_parallel ? FILE_LANES_MAX : 1); ++*count) {
        r = *count > 0 ? file_lanes_open(&fetch->lanes) : 0;
        if (r == 0)
            r = ask(fetch, &flying[*count]);
        if (flying[*count].count == 0) {
            pack_done(&flying[*count]);
            break;
        }
    }
    return r;
}

static int move_all(struct fetch *fetch)
{
    struct pack flying[FILE_LANES_MAX] = {PACK_NONE, PACK_NONE};
    size_t count = 0;
    int r = ask_more(fetch, flying, &count);

    while (r == 0 && count > 0) {
        _cleanup_(pack_done) struct pack current = flying[0];
        flying[0] = flying[1];
        flying[1] = PACK_NONE;
        count--;
        r = await(fetch, &current);
        if (r == 0)
            r = ask_more(fetch, flying, &count);
        if (current.end) {
            int q = write_pack(fetch, &current);
            r = r == 0 ? q : r;
        }
    }
    for (size_t i = 0; i < FILE_LANES_MAX; i++)
        pack_done(&flying[i]);
    progress_wipe(&fetch->progress);
    return r;
}

int file_fetch(struct ctl *ctl, const struct place *source, const char *directory,
               struct file_wanted *wanted, size_t count)
{
    _cleanup_free_ uint8_t *buffer = malloc(FILE_PACKED_MAX);
    struct fetch fetch = {.ctl = ctl,
                          .source = source,
                          .directory = directory,
                          .wanted = wanted,
                          .count = count,
                          .pack_files_max = FILE_PACK_FIRST,
                          .buffer = buffer,
                          .sum = {.count = count}};

    if (!buffer)
        return fail_memory();
    for (size_t i = 0; i < count; i++) {
        wanted[i].is_left = wanted[i].size != FILE_SIZE_UNKNOWN && wanted[i].size > FILE_PACKED_MAX;
        fetch.total +=
            wanted[i].is_left || wanted[i].size == FILE_SIZE_UNKNOWN ? 0 : wanted[i].size;
    }
    file_begin_many(ctl, &fetch.sum, &fetch.progress);
    file_lanes_init(&fetch.lanes, ctl, true);
    int r = move_all(&fetch);
    file_lanes_done(&fetch.lanes);
    return file_end_many(ctl, &fetch.sum, &fetch.progress, r);
}
