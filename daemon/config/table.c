/* SPDX-License-Identifier: MIT */
#include "config/table.h"

#include <syslog.h>
#include "config/form.h"

#define AT(field) offsetof(struct config, field)
#define MSEC(n)   ((n)*USEC_PER_MSEC)
#define SEC(n)    ((n)*USEC_PER_SEC)
#define HOURS(n)  ((n)*USEC_PER_HOUR)
#define DAYS(n)   ((n)*USEC_PER_DAY)
#define KIB(n)    ((uint64_t)(n) << 10)
#define MIB(n)    ((uint64_t)(n) << 20)
#define TIB(n)    ((uint64_t)(n) << 40)

static const char *const roles[] = {"peer", "seed", NULL};
static const char *const ciphers[] = {"auto", "aes-256-gcm", "chacha20-poly1305", NULL};
static const char *const schedulers[] = {"round-robin", "fifo", NULL};
static const char *const reasons[] = {"node-lost", "no-space", "unreachable", "exit", NULL};
static const char *const modes[] = {"auto", "full", "namespaces", "landlock", "none", NULL};
static const char *const hashes[] = {"sha256", NULL};
static const char *const levels[] = {"err", "warning", "notice", "info", "debug", NULL};
static const char *const targets[] = {"auto", "journal", "syslog", "stderr", NULL};
static const char *const facilities[] = {"daemon", "user",   "local0", "local1", "local2", "local3",
                                         "local4", "local5", "local6", "local7", NULL};

