/* SPDX-License-Identifier: MIT */
#include "node.h"

#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <time.h>
#include "base/log.h"
#include "control/methods.h"
#include "journal.h"
#include "keys.h"
#include "paths.h"

#define EXIT_BAD_CONFIG     78
#define WORKER_QUEUE_MAX    4096
#define TICK_USEC           USEC_PER_SEC
#define TICK_ACCURACY_USEC  (100 * USEC_PER_MSEC)
#define LEAVE_PATIENCE_USEC (4 * USEC_PER_SEC)
#define HANDSHAKE_USEC      (5 * USEC_PER_SEC)
#define GATE_SPARE          16
#define REMEMBERED_MAX      256
#define REJOIN_MAX          16

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

/* --- Building, floor by floor --- */

static int make_base(struct node *node)
{
    int r = sd_event_default(&node->event);

    if (r < 0)
        return log_error_errno(r, "Cannot make the event loop: %m");
    r = paths_get_state_dir(node->config->state_dir, node->instance, &node->state_dir);
    if (r < 0)
        return log_error_errno(r, "Cannot make the state directory (state_dir): %m");
    r = paths_get_socket(node->config->control.socket, node->instance, &node->socket_path);
    if (r < 0)
        return log_error_errno(
            r, "Cannot make the directory of the control socket (control.socket): %m");
    r = worker_new(2 * (size_t)node->config->net.transfers_max + 2, WORKER_QUEUE_MAX,
                   &node->worker);
    if (r < 0)
        return log_error_errno(r, "Cannot make the worker threads: %m");
    return 0;
}

static int load_value(const struct state_value *value, void *data)
{
    struct node *node = data;

    return memory_load(node->memory, value, node_now(node), node_wall(node));
}

static int make_stores(struct node *node)
{
    const struct config *config = node->config;
    char message[MAX(STATE_MESSAGE_MAX, FILES_MESSAGE_MAX)];
    _cleanup_free_ char *files_path = NULL;
    uint64_t seed;
    int r = state_open(node->state_dir, node->worker, HISTORY_EVENTS_MAX, message, &node->state);

    if (r < 0) {
        log_error("%s", message);
        return r;
    }
    r = state_start(node->state, node_wall(node), &node->start);
    if (r < 0)
        return log_error_errno(r, "Cannot begin a new generation in %s: %m", node->state_dir);
    r = output_store_new(node->state_dir, node->state, node->worker, &node->outputs);
    if (r < 0)
        return log_error_errno(r, "Cannot make the store of task output in %s: %m",
                               node->state_dir);
    r = asprintf(&files_path, config->files.dir[0] == '/' ? "%s%s" : "%s/%s",
                 config->files.dir[0] == '/' ? "" : node->state_dir, config->files.dir);
    if (r < 0)
        return -ENOMEM;
    r = files_open(files_path,
                   &(struct files_limits){.quota = config->files.quota_size,
                                          .file_max = config->files.file_size_max,
                                          .reserve = config->files.reserve_size},
                   message, &node->files);
    if (r < 0) {
        log_error("%s", message);
        return r;
    }
    if (getrandom(&seed, sizeof(seed), 0) != (ssize_t)sizeof(seed))
        return -EIO;
    r = memory_new(&(struct memory_limits){.total_max = config->mem.limit_size,
                                           .value_max = config->mem.value_size_max,
                                           .key_max = config->mem.key_size_max},
                   seed, &node->memory);
    if (r >= 0 && config->mem.persist)
        r = state_load_values(node->state, load_value, node);
    if (r < 0)
        return log_error_errno(r, "Cannot load the stored values: %m");
    return 0;
}

static void on_datagram(const struct address *from, const void *data, size_t size,
                        usec_t now _unused_, void *userdata)
{
    struct node *node = userdata;

    cluster_receive(node->cluster, from, data, size);
}

