/* SPDX-License-Identifier: MIT */
#include "sched/place.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "sched/place_core.h"

static const char *const fitness_texts[] = {
    [UNFIT_OTHER] = "not asked for",
    [UNFIT_TYPE] = "does not handle it",
    [UNFIT_SMALL] = "too few CPUs or slots",
    [UNFIT_USER] = "not for its user",
    [UNFIT_SANDBOX] = "without its sandbox",
    [UNFIT_GONE] = "dead",
    [UNFIT_SUSPECT] = "suspect",
    [UNFIT_DRAINING] = "draining",
    [UNFIT_UNSTABLE] = "unstable",
    [UNFIT_UNABLE] = "unable to run tasks",
    [FIT_FULL] = "no free slot",
    [FIT_FREE] = "ok",
};

#define TYPE_TEXT_MAX (96 + TASK_SELECT_MAX)

/* What there is of each fitness among the nodes that could do it. */
struct census {
    size_t counts[FIT_FREE + 1];
    size_t handlers;
    size_t refusers;                  /* would be, but for its user or sandbox */
    size_t left;                      /* would be a handler, came it back */
    const struct place_node *last;    /* a handler, or a refuser */
    const struct place_node *largest; /* of those with too few CPUs or slots */
    const struct place_node *pinned;
    enum fitness pinned_fitness;
};

/* Nodes may share a name: who left counts least, then who is dead, then who is of less use. */
static bool is_nearer(const struct census *census, const struct place_node *node,
                      enum fitness fitness)
{
    enum place_state old, new = node->facts.state;

    if (!census->pinned)
        return true;
    old = census->pinned->facts.state;
    if ((old >= PLACE_DEAD || new >= PLACE_DEAD) && old != new)
        return new < old;
    return fitness > census->pinned_fitness;
}

/* Of two that are too small: who lacks but slots has more. */
static bool is_larger(const struct place_facts *a, const struct place_facts *b,
                      const struct task_spec *spec)
{
    bool a_lacks = place_lacks_cpus(a, spec), b_lacks = place_lacks_cpus(b, spec);

    if (a_lacks != b_lacks)
        return b_lacks;
    return a_lacks ? a->cpus > b->cpus : a->slots > b->slots;
}

static void take_census(const struct place *place, const struct task_spec *spec,
                        const struct place_past *past, struct census *ret)
{
    *ret = (struct census){0};
    for (size_t i = 0; i < place->nodes_count; i++) {
        const struct place_node *node = &place->nodes[i]->public;
        enum fitness fitness = place_judge(node, spec, past);
        if (spec->node[0] != '\0' && fitness != UNFIT_OTHER && is_nearer(ret, node, fitness)) {
            ret->pinned = node;
            ret->pinned_fitness = fitness;
        }
        ret->counts[fitness]++;
        if (fitness == UNFIT_SMALL &&
            (!ret->largest || is_larger(&node->facts, &ret->largest->facts, spec)))
            ret->largest = node;
        ret->left += fitness > UNFIT_SANDBOX && node->facts.state == PLACE_LEFT;
        if (fitness > UNFIT_SMALL && node->facts.state != PLACE_LEFT) {
            ret->handlers += fitness > UNFIT_SANDBOX;
            ret->refusers += fitness <= UNFIT_SANDBOX;
            ret->last = node;
        }
    }
}

/* Nobody could run it some day, of those that are there, or of those that left as well. */
static bool is_forbidden(const struct census *census, bool counts_left)
{
    return census->handlers == 0 && census->refusers > 0 && !(counts_left && census->left > 0);
}

static const char *state_text(const struct place_node *node, enum fitness fitness)
{
    return fitness == UNFIT_GONE && node->facts.state == PLACE_LEFT ? "gone"
                                                                    : fitness_texts[fitness];
}

/* "1.5 CPUs" or "4 slots": what @spec asks for, of which @facts has too little. */
static void describe_size(const struct task_spec *spec, const struct place_facts *facts,
                          char target[static 32])
{
    if (place_lacks_cpus(facts, spec))
        (void)snprintf(target, 32, "%.6g CPU%s", spec->cpus_milli / 1000.0,
                       PLURAL(spec->cpus_milli / 1000.0));
    else
        (void)snprintf(target, 32, "%u slot%s", spec->slots, PLURAL(spec->slots));
}

