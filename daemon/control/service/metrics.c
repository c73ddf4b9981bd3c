/* SPDX-License-Identifier: MIT */
#include "control/service/metrics.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "base/histogram.h"
#include "control/methods_internal.h"

/* Seconds without needless digits: "0.00025", "2.5", "3600". */
static const char *format_seconds(usec_t usec, char target[static 32])
{
    int size =
        snprintf(target, 32, "%" PRIu64 ".%06" PRIu64, usec / USEC_PER_SEC, usec % USEC_PER_SEC);

    while (target[size - 1] == '0')
        target[--size] = '\0';
    if (target[size - 1] == '.')
        target[size - 1] = '\0';
    return target;
}

static void begin(FILE *page, const char *name, const char *type, const char *help)
{
    fprintf(page, "# HELP p2pnode_%s %s\n# TYPE p2pnode_%s %s\n", name, help, name, type);
}

static void add_one(FILE *page, const char *name, const char *type, const char *help,
                    uint64_t value)
{
    begin(page, name, type, help);
    fprintf(page, "p2pnode_%s %" PRIu64 "\n", name, value);
}

static void _printf_(4, 5)
    add(FILE *page, const char *name, uint64_t value, const char *labels, ...)
{
    va_list arguments;

    fprintf(page, "p2pnode_%s{", name);
    va_start(arguments, labels);
    vfprintf(page, labels, arguments);
    va_end(arguments);
    fprintf(page, "} %" PRIu64 "\n", value);
}

/* @labels: "" or those that stand before le, with a comma behind. */
static void add_histogram(FILE *page, const char *name, const char *labels,
                          const struct histogram *histogram, const struct histogram_scale *scale)
{
    uint64_t count = 0;
    char seconds[32];
    size_t size = strlen(labels);
    const char *open = size > 0 ? "{" : "", *close = size > 0 ? "}" : "";

    for (size_t i = 0; i < scale->count; i++) {
        count += histogram->counts[i];
        fprintf(page, "p2pnode_%s_bucket{%sle=\"%s\"} %" PRIu64 "\n", name, labels,
                format_seconds(scale->ends_usec[i], seconds), count);
    }
    count += histogram->counts[scale->count];
    fprintf(page, "p2pnode_%s_bucket{%sle=\"+Inf\"} %" PRIu64 "\n", name, labels, count);
    size = size > 0 ? size - 1 : 0;
    fprintf(page, "p2pnode_%s_sum%s%.*s%s %s\n", name, open, (int)size, labels, close,
            format_seconds(histogram->sum_usec, seconds));
    fprintf(page, "p2pnode_%s_count%s%.*s%s %" PRIu64 "\n", name, open, (int)size, labels, close,
            count);
}

/* --- The families, in the order of the manual --- */

static void add_node(FILE *page, struct node *node)
{
    begin(page, "build_info", "gauge", "Version of the daemon; always 1.");
    add(page, "build_info", 1, "version=\"%s\"", P2PNODE_VERSION);
    add_one(page, "up_seconds", "gauge", "Time since the daemon was started.",
            usec_sub(node_now(node), node->started_usec) / USEC_PER_SEC);
}

static void add_members(FILE *page, struct node *node)
{
    struct member_counts counts;

    members_count(cluster_get_swim(node->cluster), &counts);
    begin(page, "members", "gauge", "Members by state in this node's view, itself included.");
    add(page, "members", counts.states[SWIM_ALIVE], "state=\"alive\"");
    add(page, "members", counts.draining, "state=\"draining\"");
    add(page, "members", counts.states[SWIM_SUSPECT], "state=\"suspect\"");
    add(page, "members", counts.states[SWIM_DEAD], "state=\"dead\"");
    add(page, "members", counts.states[SWIM_LEFT], "state=\"left\"");
}

