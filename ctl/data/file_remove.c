/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>
#include "client.h"
#include "commands.h"
#include "console/failure.h"
#include "data/file.h"
#include "data/place.h"
#include "console/render.h"
#include "console/screen.h"

/* `p2pctl file rm`: one by one, or where they are many in few calls. */

#define MANY_MAX 1000 /* names of one call */

static void tell_removed(const struct ctl *ctl, const char *name, const char *node, double size)
{
    char text[RENDER_TEXT_MAX];

    if (ctl->globals.quiet)
        return;
    fputs("removed ", stdout);
    render_tinted(ctl, stdout, TONE_PLAIN, name);
    fputs(" from ", stdout);
    render_tinted(ctl, stdout, TONE_PLAIN, node);
    printf(" (%s)\n", render_size(size, text));
}

static int remove_file(struct ctl *ctl, const struct place *place)
{
    _cleanup_json_ cJSON *answer = NULL;
    cJSON *parameters = place_parameters(ctl, place);

    json_add_string(parameters, "name", place->rest);
    int r = client_call(ctl, (struct call){"RemoveFile", parameters, -1, false, NULL}, &answer);
    if (r != 0)
        return r;
    if (ctl->globals.json != JSON_OFF)
        return render_json(ctl, answer, NULL);
    tell_removed(ctl, json_text(answer, "name", "?"), json_text(answer, "node", "?"),
                 json_number(answer, "size_bytes", 0));
    return 0;
}

/* What became of one of many. Return: 0, or the exit code after telling. */
static int show_one(const struct ctl *ctl, const cJSON *answer, const cJSON *item)
{
    const char *name = json_text(item, "name", "?"), *node = json_text(answer, "node", "?");
    const char *error = json_text(item, "error", NULL);
    enum error_code code = error ? error_from_varlink(error) : ERROR_INTERNAL;

    if (error && json_is_set(item, "message"))
        return fail(code, NULL, "move it out of the files.dir of that node by hand", "%s",
                    json_text(item, "message", ""));
    if (error)
        return fail(code, NULL, NULL,
                    code == ERROR_NOT_FOUND ? "no file \"%s\" on %s"
                                            : "cannot remove \"%s\" from %s",
                    name, node);
    if (ctl->globals.json == JSON_OFF) {
        tell_removed(ctl, name, node, json_number(item, "size_bytes", 0));
        return 0;
    }
    _cleanup_json_ cJSON *json = cJSON_CreateObject();
    json_add_string(json, "schema", "p2pctl.file-rm/1");
    json_add_string(json, "name", name);
    json_add_string(json, "node", node);
    json_add_u64(json, "size_bytes", (uint64_t)json_number(item, "size_bytes", 0));
    return render_json(ctl, json, NULL);
}

/* One call. @names is taken over. */
static int remove_some(struct ctl *ctl, const struct place *place, cJSON *names)
{
    _cleanup_json_ cJSON *answer = NULL;
    cJSON *parameters = place_parameters(ctl, place);
    int failure = 0;

    cJSON_AddItemToObject(parameters, "names", names);
    int r = client_call(ctl, (struct call){"RemoveFile", parameters, -1, false, NULL}, &answer);
    if (r != 0)
        return r;
    json_for_each (item, json_member(answer, "files")) {
        r = show_one(ctl, answer, item);
        failure = failure ? failure : r;
    }
    return failure;
}

/* Every file that a glob means, after asking once. */
static int remove_glob(struct ctl *ctl, const struct place *place)
{
    _cleanup_(file_names_done) struct file_names found = {0};
    _cleanup_free_ char *question = NULL;
    int r = file_find(ctl, place, &found);

    if (r == 0 && found.count == 0)
        r = file_fail_no_match(ctl, place);
    if (r != 0)
        return r;
    if (found.is_exact && ctl->options.words_count == 1)
        return remove_file(ctl, place);
    if (asprintf(&question, "remove %zu file%s", found.count, PLURAL(found.count)) < 0)
        return fail_memory();
    r = ctl_confirm(ctl, question);
    if (r != 0)
        return r;
    int failure = 0;
    for (size_t i = 0; i < found.count && file_may_go_on(r);) {
        cJSON *names = cJSON_CreateArray();
        for (size_t end = MIN(i + MANY_MAX, found.count); i < end; i++)
            cJSON_AddItemToArray(names, cJSON_CreateString(found.items[i].name));
        r = remove_some(ctl, place, names);
        failure = failure ? failure : r;
    }
    return failure;
}

/* --- --all-nodes --- */

/* One node that is not there does not hinder the others. */
static bool may_go_on(const struct ctl *ctl, int r)
{
    return file_may_go_on(r) ||
           (options_has(&ctl->options, "all-nodes") && r == error_get_exit(ERROR_UNREACHABLE));
}

/* {"lab-05":["run1.h5"]}, of a list of files. */
static cJSON *group_by_node(const cJSON *files)
{
    cJSON *nodes = cJSON_CreateObject();

    json_for_each (file, files) {
        const char *node = json_text(file, "node", "");
        cJSON *names = cJSON_GetObjectItemCaseSensitive(nodes, node);
        if (!names)
            names = cJSON_AddArrayToObject(nodes, node);
        cJSON_AddItemToArray(names, cJSON_CreateString(json_text(file, "name", "")));
    }
    return nodes;
}

