/* SPDX-License-Identifier: MIT */
#include <fcntl.h>
#include <limits.h>
#include <openssl/evp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include "commands.h"
#include "console/failure.h"
#include "data/file.h"
#include "data/part.h"
#include "data/place.h"
#include "console/render.h"

/* `p2pctl file get`: what arrives is visible under its name only when all of it is there. */

#define BUFFER_SIZE ((size_t)256 * 1024)
#define LINKS_MAX   40 /* as the kernel follows */

/* To stdout: whoever reads there may have had enough, which is no failure to talk about. */
static bool reader_is_gone(enum error_code code)
{
    struct pollfd pollfd = {.fd = STDOUT_FILENO, .events = POLLOUT};

    (void)code;
    return poll(&pollfd, 1, 0) == 1 && pollfd.revents & POLLERR;
}

static cJSON *get_parameters(const struct ctl *ctl, const struct place *place)
{
    cJSON *parameters = place_parameters(ctl, place);

    json_add_string(parameters, "name", place->rest);
    if (options_get(&ctl->options, "rate"))
        json_add_string(parameters, "rate", options_get(&ctl->options, "rate"));
    return parameters;
}

static int get_to_stdout(struct ctl *ctl, const struct place *place)
{
    _cleanup_json_ cJSON *end = NULL;

    if (ctl->globals.json != JSON_OFF)
        return fail_usage("the content and --json cannot both go to stdout");
    fflush(stdout);
    int r = file_transfer(
        ctl,
        (struct call){"GetFile", get_parameters(ctl, place), STDOUT_FILENO, true, reader_is_gone},
        place->rest, &end);
    return r == 0 && !end ? 128 + SIGPIPE : r;
}

char *file_path_in(const char *directory, const char *name)
{
    size_t size = strlen(directory);
    char *path = NULL;

    while (size > 0 && directory[size - 1] == '/')
        size--;
    return asprintf(&path, "%.*s/%s", (int)size, directory, name) < 0 ? NULL : path;
}

const char *file_get_hint(const struct ctl *ctl)
{
    const char *overwrite = options_get(&ctl->options, "overwrite");

    return !overwrite || strcmp(overwrite, "never") == 0
               ? "to replace it: repeat the command with --overwrite=always"
               : NULL;
}

static bool is_newer(const cJSON *end, const struct stat *here)
{
    uint64_t stored = render_parse_time(json_text(end, "modified", NULL));

    /* A file system may keep no more than seconds of a time. */
    if (here->st_mtim.tv_nsec == 0)
        stored -= stored % USEC_PER_SEC;
    return stored > usec_of_file(&here->st_mtim);
}

int file_verify(const struct part *part, const char *target, const cJSON *end)
{
    _cleanup_free_ uint8_t *buffer = malloc(BUFFER_SIZE);
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    uint8_t hash[EVP_MAX_MD_SIZE];
    char text[2 * EVP_MAX_MD_SIZE + 1] = "";
    unsigned size = 0;
    ssize_t got = -1;
    off_t offset = 0;
    bool is_good = buffer && context && EVP_DigestInit_ex(context, EVP_sha256(), NULL) == 1;

    (void)fdatasync(part->fd);
    (void)posix_fadvise(part->fd, 0, 0, POSIX_FADV_DONTNEED);
    for (; is_good && (got = pread(part->fd, buffer, BUFFER_SIZE, offset)) > 0; offset += got)
        is_good = EVP_DigestUpdate(context, buffer, (size_t)got) == 1;
    is_good = is_good && got == 0 && EVP_DigestFinal_ex(context, hash, &size) == 1;
    EVP_MD_CTX_free(context);
    text_format_hex(hash, size, text);
    if (is_good && strcmp(text, json_text(end, "sha256", "")) == 0)
        return 0;
    return fail(ERROR_CONFLICT, "its SHA-256 is another", NULL, "%s cannot be read back", target);
}

mode_t file_get_mode(const cJSON *end)
{
    return json_is_set(end, "mode") ? (mode_t)json_number(end, "mode", 0) & 0777
           : cJSON_IsTrue(json_member(end, "executable")) ? 0777
                                                          : 0666;
}

void file_set_modified(int fd, const cJSON *end)
{
    uint64_t modified = render_parse_time(json_text(end, "modified", NULL));
    const struct timespec times[2] = {
        {.tv_nsec = UTIME_OMIT},
        {.tv_sec = (time_t)(modified / USEC_PER_SEC),
         .tv_nsec = (long)(modified % USEC_PER_SEC) * 1000},
    };

    if (modified > 0)
        (void)futimens(fd, times);
}

/* What has come whole becomes the target. */
static int finish_part(struct ctl *ctl, struct part *part, const char *target, const cJSON *end)
{
    int r;

    part->is_resumable = false;
    (void)fchmod(part->fd, file_get_mode(end) & ~part_get_umask());
    file_set_modified(part->fd, end);
    r = options_has(&ctl->options, "verify") ? file_verify(part, target, end) : 0;
    if (r == 0)
        r = part_keep(part, target, file_get_hint(ctl));
    return r != 0 ? r : file_show_end(ctl, end);
}

