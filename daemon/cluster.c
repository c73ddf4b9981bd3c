/* SPDX-License-Identifier: MIT */
#include "cluster.h"

#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include "base/log.h"
#include "journal.h"
#include "net/fastest.h"
#include "seeds.h"
#include "underlay.h"

#define TIMER_ACCURACY_USEC USEC_PER_MSEC
#define CLOCK_STEP_USEC     USEC_PER_SEC
#define LOOKUP_SOON_USEC    (5 * USEC_PER_SEC) /* while too few seeds answer */
#define REMEMBERED_AT_ONCE  8
#define LATE_USEC           (20 * USEC_PER_MSEC) /* a timer that is served so late is */

struct cluster {
    const struct config *config; /* borrowed */
    sd_event *event;
    sd_event_source *timer;
    sd_event_source *lookup_timer;
    struct udp *udp; /* borrowed */
    struct seeds *seeds;
    struct seal *seal;
    enum config_cipher cipher;     /* that was asked for, */
    enum seal_algorithm algorithm; /* and what was chosen */
    struct swim *swim;
    cluster_event_t on_event;
    void *data;
    usec_t now;
    struct histogram lag;      /* of the timer */
    uint64_t wall_offset_usec; /* wall clock - monotonic clock, when last looked */
    struct strangers strangers;
    usec_t sleep_usec; /* boot-time clock - monotonic clock, when last looked */
    struct underlay underlay;
    struct address remembered[CLUSTER_REMEMBERED_MAX]; /* members of the last life */
    size_t remembered_count;
    size_t remembered_next;
    bool is_pumping;
    bool has_load;
    struct swim_load load; /* to be set after the events */
    bool has_meta;
    uint8_t meta[SWIM_META_MAX];
    size_t meta_size;
};

static usec_t read_clock(clockid_t id)
{
    struct timespec time;

    clock_gettime(id, &time);
    return (usec_t)time.tv_sec * USEC_PER_SEC + (usec_t)time.tv_nsec / 1000;
}

static usec_t now_of(struct cluster *cluster)
{
    uint64_t now;

    if (sd_event_now(cluster->event, CLOCK_MONOTONIC, &now) >= 0 && now > cluster->now)
        cluster->now = now;
    return cluster->now;
}

static void send_datagrams(struct cluster *cluster)
{
    struct seal_datagram datagram;

    while (seal_next_datagram(cluster->seal, &datagram))
        udp_send(cluster->udp, &datagram.to, datagram.data, datagram.size);
    udp_flush(cluster->udp);
}

/* What the event handler asked for. Return: whether there was anything, and so may be new events.
 */
static bool apply_deferred(struct cluster *cluster)
{
    bool has_load = cluster->has_load, has_meta = cluster->has_meta;

    cluster->has_load = cluster->has_meta = false;
    if (has_load)
        swim_set_load(cluster->swim, &cluster->load, cluster->now);
    if (has_meta) {
        int r = swim_set_meta(cluster->swim, cluster->meta, cluster->meta_size, cluster->now);
        if (r < 0)
            log_warning_errno(r, "Cannot tell the others what this node does: %m");
    }
    return has_load || has_meta;
}

/* What others know of our send session is worth nothing any more. */
static void renew_session(struct cluster *cluster, usec_t now)
{
    uint8_t seed[SEAL_SEED_SIZE];

    if (getrandom(seed, sizeof(seed), 0) == (ssize_t)sizeof(seed))
        (void)seal_renew(cluster->seal, seed, now);
    explicit_bzero(seed, sizeof(seed));
}

static void drain_cores(struct cluster *cluster)
{
    struct swim_packet packet;
    struct swim_event event;

    do {
        cluster->is_pumping = true;
        while (swim_next_event(cluster->swim, &event))
            cluster->on_event(&event, cluster->data);
        cluster->is_pumping = false;
    } while (apply_deferred(cluster));
    while (swim_next_packet(cluster->swim, &packet)) {
        const struct swim_member *member = swim_find(cluster->swim, &packet.to_id);
        if (member && member->state >= SWIM_DEAD)
            seal_doubt(cluster->seal, &packet.to, &packet.to_id, cluster->now);
        int r = seal_send(cluster->seal, &packet.to, &packet.to_id, packet.data, packet.size,
                          cluster->now);
        if (r < 0)
            log_debug_errno(r, "Dropped a packet: %m");
    }
    send_datagrams(cluster);
}

