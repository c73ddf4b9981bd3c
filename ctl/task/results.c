/* SPDX-License-Identifier: MIT */
#include "task/results.h"

#include <limits.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include "base/bundle.h"
#include "client.h"
#include "interrupt.h"
#include "commands.h"
#include "console/failure.h"
#include "data/file.h"
#include "console/output.h"
#include "data/part.h"
#include "console/render.h"

#define HINT_MAX (128 + PATH_MAX)

/* How much of @name the beginning of the pattern without wildcards is, down to its last "/". */
static size_t constant_size(const char *out)
{
    size_t glob = strcspn(out, "="), size = 0;

    for (size_t i = 0; i < glob && !strchr("*?[\\", out[i]); i++)
        if (out[i] == '/')
            size = i + 1;
    return size;
}

/* Where a result goes: "DIRECTORY/NAME", or "DIRECTORY/DIR/rest of NAME" for GLOB=DIR. NULL where
 * the return value is an exit code. */
static int choose_target(const char *directory, const cJSON *file, bool own, char **ret)
{
    const char *name = json_text(file, "name", ""), *out = json_text(file, "out", "");
    const char *own_directory = strchr(out, '=');
    int r;

    if (!bundle_is_name(name))
        return fail(ERROR_INTERNAL, NULL, NULL, "the daemon names a result \"%s\"", name);
    own_directory = own_directory && own_directory[1] ? own_directory + 1 : NULL;
    if (own_directory && !own && !bundle_is_name(own_directory))
        own_directory = NULL;
    if (!own_directory)
        r = asprintf(ret, "%s/%s", directory, name);
    else if (*own_directory == '/')
        r = asprintf(ret, "%s/%s", own_directory, name + constant_size(out));
    else
        r = asprintf(ret, "%s/%s/%s", directory, own_directory, name + constant_size(out));
    if (r < 0) {
        *ret = NULL;
        return fail_memory();
    }
    return 0;
}

static int make_directories(const char *target)
{
    _cleanup_free_ char *path = strdup(target);

    if (!path)
        return fail_memory();
    for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(path, 0777) < 0 && errno != EEXIST)
            return fail_to_write(path, errno);
        *slash = '/';
    }
    return 0;
}

int results_check(const char *directory)
{
    _cleanup_free_ char *path = strdup(directory);
    struct stat status;

    if (!path)
        return fail_memory();
    /* What is missing will be made: up to the first that is there. */
    while (stat(path, &status) < 0) {
        char *slash = strrchr(path, '/');
        if (errno != ENOENT && errno != ENOTDIR)
            return fail_to_write(path, errno);
        if (!slash || slash == path)
            strcpy(path, slash ? "/" : ".");
        else
            *slash = '\0';
    }
    if (!S_ISDIR(status.st_mode))
        return fail(ERROR_CONFLICT, NULL, NULL,
                    "results cannot be written to %s: %s is no directory", directory, path);
    return access(path, W_OK | X_OK) < 0 ? fail_to_write(path, errno) : 0;
}

/* What is said where a target exists that may not be replaced; NULL = it may. */
static const char *hint_of(const struct ctl *ctl, const char *id, const char *directory,
                           char target[static HINT_MAX])
{
    const char *overwrite = options_get(&ctl->options, "overwrite");

    if (overwrite && strcmp(overwrite, "always") == 0)
        return NULL;
    const bool is_here = !directory || strcmp(directory, ".") == 0;
    snprintf(target, HINT_MAX, "to replace it: p2pctl task get %s%s%s --overwrite=always", id,
             is_here ? "" : " ", is_here ? "" : directory);
    return target;
}

/* Whether what is there may be replaced. Return: 0; or the exit code, told. */
static int check_target(const char *target, const char *hint)
{
    struct stat here;

    if (lstat(target, &here) < 0 || !hint)
        return 0;
    if (S_ISDIR(here.st_mode))
        return fail(ERROR_CONFLICT, NULL, NULL, "%s is a directory", target);
    return part_fail_exists(target, hint);
}

