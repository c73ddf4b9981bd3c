/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Reading and writing of wire formats: big-endian integers and counted strings over a caller's
 * buffer. The error is sticky: read or write everything, then ask once. After an error a reader
 * returns zeros and a writer writes nothing, so no length from outside is ever trusted twice.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct reader {
    const uint8_t *data; /* borrowed */
    size_t size;
    size_t position;
    bool failed;
};

struct writer {
    uint8_t *data; /* borrowed */
    size_t size;   /* of the buffer */
    size_t position;
    bool failed;
};

static inline struct reader reader_from(const void *data, size_t size)
{
    return (struct reader){.data = data, .size = size};
}

static inline struct writer writer_into(void *data, size_t size)
{
    return (struct writer){.data = data, .size = size};
}

uint8_t reader_u8(struct reader *reader);
uint16_t reader_u16(struct reader *reader);
uint32_t reader_u32(struct reader *reader);
uint64_t reader_u64(struct reader *reader);

/* Points into the buffer; NULL after an error. @size 0 gives a non-NULL pointer. */
const uint8_t *reader_bytes(struct reader *reader, size_t size);

/* Copies exactly @size bytes, or zeros @target after an error. */
void reader_copy(struct reader *reader, void *target, size_t size);

/*
 * A string with a u8 or u16 length before it, copied with a NUL into @target of @target_size. Fails
 * where it does not fit or contains a NUL byte; @target is then the empty string.
 */
void reader_string8(struct reader *reader, char *target, size_t target_size);
void reader_string16(struct reader *reader, char *target, size_t target_size);

/* A reader over the next @size bytes, which are skipped here. */
struct reader reader_sub(struct reader *reader, size_t size);

static inline size_t reader_left(const struct reader *reader)
{
    return reader->failed ? 0 : reader->size - reader->position;
}

static inline bool reader_ok(const struct reader *reader)
{
    return !reader->failed;
}

/* Whether all was read and nothing failed: trailing garbage is an error. */
static inline bool reader_done(const struct reader *reader)
{
    return !reader->failed && reader->position == reader->size;
}

void writer_u8(struct writer *writer, uint8_t value);
void writer_u16(struct writer *writer, uint16_t value);
void writer_u32(struct writer *writer, uint32_t value);
void writer_u64(struct writer *writer, uint64_t value);
void writer_bytes(struct writer *writer, const void *data, size_t size);
void writer_string8(struct writer *writer, const char *text);  /* fails above 255 bytes */
void writer_string16(struct writer *writer, const char *text); /* fails above 65535 bytes */

static inline size_t writer_left(const struct writer *writer)
{
    return writer->failed ? 0 : writer->size - writer->position;
}

static inline bool writer_ok(const struct writer *writer)
{
    return !writer->failed;
}