/* All @names of one node; they are used up. */
static int remove_from(struct ctl *ctl, cJSON *names)
{
    struct place place = {.rest = ""};
    int failure = 0, r = 0;

    snprintf(place.node, sizeof(place.node), "%s", names->string);
    while (names->child && file_may_go_on(r)) {
        cJSON *some = cJSON_CreateArray();
        for (size_t i = 0; i < MANY_MAX && names->child; i++)
            cJSON_AddItemToArray(some, cJSON_DetachItemViaPointer(names, names->child));
        r = remove_some(ctl, &place, some);
        failure = failure ? failure : r;
    }
    return failure;
}

static int ask_everywhere(const struct ctl *ctl, int count, int nodes)
{
    _cleanup_free_ char *question = NULL;

    if (asprintf(&question, "remove %d file%s from %d node%s", count, PLURAL(count), nodes,
                 PLURAL(nodes)) < 0)
        return fail_memory();
    return ctl_confirm(ctl, question);
}

/* Who did not answer may have it, and keeps it. */
static int fail_silent(const char *text, const char *silent)
{
    return fail(ERROR_UNREACHABLE, NULL, "p2pctl members",
                "no answer from %s, where \"%s\" may still be", silent, text);
}

/* What one word means, wherever it is. @is_agreed: nothing is left to be asked. */
static int remove_everywhere(struct ctl *ctl, const char *text, bool is_agreed)
{
    _cleanup_json_ cJSON *answer = NULL;
    int r = file_find_everywhere(ctl, text, &answer), failure = 0;

    if (r != 0)
        return r;
    _cleanup_json_ cJSON *nodes = group_by_node(json_member(answer, "files"));
    _cleanup_free_ char *silent = screen_value(json_member(answer, "unanswered"));
    int count = cJSON_GetArraySize(json_member(answer, "files"));
    if (count == 0 && !(silent && *silent))
        return fail(ERROR_NOT_FOUND, NULL, "p2pctl file ls --all-nodes",
                    file_is_glob(text) ? "no file of any node matches \"%s\""
                                       : "no node has a file \"%s\"",
                    text);
    if (!is_agreed && (count > 1 || (count > 0 && file_is_glob(text))))
        r = ask_everywhere(ctl, count, cJSON_GetArraySize(nodes));
    if (r != 0)
        return r;
    for (cJSON *names = nodes ? nodes->child : NULL; names && may_go_on(ctl, r);
         names = names->next) {
        r = remove_from(ctl, names);
        failure = failure ? failure : r;
    }
    if (silent && *silent && may_go_on(ctl, r)) {
        r = fail_silent(text, silent);
        failure = failure ? failure : r;
    }
    return failure;
}

/* --- What is said --- */

/* How many words from @first on are names on one node. */
static size_t count_names(const struct options *options, size_t first, struct place *place)
{
    struct place next;
    size_t count = 0;

    place_parse(options->words[first], place);
    for (next = *place; strcmp(next.node, place->node) == 0 && !file_is_glob(next.rest);) {
        count++;
        if (first + count == options->words_count || count == MANY_MAX)
            break;
        place_parse(options->words[first + count], &next);
    }
    return count;
}

/* The word @first, and as many after it as go with it. Return: 0, or the exit code. */
static int remove_words(struct ctl *ctl, size_t first, bool is_agreed, size_t *ret_count)
{
    struct place place;
    size_t count = count_names(&ctl->options, first, &place);

    *ret_count = 1;
    if (options_has(&ctl->options, "all-nodes"))
        return remove_everywhere(ctl, place.rest, is_agreed);
    if (count == 0)
        return remove_glob(ctl, &place);
    if (count < FILE_MANY_MIN)
        return remove_file(ctl, &place);
    cJSON *names = cJSON_CreateArray();
    for (size_t i = first; i < first + count; i++) {
        place_parse(ctl->options.words[i], &place);
        cJSON_AddItemToArray(names, cJSON_CreateString(place.rest));
    }
    *ret_count = count;
    return remove_some(ctl, &place, names);
}

int file_remove_run(struct ctl *ctl)
{
    const struct options *options = &ctl->options;
    bool many = options->words_count > 1, globs = false,
         all_nodes = options_has(options, "all-nodes");
    int r = 0;

    for (size_t i = 0; i < options->words_count && r == 0; i++) {
        struct place place;
        place_parse(options->words[i], &place);
        globs = globs || file_is_glob(place.rest);
        r = file_check_all_nodes(ctl, &place);
        if (r == 0 && !file_is_glob(place.rest))
            r = file_check_name(place.rest);
    }
    if (r == 0 && many && !globs) {
        _cleanup_free_ char *question = NULL;
        if (asprintf(&question, "remove %zu files%s", options->words_count,
                     all_nodes ? " from all nodes" : "") < 0)
            return fail_memory();
        r = ctl_confirm(ctl, question);
    }
    if (r != 0)
        return r;
    if (many || globs || all_nodes)
        render_several(ctl, "files");
    int failure = 0;
    for (size_t i = 0, count; i < options->words_count && may_go_on(ctl, r); i += count) {
        r = remove_words(ctl, i, many && !globs, &count);
        failure = failure ? failure : r;
    }
    return failure;
}
