/* SPDX-License-Identifier: MIT */
#include "node.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <systemd/sd-daemon.h>
#include <time.h>
#include "base/json_pool.h"
#include "base/log.h"
#include "control/data/moving.h"
#include "journal.h"
#include "keys.h"
#include "paths.h"
#include "remembered.h"

#define EXIT_BAD_CONFIG      78
#define TICK_USEC            USEC_PER_SEC
#define TICK_ACCURACY_USEC   (100 * USEC_PER_MSEC)
#define LEAVE_PATIENCE_USEC  (4 * USEC_PER_SEC)
#define KILL_PATIENCE_USEC   (2 * USEC_PER_SEC) /* beyond tasks.kill_grace */
#define REPORT_PATIENCE_USEC USEC_PER_SEC
#define SAVE_PATIENCE_USEC   (5 * USEC_PER_SEC)
#define STOP_SLACK_USEC      (10 * USEC_PER_SEC) /* for a machine that is held up */
#define RESTLESS_TICKS_MAX   10
#define REST_USEC            (10 * USEC_PER_SEC)
#define REST_QUIET_PAGES     16 /* fewer in REST_USEC: nothing is going on */
#define REST_PAGES           64 /* so many are worth it */

usec_t node_now(const struct node *node)
{
    uint64_t now = 0;

    (void)sd_event_now(node->event, CLOCK_MONOTONIC, &now);
    return now;
}

uint64_t node_wall(const struct node *node _unused_)
{
    struct timespec time;

    clock_gettime(CLOCK_REALTIME, &time);
    return (uint64_t)time.tv_sec * USEC_PER_SEC + (uint64_t)time.tv_nsec / 1000;
}

uint64_t node_wall_of(const struct node *node, usec_t usec)
{
    return usec_sub(node_wall(node), usec_sub(node_now(node), usec));
}

/* --- Now and then --- */

static void remember_members(struct node *node)
{
    node->members_changed = false;
    if (node->config->membership.snapshot && remembered_save(node) < 0)
        node->members_changed = true;
}

/* What systemctl shows. Not told with each change, for a lab that starts makes one per member. */
static void tell_status(struct node *node)
{
    const struct swim *swim = cluster_get_swim(node->cluster);
    size_t alive = 0, count = swim_members_count(swim);

    for (size_t i = 0; i < count; i++)
        alive += swim_member_at(swim, i)->state == SWIM_ALIVE;
    (void)sd_notifyf(false, "STATUS=Node %s: %zu of %zu nodes alive", node->config->node.name,
                     alive, count);
    node->status_changed = false;
}

/* Once the members are quiet, for a lab that starts changes all the time; but not too late. */
static void remember_when_quiet(struct node *node)
{
    if (!node->members_changed)
        return;
    bool is_quiet = !node->status_changed;
    if (is_quiet || ++node->restless_ticks >= RESTLESS_TICKS_MAX) {
        node->restless_ticks = 0;
        remember_members(node);
    }
}

void node_refresh_loads(struct node *node)
{
    const struct swim *swim = cluster_get_swim(node->cluster);

    if (node->loads_version == swim_loads_version(swim))
        return;
    node->loads_version = swim_loads_version(swim);
    for (size_t i = 0; i < swim_members_count(swim); i++) {
        const struct swim_member *member = swim_member_at(swim, i);
        const struct place_node *known =
            place_find(origin_get_place(tasks_get_origin(node->tasks)), &member->id);
        if (known && known->facts.load_permille == member->load.load_permille &&
            known->facts.running == member->load.running &&
            known->facts.queued == member->load.queued &&
            known->facts.slots == member->load.slots &&
            known->facts.is_draining == member->load.draining &&
            known->facts.is_unstable == member->is_unstable)
            continue;
        /* Which a start reads again. */
        node->members_changed |=
            member->load.slots > 0 && (!known || known->facts.slots != member->load.slots);
        remembered_tell_tasks(node, member);
    }
}

/*
 * A start or a burst of work leaves memory behind that a node at rest has no use for. Pages that
 * are touched anew tell both: that there was something, and that it is over.
 */