static int make_cluster(struct node *node)
{
    const struct config_listen *listen = &node->config->listen;
    char error[BIND_ERROR_MAX];
    struct address address = {0};
    int r;

    if (*listen->address && address_parse(listen->address, 0, &address) < 0) {
        log_error("listen.address: \"%s\" is no IP address", listen->address);
        return -EINVAL;
    }
    address.port = (uint16_t)listen->port;
    r = bind_sockets_open(&address, listen->interface, error, &node->sockets);
    if (r < 0) {
        log_error("%s", error);
        log_error("hint: choose another port with listen.port, or end the other program");
        return r;
    }
    r = udp_new(node->event, TAKE_FD(node->sockets.udp_fd), SD_EVENT_PRIORITY_IMPORTANT,
                on_datagram, node, &node->udp);
    if (r < 0)
        return log_error_errno(r, "Cannot watch the UDP socket: %m");
    r = cluster_new(
        node->event,
        &(struct cluster_setup){.config = node->config,
                                .keyring = node->config->security.encrypt ? node->keyring : NULL,
                                .id = node->start.id,
                                .generation = node->start.generation,
                                .udp = node->udp,
                                .port = node->sockets.address.port,
                                .worker = node->worker},
        node_on_swim_event, node, &node->cluster);
    if (r < 0)
        return log_error_errno(r, "Cannot make the membership: %m");
    return 0;
}

/* Whether one of the networks of security.allow has the address. */
static bool is_allowed(const struct address *address, void *data)
{
    const struct node *node = data;
    const struct config_strings *allow = &node->config->security.allow;

    for (size_t i = 0; i < allow->count; i++) {
        char text[ADDRESS_TEXT_MAX];
        struct address network;
        const char *slash = strchr(allow->items[i], '/');
        snprintf(text, sizeof(text), "%.*s", (int)(slash ? slash - allow->items[i] : 53),
                 allow->items[i]);
        if (address_parse(text, 0, &network) < 0 || network.family != address->family)
            continue;
        unsigned bits = slash ? (unsigned)atoi(slash + 1) : network.family == 4 ? 32 : 128;
        bool is_inside = true;
        for (unsigned bit = 0; bit < bits && is_inside; bit++)
            is_inside = !((network.bytes[bit / 8] ^ address->bytes[bit / 8]) & (0x80 >> bit % 8));
        if (is_inside)
            return true;
    }
    return allow->count == 0;
}

static void on_stream(struct stream *stream, void *data)
{
    struct node *node = data;

    if (stream_get_protocol(stream) == TLS_PROTOCOL_TASK)
        peers_adopt(node->peers, stream);
    else
        transfers_adopt(node->transfers, stream);
}

static void on_stored(const struct files_info *info, void *data _unused_)
{
    journal_file_stored(info->name, info->size, info->owner);
}

static int make_transfer(struct node *node)
{
    const struct config_net *net = &node->config->net;
    int r =
        tls_new(&(struct tls_config){.cluster = node->config->node.cluster,
                                     .id = node->start.id,
                                     .keyring = node->config->security.tls ? node->keyring : NULL,
                                     .is_encrypted = node->config->security.tls},
                &node->tls);

    if (r >= 0)
        r = gate_new(net->connections_max + GATE_SPARE, net->connections_max, &node->gate);
    if (r >= 0)
        r = peers_new(node->event,
                      &(struct peers_config){.tls = node->tls,
                                             .self = node->start.id,
                                             .connect_timeout_usec = net->tcp_connect_timeout_usec,
                                             .idle_usec = net->tcp_idle_usec,
                                             .connections_max = net->connections_max},
                      &node_peers_handler, node, &node->peers);
    if (r >= 0)
        r = transfers_new(
            node->event,
            &(struct transfers_config){.worker = node->worker,
                                       .tls = node->tls,
                                       .files = node->files,
                                       .connect_timeout_usec = net->tcp_connect_timeout_usec,
                                       .idle_usec = net->tcp_idle_usec,
                                       .transfers_max = net->transfers_max,
                                       .rate_limit = net->rate_limit,
                                       .on_stored = on_stored,
                                       .data = node},
            &node->transfers);
    if (r >= 0)
        r = listener_new(
            &(struct listener_config){.stream = {.event = node->event,
                                                 .tls = node->tls,
                                                 .priority = SD_EVENT_PRIORITY_NORMAL,
                                                 .handshake_timeout_usec = HANDSHAKE_USEC},
                                      .gate = node->gate,
                                      .handshakes_max = net->connections_max,
                                      .on_stream = on_stream,
                                      .is_allowed = is_allowed,
                                      .userdata = node},
            TAKE_FD(node->sockets.tcp_fd), &node->listener);
    if (r < 0)
        return log_error_errno(r, "Cannot make the TCP side: %m");
    return 0;
}

