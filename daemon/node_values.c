/* SPDX-License-Identifier: MIT */
#include <string.h>
#include "base/log.h"
#include "node.h"

static int commit_values(struct node *node, struct state_batch **batch)
{
    int r = state_batch_is_empty(*batch) ? 0 : state_commit(node->state, batch);

    if (r < 0)
        log_debug("Values are saved later: the disk is behind");
    return r;
}

static int save_removals(struct node *node)
{
    _cleanup_(state_batch_freep) struct state_batch *drops = NULL;
    int r = state_drops_new(&drops);

    if (r < 0)
        return r;
    memory_save_removals(node->memory, drops);
    return commit_values(node, &drops);
}

void node_save_values(struct node *node, bool is_last)
{
    struct memory *memory = node->memory;
    bool keeps_values = node->config->mem.persist;
    bool has_more = is_last || memory_is_dirty(memory, keeps_values);

    if (memory_get_failure(memory) == 0)
        node->values_saved_wall_usec = node_wall(node);
    else if (has_more && keeps_values)
        has_more = save_removals(node) >= 0;
    while (has_more) {
        _cleanup_(state_batch_freep) struct state_batch *batch = NULL;
        if (state_batch_new(&batch) < 0)
            return;
        has_more = is_last ? memory_save_last(memory, batch, keeps_values)
                           : memory_save(memory, batch, keeps_values);
        if (commit_values(node, &batch) < 0)
            return;
    }
}

void node_tell_lost_values(const struct node *node)
{
    int r = memory_get_failure(node->memory);

    if (!memory_is_saved(node->memory, node->config->mem.persist))
        log_warning("What was set or removed in memory lately could not be saved%s%s, and is lost",
                    r < 0 ? ": " : "", r < 0 ? strerror(-r) : "");
}