/* @small: NULL, or one of the nodes that are too small, and so are not counted. @has_tag: with the
 * tag that its nodes have to have. */
static void describe_type(const struct task_spec *spec, const struct place_node *small,
                          bool has_tag, char target[static TYPE_TEXT_MAX])
{
    char size[32] = "";

    has_tag = has_tag && spec->select[0] != '\0';
    if (small)
        describe_size(spec, &small->facts, size);
    (void)snprintf(target, TYPE_TEXT_MAX, "%s%s%s%s%s%s",
                   spec->is_command ? "commands"
                   : spec->python   ? "Python"
                                    : "type ",
                   spec->is_command || spec->python ? "" : spec->type, small ? " with " : "", size,
                   has_tag ? (small ? " and tag " : " with tag ") : "",
                   has_tag ? spec->select : "");
}

/* Several nodes could, none does now: "none of the 3 nodes for type c accepts work: 2 draining, 1
 * dead". */
static void explain_several(const struct census *census, const char *type,
                            char reason[static TASK_REASON_MAX + 1])
{
    int used = snprintf(reason, TASK_REASON_MAX + 1, "none of the %zu nodes for %s accepts work",
                        census->handlers + census->refusers, type);
    const char *separator = ":";

    for (int fitness = UNFIT_USER; fitness < FIT_FULL && used <= TASK_REASON_MAX; fitness++) {
        if (census->counts[fitness] == 0)
            continue;
        used += snprintf(reason + used, (size_t)(TASK_REASON_MAX + 1 - used), "%s %zu %s",
                         separator, census->counts[fitness], fitness_texts[fitness]);
        separator = ",";
    }
}

/* Who handles it has too few CPUs, or slots. */
static void explain_small(const struct task_spec *spec, const struct census *census,
                          char reason[static TASK_REASON_MAX + 1])
{
    const struct place_facts *largest = &census->largest->facts;
    bool is_cpus = place_lacks_cpus(largest, spec);
    uint32_t has = is_cpus ? largest->cpus : largest->slots;
    char type[TYPE_TEXT_MAX], size[32], only[32];

    describe_type(spec, NULL, true, type);
    describe_size(spec, largest, size);
    (void)snprintf(only, sizeof(only), "%u %s%s", has, is_cpus ? "CPU" : "slot", PLURAL(has));
    if (census->pinned)
        task_format_text(reason, TASK_REASON_MAX + 1, "%s has only %s", spec->node, only);
    else if (census->counts[UNFIT_SMALL] == 1)
        task_format_text(reason, TASK_REASON_MAX + 1, "the only node for %s, %s, has only %s", type,
                         largest->name, only);
    else
        task_format_text(reason, TASK_REASON_MAX + 1,
                         "none of the %zu nodes for %s has %s; the largest has %u",
                         census->counts[UNFIT_SMALL], type, size, has);
}

static void explain_forbidden(const struct task_spec *spec, const struct census *census,
                              const char *type, char reason[static TASK_REASON_MAX + 1])
{
    const bool is_user = census->counts[UNFIT_SANDBOX] == 0;
    const char *what = is_user ? spec->user : spec->sandbox;
    const size_t size = TASK_REASON_MAX + 1;

    if (census->pinned)
        task_format_text(reason, size,
                         is_user ? "not permitted: %s does not run %s for %s"
                                 : "%s runs %s, but has not the sandbox %s",
                         spec->node, type, what);
    else if (census->refusers == 1)
        task_format_text(reason, size,
                         is_user ? "not permitted: the only node for %s, %s, does not run it for %s"
                                 : "the only node for %s, %s, has not the sandbox %s",
                         type, census->last->facts.name, what);
    else if (census->counts[UNFIT_USER] > 0 && !is_user)
        explain_several(census, type, reason);
    else
        task_format_text(reason, size,
                         is_user ? "not permitted: none of the %zu nodes for %s runs it for %s"
                                 : "none of the %zu nodes for %s has the sandbox %s",
                         census->refusers, type, what);
}

