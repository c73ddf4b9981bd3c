/* SPDX-License-Identifier: MIT */
#include <math.h>
#include <string.h>
#include "check_core.h"
#include "swim/kept.h"
#include "trace.h"

static double members_log10(const struct sim *sim)
{
    return log10((double)sim->nodes_count + 1);
}

/* As long as a suspicion that nobody confirms, and what Lifeguard adds. */
static usec_t suspicion_max_usec(const struct sim *sim)
{
    const struct swim_config *config = &sim->options.config;
    double intervals =
        config->suspicion_mult * MAX(1.0, members_log10(sim)) * config->suspicion_max;

    return (usec_t)(intervals * (double)config->probe_interval_usec);
}

static bool is_settled(const struct sim_node *node)
{
    return sim_is_running(node) && !node->is_leaving;
}

/* What @node has wrong about @subject, which it holds for @member, or NULL. */
static const char *compare_member(const struct sim_node *node, const struct sim_node *subject,
                                  const struct swim_member *member)
{
    if (!is_settled(subject))
        return member && member->state < SWIM_DEAD ? trace_state_name(member->state) : NULL;
    if (!member)
        return "unknown";
    if (member->state != SWIM_ALIVE)
        return trace_state_name(member->state);
    const struct swim_member *own = swim_get_self(subject->swim);
    if (incarnation_compare(&member->incarnation, &own->incarnation) != 0)
        return "at another incarnation";
    /* What it listens on may be all that a node knows of itself; the others know better. */
    bool is_learning = node == subject && node->is_wildcard;
    if (!is_learning && !address_is_equal(&member->address, &subject->address))
        return "at another address";
    if (member->meta_size != subject->meta_size ||
        memcmp(swim_get_meta(member), subject->meta, subject->meta_size) != 0)
        return "with another record";
    return strcmp(member->name, subject->label) == 0 ? NULL : "under another name";
}

/* Return: whether @node has something wrong about @subject, which then is told. */
static bool differs(const struct sim *sim, size_t node_index, size_t subject_index)
{
    const struct sim_node *node = sim->nodes[node_index], *subject = sim->nodes[subject_index];
    struct check *check = sim->check;
    const char *wrong = NULL;

    if (is_settled(node) && node->cluster == subject->cluster)
        wrong = compare_member(node, subject, swim_find(node->swim, &subject->id));
    if (!wrong)
        return false;
    check->different_node = node_index;
    check->different_subject = subject_index;
    snprintf(check->difference, sizeof(check->difference), "%s has %s, which is %s, as %s",
             node->name, subject->name, is_settled(subject) ? "alive" : "gone", wrong);
    return true;
}

/* How many nodes of its cluster a node has right that it holds for members. */
static size_t count_right(const struct sim_node *node)
{
    const struct sim *sim = node->sim;
    const struct swim_member *members[BATCH_MAX];
    size_t right = 0;

    for (size_t i = 0, count; i < swim_members_count(node->swim); i += count) {
        count = check_fetch(node, i, members);
        for (size_t j = 0; j < count; j++)
            __builtin_prefetch(members[j]->name);
        for (size_t j = 0; j < count; j++) {
            const struct sim_node *subject = sim_by_id(sim, &members[j]->id);
            right += subject && subject->cluster == node->cluster &&
                     !compare_member(node, subject, members[j]);
        }
    }
    return right;
}

/* Whether @node sees its cluster as it is. Who is gone need not be known. */
static bool is_right(const struct sim_node *node)
{
    const struct sim *sim = node->sim;
    size_t gone = 0, others = 0;

    if (!is_settled(node))
        return true;
    for (size_t i = 0; i < sim->nodes_count; i++) {
        const struct sim_node *subject = sim->nodes[i];
        if (subject->cluster != node->cluster)
            others++;
        else if (!is_settled(subject) && !swim_find(node->swim, &subject->id))
            gone++;
    }
    return count_right(node) + gone + others == sim->nodes_count;
}

/* What differed the last time probably still does: whoever waits asks often. */
const char *check_difference(const struct sim *sim)
{
    const struct check *check = sim->check;
    size_t first = check->different_node;

    if (differs(sim, first, check->different_subject))
        return check->difference;
    for (size_t i = 0; i < sim->nodes_count; i++) {
        size_t node = (first + i) % sim->nodes_count;
        if (is_right(sim->nodes[node]))
            continue;
        for (size_t j = 0; j < sim->nodes_count; j++)
            if (differs(sim, node, j))
                return check->difference;
    }
    return NULL;
}

/*
 * A death is noticed, suspected and told: c * log n intervals and one suspicion. Two halves meet
 * again when one asks a seed or one of its dead, which may take some turns.
 */
usec_t check_settle_usec(const struct sim *sim)
{
    const struct swim_config *config = &sim->options.config;
    double intervals = 5 * log2((double)sim->nodes_count + 1);

    return (usec_t)(intervals * (double)config->probe_interval_usec) + suspicion_max_usec(sim) +
           3 * config->rejoin_interval_usec;
}

void check_expect(struct sim *sim, const char *text)
{
    snprintf(sim->check->expected, sizeof(sim->check->expected), "%s", text);
    memset(sim->check->reached, 0, sim->check->nodes_max * sizeof(bool));
}

size_t check_reached(const struct sim *sim)
{
    size_t count = 0;

    for (size_t i = 0; i < sim->nodes_count; i++)
        count += sim->check->reached[i];
    return count;
}

void check_said(struct sim_node *node, const char *text)
{
    struct check *check = node->sim->check;
    struct said *said = &check->said[check->said_count++ % SAID_MAX];

    snprintf(said->text, sizeof(said->text), "%s", text);
    said->author = node;
    said->sent_usec = node->sim->now;
    said->is_forgotten = false;
    memset(said->heard, 0, check->nodes_max * sizeof(*said->heard));
}

/* Who has not heard it though somebody could tell; NULL: nobody. */
static const struct sim_node *find_unhearing(const struct sim *sim, const struct said *said)
{
    const struct sim_node *found = NULL;
    bool is_kept = false;

    for (size_t i = 0; i < sim->nodes_count; i++) {
        const struct sim_node *node = sim->nodes[i];
        if (!is_settled(node) || node->cluster != said->author->cluster)
            continue;
        if (said->heard[i] || (node == said->author && !said->is_forgotten))
            is_kept = true;
        else if (node != said->author)
            found = node;
    }
    return is_kept ? found : NULL;
}

const char *check_unheard(const struct sim *sim)
{
    struct check *check = sim->check;

    for (size_t i = 0; i < MIN(check->said_count, (size_t)SAID_MAX); i++) {
        const struct said *said = &check->said[i];
        /* A clock that runs fast forgets it earlier. */
        const struct sim_node *node =
            sim->now - said->sent_usec < KEPT_USEC / 10 * 9 ? find_unhearing(sim, said) : NULL;
        if (!node)
            continue;
        snprintf(check->difference, sizeof(check->difference), "\"%s\" of %s is not heard by %s",
                 said->text, said->author->name, node->name);
        return check->difference;
    }
    return NULL;
}