static void rest(struct node *node, usec_t now)
{
    struct rusage usage;

    if (now < node->rest_usec || getrusage(RUSAGE_SELF, &usage) < 0)
        return;
    bool is_quiet = usage.ru_minflt - node->faults < REST_QUIET_PAGES;
    node->rest_usec = usec_add(now, REST_USEC);
    node->faults = usage.ru_minflt;
    if (!is_quiet || usage.ru_minflt - node->rest_faults < REST_PAGES)
        return;
    udp_rest(node->udp);
    json_pool_rest();
    if (state_rest(node->state) >= 0)
        node->rest_faults = usage.ru_minflt;
}

static int on_tick(sd_event_source *source, uint64_t usec, void *data)
{
    struct node *node = data;

    memory_tick(node->memory, node_now(node));
    node_save_values(node, false);
    history_save(node->history);
    /* Each of these looks at all members, in a lab where all are busy with newcomers. */
    if (!swim_is_rushed(cluster_get_swim(node->cluster))) {
        remembered_tick(node);
        remember_when_quiet(node);
        if (node->status_changed)
            tell_status(node);
        node_refresh_loads(node);
        node_keys_tick(node);
        problems_tick(node);
    }
    rest(node, node_now(node));
    (void)sd_event_source_set_time(source, usec + TICK_USEC);
    (void)sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
    return 0;
}

static int on_worker(sd_event_source *source _unused_, int fd _unused_, uint32_t events _unused_,
                     void *data)
{
    struct node *node = data;

    worker_dispatch(node->worker);
    return 0;
}

/* --- Stopping --- */

static void finish_stop(struct node *node)
{
    int code = node->conflict.is_refused ? EXIT_BAD_CONFIG : 0;

    moving_tell_stop(node);
    (void)sd_event_exit(node->event, node->fatal == 0 ? code : 1);
}

static void begin_step(struct node *node, enum node_stop_step step)
{
    usec_t patience = 0;

    node->stop_step = step;
    switch (step) {
    case NODE_STOP_NONE:
    case NODE_STOP_END:
        finish_stop(node);
        return;
    case NODE_STOP_WORK:
        patience = node->config->stop_grace_usec;
        tasks_set_draining(node->tasks, true);
        break;
    case NODE_STOP_KILL:
        patience = usec_add(node->config->tasks.kill_grace_usec, KILL_PATIENCE_USEC);
        tasks_stop(node->tasks);
        break;
    case NODE_STOP_REPORT:
        patience = REPORT_PATIENCE_USEC;
        break;
    case NODE_STOP_LEAVE:
        patience = LEAVE_PATIENCE_USEC;
        if (!node->has_left)
            cluster_leave(node->cluster);
        break;
    case NODE_STOP_SAVE:
        patience = SAVE_PATIENCE_USEC;
        tasks_save(node->tasks);
        /* What fails now is tried again in parts at the end. */
        node_save_values(node, false);
        break;
    }
    /* The configuration may allow more than the unit's TimeoutStopSec=. */
    (void)sd_notifyf(false, "EXTEND_TIMEOUT_USEC=%" PRIu64, usec_add(patience, STOP_SLACK_USEC));
    (void)sd_event_source_set_time(node->stop_timer, usec_add(node_now(node), patience));
    (void)sd_event_source_set_enabled(node->stop_timer, SD_EVENT_ONESHOT);
}

static bool is_step_done(const struct node *node)
{
    switch (node->stop_step) {
    case NODE_STOP_WORK:
    case NODE_STOP_KILL:
        return tasks_are_stopped(node->tasks);
    case NODE_STOP_REPORT:
        return tasks_are_reported(node->tasks);
    case NODE_STOP_LEAVE:
        return node->has_left;
    case NODE_STOP_SAVE:
        return tasks_are_saved(node->tasks) && state_pending_count(node->state) == 0;
    case NODE_STOP_NONE:
    case NODE_STOP_END:
        break;
    }
    return false;
}

static int on_stop_timer(sd_event_source *source _unused_, uint64_t usec _unused_, void *data)
{
    struct node *node = data;

    begin_step(node, node->stop_step + 1);
    return 0;
}

