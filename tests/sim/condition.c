/* SPDX-License-Identifier: MIT */
#include "condition.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "check.h"
#include "keys.h"
#include "trace.h"

enum field_type {
    FIELD_TIME,
    FIELD_COUNT,
    FIELD_SIZE,
};

struct field {
    const char *key;
    enum field_type type;
    size_t offset;
};

#define AT(name) offsetof(struct swim_config, name)

static const struct field fields[] = {
    {"probe_interval", FIELD_TIME, AT(probe_interval_usec)},
    {"probe_timeout", FIELD_TIME, AT(probe_timeout_usec)},
    {"indirect_probes", FIELD_COUNT, AT(indirect_probes)},
    {"max_missed", FIELD_COUNT, AT(max_missed)},
    {"suspicion_mult", FIELD_COUNT, AT(suspicion_mult)},
    {"suspicion_max", FIELD_COUNT, AT(suspicion_max)},
    {"seed_quorum", FIELD_COUNT, AT(seed_quorum)},
    {"unstable_flaps", FIELD_COUNT, AT(unstable_flaps)},
    {"unstable_window", FIELD_TIME, AT(unstable_window_usec)},
    {"dead_retention", FIELD_TIME, AT(dead_retention_usec)},
    {"rejoin_interval", FIELD_TIME, AT(rejoin_interval_usec)},
    {"gossip_interval", FIELD_TIME, AT(gossip_interval_usec)},
    {"gossip_fanout", FIELD_COUNT, AT(gossip_fanout)},
    {"sync_interval", FIELD_TIME, AT(sync_interval_usec)},
    {"message_interval", FIELD_TIME, AT(message_interval_usec)},
    {"message_count", FIELD_COUNT, AT(message_count)},
    {"load_interval", FIELD_TIME, AT(load_interval_usec)},
    {"retransmit_mult", FIELD_COUNT, AT(retransmit_mult)},
    {"packet_size_max", FIELD_SIZE, AT(packet_size_max)},
};

int condition_set_config(struct swim_config *config, const char *key, const char *value)
{
    for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
        char *place = (char *)config + fields[i].offset, *end;
        if (strcmp(fields[i].key, key) != 0)
            continue;
        if (fields[i].type == FIELD_TIME)
            return text_parse_usec(value, (usec_t *)(void *)place);
        unsigned long number = strtoul(value, &end, 10);
        if (end == value || *end || number > UINT32_MAX)
            return -EINVAL;
        if (fields[i].type == FIELD_SIZE)
            *(size_t *)(void *)place = number;
        else
            *(uint32_t *)(void *)place = (uint32_t)number;
        return 0;
    }
    return -EINVAL;
}

/* What @node sees: "4 alive", "n2 dead", "n2 absent", "n2 unstable". */
static int test_view(const struct sim_node *node, char **words, bool *ret)
{
    char *end;
    unsigned long number = strtoul(words[0], &end, 10);

    if (!*end) {
        unsigned long alive = 0;
        for (size_t i = 0; i < swim_members_count(node->swim); i++)
            alive += swim_member_at(node->swim, i)->state == SWIM_ALIVE;
        *ret = alive == number;
        return strcmp(words[1], "alive") == 0 ? 0 : -EINVAL;
    }
    const struct sim_node *subject = sim_find(node->sim, words[0]);
    const struct swim_member *member = subject ? swim_find(node->swim, &subject->id) : NULL;
    if (!subject)
        return -EINVAL;
    if (strcmp(words[1], "absent") == 0) {
        *ret = !member;
        return 0;
    }
    if (strcmp(words[1], "unstable") == 0) {
        *ret = member && member->is_unstable;
        return 0;
    }
    for (enum swim_state state = SWIM_ALIVE; state < _SWIM_STATE_MAX; state++)
        if (strcmp(words[1], trace_state_name(state)) == 0) {
            *ret = member && member->state == state;
            return 0;
        }
    return -EINVAL;
}

static bool has_heard(const struct sim_node *node, char **words, size_t count)
{
    char text[SWIM_MESSAGE_MAX] = "";

    for (size_t i = 0; i < count; i++) {
        size_t length = strlen(text);
        snprintf(text + length, sizeof(text) - length, "%s%s", i > 0 ? " " : "", words[i]);
    }
    for (size_t i = 0; i < node->heard_count; i++)
        if (strcmp(node->heard[i], text) == 0)
            return true;
    return false;
}

static bool is_rushed(const struct sim_node *node)
{
    return sim_is_running(node) && swim_is_rushed(node->swim);
}