/* After every input: packets and events out, one timer armed. */
static void pump(struct cluster *cluster)
{
    drain_cores(cluster);
    if (underlay_watch(&cluster->underlay, cluster->udp, cluster->swim, cluster->now)) {
        renew_session(cluster, cluster->now);
        drain_cores(cluster);
    }

    usec_t deadline = MIN(swim_deadline(cluster->swim), seal_deadline(cluster->seal));
    (void)sd_event_source_set_time(cluster->timer, deadline);
    (void)sd_event_source_set_enabled(cluster->timer,
                                      deadline == USEC_INFINITY ? SD_EVENT_OFF : SD_EVENT_ONESHOT);
}

static void watch_strangers(struct cluster *cluster, const struct address *from)
{
    struct seal_statistics statistics;

    seal_get_statistics(cluster->seal, &statistics);
    strangers_watch(&cluster->strangers, &statistics, from, cluster->now);
}

void cluster_receive(struct cluster *cluster, const struct address *from, const void *data,
                     size_t size)
{
    struct seal_plain plain;
    usec_t now = now_of(cluster);
    int r = seal_receive(cluster->seal, from, data, size, now, &plain);

    if (r > 0) {
        strangers_acquit(&cluster->strangers, from);
        r = swim_receive(cluster->swim, from, &plain.from_id, plain.data, plain.size, now);
    }
    if (r < 0) {
        log_debug_errno(r, "Ignored a datagram: %m");
        watch_strangers(cluster, from);
    }
    pump(cluster);
}

/* A wall clock that was set, or a machine that slept, is told to the cores. */
static void watch_clocks(struct cluster *cluster, usec_t now)
{
    usec_t monotonic = read_clock(CLOCK_MONOTONIC);
    usec_t wall = read_clock(CLOCK_REALTIME);
    uint64_t offset = wall - monotonic;
    usec_t sleep = usec_sub(read_clock(CLOCK_BOOTTIME), monotonic);
    bool has_slept = sleep > cluster->sleep_usec + CLOCK_STEP_USEC;
    int64_t step = (int64_t)(offset - cluster->wall_offset_usec);

    if (!has_slept && step < (int64_t)CLOCK_STEP_USEC && step > -(int64_t)CLOCK_STEP_USEC)
        return;
    cluster->wall_offset_usec = offset;
    cluster->sleep_usec = sleep;
    swim_set_wall(cluster->swim, wall, now, has_slept);
    if (has_slept)
        renew_session(cluster, now);
}

static int on_timer(sd_event_source *source _unused_, uint64_t usec, void *data)
{
    struct cluster *cluster = data;
    usec_t now = now_of(cluster);

    histogram_add(&cluster->lag, &histogram_network, usec_sub(read_clock(CLOCK_MONOTONIC), usec));
    /* Who is late has answers unread: to say again what was heard makes everybody later. */
    if (usec_sub(now, usec) >= LATE_USEC)
        udp_catch_up(cluster->udp, now);
    watch_clocks(cluster, now);
    seal_tick(cluster->seal, now);
    swim_tick(cluster->swim, now);
    pump(cluster);
    return 0;
}

/* --- Seeds --- */

static void on_seeds_found(const struct swim_seed *seeds, size_t count, uint32_t entries,
                           void *data)
{
    struct cluster *cluster = data;

    swim_set_seeds(cluster->swim, seeds, count, entries, now_of(cluster));
    pump(cluster);
}

