/* SPDX-License-Identifier: MIT */
#include "base/id.h"

#include <errno.h>

static const char hex_digits[] = "0123456789abcdef";

static bool has_dash_before(int byte)
{
    return byte == 4 || byte == 6 || byte == 8 || byte == 10;
}

char *node_id_format(const struct node_id *id, char target[static NODE_ID_TEXT_MAX])
{
    char *out = target;

    for (int i = 0; i < 16; i++) {
        if (has_dash_before(i))
            *out++ = '-';
        *out++ = hex_digits[id->bytes[i] >> 4];
        *out++ = hex_digits[id->bytes[i] & 15];
    }
    *out = '\0';
    return target;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

int node_id_parse(const char *text, struct node_id *ret)
{
    struct node_id id;

    for (int i = 0; i < 16; i++) {
        if (has_dash_before(i) && *text == '-')
            text++;
        int high = hex_value(text[0]);
        int low = high < 0 ? -1 : hex_value(text[1]);
        if (low < 0)
            return -EINVAL;
        id.bytes[i] = (uint8_t)(high << 4 | low);
        text += 2;
    }
    if (*text)
        return -EINVAL;
    *ret = id;
    return 0;
}

bool node_id_begins(const struct node_id *id, const char *text)
{
    unsigned count = 0;

    for (; *text && count < 2 * sizeof(id->bytes); text++, count++) {
        uint8_t byte = id->bytes[count / 2];
        if (*text == '-' && count % 2 == 0 && has_dash_before((int)count / 2) && *++text == '\0')
            break;
        if (hex_value(*text) != (count % 2 == 0 ? byte >> 4 : byte & 15))
            return false;
    }
    return *text == '\0' && count >= NODE_ID_START_MIN;
}