/* Conditions about one running node. */
static int test_node(const struct sim_node *node, char **words, size_t count, bool *ret)
{
    if (count == 3 && (strcmp(words[0], "sees") == 0 || strcmp(words[0], "see") == 0))
        return test_view(node, words + 1, ret);
    if (count == 3 && strcmp(words[0], "has") == 0 && strcmp(words[2], "keys") == 0) {
        *ret = keys_count(node) == strtoul(words[1], NULL, 10);
        return 0;
    }
    if (count >= 2 && strcmp(words[0], "heard") == 0) {
        *ret = has_heard(node, words + 1, count - 1);
        return 0;
    }
    if (count == 2 && strcmp(words[0], "told") == 0) {
        const struct sim_node *subject = sim_find(node->sim, words[1]);
        *ret = subject && node->told_dead[subject->index];
        return subject ? 0 : -EINVAL;
    }
    if (count != 1)
        return -EINVAL;
    if (strcmp(words[0], "joined") == 0)
        *ret = node->has_joined;
    else if (strcmp(words[0], "conflicted") == 0)
        *ret = node->conflicts_count > 0;
    else if (strcmp(words[0], "rushed") == 0)
        *ret = is_rushed(node);
    else
        return -EINVAL;
    return 0;
}

static size_t count_running(const struct sim *sim)
{
    size_t count = 0;

    for (size_t i = 0; i < sim->nodes_count; i++)
        count += sim_is_running(sim->nodes[i]);
    return count;
}

/* How often a node was held for dead though it ran: by others, or by those cut off from it. */
static uint64_t sum_deaths(const struct sim *sim, bool is_apart)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < sim->nodes_count; i++)
        sum += is_apart ? sim->nodes[i]->lost_count : sim->nodes[i]->buried_count;
    return sum;
}

static bool is_any_rushed(const struct sim *sim)
{
    for (size_t i = 0; i < sim->nodes_count; i++)
        if (is_rushed(sim->nodes[i]))
            return true;
    return false;
}

/* What nobody did, or became. */
static int test_nobody(const struct sim *sim, char **words, size_t count, bool *ret)
{
    if (count == 2 && strcmp(words[0], "alive") == 0 && strcmp(words[1], "accused") == 0)
        *ret = sim->accusations_alive == 0;
    else if (count != 1)
        return -EINVAL;
    else if (strcmp(words[0], "accused") == 0)
        *ret = sim->accusations == 0;
    else if (strcmp(words[0], "buried") == 0)
        *ret = sum_deaths(sim, false) == 0;
    else if (strcmp(words[0], "lost") == 0)
        *ret = sum_deaths(sim, true) == 0;
    else if (strcmp(words[0], "rushed") == 0)
        *ret = !is_any_rushed(sim);
    else
        return -EINVAL;
    return 0;
}

static int test(const struct sim *sim, char **words, size_t count, bool *ret)
{
    bool is_all = count > 1 && strcmp(words[0], "all") == 0;
    const struct sim_node *named = count > 1 && !is_all ? sim_find(sim, words[0]) : NULL;
    int r = -EINVAL;

    if (count == 1 && strcmp(words[0], "converged") == 0) {
        *ret = check_difference(sim) == NULL;
        return 0;
    }
    if (count > 1 && strcmp(words[0], "nobody") == 0)
        return test_nobody(sim, words + 1, count - 1, ret);
    if (count == 2 && strcmp(words[0], "one") == 0 && strcmp(words[1], "key") == 0) {
        *ret = keys_are_one(sim);
        return 0;
    }
    if (count == 2 && strcmp(words[0], "message") == 0 && strcmp(words[1], "arrived") == 0) {
        *ret = check_reached(sim) + 1 >= count_running(sim);
        return 0;
    }
    if (!is_all && !named)
        return -EINVAL;
    if (count == 2 && strcmp(words[1], "gone") == 0 && named) {
        *ret = named->state == NODE_OFF;
        return 0;
    }
    *ret = true;
    for (size_t i = 0; i < sim->nodes_count && *ret; i++) {
        const struct sim_node *node = sim->nodes[i];
        if (!sim_is_running(node) || (named && node != named))
            continue;
        r = test_node(node, words + 1, count - 1, ret);
        if (r < 0)
            return r;
    }
    /* A node that is not running sees nothing and hears nothing. */
    *ret = *ret && r == 0;
    return 0;
}

int condition_test(const struct sim *sim, char **words, size_t count, bool *ret)
{
    bool is_negated = count > 1 && strcmp(words[0], "not") == 0;
    int r = test(sim, words + is_negated, count - is_negated, ret);

    if (r >= 0 && is_negated)
        *ret = !*ret;
    return r;
}

void condition_help(void)
{
    puts("Conditions, where WHO is a node or all (that run); `not` before one negates it:\n"
         "  converged               all views are equal and right\n"
         "  nobody accused          no node has raised a suspicion so far\n"
         "  nobody alive accused    none of a node that ran\n"
         "  nobody buried           no node that ran was held for dead by one connected to it\n"
         "  nobody lost             nor by one that was cut off from it\n"
         "  nobody rushed           no core is in a rush\n"
         "  message arrived         everybody else heard the last `message ... all`\n"
         "  one key                 all that run have one key, the same\n"
         "  WHO has COUNT keys      in its ring\n"
         "  WHO sees COUNT alive    itself included\n"
         "  WHO sees NODE STATE     alive, suspect, dead, left, absent or unstable\n"
         "  WHO joined              enough seeds have answered\n"
         "  WHO heard TEXT          as a message\n"
         "  WHO told NODE           as a dead report to a seed\n"
         "  WHO conflicted          two bear one name\n"
         "  WHO rushed              is in a rush\n"
         "  NODE gone               its process has ended");
}
