/* SPDX-License-Identifier: MIT */
#include "control/methods_internal.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/timex.h>
#include "control/inner.h"

/*
 * Doctor: one check after the other, each with what is to be done about it. What Status and Ping
 * find out is taken from them.
 */

#define REACHED_MAX      16 /* nodes that the check of the ports connects to */
#define TEXT_SIZE        1024
#define CLOCK_AHEAD_USEC ((int64_t)USEC_PER_SEC)        /* more is worth a word, */
#define CLOCK_WRONG_USEC ((int64_t)(10 * USEC_PER_SEC)) /* and so much more than that */
#define INODES_SHARE     100                            /* fewer than one in so many are free */

enum verdict { VERDICT_OK, VERDICT_WARNING, VERDICT_FAILED, VERDICT_SKIPPED };

static const char *const verdicts[] = {"ok", "warning", "failed", "skipped"};

struct doctor {
    struct node *node; /* borrowed */
    struct call *call; /* borrowed until gone */
    struct inner *inner;
    cJSON *checks;     /* owned */
    cJSON *status;     /* owned: the reply of Status */
    const char *check; /* under way */
    bool wants[8];
};

/* @fix: NULL = there is nothing to be done. */
static void _printf_(4, 5)
    report(struct doctor *doctor, enum verdict verdict, const char *fix, const char *format, ...)
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

/* The problems of Status with one of these codes. Return: how many. */
static size_t report_problems(struct doctor *doctor, enum verdict verdict, const char *code,
                              const char *fix)
{
    const cJSON *problems = NULL;
    size_t count = 0;

    (void)json_get_array(doctor->status, "problems", &problems);
    json_for_each (problem, problems) {
        const char *found = "", *message = "", *node = NULL;
        (void)json_get_string(problem, "code", &found);
        (void)json_get_string(problem, "message", &message);
        (void)json_get_string(problem, "node", &node);
        if (strcmp(found, code) != 0)
            continue;
        report(doctor, verdict, fix, "%s%s%s", node ? node : "", node ? ": " : "", message);
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
        report(doctor, VERDICT_FAILED, fix, "%.900s: %s", names, ways[i].what);
    }
    if (wrong == 0)
        report(doctor, VERDICT_OK, NULL, "udp and tcp %s; %d other node%s reached by both",
               address_format(own, address), cJSON_GetArraySize(nodes),
               cJSON_GetArraySize(nodes) == 1 ? "" : "s");
}

/* --- Clock --- */

static void check_clock(struct doctor *doctor)
{
    static const char fix[] = "timedatectl set-ntp true     (or install chrony)";
    struct node *node = doctor->node;
    struct timex timex = {.modes = 0};
    int64_t ahead = 0;
    size_t count = clocks_compare(&node->clocks, node_now(node), &ahead);
    uint64_t off = (uint64_t)(ahead < 0 ? -ahead : ahead);

    if (adjtimex(&timex) >= 0 && (timex.status & STA_UNSYNC))
        report(doctor, VERDICT_WARNING, fix, "nothing keeps this machine's clock in time");
    if (count == 0)
        report(doctor, VERDICT_SKIPPED, NULL, "no other node to compare the clock with");
    else if ((int64_t)off > CLOCK_AHEAD_USEC)
        report(doctor, (int64_t)off > CLOCK_WRONG_USEC ? VERDICT_FAILED : VERDICT_WARNING, fix,
               "%" PRIu64 ".%" PRIu64 " s %s most of %zu other nodes", off / USEC_PER_SEC,
               off / (100 * USEC_PER_MSEC) % 10, ahead > 0 ? "behind" : "ahead of", count);
    else
        report(doctor, VERDICT_OK, NULL, "within %" PRIu64 " ms of most of %zu other node%s",
               off / USEC_PER_MSEC + 1, count, count == 1 ? "" : "s");
}

/* --- Key --- */