static void on_fatal(int r, void *data)
{
    struct node *node = data;

    if (node->fatal == 0)
        journal_problem("state", NULL, strerror(-r), false);
    node->fatal = r;
    (void)sd_event_exit(node->event, 1);
}

static int tell_record(struct node *node)
{
    const struct config *config = node->config;
    struct record record = {.protocol = RECORD_PROTOCOL,
                            .has_tasks = config->tasks.enabled,
                            .has_commands = config->tasks.allow_commands};
    uint8_t data[SWIM_META_MAX];
    size_t size;

    snprintf(record.version, sizeof(record.version), "%s", P2PNODE_VERSION);
    for (size_t i = 0; node->keyring && i < node->keyring->count; i++)
        record.keys[record.keys_count++] = node->keyring->keys[i].id;
    for (size_t i = 0; i < config->tasks.types_count && record.types_count < RECORD_TYPES_MAX; i++)
        if (config->tasks.enabled)
            snprintf(record.types[record.types_count++], sizeof(record.types[0]), "%s",
                     config->tasks.types[i].name);
    for (size_t i = 0; i < config->node.tags.count && record.tags_count < RECORD_TAGS_MAX; i++)
        snprintf(record.tags[record.tags_count++], sizeof(record.tags[0]), "%s",
                 config->node.tags.items[i]);
    int r = record_encode(&record, data, sizeof(data), &size);
    if (r < 0) {
        log_error("node.tags and tasks.types together are too long to be told to other nodes (%d "
                  "bytes at "
                  "most)",
                  SWIM_META_MAX);
        return r;
    }
    return cluster_set_meta(node->cluster, data, size);
}

static int make_tasks(struct node *node)
{
    _cleanup_free_ char *exec_path = NULL;
    int r;

    if (asprintf(&exec_path, "/run/p2pnode-exec/%s.sock", node->instance) < 0)
        return -ENOMEM;
    r = tasks_new(node->event,
                  &(struct tasks_setup){.config = node->config,
                                        .start = &node->start,
                                        .state_dir = node->state_dir,
                                        .exec_socket_path = exec_path,
                                        .state = node->state,
                                        .outputs = node->outputs,
                                        .peers = node->peers,
                                        .find_address = node_find_address,
                                        .on_load = node_on_load,
                                        .on_fatal = on_fatal,
                                        .data = node},
                  node_wall(node), &node->tasks);
    if (r < 0)
        return log_error_errno(r, "Cannot take up the tasks: %m");
    return tell_record(node);
}

static int make_control(struct node *node)
{
    const struct config_control *control = &node->config->control;
    int r = remote_new(node->event, node->peers, node->config->node.name, methods_dispatch, node,
                       &node->remote);

    if (r >= 0)
        r = server_new(node->event,
                       &(struct server_config){.path = node->socket_path,
                                               .mode = control->mode,
                                               .user_group = control->user_group,
                                               .admin_group = control->admin_group,
                                               .clients_max = control->clients_max,
                                               .listen_fd = -EBADF},
                       methods_dispatch, node, &node->server);
    if (r == -EADDRINUSE)
        log_error("%s: a daemon called \"%s\" runs already", node->socket_path, node->instance);
    else if (r < 0)
        return log_error_errno(r, "Cannot serve the control socket %s: %m", node->socket_path);
    return r;
}

