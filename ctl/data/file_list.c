/* SPDX-License-Identifier: MIT */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/glob.h"
#include "base/table.h"
#include "client.h"
#include "commands.h"
#include "console/failure.h"
#include "console/render.h"
#include "console/screen.h"
#include "data/file.h"
#include "data/place.h"

/* `p2pctl file ls`, and the names that a glob means. */

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
    if (cJSON_IsTrue(json_member(file, "damaged")))
        *cell = (struct cell){.text = strdup("damaged"), .tone = TONE_BAD};
    else
        cell_printf(cell, "%.8s", json_text(file, "sha256", "-"));
}

static void mode_cell(const struct ctl *ctl, const cJSON *file, struct cell *cell)
{
    (void)ctl;
    if (json_is_set(file, "mode"))
        cell_printf(cell, "%04o", (unsigned)json_number(file, "mode", 0));
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
    {"MODE", "mode", COLUMN_EXTRA | COLUMN_RIGHT, mode_cell},
    {"DAMAGED", "damaged", COLUMN_EXTRA, NULL},
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

/* What the line below a list says. */
struct total {
    size_t count;
    double size;
};

static void add_files(struct total *total, const cJSON *files)
{
    json_for_each (file, files) {
        total->count++;
        total->size += json_number(file, "size_bytes", 0);
    }
}

static void print_total(const struct total *total, FILE *stream)
{
    char text[RENDER_TEXT_MAX];

    fprintf(stream, "%zu file%s, %s.\n", total->count, PLURAL(total->count),
            render_size(total->size, text));
}

static void file_footer(const struct ctl *ctl, const cJSON *answer, FILE *stream)
{
    struct total total = {0};

    (void)ctl;
    add_files(&total, json_member(answer, "files"));
    print_total(&total, stream);
}

static struct call list_call(const struct ctl *ctl, const struct place *place, bool all_nodes)
{
    cJSON *parameters = place_parameters(ctl, place);

    if (*place->rest)
        json_add_string(parameters, "glob", place->rest);
    if (all_nodes)
        json_add_bool(parameters, "all_nodes", true);
    return (struct call){"ListFiles", parameters, -1, false, NULL};
}

int file_check_all_nodes(const struct ctl *ctl, const struct place *place)
{
    if (options_has(&ctl->options, "all-nodes") && (*place->node || ctl->globals.node))
        return fail_usage("name a node, or say --all-nodes, but not both");
    return 0;
}

/* --- Names, where there is no screen --- */

void file_names_done(struct file_names *names)
{
    for (size_t i = 0; i < names->count; i++)
        free(names->items[i].name);
    free(names->items);
    *names = (struct file_names){0};
}

static int add_names(struct ctl *ctl, cJSON *part, void *data)
{
    struct file_names *names = data;

    (void)ctl;
    json_for_each (file, json_member(part, "files")) {
        if (names->count == names->allocated) {
            size_t allocated = MAX((size_t)64, 2 * names->allocated);
            struct file_name *items = reallocarray(names->items, allocated, sizeof(*items));
            if (!items)
                return fail_memory();
            names->items = items;
            names->allocated = allocated;
        }
        char *name = strdup(json_text(file, "name", ""));
        if (!name)
            return fail_memory();
        names->items[names->count++] =
            (struct file_name){name, (uint64_t)json_number(file, "size_bytes", 0)};
    }
    return 0;
}

/* Where @name is among them: it alone. */
static void keep_exact(struct file_names *names, const char *name)
{
    for (size_t i = 0; i < names->count && !names->is_exact; i++) {
        if (strcmp(names->items[i].name, name) != 0)
            continue;
        const struct file_name exact = names->items[i];
        names->items[i] = names->items[0];
        names->items[0] = exact;
        names->is_exact = true;
    }
    while (names->is_exact && names->count > 1)
        free(names->items[--names->count].name);
}

int file_find(struct ctl *ctl, const struct place *place, struct file_names *ret)
{
    _cleanup_(file_names_done) struct file_names names = {0};
    struct call call = list_call(ctl, place, false);

    json_add_bool(call.parameters, "brief", true);
    int r = client_each(ctl, call, add_names, &names);

    if (r != 0)
        return r;
    keep_exact(&names, place->rest);
    *ret = names;
    names = (struct file_names){0};
    return 0;
}

int file_find_everywhere(struct ctl *ctl, const char *text, cJSON **ret)
{
    struct place place = {.rest = text};
    bool is_glob = file_is_glob(text), is_exact = !is_glob;
    _cleanup_free_ char *quoted = malloc(4 * strlen(text) + 1);

    if (!quoted)
        return fail_memory();
    glob_quote(text, quoted);
    if (!is_glob)
        place.rest = strlen(quoted) <= NAME_MAX ? quoted : ""; /* "" = all */
    int r = client_list(ctl, list_call(ctl, &place, true), "files", ret);
    if (r != 0)
        return r;
    cJSON *files = cJSON_GetObjectItemCaseSensitive(*ret, "files");
    json_for_each (file, files)
        is_exact = is_exact || strcmp(json_text(file, "name", ""), text) == 0;
    for (cJSON *file = files ? files->child : NULL, *next; file; file = next) {
        const char *name = json_text(file, "name", "");
        next = file->next;
        if (is_exact ? strcmp(name, text) != 0 : !glob_matches(text, name))
            cJSON_Delete(cJSON_DetachItemViaPointer(files, file));
    }
    return 0;
}

int file_fail_no_match(const struct ctl *ctl, const struct place *place)
{
    const char *node = *place->node ? place->node : ctl->globals.node;
    _cleanup_free_ char *hint = NULL;

    if (asprintf(&hint, "other nodes are not asked; they are by: p2pctl file ls --all-nodes '%s'",
                 place->rest) < 0)
        return fail_memory();
    return fail(ERROR_NOT_FOUND, NULL, hint, "no file of %s matches \"%s\"",
                node ? node : "this node", place->rest);
}

/* --- ls --- */

struct listing {
    struct screen_flow flow;
    struct total total;
};

static int show_part(struct ctl *ctl, cJSON *part, void *data)
{
    struct listing *listing = data;
    int r = screen_show_part(ctl, &file_screen, part, &listing->flow);

    if (r == 0)
        add_files(&listing->total, json_member(part, "files"));
    return r;
}

/* As it comes: nothing of a million files is held. */
static int list_in_parts(struct ctl *ctl, const struct place *place)
{
    struct listing listing = {0};
    struct call call = list_call(ctl, place, false);

    json_add_bool(call.parameters, "hashes", true);
    int r = client_each(ctl, call, show_part, &listing);

    if (r == 0 && ctl->globals.json == JSON_OFF && ctl->globals.legend) {
        putchar('\n');
        print_total(&listing.total, stdout);
    }
    return r;
}

/* What needs all of them: their order, the nodes of each, one JSON, what changed since. */
static bool needs_all(const struct ctl *ctl, bool all_nodes)
{
    const struct globals *globals = &ctl->globals;

    return all_nodes || globals->is_sorted || globals->json == JSON_SHORT ||
           globals->json == JSON_PRETTY || ctl->shown;
}

int file_list_run(struct ctl *ctl)
{
    _cleanup_json_ cJSON *answer = NULL;
    struct place place = {.rest = ""};
    bool all_nodes = options_has(&ctl->options, "all-nodes");

    if (ctl->options.words_count > 0)
        place_parse(ctl->options.words[0], &place);
    int r = file_check_all_nodes(ctl, &place);
    if (r == 0 && options_has(&ctl->options, "human") && options_has(&ctl->options, "bytes"))
        r = fail_usage("--human or --bytes, but not both");
    if (r != 0)
        return r;
    if (!needs_all(ctl, all_nodes))
        return list_in_parts(ctl, &place);
    struct call call = list_call(ctl, &place, all_nodes);
    json_add_bool(call.parameters, "hashes", true);
    r = client_list(ctl, call, "files", &answer);
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
