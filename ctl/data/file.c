/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>
#include "base/table.h"
#include "client.h"
#include "commands.h"
#include "console/failure.h"
#include "data/file.h"
#include "data/place.h"
#include "console/progress.h"
#include "console/render.h"
#include "console/screen.h"

/* The stores of files: ls, and the stream that `file put` (file_put.c, file_pack.c) and `file get`
 * (file_get.c) share. */

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
        if (r != 0 || last)
            continue;
        progress_skip(&progress, json_number(object, "resumed_bytes", 0));
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
const struct screen file_screen = {"files", file_columns, ARRAY_SIZE(file_columns)};

/* "lab-01" becomes "lab-01,lab-03". */
static void add_node(cJSON *file, const char *node)
{
    _cleanup_free_ char *nodes = NULL;

    if (asprintf(&nodes, "%s,%s", json_text(file, "node", ""), node) >= 0)
        cJSON_ReplaceItemInObjectCaseSensitive(file, "node", cJSON_CreateString(nodes));
}

/* The same content under the same name is one row. */
static void merge_nodes(cJSON *files)
{
    _cleanup_free_ char **keys = calloc((size_t)cJSON_GetArraySize(files) + 1, sizeof(*keys));
    struct table seen;
    size_t count = 0;

    if (!keys)
        return;
    table_init(&seen, 0, (uint64_t)(uintptr_t)files);
    for (cJSON *file = files->child, *next; file; file = next) {
        const char *sha256 = json_text(file, "sha256", NULL);
        next = file->next;
        if (!sha256 || asprintf(&keys[count], "%s/%s", json_text(file, "name", ""), sha256) < 0)
            continue;
        cJSON *first = table_find(&seen, keys[count]);
        if (!first) {
            (void)table_insert(&seen, keys[count++], file);
            continue;
        }
        free(keys[count]);
        add_node(first, json_text(file, "node", ""));
        cJSON_Delete(cJSON_DetachItemViaPointer(files, file));
    }
    table_done(&seen);
    while (count > 0)
        free(keys[--count]);
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

bool file_is_glob(const char *text)
{
    return strpbrk(text, "*?[") != NULL;
}
