/* SPDX-License-Identifier: MIT */
#include "words.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

int words_complain(struct script *script, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(script->problem, sizeof(script->problem), format, arguments);
    va_end(arguments);
    return -EINVAL;
}

int words_read_time(struct script *script, const char *text, usec_t *ret)
{
    return text_parse_usec(text, ret) < 0 ? words_complain(script, "%s is no duration", text) : 0;
}

int words_read_share(struct script *script, const char *text, double *ret)
{
    char *end;
    double percent = strtod(text, &end);

    if (end == text || strcmp(end, "%") != 0 || percent < 0 || percent > 100)
        return words_complain(script, "%s is no percentage", text);
    *ret = percent / 100;
    return 0;
}

struct sim_node *words_find(struct script *script, const char *name)
{
    struct sim_node *node = sim_find(script->sim, name);

    if (!node)
        words_complain(script, "there is no node %s", name);
    return node;
}

int words_find_range(struct script *script, const char *word, struct words_range *ret)
{
    const char *dots = strstr(word, "..");
    char name[NODE_NAME_MAX + 1];
    const struct sim_node *first, *last;

    if (strcmp(word, "all") == 0) {
        *ret = (struct words_range){0, script->sim->nodes_count};
        return 0;
    }
    snprintf(name, sizeof(name), "%.*s", dots ? (int)(dots - word) : NODE_NAME_MAX, word);
    first = last = words_find(script, name);
    if (first && dots)
        last = words_find(script, dots + 2);
    if (!first || !last)
        return -EINVAL;
    *ret = (struct words_range){first->index, last->index + 1};
    return 0;
}

int words_each(struct script *script, char **words, size_t count, words_action_t action)
{
    for (size_t i = 0; i < count; i++) {
        struct words_range range;
        int r = words_find_range(script, words[i], &range);
        if (r < 0)
            return r;
        for (size_t j = range.first; j < range.end; j++)
            action(script->sim->nodes[j]);
    }
    return 0;
}
