/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include "base/text.h"
#include "control/data/file.h"
#include "control/data/moving.h"

/* What there is now: of a put, or of a get. */
static void fill_item(cJSON *json, const struct moving *moving, const struct transfer_item *item)
{
    char sha256[2 * FILES_HASH_SIZE + 1];

    if (!moving->is_brief)
        json_add_string(json, "sha256", text_format_hex(item->sha256, FILES_HASH_SIZE, sha256));
    if (moving->is_put)
        return;
    json_add_u64(json, "size_bytes", item->size);
    if (!moving->is_brief)
        json_add_string(json, "owner", item->owner);
    json_add_time(json, "modified", item->modified_wall_usec);
    if (!moving->is_brief || !(item->mode & FILES_MODE_KNOWN))
        json_add_bool(json, "executable", item->is_executable);
    file_add_mode(json, item->mode);
}

static void fill_refusal(cJSON *json, const char *place, const struct transfer_item *item)
{
    char text[512] = "";

    json_add_string(json, "error", error_get_varlink(error_from_errno(item->r)));
    if (item->r == -EEXIST)
        snprintf(text, sizeof(text), "\"%s\" is on %s already", item->name, place);
    else if (item->r == -ENOENT)
        snprintf(text, sizeof(text), "no file \"%s\" on %s", item->name, place);
    else if (item->r == -ESTALE)
        snprintf(text, sizeof(text), "\"%s\" on %s is damaged: it was changed since it was stored",
                 item->name, place);
    json_add_string(json, "message", *text ? text : item->reason);
}

void moving_fill_list(cJSON *reply, const struct moving *moving, const struct transfer_end *end)
{
    cJSON *list = cJSON_AddArrayToObject(reply, "files");

    for (size_t i = 0; i < end->count; i++) {
        const struct transfer_item *item = &end->list[i];
        cJSON *json = cJSON_CreateObject();
        if (!moving->is_brief)
            json_add_string(json, "name", item->name);
        if (item->r == 0)
            fill_item(json, moving, item);
        else if (item->r < 0)
            fill_refusal(json, moving->place, item);
        else if (moving->is_brief)
            json_add_bool(json, "kept", true);
        cJSON_AddItemToArray(list, json);
    }
}
