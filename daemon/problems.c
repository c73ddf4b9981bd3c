/* SPDX-License-Identifier: MIT */
#include "problems.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include "base/macro.h"
#include "control/methods_internal.h"
#include "journal.h"
#include "output.h"

#define LOOK_USEC          (5 * USEC_PER_SEC)
#define SUSPICION_TEXT_MAX 1600 /* names of all who had no answer */

/* Whoever wants to hear of them. */
struct audience {
    const struct node *node;
    void (*each)(const struct problem *problem, void *data);
    void *data;
};

static void tell(const struct audience *audience, const char *code, bool degrades,
                 const char *message)
{
    audience->each(&(struct problem){.code = code, .degrades = degrades, .message = message},
                   audience->data);
}

/* Appends " lab-01, lab-03 (what)". Return: the end. */
static size_t add_names(const struct swim *swim, const struct node_id *ids, size_t count,
                        const char *what, size_t used, char target[static SUSPICION_TEXT_MAX])
{
    for (size_t i = 0; i < count && used < SUSPICION_TEXT_MAX; i++) {
        const struct swim_member *member = swim_find(swim, &ids[i]);
        used += (size_t)snprintf(target + used, SUSPICION_TEXT_MAX - used, "%s %s",
                                 i > 0 ? "," : "", member ? member->name : "a member");
    }
    if (count > 0 && used < SUSPICION_TEXT_MAX)
        used += (size_t)snprintf(target + used, SUSPICION_TEXT_MAX - used, " (%s)", what);
    return used;
}

/* "no answer to lab-03 (direct) nor lab-01, seed-1 (indirect)" */
static void describe_suspicion(const struct swim *swim, const struct swim_member *member,
                               char target[static SUSPICION_TEXT_MAX])
{
    struct swim_suspicion suspicion = {.accusers_count = 0};
    size_t used = (size_t)snprintf(target, SUSPICION_TEXT_MAX, "no answer to");

    (void)swim_get_suspicion(swim, &member->id, &suspicion);
    used = add_names(swim, suspicion.accusers, suspicion.accusers_count, "direct", used, target);
    if (suspicion.through_count > 0 && used < SUSPICION_TEXT_MAX) {
        used += (size_t)snprintf(target + used, SUSPICION_TEXT_MAX - used, " nor");
        (void)add_names(swim, suspicion.through, suspicion.through_count, "indirect", used, target);
    }
}

/* Nodes that missed a change of keys, in touch or not. */
static void tell_keys(const struct audience *audience)
{
    char text[NODE_KEYS_TEXT_MAX];
    struct problem problem = {.code = "key-mismatch", .degrades = true, .message = text};
    int r;

    for (size_t i = 0; (r = node_keys_describe(audience->node, i, &problem.node,
                                               &problem.since_wall_usec, text)) >= 0;
         i++)
        if (r > 0)
            audience->each(&problem, audience->data);
}

static void tell_members(const struct audience *audience, const struct swim_statistics *statistics)
{
    const struct swim *swim = cluster_get_swim(audience->node->cluster);
    size_t others_alive = 0, left = 0, count = swim_members_count(swim);
    char text[SUSPICION_TEXT_MAX];

    for (size_t i = 0; i < count; i++) {
        const struct swim_member *member = swim_member_at(swim, i);
        others_alive += member->state == SWIM_ALIVE && !member->is_self;
        left += member->state == SWIM_LEFT;
        if (member->state != SWIM_SUSPECT)
            continue;
        describe_suspicion(swim, member, text);
        audience->each(
            &(struct problem){.code = "member-suspect",
                              .node = member->name,
                              .since_wall_usec = node_wall_of(audience->node, member->changed_usec),
                              .message = text,
                              .degrades = true},
            audience->data);
    }
    if (statistics->is_frozen) {
        snprintf(text, sizeof(text), "I may be the one cut off: %u members are suspect at once",
                 statistics->suspects);
        tell(audience, "cut-off", true, text);
    }
    if (others_alive == 0 && count > 1 + left)
        tell(audience, "alone", true, "no other node answers, though others are known");
}

