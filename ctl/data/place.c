/* SPDX-License-Identifier: MIT */
#include "data/place.h"

#include <stdio.h>
#include <string.h>
#include "base/json.h"

/* The size of the node's name before the colon; 0 for ":REST"; SIZE_MAX where there is none. */
static size_t node_size(const char *word, char name[static NODE_NAME_MAX + 1])
{
    size_t size = strcspn(word, ":");

    if (word[size] != ':' || size > NODE_NAME_MAX)
        return SIZE_MAX;
    memcpy(name, word, size);
    name[size] = '\0';
    return size == 0 || text_is_node_name(name) ? size : SIZE_MAX;
}

void place_parse(const char *word, struct place *ret)
{
    size_t size = node_size(word, ret->node);

    if (size == SIZE_MAX) {
        ret->node[0] = '\0';
        ret->rest = word;
        return;
    }
    ret->rest = word + size + 1;
}

bool place_is_named(const char *word)
{
    char name[NODE_NAME_MAX + 1];

    return *word != '.' && *word != '/' && node_size(word, name) != SIZE_MAX;
}

cJSON *place_parameters(const struct ctl *ctl, const struct place *place)
{
    cJSON *parameters = cJSON_CreateObject();
    const char *node = *place->node ? place->node : ctl->globals.node;

    if (node)
        json_add_string(parameters, "node", node);
    return parameters;
}
