/* SPDX-License-Identifier: MIT */
#include "who.h"

#include <string.h>
#include "base/address.h"
#include "config/config.h"

struct word {
    const char *text;
    struct address address; /* family 0: it is none */
};

static bool has_name(const struct swim_member *member, const struct word *word)
{
    return strcmp(member->name, word->text) == 0;
}

static bool has_address(const struct swim_member *member, const struct word *word)
{
    return address_is_equal(&member->address, &word->address);
}

static bool has_id(const struct swim_member *member, const struct word *word)
{
    return node_id_begins(&member->id, word->text);
}

/* Return: whether any member is meant so, in whatever state. */
static bool collect(const struct swim *swim, const struct word *word,
                    bool (*is_meant)(const struct swim_member *member, const struct word *word),
                    enum who_state state, struct who *ret)
{
    bool is_any = false;

    for (size_t i = 0; i < swim_members_count(swim); i++) {
        const struct swim_member *member = swim_member_at(swim, i);
        if (!is_meant(member, word))
            continue;
        is_any = true;
        if (state == WHO_GONE && member->state != SWIM_DEAD && member->state != SWIM_LEFT)
            continue;
        if (ret->count < WHO_MAX)
            ret->members[ret->count] = member;
        ret->count++;
    }
    return is_any;
}

bool who_find(const struct swim *swim, const char *text, enum who_state state, struct who *ret)
{
    struct word word = {.text = text};

    *ret = (struct who){.count = 0};
    if (collect(swim, &word, has_name, state, ret))
        return true;
    if (address_parse(text, CONFIG_PORT_DEFAULT, &word.address) >= 0)
        return collect(swim, &word, has_address, state, ret);
    return collect(swim, &word, has_id, state, ret);
}