/* Only who is alone, and did not leave, goes back to those whom it knew in its last life. */
static bool is_alone(const struct cluster *cluster)
{
    const struct swim *swim = cluster->swim;

    for (size_t i = 0; i < swim_members_count(swim); i++) {
        const struct swim_member *member = swim_member_at(swim, i);
        if (!member->is_self && member->state == SWIM_ALIVE)
            return false;
    }
    return swim_get_self(swim)->state == SWIM_ALIVE;
}

/* Some of them at a time, in turns. */
static void contact_remembered(struct cluster *cluster)
{
    for (size_t i = 0; i < MIN(cluster->remembered_count, (size_t)REMEMBERED_AT_ONCE); i++) {
        size_t next = cluster->remembered_next++ % cluster->remembered_count;
        (void)swim_join(cluster->swim, &cluster->remembered[next], now_of(cluster));
    }
    pump(cluster);
}

/* Names are looked up again at every attempt, which are closer while too few seeds answer. */
static void look_around(struct cluster *cluster)
{
    usec_t wait = cluster->config->membership.rejoin_interval_usec;
    bool has_names = seeds_look_up(cluster->seeds);
    struct swim_statistics statistics;

    if (is_alone(cluster))
        contact_remembered(cluster);
    if (!has_names && cluster->remembered_count == 0)
        return;
    swim_get_statistics(cluster->swim, &statistics);
    if (statistics.seeds_reachable < statistics.seeds_needed)
        wait = MIN(wait, LOOKUP_SOON_USEC);
    (void)sd_event_source_set_time_relative(cluster->lookup_timer, wait);
    (void)sd_event_source_set_enabled(cluster->lookup_timer, SD_EVENT_ONESHOT);
}

static int on_lookup_timer(sd_event_source *source _unused_, uint64_t usec _unused_, void *data)
{
    look_around(data);
    return 0;
}

void cluster_remember(struct cluster *cluster, const struct address *address)
{
    if (cluster->remembered_count < ARRAY_SIZE(cluster->remembered))
        cluster->remembered[cluster->remembered_count++] = *address;
}

void cluster_start(struct cluster *cluster)
{
    look_around(cluster);
    pump(cluster);
}

/* --- Life --- */

static size_t packet_size(size_t datagram_max)
{
    return MIN(datagram_max - SEAL_OVERHEAD_MAX, (size_t)SWIM_PACKET_MAX);
}

static void fill_swim_config(const struct config *config, struct swim_config *ret)
{
    const struct config_membership *membership = &config->membership;
    const struct config_gossip *gossip = &config->gossip;

    *ret = (struct swim_config){
        .probe_interval_usec = membership->probe_interval_usec,
        .probe_timeout_usec = membership->probe_timeout_usec,
        .indirect_probes = membership->indirect_probes,
        .max_missed = membership->max_missed,
        .suspicion_mult = membership->suspicion_mult,
        .suspicion_max = membership->suspicion_max,
        .seed_quorum = membership->seed_quorum,
        .unstable_flaps = membership->unstable_flaps,
        .unstable_window_usec = membership->unstable_window_usec,
        .dead_retention_usec = membership->dead_retention_usec,
        .rejoin_interval_usec = membership->rejoin_interval_usec,
        .gossip_interval_usec = gossip->interval_usec,
        .gossip_fanout = gossip->fanout,
        .sync_interval_usec = gossip->sync_interval_usec,
        .message_interval_usec = gossip->message_interval_usec,
        .message_count = gossip->message_count,
        .load_interval_usec = gossip->load_interval_usec,
        .retransmit_mult = gossip->retransmit_mult,
        .packet_size_max = packet_size(gossip->mtu),
    };
}

static int choose_address(const struct cluster_setup *setup, struct address *ret)
{
    const struct config_listen *listen = &setup->config->listen;
    const char *text = *listen->advertise ? listen->advertise : listen->address;
    struct address address = {.family = 4};
    int r;

    if (*text) {
        r = address_parse(text, setup->port, &address);
        if (r < 0)
            return r;
    }
    if (!*listen->advertise || address.port == 0)
        address.port = setup->port;
    *ret = address;
    return 0;
}