/* Whether somebody wrote with a key that is not in our ring. */
static bool has_heard_other_key(const struct node *node)
{
    const struct strangers *strangers = cluster_get_strangers(node->cluster);

    for (size_t i = 0; i < strangers->count; i++)
        if (!keyring_find(node->keyring, strangers->items[i].key_id))
            return true;
    return false;
}

/* Why no seed answers, as far as can be told from here: whoever has another key gets no answer. */
static const char *guess_silence(const struct node *node)
{
    if (!node->keyring)
        return ": not running, not reached, or of another cluster";
    if (!has_heard_other_key(node))
        return ": not running, not reached, or of another cluster or key";
    return "; were the cluster's keys changed meanwhile? compare \"p2pctl keys list\" here and "
           "on a member";
}

static void tell_seeds(const struct audience *audience, const struct swim_statistics *statistics)
{
    const struct node *node = audience->node;
    struct member_counts counts;
    char text[256];

    if (statistics->seeds_configured == 0)
        return;
    members_count(cluster_get_swim(node->cluster), &counts);
    /* Who is with the cluster by another way, remembered members or a join by hand, needs none. */
    bool needs_seeds = statistics->seeds_reachable > 0 || counts.others_alive == 0;
    if (!node->has_joined && needs_seeds &&
        statistics->seeds_reachable < statistics->seeds_needed) {
        snprintf(text, sizeof(text), "%u of %u seeds have answered (needs %u)%s",
                 statistics->seeds_reachable, statistics->seeds_configured,
                 statistics->seeds_needed,
                 statistics->seeds_reachable == 0 ? guess_silence(node) : "");
        audience->each(&(struct problem){.code = "below-quorum",
                                         .since_wall_usec = node->started_wall_usec,
                                         .message = text,
                                         .degrades = true},
                       audience->data);
    } else if (statistics->seeds_reachable == 0) {
        snprintf(text, sizeof(text), "0 of %u seeds reachable; the cluster goes on without them",
                 statistics->seeds_configured);
        tell(audience, "seed-unreachable", false, text);
    }
}

/* Between two tries nothing is known to be wrong. */
static void tell_runner(const struct audience *audience, const struct exec *exec)
{
    char text[512];

    if (!exec_has_failed(exec))
        return;
    if (exec_is_unit(exec))
        snprintf(text, sizeof(text),
                 "no task can run: the task runner does not answer; systemctl start "
                 "p2pnode-exec@%s.socket",
                 audience->node->instance);
    else
        snprintf(text, sizeof(text), "no task can run: %s", *exec_get_missing(exec));
    tell(audience, "sandbox", true, text);
}

static void tell_sandbox(const struct audience *audience)
{
    const struct exec *exec = tasks_get_exec(audience->node->tasks);

    if (!exec)
        return;
    if (!exec_is_ready(exec)) {
        tell_runner(audience, exec);
        return;
    }
    if (exec_get_level(exec) == EXEC_REFUSE)
        tell(audience, "sandbox", true,
             "no task can run: this kernel does not give the sandbox that the configuration wants");
    else if (exec_get_level(exec) < EXEC_NAMESPACES)
        for (const char *const *missing = exec_get_missing(exec); *missing; missing++)
            tell(audience, "sandbox", false, *missing);
}

static void tell_log(const struct audience *audience)
{
    struct output_trouble trouble;
    char text[512];

    output_get_trouble(&trouble);
    if (trouble.missing) {
        snprintf(text, sizeof(text), "log.target: there is no %s; the log goes to %s",
                 trouble.missing, trouble.instead);
        tell(audience, "log", false, text);
    }
    if (trouble.file_error) {
        snprintf(text, sizeof(text), "log.file: cannot write %.300s: %s",
                 audience->node->config->log.file, strerror(trouble.file_error));
        tell(audience, "log", false, text);
    }
}

static void tell_textfile(const struct audience *audience)
{
    int error = textfile_get_error(audience->node->textfile);
    char text[512];

    if (error == 0)
        return;
    snprintf(text, sizeof(text), "metrics.textfile: cannot write %.300s: %s",
             audience->node->config->metrics.textfile, strerror(error));
    tell(audience, "metrics", false, text);
}

