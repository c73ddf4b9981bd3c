/* SPDX-License-Identifier: MIT */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include "client.h"
#include "commands.h"
#include "failure.h"
#include "file.h"
#include "place.h"
#include "progress.h"
#include "render.h"
#include "screen.h"

/* The stores of files: put, ls, rm. `file get` is in file_get.c, the stream both share is here. */

int file_transfer(struct ctl *ctl, struct call call, const char *name, cJSON **ret_end)
{
    struct progress progress;
    bool last = false;
    int r;

    client_catch_interrupt();
    progress_init(&progress, ctl, name);
    r = client_start(ctl, call);
    while (r == 0 && !last) {
        _cleanup_json_ cJSON *object = NULL;
        r = client_next(ctl, &object, &last);
        if (r == 0 && last)
            *ret_end = TAKE_PTR(object);
        else if (r == 0)
            progress_bytes(&progress, json_number(object, "done_bytes", 0),
                           json_number(object, "total_bytes", 0));
    }
    progress_wipe(&progress);
    if (r == CLIENT_INTERRUPTED) {
        if (!ctl->globals.quiet)
            fprintf(stderr, "\n%s: interrupted\n", name);
        return EXIT_INTERRUPTED;
    }
    return r;
}

int file_show_end(const struct ctl *ctl, const cJSON *end)
{
    double size = json_number(end, "size_bytes", 0);
    double seconds = json_number(end, "elapsed_ms", 0) / 1000;
    const char *sha256 = json_text(end, "sha256", ""), *name = json_text(end, "name", "?");
    char text[RENDER_TEXT_MAX], rate[RENDER_TEXT_MAX], span[RENDER_TEXT_MAX];

    if (ctl->globals.json != JSON_OFF)
        return render_json(ctl, end, NULL);
    if (!ctl_is_chatty(ctl))
        return 0;
    render_text(stderr, name, strlen(name));
    render_size(size, text);
    fprintf(stderr, "  %s of %s  100%%", text, text);
    if (seconds > 0)
        fprintf(stderr, "  %s/s  %s", render_size(size / seconds, rate),
                render_span(seconds, span));
    fprintf(stderr, "  %s", render_mark(MARK_DONE));
    if (strlen(sha256) == 64)
        fprintf(stderr, " sha256 %.4s%s%.4s", sha256, render_mark(MARK_ELLIPSIS), sha256 + 60);
    fputc('\n', stderr);
    return 0;
}

int file_check_name(const char *name)
{
    if (text_is_file_name(name))
        return 0;
    return fail_usage(
        "\"%s\" is no name for a stored file: 1 to 255 bytes of printable UTF-8, no \"/\", "
        "not starting with \"-\"",
        name);
}

/* One file to be stored. */
static int put_file(struct ctl *ctl, const char *path, const struct place *target)
{
    _cleanup_json_ cJSON *end = NULL, *parameters = place_parameters(ctl, target);
    _cleanup_close_ int fd = -EBADF;
    const char *slash = strrchr(path, '/'), *overwrite = options_get(&ctl->options, "overwrite");
    const char *name = *target->rest ? target->rest : slash ? slash + 1 : path;
    struct stat status;
    int r = file_check_name(name);

    if (r != 0)
        return r;
    fd = strcmp(path, "-") == 0 ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3)
                                : open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &status) < 0)
        return fail(error_from_errno(-errno), strerror(errno), NULL, "cannot read %s", path);
    if (S_ISDIR(status.st_mode))
        return fail_usage("%s is a directory; only files can be stored", path);
    json_add_string(parameters, "name", name);
    if (overwrite)
        json_add_string(parameters, "overwrite", overwrite);
    if (S_ISREG(status.st_mode)) {
        json_add_u64(parameters, "size_bytes", (uint64_t)status.st_size);
        json_add_time(parameters, "modified",
                      (uint64_t)MAX(status.st_mtim.tv_sec, 0) * USEC_PER_SEC +
                          (uint64_t)status.st_mtim.tv_nsec / 1000);
    }
    r = file_transfer(ctl, (struct call){"PutFile", TAKE_PTR(parameters), fd, true, NULL}, name,
                      &end);
    return r != 0 ? r : file_show_end(ctl, end);
}

