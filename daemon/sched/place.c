/* SPDX-License-Identifier: MIT */
#include "sched/place.h"

#include <errno.h>
#include <string.h>
#include "sched/place_core.h"

int place_new(uint64_t seed, struct place **ret)
{
    struct place *place = calloc(1, sizeof(*place));

    if (!place)
        return -ENOMEM;
    place->doubt_usec = USEC_INFINITY;
    rng_init(&place->rng, seed);
    table_init(&place->by_id, sizeof(struct node_id), rng_next(&place->rng));
    *ret = place;
    return 0;
}

static void free_node(struct node *node)
{
    free(node->words);
    free(node->lists);
    free(node->limits);
    free(node);
}

struct place *place_free(struct place *place)
{
    if (!place)
        return NULL;
    for (size_t i = 0; i < place->nodes_count; i++)
        free_node(place->nodes[i]);
    free(place->nodes);
    table_done(&place->by_id);
    free(place);
    return NULL;
}

static size_t copy_words(const char *const *words, size_t count, char **target, const char **lists)
{
    for (size_t i = 0; i < count; i++) {
        size_t size = strlen(words[i]) + 1;
        memcpy(*target, words[i], size);
        lists[i] = *target;
        *target += size;
    }
    return count;
}

/* Takes over the facts, with their own copy of the lists. */
static int node_set_facts(struct node *node, const struct place_facts *facts)
{
    size_t types_count = MIN(facts->types_count, (size_t)PLACE_TYPES_MAX);
    size_t tags_count = MIN(facts->tags_count, (size_t)PLACE_TAGS_MAX);
    size_t size = 1;

    for (size_t i = 0; i < types_count; i++)
        size += strlen(facts->types[i]) + 1;
    for (size_t i = 0; i < tags_count; i++)
        size += strlen(facts->tags[i]) + 1;
    _cleanup_free_ char *words = malloc(size);
    _cleanup_free_ const char **lists = calloc(types_count + tags_count + 1, sizeof(*lists));
    _cleanup_free_ struct place_limits *limits =
        facts->limits ? calloc(types_count + 1, sizeof(*limits)) : NULL;
    if (!words || !lists || (facts->limits && !limits))
        return -ENOMEM;
    if (limits)
        memcpy(limits, facts->limits, types_count * sizeof(*limits));
    char *target = words;
    copy_words(facts->types, types_count, &target, lists);
    copy_words(facts->tags, tags_count, &target, lists + types_count);
    free(node->words);
    free(node->lists);
    free(node->limits);
    node->words = TAKE_PTR(words);
    node->lists = TAKE_PTR(lists);
    node->limits = TAKE_PTR(limits);
    node->public.facts = *facts;
    node->public.facts.types = node->lists;
    node->public.facts.types_count = types_count;
    node->public.facts.limits = node->limits;
    node->public.facts.tags = node->lists + types_count;
    node->public.facts.tags_count = tags_count;
    return 0;
}

/* Running and queued there, by what we know. */
static uint32_t busy(const struct place_node *node)
{
    int64_t count = (int64_t)node->facts.running + node->facts.queued + node->under_way -
                    node->accepted_reported;

    return (uint32_t)CLAMP(count, (int64_t)0, (int64_t)UINT32_MAX / 1000);
}

uint32_t place_free_slots(const struct place_node *node)
{
    uint32_t count = busy(node);

    return node->facts.slots > count ? node->facts.slots - count : 0;
}

/* What the tasks there, by what we know, make of its load. */
static uint32_t tasks_load(const struct place_node *node)
{
    uint64_t load = (uint64_t)busy(node) * 1000 / MAX(node->facts.slots, 1U);

    return (uint32_t)MIN(load, (uint64_t)UINT32_MAX);
}

/* The machine's load, where it was above what the tasks alone explained, else the tasks'. */
uint32_t place_load(const struct place_node *node)
{
    const struct place_facts *facts = &node->facts;
    uint64_t told = ((uint64_t)facts->running + facts->queued) * 1000 / MAX(facts->slots, 1U);
    uint32_t now = tasks_load(node);

    return facts->load_permille > told ? MAX(now, facts->load_permille) : now;
}

/* Return: where it is; @count where it is not. */
static size_t find_word(const char *const *words, size_t count, const char *word)
{
    size_t i = 0;

    while (i < count && strcmp(words[i], word) != 0)
        i++;
    return i;
}

