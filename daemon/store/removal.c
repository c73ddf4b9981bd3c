/* SPDX-License-Identifier: MIT */
#include "store/removal.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "store/state_core.h"

struct removal {
    struct state *state; /* borrowed */
    int directory_fd;    /* borrowed */
    bool has_run;
    char name[REMOVAL_NAME_MAX + 1];
};

static void on_run(void *data)
{
    struct removal *removal = data;

    (void)unlinkat(removal->directory_fd, removal->name, 0);
    removal->has_run = true;
}

static void on_done(void *data)
{
    struct removal *removal = data;

    if (!removal->has_run)
        on_run(removal);
    free(removal);
}

static void on_durable(int r, void *data)
{
    struct removal *removal = data;

    /* Without room it is going to be deleted, and this makes room. */
    if (r < 0 && r != -ENOSPC)
        free(removal);
    else if (!state_has_lane(removal->state) ||
             worker_submit(state_get_worker(removal->state), WORKER_COMMITS, on_run, on_done,
                           removal) < 0)
        on_done(removal);
}

void removal_after(struct state *state, struct state_batch *batch, int directory_fd,
                   const char *name)
{
    struct removal *removal = malloc(sizeof(*removal));

    if (!removal)
        return;
    *removal = (struct removal){.state = state, .directory_fd = directory_fd};
    snprintf(removal->name, sizeof(removal->name), "%s", name);
    state_batch_after(batch, on_durable, removal);
}
