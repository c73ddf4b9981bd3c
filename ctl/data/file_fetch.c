/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include "base/text.h"
#include "client.h"
#include "console/failure.h"
#include "data/fetch_parts.h"
#include "data/file.h"
#include "data/present.h"
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
    cJSON *end;    /* owned: the answer */
    uint8_t *data; /* owned: its contents, once they have come */
    size_t size;
};

/* What became of one of a pack. */
enum outcome { OUTCOME_NONE, OUTCOME_WRITTEN, OUTCOME_KEPT };

struct fetch {
    struct ctl *ctl;
    struct file_lanes lanes;
    const struct place *source;
    const char *directory;
    int directory_fd;       /* owned */
    struct present present; /* what the directory had before */
    bool has_default_acl;   /* then the kernel looks at no umask */
    bool is_newer;          /* --overwrite=newer */
    struct fetch_parts parts;
    struct file_wanted *wanted;
    size_t count;
    size_t next; /* to be asked for */
    size_t pack_files_max;
    struct progress progress;
    struct file_sum sum;
    uint64_t total, done;
};

#define PACK_NONE ((struct pack){.fd = -EBADF})

static void pack_done(struct pack *pack)
{
    cJSON_Delete(pack->end);
    free(pack->entries);
    if (pack->data)
        (void)munmap(pack->data, pack->size);
    close_fd(pack->fd);
    *pack = PACK_NONE;
}

/* Whether it may be asked for at all: nothing is overwritten unasked, or leads elsewhere, whatever
 * another node calls its files. */