/* After each event: no event source, as that would be one more turn of the loop for each. */
static void end_turn(struct node *node)
{
    conflict_turn(node);
    while (is_step_done(node))
        begin_step(node,
                   node->stop_step == NODE_STOP_WORK ? NODE_STOP_REPORT : node->stop_step + 1);
}

static int run_loop(struct node *node)
{
    int code = 0;

    while (sd_event_get_state(node->event) != SD_EVENT_FINISHED) {
        int r = sd_event_run(node->event, UINT64_MAX);
        if (r < 0)
            return r;
        end_turn(node);
    }
    (void)sd_event_get_exit_code(node->event, &code);
    return code;
}

void node_stop(struct node *node, const char *reason)
{
    if (node->stop_step != NODE_STOP_NONE)
        return;
    (void)sd_notify(false, "STOPPING=1");
    journal_node_stopping(reason);
    begin_step(node, NODE_STOP_WORK);
}

static int on_terminate(sd_event_source *source _unused_, const struct signalfd_siginfo *info,
                        void *data)
{
    struct node *node = data;

    if (node->stop_step != NODE_STOP_NONE) {
        log_notice("Told to stop twice: stopping at once");
        finish_stop(node);
        return 0;
    }
    node_stop(node, info->ssi_signo == SIGINT ? "interrupted" : "told to stop");
    return 0;
}

static int on_hangup(sd_event_source *source _unused_, const struct signalfd_siginfo *info _unused_,
                     void *data)
{
    reload_start(data, NULL);
    return 0;
}

static int make_sources(struct node *node)
{
    sd_event_source *worker = NULL;
    int r = sd_event_add_io(node->event, &worker, worker_get_fd(node->worker), EPOLLIN, on_worker,
                            node);

    node->worker_source = worker;
    if (r >= 0)
        r = sd_event_source_set_exit_on_failure(worker, true);
    if (r >= 0)
        r = sd_event_add_time_relative(node->event, &node->tick, CLOCK_MONOTONIC, TICK_USEC,
                                       TICK_ACCURACY_USEC, on_tick, node);
    if (r >= 0)
        r = sd_event_add_time(node->event, &node->stop_timer, CLOCK_MONOTONIC, USEC_INFINITY,
                              TICK_ACCURACY_USEC, on_stop_timer, node);
    if (r >= 0)
        r = sd_event_source_set_enabled(node->stop_timer, SD_EVENT_OFF);
    if (r >= 0)
        r = sd_event_add_signal(node->event, NULL, SIGTERM, on_terminate, node);
    if (r >= 0)
        r = sd_event_add_signal(node->event, NULL, SIGINT, on_terminate, node);
    if (r >= 0)
        r = sd_event_add_signal(node->event, NULL, SIGHUP, on_hangup, node);
    if (r >= 0)
        r = sd_event_set_watchdog(node->event, true);
    if (r < 0)
        return log_error_errno(r, "Cannot watch timers and signals: %m");
    return 0;
}

static void on_journal_event(const struct journal_event *event, void *data)
{
    struct node *node = data;

    history_add_event(event, node->history);
    if (node->tasks)
        tasks_hear(node->tasks, event);
}

static int build(struct node *node)
{
    int r = node_make_base(node);

    if (r < 0)
        return r;
    r = keys_load(node->config, node->state_dir, &node->keyring, &node->keyring_differs);
    if (r < 0)
        return r == -ENOKEY ? EXIT_BAD_CONFIG : r;
    if (node->keyring)
        keyring_settle(node->keyring,
                       (node->started_wall_usec + NODE_KEYS_SETTLE_USEC) / USEC_PER_SEC,
                       (node->started_wall_usec + NODE_KEYS_GRACE_MAX_USEC) / USEC_PER_SEC);
    r = history_new(node->config->messages.keep, &node->history);
    if (r < 0)
        return r;
    journal_set_observer(on_journal_event, node);
    r = monitor_new(node->event, &node->monitor);
    if (r >= 0)
        r = node_make_stores(node);
    if (r >= 0)
        r = node_make_cluster(node);
    if (r >= 0)
        r = node_make_transfer(node);
    /* All of the database is read before the tasks, whose commits give it to a thread. */
    if (r >= 0 && node->config->membership.snapshot)
        r = remembered_load(node);
    if (r >= 0)
        r = drain_load(node);
    if (r >= 0)
        r = node_make_tasks(node);
    if (r >= 0)
        remembered_take_up(node);
    if (r >= 0)
        r = node_make_control(node);
    if (r >= 0)
        r = make_sources(node);
    return r;
}

