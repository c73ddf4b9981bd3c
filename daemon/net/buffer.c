/* SPDX-License-Identifier: MIT */
#include "net/buffer.h"

#include <assert.h>
#include <string.h>
#include "base/macro.h"

#define SIZE_MIN ((size_t)4096)

void buffer_done(struct buffer *buffer)
{
    free(buffer->data);
    *buffer = (struct buffer){0};
}

int buffer_reserve(struct buffer *buffer, size_t size, uint8_t **ret)
{
    size_t needed = buffer->size + size;

    if (buffer->start + needed > buffer->allocated) {
        /* Moved only when at least as much was dropped as is left, so that each byte moves O(1)
         * times. */
        if (buffer->start >= buffer->size && needed <= buffer->allocated) {
            memmove(buffer->data, buffer->data + buffer->start, buffer->size);
        } else {
            size_t allocated = MAX(MAX(needed, 2 * buffer->size), SIZE_MIN);
            uint8_t *data = malloc(allocated);
            if (!data)
                return -ENOMEM;
            if (buffer->size > 0)
                memcpy(data, buffer->data + buffer->start, buffer->size);
            free(buffer->data);
            buffer->data = data;
            buffer->allocated = allocated;
        }
        buffer->start = 0;
    }
    *ret = buffer->data + buffer->start + buffer->size;
    return 0;
}

void buffer_add(struct buffer *buffer, size_t size)
{
    assert(size <= buffer->allocated - buffer->start - buffer->size);
    buffer->size += size;
}

void buffer_drop(struct buffer *buffer, size_t size)
{
    assert(size <= buffer->size);
    buffer->start += size;
    buffer->size -= size;
    if (buffer->size == 0)
        buffer_done(buffer);
}