/* --- Now and then --- */

static void remember_members(struct node *node)
{
    const struct swim *swim = cluster_get_swim(node->cluster);
    _cleanup_(state_batch_freep) struct state_batch *batch = NULL;
    struct state_member members[REMEMBERED_MAX];
    char addresses[REMEMBERED_MAX][ADDRESS_TEXT_MAX];
    size_t count = 0;

    node->members_changed = false;
    if (!node->config->membership.snapshot || state_batch_new(&batch) < 0)
        return;
    for (size_t i = 0; i < swim_members_count(swim) && count < REMEMBERED_MAX; i++) {
        const struct swim_member *member = swim_member_at(swim, i);
        if (member->is_self || member->state == SWIM_DEAD || member->state == SWIM_LEFT)
            continue;
        members[count] =
            (struct state_member){.id = member->id,
                                  .name = member->name,
                                  .address = address_format(&member->address, addresses[count])};
        count++;
    }
    state_put_members(batch, members, count);
    if (state_commit(node->state, &batch) < 0)
        node->members_changed = true;
}

static void save_values(struct node *node)
{
    _cleanup_(state_batch_freep) struct state_batch *batch = NULL;

    if (!node->config->mem.persist || !memory_is_dirty(node->memory) || state_batch_new(&batch) < 0)
        return;
    memory_save(node->memory, batch);
    if (state_commit(node->state, &batch) < 0)
        log_debug("Values are saved later: the disk is behind");
}

void node_refresh_loads(struct node *node)
{
    const struct swim *swim = cluster_get_swim(node->cluster);
    struct record record;

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
        bool is_readable = node_get_record(member, &record) >= 0;
        tasks_set_member(node->tasks, member, is_readable ? &record : NULL);
    }
}

static int on_tick(sd_event_source *source, uint64_t usec, void *data)
{
    struct node *node = data;

    memory_tick(node->memory, node_now(node));
    save_values(node);
    if (node->members_changed)
        remember_members(node);
    node_refresh_loads(node);
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
    (void)sd_event_exit(node->event, node->fatal == 0 ? 0 : 1);
}

static int on_stop_timer(sd_event_source *source _unused_, uint64_t usec _unused_, void *data)
{
    finish_stop(data);
    return 0;
}

/* Work first, then the good-bye, then the end; each with an end of patience. */
static int on_loop_turn(sd_event_source *source _unused_, void *data)
{
    struct node *node = data;

    if (!node->is_stopping)
        return 0;
    if (!node->is_leaving && tasks_are_stopped(node->tasks)) {
        node->is_leaving = true;
        if (node->has_left) {
            finish_stop(node);
            return 0;
        }
        (void)sd_event_source_set_time(node->stop_timer, node_now(node) + LEAVE_PATIENCE_USEC);
        cluster_leave(node->cluster);
    }
    if (node->is_leaving && node->has_left)
        finish_stop(node);
    return 0;
}

static int on_terminate(sd_event_source *source _unused_, const struct signalfd_siginfo *info,
                        void *data)
{
    struct node *node = data;

    if (node->is_stopping) {
        log_notice("Told to stop twice: stopping at once");
        finish_stop(node);
        return 0;
    }
    node->is_stopping = true;
    (void)sd_notify(false, "STOPPING=1");
    journal_node_stopping(info->ssi_signo == SIGINT ? "interrupted" : "told to stop");
    (void)sd_event_source_set_time(node->stop_timer,
                                   node_now(node) + node->config->stop_grace_usec);
    (void)sd_event_source_set_enabled(node->stop_timer, SD_EVENT_ONESHOT);
    tasks_stop(node->tasks);
    return 0;
}