/* clang-format off */
const struct key config_keys[] = {
    {"node.name", KEY_TEXT, AT(node.name), .standard = "", .needs_restart = true, .form = &form_node_name_or_empty,
     .help = "\"\" = host name up to the first dot; [A-Za-z0-9._-], at most 63"},
    {"node.role", KEY_CHOICE, AT(node.role), .standard = "peer", .needs_restart = true, .words = roles,
     .help = "\"peer\" | \"seed\""},
    {"node.cluster", KEY_TEXT, AT(node.cluster), .standard = "p2pnode", .needs_restart = true, .form = &form_node_name,
     .help = "nodes of another cluster name are ignored and counted"},
    {"node.tags", KEY_LIST, AT(node.tags), .max = 16, .standard = "", .form = &form_tag,
     .help = "( \"room=2.07\", \"gpu=1\" )"},

    {"listen.address", KEY_TEXT, AT(listen.address), .standard = "", .needs_restart = true, .form = &form_ip_or_empty,
     .help = "\"\" = all, IPv4 and IPv6"},
    {"listen.port", KEY_INT, AT(listen.port), 0, 65535, "7717", .needs_restart = true,
     .help = "UDP and TCP alike; 0 = any free port"},
    {"listen.advertise", KEY_TEXT, AT(listen.advertise), .standard = "", .needs_restart = true, .form = &form_address_or_empty,
     .help = "\"ADDR\" or \"ADDR:PORT\"; \"\" = address of the interface that reaches the seeds"},
    {"listen.interface", KEY_TEXT, AT(listen.interface), .standard = "", .needs_restart = true, .form = &form_interface,
     .help = "listen on this network interface only; \"\" = on all"},

    {"seeds", KEY_LIST, AT(seeds), .max = CONFIG_LIST_MAX, .standard = "", .form = &form_seed,
     .help = "( \"10.0.4.2:7717\", \"[fd00::2]:7717\", \"seed-1.lab\" )"},
    {"seeds_file", KEY_TEXT, AT(seeds_file), .standard = "",
     .help = "\"/etc/p2pnode/config.txt\": one IP:PORT per line"},

    {"membership.seed_quorum", KEY_QUORUM, AT(membership.seed_quorum), 1, CONFIG_LIST_MAX, "majority",
     .help = "floor(n/2)+1; or \"all\" or a number as string"},
    {"membership.probe_interval", KEY_USEC, AT(membership.probe_interval_usec), MSEC(100), SEC(60), "1s",
     .help = "one member is asked whether it lives, this often"},
    {"membership.probe_timeout", KEY_USEC, AT(membership.probe_timeout_usec), MSEC(10), SEC(30), "500ms",
     .help = "at most half of probe_interval"},
    {"membership.indirect_probes", KEY_INT, AT(membership.indirect_probes), 0, 16, "3",
     .help = "members asked to probe for us"},
    {"membership.max_missed", KEY_INT, AT(membership.max_missed), 1, 10, "3",
     .help = "liveness requests without reply before suspicion"},
    {"membership.suspicion_mult", KEY_INT, AT(membership.suspicion_mult), 1, 20, "2",
     .help = "suspicion time = mult * log10(n+1) * probe_interval; the shipped default\n"
             "is chosen from the measured curve of speed against false deaths"},
    {"membership.suspicion_max", KEY_INT, AT(membership.suspicion_max), 1, 20, "6",
     .help = "up to this many times longer while nobody confirms"},
    {"membership.dead_retention", KEY_USEC, AT(membership.dead_retention_usec), SEC(1), DAYS(365), "24h",
     .help = "dead and left nodes stay listed"},
    {"membership.rejoin_interval", KEY_USEC, AT(membership.rejoin_interval_usec), MSEC(100), HOURS(24), "30s",
     .help = "retry of seeds and of dead nodes"},
    {"membership.unstable_flaps", KEY_INT, AT(membership.unstable_flaps), 1, 1000, "5",
     .help = "so many deaths refuted within unstable_window: no tasks until quiet"},
    {"membership.unstable_window", KEY_USEC, AT(membership.unstable_window_usec), SEC(1), HOURS(24), "10min", .help = ""},
    {"membership.snapshot", KEY_BOOL, AT(membership.snapshot), .standard = "true",
     .help = "remember members over a restart"},

    {"gossip.interval", KEY_USEC, AT(gossip.interval_usec), MSEC(10), SEC(60), "200ms",
     .help = "rounds happen only while something is queued"},
    {"gossip.fanout", KEY_INT, AT(gossip.fanout), 1, 64, "4",
     .help = "a round goes to min(random(1..n), fanout) members"},
    {"gossip.sync_interval", KEY_USEC, AT(gossip.sync_interval_usec), MSEC(100), HOURS(24), "30s",
     .help = "compare digests with one random member at least this often"},
    {"gossip.message_interval", KEY_USEC, AT(gossip.message_interval_usec), MSEC(100), HOURS(24), "5s", .has_zero = true,
     .help = "TIMESTAMP:IP:MSG# heartbeat gossip; \"0\" = off"},
    {"gossip.message_count", KEY_INT, AT(gossip.message_count), 0, 1000000000, "10",
     .help = "of these after start; 0 = without end"},
    {"gossip.load_interval", KEY_USEC, AT(gossip.load_interval_usec), MSEC(100), HOURS(1), "2s",
     .help = "how often the own load is spread at most"},
    {"gossip.retransmit_mult", KEY_INT, AT(gossip.retransmit_mult), 1, 20, "4",
     .help = "a rumor is sent mult * log10(n+1) times"},
    {"gossip.mtu", KEY_INT, AT(gossip.mtu), 548, 1400, "1400",
     .help = "largest datagram in bytes"},

    {"security.encrypt", KEY_BOOL, AT(security.encrypt), .standard = "true", .needs_restart = true,
     .help = "false = all datagrams travel in the clear, and status says so"},
    {"security.keyring", KEY_TEXT, AT(security.keyring), .standard = "keys", .form = &form_not_empty,
     .help = "file in state_dir or a systemd credential of that name"},
    {"security.cipher", KEY_CHOICE, AT(security.cipher), .standard = "auto", .words = ciphers,
     .help = "\"auto\" | \"aes-256-gcm\" | \"chacha20-poly1305\""},
    {"security.tls", KEY_BOOL, AT(security.tls), .standard = "true", .needs_restart = true,
     .help = "TLS 1.3 for TCP, from the same keyring"},
    {"security.allow", KEY_LIST, AT(security.allow), .max = CONFIG_LIST_MAX, .standard = "", .form = &form_network,
     .help = "networks that may talk to us; empty = all with the key"},

    {"tasks.enabled", KEY_BOOL, AT(tasks.enabled), .standard = "true", .help = "whether this node runs tasks"},
    {"tasks.slots", KEY_INT, AT(tasks.slots), 0, 4096, "0", .help = "0 = number of CPUs"},
    {"tasks.queue_max", KEY_INT, AT(tasks.queue_max), 1, 1000000, "10000", .help = "tasks that may wait here"},
    {"tasks.scheduler", KEY_CHOICE, AT(tasks.scheduler), .standard = "round-robin", .words = schedulers,
     .help = "between users: \"round-robin\" | \"fifo\""},
    {"tasks.quantum", KEY_USEC, AT(tasks.quantum_usec), MSEC(10), HOURS(1), "0", .has_zero = true,
     .help = "time slice when more tasks than slots; \"0\" = off"},
    {"tasks.lease", KEY_USEC, AT(tasks.lease_usec), SEC(1), HOURS(1), "15s",
     .help = "an attempt is renewed every third of it; lost = node dead and lease over"},
    {"tasks.rebalance_after", KEY_USEC, AT(tasks.rebalance_after_usec), SEC(1), HOURS(24), "30s",
     .help = "queued that long and a freer node exists: move it"},
    {"tasks.timeout", KEY_USEC, AT(tasks.timeout_usec), MSEC(100), DAYS(365), "1h", .has_zero = true,
     .help = "\"0\" = none"},
    {"tasks.kill_grace", KEY_USEC, AT(tasks.kill_grace_usec), 0, HOURS(1), "5s", .help = "TERM, then KILL"},
    {"tasks.retries", KEY_INT, AT(tasks.retries), 0, 100, "2", .help = "attempts after the first"},
    {"tasks.retry_delay", KEY_USEC, AT(tasks.retry_delay_usec), 0, SEC(300), "2s",
     .help = "doubled each time, with jitter, at most 5min"},
    {"tasks.retry_on", KEY_LIST, AT(tasks.retry_on), .max = 4, .standard = "node-lost,no-space,unreachable", .words = reasons,
     .help = "add \"exit\" to retry failures"},
    {"tasks.keep", KEY_USEC, AT(tasks.keep_usec), 0, DAYS(3650), "7d", .help = "results and logs at the origin"},
    {"tasks.keep_failed", KEY_USEC, AT(tasks.keep_failed_usec), 0, DAYS(3650), "30d", .help = "the same of failed tasks"},
    {"tasks.output_max", KEY_SIZE, AT(tasks.output_size_max), KIB(1), TIB(1), "64MiB",
     .help = "stdout+stderr per task; the rest is cut and marked"},
    {"tasks.result_max", KEY_SIZE, AT(tasks.result_size_max), KIB(1), TIB(1024), "1GiB", .help = "files per task"},
    {"tasks.allow_commands", KEY_BOOL, AT(tasks.allow_commands), .standard = "true",
     .help = "submit -- CMD from other nodes"},
    {"tasks.allow_python", KEY_BOOL, AT(tasks.allow_python), .standard = "true", .help = "submit --python from other nodes"},
    {"tasks.memory", KEY_SIZE, AT(tasks.memory_size), MIB(1), TIB(1024), "0", .has_zero = true,
     .help = "default limit per task; \"0\" = none"},
    {"tasks.on_done", KEY_TEXT, AT(tasks.on_done), .standard = "", .form = &form_command_or_empty,
     .help = "command run at the origin when a task ends"},
    {"tasks.types", KEY_TYPES, AT(tasks.types), .max = 48, .standard = "",
     .help = "{ name = \"a\"; command = \"/usr/libexec/p2pnode/tasks/a\"; slots = 1; max = 2;\n"
             "  timeout = \"10min\"; memory = \"512MiB\"; users = ( ); },"},

    {"python.interpreter", KEY_TEXT, AT(python.interpreter), .standard = "/usr/bin/python3", .form = &form_path, .help = ""},
    {"python.workers", KEY_INT, AT(python.workers), 0, 256, "2",
     .help = "warm helpers, started with the first Python task; 0 = an interpreter per task"},
    {"python.max_jobs", KEY_INT, AT(python.max_jobs), 1, 1000000, "500", .help = "then a helper is replaced"},
    {"python.modules", KEY_LIST, AT(python.modules), .max = CONFIG_LIST_MAX, .standard = "", .form = &form_module,
     .help = "imported once in the helper before forking"},

    {"sandbox.mode", KEY_CHOICE, AT(sandbox.mode), .standard = "auto", .words = modes,
     .help = "\"auto\" = the best this kernel allows: \"full\" > \"namespaces\" > \"landlock\"; or \"none\""},
    {"sandbox.network", KEY_BOOL, AT(sandbox.network), .standard = "false", .help = "whether tasks may have the network"},
    {"sandbox.read", KEY_LIST, AT(sandbox.read), .max = CONFIG_LIST_MAX, .standard = "/usr,/lib,/lib64,/bin,/etc/ssl,/etc/alternatives",
     .form = &form_path, .help = "what tasks may read"},
    {"sandbox.write", KEY_LIST, AT(sandbox.write), .max = CONFIG_LIST_MAX, .standard = "", .form = &form_path,
     .help = "what they may write beside their own directory"},

    {"files.dir", KEY_TEXT, AT(files.dir), .standard = "peer_storage", .needs_restart = true, .form = &form_not_empty,
     .help = "in state_dir"},
    {"files.quota", KEY_SIZE, AT(files.quota_size), MIB(1), TIB(1024), "20GiB", .help = "all stored files together"},
    {"files.file_max", KEY_SIZE, AT(files.file_size_max), 1, TIB(1024), "5GiB", .help = "one file; at most the quota"},
    {"files.reserve", KEY_SIZE, AT(files.reserve_size), 0, TIB(1024), "1GiB",
     .help = "free space that is always left on the disk"},
    {"files.verify", KEY_CHOICE, AT(files.verify), .standard = "sha256", .words = hashes, .help = "checked at the end of every transfer"},
    {"files.part_keep", KEY_USEC, AT(files.part_keep_usec), 0, DAYS(365), "24h", .help = "incomplete uploads"},

    {"mem.limit", KEY_SIZE, AT(mem.limit_size), KIB(64), TIB(1), "64MiB", .help = "all keys and values together"},
    {"mem.value_max", KEY_SIZE, AT(mem.value_size_max), 1, MIB(2), "1MiB", .help = "one value; at most 2MiB, and the limit"},
    {"mem.key_max", KEY_INT, AT(mem.key_size_max), 1, 1024, "255", .help = "bytes of a key"},
    {"mem.persist", KEY_BOOL, AT(mem.persist), .standard = "true", .help = "saved in the background; a crash may lose the last second"},

    {"messages.keep", KEY_INT, AT(messages.keep), 1, 100000, "500", .help = "messages the inbox remembers"},
    {"messages.size_max", KEY_SIZE, AT(messages.text_size_max), 1, KIB(1), "1KiB", .help = "one message"},
    {"messages.handler", KEY_TEXT, AT(messages.handler), .standard = "", .form = &form_command_or_empty,
     .help = "command run for every message"},

    {"net.tcp_connect_timeout", KEY_USEC, AT(net.tcp_connect_timeout_usec), MSEC(100), SEC(300), "3s", .help = ""},
    {"net.tcp_idle", KEY_USEC, AT(net.tcp_idle_usec), SEC(1), HOURS(24), "60s", .help = "then an unused connection is closed"},
    {"net.connections_max", KEY_INT, AT(net.connections_max), 1, 65536, "64", .help = "TCP connections to peers at once"},
    {"net.transfers_max", KEY_INT, AT(net.transfers_max), 1, 64, "4", .help = "bulk transfers at once, each direction"},
    {"net.rate_limit", KEY_SIZE, AT(net.rate_limit), KIB(1), TIB(1), "0", .has_zero = true,
     .help = "per node and direction: \"50MiB\" = per second"},

    {"control.socket", KEY_TEXT, AT(control.socket), .standard = "", .needs_restart = true, .form = &form_socket_or_empty,
     .help = "\"\" = /run/p2pnode/INSTANCE.sock"},
    {"control.mode", KEY_MODE, AT(control.mode), 0, 0777, "0660", .help = ""},
    {"control.user_group", KEY_TEXT, AT(control.user_group), .standard = "p2pnode", .help = "may submit, read, store"},
    {"control.admin_group", KEY_TEXT, AT(control.admin_group), .standard = "p2pnode-admin",
     .help = "may drain, keys, forget, cancel others' tasks, exec"},
    {"control.clients_max", KEY_INT, AT(control.clients_max), 1, 4096, "64", .help = "clients at once"},

    {"state_dir", KEY_TEXT, AT(state_dir), .standard = "", .needs_restart = true, .form = &form_path_or_empty,
     .help = "\"\" = $STATE_DIRECTORY (/var/lib/p2pnode/INSTANCE)"},
    {"stop_grace", KEY_USEC, AT(stop_grace_usec), 0, HOURS(24), "30s", .help = "running tasks may take this long when the node stops"},

    {"log.level", KEY_CHOICE, AT(log.level), .min = LOG_ERR, .standard = "info", .words = levels,
     .help = "\"err\" \"warning\" \"notice\" \"info\" \"debug\""},
    {"log.target", KEY_CHOICE, AT(log.target), .standard = "auto", .words = targets,
     .help = "\"auto\" journal if present, else syslog, else stderr"},
    {"log.facility", KEY_CHOICE, AT(log.facility), .standard = "daemon", .words = facilities, .help = "for syslog"},
    {"log.subsystems", KEY_LIST, AT(log.subsystems), .max = 16, .standard = "", .form = &form_subsystem,
     .help = "( \"gossip=debug\", \"tasks=info\" )"},
    {"log.file", KEY_TEXT, AT(log.file), .standard = "", .form = &form_path_or_empty,
     .help = "also write a plain seed/peer log here"},
    {"log.gossip_first", KEY_INT, AT(log.gossip_first), 0, 1000000, "10",
     .help = "gossip lines at info per peer, then debug"},

    {"metrics.textfile", KEY_TEXT, AT(metrics.textfile), .standard = "", .form = &form_path_or_empty,
     .help = "written atomically for node_exporter; \"\" = not at all"},
    {"metrics.interval", KEY_USEC, AT(metrics.interval_usec), SEC(1), HOURS(24), "15s", .help = ""},

    {"hooks", KEY_HOOKS, AT(hooks), .max = CONFIG_LIST_MAX, .standard = "",
     .help = "( { event = \"member-dead\"; command = \"/usr/local/bin/page\"; } ): PEER_* in its environment"},
};
const size_t config_keys_length = ARRAY_SIZE(config_keys);