static bool has_word(const char *const *words, size_t count, const char *word)
{
    return find_word(words, count, word) < count;
}

struct place_limits place_get_limits(const struct place_node *node, const struct task_spec *spec)
{
    const struct place_facts *facts = &node->facts;
    size_t i = find_word(facts->types, facts->types_count, spec->type);

    if (task_spec_get_kind(spec) != TASK_TYPED || !facts->limits || i == facts->types_count)
        return (struct place_limits){0};
    return facts->limits[i];
}

static int check(const struct place_facts *facts, const struct task_spec *spec)
{
    return facts->check ? facts->check(spec, facts->check_data) : 0;
}

bool place_has_room(const struct place_node *node, const struct task_spec *spec)
{
    return place_free_slots(node) > 0 && check(&node->facts, spec) != -EBUSY;
}

bool place_handles(const struct place_facts *facts, const struct task_spec *spec)
{
    const bool is_heard = facts->state == PLACE_ALIVE || facts->is_self;

    /* Who is not there has slots by what it told last, if it did. */
    if (!facts->has_tasks || (facts->slots == 0 && !is_heard))
        return false;
    if (spec->is_command)
        return facts->has_commands || facts->is_self;
    if (spec->python)
        return facts->python[0] != '\0' && (facts->has_python || facts->is_self);
    return has_word(facts->types, facts->types_count, spec->type);
}

static bool is_asked_for(const struct place_facts *facts, const struct task_spec *spec)
{
    if (spec->is_confidential && !facts->is_self)
        return false;
    if (spec->node[0] != '\0' && strcmp(spec->node, facts->name) != 0)
        return false;
    return spec->select[0] == '\0' || has_word(facts->tags, facts->tags_count, spec->select);
}

/* Whether it cannot run it for good, and then as what. */
static bool refuses(const struct place_facts *facts, const struct task_spec *spec,
                    const struct place_past *past, enum fitness *ret)
{
    *ret = UNFIT_USER;
    if (check(facts, spec) == -EACCES)
        return true;
    for (size_t i = 0; past && i < past->refusers_count; i++)
        if (past->refusers[i].generation == facts->generation &&
            past->refusers[i].rules == facts->rules &&
            node_id_is_equal(&past->refusers[i].id, &facts->id)) {
            *ret = past->refusers[i].why == PLACE_NO_SANDBOX ? UNFIT_SANDBOX : UNFIT_USER;
            return true;
        }
    return false;
}

/* The own node is never unstable to itself, and suspicion of it is no news. */
enum fitness place_judge(const struct place_node *node, const struct task_spec *spec,
                         const struct place_past *past)
{
    const struct place_facts *facts = &node->facts;
    enum fitness refused;

    if (!is_asked_for(facts, spec))
        return UNFIT_OTHER;
    if (!place_handles(facts, spec))
        return UNFIT_TYPE;
    if (place_lacks_cpus(facts, spec) || (facts->slots > 0 && spec->slots > facts->slots))
        return UNFIT_SMALL;
    if (refuses(facts, spec, past, &refused))
        return refused;
    if (facts->state == PLACE_DEAD || facts->state == PLACE_LEFT)
        return UNFIT_GONE;
    if (facts->state == PLACE_SUSPECT && !facts->is_self)
        return UNFIT_SUSPECT;
    if (facts->is_draining)
        return UNFIT_DRAINING;
    if (facts->is_unstable && !facts->is_self)
        return UNFIT_UNSTABLE;
    if (facts->slots == 0)
        return UNFIT_UNABLE;
    return place_has_room(node, spec) ? FIT_FREE : FIT_FULL;
}

/* All that place_judge() looks at, and that a reason tells where nothing is past. */
bool place_is_alike(const struct task_spec *a, const struct task_spec *b)
{
    return task_spec_get_kind(a) == task_spec_get_kind(b) && strcmp(a->type, b->type) == 0 &&
           strcmp(a->user, b->user) == 0 && strcmp(a->node, b->node) == 0 &&
           strcmp(a->select, b->select) == 0 && a->slots == b->slots &&
           a->cpus_milli == b->cpus_milli && a->is_confidential == b->is_confidential;
}

