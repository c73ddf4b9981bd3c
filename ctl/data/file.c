/* SPDX-License-Identifier: MIT */
#include <string.h>
#include "client.h"
#include "commands.h"
#include "console/failure.h"
#include "data/file.h"
#include "data/place.h"
#include "console/progress.h"
#include "console/render.h"
#include "console/screen.h"

/* The stores of files: ls, rm, and the stream that `file put` (file_put.c, file_pack.c) and `file
 * get` (file_get.c) share. */

/* Says once that a part of it was there from an earlier time. */
static void tell_resumed(const struct ctl *ctl, const char *name, const cJSON *object, double total,
                         bool *is_told)
{
    double resumed = json_number(object, "resumed_bytes", 0);

    if (*is_told || resumed <= 0 || total <= 0 || ctl->globals.quiet ||
        ctl->globals.json != JSON_OFF)
        return;
    *is_told = true;
    render_text(stderr, name, strlen(name));
    fprintf(stderr, "  resumed at %d%%\n", (int)(100 * resumed / total));
}

int file_transfer(struct ctl *ctl, struct call call, const char *name, cJSON **ret_end)
{
    struct progress progress;
    bool last = false, is_told = false;
    int r;

    client_catch_interrupt();
    progress_init(&progress, ctl, name);
    r = client_start(ctl, call);
    while (r == 0 && !last) {
        _cleanup_json_ cJSON *object = NULL;
        r = client_next(ctl, &object, &last);
        if (r == 0 && object)
            tell_resumed(ctl, name, object,
                         json_number(object, last ? "size_bytes" : "total_bytes", 0), &is_told);
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
    if (cJSON_IsTrue(json_member(end, "kept"))) {
        fputs("  is as new there, and was kept\n", stderr);
        return 0;
    }
    render_size(size, text);
    fprintf(stderr, "  %s of %s  100%%", text, text);
    if (seconds > 0)
        fprintf(stderr, "  %s/s  %s",
                render_size((size - json_number(end, "resumed_bytes", 0)) / seconds, rate),
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

int file_check_rate(const struct options *options)
{
    const char *text = options_get(options, "rate");
    uint64_t rate;

    if (!text || text_parse_size(text, &rate) == 0)
        return 0;
    return fail_usage("--rate is bytes per second, such as 5MiB, not \"%s\"", text);
}

int file_check_overwrite(const struct options *options)
{
    const char *text = options_get(options, "overwrite");

    if (!text || strcmp(text, "never") == 0 || strcmp(text, "newer") == 0 ||
        strcmp(text, "always") == 0)
        return 0;
    return fail_usage("--overwrite is never, newer or always, not \"%s\"", text);
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

int file_list(struct ctl *ctl, const struct place *place, bool all_nodes, cJSON **ret)
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
    int r = file_list(ctl, &place, all_nodes, &answer);
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

bool file_is_glob(const char *text)
{
    return strpbrk(text, "*?[") != NULL;
}

/* Every file that a glob means, after asking once. */
static int remove_glob(struct ctl *ctl, const struct place *place)
{
    _cleanup_json_ cJSON *answer = NULL;
    _cleanup_free_ char *question = NULL;
    int r = file_list(ctl, place, false, &answer);

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
        globs = globs || file_is_glob(options->words[i]);
    if (many && !globs) {
        _cleanup_free_ char *question = NULL;
        if (asprintf(&question, "remove %zu files", options->words_count) < 0)
            return fail_memory();
        r = ctl_confirm(ctl, question);
    }
    for (size_t i = 0; i < options->words_count && r == 0; i++) {
        struct place place;
        place_parse(options->words[i], &place);
        r = file_is_glob(place.rest) ? remove_glob(ctl, &place) : file_check_name(place.rest);
        if (r == 0 && !file_is_glob(place.rest))
            r = remove_file(ctl, &place);
    }
    return r;
}