enum problems_room problems_get_room(const struct node *node)
{
    uint64_t left = files_get_disk_free(node->files);
    struct files_usage usage;

    files_get_usage(node->files, &usage);
    if (usage.quota > 0 && usage.used >= usage.quota)
        return PROBLEMS_ROOM_QUOTA;
    if (left == 0)
        return PROBLEMS_ROOM_NONE;
    if (files_has_no_inodes(node->files))
        return PROBLEMS_ROOM_INODES;
    return left <= node->config->files.reserve_size ? PROBLEMS_ROOM_RESERVE : PROBLEMS_ROOM_THERE;
}

static void tell_room(const struct audience *audience)
{
    static const char *const texts[] = {
        [PROBLEMS_ROOM_QUOTA] = "the quota of stored files (files.quota) is used up",
        [PROBLEMS_ROOM_RESERVE] =
            "the disk of stored files has no more free space than files.reserve",
        [PROBLEMS_ROOM_INODES] = "the disk of stored files has no inode left",
        [PROBLEMS_ROOM_NONE] = "the disk of stored files is full",
    };
    enum problems_room room = problems_get_room(audience->node);

    if (room != PROBLEMS_ROOM_THERE)
        tell(audience, "disk-full", true, texts[room]);
}

static void tell_directory(const struct audience *audience)
{
    const struct files *files = audience->node->files;
    int r = files_check_directory(files);
    char text[512];

    if (r == 0)
        return;
    snprintf(text, sizeof(text), "no file can be stored: %.300s: %s", files_get_directory(files),
             strerror(-r));
    tell(audience, "files-dir", true, text);
}

bool problems_has_unsaved(const struct node *node)
{
    return node->config->mem.persist && memory_get_failure(node->memory) < 0;
}

static void tell_values(const struct audience *audience)
{
    const struct node *node = audience->node;
    char text[256];

    if (!problems_has_unsaved(node))
        return;
    snprintf(text, sizeof(text),
             "memory cannot be saved: %s; what was set or removed since is lost with a stop",
             strerror(-memory_get_failure(node->memory)));
    audience->each(&(struct problem){.code = "memory-unsaved",
                                     .since_wall_usec = node->values_saved_wall_usec,
                                     .message = text,
                                     .degrades = true},
                   audience->data);
}

static void tell_own(const struct audience *audience)
{
    const struct node *node = audience->node;
    char text[512];

    if (!node->config->security.encrypt)
        tell(audience, "not-encrypted", false,
             "security.encrypt is off: everyone can read and forge");
    if (node->keyring_differs) {
        snprintf(text, sizeof(text),
                 "the file of security.keyring differs from the key ring in use, which is "
                 "%s/keyring; when it no longer does: p2pctl reload",
                 node->state_dir);
        tell(audience, "keyring-differs", false, text);
    }
    tell_sandbox(audience);
    tell_log(audience);
    tell_textfile(audience);
    tell_directory(audience);
    tell_room(audience);
    tell_values(audience);
}

/* "127.81.1.3:7717 (4f3a...) and 127.81.1.4:7717 (77d0...)" */
static void describe_double(const struct swim_member *one, const struct swim_member *other,
                            char target[static 256])
{
    char address[ADDRESS_TEXT_MAX], other_address[ADDRESS_TEXT_MAX];
    char uuid[NODE_ID_TEXT_MAX], other_uuid[NODE_ID_TEXT_MAX];

    snprintf(target, 256, "%s (%s) and %s (%s)", address_format(&one->address, address),
             node_id_format(&one->id, uuid), address_format(&other->address, other_address),
             node_id_format(&other->id, other_uuid));
}

static bool is_there(const struct swim_member *member)
{
    return member->state == SWIM_ALIVE || member->state == SWIM_SUSPECT;
}