static bool accepts(const struct place_facts *facts)
{
    return (facts->is_self || (facts->state == PLACE_ALIVE && !facts->is_unstable)) &&
           !facts->is_draining;
}

static bool is_same_list(const char *const *a, size_t a_count, const char *const *b, size_t b_count)
{
    if (a_count != b_count)
        return false;
    for (size_t i = 0; i < a_count; i++)
        if (strcmp(a[i], b[i]) != 0)
            return false;
    return true;
}

/* Whether work may go there that could not go there before, but for slots. */
static bool is_better(const struct place_facts *before, const struct place_facts *after)
{
    if (!accepts(after))
        return false;
    return !accepts(before) || before->generation != after->generation ||
           before->rules != after->rules || before->slots < after->slots ||
           (before->cpus > 0 && (after->cpus == 0 || before->cpus < after->cpus)) ||
           (after->has_tasks && !before->has_tasks) ||
           (after->has_commands && !before->has_commands) ||
           (after->has_python && !before->has_python) ||
           (after->python[0] != '\0' && before->python[0] == '\0') ||
           !is_same_list(before->types, before->types_count, after->types, after->types_count) ||
           !is_same_list(before->tags, before->tags_count, after->tags, after->tags_count);
}

static struct report report_of(const struct place_facts *facts)
{
    return (struct report){.slots = facts->slots,
                           .running = facts->running,
                           .queued = facts->queued,
                           .load_permille = facts->load_permille,
                           .is_draining = facts->is_draining};
}

static void set_report(struct place_facts *facts, const struct report *report)
{
    facts->slots = report->slots;
    facts->running = report->running;
    facts->queued = report->queued;
    facts->load_permille = report->load_permille;
    facts->is_draining = report->is_draining;
}

static int add_node(struct place *place, const struct place_facts *facts)
{
    struct node *node;
    int r;

    if (place->nodes_count >= PLACE_NODES_MAX)
        return -ENOSPC;
    if (place->nodes_count == place->nodes_allocated) {
        size_t allocated = MAX((size_t)16, place->nodes_allocated * 2);
        struct node **nodes = reallocarray(place->nodes, allocated, sizeof(*nodes));
        if (!nodes)
            return -ENOMEM;
        place->nodes = nodes;
        place->nodes_allocated = allocated;
    }
    node = calloc(1, sizeof(*node));
    if (!node)
        return -ENOMEM;
    node->report = report_of(facts);
    r = node_set_facts(node, facts);
    if (r >= 0)
        r = table_insert(&place->by_id, &node->public.facts.id, node);
    if (r < 0) {
        free_node(node);
        return r;
    }
    place->nodes[place->nodes_count++] = node;
    return 1;
}

int place_set_node(struct place *place, const struct place_facts *facts, usec_t now)
{
    struct node *node = table_find(&place->by_id, &facts->id);
    struct report report = report_of(facts);
    struct place_facts now_known = *facts;
    bool better;
    int r;

    if (!node)
        return add_node(place, facts);
    /* The same report again is no news: what the node has answered meanwhile is. */
    bool is_news = memcmp(&report, &node->report, sizeof(report)) != 0 ||
                   node->public.facts.generation != facts->generation ||
                   !node->public.has_answered ||
                   now >= usec_add(node->public.answered_usec, PLACE_HOLD_USEC);
    if (!is_news) {
        struct report known = report_of(&node->public.facts);
        set_report(&now_known, &known);
    }
    if (report.is_draining || node->public.facts.generation != facts->generation)
        node->doubt_usec = 0;
    now_known.is_draining = now_known.is_draining || now < node->doubt_usec;
    /* Slots that it has told of in an answer have woken nobody. */
    better = is_better(&node->public.facts, &now_known) ||
             (accepts(&now_known) && node->report.slots < report.slots);
    r = node_set_facts(node, &now_known);
    if (r < 0)
        return r;
    node->report = report;
    if (is_news)
        node->public.accepted_reported = node->public.accepted;
    return better;
}

void place_take_answer(struct place *place, const struct node_id *id,
                       const struct place_answer *answer, usec_t now)
{
    struct node *node = table_find(&place->by_id, id);

    if (!node)
        return;
    set_report(&node->public.facts,
               &(struct report){.slots = answer->slots,
                                .running = answer->running,
                                .queued = answer->queued,
                                .load_permille = answer->load_permille,
                                .is_draining = node->public.facts.is_draining});
    node->public.accepted_reported = node->public.accepted;
    node->public.has_answered = true;
    node->public.answered_usec = now;
}

