/* SPDX-License-Identifier: MIT */
#include "net/listener.h"

#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include "base/list.h"
#include "base/log.h"

#define ACCEPTS_MAX 16 /* per dispatch */
#define SHARES_MAX  64 /* handshakes that are looked at for who has most of them */

struct listener {
    struct listener_config config;
    int fd;       /* owned */
    int spare_fd; /* owned: given up for a moment when there is no other descriptor left */
    sd_event_source *source; /* owned */
    struct list handshakes;  /* owned struct incoming */
    size_t handshakes_count;
    struct listener_statistics statistics;
};

/* A connection whose handshake is under way. */
struct incoming {
    struct list link;
    struct listener *listener; /* borrowed */
    struct stream *stream;     /* owned */
};

static void drop_incoming(struct incoming *incoming)
{
    list_remove(&incoming->link);
    incoming->listener->handshakes_count--;
    (void)stream_free(incoming->stream);
    free(incoming);
}

static void on_ready(struct stream *stream, void *userdata)
{
    struct incoming *incoming = userdata;
    struct listener *listener = incoming->listener;

    incoming->stream = NULL;
    drop_incoming(incoming);
    listener->statistics.accepted++;
    listener->config.on_stream(stream, listener->config.userdata);
}

/* Nothing is told to us before it is ready, and afterwards it is another's. */
static void on_readable(struct stream *stream, void *userdata)
{
    (void)stream;
    (void)userdata;
}

static void on_closed(struct stream *stream, int error, void *userdata)
{
    struct incoming *incoming = userdata;
    struct listener *listener = incoming->listener;
    char text[ADDRESS_TEXT_MAX];

    log_debug("Connection from %s ended early: %s",
              address_format(stream_get_address(stream), text), stream_get_reason(stream));
    if (error == -EUSERS)
        listener->statistics.refused_peer++;
    else
        listener->statistics.handshakes_failed++;
    drop_incoming(incoming);
}

/* Takes over what @arrival holds. */
static int begin(struct listener *listener, const struct stream_arrival *arrival)
{
    static const struct stream_callbacks callbacks = {
        .on_ready = on_ready,
        .on_readable = on_readable,
        .on_closed = on_closed,
    };
    _cleanup_free_ struct incoming *incoming = calloc(1, sizeof(*incoming));
    int r;

    if (!incoming) {
        (void)close_fd(arrival->fd);
        gate_leave(arrival->gate, arrival->ticket);
        return -ENOMEM;
    }
    incoming->listener = listener;
    r = stream_accept(&listener->config.stream, arrival, &callbacks, incoming, &incoming->stream);
    if (r < 0)
        return r;
    list_append(&listener->handshakes, &incoming->link);
    listener->handshakes_count++;
    (void)TAKE_PTR(incoming);
    return 0;
}

