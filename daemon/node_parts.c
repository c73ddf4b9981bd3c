/* SPDX-License-Identifier: MIT */
#include "node.h"

#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <systemd/sd-login.h>
#include "base/log.h"
#include "base/machine.h"
#include "config/value.h"
#include "control/data/file.h"
#include "control/methods.h"
#include "journal.h"
#include "output.h"
#include "paths.h"
#include "tasks/python.h"

#define WORKER_QUEUE_MAX 4096
#define TASKFILE_THREADS 6 /* for the files of tasks and what is short, beside transfers */
#define HANDSHAKE_USEC   (5 * USEC_PER_SEC)
#define GATE_SPARE       16

static size_t files_threads(const struct config *config)
{
    return 2 * transfers_get_threads(config->net.transfers_max) + TASKFILE_THREADS;
}

int node_make_base(struct node *node)
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
    r = worker_new(files_threads(node->config), WORKER_QUEUE_MAX, &node->worker);
    if (r < 0)
        return log_error_errno(r, "Cannot make the worker threads: %m");
    return 0;
}

static int load_value(const struct state_value *value, void *data)
{
    struct node *node = data;

    if (value->is_damaged)
        log_warning("The value \"%s\" is damaged on the disk, and is not used: set it again",
                    value->key);
    int r = memory_load(node->memory, value, node_now(node), node_wall(node));
    return value->is_damaged && r == -EINVAL ? 0 : r;
}

static int skip_value(const struct state_value *value, void *data)
{
    struct node *node = data;

    memory_skip(node->memory, value);
    return 0;
}

static struct files_limits limits_of_files(const struct config *config)
{
    return (struct files_limits){.quota = config->files.quota_size,
                                 .file_max = config->files.file_size_max,
                                 .reserve = config->files.reserve_size,
                                 .part_keep_usec = config->files.part_keep_usec};
}

static struct memory_limits limits_of_memory(const struct config *config)
{
    return (struct memory_limits){.total_max = config->mem.limit_size,
                                  .value_max = config->mem.value_size_max,
                                  .key_max = config->mem.key_size_max};
}

int node_make_stores(struct node *node)
{
    const struct config *config = node->config;
    char message[MAX(STATE_MESSAGE_MAX, FILES_MESSAGE_MAX)];
    _cleanup_free_ char *files_path = NULL;
    uint64_t seed;
    int r = state_open(node->state_dir, node->worker, HISTORY_STORED_MAX, message, &node->state);

    if (r < 0) {
        log_error("%s", message);
        return r;
    }
    /* Who yielded an id is the later starter of its name, too: whoever keeps the id is not to yield
     * the name. */
    usec_t lead_usec = node->renewal.wall_usec > 0 ? USEC_PER_SEC : 0;
    r = state_start(node->state, node_wall(node) + lead_usec, &node->start);
    if (r < 0)
        return log_error_errno(r, "Cannot begin a new generation in %s: %m%s", node->state_dir,
                               r == -ENOSPC ? "; make room on its disk, some 100 KiB" : "");
    history_attach(node->history, node->state, node->start.next_event);
    r = output_store_new(node->state_dir, node->state, node->worker, &node->outputs);
    if (r < 0)
        return log_error_errno(r, "Cannot make the store of task output in %s: %m",
                               node->state_dir);
    r = bundles_new(node->state_dir, node->state, &node->bundles);
    if (r < 0)
        return log_error_errno(r, "Cannot make the store of files of tasks in %s: %m",
                               node->state_dir);
    r = asprintf(&files_path, config->files.dir[0] == '/' ? "%s%s" : "%s/%s",
                 config->files.dir[0] == '/' ? "" : node->state_dir, config->files.dir);
    if (r < 0)
        return -ENOMEM;
    const struct files_limits files_limits = limits_of_files(config);
    r = files_open(files_path, &files_limits, message, &node->files);
    if (r < 0) {
        log_error("%s", message);
        return r;
    }
    if (getrandom(&seed, sizeof(seed), 0) != (ssize_t)sizeof(seed))
        return -EIO;
    const struct memory_limits memory_limits = limits_of_memory(config);
    r = memory_new(&memory_limits, seed, &node->memory);
    if (r >= 0) {
        memory_begin(node->memory, node->start.versions, node->start.versions_reserved);
        r = state_load_values(node->state, config->mem.persist ? load_value : skip_value, node);
    }
    if (r < 0)
        return log_error_errno(r, "Cannot load the stored values: %m");
    return 0;
}