void place_take_draining(struct place *place, const struct node_id *id, usec_t now)
{
    struct node *node = table_find(&place->by_id, id);

    if (!node)
        return;
    node->public.facts.is_draining = true;
    node->public.has_answered = true;
    node->public.answered_usec = now;
    if (node->report.is_draining)
        return;
    node->doubt_usec = usec_add(now, PLACE_HOLD_USEC);
    place->doubt_usec = MIN(place->doubt_usec, node->doubt_usec);
}

bool place_tick(struct place *place, usec_t now)
{
    bool is_better = false;

    if (now < place->doubt_usec)
        return false;
    place->doubt_usec = USEC_INFINITY;
    for (size_t i = 0; i < place->nodes_count; i++) {
        struct node *node = place->nodes[i];
        struct place_facts *facts = &node->public.facts;
        if (!facts->is_draining || node->report.is_draining)
            continue;
        if (now < node->doubt_usec) {
            place->doubt_usec = MIN(place->doubt_usec, node->doubt_usec);
            continue;
        }
        facts->is_draining = false;
        is_better = true;
    }
    return is_better;
}

usec_t place_deadline(const struct place *place)
{
    return place->doubt_usec;
}

/* An answer for another task says nothing of the users of a type, or of its max. */
bool place_is_fresh(const struct place_node *node, const struct task_spec *spec, usec_t now)
{
    const struct place_limits limits = place_get_limits(node, spec);

    return node->has_answered && !limits.is_for_some && limits.max == 0 &&
           now < usec_add(node->answered_usec, PLACE_FRESH_USEC);
}

void place_remove_node(struct place *place, const struct node_id *id)
{
    struct node *node = table_remove(&place->by_id, id);

    for (size_t i = 0; node && i < place->nodes_count; i++)
        if (place->nodes[i] == node) {
            place->nodes_count--;
            memmove(place->nodes + i, place->nodes + i + 1,
                    (place->nodes_count - i) * sizeof(struct node *));
            free_node(node);
            return;
        }
}

const struct place_node *place_find(const struct place *place, const struct node_id *id)
{
    const struct node *node = table_find(&place->by_id, id);

    return node ? &node->public : NULL;
}

const struct place_node *place_find_name(const struct place *place, const char *name)
{
    const struct place_node *found = NULL;

    /* A name may have been taken over by another node: the one that lives counts. */
    for (size_t i = 0; i < place->nodes_count; i++) {
        const struct place_node *node = &place->nodes[i]->public;
        if (strcmp(node->facts.name, name) == 0 && (!found || node->facts.state == PLACE_ALIVE))
            found = node;
    }
    return found;
}

const struct place_node *place_next(const struct place *place, size_t *i)
{
    return *i < place->nodes_count ? &place->nodes[(*i)++]->public : NULL;
}

void place_debit(struct place *place, const struct node_id *id)
{
    struct node *node = table_find(&place->by_id, id);

    if (node)
        node->public.under_way++;
}

void place_accept(struct place *place, const struct node_id *id)
{
    struct node *node = table_find(&place->by_id, id);

    if (node && node->public.accepted < node->public.under_way)
        node->public.accepted++;
}

void place_credit(struct place *place, const struct node_id *id, bool was_accepted)
{
    struct node *node = table_find(&place->by_id, id);

    if (node && node->public.under_way > 0)
        node->public.under_way--;
    if (node && was_accepted && node->public.accepted > 0)
        node->public.accepted--;
}

bool place_is_better(const struct place_node *a, const struct place_node *b,
                     const struct task_spec *spec)
{
    bool a_free = place_has_room(a, spec), b_free = place_has_room(b, spec);
    uint32_t a_load = place_load(a), b_load = place_load(b);

    if (a_free != b_free)
        return a_free;
    return a_load != b_load ? a_load < b_load : tasks_load(a) < tasks_load(b);
}

bool place_fits(const struct place_node *node, const struct task_spec *spec,
                const struct place_past *past)
{
    return place_judge(node, spec, past) >= FIT_FULL;
}