static bool is_free(struct fetch *fetch, const char *name)
{
    int r = file_check_name(name);

    if (r == 0 && present_may_have(&fetch->present, name)) {
        _cleanup_free_ char *path = file_path_in(fetch->directory, name);
        r = path ? file_check_target(fetch->ctl, fetch->source, name, path) : fail_memory();
    }
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

    *pack = (struct pack){.fd = memfd_create("files", MFD_CLOEXEC | MFD_ALLOW_SEALING),
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
    if (file_is_brief(ctl, &fetch->sum) && !options_has(&ctl->options, "verify"))
        json_add_bool(parameters, "brief", true);
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

static int fail_to_write_in(const struct fetch *fetch, const char *name, int error)
{
    _cleanup_free_ char *target = file_path_in(fetch->directory, name);

    return fail_to_write(target ? target : name, error);
}

/* Nobody can take them away again. Return: 0, or the exit code. */
static int map_contents(struct pack *pack)
{
    struct stat status;

    if (fcntl(pack->fd, F_ADD_SEALS, F_SEAL_SHRINK) < 0 || fstat(pack->fd, &status) < 0)
        return fail(ERROR_INTERNAL, strerror(errno), NULL, "cannot read the files");
    if (status.st_size == 0)
        return 0;
    void *data =
        mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_SHARED | MAP_POPULATE, pack->fd, 0);
    if (data == MAP_FAILED)
        return fail_memory();
    pack->data = data;
    pack->size = (size_t)status.st_size;
    return 0;
}

static int write_content(const struct fetch *fetch, int fd, const uint8_t *data, size_t size,
                         const char *name)
{
    while (size > 0) {
        ssize_t put = write(fd, data, size);
        if (put < 0)
            return fail_to_write_in(fetch, name, errno);
        data += put;
        size -= (size_t)put;
    }
    return 0;
}

static int verify(const struct fetch *fetch, int fd, const char *name, const cJSON *got)
{
    _cleanup_free_ char *target = file_path_in(fetch->directory, name);

    return !target ? fail_memory() : file_verify(&(struct part){.fd = fd}, target, got);
}

/* One that has come, into its part. Return: 0, or the exit code. */
static int write_part(struct fetch *fetch, const char *name, const cJSON *got, size_t i,
                      const uint8_t *data)
{
    int fd = fetch_parts_open(&fetch->parts, i, file_get_mode(got));

    if (fd < 0)
        return fail_to_write_in(fetch, name, -fd);
    if (fetch->has_default_acl)
        (void)fchmod(fd, file_get_mode(got) & ~part_get_umask());
    int r = write_content(fetch, fd, data, (size_t)json_number(got, "size_bytes", 0), name);
    file_set_modified(fd, got);
    if (r == 0 && options_has(&fetch->ctl->options, "verify"))
        r = verify(fetch, fd, name, got);
    if (r == 0)
        fetch_parts_written(&fetch->parts, i);
    else
        fetch_parts_drop(&fetch->parts, i);
    return r;
}

static bool is_to_be_kept(const struct fetch *fetch, const char *name, const cJSON *got)
{
    _cleanup_free_ char *target = fetch->is_newer ? file_path_in(fetch->directory, name) : NULL;

    return target && file_is_to_be_kept(fetch->ctl, target, got);
}

static enum outcome write_one(struct fetch *fetch, const struct pack *pack, size_t i,
                              const cJSON *got, const uint8_t *data)
{
    const char *name = pack->entries[i]->name;

    if (is_to_be_kept(fetch, name, got))
        return OUTCOME_KEPT;
    int r = write_part(fetch, name, got, i, data);
    file_note(&fetch->sum, r);
    return r == 0 ? OUTCOME_WRITTEN : OUTCOME_NONE;
}

/* Something has the name by now; or the file system cannot tell. */
static int rename_slowly(struct fetch *fetch, const char *name, size_t i)
{
    _cleanup_(part_done) struct part whole = PART_NONE;
    _cleanup_free_ char *target = file_path_in(fetch->directory, name);
    char part[FETCH_PARTS_NAME_MAX];
    int r = target ? file_check_target(fetch->ctl, fetch->source, name, target) : fail_memory();

    if (r == 0) {
        int q = fetch_parts_hide(&fetch->parts, i, part);
        r = q < 0 ? fail_to_write(target, -q) : 0;
    }
    if (r != 0)
        return r;
    whole.path = file_path_in(fetch->directory, part);
    return whole.path ? part_rename(&whole, target, file_get_hint(fetch->ctl)) : fail_memory();
}

static int rename_one(struct fetch *fetch, const char *name, size_t i)
{
    int r = fetch_parts_take_name(&fetch->parts, i, name);

    if (r == -EEXIST || r == -EINVAL)
        r = rename_slowly(fetch, name, i);
    else if (r < 0)
        r = fail_to_write_in(fetch, name, -r);
    if (r != 0)
        fetch_parts_drop(&fetch->parts, i);
    return r;
}

/* Whether the answer belongs to what was asked. */
static bool fits(const struct pack *pack, const cJSON *files)
{
    uint64_t left = pack->size;
    size_t i = 0;

    json_for_each (got, files) {
        uint64_t size = (uint64_t)json_number(got, "size_bytes", 0);
        if (i >= pack->count || size > MIN(left, FILE_PACKED_MAX) ||
            (json_is_set(got, "name") &&
             strcmp(json_text(got, "name", ""), pack->entries[i]->name) != 0))
            return false;
        left -= size;
        i++;
    }
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
                      enum outcome *outcomes)
{
    const uint8_t *data = pack->data;
    size_t i = 0;

    json_for_each (got, files) {
        size_t index = i++;
        if (json_is_set(got, "error")) {
            refuse(fetch, pack->entries[index], got);
            continue;
        }
        outcomes[index] = write_one(fetch, pack, index, got, data);
        data += (size_t)json_number(got, "size_bytes", 0);
    }
}

/* All of them before any is shown: who reads that may go away, which ends p2pctl. */
static void name_all(struct fetch *fetch, const struct pack *pack, enum outcome *outcomes)
{
    for (size_t i = 0; i < pack->count; i++) {
        if (outcomes[i] != OUTCOME_WRITTEN)
            continue;
        int r = rename_one(fetch, pack->entries[i]->name, i);
        file_note(&fetch->sum, r);
        if (r != 0)
            outcomes[i] = OUTCOME_NONE;
    }
}

static void show_all(struct fetch *fetch, const struct pack *pack, const cJSON *files,
                     const enum outcome *outcomes)
{
    size_t i = 0;

    json_for_each (got, files) {
        const enum outcome outcome = outcomes[i++];
        if (outcome != OUTCOME_NONE)
            file_note(
                &fetch->sum,
                file_show_one(fetch->ctl, &fetch->sum, "p2pctl.file-get/1", pack->end, got,
                              json_text(got, "owner", NULL),
                              outcome == OUTCOME_WRITTEN ? json_text(got, "sha256", "") : NULL));
    }
}

/* Return: 0, or the exit code where nothing of it is of use. */
static int write_pack(struct fetch *fetch, struct pack *pack)
{
    const cJSON *files = json_member(pack->end, "files");
    _cleanup_free_ enum outcome *outcomes = calloc(pack->count, sizeof(*outcomes));

    if (!outcomes)
        return fail_memory();
    int r = map_contents(pack);
    if (r != 0)
        return r;
    if (!fits(pack, files))
        return fail(ERROR_VERSION, NULL, NULL, "the daemon's answer is not about what was asked");
    progress_wipe(&fetch->progress);
    write_all(fetch, pack, files, outcomes);
    if (syncfs(fetch->directory_fd) < 0) {
        file_note(&fetch->sum, fail_to_write(fetch->directory, errno));
        for (size_t i = 0; i < pack->count; i++)
            fetch_parts_drop(&fetch->parts, i);
    } else {
        name_all(fetch, pack, outcomes);
        show_all(fetch, pack, files, outcomes);
    }
    fetch->parts.first += pack->count;
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

static int fetch_all(struct fetch *fetch)
{
    struct ctl *ctl = fetch->ctl;

    fetch->directory_fd = open(fetch->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fetch->directory_fd < 0)
        return fail_to_write(fetch->directory, errno);
    fetch->has_default_acl =
        fgetxattr(fetch->directory_fd, "system.posix_acl_default", NULL, 0) > 0;
    int r = fetch_parts_init(&fetch->parts, fetch->directory_fd, PACK_FILES_MAX);
    if (r < 0)
        return fail(ERROR_INTERNAL, strerror(-r), NULL, "cannot hold the files");
    present_find(&fetch->present, fetch->directory, 4096 + 4 * fetch->count);
    file_begin_many(ctl, &fetch->sum, &fetch->progress);
    file_lanes_init(&fetch->lanes, ctl, true);
    r = move_all(fetch);
    file_lanes_done(&fetch->lanes);
    return file_end_many(ctl, &fetch->sum, &fetch->progress, r);
}

int file_fetch(struct ctl *ctl, const struct place *source, const char *directory,
               struct file_wanted *wanted, size_t count)
{
    const char *overwrite = options_get(&ctl->options, "overwrite");
    struct fetch fetch = {.ctl = ctl,
                          .source = source,
                          .directory = directory,
                          .directory_fd = -EBADF,
                          .is_newer = overwrite && strcmp(overwrite, "newer") == 0,
                          .wanted = wanted,
                          .count = count,
                          .pack_files_max = FILE_PACK_FIRST,
                          .sum = {.count = count}};

    for (size_t i = 0; i < count; i++) {
        wanted[i].is_left = wanted[i].size != FILE_SIZE_UNKNOWN && wanted[i].size > FILE_PACKED_MAX;
        fetch.total +=
            wanted[i].is_left || wanted[i].size == FILE_SIZE_UNKNOWN ? 0 : wanted[i].size;
    }
    int r = fetch_all(&fetch);
    present_done(&fetch.present);
    fetch_parts_done(&fetch.parts);
    close_fd(fetch.directory_fd);
    return r;
}