/* The log file may have been rotated. */
static int on_hangup(sd_event_source *source _unused_, const struct signalfd_siginfo *info _unused_,
                     void *data)
{
    struct node *node = data;
    int r = journal_open(node->config);

    if (r < 0)
        log_error_errno(r, "Cannot open %s: %m", node->config->log.file);
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
        r = sd_event_add_post(node->event, NULL, on_loop_turn, node);
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

/* Members of the last run are asked too: the seeds may be gone. */
static int rejoin(const struct state_member *member, void *data)
{
    struct node *node = data;
    struct address address;

    if (address_parse(member->address, 0, &address) >= 0)
        (void)cluster_join(node->cluster, &address);
    return 0;
}

static int build(struct node *node)
{
    int r = make_base(node);

    if (r < 0)
        return r;
    r = keys_load(node->config, node->state_dir, &node->keyring, &node->keyring_differs);
    if (r < 0)
        return r == -ENOKEY ? EXIT_BAD_CONFIG : r;
    r = history_new(node->config->messages.keep, &node->history);
    if (r < 0)
        return r;
    journal_set_observer(history_add_event, node->history);
    if (r >= 0)
        r = make_stores(node);
    if (r >= 0)
        r = make_cluster(node);
    if (r >= 0)
        r = make_transfer(node);
    if (r >= 0)
        r = make_tasks(node);
    if (r >= 0)
        r = make_control(node);
    if (r >= 0)
        r = make_sources(node);
    if (r >= 0 && node->config->membership.snapshot)
        r = state_load_members(node->state, rejoin, node);
    return r;
}

int node_new(const char *instance, struct config *config, struct node **ret)
{
    _cleanup_(node_freep) struct node *node = calloc(1, sizeof(*node));

    if (!node)
        return 1;
    *node = (struct node){
        .instance = instance, .config = config, .sockets = {.udp_fd = -EBADF, .tcp_fd = -EBADF}};
    list_init(&node->watches);
    node->started_wall_usec = node_wall(node);
    int r = build(node);
    if (r != 0) {
        node->config = NULL;
        return r > 0 ? r : 1;
    }
    *ret = TAKE_PTR(node);
    return 0;
}

struct node *node_free(struct node *node)
{
    if (!node)
        return NULL;
    journal_set_observer(NULL, NULL);
    server_free(node->server);
    remote_free(node->remote);
    sd_event_source_disable_unref(node->tick);
    sd_event_source_disable_unref(node->stop_timer);
    if (node->memory && node->state)
        save_values(node);
    if (node->tasks)
        tasks_close(node->tasks);
    if (node->transfers)
        transfers_stop(node->transfers);
    cluster_free(node->cluster);
    sd_event_source_disable_unref(node->worker_source);
    /* What has been asked of the disk is done before those who asked go. */
    worker_free(node->worker);
    state_free(node->state);
    output_store_free(node->outputs);
    tasks_free(node->tasks);
    transfers_free(node->transfers);
    listener_free(node->listener);
    peers_free(node->peers);
    udp_free(node->udp);
    memory_free(node->memory);
    files_free(node->files);
    history_free(node->history);
    gate_free(node->gate);
    tls_free(node->tls);
    close_fd(node->sockets.udp_fd);
    close_fd(node->sockets.tcp_fd);
    keyring_free(node->keyring);
    sd_event_unref(node->event);
    config_free((struct config *)(uintptr_t)node->config);
    free(node->socket_path);
    free(node->state_dir);
    free(node);
    return NULL;
}

int node_run(struct node *node)
{
    const struct swim_member *self = swim_get_self(cluster_get_swim(node->cluster));

    cluster_start(node->cluster);
    journal_node_started(&node->start.id, node->config->node.role == CONFIG_SEED ? "seed" : "peer",
                         &self->address);
    (void)sd_notifyf(false, "READY=1\nSTATUS=Node %s is running", node->config->node.name);
    int r = sd_event_loop(node->event);
    if (r < 0) {
        log_error_errno(r, "The event loop failed: %m");
        return 1;
    }
    return node->fatal == 0 ? r : 1;
}
