/* SPDX-License-Identifier: MIT */

/*
 * One packet from anybody into a small cluster's core: it may be refused, and otherwise nothing.
 * What the core answers must keep its limits.
 */

#include <assert.h>
#include <string.h>
#include "swim/swim.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void drain(struct swim *swim)
{
    struct swim_packet packet;
    struct swim_event event;

    for (int i = 0; swim_next_packet(swim, &packet); i++)
        assert(i < 256 && packet.size > 0 && packet.size <= SWIM_PACKET_MAX);
    for (int i = 0; swim_next_event(swim, &event); i++)
        assert(i < 4096 && (!event.text || strlen(event.text) <= SWIM_MESSAGE_MAX));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    _cleanup_(swim_freep) struct swim *swim = NULL;
    struct swim_config config;
    struct swim_self self = {.id = {{1}}, .generation = 1000, .name = "n1", .is_seed = true};
    struct address from = {.bytes = {10, 0, 0, 2}, .port = 7717, .family = 4};
    struct node_id from_id = {{2}};
    usec_t now = USEC_PER_SEC;

    swim_config_default(&config);
    self.address = (struct address){.bytes = {10, 0, 0, 1}, .port = 7717, .family = 4};
    if (swim_new(&config, &self, 1, now, UINT64_C(1795244870000000), &swim) < 0)
        return 0;
    swim_set_seeds(swim, &(struct swim_seed){.address = from}, 1, 1, now);
    drain(swim);
    (void)swim_receive(swim, &from, &from_id, data, size, now);
    drain(swim);
    assert(strcmp(swim_get_self(swim)->name, "n1") == 0);
    /* Whatever it was told, it goes on. */
    for (int i = 0; i < 16; i++) {
        now += USEC_PER_SEC / 2;
        swim_tick(swim, now);
        drain(swim);
    }
    return 0;
}
