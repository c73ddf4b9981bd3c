/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>
#include "base/glob.h"
#include "control/data/file.h"

/* A file whose holder is not named, and that is not here, or damaged: all are asked, and who first
 * says that it has it gives it. One that has it damaged does where nobody has it intact, and so
 * says what is wrong. */

struct search {
    struct node *node; /* borrowed */
    struct call *call; /* borrowed until gone; NULL = nobody waits, or one was found */
    file_from_t from;
    size_t pending;
    struct silence silence;
    char name[FILES_NAME_MAX + 1];
    char damaged[NODE_NAME_MAX + 1]; /* who has it, but not as it was stored; "" = none */
};

/* Whether this node has exactly that file, and intact. */
static const char *find_holder(struct search *search, const cJSON *files)
{
    const char *file = NULL, *holder = NULL;

    json_for_each (item, files) {
        bool is_damaged = false;
        if (json_get_string(item, "name", &file) <= 0 || strcmp(file, search->name) != 0 ||
            json_get_string(item, "node", &holder) <= 0)
            continue;
        (void)json_get_bool(item, "damaged", &is_damaged);
        if (!is_damaged)
            return holder;
        if (!*search->damaged)
            snprintf(search->damaged, sizeof(search->damaged), "%s", holder);
    }
    return NULL;
}

static void fail_search(struct search *search, struct call *call)
{
    fail_nowhere(call, &search->silence, "p2pctl file ls --all-nodes", "file", search->name);
}

static void on_search_answer(const char *member, const struct remote_reply *answer, void *data)
{
    struct search *search = data;
    struct call *call = search->call;
    const cJSON *files = NULL;
    const char *holder = NULL;

    search->pending--;
    if (call && answer->r >= 0 && !answer->error &&
        json_get_array(answer->parameters, "files", &files) > 0) {
        holder = find_holder(search, files);
    } else if (call) {
        silence_add(&search->silence, member);
    }
    if (call && search->pending == 0 && !holder && *search->damaged)
        holder = search->damaged;
    if (holder || (call && search->pending == 0)) {
        search->call = NULL;
        call_on_gone(call, NULL, NULL);
        if (holder)
            search->from(search->node, call, holder, search->name);
        else
            fail_search(search, call);
    }
    if (search->pending == 0)
        free(search);
}

void file_search(struct node *node, struct call *call, const char *name, file_from_t from,
                 bool is_damaged_here)
{
    struct search *search = calloc(1, sizeof(*search));
    _cleanup_json_ cJSON *parameters = cJSON_CreateObject();
    char glob[4 * FILES_NAME_MAX + 1] = "";

    if (!search)
        return fail_memory(call);
    *search = (struct search){.node = node, .call = call, .from = from};
    snprintf(search->name, sizeof(search->name), "%s", name);
    if (is_damaged_here)
        snprintf(search->damaged, sizeof(search->damaged), "%s", node->config->node.name);
    glob_quote(name, glob);
    if (strlen(glob) <= FILES_NAME_MAX)
        json_add_string(parameters, "glob", glob);
    search->pending = ask_others(node, call, "org.p2pnode.ListFiles", parameters, &search->silence,
                                 on_search_answer, search);
    if (search->pending > 0) {
        call_hold(call, &search->call);
        return;
    }
    if (is_damaged_here)
        from(node, call, search->damaged, search->name);
    else
        fail_search(search, call);
    free(search);
}