/* Whether what was broken off is of use when the command is repeated. */
static bool may_resume(const struct ctl *ctl, int r)
{
    return r == EXIT_INTERRUPTED || r == error_get_exit(ERROR_UNREACHABLE) || client_is_lost(ctl);
}

static int fail_special(const struct place *source, const char *name, const char *target)
{
    _cleanup_free_ char *hint = NULL;

    if (asprintf(&hint, "to write into it: p2pctl file get %s%s%s - > %s", source->node,
                 *source->node ? ":" : "", name, target) < 0)
        return fail_memory();
    return fail(ERROR_CONFLICT, NULL, hint, "%s is no regular file, and is not replaced", target);
}

/* Where the name that @path ends with stands. Return: @target, or NULL. */
static char *find_directory(const char *path, char target[static PATH_MAX])
{
    const char *slash = strrchr(path, '/');
    _cleanup_free_ char *directory =
        slash ? strndup(path, (size_t)(slash - path) + 1) : strdup(".");

    return directory ? realpath(directory, target) : NULL;
}

/*
 * Whether @target is something in /proc, or right in /dev, or a link that leads there: followed
 * step by step, as the links of /proc/self/fd look like the very file that is open there.
 */
static bool is_of_system(const char *target)
{
    _cleanup_free_ char *path = strdup(target);
    char next[PATH_MAX], place[PATH_MAX];

    for (int i = 0; path && i < LINKS_MAX && find_directory(path, place); i++) {
        if (strcmp(place, "/dev") == 0 || strcmp(place, "/proc") == 0 ||
            strncmp(place, "/proc/", strlen("/proc/")) == 0)
            return true;
        ssize_t size = readlink(path, next, sizeof(next) - 1);
        if (size < 0)
            return false;
        next[size] = '\0';
        free(path);
        path = *next == '/' ? strdup(next) : file_path_in(place, next);
    }
    return false;
}

int file_check_target(const struct ctl *ctl, const struct place *source, const char *name,
                      const char *target)
{
    const char *hint = file_get_hint(ctl);
    struct stat here, behind; /* a link */

    if (lstat(target, &here) < 0)
        return 0;
    if (S_ISDIR(here.st_mode))
        return fail(ERROR_CONFLICT, NULL, NULL, "%s is a directory, and is not replaced", target);
    if (is_of_system(target) ||
        (stat(target, &behind) == 0 && !S_ISREG(behind.st_mode) && !S_ISDIR(behind.st_mode)))
        return fail_special(source, name, target);
    return hint ? part_fail_exists(target, hint) : 0;
}

bool file_is_to_be_kept(const struct ctl *ctl, const char *target, const cJSON *end)
{
    const char *overwrite = options_get(&ctl->options, "overwrite");
    struct stat here;

    return overwrite && strcmp(overwrite, "newer") == 0 && stat(target, &here) == 0 &&
           S_ISREG(here.st_mode) && !is_newer(end, &here);
}

static int show_kept(const struct ctl *ctl, const char *target, cJSON *end)
{
    if (ctl->globals.json == JSON_OFF) {
        file_tell_kept(ctl, target);
        return 0;
    }
    cJSON_ReplaceItemInObjectCaseSensitive(end, "kept", cJSON_CreateTrue());
    return render_json(ctl, end, NULL);
}

/* A get needs room where it goes, and nowhere else. */
static bool is_no_space(enum error_code code)
{
    return code == ERROR_NO_SPACE;
}

static int get_to_file(struct ctl *ctl, const struct place *place, const char *target)
{
    _cleanup_(part_done) struct part part = PART_NONE;
    _cleanup_json_ cJSON *end = NULL, *parameters = get_parameters(ctl, place);
    int r = file_check_target(ctl, place, place->rest, target);

    if (r != 0)
        return r;
    r = part_open_again(target, &part);
    if (r != 0)
        return r;
    if (part.is_resumable)
        json_add_bool(parameters, "resume", true);
    r = file_transfer(ctl,
                      (struct call){"GetFile", TAKE_PTR(parameters), part.fd, true, is_no_space},
                      place->rest, &end);
    if (r == 0 && !end)
        r = fail_to_write(target, ENOSPC);
    part.is_resumable = part.is_resumable && may_resume(ctl, r);
    if (r != 0)
        return r;
    return file_is_to_be_kept(ctl, target, end) ? show_kept(ctl, target, end)
                                                : finish_part(ctl, &part, target, end);
}

/* --- Which, and where to --- */

struct where {
    struct place place; /* a node's store, where is_stored */
    const char *path;   /* a file, or a directory */
    bool is_stored;
    bool is_directory;
};

static int get_one(struct ctl *ctl, const struct place *source, const struct where *where)
{
    if (where->is_stored)
        return file_copy(ctl, source, &where->place, true);
    if (strcmp(where->path, "-") == 0)
        return get_to_stdout(ctl, source);
    if (!where->is_directory)
        return get_to_file(ctl, source, where->path);
    _cleanup_free_ char *inside = file_path_in(where->path, source->rest);
    return inside ? get_to_file(ctl, source, inside) : fail_memory();
}

