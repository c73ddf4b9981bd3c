/* SPDX-License-Identifier: MIT */
#include <string.h>
#include <time.h>
#include "client.h"
#include "commands.h"
#include "console/failure.h"
#include "console/render.h"

/* `p2pctl status`: one screen about this node, what is wrong, and what happened last. */

#define LOG_LINES 2

static void print_head(const struct ctl *ctl, const cJSON *answer)
{
    const cJSON *node = json_member(answer, "node");
    bool healthy = strcmp(json_text(answer, "health", ""), "ok") == 0;

    render_tinted(ctl, stdout, healthy ? TONE_GOOD : TONE_WARN, render_mark(MARK_ALIVE));
    fputs(" p2pnode@", stdout);
    render_tinted(ctl, stdout, TONE_BOLD, json_text(answer, "instance", "?"));
    fputs(" is running: node ", stdout);
    render_tinted(ctl, stdout, TONE_BOLD, json_text(node, "name", "?"));
    printf(", %s, %s", json_text(node, "role", "peer"),
           strcmp(json_text(node, "state", ""), "left") == 0 ? "has left the cluster"
           : json_flag(node, "accepting")                    ? "accepting work"
           : json_flag(node, "draining")                     ? "draining"
                                                             : "not accepting work");
    if (json_flag(node, "draining") && json_is_set(node, "drain_reason")) {
        fputs(": ", stdout);
        render_tinted(ctl, stdout, TONE_PLAIN, json_text(node, "drain_reason", ""));
    }
    putchar('\n');
}

static void print_node(const cJSON *answer)
{
    const cJSON *node = json_member(answer, "node");
    char elapsed[RENDER_TEXT_MAX];

    printf("      Node: %s   p2pnode %s, pid %.0f, up %s\n", json_text(node, "uuid", "?"),
           json_text(node, "version", "?"), json_number(node, "pid", 0),
           render_elapsed(json_number(node, "uptime_s", 0), elapsed));
}

static void print_cluster(const struct ctl *ctl, const cJSON *answer)
{
    static const struct {
        const char *key;
        enum tone tone;
    } states[] = {
        {"suspect", TONE_WARN}, {"draining", TONE_WARN}, {"dead", TONE_BAD}, {"left", TONE_DIM}};
    const cJSON *cluster = json_member(answer, "cluster"), *seeds = json_member(cluster, "seeds");
    double nodes = json_number(cluster, "nodes", 0);
    char text[RENDER_TEXT_MAX];

    fputs("   Cluster: ", stdout);
    render_tinted(ctl, stdout, TONE_PLAIN, json_text(cluster, "name", "?"));
    printf(", %.0f node%s: ", nodes, PLURAL(nodes));
    snprintf(text, sizeof(text), "%.0f alive", json_number(cluster, "alive", 0));
    render_tinted(ctl, stdout, TONE_GOOD, text);
    for (size_t i = 0; i < ARRAY_SIZE(states); i++) {
        double count = json_number(cluster, states[i].key, 0);
        if (count == 0)
            continue;
        fputs(", ", stdout);
        snprintf(text, sizeof(text), "%.0f %s", count, states[i].key);
        render_tinted(ctl, stdout, states[i].tone, text);
    }
    printf("; seeds %.0f of %.0f (needs %.0f)\n", json_number(seeds, "reachable", 0),
           json_number(seeds, "configured", 0), json_number(seeds, "needed", 0));
}

static void print_gossip(const struct ctl *ctl, const cJSON *answer)
{
    const cJSON *gossip = json_member(answer, "gossip");

    printf("    Gossip: udp %s, ", json_text(gossip, "address", "?"));
    if (json_flag(gossip, "encrypted"))
        printf("encrypted (key %s)", json_text(gossip, "key", "?"));
    else
        render_tinted(ctl, stdout, TONE_BAD, "NOT encrypted");
    if (json_is_set(gossip, "rtt_p50_ms"))
        printf(", rtt p50 %.1f ms", json_number(gossip, "rtt_p50_ms", 0));
    if (json_is_set(gossip, "rtt_p99_ms"))
        printf(", p99 %.1f ms", json_number(gossip, "rtt_p99_ms", 0));
    if (json_is_set(gossip, "loss"))
        printf(", loss %.1f%%", 100 * json_number(gossip, "loss", 0));
    putchar('\n');
}