void place_explain_none(const struct place *place, const struct task_spec *spec,
                        const struct place_past *past, char reason[static TASK_REASON_MAX + 1])
{
    struct census census;
    char type[TYPE_TEXT_MAX];
    size_t size = TASK_REASON_MAX + 1;

    take_census(place, spec, past, &census);
    describe_type(spec, is_forbidden(&census, false) ? NULL : census.largest,
                  !census.pinned && census.handlers + census.refusers > 0, type);
    if (is_forbidden(&census, false))
        explain_forbidden(spec, &census, type, reason);
    else if (census.largest &&
             (census.pinned ? census.pinned_fitness == UNFIT_SMALL : census.handlers == 0))
        explain_small(spec, &census, reason);
    else if (spec->is_confidential && census.handlers == 0)
        task_format_text(reason, size, "confidential, and this node does not handle %s", type);
    else if (spec->node[0] != '\0' && !census.pinned)
        task_format_text(reason, size, "node %s is not known%s", spec->node,
                         spec->select[0] != '\0' ? ", or has not the tag asked for" : "");
    else if (census.pinned && census.pinned_fitness == UNFIT_TYPE)
        task_format_text(reason, size, "%s does not handle %s", spec->node, type);
    else if (census.pinned)
        task_format_text(reason, size, "%s is %s", spec->node,
                         state_text(census.pinned, census.pinned_fitness));
    else if (census.handlers == 0 && spec->select[0] != '\0')
        task_format_text(reason, size, "no node with tag %s handles %s", spec->select, type);
    else if (census.handlers == 0 && spec->is_command)
        task_format_text(reason, size, "no node runs commands");
    else if (census.handlers == 0 && spec->python)
        task_format_text(reason, size, "no node runs Python functions");
    else if (census.handlers == 0)
        task_format_text(reason, size, "no node handles task type \"%s\"", spec->type);
    else if (census.handlers + census.refusers == 1)
        task_format_text(reason, size, "the only node for %s, %s, is %s", type,
                         census.last->facts.name,
                         state_text(census.last, place_judge(census.last, spec, past)));
    else
        explain_several(&census, type, reason);
}

/* Adds to @reason that a function may run otherwise there than at this node. */
static void explain_python(const struct place *place, const struct place_node *node,
                           char reason[static TASK_REASON_MAX + 1])
{
    size_t used = strlen(reason);

    for (size_t i = 0; i < place->nodes_count; i++) {
        const struct place_facts *own = &place->nodes[i]->public.facts;
        if (own->is_self && task_python_differs(node->facts.python, own->python))
            (void)snprintf(reason + used, TASK_REASON_MAX + 1 - used,
                           "; it has Python %s, this node %s", node->facts.python, own->python);
    }
}

void place_explain_choice(const struct place *place, const struct place_node *node,
                          const struct task_spec *spec, size_t sampled,
                          char reason[static TASK_REASON_MAX + 1])
{
    char load[32];
    uint32_t permille = place_load(node);

    (void)snprintf(load, sizeof(load), "load %u.%02u", permille / 1000, permille % 1000 / 10);
    if (spec->is_confidential)
        (void)snprintf(reason, TASK_REASON_MAX + 1, "%s, confidential", load);
    else if (sampled > 1)
        (void)snprintf(reason, TASK_REASON_MAX + 1, "%s, least of %zu", load, sampled);
    else
        (void)snprintf(reason, TASK_REASON_MAX + 1, "%s, %s", load,
                       spec->node[0] != '\0' ? "asked for" : "the only one");
    if (spec->python)
        explain_python(place, node, reason);
}

static int compare_verdicts(const void *a, const void *b)
{
    const struct place_verdict *x = a, *y = b;

    if (x->is_chosen != y->is_chosen)
        return x->is_chosen ? -1 : 1;
    if (x->is_known != y->is_known)
        return x->is_known ? -1 : 1;
    if (x->is_known && x->load_permille != y->load_permille)
        return x->load_permille < y->load_permille ? -1 : 1;
    return strcmp(x->node, y->node);
}

