/* SPDX-License-Identifier: MIT */
#include "task/attach.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "base/bundle.h"
#include "base/json.h"
#include "base/macro.h"
#include "base/text.h"
#include "client.h"
#include "console/failure.h"
#include "console/render.h"
#include "input.h"

#define COPY_SIZE ((size_t)256 * 1024)

void attachments_done(struct attachments *attachments)
{
    for (size_t i = 0; i < attachments->fds_count; i++)
        close_fd(attachments->fds[i]);
    attachments->fds_count = 0;
}

/* Takes @fd over. Return: its number among the descriptors of the call. */
static size_t add_descriptor(struct attachments *attachments, int fd)
{
    attachments->fds[attachments->fds_count] = fd;
    return attachments->fds_count++;
}

/* How much the daemon takes. What is read before the next call may take its time: the connection
 * does not wait for it. */
static int ask_limit(struct ctl *ctl, uint64_t *ret)
{
    _cleanup_json_ cJSON *answer = NULL, *parameters = cJSON_CreateObject();

    json_add_string(parameters, "key", "tasks.result_max");
    int r = client_list(ctl, (struct call){"ShowConfig", TAKE_PTR(parameters), -1, false, NULL},
                        "config", &answer);
    if (r != 0)
        return r;
    client_free(TAKE_PTR(ctl->client));
    const cJSON *item = cJSON_GetArrayItem(json_member(answer, "config"), 0);
    char size[32] = "";
    (void)sscanf(json_text(item, "value", ""), "\"%31[^\"]", size);
    return text_parse_size(size, ret) < 0
               ? fail(ERROR_INTERNAL, NULL, NULL, "the daemon does not tell tasks.result_max")
               : 0;
}