static void add_work(FILE *page, struct node *node)
{
    struct slots_load load;
    struct origin_statistics statistics;

    slots_get_load(tasks_get_slots(node->tasks), &load);
    origin_get_statistics(tasks_get_origin(node->tasks), &statistics);
    begin(page, "load", "gauge", "Running and queued tasks per slot, as the others are told.");
    fprintf(page, "p2pnode_load %u.%03u\n", load.load_permille / 1000, load.load_permille % 1000);
    begin(page, "slots", "gauge", "Slots of this node.");
    add(page, "slots", load.used, "state=\"used\"");
    add(page, "slots", usec_sub(load.slots, load.used), "state=\"free\"");
    begin(page, "tasks", "gauge", "Tasks that were submitted here and have not ended.");
    add(page, "tasks", statistics.pending, "state=\"pending\"");
    add(page, "tasks", statistics.running, "state=\"running\"");
}

static void add_tally(FILE *page, struct node *node)
{
    const struct tally *tally = tasks_get_tally(node->tasks);
    char labels[TASK_TYPE_MAX + 16];

    begin(page, "tasks_total", "counter", "Tasks that were submitted here, by how they ended.");
    for (size_t i = 0; i < tally->count; i++)
        for (size_t state = 0; state < _TASK_STATE_MAX; state++)
            if (task_state_is_final((enum task_state)state))
                add(page, "tasks_total", tally->types[i].results[state],
                    "type=\"%s\",result=\"%s\"", tally->types[i].name,
                    task_state_name((enum task_state)state));
    begin(page, "task_wait_seconds", "histogram", "Time from submission to the first start.");
    for (size_t i = 0; i < tally->count; i++) {
        snprintf(labels, sizeof(labels), "type=\"%s\",", tally->types[i].name);
        add_histogram(page, "task_wait_seconds", labels, &tally->types[i].wait, &histogram_work);
    }
    begin(page, "task_run_seconds", "histogram", "Time that the last attempt ran.");
    for (size_t i = 0; i < tally->count; i++) {
        snprintf(labels, sizeof(labels), "type=\"%s\",", tally->types[i].name);
        add_histogram(page, "task_run_seconds", labels, &tally->types[i].run, &histogram_work);
    }
}

static void add_datagrams(FILE *page, struct node *node)
{
    struct seal_statistics seal;
    struct udp_statistics udp;

    cluster_get_seal_statistics(node->cluster, &seal);
    udp_get_statistics(node->udp, &udp);
    begin(page, "datagrams_total", "counter", "UDP datagrams by direction and purpose.");
    for (size_t i = 0; i < _SEAL_KIND_MAX; i++) {
        const char *kind = seal_kind_name((enum seal_kind)i);
        add(page, "datagrams_total", seal.received[i], "dir=\"in\",type=\"%s\"", kind);
        add(page, "datagrams_total", seal.sent[i], "dir=\"out\",type=\"%s\"", kind);
    }
    begin(page, "datagram_errors_total", "counter",
          "Datagrams and packets that were dropped, by the reason.");
    for (size_t i = 0; i < _SEAL_DROP_MAX; i++)
        add(page, "datagram_errors_total", seal.dropped[i], "reason=\"%s\"",
            seal_drop_name((enum seal_drop)i));
    add(page, "datagram_errors_total", udp.dropped_in, "reason=\"oversized\"");
    add(page, "datagram_errors_total", udp.dropped_out, "reason=\"not-sent\"");
}

static void add_membership(FILE *page, struct node *node)
{
    const struct swim *swim = cluster_get_swim(node->cluster);
    struct swim_statistics statistics;
    uint64_t received, sent;
    const char *name;

    swim_get_statistics(swim, &statistics);
    begin(page, "frames_total", "counter", "Messages between members by direction and type.");
    for (size_t i = 0; (name = swim_get_frames(swim, i, &received, &sent)); i++) {
        add(page, "frames_total", received, "dir=\"in\",type=\"%s\"", name);
        add(page, "frames_total", sent, "dir=\"out\",type=\"%s\"", name);
    }
    add_one(page, "frame_errors_total", "counter", "Packets of members that were malformed.",
            statistics.packets_malformed);
    add_one(page, "gossip_duplicate_total", "counter", "Gossip that was heard before.",
            statistics.gossip_duplicates);
    begin(page, "probe_rtt_seconds", "histogram", "Round trips of liveness requests.");
    add_histogram(page, "probe_rtt_seconds", "", &node->rtt, &histogram_network);
    begin(page, "suspicions_total", "counter", "Suspicions of members, by how they ended.");
    add(page, "suspicions_total", statistics.suspicions_refuted, "outcome=\"refuted\"");
    add(page, "suspicions_total", statistics.deaths, "outcome=\"dead\"");
    add_one(page, "flaps_total", "counter", "Deaths of members that they refuted.",
            statistics.flaps);
}

