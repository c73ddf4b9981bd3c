/* SPDX-License-Identifier: MIT */
#include "swim/marks.h"

#include <assert.h>
#include "swim/core.h"

static_assert(MARKS_MAX < ARRAY_SIZE(((struct marks *)NULL)->places), "a search has an end");

uint32_t marks_of(const struct member *member)
{
    return (uint32_t)(member_hash(member) >> 8 * member->shown.state);
}

void marks_write(const struct swim *swim, uint64_t mask, const struct node_id *cursor, size_t size,
                 struct writer *writer)
{
    struct order_walk walk = order_walk_after(&swim->members.all, mask, cursor);
    size_t count = MIN(size / sizeof(uint32_t), (size_t)MARKS_MAX);
    const struct member *member;

    while (count-- > 0 && (member = order_walk_next(&walk)))
        writer_u32(writer, marks_of(member));
}

/* The place of @mark, or the free one where it would be. */
static size_t find(const struct marks *marks, uint32_t mark)
{
    size_t i = mark % ARRAY_SIZE(marks->places);

    while (marks->places[i] != 0 && marks->places[i] != mark)
        i = (i + 1) % ARRAY_SIZE(marks->places);
    return i;
}

void marks_read(struct reader *reader, struct marks *ret)
{
    *ret = (struct marks){0};
    for (size_t i = 0; i < MARKS_MAX && reader_left(reader) > 0; i++) {
        uint32_t mark = reader_u32(reader);
        ret->places[find(ret, mark)] = mark;
    }
}

bool marks_have(const struct marks *marks, uint32_t mark)
{
    return mark != 0 && marks->places[find(marks, mark)] == mark;
}