/* What has no size is read to its end first: a task is accepted when all of its input is there. */
static int spool(int from, const char *path, uint64_t size_max, int *ret)
{
    const char *directory = getenv("TMPDIR");
    _cleanup_close_ int fd =
        open(directory && *directory ? directory : "/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    _cleanup_free_ char *buffer = malloc(COPY_SIZE);
    char limit[32];
    uint64_t total = 0;
    ssize_t size;

    if (fd < 0)
        return fail(errno == ENOSPC ? ERROR_NO_SPACE : ERROR_INTERNAL, strerror(errno),
                    "choose another place: TMPDIR=DIR", "cannot keep what comes from %s", path);
    if (!buffer)
        return fail_memory();
    while ((size = read(from, buffer, COPY_SIZE)) != 0) {
        if (size < 0 && errno == EINTR)
            continue;
        if (size < 0)
            return fail_to_read(path, errno);
        total += (uint64_t)size;
        if (total > size_max)
            return fail(ERROR_TOO_LARGE, NULL, "p2pctl config show tasks.result_max",
                        "%s is too large: the files of a task have at most %s together", path,
                        text_format_size(size_max, limit));
        for (ssize_t done = 0; done < size;) {
            ssize_t written = write(fd, buffer + done, (size_t)(size - done));
            if (written < 0 && errno != EINTR)
                return fail(errno == ENOSPC ? ERROR_NO_SPACE : ERROR_INTERNAL, strerror(errno),
                            NULL, "cannot keep what comes from %s", path);
            done += MAX(written, (ssize_t)0);
        }
    }
    if (lseek(fd, 0, SEEK_SET) < 0)
        return fail_to_read(path, errno);
    *ret = TAKE_FD(fd);
    return 0;
}

/* What is to be sent of @given, which is taken over: itself, or its content where the size is not
 * known before its end. */
static int take(struct ctl *ctl, const char *path, int given, const struct stat *status, int *ret)
{
    _cleanup_close_ int fd = given;
    uint64_t size_max = 0;
    int r = input_has_true_size(fd, status);

    if (r < 0)
        return fail_to_read(path, -r);
    if (r > 0) {
        *ret = TAKE_FD(fd);
        return 0;
    }
    r = ask_limit(ctl, &size_max);
    return r == 0 ? spool(fd, path, size_max, ret) : r;
}

static int open_file(struct ctl *ctl, const char *path, int *ret)
{
    struct stat status;
    _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* no wait in a FIFO */

    if (fd < 0 || fstat(fd, &status) < 0)
        return fail_to_read(path, errno);
    if (S_ISDIR(status.st_mode))
        return fail(ERROR_USAGE, NULL, "pack it: tar -cf files.tar DIR; then --in files.tar",
                    "%s is a directory; only files go with a task", path);
    if (!S_ISREG(status.st_mode))
        return fail(ERROR_USAGE, NULL, "as standard input it can be sent: --stdin FILE",
                    "%s is no regular file", path);
    return take(ctl, path, TAKE_FD(fd), &status, ret);
}

int attachments_add_file(struct ctl *ctl, struct attachments *attachments, const char *path)
{
    int fd = -EBADF;
    int r;

    if (attachments->fds_count == ATTACH_MAX)
        return fail(ERROR_TOO_LARGE, NULL, NULL, "at most %d files go with a list", ATTACH_MAX);
    r = open_file(ctl, path, &fd);
    if (r == 0)
        (void)add_descriptor(attachments, fd);
    return r;
}

/* --in PATH[=NAME] or @STORED[=NAME]: the name after the last "=", unless a file is called so.
 * NULL: no memory. */
static char *split(const char *given, const char **ret_name)
{
    const char *equals = strrchr(given, '=');

    if (equals && *given != '@' && access(given, F_OK) == 0)
        equals = NULL;
    *ret_name = equals ? equals + 1 : NULL;
    return equals ? strndup(given, (size_t)(equals - given)) : strdup(given);
}

static int add_input(struct ctl *ctl, const char *given, cJSON *list,
                     struct attachments *attachments)
{
    const char *name = NULL, *slash;
    _cleanup_free_ char *path = split(given, &name);
    int fd = -EBADF;
    int r = 0;

    if (!path)
        return fail_memory();
    slash = strrchr(path, '/');
    if (!name)
        name = *path == '@' ? path + 1 : slash ? slash + 1 : path;
    if (!bundle_is_name(name))
        return fail_usage("--in %s: \"%s\" cannot be its name for the task: a path below the work "
                          "directory; give one with --in FILE=NAME",
                          given, name);
    if (*path == '@' && !text_is_file_name(path + 1))
        return fail_usage("--in %s: \"%s\" cannot be the name of a stored file", given, path + 1);
    if (*path != '@')
        r = open_file(ctl, path, &fd);
    if (r != 0)
        return r;
    cJSON *item = cJSON_CreateObject();
    json_add_string(item, "name", name);
    if (*path == '@')
        json_add_string(item, "stored", path + 1);
    else
        json_add_u64(item, "descriptor", add_descriptor(attachments, fd));
    cJSON_AddItemToArray(list, item);
    return 0;
}

static int add_stdin(struct ctl *ctl, const char *path, cJSON *parameters,
                     struct attachments *attachments)
{
    bool is_ours = strcmp(path, "-") == 0;
    const char *name = is_ours ? "standard input" : path;
    struct stat status;
    int taken = -EBADF;
    _cleanup_close_ int fd =
        is_ours ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3) : open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0 || fstat(fd, &status) < 0)
        return fail_to_read(name, errno);
    if (S_ISDIR(status.st_mode))
        return fail_to_read(name, EISDIR);
    int r = take(ctl, name, TAKE_FD(fd), &status, &taken);
    if (r == 0)
        json_add_u64(parameters, "stdin", add_descriptor(attachments, taken));
    return r;
}

static int add_outs(const struct options *options, cJSON *parameters)
{
    cJSON *list = options_has(options, "out") ? cJSON_AddArrayToObject(parameters, "out") : NULL;
    const char *out;

    for (size_t i = 0; list && (out = options_get_nth(options, "out", i)); i++) {
        if (!text_is_utf8(out, strlen(out)) || *out == '/' || *out == '=' || *out == '\0')
            return fail_usage("--out is GLOB[=DIR], and GLOB is below the work directory, not "
                              "\"%s\"",
                              out);
        cJSON_AddItemToArray(list, cJSON_CreateString(out));
    }
    return 0;
}

int attach_files(struct ctl *ctl, cJSON *parameters, struct attachments *ret)
{
    const struct options *options = &ctl->options;
    cJSON *list = options_has(options, "in") ? cJSON_AddArrayToObject(parameters, "in") : NULL;
    const char *stdin_path = options_get(options, "stdin"), *in;
    int r = add_outs(options, parameters);

    for (size_t i = 0; r == 0 && list && (in = options_get_nth(options, "in", i)); i++) {
        if (i + (stdin_path != NULL) >= ATTACH_MAX)
            return fail(ERROR_TOO_LARGE, NULL, "pack them into one: tar -cf files.tar ...",
                        "at most %d files go with a task", ATTACH_MAX);
        r = add_input(ctl, in, list, ret);
    }
    if (r == 0 && stdin_path)
        r = add_stdin(ctl, stdin_path, parameters, ret);
    return r;
}
