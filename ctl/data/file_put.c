/* SPDX-License-Identifier: MIT */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include "base/text.h"
#include "client.h"
#include "commands.h"
#include "console/failure.h"
#include "data/file.h"
#include "data/place.h"
#include "input.h"
#include "console/render.h"

/* `p2pctl file put`: files of this machine, stdin, and files that are stored on some node. */

void file_add_options(const struct ctl *ctl, cJSON *parameters, bool waits)
{
    const char *overwrite = options_get(&ctl->options, "overwrite");
    const char *rate = options_get(&ctl->options, "rate");

    if (overwrite)
        json_add_string(parameters, "overwrite", overwrite);
    if (rate)
        json_add_string(parameters, "rate", rate);
    if (!waits)
        json_add_bool(parameters, "wait", false);
}

static int show_end(const struct ctl *ctl, const char *name, const cJSON *end, bool waits)
{
    if (waits || ctl->globals.json != JSON_OFF)
        return file_show_end(ctl, end);
    if (ctl_is_chatty(ctl)) {
        render_text(stderr, name, strlen(name));
        fprintf(stderr, "  is on its way; what becomes of it: p2pctl events --type "
                        "'file-*,problem'\n");
    }
    return 0;
}

/* What has no end of its own, or may wait for ever, is not opened: its content comes by stdin. */
static int check_source(const char *path, const struct stat *status)
{
    mode_t mode = status->st_mode;

    if (S_ISREG(mode))
        return 0;
    if (S_ISDIR(mode))
        return fail_usage("%s is a directory; only files can be stored", path);
    return fail(ERROR_USAGE, NULL,
                "what it gives can be stored: p2pctl file put - NODE:NAME < FILE",
                "%s is %s; only files can be stored", path,
                S_ISFIFO(mode)   ? "a pipe"
                : S_ISSOCK(mode) ? "a socket"
                                 : "a device");
}

/* Descriptor and status of what is to be stored; "-" may be anything. Return: 0, or the exit code.
 */
static int open_source(const char *path, struct stat *status, int *ret)
{
    bool is_stdin = strcmp(path, "-") == 0;
    int r = 0;

    /* Before it is opened: that alone waits in a pipe, and does something to some devices. */
    if (!is_stdin && stat(path, status) == 0)
        r = check_source(path, status);
    if (r != 0)
        return r;
    _cleanup_close_ int fd = is_stdin ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3)
                                      : open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 || fstat(fd, status) < 0)
        return fail_to_read(path, errno);
    if (!is_stdin)
        r = check_source(path, status);
    else if (S_ISDIR(status->st_mode))
        r = fail_usage("stdin is a directory; only files can be stored");
    if (r == 0)
        *ret = TAKE_FD(fd);
    return r;
}

/* One file to be stored. */
static int put_file(struct ctl *ctl, const char *path, const char *name, const struct place *target)
{
    bool waits = !options_has(&ctl->options, "no-wait");
    _cleanup_json_ cJSON *end = NULL, *parameters = place_parameters(ctl, target);
    _cleanup_close_ int fd = -EBADF;
    struct stat status = {0};
    int r = open_source(path, &status, &fd);

    if (r != 0)
        return r;
    int is_sized = input_has_true_size(fd, &status);
    if (is_sized < 0)
        return fail_to_read(strcmp(path, "-") == 0 ? "standard input" : path, -is_sized);
    if (!is_sized && !waits)
        return fail_usage("--no-wait is for files, and %s is none", path);
    json_add_string(parameters, "name", name);
    file_add_options(ctl, parameters, waits);
    if (is_sized)
        json_add_u64(parameters, "size_bytes", (uint64_t)status.st_size);
    if (!ctl_is_chatty(ctl) && ctl->globals.json == JSON_OFF)
        json_add_bool(parameters, "hash", false); /* nobody would see it */
    if (S_ISREG(status.st_mode)) {
        json_add_bool(parameters, "executable", (status.st_mode & S_IXUSR) != 0);
        json_add_u64(parameters, "mode", status.st_mode & 0777);
        json_add_time(parameters, "modified", usec_of_file(&status.st_mtim));
    }
    r = file_transfer(ctl, (struct call){"PutFile", TAKE_PTR(parameters), fd, true, NULL}, name,
                      &end);
    return r != 0 ? r : show_end(ctl, name, end, waits);
}

int file_copy(struct ctl *ctl, const struct place *source, const struct place *target, bool is_get)
{
    bool waits = is_get || !options_has(&ctl->options, "no-wait");
    _cleanup_json_ cJSON *end = NULL, *parameters = place_parameters(ctl, source);
    const char *name = *target->rest ? target->rest : source->rest;
    int r = file_check_name(source->rest);

    if (r == 0)
        r = file_check_name(name);
    if (r != 0)
        return r;
    json_add_string(parameters, "stored", source->rest);
    json_add_string(parameters, "name", name);
    if (*target->node)
        json_add_string(parameters, "to", target->node);
    if (is_get && !json_is_set(parameters, "node"))
        json_add_bool(parameters, "search", true);
    file_add_options(ctl, parameters, waits);
    r = file_transfer(ctl, (struct call){"PutFile", TAKE_PTR(parameters), -1, true, NULL}, name,
                      &end);
    return r != 0 ? r : show_end(ctl, name, end, waits);
}

