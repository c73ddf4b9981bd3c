/* SPDX-License-Identifier: MIT */
#include "seal/handshakes.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include "seal/seal.h"

#define REPEAT_MAX_USEC USEC_PER_SEC
#define DOUBLINGS_MAX   3U
#define SAMPLE_MAX_USEC (5 * USEC_PER_SEC)

static_assert(sizeof(struct handshake_key) == sizeof(struct address) + sizeof(struct node_id),
              "hashed and compared as bytes");

void handshakes_init(struct handshakes *handshakes, uint64_t seed)
{
    table_init(&handshakes->by_key, sizeof(struct handshake_key), seed);
    handshakes->heap = HEAP_NULL;
}

void handshakes_done(struct handshakes *handshakes)
{
    struct heap_entry *entry;

    while ((entry = heap_first(&handshakes->heap)))
        handshakes_remove(handshakes, CONTAINER_OF(entry, struct handshake, heap));
    heap_done(&handshakes->heap);
    table_done(&handshakes->by_key);
}

struct handshake *handshakes_find(const struct handshakes *handshakes,
                                  const struct address *address, const struct node_id *id)
{
    struct handshake_key key = {.address = *address, .id = *id};

    return table_find(&handshakes->by_key, &key);
}

struct handshake *handshakes_add(struct handshakes *handshakes, const struct address *address,
                                 const struct node_id *id,
                                 const uint8_t challenge[static CHALLENGE_SIZE])
{
    struct handshake *handshake;

    if (handshakes->by_key.count >= SEAL_HANDSHAKES_MAX)
        return NULL;
    handshake = calloc(1, sizeof(*handshake));
    if (!handshake)
        return NULL;
    handshake->key = (struct handshake_key){.address = *address, .id = *id};
    memcpy(handshake->challenge, challenge, sizeof(handshake->challenge));
    list_init(&handshake->held);
    /* In the heap from the start, so that every handshake has an end. */
    if (heap_set(&handshakes->heap, &handshake->heap, 0) < 0) {
        free(handshake);
        return NULL;
    }
    if (table_insert(&handshakes->by_key, &handshake->key, handshake) < 0) {
        heap_remove(&handshakes->heap, &handshake->heap);
        free(handshake);
        return NULL;
    }
    return handshake;
}

void handshakes_remove(struct handshakes *handshakes, struct handshake *handshake)
{
    (void)table_remove(&handshakes->by_key, &handshake->key);
    heap_remove(&handshakes->heap, &handshake->heap);
    list_for_each_safe (link, &handshake->held)
        free(list_entry(link, struct held, link));
    free(handshake);
}

void handshakes_measure(struct handshakes *handshakes, const struct handshake *handshake,
                        usec_t now)
{
    usec_t sample = MIN(usec_sub(now, handshake->began_usec), SAMPLE_MAX_USEC);

    handshakes->answer_usec = (7 * handshakes->answer_usec + sample) / 8;
}

void handshakes_schedule(struct handshakes *handshakes, struct handshake *handshake, usec_t now)
{
    usec_t repeat = CLAMP(2 * handshakes->answer_usec, HANDSHAKE_REPEAT_USEC, REPEAT_MAX_USEC);
    usec_t wait = repeat << MIN(handshake->hellos, DOUBLINGS_MAX);

    if (handshake->hellos++ == 0)
        handshake->began_usec = now;
    handshake->said_usec = now;
    /* It is in the heap already, so this only moves it and cannot fail. */
    (void)heap_set(&handshakes->heap, &handshake->heap, usec_add(now, wait));
}

struct handshake *handshakes_first_due(const struct handshakes *handshakes, usec_t now)
{
    struct heap_entry *entry = heap_first(&handshakes->heap);

    return entry && entry->time_usec <= now ? CONTAINER_OF(entry, struct handshake, heap) : NULL;
}

int handshake_hold(struct handshake *handshake, const void *plain, size_t size)
{
    struct held *held = malloc(sizeof(*held) + size);

    if (!held)
        return -ENOMEM;
    held->size = size;
    memcpy(held->plain, plain, size);
    list_append(&handshake->held, &held->link);
    if (++handshake->held_count <= SEAL_HELD_MAX)
        return 0;
    struct held *oldest = list_first(&handshake->held, struct held, link);
    list_remove(&oldest->link);
    free(oldest);
    handshake->held_count--;
    return 1;
}
