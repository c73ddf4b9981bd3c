/* SPDX-License-Identifier: MIT */

/*
 * What the ground floor costs: one JSON line per figure, beside what the machine can do at best in
 * the same run (a copy of the same bytes, a comparison of the same key).
 */

#include <stdio.h>
#include <string.h>
#include <time.h>
#include "base/bytes.h"
#include "base/heap.h"
#include "base/macro.h"
#include "base/rng.h"
#include "base/table.h"

#define ROUNDS  2000000
#define ENTRIES 4096

/* Keeps what was computed from being optimized away. */
static volatile uint64_t sink;

static double nanoseconds_since(const struct timespec *start)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)(now.tv_sec - start->tv_sec) * 1e9 + (double)(now.tv_nsec - start->tv_nsec);
}

static double measure(void (*step)(size_t i))
{
    struct timespec start;

    clock_gettime(CLOCK_MONOTONIC, &start);
    for (size_t i = 0; i < ROUNDS; i++)
        step(i);
    return nanoseconds_since(&start) / ROUNDS;
}

static void report(const char *name, double ns, const char *limit, double limit_ns)
{
    printf("{\"bench\":\"%s\",\"ns\":%.1f,\"limit\":\"%s\",\"limit_ns\":%.1f,\"ratio\":%.1f}\n",
           name, ns, limit, limit_ns, limit_ns > 0 ? ns / limit_ns : 0);
}

static uint8_t packet[64];

/* The fields of a typical frame: type, number, id, address. */
static void write_frame(size_t i)
{
    struct writer writer = writer_into(packet, sizeof(packet));

    writer_u8(&writer, 3);
    writer_u64(&writer, i);
    writer_bytes(&writer, "0123456789abcdef", 16);
    writer_u32(&writer, 0x0a000402);
    writer_u16(&writer, 7717);
    sink = writer.position;
}

static void read_frame(size_t i _unused_)
{
    struct reader reader = reader_from(packet, 31);
    uint8_t id[16];

    uint64_t sum = reader_u8(&reader) + reader_u64(&reader);
    reader_copy(&reader, id, sizeof(id));
    sink = sum + id[0] + reader_u32(&reader) + reader_u16(&reader);
}

static void copy_frame(size_t i)
{
    uint8_t copy[31];

    packet[1] = (uint8_t)i;
    memcpy(copy, packet, sizeof(copy));
    sink = copy[i % sizeof(copy)];
}

static struct table table;
static char keys[ENTRIES][16];

static void find_key(size_t i)
{
    sink = (uint64_t)(uintptr_t)table_find(&table, keys[i * 7919 % ENTRIES]);
}

static void compare_key(size_t i)
{
    sink = (uint64_t)strcmp(keys[i * 7919 % ENTRIES], keys[i % ENTRIES]);
}

static struct heap heap;
static struct heap_entry entries[ENTRIES];

static void move_deadline(size_t i)
{
    (void)heap_set(&heap, &entries[i * 7919 % ENTRIES], i * 2654435761U % 1000000);
    sink = heap_deadline(&heap);
}

static void touch_deadline(size_t i)
{
    entries[i * 7919 % ENTRIES].time_usec += 0;
    sink = entries[i * 7919 % ENTRIES].time_usec;
}

int main(void)
{
    table_init(&table, 0, 1);
    for (size_t i = 0; i < ENTRIES; i++) {
        snprintf(keys[i], sizeof(keys[i]), "lab-%zu", i);
        if (table_insert(&table, keys[i], keys[i]) < 0 || heap_set(&heap, &entries[i], i) < 0)
            return 1;
    }
    double copy = measure(copy_frame);
    report("bytes_write_31", measure(write_frame), "memcpy of 31 bytes", copy);
    report("bytes_read_31", measure(read_frame), "memcpy of 31 bytes", copy);
    report("table_find_4096", measure(find_key), "strcmp of two keys", measure(compare_key));
    report("heap_move_4096", measure(move_deadline), "touching the entry", measure(touch_deadline));
    table_done(&table);
    heap_done(&heap);
    return 0;
}
