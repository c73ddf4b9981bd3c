/* SPDX-License-Identifier: MIT */
#include "base/json.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/*
 * A tree as text, as cJSON writes it, which does so with several calls for each member and copies
 * the whole of it once more.
 */

#define FIRST_SIZE  2048 /* most texts are smaller */
#define NUMBER_SIZE 64

/* A text that grows; ->text is NULL once there was no memory. */
struct writer {
    char *text;
    size_t size;
    size_t room;
    char first[FIRST_SIZE];
};

static void grow(struct writer *writer, size_t size)
{
    const bool is_first = writer->text == writer->first;
    size_t room = MAX(2 * writer->room, writer->size + size);
    char *text = realloc(is_first ? NULL : writer->text, room);

    if (text && is_first)
        memcpy(text, writer->first, writer->size);
    else if (!text && !is_first)
        free(writer->text);
    writer->text = text;
    writer->room = room;
}

/* Return: where @size more bytes can be put, or NULL. */
static char *reserve(struct writer *writer, size_t size)
{
    if (writer->text && writer->size + size > writer->room)
        grow(writer, size);
    return writer->text ? writer->text + writer->size : NULL;
}

static void put(struct writer *writer, const char *text, size_t size)
{
    char *target = reserve(writer, size);

    if (target)
        memcpy(target, text, size);
    writer->size += size;
}

static void put_char(struct writer *writer, char c)
{
    char *target = reserve(writer, 1);

    if (target)
        *target = c;
    writer->size++;
}

/* What does not stand for itself in a string, and its end. DEL and C1 are: JSON may hold them bare,
 * but the text may end up on a terminal; the latter are 0xc2 and another byte in UTF-8. */
static const bool is_special[256] = {
    [0 ... ' ' - 1] = true, ['"'] = true, ['\\'] = true, [0x7f] = true, [0xc2] = true};

/* One that is not plain. Return: how many bytes of @text that was. */
static size_t put_special(struct writer *writer, const uint8_t *text)
{
    static const char escapes[] = "\"\"\\\\\bb\ff\nn\rr\tt";
    const char *escape = escapes;
    char code[8];

    while (*escape && (uint8_t)*escape != *text)
        escape += 2;
    if (*escape) {
        put(writer, (const char[]){'\\', escape[1]}, 2);
        return 1;
    }
    const size_t size = *text == 0xc2 ? 2 : 1;
    if (size == 2 && (text[1] < 0x80 || text[1] >= 0xa0)) {
        put(writer, (const char *)text, 1);
        return 1;
    }
    put(writer, code, (size_t)snprintf(code, sizeof(code), "\\u%04x", text[size - 1]));
    return size;
}

static void put_string(struct writer *writer, const char *string)
{
    const uint8_t *text = (const uint8_t *)(string ? string : "");
    const size_t size = strlen((const char *)text);
    char *target = reserve(writer, size + 2), *start = target;

    if (!target)
        return;
    *target++ = '"';
    while (!is_special[*text])
        *target++ = (char)*text++;
    writer->size += (size_t)(target - start);
    while (*text) {
        const uint8_t *end = text;
        while (!is_special[*end])
            end++;
        put(writer, (const char *)text, (size_t)(end - text));
        text = *end ? end + put_special(writer, end) : end;
    }
    put_char(writer, '"');
}

static bool put_number(struct writer *writer, const cJSON *item)
{
    cJSON number = {
        .type = cJSON_Number, .valueint = item->valueint, .valuedouble = item->valuedouble};
    char text[NUMBER_SIZE];

    if (!cJSON_PrintPreallocated(&number, text, sizeof(text), false))
        return false;
    put(writer, text, strlen(text));
    return true;
}

/* By recursion: json_parse() lets no deep ones in. Return: whether it is of a type that there is.
 */
static bool put_item(struct writer *writer, const cJSON *item)
{
    const bool is_object = cJSON_IsObject(item);

    switch (item->type & 0xff) {
    case cJSON_NULL:
        put(writer, "null", 4);
        return true;
    case cJSON_False:
        put(writer, "false", 5);
        return true;
    case cJSON_True:
        put(writer, "true", 4);
        return true;
    case cJSON_Number:
        return put_number(writer, item);
    case cJSON_Raw:
        if (item->valuestring)
            put(writer, item->valuestring, strlen(item->valuestring));
        return item->valuestring;
    case cJSON_String:
        put_string(writer, item->valuestring);
        return true;
    case cJSON_Array:
    case cJSON_Object:
        break;
    default:
        return false;
    }
    put_char(writer, is_object ? '{' : '[');
    json_for_each (child, item) {
        if (child != item->child)
            put_char(writer, ',');
        if (is_object) {
            put_string(writer, child->string);
            put_char(writer, ':');
        }
        if (!put_item(writer, child))
            return false;
    }
    put_char(writer, is_object ? '}' : ']');
    return true;
}

char *json_format(const cJSON *json)
{
    struct writer writer;

    writer.text = writer.first;
    writer.size = 0;
    writer.room = sizeof(writer.first);
    const bool is_good = json && put_item(&writer, json);
    put_char(&writer, '\0');
    const bool is_first = writer.text == writer.first;
    if (!is_good && !is_first)
        free(writer.text);
    if (!is_good || !writer.text)
        return NULL;
    char *text = realloc(is_first ? NULL : writer.text, writer.size);
    if (is_first)
        return text ? memcpy(text, writer.first, writer.size) : NULL;
    return text ? text : writer.text;
}
