/* SPDX-License-Identifier: MIT */
#include "base/bytes.h"

#include <string.h>

const uint8_t *reader_bytes(struct reader *reader, size_t size)
{
    if (reader->failed || size > reader->size - reader->position) {
        reader->failed = true;
        return NULL;
    }
    const uint8_t *data = reader->data + reader->position;
    reader->position += size;
    return data;
}

static uint64_t read_integer(struct reader *reader, size_t size)
{
    const uint8_t *data = reader_bytes(reader, size);
    uint64_t value = 0;

    for (size_t i = 0; data && i < size; i++)
        value = value << 8 | data[i];
    return value;
}

uint8_t reader_u8(struct reader *reader)
{
    return (uint8_t)read_integer(reader, 1);
}

uint16_t reader_u16(struct reader *reader)
{
    return (uint16_t)read_integer(reader, 2);
}

uint32_t reader_u32(struct reader *reader)
{
    return (uint32_t)read_integer(reader, 4);
}

uint64_t reader_u64(struct reader *reader)
{
    return read_integer(reader, 8);
}

void reader_copy(struct reader *reader, void *target, size_t size)
{
    const uint8_t *data = reader_bytes(reader, size);

    if (data)
        memcpy(target, data, size);
    else
        memset(target, 0, size);
}

static void read_string(struct reader *reader, size_t size, char *target, size_t target_size)
{
    const uint8_t *data = reader_bytes(reader, size);

    target[0] = '\0';
    if (!data)
        return;
    if (size >= target_size || memchr(data, 0, size)) {
        reader->failed = true;
        return;
    }
    memcpy(target, data, size);
    target[size] = '\0';
}

void reader_string8(struct reader *reader, char *target, size_t target_size)
{
    read_string(reader, reader_u8(reader), target, target_size);
}

void reader_string16(struct reader *reader, char *target, size_t target_size)
{
    read_string(reader, reader_u16(reader), target, target_size);
}

struct reader reader_sub(struct reader *reader, size_t size)
{
    const uint8_t *data = reader_bytes(reader, size);

    return data ? reader_from(data, size) : (struct reader){.failed = true};
}

void writer_bytes(struct writer *writer, const void *data, size_t size)
{
    if (writer->failed || size > writer->size - writer->position) {
        writer->failed = true;
        return;
    }
    if (size > 0)
        memcpy(writer->data + writer->position, data, size);
    writer->position += size;
}

static void write_integer(struct writer *writer, uint64_t value, size_t size)
{
    uint8_t data[8];

    for (size_t i = 0; i < size; i++)
        data[i] = (uint8_t)(value >> (8 * (size - 1 - i)));
    writer_bytes(writer, data, size);
}

void writer_u8(struct writer *writer, uint8_t value)
{
    write_integer(writer, value, 1);
}

void writer_u16(struct writer *writer, uint16_t value)
{
    write_integer(writer, value, 2);
}

void writer_u32(struct writer *writer, uint32_t value)
{
    write_integer(writer, value, 4);
}

void writer_u64(struct writer *writer, uint64_t value)
{
    write_integer(writer, value, 8);
}

void writer_string8(struct writer *writer, const char *text)
{
    size_t size = strlen(text);

    if (size > UINT8_MAX)
        writer->failed = true;
    writer_u8(writer, (uint8_t)size);
    writer_bytes(writer, text, size);
}

void writer_string16(struct writer *writer, const char *text)
{
    size_t size = strlen(text);

    if (size > UINT16_MAX)
        writer->failed = true;
    writer_u16(writer, (uint16_t)size);
    writer_bytes(writer, text, size);
}
