/* SPDX-License-Identifier: MIT */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include "base/text.h"
#include "client.h"
#include "console/failure.h"
#include "data/file.h"
#include "console/progress.h"
#include "console/render.h"

/*
 * Many small files for `p2pctl file put`: their contents follow each other in a file in memory, so
 * that one call stores thousands. Two such packs are under way at once, so that one moves while the
 * other waits for the disk there; meanwhile a third is read.
 */

#define PACK_FILES_MAX 1024
#define BUFFER_SIZE    (2 * FILE_PACKED_MAX + 1) /* always room for one file and a byte more */

struct pack {
    struct ctl *ctl; /* borrowed: whose connection it went over */
    cJSON *files;    /* owned: for the call */
    int fd;          /* owned */
    uint64_t bytes;
    size_t count;
};

#define PACK_NONE ((struct pack){.fd = -EBADF})

struct packs {
    struct ctl *ctl;
    struct file_lanes lanes;
    const struct place *target;
    struct file_source *sources;
    size_t count;
    size_t next; /* to be read */
    size_t pack_files_max;
    bool has_twins;  /* of a name that stands twice the last one is meant */
    uint8_t *buffer; /* owned: BUFFER_SIZE */
    size_t held;     /* of the buffer: read, and not yet in the pack */
    struct progress progress;
    struct file_sum sum;
    uint64_t read, done; /* bytes */
};

static void pack_done(struct pack *pack)
{
    cJSON_Delete(pack->files);
    close_fd(pack->fd);
    *pack = PACK_NONE;
}

static bool is_same(const struct stat *a, const struct stat *b)
{
    return a->st_size == b->st_size && a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
           a->st_mtim.tv_nsec == b->st_mtim.tv_nsec && a->st_ino == b->st_ino &&
           a->st_dev == b->st_dev;
}

/* The whole file behind what the buffer holds. Return: 0; -EFBIG where it cannot go with others;
 * -EMSGSIZE where it changes meanwhile; errno. */
static int read_file(const struct packs *packs, const char *path, struct stat *status)
{
    size_t size = 0, asked;
    struct stat after;
    ssize_t got;

    /* Before it is opened: that alone waits in a pipe, and does something to some devices. */
    if (stat(path, status) < 0 || !S_ISREG(status->st_mode) ||
        (uint64_t)status->st_size > FILE_PACKED_MAX)
        return -EFBIG;
    _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return -errno;
    do {
        asked = FILE_PACKED_MAX + 1 - size;
        got = read(fd, packs->buffer + packs->held + size, asked);
        if (got < 0)
            return -errno;
        size += (size_t)got;
        /* Less than asked for, and all that there is to be: nobody needs to hear of the end. */
    } while (got > 0 && size <= FILE_PACKED_MAX &&
             !((size_t)got < asked && size == (size_t)status->st_size));
    if (fstat(fd, &after) < 0)
        return -errno;
    /* Files of /proc have a content, but no size; those of /sys have less than they say. */
    if (status->st_size == 0 && size > 0)
        return -EFBIG;
    if (!is_same(status, &after))
        return -EMSGSIZE;
    return size == (size_t)status->st_size  ? 0
           : size < (size_t)status->st_size ? -EFBIG
                                            : -EMSGSIZE;
}

static cJSON *describe(const struct file_source *source, const struct stat *status)
{
    cJSON *item = cJSON_CreateObject();

    json_add_string(item, "name", source->name);
    json_add_u64(item, "size_bytes", (uint64_t)status->st_size);
    json_add_time(item, "modified", usec_of_file(&status->st_mtim));
    if (status->st_mode & S_IXUSR)
        json_add_bool(item, "executable", true);
    json_add_u64(item, "mode", status->st_mode & 0777);
    return item;
}

/* What the buffer holds goes into the pack. Return: 0, or the exit code. */
static int flush(struct packs *packs, const struct pack *pack)
{
    for (size_t done = 0; done < packs->held;) {
        ssize_t put = write(pack->fd, packs->buffer + done, packs->held - done);
        if (put < 0)
            return fail(ERROR_INTERNAL, strerror(errno), NULL, "cannot hold the files");
        done += (size_t)put;
    }
    packs->held = 0;
    return 0;
}