static void on_datagram(const struct address *from, const void *data, size_t size,
                        usec_t now _unused_, void *userdata)
{
    struct node *node = userdata;

    if (allow_has(&node->allow, from))
        cluster_receive(node->cluster, from, data, size);
}

/* What of listen.* is to be changed. */
static void hint_listening(int r)
{
    if (r == -EADDRINUSE)
        log_error("hint: choose another port with listen.port, or end the other program");
    else if (r == -EADDRNOTAVAIL)
        log_error("hint: listen.address has to be an address of this machine: ip addr");
    else if (r == -ENODEV)
        log_error("hint: listen.interface has to be an interface of this machine: ip link");
    else if (r == -EACCES || r == -EPERM)
        log_error("hint: choose another port with listen.port: those below 1024 are root's");
    else
        log_error("hint: look at listen.address, listen.interface and listen.port");
}

int node_make_cluster(struct node *node)
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
    allow_init(&node->allow, &node->config->security.allow);
    r = bind_sockets_open(&address, listen->interface, error, &node->sockets);
    if (r < 0) {
        log_error("%s", error);
        hint_listening(r);
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

static bool is_allowed(const struct address *address, void *data)
{
    const struct node *node = data;

    return allow_has(&node->allow, address);
}

static void on_stream(struct stream *stream, void *data)
{
    struct node *node = data;

    if (stream_get_protocol(stream) == TLS_PROTOCOL_TASK)
        peers_adopt(node->peers, stream);
    else
        transfers_adopt(node->transfers, stream);
}

static void on_stored(const struct transfers_stored *stored, void *data _unused_)
{
    journal_file_stored(stored->name, stored->size, stored->owner, stored->count);
}

static void on_changed(const char *name, void *data)
{
    file_tell_changed(data, name, NULL);
}

int node_make_transfer(struct node *node)
{
    const struct config_net *net = &node->config->net;
    struct address source = node->sockets.address;
    int r =
        tls_new(&(struct tls_config){.cluster = node->config->node.cluster,
                                     .id = node->start.id,
                                     .keyring = node->config->security.tls ? node->keyring : NULL,
                                     .is_encrypted = node->config->security.tls,
                                     .choose_key = node_keys_choose,
                                     .data = node},
                &node->tls);

    if (r >= 0)
        r = gate_new(net->connections_max + GATE_SPARE, net->connections_max, &node->gate);
    if (r >= 0)
        r = peers_new(node->event,
                      &(struct peers_config){.tls = node->tls,
                                             .self = node->start.id,
                                             .source = source,
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
                                       .source = source,
                                       .connect_timeout_usec = net->tcp_connect_timeout_usec,
                                       .idle_usec = net->tcp_idle_usec,
                                       .patience_usec = TRANSFERS_PATIENCE,
                                       .transfers_max = net->transfers_max,
                                       .rate_limit = net->rate_limit,
                                       .on_stored = on_stored,
                                       .on_changed = on_changed,
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

static void add_type(struct record *record, const struct config_type *type)
{
    size_t i = record->types_count++;

    snprintf(record->types[i], sizeof(record->types[i]), "%s", type->name);
    record->limits[i] =
        (struct record_limits){.is_for_some = type->users.count > 0,
                               .max = type->max > RECORD_MAX_TOLD ? 0 : (uint8_t)type->max};
}

int node_tell_record(struct node *node)
{
    const struct config *config = node->config;
    struct record record = {.protocol = RECORD_PROTOCOL,
                            .has_tasks = config->tasks.enabled,
                            .has_commands = config->tasks.allow_commands,
                            .has_python = config->tasks.allow_python,
                            .rules = node->rules};
    uint8_t data[SWIM_META_MAX];
    size_t size;

    if (config->tasks.enabled) {
        python_find_version(config->python.interpreter, record.python, sizeof(record.python));
        record.cpus = machine_count_cpus();
    }
    snprintf(record.version, sizeof(record.version), "%s", P2PNODE_VERSION);
    for (size_t i = 0; node->keyring && i < node->keyring->count; i++)
        record.keys[record.keys_count++] = node->keyring->keys[i].id;
    for (size_t i = 0; i < config->tasks.types_count && record.types_count < RECORD_TYPES_MAX; i++)
        if (config->tasks.enabled)
            add_type(&record, &config->tasks.types[i]);
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

/* Whether this is p2pnode@INSTANCE.service, whose task runner is a unit beside it. */
static bool has_exec_unit(const char *instance)
{
    _cleanup_free_ char *own = NULL, *expected = NULL;

    if (sd_pid_get_unit(0, &own) < 0 || asprintf(&expected, "p2pnode@%s.service", instance) < 0)
        return false;
    return strcmp(own, expected) == 0;
}

/* The others hear of the record; of ourselves nobody tells us. */
static int tell_tasks(struct node *node)
{
    const struct swim_member *self = swim_get_self(cluster_get_swim(node->cluster));
    struct record record;
    int r = node_tell_record(node);

    if (r >= 0)
        r = node_get_record(self, &record);
    if (r >= 0)
        tasks_set_member(node->tasks, self, &record);
    return r;
}

static void on_rules(void *data)
{
    struct node *node = data;

    node->rules++;
    int r = tell_tasks(node);
    if (r < 0)
        log_warning_errno(r, "Cannot tell other nodes which tasks run here: %m");
}

int node_make_tasks(struct node *node)
{
    _cleanup_free_ char *exec_path = NULL;
    const struct swim_member *self = swim_get_self(cluster_get_swim(node->cluster));
    struct record record;
    int r = node_tell_record(node);

    if (r < 0 || (r = node_get_record(self, &record)) < 0)
        return r;
    if (asprintf(&exec_path, "/run/p2pnode-exec/%s.sock", node->instance) < 0)
        return -ENOMEM;
    r = tasks_new(node->event,
                  &(struct tasks_setup){.config = node->config,
                                        .former = node->renewal.id,
                                        .start = &node->start,
                                        .state_dir = node->state_dir,
                                        .exec_socket_path = exec_path,
                                        .is_exec_unit = has_exec_unit(node->instance),
                                        .is_draining = node->drain.is_on,
                                        .self = self,
                                        .record = &record,
                                        .state = node->state,
                                        .outputs = node->outputs,
                                        .bundles = node->bundles,
                                        .files = node->files,
                                        .worker = node->worker,
                                        .peers = node->peers,
                                        .find_address = node_find_address,
                                        .on_load = node_on_load,
                                        .on_rules = on_rules,
                                        .on_fatal = on_fatal,
                                        .data = node},
                  node_wall(node), &node->tasks);
    if (r < 0)
        return log_error_errno(r, "Cannot take up the tasks: %m");
    drain_take_up(node);
    return 0;
}

static struct server_config access_of(const struct node *node)
{
    const struct config_control *control = &node->config->control;

    return (struct server_config){.path = node->socket_path,
                                  .mode = control->mode,
                                  .user_group = control->user_group,
                                  .admin_group = control->admin_group,
                                  .clients_max = control->clients_max,
                                  .listen_fd = -EBADF};
}

/* Without it the node works, but "systemctl reload" does not find it. */
static void link_socket(struct node *node)
{
    int r = paths_link_socket(node->socket_path, node->instance, &node->socket_link);

    if (r < 0)
        log_warning_errno(r, "Cannot make %s.sock a link to %s (control.socket): %m",
                          node->instance, node->socket_path);
}

int node_make_control(struct node *node)
{
    const struct server_config access = access_of(node);
    int r = remote_new(node->event, node->peers, node->config->node.name, methods_dispatch,
                       methods_on_passed, node, &node->remote);

    if (r >= 0)
        r = server_new(node->event, &access, methods_dispatch, node, &node->server);
    if (r == -EADDRINUSE)
        log_error("%s: a daemon called \"%s\" runs already", node->socket_path, node->instance);
    else if (r >= 0) {
        link_socket(node);
        r = textfile_new(node, &node->textfile);
    } else
        return log_error_errno(r, "Cannot serve the control socket %s: %m", node->socket_path);
    return r;
}

/* --- Reload --- */

static int reload_stores(struct node *node)
{
    const struct files_limits files_limits = limits_of_files(node->config);
    const struct memory_limits memory_limits = limits_of_memory(node->config);

    files_set_limits(node->files, &files_limits);
    memory_set_limits(node->memory, &memory_limits);
    return history_set_messages_max(node->history, node->config->messages.keep);
}

static int reload_cluster(struct node *node)
{
    allow_init(&node->allow, &node->config->security.allow);
    return cluster_reload(node->cluster);
}

static int reload_transfer(struct node *node)
{
    const struct config_net *net = &node->config->net;
    int r = worker_set_files_threads(node->worker, files_threads(node->config));

    if (r >= 0)
        r = gate_set_limits(node->gate, net->connections_max + GATE_SPARE, net->connections_max);
    listener_set_handshakes_max(node->listener, net->connections_max);
    peers_set_limits(node->peers, net->tcp_connect_timeout_usec, net->tcp_idle_usec,
                     net->connections_max);
    transfers_set_limits(node->transfers, &(struct transfers_limits){
                                              .connect_timeout_usec = net->tcp_connect_timeout_usec,
                                              .idle_usec = net->tcp_idle_usec,
                                              .transfers_max = net->transfers_max,
                                              .rate_limit = net->rate_limit});
    return r;
}

static int reload_tasks(struct node *node)
{
    int r = tasks_reload(node->tasks);

    return r < 0 ? r : tell_tasks(node);
}

static int reload_control(struct node *node)
{
    const struct server_config access = access_of(node);

    return server_set_access(node->server, &access);
}

static int reload_textfile(struct node *node)
{
    textfile_reload(node->textfile);
    return 0;
}

static int reload_log(struct node *node)
{
    return journal_open(node->config);
}

static void tell_part(const struct node *node, const char *what, int r,
                      struct config_strings *ret_errors)
{
    _cleanup_free_ char *text = NULL;
    struct output_trouble trouble;

    log_error_errno(r, "Cannot give the %s all of the new configuration: %m", what);
    output_get_trouble(&trouble);
    bool is_file = strcmp(what, "log") == 0 && trouble.file_error;
    if (asprintf(&text, "%s%s: %s", is_file ? "log.file: " : "",
                 is_file ? node->config->log.file : what, strerror(-r)) < 0)
        text = NULL;
    else
        (void)strings_add(ret_errors, text);
}

int node_parts_reload(struct node *node, struct config_strings *ret_errors)
{
    static const struct {
        int (*reload)(struct node *node);
        const char *what;
    } parts[] = {
        {reload_log, "log"},
        {reload_stores, "stores"},
        {reload_cluster, "membership"},
        {reload_transfer, "TCP side"},
        {reload_tasks, "tasks"},
        {reload_control, "control socket"},
        {reload_textfile, "metrics"},
    };
    int result = 0;

    for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
        int r = parts[i].reload(node);
        result = result < 0 ? result : MIN(r, 0);
        if (r < 0)
            tell_part(node, parts[i].what, r, ret_errors);
    }
    return result;
}