static void print_since(const char *what, const char *time, const char *more)
{
    char age[RENDER_TEXT_MAX];

    printf("%s %s", what, time ? render_age(render_seconds_since(time), age) : "never");
    if (time && strcmp(age, "now") != 0)
        printf(" ago");
    if (time && more) {
        fputs(" with ", stdout);
        render_text(stdout, more, strlen(more));
    }
}

/* Whether the daemon's own wheels turn. */
static void print_activity(const cJSON *answer)
{
    const cJSON *gossip = json_member(answer, "gossip"), *net = json_member(answer, "net");

    printf("  Activity: ");
    print_since("last probe", json_text(gossip, "last_probe", NULL), NULL);
    print_since(", gossip", json_text(gossip, "last_gossip", NULL), NULL);
    print_since(", sync", json_text(gossip, "last_sync", NULL),
                json_text(gossip, "last_sync_with", NULL));
    printf("; %.0f of %.0f connections\n", json_number(net, "connections", 0),
           json_number(net, "connections_max", 0));
}

static void print_tasks(const cJSON *answer)
{
    const cJSON *tasks = json_member(answer, "tasks"), *types = json_member(tasks, "types");
    double slots = json_number(tasks, "slots", 0);

    printf("     Tasks: %.0f running of %.0f slot%s, %.0f pending, %.0f succeeded, %.0f failed "
           "(24 h)",
           json_number(tasks, "running", 0), slots, PLURAL(slots), json_number(tasks, "pending", 0),
           json_number(tasks, "succeeded_24h", 0), json_number(tasks, "failed_24h", 0));
    json_for_each (type, types) {
        printf("%s", type == types->child ? "; types " : " ");
        if (cJSON_IsString(type))
            render_text(stdout, type->valuestring, strlen(type->valuestring));
    }
    putchar('\n');
}

static void print_stores(const cJSON *answer)
{
    const cJSON *files = json_member(answer, "files"), *mem = json_member(answer, "mem");
    char used[RENDER_TEXT_MAX], limit[RENDER_TEXT_MAX];
    double keys = json_number(mem, "keys", 0);

    printf("     Files: %.0f, %s of %s", json_number(files, "count", 0),
           render_size(json_number(files, "used_bytes", 0), used),
           render_size(json_number(files, "quota_bytes", 0), limit));
    printf("        Memory: %.0f key%s, %s of %s\n", keys, PLURAL(keys),
           render_size(json_number(mem, "used_bytes", 0), used),
           render_size(json_number(mem, "limit_bytes", 0), limit));
}

/* "lab-07 suspect for 4.1s: no answer to ...", or the message alone where no member is concerned.
 */
static void print_problem(const struct ctl *ctl, const cJSON *problem)
{
    const char *code = json_text(problem, "code", ""), *since = json_text(problem, "since", NULL);
    const char *node = json_text(problem, "node", NULL);
    char age[RENDER_TEXT_MAX];

    if (node && strncmp(code, "member-", 7) == 0) {
        render_tinted(ctl, stdout, TONE_BOLD, node);
        fputc(' ', stdout);
        render_tinted(ctl, stdout, TONE_PLAIN, code + 7);
        if (since)
            printf(" for %s", render_age(render_seconds_since(since), age));
        fputs(": ", stdout);
        render_tinted(ctl, stdout, TONE_PLAIN, json_text(problem, "message", ""));
    } else {
        if (node) {
            render_tinted(ctl, stdout, TONE_BOLD, node);
            fputs(": ", stdout);
        }
        render_tinted(ctl, stdout, TONE_PLAIN, json_text(problem, "message", code));
        if (since)
            printf(" (for %s)", render_age(render_seconds_since(since), age));
    }
}

static void print_problems(const struct ctl *ctl, const cJSON *answer)
{
    json_for_each (problem, json_member(answer, "problems")) {
        fputs("   ", stdout);
        render_tinted(ctl, stdout, TONE_WARN, "Problem");
        fputs(": ", stdout);
        print_problem(ctl, problem);
        putchar('\n');
    }
}