const struct key config_type_keys[] = {
    {"name", KEY_TEXT, offsetof(struct config_type, name), .standard = "", .form = &form_type_name},
    {"command", KEY_TEXT, offsetof(struct config_type, command), .standard = "", .form = &form_command_or_empty},
    {"slots", KEY_INT, offsetof(struct config_type, slots), 1, 4096, "1", .help = ""},
    {"max", KEY_INT, offsetof(struct config_type, max), 0, 4096, "0", .help = ""},
    {"timeout", KEY_USEC, offsetof(struct config_type, timeout_usec), MSEC(100), DAYS(365), "", .has_zero = true, .has_unset = true},
    {"memory", KEY_SIZE, offsetof(struct config_type, memory_size), MIB(1), TIB(1024), "0", .has_zero = true},
    {"users", KEY_LIST, offsetof(struct config_type, users), .max = CONFIG_LIST_MAX, .standard = "", .form = &form_not_empty},
};
const size_t config_type_keys_length = ARRAY_SIZE(config_type_keys);

const struct key config_hook_keys[] = {
    {"event", KEY_TEXT, offsetof(struct config_hook, event), .standard = "", .form = &form_event},
    {"command", KEY_TEXT, offsetof(struct config_hook, command), .standard = "", .form = &form_command},
};
const size_t config_hook_keys_length = ARRAY_SIZE(config_hook_keys);
/* clang-format on */
