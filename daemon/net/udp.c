/* SPDX-License-Identifier: MIT */
#include "net/udp.h"

#include <netinet/in.h>
#include <netinet/ip.h>
#include <string.h>
#include <sys/socket.h>
#include "base/log.h"
#include "base/rest.h"

#define LOCALS_COUNT 256 /* a power of two */
#define HEADERS_IP4  28  /* IP and UDP */
#define HEADERS_IP6  48

/* Where somebody spoke to us: the address that our answers must come from. */
struct local {
    struct address remote;
    struct address address;
};

union control {
    struct cmsghdr header; /* aligns */
    uint8_t bytes[CMSG_SPACE(sizeof(struct in6_pktinfo)) + CMSG_SPACE(sizeof(struct in_pktinfo))];
};

/* Messages of recvmmsg or sendmmsg. More of them would spare few calls, and cost 1.9 KiB each. */
struct batch {
    struct mmsghdr messages[UDP_BATCH_MAX];
    struct iovec vectors[UDP_BATCH_MAX];
    struct sockaddr_storage addresses[UDP_BATCH_MAX];
    union control controls[UDP_BATCH_MAX];
    uint8_t data[UDP_BATCH_MAX][UDP_DATAGRAM_MAX];
};

struct udp {
    int fd;                  /* owned */
    sd_event_source *source; /* owned */
    int family;              /* of the socket */
    bool is_wildcard;
    udp_receive_t receive;
    void *userdata;       /* borrowed */
    struct local *locals; /* owned; NULL where the socket has one address */
    struct udp_statistics statistics;
    size_t size_max; /* of the narrowest path that was met, which leads to: */
    struct address narrowest;
    size_t out_count;
    struct batch in, out;
};

static struct local *local_of(struct udp *udp, const struct address *remote)
{
    uint32_t hash = 2166136261; /* FNV-1a; a collision only costs the memory of a local address */
    const uint8_t *bytes = (const uint8_t *)remote;

    for (size_t i = 0; i < sizeof(*remote); i++)
        hash = (hash ^ bytes[i]) * 16777619;
    return &udp->locals[hash & (LOCALS_COUNT - 1)];
}

static void remember_local(struct udp *udp, const struct address *remote, struct msghdr *message)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
        struct sockaddr_storage storage = {0};
        socklen_t size = 0;
        if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
            struct in_pktinfo info;
            struct sockaddr_in *in = (struct sockaddr_in *)&storage;
            memcpy(&info, CMSG_DATA(c), sizeof(info));
            in->sin_family = AF_INET;
            in->sin_addr = info.ipi_spec_dst; /* never a broadcast address */
            size = sizeof(*in);
        } else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
            struct in6_pktinfo info;
            struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&storage;
            memcpy(&info, CMSG_DATA(c), sizeof(info));
            in6->sin6_family = AF_INET6;
            in6->sin6_addr = info.ipi6_addr;
            size = sizeof(*in6);
        } else
            continue;
        struct local *local = local_of(udp, remote);
        if (address_from_sockaddr((const struct sockaddr *)&storage, size, &local->address) == 0)
            local->remote = *remote;
        return;
    }
}

static void take(struct udp *udp, size_t i, usec_t now)
{
    struct mmsghdr *message = &udp->in.messages[i];
    struct address from;

    if ((message->msg_hdr.msg_flags & MSG_TRUNC) ||
        address_from_sockaddr((const struct sockaddr *)&udp->in.addresses[i],
                              message->msg_hdr.msg_namelen, &from) < 0) {
        udp->statistics.dropped_in++;
        return;
    }
    udp->statistics.received++;
    udp->statistics.received_size += message->msg_len;
    if (udp->locals)
        remember_local(udp, &from, &message->msg_hdr);
    udp->receive(&from, udp->in.data[i], message->msg_len, now, udp->userdata);
}

/* Return: whether there may be more. */
static bool receive_batch(struct udp *udp, usec_t now)
{
    struct batch *in = &udp->in;
    int count;

    for (size_t i = 0; i < UDP_BATCH_MAX; i++) {
        in->vectors[i] = (struct iovec){.iov_base = in->data[i], .iov_len = UDP_DATAGRAM_MAX};
        in->messages[i] = (struct mmsghdr){
            .msg_hdr =
                {
                    .msg_name = &in->addresses[i],
                    .msg_namelen = sizeof(in->addresses[i]),
                    .msg_iov = &in->vectors[i],
                    .msg_iovlen = 1,
                    .msg_control = udp->locals ? &in->controls[i] : NULL,
                    .msg_controllen = udp->locals ? sizeof(in->controls[i]) : 0,
                },
        };
    }
    count = recvmmsg(udp->fd, in->messages, UDP_BATCH_MAX, MSG_DONTWAIT, NULL);
    if (count < 0) {
        if (errno != EAGAIN && errno != EINTR)
            log_debug_errno(-errno, "Cannot read from the UDP socket: %m");
        return false;
    }
    for (size_t i = 0; i < (size_t)count; i++)
        take(udp, i, now);
    return count == UDP_BATCH_MAX;
}