/* For `submit`, -N says where the task runs, and not whom to ask. */
static cJSON *new_parameters(const struct ctl *ctl, const char *id, bool own)
{
    cJSON *parameters = own ? cJSON_CreateObject() : client_parameters(ctl);

    json_add_string(parameters, "id", id);
    return parameters;
}

static int write_to(struct ctl *ctl, const char *id, const cJSON *file, bool own,
                    const char *target, const char *hint)
{
    _cleanup_(part_done) struct part part = PART_NONE;
    _cleanup_json_ cJSON *answer = NULL;
    cJSON *parameters = new_parameters(ctl, id, own);
    mode_t mode = (mode_t)json_number(file, "mode", 0644) & 0777;
    int r = make_directories(target);

    json_add_string(parameters, "file", json_text(file, "name", ""));
    interrupt_catch_end();
    if (r == 0)
        r = part_open(target, mode, &part);
    if (r != 0) {
        cJSON_Delete(parameters);
        return r;
    }
    r = client_call(ctl, (struct call){"GetTaskFiles", parameters, part.fd, true, NULL}, &answer);
    return r != 0 ? r : part_keep(&part, target, hint);
}

static int list(struct ctl *ctl, const char *id, bool own, cJSON **ret)
{
    cJSON *parameters = new_parameters(ctl, id, own);

    return client_list(ctl, (struct call){"GetTaskFiles", parameters, -1, false, NULL}, "files",
                       ret);
}

static int get_one(struct ctl *ctl, const char *id, const cJSON *file, bool own,
                   const char *directory, cJSON *paths)
{
    _cleanup_free_ char *target = NULL;
    char text[HINT_MAX];
    const char *hint = hint_of(ctl, id, directory, text);
    int r = choose_target(directory, file, own, &target);

    if (!target)
        return r;
    r = check_target(target, hint);
    if (r == 0)
        r = write_to(ctl, id, file, own, target, hint);
    if (r == 0)
        cJSON_AddItemToArray(paths, cJSON_CreateString(target));
    return r;
}

int results_get(struct ctl *ctl, const char *id, const char *directory, bool own, cJSON **ret)
{
    _cleanup_json_ cJSON *answer = NULL;
    cJSON *paths = cJSON_CreateArray();
    int r = list(ctl, id, own, &answer);

    *ret = paths;
    json_for_each (file, json_member(answer, "files"))
        r = r != 0 ? r : get_one(ctl, id, file, own, directory, paths);
    return r;
}

int task_get_run(struct ctl *ctl)
{
    const struct options *options = &ctl->options;
    const char *id = options->words[0];
    const char *directory = options->words_count > 1 ? options->words[1] : ".";
    _cleanup_json_ cJSON *paths = NULL;
    int r = file_check_overwrite(options);

    if (r == 0 && *directory == '\0')
        r = fail_usage("the name of the directory is empty; here is \".\"");
    if (r == 0 && options_has(options, "overwrite") &&
        strcmp(options_get(options, "overwrite"), "newer") == 0)
        r = fail_usage("--overwrite is never or always: a result has no time of its own");
    if (r != 0)
        return r;
    interrupt_catch();
    r = results_get(ctl, id, directory, false, &paths);
    if (r == CLIENT_INTERRUPTED)
        return EXIT_INTERRUPTED;
    if (ctl->globals.json != JSON_OFF && r == 0) {
        _cleanup_json_ cJSON *shown = cJSON_CreateObject();
        json_add_string(shown, "schema", "p2pctl.task-get/1");
        cJSON_AddItemToObject(shown, "paths", TAKE_PTR(paths));
        return render_json(ctl, shown, NULL);
    }
    json_for_each (path, paths) {
        render_tinted(ctl, stdout, TONE_PLAIN, path->valuestring);
        putchar('\n');
    }
    if (r == 0 && !paths->child && !ctl->globals.quiet)
        fprintf(stderr, "task %s has no results\n", id);
    return r;
}