/* All of it in one line, the first, for programs that watch many nodes and show one line of each.
 */
static void print_verdict(const struct ctl *ctl, const cJSON *answer)
{
    const cJSON *cluster = json_member(answer, "cluster");
    const char *health = json_text(answer, "health", "?");

    render_tinted(ctl, stdout, strcmp(health, "ok") == 0 ? TONE_GOOD : TONE_WARN, health);
    fputs(": ", stdout);
    render_tinted(ctl, stdout, TONE_BOLD, json_text(json_member(answer, "node"), "name", "?"));
    fputs(" in ", stdout);
    render_tinted(ctl, stdout, TONE_PLAIN, json_text(cluster, "name", "?"));
    printf(", %.0f of %.0f nodes alive",
           json_number(cluster, "alive", 0) + json_number(cluster, "draining", 0),
           json_number(cluster, "nodes", 0));
    json_for_each (problem, json_member(answer, "problems")) {
        fputs("; ", stdout);
        print_problem(ctl, problem);
    }
    putchar('\n');
}

/* What a log line looks like everywhere: "Nov 21 07:58:03 lab-01 p2pnode[1423]: ...". */
static void print_event(const struct ctl *ctl, const cJSON *event, const cJSON *node)
{
    time_t seconds = (time_t)(render_parse_time(json_text(event, "time", NULL)) / USEC_PER_SEC);
    char text[RENDER_TEXT_MAX];
    struct tm tm;

    if (ctl->globals.utc)
        gmtime_r(&seconds, &tm);
    else
        localtime_r(&seconds, &tm);
    strftime(text, sizeof(text), "%b %d %H:%M:%S", &tm);
    printf("%s %s p2pnode[%.0f]: ", text, json_text(node, "name", "?"),
           json_number(node, "pid", 0));
    render_tinted(ctl, stdout, TONE_PLAIN, json_text(event, "message", ""));
    putchar('\n');
}

/* The last events an operator would care for: not the noise of liveness and gossip. */
static int print_log(struct ctl *ctl, const cJSON *answer)
{
    static const char *const types[] = {"node-*",      "member-*",       "task-ended",
                                        "task-lost",   "task-moved",     "seed-unreachable",
                                        "key-changed", "*-conflict",     "message",
                                        "problem",     "config-reloaded"};
    _cleanup_json_ cJSON *events = NULL;
    cJSON *parameters = client_parameters(ctl);

    json_add_u64(parameters, "lines", LOG_LINES);
    cJSON *list = cJSON_AddArrayToObject(parameters, "types");
    for (size_t i = 0; list && i < ARRAY_SIZE(types); i++)
        cJSON_AddItemToArray(list, cJSON_CreateString(types[i]));
    int r =
        client_list(ctl, (struct call){"Events", parameters, -1, false, NULL}, "events", &events);
    if (r != 0)
        return r;
    if (cJSON_GetArraySize(json_member(events, "events")) > 0)
        putchar('\n');
    json_for_each (event, json_member(events, "events"))
        print_event(ctl, event, json_member(answer, "node"));
    return 0;
}

static int print_screen(struct ctl *ctl, const cJSON *answer)
{
    if (options_has(&ctl->options, "check"))
        print_verdict(ctl, answer);
    print_head(ctl, answer);
    print_node(answer);
    print_cluster(ctl, answer);
    print_gossip(ctl, answer);
    if (ctl->globals.verbose)
        print_activity(answer);
    print_tasks(answer);
    print_stores(answer);
    print_problems(ctl, answer);
    return print_log(ctl, answer);
}

int status_run(struct ctl *ctl)
{
    _cleanup_json_ cJSON *answer = NULL;
    int r =
        client_call(ctl, (struct call){"Status", client_parameters(ctl), -1, false, NULL}, &answer);

    if (r != 0)
        return r;
    if (ctl->globals.json != JSON_OFF)
        r = render_json(ctl, answer, NULL);
    else if (!ctl->globals.quiet)
        r = print_screen(ctl, answer);
    if (r == 0 && options_has(&ctl->options, "check") &&
        strcmp(json_text(answer, "health", ""), "ok") != 0)
        return error_get_exit(ERROR_DEGRADED);
    return r;
}