/* Live nodes that cannot be told apart by what they are called. */
static void tell_names(const struct audience *audience)
{
    _cleanup_free_ const struct swim_member **members =
        sort_members(cluster_get_swim(audience->node->cluster));
    char both[256], text[512];

    for (size_t i = 0; members && members[i]; i++) {
        if (!is_there(members[i]))
            continue;
        /* Those of one name are side by side. */
        for (size_t j = i + 1; members[j] && strcmp(members[i]->name, members[j]->name) == 0; j++) {
            if (!is_there(members[j]))
                continue;
            usec_t since = MAX(members[i]->first_seen_usec, members[j]->first_seen_usec);
            describe_double(members[i], members[j], both);
            snprintf(text, sizeof(text),
                     "two live nodes have this name, at %s; what is said to it reaches one of "
                     "them. Give the other another node.name and restart it",
                     both);
            audience->each(&(struct problem){.code = "name-conflict",
                                             .node = members[i]->name,
                                             .since_wall_usec = node_wall_of(audience->node, since),
                                             .message = text},
                           audience->data);
            break;
        }
    }
}

static void tell_renewal(const struct audience *audience)
{
    const struct renewal *renewal = &audience->node->renewal;
    char text[CONFLICT_TEXT_MAX];

    if (renewal->wall_usec == 0)
        return;
    conflict_describe_renewal(renewal, text);
    audience->each(&(struct problem){.code = "id-conflict",
                                     .since_wall_usec = renewal->wall_usec,
                                     .message = text},
                   audience->data);
}

static void tell_lasting(const struct audience *audience)
{
    struct swim_statistics statistics;

    tell_own(audience);
    if (audience->node->has_left) {
        /* What it remembers of the others is of no concern to it any more. */
        tell(audience, "left", true, "this node has left the cluster");
        return;
    }
    swim_get_statistics(cluster_get_swim(audience->node->cluster), &statistics);
    tell_members(audience, &statistics);
    tell_seeds(audience, &statistics);
    tell_keys(audience);
}

void problems_each(const struct node *node, void (*each)(const struct problem *problem, void *data),
                   void *data)
{
    const struct audience audience = {.node = node, .each = each, .data = data};

    tell_lasting(&audience);
    tell_names(&audience);
    tell_renewal(&audience);
}

/* --- For the log --- */

/* What lasts and has no event of its own, and what is said when it is over. */
static const struct {
    const char *code;
    const char *solved;
    bool is_urgent; /* is told at once */
} lasting[] = {
    {"alone", "other nodes answer", false},
    {"below-quorum", "enough seeds have answered", false},
    {"not-encrypted", "what is sent is encrypted", false},
    {"keyring-differs", "the file of security.keyring is the key ring in use", false},
    {"sandbox", "tasks have the sandbox", false},
    {"files-dir", "files can be stored", false},
    {"disk-full", "stored files have room", false},
    {"memory-unsaved", "memory is saved", true},
};
static_assert(ARRAY_SIZE(lasting) <= 32, "problems.told is too small");

/* One look: what is there, and what of it is news. */
struct look {
    struct problems *problems;
    uint32_t found, told;
};

static void note(const struct problem *problem, void *data)
{
    struct look *look = data;
    struct problems *problems = look->problems;

    for (size_t i = 0; i < ARRAY_SIZE(lasting); i++) {
        uint32_t bit = UINT32_C(1) << i;
        if (strcmp(lasting[i].code, problem->code) != 0)
            continue;
        /* There may be several of a code, which are told together. */
        look->found |= bit;
        if (!((problems->seen & bit) || lasting[i].is_urgent) || (problems->told & bit))
            continue;
        journal_problem(problem->code, problem->node, problem->message, false);
        look->told |= bit;
    }
}

void problems_tick(struct node *node)
{
    struct problems *problems = &node->problems;
    struct look look = {.problems = problems};

    if (problems_has_unsaved(node) && !problems->has_unsaved)
        problems->look_usec = 0;
    problems->has_unsaved = problems_has_unsaved(node);
    if (node_now(node) < problems->look_usec || node->has_left)
        return;
    problems->look_usec = usec_add(node_now(node), LOOK_USEC);
    tell_lasting(&(struct audience){.node = node, .each = note, .data = &look});
    problems->told |= look.told;
    for (size_t i = 0; i < ARRAY_SIZE(lasting); i++)
        if (problems->told & ~look.found & (UINT32_C(1) << i))
            journal_problem(lasting[i].code, NULL, lasting[i].solved, true);
    problems->told &= look.found;
    problems->seen = look.found;
}