static void check_key(struct doctor *doctor)
{
    const struct node *node = doctor->node;
    char fingerprint[FINGERPRINT_TEXT_MAX], fix[TEXT_SIZE];
    _cleanup_free_ char *path = NULL;
    struct stat status;
    size_t wrong = 0;

    if (!node->keyring) {
        (void)report_problems(doctor, VERDICT_WARNING, "not-encrypted",
                              "set security.encrypt = true on all nodes, and restart them");
        return;
    }
    wrong += report_problems(doctor, VERDICT_FAILED, "key-mismatch", "p2pctl keys list");
    snprintf(fix, sizeof(fix), "cp %s/keyring to the file of security.keyring", node->state_dir);
    wrong += report_problems(doctor, VERDICT_WARNING, "keyring-differs", fix);
    if (asprintf(&path, "%s/keyring", node->state_dir) < 0) {
        path = NULL;
        return;
    }
    if (stat(path, &status) >= 0 && (status.st_mode & 077)) {
        snprintf(fix, sizeof(fix), "chmod 600 %s     (and then: p2pctl keys rotate)", path);
        report(doctor, VERDICT_FAILED, fix, "others may read %s", path);
        wrong++;
    }
    if (wrong == 0)
        report(doctor, VERDICT_OK, NULL, "key %s in use, and no node is known to lack it",
               keyring_format_fingerprint(node->keyring->keys[0].id, fingerprint));
}

/* --- Sandbox --- */

/* Programs of task types that no task can run. */
static void check_handlers(struct doctor *doctor)
{
    const struct config *config = doctor->node->config;

    for (size_t i = 0; i < config->tasks.types_count; i++) {
        _cleanup_free_ char *path = NULL;
        if (config_find_unseen(config, &config->tasks.types[i], &path) <= 0)
            continue;
        report(doctor, VERDICT_WARNING,
               "move it below /usr, or add its directory to sandbox.read; then p2pctl reload",
               "type %s: tasks do not see %s", config->tasks.types[i].name, path);
    }
}

static void check_sandbox(struct doctor *doctor)
{
    const struct node *node = doctor->node;
    const struct exec *exec = tasks_get_exec(node->tasks);
    char fix[TEXT_SIZE];

    if (!node->config->tasks.enabled || !exec) {
        report(doctor, VERDICT_SKIPPED, NULL, "this node runs no tasks (tasks.enabled)");
        return;
    }
    enum exec_level level = exec_get_level(exec);
    bool is_refused = !exec_is_ready(exec) || level == EXEC_REFUSE;
    snprintf(fix, sizeof(fix),
             exec_has_failed(exec) && exec_is_unit(exec)
                 ? "systemctl start p2pnode-exec@%s.socket"
                 : "systemctl status p2pnode-exec@%s; the levels are explained in "
                   "p2pnode(8), Tasks",
             node->instance);
    for (const char *const *missing = exec_get_missing(exec); *missing; missing++)
        report(doctor, is_refused ? VERDICT_FAILED : VERDICT_WARNING, fix, "%s", *missing);
    check_handlers(doctor);
    if (!is_refused)
        report(doctor, VERDICT_OK, NULL, "level %s", exec_level_name(level));
}

/* --- Disk --- */

static void check_disk(struct doctor *doctor)
{
    const struct node *node = doctor->node;
    struct statvfs disk;
    struct files_usage usage;
    char free_text[32], used_text[32], quota_text[32];
    size_t wrong = report_problems(doctor, VERDICT_FAILED, "disk-full",
                                   "p2pctl file ls, then p2pctl file rm NAME; or a larger "
                                   "files.quota, then p2pctl reload");

    if (statvfs(node->state_dir, &disk) < 0) {
        report(doctor, VERDICT_FAILED, NULL, "%s: %s", node->state_dir, strerror(errno));
        return;
    }
    uint64_t left = (uint64_t)disk.f_bavail * disk.f_frsize;
    if (disk.f_files > 0 && disk.f_favail < disk.f_files / INODES_SHARE) {
        report(doctor, VERDICT_WARNING, "df -i; remove small files there",
               "the disk of %s has few inodes left", node->state_dir);
        wrong++;
    }
    files_get_usage(node->files, &usage);
    if (wrong == 0)
        report(doctor, VERDICT_OK, NULL, "%s free at %s; files take %s of %s",
               text_show_size((double)left, free_text), node->state_dir,
               text_show_size((double)usage.used, used_text),
               text_show_size((double)usage.quota, quota_text));
}