static bool is_same_host(const struct address *a, const struct address *b)
{
    return a->family == b->family && memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

/* How many of the oldest handshakes are with that host, and which is the first. */
static size_t count_share(struct listener *listener, const struct address *host,
                          struct incoming **ret_oldest)
{
    size_t looked = 0, count = 0;

    list_for_each (link, &listener->handshakes) {
        struct incoming *incoming = list_entry(link, struct incoming, link);
        if (++looked > SHARES_MAX)
            break;
        if (!is_same_host(stream_get_address(incoming->stream), host))
            continue;
        if (count++ == 0)
            *ret_oldest = incoming;
    }
    return count;
}

/*
 * Whoever has no key can still hold all places of handshakes by saying nothing. So the host that
 * has most of them gives its oldest to one that has at least two fewer. Return: whether it did.
 */
static bool make_room(struct listener *listener, const struct address *from)
{
    struct incoming *victim = NULL, *own = NULL;
    size_t most = count_share(listener, from, &own) + 1, looked = 0;

    list_for_each (link, &listener->handshakes) {
        struct incoming *oldest = NULL;
        if (++looked > SHARES_MAX)
            break;
        const struct incoming *incoming = list_entry(link, struct incoming, link);
        size_t count = count_share(listener, stream_get_address(incoming->stream), &oldest);
        if (count > most) {
            most = count;
            victim = oldest;
        }
    }
    if (!victim)
        return false;
    listener->statistics.handshakes_failed++;
    drop_incoming(victim);
    return true;
}

static int get_ticket(struct listener *listener, const struct address *from)
{
    const struct listener_config *config = &listener->config;

    if (listener->handshakes_count >= config->handshakes_max && !make_room(listener, from))
        return -EMFILE;
    int ticket = gate_enter(config->gate);
    return ticket < 0 && make_room(listener, from) ? gate_enter(config->gate) : ticket;
}

/* What to do with one connection. Takes over @fd. */
static void take(struct listener *listener, int fd, const struct address *from)
{
    const struct listener_config *config = &listener->config;
    int ticket, r;

    if (config->is_allowed && !config->is_allowed(from, config->userdata)) {
        listener->statistics.refused_network++;
        (void)close_fd(fd);
        return;
    }
    ticket = get_ticket(listener, from);
    if (ticket < 0) {
        listener->statistics.refused_full++;
        (void)close_fd(fd);
        return;
    }
    r = begin(listener, &(struct stream_arrival){
                            .fd = fd, .from = *from, .gate = config->gate, .ticket = ticket});
    if (r < 0)
        log_debug_errno(r, "Cannot take a connection: %m");
}

static int open_spare(void)
{
    return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

/* Out of descriptors: end the one at the door instead of being woken for it for ever. */
static void turn_away(struct listener *listener)
{
    listener->spare_fd = close_fd(listener->spare_fd);
    (void)close_fd(accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC));
    listener->spare_fd = open_spare();
    listener->statistics.refused_full++;
}

static int on_connection(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
    struct listener *listener = userdata;

    (void)source;
    (void)events;
    for (int i = 0; i < ACCEPTS_MAX; i++) {
        struct sockaddr_storage storage;
        socklen_t size = sizeof(storage);
        struct address from;
        int client = accept4(fd, (struct sockaddr *)&storage, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (client < 0) {
            if (errno == EMFILE || errno == ENFILE)
                turn_away(listener);
            break;
        }
        if (address_from_sockaddr((const struct sockaddr *)&storage, size, &from) < 0)
            (void)close_fd(client);
        else
            take(listener, client, &from);
    }
    return 0;
}

int listener_new(const struct listener_config *config, int fd, struct listener **ret)
{
    _cleanup_(listener_freep) struct listener *listener = calloc(1, sizeof(*listener));
    int r;

    if (!listener) {
        (void)close_fd(fd);
        return -ENOMEM;
    }
    listener->config = *config;
    listener->fd = fd;
    list_init(&listener->handshakes);
    listener->spare_fd = open_spare();
    r = sd_event_add_io(config->stream.event, &listener->source, fd, EPOLLIN, on_connection,
                        listener);
    if (r < 0)
        return r;
    (void)sd_event_source_set_description(listener->source, "tcp listener");
    r = sd_event_source_set_priority(listener->source, config->stream.priority);
    if (r < 0)
        return r;
    *ret = TAKE_PTR(listener);
    return 0;
}

struct listener *listener_free(struct listener *listener)
{
    if (!listener)
        return NULL;
    sd_event_source_disable_unref(listener->source);
    list_for_each_safe (link, &listener->handshakes)
        drop_incoming(list_entry(link, struct incoming, link));
    (void)close_fd(listener->fd);
    (void)close_fd(listener->spare_fd);
    free(listener);
    return NULL;
}

void listener_set_handshakes_max(struct listener *listener, size_t handshakes_max)
{
    listener->config.handshakes_max = handshakes_max;
}

void listener_get_statistics(const struct listener *listener, struct listener_statistics *ret)
{
    *ret = listener->statistics;
}