/* Whether @word is "NODE:NAME" rather than a file that is called so. */
static bool is_stored(const char *word)
{
    return place_is_named(word) && access(word, F_OK) < 0;
}

/* Whether it stands for several of them. */
static bool is_stored_glob(const char *word)
{
    struct place place;

    if (!is_stored(word))
        return false;
    place_parse(word, &place);
    return file_is_glob(place.rest);
}

static const char *name_of(const char *path, const struct place *target)
{
    const char *slash = strrchr(path, '/');

    return *target->rest ? target->rest : slash ? slash + 1 : path;
}

/* The small files among the words go first, together, where they may be many. Return: 0, or the
 * exit code. */
static int put_small(struct ctl *ctl, size_t count, const struct place *target, bool *is_done)
{
    _cleanup_free_ struct file_source *sources = calloc(count, sizeof(*sources));
    size_t sources_count = 0, taken = 0;

    if (!sources)
        return fail_memory();
    for (size_t i = 0; i < count; i++) {
        const char *path = ctl->options.words[i];
        is_done[i] =
            strcmp(path, "-") != 0 && !is_stored(path) && text_is_file_name(name_of(path, target));
        if (is_done[i])
            sources[sources_count++] = (struct file_source){path, name_of(path, target), false};
    }
    bool is_many = sources_count >= FILE_MANY_MIN;
    int r = is_many ? file_pack_put(ctl, target, sources, sources_count) : 0;
    for (size_t i = 0; i < count; i++)
        is_done[i] = is_done[i] && !sources[taken++].is_left && is_many;
    return r;
}

/* Every stored file that a glob means. */
static int copy_glob(struct ctl *ctl, struct place source, const struct place *target)
{
    _cleanup_(file_names_done) struct file_names names = {0};
    int r = file_find(ctl, &source, &names), failure = 0;

    if (r == 0 && names.count == 0)
        r = file_fail_no_match(ctl, &source);
    if (r == 0 && !names.is_exact && *target->rest)
        r = fail_usage("several files cannot all be called \"%s\"", target->rest);
    if (r != 0)
        return r;
    for (size_t i = 0; i < names.count && file_may_go_on(r); i++) {
        source.rest = names.items[i].name;
        r = file_copy(ctl, &source, target, false);
        failure = failure ? failure : r;
    }
    return failure;
}

/* What ends with "/" is none of a file, whatever is there. */
static int check_directory(const char *path)
{
    size_t size = strlen(path);
    struct stat status;

    if (stat(path, &status) == 0)
        return S_ISDIR(status.st_mode) ? check_source(path, &status) : 0;
    return size > 0 && path[size - 1] == '/' ? fail_to_read(path, errno) : 0;
}

static int put_word(struct ctl *ctl, const char *word, const struct place *target)
{
    struct place source;

    if (!is_stored(word)) {
        int r = check_directory(word);
        if (r == 0)
            r = file_check_name(name_of(word, target));
        return r != 0 ? r : put_file(ctl, word, name_of(word, target), target);
    }
    place_parse(word, &source);
    struct place to = *target;
    if (!*to.node && ctl->globals.node)
        snprintf(to.node, sizeof(to.node), "%.*s", NODE_NAME_MAX, ctl->globals.node);
    if (file_is_glob(source.rest))
        return copy_glob(ctl, source, &to);
    return file_copy(ctl, &source, &to, false);
}

static int put_all(struct ctl *ctl, size_t count, const struct place *target)
{
    _cleanup_free_ bool *is_done = calloc(count, sizeof(*is_done));
    int r;

    if (!is_done)
        return fail_memory();
    r = put_small(ctl, count, target, is_done);
    for (size_t i = 0; i < count && file_may_go_on(r); i++) {
        int q = is_done[i] ? 0 : put_word(ctl, ctl->options.words[i], target);
        r = r == 0 || !file_may_go_on(q) ? q : r;
    }
    return r;
}

/* What can be told before anything is asked. */
static int check_words(const struct ctl *ctl, size_t count, const struct place *target)
{
    if (*target->rest && count > 1)
        return fail_usage("%zu files cannot all be called \"%s\"", count, target->rest);
    for (size_t i = 0; i < count; i++) {
        const char *word = ctl->options.words[i];
        if (strcmp(word, "-") == 0 && !*target->rest)
            return fail_usage("stdin needs a name: p2pctl file put - NODE:NAME");
    }
    return 0;
}

/* The last word is where to, if it looks so; after "-" it is a name at least. */
int file_put_run(struct ctl *ctl)
{
    const struct options *options = &ctl->options;
    size_t count = options->words_count;
    const char *last = options->words[count - 1];
    struct place target = {.rest = ""};
    int r = file_check_overwrite(options);

    if (r == 0)
        r = file_check_rate(options);
    if (r != 0)
        return r;
    if (count > 1 && place_is_named(last)) {
        place_parse(last, &target);
        count--;
    } else if (count == 2 && strcmp(options->words[0], "-") == 0) {
        target.rest = last;
        count--;
    }
    r = check_words(ctl, count, &target);
    if (r != 0)
        return r;
    if (count > 1 || is_stored_glob(options->words[0]))
        render_several(ctl, "files");
    return put_all(ctl, count, &target);
}