int file_check_overwrite(const struct options *options)
{
    const char *text = options_get(options, "overwrite");

    if (!text || strcmp(text, "never") == 0 || strcmp(text, "newer") == 0 ||
        strcmp(text, "always") == 0)
        return 0;
    return fail_usage("--overwrite is never, newer or always, not \"%s\"", text);
}

/* The last word is where to, if it looks so; after "-" it is a name at least. */
int file_put_run(struct ctl *ctl)
{
    const struct options *options = &ctl->options;
    size_t count = options->words_count;
    const char *last = options->words[count - 1];
    struct place target = {.rest = ""};
    int r = file_check_overwrite(options);

    if (r != 0)
        return r;
    if (count > 1 && place_is_named(last)) {
        place_parse(last, &target);
        count--;
    } else if (count == 2 && strcmp(options->words[0], "-") == 0) {
        target.rest = last;
        count--;
    }
    if (*target.rest && count > 1)
        return fail_usage("%zu files cannot all be called \"%s\"", count, target.rest);
    for (size_t i = 0; i < count; i++)
        if (strcmp(options->words[i], "-") == 0 && !*target.rest)
            return fail_usage("stdin needs a name: p2pctl file put - NODE:NAME");
    for (size_t i = 0; i < count && r == 0; i++)
        r = put_file(ctl, options->words[i], &target);
    return r;
}

static void size_cell(const struct ctl *ctl, const cJSON *file, struct cell *cell)
{
    char text[RENDER_TEXT_MAX];
    double size = json_number(file, "size_bytes", 0);

    if (options_has(&ctl->options, "bytes"))
        cell_printf(cell, "%.0f", size);
    else
        cell_printf(cell, "%s", render_size(size, text));
}

static void hash_cell(const struct ctl *ctl, const cJSON *file, struct cell *cell)
{
    (void)ctl;
    cell_printf(cell, "%.8s", json_text(file, "sha256", "-"));
}

static void modified_cell(const struct ctl *ctl, const cJSON *file, struct cell *cell)
{
    char text[RENDER_TEXT_MAX];

    cell_printf(cell, "%s", render_time(ctl, json_text(file, "modified", NULL), text));
}

static const struct column file_columns[] = {
    {"NAME", "name", COLUMN_NAME, NULL},
    {"SIZE", "size_bytes", COLUMN_RIGHT, size_cell},
    {"NODES", "node", 0, NULL},
    {"SHA256", "sha256", COLUMN_LOW, hash_cell},
    {"OWNER", "owner", COLUMN_LOW, NULL},
    {"MODIFIED", "modified", COLUMN_RIGHT | COLUMN_LOW, modified_cell},
};
static const struct screen file_screen = {"files", file_columns, ARRAY_SIZE(file_columns)};

/* The same content under the same name is one row: "lab-01,lab-03". */
static void merge_nodes(cJSON *files)
{
    for (cJSON *file = files->child; file; file = file->next)
        for (cJSON *other = file->next, *next; other; other = next) {
            next = other->next;
            if (strcmp(json_text(file, "name", ""), json_text(other, "name", "")) != 0 ||
                strcmp(json_text(file, "sha256", "a"), json_text(other, "sha256", "b")) != 0)
                continue;
            char *nodes = NULL;
            if (asprintf(&nodes, "%s,%s", json_text(file, "node", ""),
                         json_text(other, "node", "")) < 0)
                return;
            cJSON_ReplaceItemInObjectCaseSensitive(file, "node", cJSON_CreateString(nodes));
            free(nodes);
            cJSON_Delete(cJSON_DetachItemViaPointer(files, other));
        }
}

static void file_footer(const struct ctl *ctl, const cJSON *answer, FILE *stream)
{
    const cJSON *files = json_member(answer, "files");
    int count = cJSON_GetArraySize(files);
    double size = 0;
    char text[RENDER_TEXT_MAX];

    (void)ctl;
    json_for_each (file, files)
        size += json_number(file, "size_bytes", 0);
    fprintf(stream, "%d file%s, %s.\n", count, count == 1 ? "" : "s", render_size(size, text));
}

