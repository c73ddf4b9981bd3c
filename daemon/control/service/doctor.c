/* SPDX-License-Identifier: MIT */
#include "control/methods_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "control/inner.h"
#include "control/service/doctor_core.h"

/*
 * Doctor: one check after the other, each with what is to be done about it. What Status and Ping
 * find out is taken from them.
 */

#define REACHED_MAX 16 /* nodes that the check of the ports connects to */
#define TEXT_SIZE   DOCTOR_TEXT_SIZE

static const char *const verdicts[] = {"ok", "warning", "failed", "skipped"};

void doctor_report(struct doctor *doctor, enum verdict verdict, const char *fix, const char *format,
                   ...)
{
    char text[TEXT_SIZE];
    va_list arguments;
    cJSON *json = cJSON_CreateObject();

    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    json_add_string(json, "check", doctor->check);
    json_add_string(json, "status", verdicts[verdict]);
    json_add_string(json, "message", text_mask_controls(text));
    json_add_string(json, "fix", fix);
    cJSON_AddItemToArray(doctor->checks, json);
}

/* @fix, which may be NULL, with the name of @node for its "NODE". Returns @target, or NULL. */
static const char *name_node(const char *fix, const char *node, char target[static TEXT_SIZE])
{
    if (!fix)
        return NULL;
    const char *place = node ? strstr(fix, "NODE") : NULL;
    size_t size = place ? (size_t)(place - fix) : strlen(fix);

    snprintf(target, TEXT_SIZE, "%.*s%s%s", (int)size, fix, place ? node : "",
             place ? place + strlen("NODE") : "");
    return target;
}

size_t doctor_report_problems(struct doctor *doctor, enum verdict verdict, const char *code,
                              const char *fix)
{
    const cJSON *problems = NULL;
    char text[TEXT_SIZE];
    size_t count = 0;

    (void)json_get_array(doctor->status, "problems", &problems);
    json_for_each (problem, problems) {
        const char *found = "", *message = "", *node = NULL;
        (void)json_get_string(problem, "code", &found);
        (void)json_get_string(problem, "message", &message);
        (void)json_get_string(problem, "node", &node);
        if (strcmp(found, code) != 0)
            continue;
        doctor_report(doctor, verdict, name_node(fix, node, text), "%s%s%s", node ? node : "",
                      node ? ": " : "", message);
        count++;
    }
    return count;
}

/* --- Ports --- */

/* "lab-01, lab-03": nodes of a Ping reply of which @way is not ok though @other is; both, where
 * that is NULL. Return: how many. */
static size_t list_unreached(const cJSON *nodes, const char *way, const char *other,
                             char target[static TEXT_SIZE])
{
    size_t count = 0, used = 0;

    target[0] = '\0';
    json_for_each (node, nodes) {
        const char *status = "", *other_status = "", *name = "";
        (void)json_get_string(node, way, &status);
        (void)json_get_string(node, other ? other : "udp", &other_status);
        (void)json_get_string(node, "name", &name);
        if (strcmp(status, "ok") == 0 || (strcmp(other_status, "ok") == 0) != (other != NULL))
            continue;
        count++;
        if (used < TEXT_SIZE - 80)
            used += (size_t)snprintf(target + used, TEXT_SIZE - used, "%s%s", used > 0 ? ", " : "",
                                     name);
    }
    return count;
}

static void check_reached(struct doctor *doctor, const cJSON *ping)
{
    static const struct {
        const char *way;
        const char *other;
        const char *what;
    } ways[] = {{"tcp", "udp", "UDP reaches them, TCP does not"},
                {"udp", "tcp", "TCP reaches them, UDP does not"},
                {"tcp", NULL, "neither UDP nor TCP reaches them"}};
    const cJSON *nodes = NULL;
    char names[TEXT_SIZE], fix[TEXT_SIZE], address[ADDRESS_TEXT_MAX];
    const struct address *own = &swim_get_self(cluster_get_swim(doctor->node->cluster))->address;
    size_t wrong = 0;

    (void)json_get_array(ping, "nodes", &nodes);
    for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
        size_t count = list_unreached(nodes, ways[i].way, ways[i].other, names);
        wrong += count;
        if (count == 0)
            continue;
        snprintf(fix, sizeof(fix), "open udp and tcp %u in the firewalls there and on the way",
                 own->port);
        doctor_report(doctor, VERDICT_FAILED, fix, "%.900s: %s", names, ways[i].what);
    }
    if (wrong == 0)
        doctor_report(doctor, VERDICT_OK, NULL, "udp and tcp %s; %d other node%s reached by both",
                      address_format(own, address), cJSON_GetArraySize(nodes),
                      PLURAL(cJSON_GetArraySize(nodes)));
}

