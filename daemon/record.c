/* SPDX-License-Identifier: MIT */
#include "record.h"

#include <errno.h>
#include <string.h>
#include "base/bytes.h"
#include "base/text.h"

#define RECORD_FORMAT 1

enum record_flag {
    RECORD_HAS_TASKS = 1,
    RECORD_HAS_COMMANDS = 2,
    RECORD_HAS_PYTHON = 4,
};

#define LIMIT_FOR_SOME 0x80 /* the rest is the max */

/* The fields that came last. */
static void write_limits(struct writer *writer, const struct record *record)
{
    writer_u16(writer, record->rules);
    for (size_t i = 0; i < record->types_count; i++)
        writer_u8(writer, (uint8_t)(record->limits[i].max |
                                    (record->limits[i].is_for_some ? LIMIT_FOR_SOME : 0)));
}

int record_encode(const struct record *record, uint8_t *data, size_t size, size_t *ret_size)
{
    struct writer writer = writer_into(data, size);

    writer_u8(&writer, RECORD_FORMAT);
    writer_string8(&writer, record->version);
    writer_u8(&writer, record->protocol);
    writer_u8(&writer, (uint8_t)((record->has_tasks ? RECORD_HAS_TASKS : 0) |
                                 (record->has_commands ? RECORD_HAS_COMMANDS : 0) |
                                 (record->has_python ? RECORD_HAS_PYTHON : 0)));
    writer_u8(&writer, (uint8_t)record->keys_count);
    for (size_t i = 0; i < record->keys_count; i++)
        writer_u32(&writer, record->keys[i]);
    writer_u8(&writer, (uint8_t)record->types_count);
    for (size_t i = 0; i < record->types_count; i++)
        writer_string8(&writer, record->types[i]);
    writer_u8(&writer, (uint8_t)record->tags_count);
    for (size_t i = 0; i < record->tags_count; i++)
        writer_string8(&writer, record->tags[i]);
    writer_string8(&writer, record->python);
    writer_u16(&writer, record->cpus);
    if (!writer_ok(&writer))
        return -EMSGSIZE;
    *ret_size = writer.position;
    write_limits(&writer, record);
    if (writer_ok(&writer))
        *ret_size = writer.position;
    return 0;
}

static bool is_printable(const char *text)
{
    for (; *text; text++)
        if (*text < 0x20 || *text > 0x7e)
            return false;
    return true;
}

/* A count from the wire; one above @max fails the reader. */
static size_t read_count(struct reader *reader, size_t max)
{
    size_t count = reader_u8(reader);

    if (count > max) {
        reader->failed = true;
        return 0;
    }
    return count;
}

/* An older version has none. */
static void read_limits(struct reader *reader, struct record *record)
{
    if (reader_left(reader) < 2 + record->types_count)
        return;
    record->rules = reader_u16(reader);
    for (size_t i = 0; i < record->types_count; i++) {
        uint8_t limit = reader_u8(reader);
        record->limits[i] = (struct record_limits){.is_for_some = limit & LIMIT_FOR_SOME,
                                                   .max = limit & ~LIMIT_FOR_SOME & 0xff};
    }
}

int record_decode(const uint8_t *data, size_t size, struct record *ret)
{
    struct reader reader = reader_from(data, size);
    struct record record = {0};
    bool is_valid = reader_u8(&reader) == RECORD_FORMAT;

    reader_string8(&reader, record.version, sizeof(record.version));
    is_valid = is_valid && is_printable(record.version);
    record.protocol = reader_u8(&reader);
    uint8_t flags = reader_u8(&reader);
    record.has_tasks = flags & RECORD_HAS_TASKS;
    record.has_commands = flags & RECORD_HAS_COMMANDS;
    record.has_python = flags & RECORD_HAS_PYTHON;
    record.keys_count = read_count(&reader, RECORD_KEYS_MAX);
    for (size_t i = 0; i < record.keys_count; i++)
        record.keys[i] = reader_u32(&reader);
    record.types_count = read_count(&reader, RECORD_TYPES_MAX);
    for (size_t i = 0; i < record.types_count; i++) {
        reader_string8(&reader, record.types[i], sizeof(record.types[i]));
        is_valid = is_valid && text_is_type_name(record.types[i]);
    }
    record.tags_count = read_count(&reader, RECORD_TAGS_MAX);
    for (size_t i = 0; i < record.tags_count; i++) {
        reader_string8(&reader, record.tags[i], sizeof(record.tags[i]));
        is_valid = is_valid && is_printable(record.tags[i]);
    }
    reader_string8(&reader, record.python, sizeof(record.python));
    is_valid = is_valid && is_printable(record.python);
    record.cpus = reader_u16(&reader);
    if (!reader_ok(&reader) || !is_valid)
        return -EBADMSG;
    read_limits(&reader, &record);
    *ret = record;
    return 0;
}

bool record_has_type(const struct record *record, const char *type)
{
    for (size_t i = 0; i < record->types_count; i++)
        if (strcmp(record->types[i], type) == 0)
            return true;
    return false;
}

bool record_has_tag(const struct record *record, const char *tag)
{
    for (size_t i = 0; i < record->tags_count; i++)
        if (strcmp(record->tags[i], tag) == 0)
            return true;
    return false;
}
