/* SPDX-License-Identifier: MIT */
#include "reload.h"

#include <stdio.h>
#include <string.h>
#include <systemd/sd-daemon.h>
#include "base/log.h"
#include "config/value.h"
#include "journal.h"
#include "keys.h"
#include "node.h"

struct reload {
    struct node *node; /* borrowed: the node waits for its worker */
    const char *path;  /* borrowed, as state_dir */
    const char *state_dir;
    struct keyring *keyring; /* owned: a copy of the one in use, or NULL */
    struct config *loaded;   /* owned; afterwards */
    struct config_strings errors;
    bool keyring_differs;
    bool is_partial; /* in force, but for the errors */
    int r;
};

static struct reload *reload_free(struct reload *reload)
{
    if (!reload)
        return NULL;
    keyring_free(reload->keyring);
    config_free(reload->loaded);
    config_strings_done(&reload->errors);
    free(reload);
    return NULL;
}
DEFINE_CLEANUP(struct reload *, reload_free)

void reloads_init(struct reloads *reloads)
{
    *reloads = (struct reloads){.is_wanted = false};
    list_init(&reloads->waiting);
    list_init(&reloads->served);
}

/* --- On a thread --- */

static void run(void *data)
{
    struct reload *reload = data;

    reload->r = config_load(reload->path, environ, &reload->loaded, &reload->errors);
    if (reload->r == 0 && reload->keyring)
        reload->keyring_differs = keys_differ(reload->loaded, reload->state_dir, reload->keyring);
}

/* --- On the loop --- */

static void tell(struct list *waits, const struct reload_outcome *outcome)
{
    while (!list_is_empty(waits)) {
        struct reload_wait *wait = list_first(waits, struct reload_wait, link);
        list_remove(&wait->link);
        wait->on_done(outcome, wait->data);
    }
}

static void tell_failure(struct reload *reload)
{
    for (size_t i = 0; i < reload->errors.count; i++)
        log_error("%s", reload->errors.items[i]);
    if (reload->errors.count > 0)
        log_error("The configuration was not reloaded, the former one stays");
    else
        log_error_errno(reload->r, "The configuration was not reloaded, the former one stays: %m");
    /* The log file may have been rotated all the same. */
    (void)journal_open(reload->node->config);
}

/* What of @all is not in @except. Return: 0, -ENOMEM. */
static int subtract(const struct config_strings *all, const struct config_strings *except,
                    struct config_strings *ret)
{
    for (size_t i = 0; i < all->count; i++)
        if (!config_strings_contain(except, all->items[i]) && strings_add(ret, all->items[i]) < 0)
            return -ENOMEM;
    return 0;
}

/* Whether what was refused may be taken now. */
static bool changes_rules(const struct config_strings *changed)
{
    for (size_t i = 0; i < changed->count; i++)
        if (strncmp(changed->items[i], "tasks.", 6) == 0 ||
            strncmp(changed->items[i], "sandbox.", 8) == 0)
            return true;
    return false;
}

/* Return: 0, or why a part could not follow. */
static int take_over(struct reload *reload, struct config_strings *ret_changed,
                     struct config_strings *ret_restart)
{
    struct node *node = reload->node;
    _cleanup_strings_ struct config_strings all = {0};
    int r = config_diff(node->config, reload->loaded, &all, ret_restart);

    if (r >= 0)
        r = subtract(&all, ret_restart, ret_changed);
    if (r < 0)
        return r;
    for (size_t i = 0; i < reload->loaded->warnings.count; i++)
        log_warning("%s", reload->loaded->warnings.items[i]);
    config_adopt(node->config, reload->loaded);
    node->keyring_differs = reload->keyring_differs;
    node->rules += changes_rules(ret_changed);
    r = node_parts_reload(node, &reload->errors);
    reload->is_partial = r < 0;
    if (r < 0)
        log_error("The configuration was reloaded in part");
    else
        journal_config_reloaded(ret_changed, ret_restart);
    return r;
}

static void begin(struct node *node);

static void done(void *data)
{
    _cleanup_(reload_freep) struct reload *reload = data;
    _cleanup_strings_ struct config_strings changed = {0}, restart = {0};
    struct reloads *reloads = &reload->node->reloads;
    bool is_wanted = reloads->is_wanted;

    reloads->reload = NULL;
    if (reload->node->stop_step != NODE_STOP_NONE)
        reload->r = -ESHUTDOWN;
    else if (reload->r < 0)
        tell_failure(reload);
    else
        reload->r = take_over(reload, &changed, &restart);
    if (reload->r != -ESHUTDOWN)
        (void)sd_notify(false, "READY=1");
    tell(&reloads->served, &(struct reload_outcome){.r = reload->r,
                                                    .is_partial = reload->is_partial,
                                                    .errors = &reload->errors,
                                                    .changed = &changed,
                                                    .restart = &restart});
    if (is_wanted && !reloads->reload)
        begin(reload->node);
}

static int submit(struct node *node)
{
    _cleanup_(reload_freep) struct reload *reload = calloc(1, sizeof(*reload));

    if (!reload)
        return -ENOMEM;
    *reload =
        (struct reload){.node = node, .path = node->config_path, .state_dir = node->state_dir};
    if (node->keyring) {
        reload->keyring = keyring_copy(node->keyring);
        if (!reload->keyring)
            return -ENOMEM;
    }
    int r = worker_submit(node->worker, WORKER_FILES, run, done, reload);
    if (r < 0)
        return r;
    node->reloads.reload = TAKE_PTR(reload);
    return 0;
}

static void begin(struct node *node)
{
    struct reloads *reloads = &node->reloads;
    static const struct config_strings none = {0};

    reloads->is_wanted = false;
    list_for_each_safe (link, &reloads->waiting) {
        list_remove(link);
        list_append(&reloads->served, link);
    }
    int r = node->stop_step == NODE_STOP_NONE ? submit(node) : -ESHUTDOWN;
    if (r < 0) {
        log_error_errno(r, "Cannot reload the configuration: %m");
        tell(&reloads->served,
             &(struct reload_outcome){.r = r, .errors = &none, .changed = &none, .restart = &none});
        return;
    }
    (void)sd_notifyf(false, "RELOADING=1\nMONOTONIC_USEC=%llu", (unsigned long long)node_now(node));
}

void reload_start(struct node *node, struct reload_wait *wait)
{
    struct reloads *reloads = &node->reloads;

    if (wait)
        list_append(&reloads->waiting, &wait->link);
    reloads->is_wanted = true;
    if (!reloads->reload)
        begin(node);
}

void reload_forget(struct reload_wait *wait)
{
    list_remove(&wait->link);
}