/* --- Cluster --- */

static void check_members(struct doctor *doctor, size_t wrong)
{
    const struct swim *swim = cluster_get_swim(doctor->node->cluster);
    struct member_counts counts;
    const char *dead = NULL;
    struct record record;
    char fix[TEXT_SIZE];
    size_t others = 0;

    for (size_t i = 0; i < swim_members_count(swim); i++) {
        const struct swim_member *member = swim_member_at(swim, i);
        others += member->state == SWIM_ALIVE && node_get_record(member, &record) >= 0 &&
                  strcmp(record.version, P2PNODE_VERSION) != 0;
        if (!dead && member->state == SWIM_DEAD)
            dead = member->name;
    }
    if (others > 0)
        doctor_report(doctor, VERDICT_WARNING,
                      "p2pctl members -o +version,proto; upgrade the older ones",
                      "%zu node%s another version than %s", others, others == 1 ? " has" : "s have",
                      P2PNODE_VERSION);
    members_count(swim, &counts);
    if (counts.states[SWIM_DEAD] > 0)
        doctor_report(doctor, VERDICT_WARNING,
                      name_node("p2pctl members --state dead; start p2pnode there, or p2pctl "
                                "forget NODE",
                                dead, fix),
                      "%zu node%s dead", counts.states[SWIM_DEAD],
                      counts.states[SWIM_DEAD] == 1 ? " is" : "s are");
    else if (wrong + others == 0)
        doctor_report(doctor, VERDICT_OK, NULL, "%zu of %zu nodes alive",
                      counts.states[SWIM_ALIVE] + counts.draining, counts.nodes);
}

/* What had not ended when the id was found twice: "p2pctl task list; p2pctl task cancel 42 43". */
static const char *suggest_cancel(const struct node *node, char target[static TEXT_SIZE])
{
    int used = snprintf(target, TEXT_SIZE, "p2pctl task list");
    bool is_first = true;

    for (const struct task *task = NULL;
         (task = origin_next(tasks_get_origin(node->tasks), task ? task->number : 0));) {
        if (task_state_is_final(task->state) ||
            task->submitted_wall_usec > node->renewal.wall_usec || used > TEXT_SIZE - 64)
            continue;
        used += snprintf(target + used, (size_t)(TEXT_SIZE - used), "%s %llu",
                         is_first ? "; p2pctl task cancel" : "", (unsigned long long)task->number);
        is_first = false;
    }
    return target;
}

static void check_cluster(struct doctor *doctor)
{
    char cancel[TEXT_SIZE];
    const struct {
        const char *code;
        enum verdict verdict;
        const char *fix;
    } rows[] = {
        {"left", VERDICT_FAILED, "p2pctl join ADDR"},
        {"below-quorum", VERDICT_FAILED,
         "are the seeds right, and do they run? p2pctl config show seeds"},
        {"seed-unreachable", VERDICT_WARNING,
         "start p2pnode on the seeds; p2pctl config show seeds"},
        {"alone", VERDICT_FAILED, "look at this machine's network: ip addr; p2pctl ping --all"},
        {"cut-off", VERDICT_FAILED, "look at this machine's network: ip addr; p2pctl ping --all"},
        {"member-suspect", VERDICT_FAILED, "p2pctl node show NODE; on it: p2pctl doctor"},
        {"name-conflict", VERDICT_WARNING,
         "on one of them: another node.name, then restart p2pnode there"},
        {"id-conflict", VERDICT_WARNING, suggest_cancel(doctor->node, cancel)},
    };
    size_t wrong = 0;

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        wrong += doctor_report_problems(doctor, rows[i].verdict, rows[i].code, rows[i].fix);
    check_members(doctor, wrong);
}

/* --- All of them --- */

static void check_ports(struct doctor *doctor);

static const struct {
    const char *name;
    void (*run)(struct doctor *doctor);
} checks[] = {
    {"ports", check_ports},          {"clock", doctor_check_clock},
    {"key", doctor_check_key},       {"sandbox", doctor_check_sandbox},
    {"disk", doctor_check_disk},     {"cluster", check_cluster},
    {"python", doctor_check_python},
};

static void doctor_free(struct doctor *doctor)
{
    if (doctor->inner)
        inner_cancel(doctor->inner);
    cJSON_Delete(doctor->checks);
    cJSON_Delete(doctor->status);
    free(doctor);
}

static void on_gone(struct call *call _unused_, void *data)
{
    doctor_free(data);
}

