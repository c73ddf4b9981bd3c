/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The pump of the membership core: UDP socket, seal and swim, wired to one loop. Datagrams go in,
 * packets come out sealed, events go to one handler, one timer is armed. It decides nothing; what
 * it adds to the cores is the outside: clocks, names that have to be looked up, the machine that
 * slept.
 */

#include <systemd/sd-event.h>
#include "base/histogram.h"
#include "base/worker.h"
#include "config/config.h"
#include "net/udp.h"
#include "seal/seal.h"
#include "strangers.h"
#include "swim/swim.h"

struct cluster;

/* The event is borrowed for the call. The handler must not call swim_* functions that change the
 * core; the functions below it may call. */
typedef void (*cluster_event_t)(const struct swim_event *event, void *data);

struct cluster_setup {
    const struct config *config;   /* borrowed until cluster_free */
    const struct keyring *keyring; /* NULL where encryption is off */
    struct node_id id;
    uint64_t generation;
    struct udp *udp;       /* borrowed; bound */
    uint16_t port;         /* of udp */
    struct worker *worker; /* borrowed; for names */
};

/* Return: 0; -EINVAL where listen.advertise is no address; -ENOMEM, -EIO. */
int cluster_new(sd_event *event, const struct cluster_setup *setup, cluster_event_t on_event,
                void *data, struct cluster **ret);
struct cluster *cluster_free(struct cluster *cluster);
DEFINE_CLEANUP(struct cluster *, cluster_free)

/* One datagram from the socket: to be called by udp's handler. */
void cluster_receive(struct cluster *cluster, const struct address *from, const void *data,
                     size_t size);

/*
 * A member of the last life. From cluster_start on some of them are asked to let us in, again every
 * rejoin interval while this node is alone: all that it knows may have been down together
 * (serf#333).
 */
#define CLUSTER_REMEMBERED_MAX 256
void cluster_remember(struct cluster *cluster, const struct address *address);

/*
 * The configuration says something else now: other seeds, intervals, cipher or size of datagrams.
 * Not from within the event handler. Return: 0; -EMSGSIZE where gossip.mtu has no room for this
 * node's tags and task types, -EIO, -ENOMEM; then only some of it is in force.
 */
int cluster_reload(struct cluster *cluster);

/* Contacts the seeds, and looks up again those that are names, every rejoin interval. */
void cluster_start(struct cluster *cluster);

/* To be asked only; changes go through the functions below. */
const struct swim *cluster_get_swim(const struct cluster *cluster);
void cluster_get_seal_statistics(const struct cluster *cluster, struct seal_statistics *ret);

/* How late the timer of the membership came, which goes before all else: on the scale
 * histogram_network. */
const struct histogram *cluster_get_lag(const struct cluster *cluster);

/* Who wrote with keys that we do not have; the marks in it are the caller's. */
struct strangers *cluster_get_strangers(struct cluster *cluster);

/* Datagrams are sealed and opened with these keys from now on. Not from within the event handler.
 * Return: as seal_set_keyring. */
int cluster_set_keyring(struct cluster *cluster, const struct keyring *keyring);

/* As their namesakes in swim.h. May be called from within the event handler: then they take effect
 * when it has returned. */
int cluster_set_meta(struct cluster *cluster, const void *meta, size_t size);
void cluster_set_load(struct cluster *cluster, const struct swim_load *load);

/* As their namesakes in swim.h; not from within the event handler (-EBUSY). */
int cluster_send_message(struct cluster *cluster, const struct node_id *to, const char *text,
                         uint64_t *ret_token);
int cluster_ping(struct cluster *cluster, const struct node_id *id, uint64_t *ret_token);
int cluster_join(struct cluster *cluster, const struct address *address);
int cluster_forget(struct cluster *cluster, const struct node_id *id);
void cluster_leave(struct cluster *cluster);