static int add_file(struct packs *packs, struct pack *pack, struct file_source *source)
{
    struct stat status;
    int r = read_file(packs, source->path, &status);

    if (r == -EFBIG) {
        source->is_left = true;
        packs->sum.count--;
        return 0;
    }
    if (r < 0) {
        file_note(&packs->sum, r == -EMSGSIZE ? fail(ERROR_CONFLICT, "it changed while it was read",
                                                     NULL, "cannot store %s", source->path)
                                              : fail_to_read(source->path, -r));
        return 0;
    }
    packs->held += (size_t)status.st_size;
    cJSON_AddItemToArray(pack->files, describe(source, &status));
    pack->bytes += (uint64_t)status.st_size;
    packs->read += (uint64_t)status.st_size;
    pack->count++;
    return packs->held > BUFFER_SIZE - FILE_PACKED_MAX - 1 ? flush(packs, pack) : 0;
}

/* Whether the next file's name is in it already: what is in one pack becomes visible together. */
static bool has_name(const struct packs *packs, const struct pack *pack)
{
    const char *name = packs->sources[packs->next].name;

    if (packs->has_twins)
        json_for_each (item, pack->files)
            if (strcmp(json_text(item, "name", ""), name) == 0)
                return true;
    return false;
}

/* Reads the next files. Return: 0, also where there are none; or the exit code. */
static int read_pack(struct packs *packs, struct pack *pack)
{
    size_t names = 0;
    size_t files_max = file_pack_count(packs->count - packs->next, packs->pack_files_max);
    int r = 0;

    *pack = (struct pack){.files = cJSON_CreateArray()};
    pack->fd = memfd_create("files", MFD_CLOEXEC);
    if (!pack->files || pack->fd < 0)
        return fail(ERROR_INTERNAL, strerror(errno), NULL, "cannot hold the files");
    for (; r == 0 && packs->next < packs->count && pack->count < files_max &&
           pack->bytes + FILE_PACKED_MAX <= FILE_PACK_BYTES_MAX && names < FILE_PACK_NAMES_MAX &&
           !has_name(packs, pack);
         packs->next++) {
        names += 2 * strlen(packs->sources[packs->next].name) + 100;
        r = add_file(packs, pack, &packs->sources[packs->next]);
    }
    packs->pack_files_max = MIN(2 * packs->pack_files_max, (size_t)PACK_FILES_MAX);
    return r == 0 ? flush(packs, pack) : r;
}

static int send_pack(struct packs *packs, struct pack *pack)
{
    struct ctl *ctl = pack->ctl = file_lanes_next(&packs->lanes);
    cJSON *parameters = place_parameters(ctl, packs->target);

    /* The answer gives each by its name; what was sent is wanted again for --json. */
    cJSON_AddItemReferenceToObject(parameters, "files", pack->files);
    file_add_options(ctl, parameters, !options_has(&ctl->options, "no-wait"));
    if (file_is_brief(ctl, &packs->sum))
        json_add_bool(parameters, "brief", true);
    if (lseek(pack->fd, 0, SEEK_SET) < 0) {
        cJSON_Delete(parameters);
        return fail(ERROR_INTERNAL, strerror(errno), NULL, "cannot hold the files");
    }
    return client_start(ctl, (struct call){"PutFile", parameters, pack->fd, true, NULL});
}

static void take_outcome(struct packs *packs, const cJSON *end, const cJSON *sent, const cJSON *got)
{
    const char *error = json_text(got, "error", NULL);
    const char *sha256 = json_text(got, "sha256", NULL);

    if (!json_is_set(got, "name") && !cJSON_IsTrue(json_member(got, "kept")))
        sha256 = ""; /* a brief answer */
    if (error) {
        enum error_code code = error_from_varlink(error);
        file_note(&packs->sum,
                  fail(code, NULL,
                       code == ERROR_CONFLICT ? "p2pctl file put --overwrite=always ..." : NULL,
                       "%s", json_text(got, "message", "it was refused")));
        return;
    }
    file_note(&packs->sum, file_show_one(packs->ctl, &packs->sum, "p2pctl.file-put/1", end, sent,
                                         json_text(end, "owner", NULL), sha256));
}