static enum seal_algorithm choose_algorithm(const struct config_security *security)
{
    if (!security->encrypt)
        return SEAL_NONE;
    switch (security->cipher) {
    case CONFIG_CIPHER_AES_256_GCM:
        return SEAL_AES_256_GCM;
    case CONFIG_CIPHER_CHACHA20_POLY1305:
        return SEAL_CHACHA20_POLY1305;
    default:
        return fastest_algorithm();
    }
}

static int make_cores(struct cluster *cluster, const struct cluster_setup *setup)
{
    struct {
        uint8_t seal[SEAL_SEED_SIZE];
        uint64_t swim;
    } seeds;
    struct swim_config swim_config;
    struct swim_self self = {.id = setup->id,
                             .generation = setup->generation,
                             .is_seed = setup->config->node.role == CONFIG_SEED};
    int r;

    snprintf(self.name, sizeof(self.name), "%s", setup->config->node.name);
    r = choose_address(setup, &self.address);
    if (r < 0)
        return r;
    fill_swim_config(setup->config, &swim_config);
    cluster->cipher = setup->config->security.cipher;
    cluster->algorithm = choose_algorithm(&setup->config->security);
    if (getrandom(&seeds, sizeof(seeds), 0) != (ssize_t)sizeof(seeds))
        return -EIO;
    r = seal_new(&(struct seal_config){.cluster = setup->config->node.cluster,
                                       .id = setup->id,
                                       .keyring = setup->keyring,
                                       .is_encrypted = setup->config->security.encrypt,
                                       .algorithm = cluster->algorithm,
                                       .packet_size_max = swim_config.packet_size_max},
                 seeds.seal, cluster->now, &cluster->seal);
    explicit_bzero(seeds.seal, sizeof(seeds.seal));
    if (r < 0)
        return r;
    return swim_new(&swim_config, &self, seeds.swim, cluster->now, read_clock(CLOCK_REALTIME),
                    &cluster->swim);
}

int cluster_reload(struct cluster *cluster)
{
    struct swim_config config;
    usec_t now = now_of(cluster);
    size_t datagram_max =
        underlay_set_max(&cluster->underlay, cluster->udp, cluster->config->gossip.mtu);

    fill_swim_config(cluster->config, &config);
    config.packet_size_max = packet_size(MAX(datagram_max, (size_t)SEAL_OVERHEAD_MAX));
    /* Chosen by measuring, so not without need. */
    if (cluster->cipher != cluster->config->security.cipher)
        cluster->algorithm = choose_algorithm(&cluster->config->security);
    cluster->cipher = cluster->config->security.cipher;
    int r = seal_set_sending(cluster->seal, cluster->algorithm,
                             packet_size(cluster->config->gossip.mtu), now);
    if (r >= 0)
        r = swim_set_config(cluster->swim, &config, now);
    seeds_expire(cluster->seeds);
    look_around(cluster);
    pump(cluster);
    return r;
}

int cluster_new(sd_event *event, const struct cluster_setup *setup, cluster_event_t on_event,
                void *data, struct cluster **ret)
{
    _cleanup_(cluster_freep) struct cluster *cluster = calloc(1, sizeof(*cluster));
    int r;

    if (!cluster)
        return -ENOMEM;
    usec_t monotonic = read_clock(CLOCK_MONOTONIC);
    *cluster = (struct cluster){.config = setup->config,
                                .event = sd_event_ref(event),
                                .udp = setup->udp,
                                .on_event = on_event,
                                .data = data,
                                .now = monotonic,
                                .wall_offset_usec = read_clock(CLOCK_REALTIME) - monotonic,
                                .sleep_usec = usec_sub(read_clock(CLOCK_BOOTTIME), monotonic)};
    underlay_init(&cluster->underlay, (size_t)setup->config->gossip.mtu);
    r = make_cores(cluster, setup);
    if (r < 0)
        return r;
    r = seeds_new(&setup->config->all_seeds, setup->worker, on_seeds_found, cluster,
                  &cluster->seeds);
    if (r < 0)
        return r;
    r = sd_event_add_time(event, &cluster->timer, CLOCK_MONOTONIC, USEC_INFINITY,
                          TIMER_ACCURACY_USEC, on_timer, cluster);
    if (r < 0)
        return r;
    (void)sd_event_source_set_description(cluster->timer, "gossip-timer");
    (void)sd_event_source_set_priority(cluster->timer, SD_EVENT_PRIORITY_IMPORTANT);
    (void)sd_event_source_set_exit_on_failure(cluster->timer, true);
    r = sd_event_add_time(event, &cluster->lookup_timer, CLOCK_MONOTONIC, USEC_INFINITY,
                          USEC_PER_SEC, on_lookup_timer, cluster);
    if (r < 0)
        return r;
    (void)sd_event_source_set_description(cluster->lookup_timer, "seed-names");
    *ret = TAKE_PTR(cluster);
    return 0;
}

