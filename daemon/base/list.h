/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Intrusive circular doubly linked list. The list owns nothing: a link is a field of its object,
 * and whoever owns the object unlinks it before freeing. A head is a link too.
 */

#include <stdbool.h>
#include "base/macro.h"

struct list {
    struct list *previous;
    struct list *next;
};

static inline void list_init(struct list *list)
{
    list->previous = list->next = list;
}

static inline bool list_is_empty(const struct list *head)
{
    return head->next == head;
}

static inline void list_insert_before(struct list *where, struct list *link)
{
    link->previous = where->previous;
    link->next = where;
    where->previous->next = link;
    where->previous = link;
}

static inline void list_append(struct list *head, struct list *link)
{
    list_insert_before(head, link);
}

static inline void list_prepend(struct list *head, struct list *link)
{
    list_insert_before(head->next, link);
}

/* Unlinks; harmless on a link that is initialised and in no list. */
static inline void list_remove(struct list *link)
{
    link->previous->next = link->next;
    link->next->previous = link->previous;
    list_init(link);
}

#define list_entry(link, type, field) CONTAINER_OF(link, type, field)
#define list_first(head, type, field)                                                              \
    (list_is_empty(head) ? NULL : list_entry((head)->next, type, field))

#define list_for_each(link, head)                                                                  \
    for (struct list *link = (head)->next; link != (head); link = link->next)

/* The body may unlink and free the current entry, and no other. */
#define list_for_each_safe(link, head)                                                             \
    for (struct list *link = (head)->next, *link##_next = link->next; link != (head);              \
         link = link##_next, link##_next = link->next)