static void add_transfers(FILE *page, struct node *node)
{
    static const char *const kinds[] = {[TLS_PROTOCOL_TASK] = "task", [TLS_PROTOCOL_FILE] = "file"};
    struct tls_statistics statistics;
    struct files_usage usage;
    size_t own, served;

    tls_get_statistics(node->tls, &statistics);
    begin(page, "transfer_bytes_total", "counter", "Bytes over TCP by direction and purpose.");
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        add(page, "transfer_bytes_total", statistics.received[i], "dir=\"in\",kind=\"%s\"",
            kinds[i]);
        add(page, "transfer_bytes_total", statistics.sent[i], "dir=\"out\",kind=\"%s\"", kinds[i]);
    }
    transfers_count(node->transfers, &own, &served);
    begin(page, "transfers", "gauge",
          "File transfers under way: out were begun here, in by other nodes.");
    add(page, "transfers", own, "dir=\"out\"");
    add(page, "transfers", served, "dir=\"in\"");
    add_one(page, "connections", "gauge", "TCP connections for tasks and questions.",
            peers_connections(node->peers));
    files_get_usage(node->files, &usage);
    add_one(page, "files_bytes", "gauge", "Bytes of stored files.", usage.used);
    add_one(page, "files_quota_bytes", "gauge", "Bytes that stored files may take.", usage.quota);
    add_one(page, "mem_bytes", "gauge", "Bytes of stored keys and values.",
            memory_used(node->memory));
    add_one(page, "mem_keys", "gauge", "Stored keys.", memory_count(node->memory));
}

static void add_requests(FILE *page)
{
    begin(page, "control_requests_total", "counter", "Calls of methods that were answered.");
    for (size_t i = 0; methods_get_name(i); i++) {
        const struct call_tally *tally = methods_get_tally(i);
        if (tally->answered > 0)
            add(page, "control_requests_total", tally->answered, "cmd=\"%s\",result=\"ok\"",
                methods_get_name(i));
        for (size_t code = 0; code < _ERROR_CODE_MAX; code++)
            if (tally->failed[code] > 0)
                add(page, "control_requests_total", tally->failed[code], "cmd=\"%s\",result=\"%s\"",
                    methods_get_name(i), error_get_code((enum error_code)code));
    }
}

int metrics_format(struct node *node, char **ret, size_t *ret_size)
{
    char *text = NULL;
    size_t size = 0;
    FILE *page = open_memstream(&text, &size);

    if (!page)
        return -ENOMEM;
    add_node(page, node);
    add_members(page, node);
    add_work(page, node);
    add_tally(page, node);
    add_datagrams(page, node);
    add_membership(page, node);
    add_transfers(page, node);
    add_requests(page);
    begin(page, "loop_lag_seconds", "histogram",
          "How late the timer of the membership came, which goes before all else.");
    add_histogram(page, "loop_lag_seconds", "", cluster_get_lag(node->cluster), &histogram_network);
    if (fclose(page) != 0) {
        free(text);
        return -ENOMEM;
    }
    *ret = text;
    *ret_size = size;
    return 0;
}

void method_metrics(struct node *node, struct call *call)
{
    _cleanup_free_ char *text = NULL;
    size_t size;

    if (metrics_format(node, &text, &size) < 0)
        return fail_memory(call);
    cJSON *reply = call_new_reply("p2pctl.metrics/1");
    json_add_string(reply, "text", text);
    call_reply(call, reply);
}