struct cluster *cluster_free(struct cluster *cluster)
{
    if (!cluster)
        return NULL;
    seeds_free(cluster->seeds);
    sd_event_source_disable_unref(cluster->timer);
    sd_event_source_disable_unref(cluster->lookup_timer);
    swim_free(cluster->swim);
    seal_free(cluster->seal);
    sd_event_unref(cluster->event);
    free(cluster);
    return NULL;
}

const struct swim *cluster_get_swim(const struct cluster *cluster)
{
    return cluster->swim;
}

void cluster_get_seal_statistics(const struct cluster *cluster, struct seal_statistics *ret)
{
    seal_get_statistics(cluster->seal, ret);
}

const struct histogram *cluster_get_lag(const struct cluster *cluster)
{
    return &cluster->lag;
}

struct strangers *cluster_get_strangers(struct cluster *cluster)
{
    return &cluster->strangers;
}

int cluster_set_keyring(struct cluster *cluster, const struct keyring *keyring)
{
    int r;

    if (cluster->is_pumping)
        return -EBUSY;
    r = seal_set_keyring(cluster->seal, keyring, now_of(cluster));
    pump(cluster);
    return r;
}

int cluster_set_meta(struct cluster *cluster, const void *meta, size_t size)
{
    if (size > sizeof(cluster->meta))
        return -EMSGSIZE;
    memcpy(cluster->meta, meta, size);
    cluster->meta_size = size;
    cluster->has_meta = true;
    if (!cluster->is_pumping) {
        (void)now_of(cluster);
        pump(cluster);
    }
    return 0;
}

void cluster_set_load(struct cluster *cluster, const struct swim_load *load)
{
    cluster->load = *load;
    cluster->has_load = true;
    if (!cluster->is_pumping) {
        (void)now_of(cluster);
        pump(cluster);
    }
}

int cluster_send_message(struct cluster *cluster, const struct node_id *to, const char *text,
                         uint64_t *ret_token)
{
    if (cluster->is_pumping)
        return -EBUSY;
    int r = swim_send_message(cluster->swim, to, text, now_of(cluster), ret_token);
    pump(cluster);
    return r;
}

int cluster_ping(struct cluster *cluster, const struct node_id *id, uint64_t *ret_token)
{
    if (cluster->is_pumping)
        return -EBUSY;
    int r = swim_ping(cluster->swim, id, now_of(cluster), ret_token);
    pump(cluster);
    return r;
}

int cluster_join(struct cluster *cluster, const struct address *address)
{
    if (cluster->is_pumping)
        return -EBUSY;
    int r = swim_join(cluster->swim, address, now_of(cluster));
    pump(cluster);
    return r;
}

int cluster_forget(struct cluster *cluster, const struct node_id *id)
{
    if (cluster->is_pumping)
        return -EBUSY;
    int r = swim_forget(cluster->swim, id, now_of(cluster));
    pump(cluster);
    return r;
}

void cluster_leave(struct cluster *cluster)
{
    swim_leave(cluster->swim, now_of(cluster));
    if (!cluster->is_pumping)
        pump(cluster);
}
