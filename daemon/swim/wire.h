/* SPDX-License-Identifier: MIT */
#pragma once

/* The pieces that several frames share: ids, incarnations, flags, loads. Sticky errors as in
 * base/bytes.
 */

#include "base/bytes.h"
#include "swim/swim.h"

static inline void wire_write_id(struct writer *writer, const struct node_id *id)
{
    writer_bytes(writer, id->bytes, sizeof(id->bytes));
}

static inline struct node_id wire_read_id(struct reader *reader)
{
    struct node_id id;

    reader_copy(reader, id.bytes, sizeof(id.bytes));
    return id;
}

/* An id that names somebody. */
static inline struct node_id wire_read_member_id(struct reader *reader)
{
    struct node_id id = wire_read_id(reader);

    if (node_id_is_null(&id))
        reader->failed = true;
    return id;
}

static inline void wire_write_incarnation(struct writer *writer,
                                          const struct swim_incarnation *incarnation)
{
    writer_u64(writer, incarnation->generation);
    writer_u64(writer, incarnation->counter);
}

static inline struct swim_incarnation wire_read_incarnation(struct reader *reader)
{
    struct swim_incarnation incarnation;

    incarnation.generation = reader_u64(reader);
    incarnation.counter = reader_u64(reader);
    return incarnation;
}

/* A byte of which only @known bits may be set. */
static inline uint8_t wire_read_flags(struct reader *reader, uint8_t known)
{
    uint8_t flags = reader_u8(reader);

    if (flags & ~known)
        reader->failed = true;
    return flags;
}

#define WIRE_DRAINING 1

static inline void wire_write_load(struct writer *writer, uint32_t version,
                                   const struct swim_load *load)
{
    writer_u32(writer, version);
    writer_u16(writer, load->load_permille);
    writer_u16(writer, load->running);
    writer_u16(writer, load->queued);
    writer_u16(writer, load->slots);
    writer_u8(writer, load->cpu_percent);
    writer_u8(writer, load->memory_percent);
    writer_u8(writer, load->draining ? WIRE_DRAINING : 0);
}

static inline void wire_read_load(struct reader *reader, uint32_t *ret_version,
                                  struct swim_load *ret)
{
    *ret_version = reader_u32(reader);
    ret->load_permille = reader_u16(reader);
    ret->running = reader_u16(reader);
    ret->queued = reader_u16(reader);
    ret->slots = reader_u16(reader);
    ret->cpu_percent = reader_u8(reader);
    ret->memory_percent = reader_u8(reader);
    reader->failed |= ret->memory_percent > 100;
    ret->draining = wire_read_flags(reader, WIRE_DRAINING) != 0;
}