void udp_catch_up(struct udp *udp, usec_t now)
{
    for (size_t i = 0; i < UDP_CATCH_UP_MAX && receive_batch(udp, now); i++)
        continue;
    udp_flush(udp);
}

static int on_readable(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
    struct udp *udp = userdata;
    usec_t now;

    (void)fd;
    (void)events;
    if (sd_event_now(sd_event_source_get_event(source), CLOCK_MONOTONIC, &now) >= 0)
        (void)receive_batch(udp, now);
    udp_flush(udp);
    return 0;
}

static int set_option(int fd, int level, int name, int value)
{
    return setsockopt(fd, level, name, &value, sizeof(value)) < 0 ? -errno : 0;
}

/* Never fragment; on a wildcard socket, say which address was spoken to. */
static int prepare_socket(struct udp *udp)
{
    struct sockaddr_storage storage = {0};
    socklen_t size = sizeof(storage);
    struct address bound;
    int r;

    if (getsockname(udp->fd, (struct sockaddr *)&storage, &size) < 0)
        return -errno;
    udp->family = storage.ss_family;
    r = address_from_sockaddr((const struct sockaddr *)&storage, size, &bound);
    if (r < 0)
        return r;
    udp->is_wildcard = address_is_wildcard(&bound);
    r = set_option(udp->fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO);
    if (r < 0)
        return r;
    if (udp->family == AF_INET6) {
        r = set_option(udp->fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_DO);
        if (r < 0)
            return r;
    }
    if (!udp->is_wildcard)
        return 0;
    udp->locals = calloc(LOCALS_COUNT, sizeof(*udp->locals));
    if (!udp->locals)
        return -ENOMEM;
    return udp->family == AF_INET6 ? set_option(udp->fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1)
                                   : set_option(udp->fd, IPPROTO_IP, IP_PKTINFO, 1);
}

int udp_new(sd_event *event, int fd, int64_t priority, udp_receive_t receive, void *userdata,
            struct udp **ret)
{
    _cleanup_(udp_freep) struct udp *udp = calloc(1, sizeof(*udp));
    int r;

    if (!udp) {
        (void)close_fd(fd);
        return -ENOMEM;
    }
    udp->fd = fd;
    udp->size_max = UDP_DATAGRAM_MAX;
    udp->receive = receive;
    udp->userdata = userdata;
    r = prepare_socket(udp);
    if (r < 0)
        return r;
    r = sd_event_add_io(event, &udp->source, fd, EPOLLIN, on_readable, udp);
    if (r < 0)
        return r;
    (void)sd_event_source_set_description(udp->source, "udp");
    r = sd_event_source_set_priority(udp->source, priority);
    if (r < 0)
        return r;
    r = sd_event_source_set_exit_on_failure(udp->source, true);
    if (r < 0)
        return r;
    *ret = TAKE_PTR(udp);
    return 0;
}

struct udp *udp_free(struct udp *udp)
{
    if (!udp)
        return NULL;
    sd_event_source_disable_unref(udp->source);
    (void)close_fd(udp->fd);
    free(udp->locals);
    free(udp);
    return NULL;
}

/* The sockaddr of @to for this socket's family. Return: its size, 0 where it does not fit. */
static socklen_t fit_address(const struct udp *udp, const struct address *to,
                             struct sockaddr_storage *ret)
{
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)ret;

    if (to->family == 4 && udp->family == AF_INET6) {
        *ret = (struct sockaddr_storage){0};
        in6->sin6_family = AF_INET6;
        in6->sin6_port = htons(to->port);
        in6->sin6_addr.s6_addr[10] = in6->sin6_addr.s6_addr[11] = 0xff;
        memcpy(in6->sin6_addr.s6_addr + 12, to->bytes, 4);
        return sizeof(*in6);
    }
    if ((to->family == 6) != (udp->family == AF_INET6))
        return 0;
    return address_to_sockaddr(to, ret);
}

/* Writes the local address to send from into @control. Return: its size. */
static size_t choose_local(struct udp *udp, const struct address *to, union control *control)
{
    const struct local *local = local_of(udp, to);
    struct sockaddr_storage storage;
    bool is_v6 = udp->family == AF_INET6;
    size_t size = is_v6 ? sizeof(struct in6_pktinfo) : sizeof(struct in_pktinfo);

    if (!address_is_equal(&local->remote, to) || fit_address(udp, &local->address, &storage) == 0)
        return 0;
    *control = (union control){0};
    control->header.cmsg_level = is_v6 ? IPPROTO_IPV6 : IPPROTO_IP;
    control->header.cmsg_type = is_v6 ? IPV6_PKTINFO : IP_PKTINFO;
    control->header.cmsg_len = CMSG_LEN(size);
    if (is_v6) {
        struct in6_pktinfo info = {.ipi6_addr = ((struct sockaddr_in6 *)&storage)->sin6_addr};
        memcpy(CMSG_DATA(&control->header), &info, sizeof(info));
    } else {
        struct in_pktinfo info = {.ipi_spec_dst = ((struct sockaddr_in *)&storage)->sin_addr};
        memcpy(CMSG_DATA(&control->header), &info, sizeof(info));
    }
    return CMSG_SPACE(size);
}