static void answer(struct doctor *doctor)
{
    struct call *call = doctor->call;
    cJSON *reply = call_new_reply("p2pctl.doctor/1");
    bool is_degraded = false;

    for (size_t i = 1; i < ARRAY_SIZE(checks); i++) {
        doctor->check = checks[i].name;
        if (doctor->wants[i])
            checks[i].run(doctor);
    }
    json_for_each (check, doctor->checks) {
        const char *status = "";
        (void)json_get_string(check, "status", &status);
        is_degraded |= strcmp(status, verdicts[VERDICT_FAILED]) == 0;
    }
    json_add_string(reply, "health", is_degraded ? "degraded" : "ok");
    cJSON_AddItemToObject(reply, "checks", TAKE_PTR(doctor->checks));
    doctor_free(doctor);
    call_reply(call, reply);
}

static void on_ping(const cJSON *reply, void *data)
{
    struct doctor *doctor = data;

    doctor->inner = NULL;
    doctor->check = checks[0].name;
    if (reply)
        check_reached(doctor, reply);
    answer(doctor);
}

/* Some of the others that are alive, from all over the list. */
static cJSON *choose_nodes(const struct node *node)
{
    const struct swim *swim = cluster_get_swim(node->cluster);
    _cleanup_free_ const struct swim_member **members = sort_members(swim);
    cJSON *names = cJSON_CreateArray();
    size_t count = 0;

    for (size_t i = 0; members && members[i]; i++)
        if (!members[i]->is_self && members[i]->state == SWIM_ALIVE)
            members[count++] = members[i];
    for (size_t i = 0; i < MIN(count, (size_t)REACHED_MAX); i++)
        cJSON_AddItemToArray(
            names, cJSON_CreateString(members[i * count / MIN(count, (size_t)REACHED_MAX)]->name));
    return names;
}

/* Answers when the others have, or have not. */
static void check_ports(struct doctor *doctor)
{
    cJSON *names = choose_nodes(doctor->node), *parameters = cJSON_CreateObject();
    char address[ADDRESS_TEXT_MAX];

    if (cJSON_GetArraySize(names) == 0) {
        cJSON_Delete(names);
        cJSON_Delete(parameters);
        doctor_report(
            doctor, VERDICT_OK, NULL, "udp and tcp %s; there is no other node to reach",
            address_format(&swim_get_self(cluster_get_swim(doctor->node->cluster))->address,
                           address));
        return answer(doctor);
    }
    cJSON_AddItemToObject(parameters, "nodes", names);
    struct inner *inner = NULL;
    int r = inner_call(doctor->node, "org.p2pnode.Ping", parameters, &doctor->call->caller, on_ping,
                       doctor, &inner);
    if (r < 0)
        return answer(doctor);
    /* Where it has been answered already, the doctor is gone. */
    if (inner)
        doctor->inner = inner;
}

static void on_status(const cJSON *reply, void *data)
{
    struct doctor *doctor = data;

    doctor->status = cJSON_Duplicate(reply, true);
}

/* Return: whether all words are checks; else the call has been answered. */
static bool read_checks(struct call *call, bool wants[static ARRAY_SIZE(checks)])
{
    const cJSON *words = NULL;

    if (!read_array(call, "checks", &words))
        return false;
    for (size_t i = 0; i < ARRAY_SIZE(checks); i++)
        wants[i] = cJSON_GetArraySize(words) == 0;
    json_for_each (word, words) {
        size_t i = 0;
        while (i < ARRAY_SIZE(checks) && strcmp(checks[i].name, word->valuestring) != 0)
            i++;
        if (i == ARRAY_SIZE(checks)) {
            call_fail(call, ERROR_USAGE, "p2pctl doctor -h",
                      "\"%s\" is no check: they are ports, clock, key, sandbox, disk, cluster and "
                      "python",
                      word->valuestring);
            return false;
        }
        wants[i] = true;
    }
    return true;
}

void method_doctor(struct node *node, struct call *call)
{
    struct doctor *doctor = calloc(1, sizeof(*doctor));
    struct inner *inner = NULL;

    if (!doctor)
        return fail_memory(call);
    *doctor = (struct doctor){.node = node, .call = call, .checks = cJSON_CreateArray()};
    if (!read_checks(call, doctor->wants)) {
        doctor_free(doctor);
        return;
    }
    call_on_gone(call, on_gone, doctor);
    (void)inner_call(node, "org.p2pnode.Status", cJSON_CreateObject(), &call->caller, on_status,
                     doctor, &inner);
    doctor->check = checks[0].name;
    if (doctor->wants[0])
        check_ports(doctor);
    else
        answer(doctor);
}
