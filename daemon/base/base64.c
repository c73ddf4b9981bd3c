/* SPDX-License-Identifier: MIT */
#include "base/base64.h"

#include <string.h>
#include "base/macro.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

char *base64_encode(const void *data, size_t size)
{
    const uint8_t *bytes = data;
    char *text = malloc((size + 2) / 3 * 4 + 1), *out = text;

    if (!text)
        return NULL;
    for (size_t i = 0; i < size; i += 3) {
        size_t left = size - i;
        uint32_t group = (uint32_t)bytes[i] << 16 | (left > 1 ? (uint32_t)bytes[i + 1] << 8 : 0) |
                         (left > 2 ? bytes[i + 2] : 0U);
        *out++ = alphabet[group >> 18];
        *out++ = alphabet[group >> 12 & 63];
        *out++ = left > 1 ? alphabet[group >> 6 & 63] : '=';
        *out++ = left > 2 ? alphabet[group & 63] : '=';
    }
    *out = '\0';
    return text;
}

static int value_of(char c)
{
    const char *found = c ? strchr(alphabet, c) : NULL;
    return found ? (int)(found - alphabet) : -1;
}

int base64_decode(const char *text, uint8_t **ret, size_t *ret_size)
{
    size_t length = strlen(text), padding = 0, count = 0;
    _cleanup_free_ uint8_t *bytes = NULL;

    if (length % 4 != 0)
        return -EINVAL;
    while (padding < 2 && padding < length && text[length - 1 - padding] == '=')
        padding++;
    bytes = malloc(length / 4 * 3 + 1);
    if (!bytes)
        return -ENOMEM;
    for (size_t i = 0; i < length; i += 4) {
        uint32_t group = 0;
        size_t chars = i + 4 == length ? 4 - padding : 4;
        for (size_t j = 0; j < 4; j++) {
            int value = j < chars ? value_of(text[i + j]) : 0;
            if (value < 0)
                return -EINVAL;
            group = group << 6 | (uint32_t)value;
        }
        for (size_t j = 0; j + 1 < chars; j++)
            bytes[count++] = (uint8_t)(group >> (16 - 8 * j));
        if ((group & ((1U << (8 * (4 - chars))) - 1)) != 0)
            return -EINVAL;
    }
    bytes[count] = 0;
    *ret = TAKE_PTR(bytes);
    *ret_size = count;
    return 0;
}