/* As if those to come were as large as those that were read. */
static double guess_total(const struct packs *packs)
{
    return (double)packs->read * (double)packs->count / (double)MAX(packs->next, (size_t)1);
}

/* What became of a pack that was sent. */
static int finish_pack(struct packs *packs, struct pack *pack)
{
    bool last = false;
    int r = 0;

    while (r == 0 && !last) {
        _cleanup_json_ cJSON *object = NULL;
        r = client_next(pack->ctl, &object, &last);
        if (r != 0)
            break;
        if (!last) {
            file_show_progress(&packs->progress, object, (double)packs->done, guess_total(packs));
            continue;
        }
        progress_wipe(&packs->progress);
        const cJSON *sent = pack->files->child;
        json_for_each (got, json_member(object, "files")) {
            if (sent)
                take_outcome(packs, object, sent, got);
            sent = sent ? sent->next : NULL;
        }
    }
    packs->done += pack->bytes;
    progress_wipe(&packs->progress);
    pack_done(pack);
    return r;
}

/* Of those under way the oldest. Return: 0, or the exit code. */
static int finish_first(struct packs *packs, struct pack *flying, size_t *count)
{
    int r = finish_pack(packs, &flying[0]);

    flying[0] = flying[1];
    flying[1] = PACK_NONE;
    --*count;
    return r;
}

/* The next one is read while others are under way. Return: 0, or the exit code. */
static int move_all(struct packs *packs)
{
    struct pack flying[FILE_LANES_MAX] = {PACK_NONE, PACK_NONE};
    size_t count = 0;
    int r = 0;

    while (r == 0 && (count > 0 || packs->next < packs->count)) {
        struct pack next;
        r = read_pack(packs, &next);
        if (r == 0 && count > 0)
            r = file_lanes_open(&packs->lanes);
        if (count == (packs->lanes.is_parallel ? FILE_LANES_MAX : 1) ||
            (count > 0 && next.count == 0)) {
            int q = finish_first(packs, flying, &count);
            r = r == 0 ? q : r;
        }
        if (r == 0 && next.count > 0) {
            r = send_pack(packs, &next);
            flying[count++] = next;
        } else {
            pack_done(&next);
        }
    }
    for (size_t i = 0; i < FILE_LANES_MAX; i++)
        pack_done(&flying[i]);
    return r;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Whether a name stands twice among them; also where that cannot be told. */
static bool has_twins(const struct file_source *sources, size_t count)
{
    _cleanup_free_ const char **names = calloc(count, sizeof(*names));
    bool found = !names;

    for (size_t i = 0; names && i < count; i++)
        names[i] = sources[i].name;
    if (names)
        qsort(names, count, sizeof(*names), compare_names);
    for (size_t i = 1; !found && i < count; i++)
        found = strcmp(names[i - 1], names[i]) == 0;
    return found;
}

int file_pack_put(struct ctl *ctl, const struct place *target, struct file_source *sources,
                  size_t count)
{
    _cleanup_free_ uint8_t *buffer = malloc(BUFFER_SIZE);
    struct packs packs = {.ctl = ctl,
                          .target = target,
                          .sources = sources,
                          .count = count,
                          .pack_files_max = FILE_PACK_FIRST,
                          .has_twins = has_twins(sources, count),
                          .buffer = buffer,
                          .sum = {.count = count}};

    if (!buffer)
        return fail_memory();
    file_begin_many(ctl, &packs.sum, &packs.progress);
    file_lanes_init(&packs.lanes, ctl, !packs.has_twins);
    int r = move_all(&packs);
    file_lanes_done(&packs.lanes);
    if (r != 0 && r != CLIENT_INTERRUPTED && ctl->globals.json == JSON_OFF && !ctl->globals.quiet)
        fprintf(stderr,
                "of %zu files %zu are not known to be stored; repeat the command for the rest\n",
                packs.sum.count, packs.sum.count - packs.sum.moved - packs.sum.kept);
    return file_end_many(ctl, &packs.sum, &packs.progress, r);
}
