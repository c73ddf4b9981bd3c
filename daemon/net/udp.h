/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The node's UDP socket in the loop, in batches: up to 16 datagrams are read per dispatch and
 * handed over one by one, what is sent is collected and leaves together. Never fragments (DF is
 * set). Datagrams that the kernel does not take are dropped and counted, as a router would have
 * dropped them; where one was above the path's MTU, that is looked up, so that the sender of larger
 * ones can do with less. On a wildcard socket, answers leave from the local address that was spoken
 * to, for as long as the machine has it.
 */

#include <stddef.h>
#include <stdint.h>
#include <systemd/sd-event.h>
#include "base/address.h"
#include "base/macro.h"
#include "base/usec.h"

#define UDP_DATAGRAM_MAX 1500 /* larger ones are dropped, in and out */
#define UDP_BATCH_MAX    16
#define UDP_CATCH_UP_MAX 32 /* batches */

struct udp;

/* @data is borrowed for the call; @now is the loop's. May call udp_send. */
typedef void (*udp_receive_t)(const struct address *from, const void *data, size_t size, usec_t now,
                              void *userdata);

struct udp_statistics {
    uint64_t received, received_size;
    uint64_t sent, sent_size;
    uint64_t dropped_in;  /* larger than UDP_DATAGRAM_MAX, or not IP */
    uint64_t dropped_out; /* not taken by the kernel: full, unreachable */
    uint64_t too_large;   /* of those: above the path MTU */
    uint64_t locals_lost; /* local addresses to answer from that turned out to be gone */
};

/**
 * udp_new() - watch a socket
 * @fd:       of bind_sockets_open(); taken over, also on failure
 * @priority: of the source in the loop
 *
 * An error of the source itself ends the loop. Return: 0, -ENOMEM, what sd-event said.
 */
int udp_new(sd_event *event, int fd, int64_t priority, udp_receive_t receive, void *userdata,
            struct udp **ret);
struct udp *udp_free(struct udp *udp);
DEFINE_CLEANUP(struct udp *, udp_free)

/*
 * Queues a copy; a full batch leaves at once. Return: 0; -EMSGSIZE above UDP_DATAGRAM_MAX;
 * -EAFNOSUPPORT where @to does not fit the socket.
 */
int udp_send(struct udp *udp, const struct address *to, const void *data, size_t size);

/* Reads what waits in the socket, up to UDP_CATCH_UP_MAX batches of it. Not for udp_receive_t. */
void udp_catch_up(struct udp *udp, usec_t now);

/* Sends what is queued. Called by itself after each dispatch of received datagrams. */
void udp_flush(struct udp *udp);

/* Gives back the memory of datagrams past, after sending what is queued. Not for udp_receive_t. */
void udp_rest(struct udp *udp);

/*
 * The largest datagram that all paths take, as far as the kernel refused some: of the narrowest
 * path met since the start, with its end in *@ret_end. Return: bytes, UDP_DATAGRAM_MAX while none
 * was refused (then *@ret_end is untouched).
 */
size_t udp_get_size_max(const struct udp *udp, struct address *ret_end);

/* Whether this machine has the address (its port does not matter), or it cannot be told. */
bool udp_is_local(const struct address *address);

void udp_get_statistics(const struct udp *udp, struct udp_statistics *ret);
