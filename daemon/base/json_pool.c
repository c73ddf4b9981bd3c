/* SPDX-License-Identifier: MIT */
#include "base/json_pool.h"

#include <cjson/cJSON.h>
#include <malloc.h>
#include <stdlib.h>
#include "base/macro.h"

#define KEPT_MAX 256 /* of each size: more than one message has */

/* What malloc makes of a short text, and of an item with its pointers. */
#define TEXT_SIZE ((size_t)24)
#define ITEM_SIZE ((size_t)72)

struct chunk {
    struct chunk *next;
};

struct kept {
    struct chunk *first;
    size_t count;
};

static _Thread_local bool is_pooled;
static _Thread_local struct kept texts, items;

static void *take(struct kept *kept, size_t size)
{
    struct chunk *chunk = kept->first;

    if (!chunk)
        return malloc(size);
    kept->first = chunk->next;
    kept->count--;
    return chunk;
}

static void *allocate(size_t size)
{
    if (!is_pooled || size > ITEM_SIZE)
        return malloc(size);
    return size <= TEXT_SIZE ? take(&texts, TEXT_SIZE) : take(&items, ITEM_SIZE);
}

static void keep(struct kept *kept, struct chunk *chunk)
{
    if (kept->count == KEPT_MAX) {
        free(chunk);
        return;
    }
    chunk->next = kept->first;
    kept->first = chunk;
    kept->count++;
}

static void release(void *memory)
{
    size_t size = is_pooled && memory ? malloc_usable_size(memory) : 0;

    if (size == TEXT_SIZE)
        keep(&texts, memory);
    else if (size == ITEM_SIZE)
        keep(&items, memory);
    else
        free(memory);
}

/* Whether malloc rounds up to these sizes: not where each byte is watched, nor in another library.
 */
static bool has_sizes(void)
{
    _cleanup_free_ void *text = malloc(1), *item = malloc(ITEM_SIZE);

    return text && item && malloc_usable_size(text) == TEXT_SIZE &&
           malloc_usable_size(item) == ITEM_SIZE;
}

void json_pool_start(void)
{
    cJSON_Hooks hooks = {.malloc_fn = allocate, .free_fn = release};

    is_pooled = has_sizes();
    if (is_pooled)
        cJSON_InitHooks(&hooks);
}

static void empty(struct kept *kept)
{
    for (struct chunk *chunk = kept->first, *next; chunk; chunk = next) {
        next = chunk->next;
        free(chunk);
    }
    *kept = (struct kept){0};
}

void json_pool_rest(void)
{
    empty(&texts);
    empty(&items);
}
