/* SPDX-License-Identifier: MIT */
#include "sched/task_words.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "base/text.h"

void task_words_done(struct task_words *words)
{
    for (size_t i = 0; i < words->count; i++)
        free(words->items[i]);
    free(words->items);
    *words = (struct task_words){0};
}

size_t task_words_size(const struct task_words *words)
{
    size_t size = 0;

    for (size_t i = 0; i < words->count; i++)
        size += strlen(words->items[i]) + 1;
    return size;
}

int task_words_add(struct task_words *words, const char *word)
{
    if (words->count >= TASK_WORDS_MAX ||
        task_words_size(words) + strlen(word) + 1 > TASK_WORDS_SIZE)
        return -E2BIG;
    char **items = reallocarray(words->items, words->count + 2, sizeof(*items));
    if (!items)
        return -ENOMEM;
    words->items = items;
    items[words->count] = strdup(word);
    if (!items[words->count])
        return -ENOMEM;
    items[++words->count] = NULL;
    return 0;
}

int task_words_copy(const struct task_words *words, struct task_words *ret)
{
    _cleanup_(task_words_done) struct task_words copy = {0};

    if (words->count > 0) {
        copy.items = calloc(words->count + 1, sizeof(*copy.items));
        if (!copy.items)
            return -ENOMEM;
    }
    for (size_t i = 0; i < words->count; i++) {
        copy.items[i] = strdup(words->items[i]);
        if (!copy.items[i])
            return -ENOMEM;
        copy.count++;
    }
    *ret = copy;
    copy = (struct task_words){0};
    return 0;
}

bool task_word_is_variable(const char *word)
{
    const char *c = word;

    if (*c >= '0' && *c <= '9')
        return false;
    while ((*c >= 'A' && *c <= 'Z') || (*c >= 'a' && *c <= 'z') || (*c >= '0' && *c <= '9') ||
           *c == '_')
        c++;
    return c > word && *c == '=';
}

size_t task_words_find_repeated(const struct task_words *words)
{
    for (size_t i = 1; i < words->count; i++) {
        size_t size = (size_t)(text_skip_name(words->items[i]) - words->items[i]);
        for (size_t j = 0; size > 0 && j < i; j++)
            if (strncmp(words->items[i], words->items[j], size) == 0 &&
                text_skip_name(words->items[j]) != words->items[j])
                return i;
    }
    return SIZE_MAX;
}
