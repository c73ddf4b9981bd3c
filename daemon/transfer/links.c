/* SPDX-License-Identifier: MIT */
#include "transfer/links.h"

#include <sys/epoll.h>
#include "base/list.h"

#define TIMER_ACCURACY_USEC USEC_PER_SEC

struct link {
    struct list link;
    struct links *links; /* borrowed */
    struct conn *conn;   /* owned */
    sd_event_source *io;
    usec_t until_usec;
    bool is_own;
};

struct links {
    sd_event *event;
    sd_event_source *timer;
    usec_t idle_usec;
    void (*on_question)(struct conn *conn, void *data);
    void *data;       /* borrowed */
    struct list idle; /* the longest idle first */
    size_t own_count, served_count;
};

/* Returns the connection. */
static struct conn *unlink_one(struct link *link)
{
    struct conn *conn = link->conn;

    list_remove(&link->link);
    (*(link->is_own ? &link->links->own_count : &link->links->served_count))--;
    sd_event_source_disable_unref(link->io);
    free(link);
    return conn;
}

static void arm(struct links *links)
{
    const struct link *first = list_first(&links->idle, struct link, link);

    (void)sd_event_source_set_enabled(links->timer, first ? SD_EVENT_ONESHOT : SD_EVENT_OFF);
    if (first)
        (void)sd_event_source_set_time(links->timer, first->until_usec);
}

/* Nothing is asked of us on a connection of ours: it has ended. */
static int on_readable(sd_event_source *source _unused_, int fd _unused_, uint32_t events _unused_,
                       void *data)
{
    struct link *link = data;
    struct links *links = link->links;
    bool is_own = link->is_own;
    struct conn *conn = unlink_one(link);

    if (is_own)
        (void)conn_end(conn);
    else
        links->on_question(conn, links->data);
    arm(links);
    return 0;
}

static usec_t now_of(const struct links *links)
{
    uint64_t now = 0;

    (void)sd_event_now(links->event, CLOCK_MONOTONIC, &now);
    return now;
}

static int on_timer(sd_event_source *source _unused_, uint64_t usec _unused_, void *data)
{
    struct links *links = data;
    usec_t now = now_of(links);

    list_for_each_safe (entry, &links->idle) {
        struct link *link = list_entry(entry, struct link, link);
        if (link->until_usec <= now)
            (void)conn_end(unlink_one(link));
    }
    arm(links);
    return 0;
}

int links_new(sd_event *event, usec_t idle_usec, void (*on_question)(struct conn *conn, void *data),
              void *data, struct links **ret)
{
    _cleanup_(links_freep) struct links *links = calloc(1, sizeof(*links));

    if (!links)
        return -ENOMEM;
    *links = (struct links){.event = sd_event_ref(event),
                            .idle_usec = idle_usec,
                            .on_question = on_question,
                            .data = data};
    list_init(&links->idle);
    int r = sd_event_add_time(event, &links->timer, CLOCK_MONOTONIC, USEC_INFINITY,
                              TIMER_ACCURACY_USEC, on_timer, links);
    if (r < 0)
        return r;
    (void)sd_event_source_set_enabled(links->timer, SD_EVENT_OFF);
    (void)sd_event_source_set_description(links->timer, "links-idle");
    *ret = TAKE_PTR(links);
    return 0;
}

struct links *links_free(struct links *links)
{
    if (!links)
        return NULL;
    list_for_each_safe (entry, &links->idle)
        (void)conn_end(unlink_one(list_entry(entry, struct link, link)));
    sd_event_source_disable_unref(links->timer);
    sd_event_unref(links->event);
    free(links);
    return NULL;
}

static void drop_oldest(struct links *links, bool is_own)
{
    list_for_each_safe (entry, &links->idle) {
        struct link *link = list_entry(entry, struct link, link);
        if (link->is_own != is_own)
            continue;
        (void)conn_end(unlink_one(link));
        return;
    }
}

static void keep(struct links *links, struct conn *conn, bool is_own)
{
    struct link *link = calloc(1, sizeof(*link));

    if (!link) {
        (void)conn_end(conn);
        return;
    }
    if ((is_own ? links->own_count : links->served_count) >= LINKS_MAX)
        drop_oldest(links, is_own);
    *link = (struct link){.links = links,
                          .conn = conn,
                          .until_usec = usec_add(now_of(links), links->idle_usec),
                          .is_own = is_own};
    list_append(&links->idle, &link->link);
    (*(is_own ? &links->own_count : &links->served_count))++;
    if (sd_event_add_io(links->event, &link->io, conn_get_fd(conn), EPOLLIN, on_readable, link) < 0)
        (void)conn_end(unlink_one(link));
    else
        (void)sd_event_source_set_priority(link->io, SD_EVENT_PRIORITY_IDLE);
    arm(links);
}

void links_keep_own(struct links *links, struct conn *conn)
{
    keep(links, conn, true);
}

void links_keep_served(struct links *links, struct conn *conn)
{
    /* What TLS has read already wakes nobody. */
    if (conn_wait(conn, 0) == 0)
        links->on_question(conn, links->data);
    else
        keep(links, conn, false);
}

struct conn *links_take(struct links *links, const struct node_id *id,
                        const struct address *address)
{
    struct link *found = NULL;

    list_for_each (entry, &links->idle) {
        struct link *link = list_entry(entry, struct link, link);
        if (link->is_own && node_id_is_equal(conn_get_peer(link->conn), id) &&
            address_is_equal(conn_get_address(link->conn), address))
            found = link;
    }
    struct conn *conn = found ? unlink_one(found) : NULL;
    arm(links);
    return conn;
}