int udp_send(struct udp *udp, const struct address *to, const void *data, size_t size)
{
    struct batch *out = &udp->out;
    size_t i = udp->out_count;
    socklen_t address_size;

    if (size > UDP_DATAGRAM_MAX)
        return -EMSGSIZE;
    address_size = fit_address(udp, to, &out->addresses[i]);
    if (address_size == 0)
        return -EAFNOSUPPORT;
    memcpy(out->data[i], data, size);
    out->vectors[i] = (struct iovec){.iov_base = out->data[i], .iov_len = size};
    out->messages[i].msg_hdr = (struct msghdr){
        .msg_name = &out->addresses[i],
        .msg_namelen = address_size,
        .msg_iov = &out->vectors[i],
        .msg_iovlen = 1,
    };
    if (udp->locals) {
        size_t control_size = choose_local(udp, to, &out->controls[i]);
        out->messages[i].msg_hdr.msg_control = control_size > 0 ? &out->controls[i] : NULL;
        out->messages[i].msg_hdr.msg_controllen = control_size;
    }
    if (++udp->out_count == UDP_BATCH_MAX)
        udp_flush(udp);
    return 0;
}

/* Asks the kernel, by a socket of its own, what datagrams the path takes. Return: bytes or errno.
 */
static int read_path_max(const struct address *to)
{
    _cleanup_close_ int fd = -EBADF;
    struct sockaddr_storage storage;
    socklen_t size = address_to_sockaddr(to, &storage);
    bool is_v6 = to->family == 6;
    int mtu;

    fd = socket(is_v6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (const struct sockaddr *)&storage, size) < 0)
        return -errno;
    size = sizeof(mtu);
    if (getsockopt(fd, is_v6 ? IPPROTO_IPV6 : IPPROTO_IP, is_v6 ? IPV6_MTU : IP_MTU, &mtu, &size) <
        0)
        return -errno;
    return MAX(mtu - (is_v6 ? HEADERS_IP6 : HEADERS_IP4), 0);
}

static void measure_path(struct udp *udp, const struct mmsghdr *refused)
{
    struct address to;

    udp->statistics.too_large++;
    if (address_from_sockaddr(refused->msg_hdr.msg_name, refused->msg_hdr.msg_namelen, &to) < 0)
        return;
    int r = read_path_max(&to);
    if (r < 0 || (size_t)r >= udp->size_max)
        return;
    udp->size_max = (size_t)r;
    udp->narrowest = to;
}

/* What the kernel says to a source address that is not (any more) ours; IPv4 says "unreachable". */
static bool is_unbindable(int error)
{
    return error == EINVAL || error == ENETUNREACH || error == EADDRNOTAVAIL;
}

/* The machine may have lost the address that was spoken to: another has to do. Return: whether the
 * datagram was bound to one, and is no more. */
static bool forget_local(struct udp *udp, size_t i)
{
    struct msghdr *message = &udp->out.messages[i].msg_hdr;
    struct address to;

    if (message->msg_controllen == 0 ||
        address_from_sockaddr(message->msg_name, message->msg_namelen, &to) < 0)
        return false;
    *local_of(udp, &to) = (struct local){0};
    udp->statistics.locals_lost++;
    message->msg_control = NULL;
    message->msg_controllen = 0;
    return true;
}

void udp_flush(struct udp *udp)
{
    size_t done = 0;

    while (done < udp->out_count) {
        int count = sendmmsg(udp->fd, udp->out.messages + done, (unsigned)(udp->out_count - done),
                             MSG_DONTWAIT | MSG_NOSIGNAL);
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0 && is_unbindable(errno) && forget_local(udp, done))
            continue;
        if (count <= 0) {
            /* The first one is refused; the rest may have better luck. */
            udp->statistics.dropped_out++;
            if (count < 0 && errno == EMSGSIZE)
                measure_path(udp, &udp->out.messages[done]);
            done++;
            continue;
        }
        for (int i = 0; i < count; i++)
            udp->statistics.sent_size += udp->out.messages[done++].msg_len;
        udp->statistics.sent += (unsigned)count;
    }
    udp->out_count = 0;
}

void udp_rest(struct udp *udp)
{
    udp_flush(udp);
    rest_forget(udp->in.data, sizeof(udp->in.data));
    rest_forget(udp->out.data, sizeof(udp->out.data));
}

size_t udp_get_size_max(const struct udp *udp, struct address *ret_end)
{
    if (udp->size_max < UDP_DATAGRAM_MAX)
        *ret_end = udp->narrowest;
    return udp->size_max;
}

bool udp_is_local(const struct address *address)
{
    _cleanup_close_ int fd = -EBADF;
    struct address any_port = *address;
    struct sockaddr_storage storage;

    any_port.port = 0;
    socklen_t size = address_to_sockaddr(&any_port, &storage);
    fd = socket(storage.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    return fd < 0 || bind(fd, (const struct sockaddr *)&storage, size) >= 0 ||
           errno != EADDRNOTAVAIL;
}

void udp_get_statistics(const struct udp *udp, struct udp_statistics *ret)
{
    *ret = udp->statistics;
}