/* --- Cluster --- */

static void check_members(struct doctor *doctor, size_t wrong)
{
    const struct swim *swim = cluster_get_swim(doctor->node->cluster);
    struct member_counts counts;
    struct record record;
    size_t others = 0;

    for (size_t i = 0; i < swim_members_count(swim); i++) {
        const struct swim_member *member = swim_member_at(swim, i);
        others += member->state == SWIM_ALIVE && node_get_record(member, &record) >= 0 &&
                  strcmp(record.version, P2PNODE_VERSION) != 0;
    }
    if (others > 0)
        report(doctor, VERDICT_WARNING, "p2pctl members -o +version,proto; upgrade the older ones",
               "%zu node%s another version than %s", others, others == 1 ? " has" : "s have",
               P2PNODE_VERSION);
    members_count(swim, &counts);
    if (counts.states[SWIM_DEAD] > 0)
        report(doctor, VERDICT_WARNING,
               "p2pctl members --state dead; start p2pnode there, or p2pctl forget NODE",
               "%zu node%s dead", counts.states[SWIM_DEAD],
               counts.states[SWIM_DEAD] == 1 ? " is" : "s are");
    else if (wrong + others == 0)
        report(doctor, VERDICT_OK, NULL, "%zu of %zu nodes alive",
               counts.states[SWIM_ALIVE] + counts.draining, counts.nodes);
}

static void check_cluster(struct doctor *doctor)
{
    static const struct {
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
        {"member-suspect", VERDICT_FAILED,
         "p2pctl node show NODE; on it: journalctl -u 'p2pnode@*'"},
        {"name-conflict", VERDICT_WARNING,
         "on one of them: another node.name, then systemctl restart p2pnode@INSTANCE"},
        {"id-conflict", VERDICT_WARNING, "p2pctl task list; p2pctl task cancel ID"},
    };
    size_t wrong = 0;

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        wrong += report_problems(doctor, rows[i].verdict, rows[i].code, rows[i].fix);
    check_members(doctor, wrong);
}

/* --- Python --- */

static void check_python(struct doctor *doctor)
{
    const struct config *config = doctor->node->config;
    const char *interpreter = config->python.interpreter;
    _cleanup_free_ char *target = realpath(interpreter, NULL);

    if (!config->tasks.enabled)
        report(doctor, VERDICT_SKIPPED, NULL, "this node runs no tasks (tasks.enabled)");
    else if (access(interpreter, X_OK) < 0)
        report(doctor, VERDICT_WARNING,
               "apt install python3; or set python.interpreter, then p2pctl reload",
               "no Python task can run here: %s: %s", interpreter, strerror(errno));
    else
        report(doctor, VERDICT_OK, NULL, "%s is %s", interpreter, target ? target : interpreter);
}

/* --- All of them --- */

static void check_ports(struct doctor *doctor);

static const struct {
    const char *name;
    void (*run)(struct doctor *doctor);
} checks[] = {
    {"ports", check_ports},     {"clock", check_clock}, {"key", check_key},
    {"sandbox", check_sandbox}, {"disk", check_disk},   {"cluster", check_cluster},
    {"python", check_python},
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
    call_on_gone(call, NULL, NULL);
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
        report(doctor, VERDICT_OK, NULL, "udp and tcp %s; there is no other node to reach",
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
