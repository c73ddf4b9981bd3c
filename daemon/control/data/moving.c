/* SPDX-License-Identifier: MIT */
#include "control/data/moving.h"

#include <math.h>
#include <stdio.h>
#include "control/data/file.h"

#define RATE_OLD 0.7 /* weight of what the rate was, four times a second */

struct moving *moving_new(struct node *node, struct call *call, const char *place, const char *name,
                          bool is_put)
{
    struct moving *moving = calloc(1, sizeof(*moving));

    if (!moving) {
        fail_memory(call);
        return NULL;
    }
    *moving = (struct moving){
        .node = node, .call = call, .is_put = is_put, .count = 1, .total = FILES_SIZE_UNKNOWN};
    list_init(&moving->link);
    list_append(&node->moves, &moving->link);
    snprintf(moving->place, sizeof(moving->place), "%s", place ? place : node->config->node.name);
    snprintf(moving->name, sizeof(moving->name), "%s", name);
    return moving;
}

struct moving *moving_free(struct moving *moving)
{
    if (moving)
        list_remove(&moving->link);
    free(moving);
    return NULL;
}

void moving_note(struct moving *moving, const struct transfer_progress *progress)
{
    usec_t now = node_now(moving->node), since = usec_sub(now, moving->progress_usec);

    if (moving->progress_usec > 0 && since > 0 && progress->done >= moving->done) {
        double rate = (double)(progress->done - moving->done) * USEC_PER_SEC / (double)since;
        moving->rate = moving->rate > 0 ? RATE_OLD * moving->rate + (1 - RATE_OLD) * rate : rate;
    }
    moving->progress_usec = now;
    moving->done = progress->done;
    moving->total = progress->total;
}

void file_add_transfers(const struct node *node, cJSON *json)
{
    cJSON *list = cJSON_AddArrayToObject(json, "transfers");

    list_for_each (link, &node->moves) {
        const struct moving *moving = list_entry(link, struct moving, link);
        cJSON *item = cJSON_CreateObject();
        json_add_string(item, "name", moving->name);
        json_add_u64(item, "files", moving->count);
        json_add_string(item, "node", moving->place);
        json_add_string(item, "direction", moving->is_put ? "out" : "in");
        json_add_u64(item, "done_bytes", moving->done);
        if (moving->total == FILES_SIZE_UNKNOWN)
            json_add_null(item, "total_bytes");
        else
            json_add_u64(item, "total_bytes", moving->total);
        json_add_double(item, "rate_bytes_s", moving->rate > 0 ? moving->rate : (double)NAN);
        cJSON_AddItemToArray(list, item);
    }
}