/*
 * Many files of one node: the small ones together where there is a directory for them, then what is
 * left. Return: 0, or the first exit code.
 */
static int get_many(struct ctl *ctl, const struct place *source, const struct where *where,
                    struct file_wanted *wanted, size_t count)
{
    bool is_fetched = where->is_directory && !where->is_stored && count >= FILE_MANY_MIN;
    int r = is_fetched ? file_fetch(ctl, source, where->path, wanted, count) : 0;
    int failure = r;

    for (size_t i = 0; i < count && !may_resume(ctl, r); i++) {
        struct place one = *source;
        if (is_fetched && !wanted[i].is_left)
            continue;
        one.rest = wanted[i].name;
        r = get_one(ctl, &one, where);
        failure = failure ? failure : r;
    }
    return failure;
}

/* Every file that a glob means. */
static int get_glob(struct ctl *ctl, const struct place *place, const struct where *where)
{
    _cleanup_(file_names_done) struct file_names names = {0};
    int r = file_find(ctl, place, &names);
    struct file_wanted alone = {.name = place->rest, .size = FILE_SIZE_UNKNOWN};

    if (r == 0 && names.count == 0 && (*place->node || ctl->globals.node))
        r = file_fail_no_match(ctl, place);
    if (r != 0)
        return r;
    /* Another node may have what is called so. */
    if (names.is_exact || names.count == 0)
        return get_many(ctl, place, where, &alone, 1);
    if (!where->is_directory && !where->is_stored)
        return fail_usage("several files need a directory, and %s is none", where->path);
    _cleanup_free_ struct file_wanted *wanted = calloc(names.count, sizeof(*wanted));
    if (!wanted)
        return fail_memory();
    for (size_t i = 0; i < names.count; i++)
        wanted[i] = (struct file_wanted){.name = names.items[i].name, .size = names.items[i].size};
    return get_many(ctl, place, where, wanted, names.count);
}

static int find_where(struct ctl *ctl, struct where *ret)
{
    size_t count = ctl->options.words_count;
    struct stat status;

    *ret = (struct where){.path = count > 1 ? ctl->options.words[count - 1] : "."};
    if (!*ret->path)
        return fail_usage("the name of the file to be written is empty: \"\"");
    ret->is_directory = stat(ret->path, &status) == 0 && S_ISDIR(status.st_mode);
    if (count > 1 && access(ret->path, F_OK) < 0 && place_is_named(ret->path)) {
        place_parse(ret->path, &ret->place);
        ret->is_stored = true;
    }
    if (count > 2 && *(ret->is_stored ? ret->place.rest : "") != '\0')
        return fail_usage("%zu files cannot all be called \"%s\"", count - 1, ret->place.rest);
    if (count > 2 && !ret->is_directory && !ret->is_stored)
        return fail_usage("several files need a directory, and %s is none", ret->path);
    return 0;
}

/* The names from @first on that one node is asked for; at least one. */
static size_t take_names(const struct ctl *ctl, size_t first, size_t count, struct place *source,
                         struct file_wanted *wanted)
{
    size_t taken = 0;
    struct place place;

    place_parse(ctl->options.words[first], source);
    for (; first + taken < count; taken++) {
        place_parse(ctl->options.words[first + taken], &place);
        if (strcmp(place.node, source->node) != 0 || (taken > 0 && file_is_glob(place.rest)))
            break;
        wanted[taken] = (struct file_wanted){.name = place.rest, .size = FILE_SIZE_UNKNOWN};
        if (file_is_glob(place.rest))
            return 1;
    }
    return taken;
}

static int get_words(struct ctl *ctl, size_t count, const struct where *where)
{
    _cleanup_free_ struct file_wanted *wanted = calloc(count, sizeof(*wanted));
    int failure = 0, r = 0;

    if (!wanted)
        return fail_memory();
    for (size_t i = 0, taken; i < count && !may_resume(ctl, r); i += taken) {
        struct place place;
        taken = take_names(ctl, i, count, &place, wanted);
        r = file_is_glob(place.rest) ? get_glob(ctl, &place, where)
                                     : get_many(ctl, &place, where, wanted, taken);
        failure = failure ? failure : r;
    }
    return failure;
}

int file_get_run(struct ctl *ctl)
{
    const struct options *options = &ctl->options;
    size_t count = options->words_count > 1 ? options->words_count - 1 : 1;
    struct where where;
    bool is_several = count > 1;
    int r = file_check_overwrite(options);

    if (r == 0)
        r = file_check_rate(options);
    if (r == 0)
        r = find_where(ctl, &where);
    for (size_t i = 0; r == 0 && i < count; i++) {
        struct place place;
        place_parse(options->words[i], &place);
        if (!file_is_glob(place.rest))
            r = file_check_name(place.rest);
        else
            is_several = true;
    }
    if (r != 0)
        return r;
    if (is_several)
        render_several(ctl, "files");
    return get_words(ctl, count, &where);
}