/* That there it is up to a list of users, which is not known here, and of the own node is. */
static bool is_uncertain(const struct place_node *node, const struct task_spec *spec)
{
    return place_get_limits(node, spec).is_for_some && !node->facts.check;
}

/* Of those that such a task may have. */
static uint32_t count_free(const struct place_node *node, const struct task_spec *spec)
{
    const struct place_limits limits = place_get_limits(node, spec);
    uint32_t count = place_has_room(node, spec) ? place_free_slots(node) : 0;

    return limits.max > 0 ? MIN(count, limits.max) : count;
}

static void set_verdict(struct place_verdict *verdict, const struct place_node *node,
                        const struct task_spec *spec, enum fitness fitness,
                        const struct place_best *best)
{
    bool is_chosen = best->count > 0 && best->nodes[0] == node;
    const char *users = fitness >= FIT_FULL && is_uncertain(node, spec) ? ", for some users" : "";

    *verdict = (struct place_verdict){
        .is_known = node->facts.state == PLACE_ALIVE || node->facts.is_self,
        .is_chosen = is_chosen,
        .load_permille = place_load(node),
        .free_slots = count_free(node, spec),
        .rtt_usec = node->facts.rtt_usec,
    };
    memcpy(verdict->node, node->facts.name, sizeof(verdict->node));
    if (is_chosen && best->sampled > 1)
        (void)snprintf(verdict->text, sizeof(verdict->text), "chosen: least load of %zu%s",
                       best->sampled, users);
    else if (is_chosen)
        (void)snprintf(verdict->text, sizeof(verdict->text), "chosen: the only one%s", users);
    else
        (void)snprintf(verdict->text, sizeof(verdict->text), "%s%s", state_text(node, fitness),
                       users);
}

void place_explain_unheard(const struct place *place, const struct place_node *node,
                           const struct task_spec *spec, size_t sampled,
                           char reason[static TASK_REASON_MAX + 1])
{
    size_t used;

    place_explain_choice(place, node, spec, sampled, reason);
    used = strlen(reason);
    if (is_uncertain(node, spec))
        task_format_text(reason + used, TASK_REASON_MAX + 1 - used, ", if it runs that for %s",
                         spec->user);
}

int place_explain(struct place *place, const struct task_spec *spec, struct place_verdict **ret,
                  size_t *ret_count, char reason[static TASK_REASON_MAX + 1])
{
    struct place_verdict *verdicts = calloc(place->nodes_count + 1, sizeof(*verdicts));
    struct place_best best;
    size_t count = 0;

    if (!verdicts)
        return -ENOMEM;
    place_choose_best(place, spec, NULL, &best, reason);
    if (best.count > 0)
        place_explain_unheard(place, best.nodes[0], spec, best.sampled, reason);
    for (size_t i = 0; i < place->nodes_count; i++) {
        const struct place_node *node = &place->nodes[i]->public;
        enum fitness fitness = place_judge(node, spec, NULL);
        if (fitness > UNFIT_TYPE || (fitness == UNFIT_TYPE && spec->node[0] != '\0'))
            set_verdict(&verdicts[count++], node, spec, fitness, &best);
    }
    qsort(verdicts, count, sizeof(*verdicts), compare_verdicts);
    *ret = verdicts;
    *ret_count = count;
    return best.count > 0;
}

bool place_has_handler(const struct place *place, const struct task_spec *spec)
{
    struct census census;

    take_census(place, spec, NULL, &census);
    return census.handlers > 0;
}

bool place_is_forbidden(const struct place *place, const struct task_spec *spec,
                        const struct place_past *past, bool counts_left)
{
    struct census census;

    take_census(place, spec, past, &census);
    return is_forbidden(&census, counts_left);
}

bool place_is_too_small(const struct place *place, const struct task_spec *spec)
{
    struct census census;

    take_census(place, spec, NULL, &census);
    return census.handlers == 0 && census.refusers == 0 && census.largest;
}