/* All but the configuration, which what goes last still reads. Half-built nodes, too. */
static void take_down(struct node *node)
{
    /* Nothing is taken over from the worker any more. */
    node->stop_step = NODE_STOP_END;
    journal_set_observer(NULL, NULL);
    node_keys_close(node);
    if (node->socket_link)
        (void)unlink(node->socket_link);
    server_free(node->server);
    remote_free(node->remote);
    sd_event_source_disable_unref(node->tick);
    sd_event_source_disable_unref(node->stop_timer);
    if (node->memory && node->state)
        node_save_values(node, true);
    if (node->history)
        history_save(node->history);
    if (node->cluster && node->state && node->members_changed)
        remember_members(node);
    if (node->tasks)
        tasks_close(node->tasks);
    if (node->transfers)
        transfers_stop(node->transfers);
    cluster_free(node->cluster);
    sd_event_source_disable_unref(node->worker_source);
    /* What has been asked of the disk is done before those who asked go. */
    worker_free(node->worker);
    bool has_values = node->memory && node->state;
    state_free(node->state);
    if (has_values)
        node_tell_lost_values(node);
    output_store_free(node->outputs);
    bundles_free(node->bundles);
    tasks_free(node->tasks);
    transfers_free(node->transfers);
    listener_free(node->listener);
    peers_free(node->peers);
    udp_free(node->udp);
    memory_free(node->memory);
    files_free(node->files);
    monitor_free(node->monitor);
    history_free(node->history);
    textfile_free(node->textfile);
    gate_free(node->gate);
    tls_free(node->tls);
    close_fd(node->sockets.udp_fd);
    close_fd(node->sockets.tcp_fd);
    keyring_free(node->keyring);
    drain_done(&node->drain);
    remembered_done(node);
    sd_event_unref(node->event);
    free(node->socket_path);
    free(node->socket_link);
    free(node->state_dir);
    free(node);
}

int node_new(const char *instance, const char *path, struct config *config,
             const struct renewal *renewal, struct node **ret)
{
    struct node *node = calloc(1, sizeof(*node));

    if (!node)
        return 1;
    *node = (struct node){.instance = instance,
                          .config_path = path,
                          .config = config,
                          .renewal = *renewal,
                          .sockets = {.udp_fd = -EBADF, .tcp_fd = -EBADF}};
    list_init(&node->watches);
    list_init(&node->remembered);
    list_init(&node->moves);
    reloads_init(&node->reloads);
    struct timespec started;
    clock_gettime(CLOCK_MONOTONIC, &started);
    node->started_usec = (usec_t)started.tv_sec * USEC_PER_SEC + (usec_t)started.tv_nsec / 1000;
    node->started_wall_usec = node_wall(node);
    int r = build(node);
    if (r != 0) {
        take_down(node);
        return r > 0 ? r : 1;
    }
    *ret = node;
    return 0;
}

struct node *node_free(struct node *node)
{
    if (!node)
        return NULL;
    struct config *config = node->config;
    take_down(node);
    config_free(config);
    return NULL;
}

int node_run(struct node *node, struct renewal *ret)
{
    const struct swim_member *self = swim_get_self(cluster_get_swim(node->cluster));

    cluster_start(node->cluster);
    journal_node_started(&node->start.id, node->config->node.role == CONFIG_SEED ? "seed" : "peer",
                         &self->address);
    (void)sd_notifyf(false, "READY=1\nSTATUS=Node %s is running", node->config->node.name);
    conflict_tell_renewal(node);
    int r = run_loop(node);
    if (r < 0) {
        log_error_errno(r, "The event loop failed: %m");
        return 1;
    }
    if (conflict_has_lost_id(&node->conflict) && node->fatal == 0) {
        *ret = node->conflict.renewal;
        return NODE_AGAIN;
    }
    return node->fatal == 0 ? r : 1;
}
