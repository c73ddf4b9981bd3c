/* SPDX-License-Identifier: MIT */
#include "seeds.h"

#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/address.h"
#include "base/log.h"

/* One entry of the configuration. */
struct entry {
    char *text; /* owned */
    bool is_name;
    struct address addresses[SEEDS_PER_NAME_MAX];
    size_t count;
    int error; /* of the last look-up, for gai_strerror(); 0 = none */
};

struct entries {
    struct entry items[SWIM_SEEDS_MAX];
    size_t count;
};

struct seeds {
    const struct config_strings *configured; /* borrowed */
    struct worker *worker;                   /* borrowed */
    seeds_found_t on_found;
    void *data;
    struct entries known;  /* by the last look-up */
    bool is_expired;       /* the look-up under way is of former seeds */
    struct lookup *lookup; /* under way, owned by the worker meanwhile; or NULL */
};

/* Names on their way to addresses, on the names lane. */
struct lookup {
    struct seeds *seeds; /* borrowed; NULL = nobody wants to know any more */
    struct entries entries;
};

static void entries_done(struct entries *entries)
{
    for (size_t i = 0; i < entries->count; i++)
        free(entries->items[i].text);
    entries->count = 0;
}

static struct lookup *lookup_free(struct lookup *lookup)
{
    entries_done(&lookup->entries);
    free(lookup);
    return NULL;
}

/* What was known of the same text before, or NULL. */
static const struct entry *find(const struct entries *entries, const char *text)
{
    for (size_t i = 0; i < entries->count; i++)
        if (strcmp(entries->items[i].text, text) == 0)
            return &entries->items[i];
    return NULL;
}

/* --- On the names lane --- */

/* All addresses of one "name" or "name:port"; the former ones where there is no answer. */
static void look_up_name(struct entry *entry)
{
    struct addrinfo hints = {.ai_socktype = SOCK_DGRAM, .ai_flags = AI_ADDRCONFIG};
    struct addrinfo *found = NULL;
    char host[256], port[8];
    const char *name = entry->text, *colon = strrchr(name, ':');

    snprintf(host, sizeof(host), "%.*s", colon ? (int)(colon - name) : (int)strlen(name), name);
    snprintf(port, sizeof(port), "%d", CONFIG_PORT_DEFAULT);
    if (colon)
        snprintf(port, sizeof(port), "%.6s", colon + 1);
    entry->error = getaddrinfo(host, port, &hints, &found);
    if (entry->error != 0)
        return;
    entry->count = 0;
    for (const struct addrinfo *info = found; info; info = info->ai_next)
        if (entry->count < SEEDS_PER_NAME_MAX &&
            address_from_sockaddr(info->ai_addr, info->ai_addrlen,
                                  &entry->addresses[entry->count]) >= 0)
            entry->count++;
    freeaddrinfo(found);
}

static void run_lookup(void *data)
{
    struct lookup *lookup = data;

    for (size_t i = 0; i < lookup->entries.count; i++)
        if (lookup->entries.items[i].is_name)
            look_up_name(&lookup->entries.items[i]);
}

/* --- On the loop --- */

static void tell(const struct seeds *seeds, const struct entries *entries)
{
    struct swim_seed found[SWIM_SEEDS_MAX];
    size_t count = 0;

    for (uint32_t i = 0; i < entries->count; i++)
        for (size_t j = 0; j < entries->items[i].count && count < SWIM_SEEDS_MAX; j++)
            found[count++] = (struct swim_seed){entries->items[i].addresses[j], i};
    seeds->on_found(found, count, (uint32_t)entries->count, seeds->data);
}

/* Once, until it is found. */
static void tell_unknown_names(const struct seeds *seeds, const struct entries *entries)
{
    for (size_t i = 0; i < entries->count; i++) {
        const struct entry *entry = &entries->items[i], *known = find(&seeds->known, entry->text);
        if (entry->error != 0 && (!known || known->error == 0))
            log_warning("Cannot find the address of the seed %s: %s", entry->text,
                        gai_strerror(entry->error));
    }
}

static void lookup_done(void *data)
{
    struct lookup *lookup = data;
    struct seeds *seeds = lookup->seeds;

    if (seeds) {
        seeds->lookup = NULL;
        tell_unknown_names(seeds, &lookup->entries);
        tell(seeds, &lookup->entries);
        entries_done(&seeds->known);
        seeds->known = lookup->entries;
        lookup->entries.count = 0;
    }
    lookup_free(lookup);
    if (seeds && seeds->is_expired) {
        seeds->is_expired = false;
        (void)seeds_look_up(seeds);
    }
}

void seeds_expire(struct seeds *seeds)
{
    seeds->is_expired = seeds->lookup != NULL;
}

/* Return: 0, -ENOMEM. */
static int add_entry(struct seeds *seeds, struct lookup *lookup, const char *text)
{
    struct entry *entry = &lookup->entries.items[lookup->entries.count];
    const struct entry *known = find(&seeds->known, text);

    *entry = (struct entry){.text = strdup(text)};
    if (!entry->text)
        return -ENOMEM;
    lookup->entries.count++;
    entry->is_name = address_parse(text, CONFIG_PORT_DEFAULT, &entry->addresses[0]) < 0;
    if (!entry->is_name) {
        entry->count = 1;
    } else if (known) {
        memcpy(entry->addresses, known->addresses, sizeof(entry->addresses));
        entry->count = known->count;
    }
    return 0;
}

bool seeds_look_up(struct seeds *seeds)
{
    struct lookup *lookup = seeds->lookup ? NULL : calloc(1, sizeof(*lookup));
    bool has_names = false;

    if (!lookup)
        return true;
    lookup->seeds = seeds;
    for (size_t i = 0; i < MIN(seeds->configured->count, (size_t)SWIM_SEEDS_MAX); i++) {
        if (add_entry(seeds, lookup, seeds->configured->items[i]) < 0) {
            lookup_free(lookup);
            return true;
        }
        has_names |= lookup->entries.items[i].is_name;
    }
    if (!has_names) {
        lookup_done(lookup);
        return false;
    }
    /* What is an address already does not wait for a name server. */
    if (seeds->known.count == 0)
        tell(seeds, &lookup->entries);
    seeds->lookup = lookup;
    if (worker_submit(seeds->worker, WORKER_NAMES, run_lookup, lookup_done, lookup) < 0)
        seeds->lookup = lookup_free(lookup);
    return true;
}

int seeds_new(const struct config_strings *configured, struct worker *worker,
              seeds_found_t on_found, void *data, struct seeds **ret)
{
    struct seeds *seeds = calloc(1, sizeof(*seeds));

    if (!seeds)
        return -ENOMEM;
    seeds->configured = configured;
    seeds->worker = worker;
    seeds->on_found = on_found;
    seeds->data = data;
    *ret = seeds;
    return 0;
}

struct seeds *seeds_free(struct seeds *seeds)
{
    if (!seeds)
        return NULL;
    if (seeds->lookup)
        seeds->lookup->seeds = NULL;
    entries_done(&seeds->known);
    free(seeds);
    return NULL;
}