static int list_files(struct ctl *ctl, const struct place *place, bool all_nodes, cJSON **ret)
{
    cJSON *parameters = place_parameters(ctl, place);

    if (*place->rest)
        json_add_string(parameters, "glob", place->rest);
    if (all_nodes)
        json_add_bool(parameters, "all_nodes", true);
    return client_list(ctl, (struct call){"ListFiles", parameters, -1, false, NULL}, "files", ret);
}

int file_list_run(struct ctl *ctl)
{
    _cleanup_json_ cJSON *answer = NULL;
    struct place place = {.rest = ""};
    bool all_nodes = options_has(&ctl->options, "all-nodes");

    if (ctl->options.words_count > 0)
        place_parse(ctl->options.words[0], &place);
    if (all_nodes && (*place.node || ctl->globals.node))
        return fail_usage("name a node, or say --all-nodes, but not both");
    int r = list_files(ctl, &place, all_nodes, &answer);
    if (r != 0)
        return r;
    cJSON *files = cJSON_GetObjectItemCaseSensitive(answer, "files");
    if (ctl->globals.json == JSON_OFF && all_nodes && cJSON_IsArray(files)) {
        _cleanup_free_ char *names = screen_value(json_member(answer, "unanswered"));
        if (names && *names)
            fprintf(stderr, "no answer: %s\n", names);
        merge_nodes(files);
    }
    return screen_show(ctl, &file_screen, answer, file_footer);
}

static int remove_file(struct ctl *ctl, const struct place *place)
{
    _cleanup_json_ cJSON *answer = NULL;
    cJSON *parameters = place_parameters(ctl, place);
    char text[RENDER_TEXT_MAX];

    json_add_string(parameters, "name", place->rest);
    int r = client_call(ctl, (struct call){"RemoveFile", parameters, -1, true, NULL}, &answer);
    if (r != 0)
        return r;
    if (ctl->globals.json != JSON_OFF)
        return render_json(ctl, answer, NULL);
    fputs("removed ", stdout);
    render_tinted(ctl, stdout, TONE_PLAIN, json_text(answer, "name", "?"));
    fputs(" from ", stdout);
    render_tinted(ctl, stdout, TONE_PLAIN, json_text(answer, "node", "?"));
    printf(" (%s)\n", render_size(json_number(answer, "size_bytes", 0), text));
    return 0;
}

static bool is_glob(const char *text)
{
    return strpbrk(text, "*?[") != NULL;
}

/* Every file that a glob means, after asking once. */
static int remove_glob(struct ctl *ctl, const struct place *place)
{
    _cleanup_json_ cJSON *answer = NULL;
    _cleanup_free_ char *question = NULL;
    int r = list_files(ctl, place, false, &answer);

    if (r != 0)
        return r;
    const cJSON *files = json_member(answer, "files");
    if (cJSON_GetArraySize(files) == 0)
        return fail(ERROR_NOT_FOUND, NULL, NULL, "no file matches \"%s\"", place->rest);
    if (asprintf(&question, "remove %d files", cJSON_GetArraySize(files)) < 0)
        return fail_memory();
    r = ctl_confirm(ctl, question);
    json_for_each (file, files) {
        struct place one = *place;
        one.rest = json_text(file, "name", "");
        if (r == 0)
            r = remove_file(ctl, &one);
    }
    return r;
}

int file_remove_run(struct ctl *ctl)
{
    const struct options *options = &ctl->options;
    bool many = options->words_count > 1, globs = false;
    int r = 0;

    for (size_t i = 0; i < options->words_count; i++)
        globs = globs || is_glob(options->words[i]);
    if (many && !globs) {
        _cleanup_free_ char *question = NULL;
        if (asprintf(&question, "remove %zu files", options->words_count) < 0)
            return fail_memory();
        r = ctl_confirm(ctl, question);
    }
    for (size_t i = 0; i < options->words_count && r == 0; i++) {
        struct place place;
        place_parse(options->words[i], &place);
        r = is_glob(place.rest) ? remove_glob(ctl, &place) : file_check_name(place.rest);
        if (r == 0 && !is_glob(place.rest))
            r = remove_file(ctl, &place);
    }
    return r;
}
