/* SPDX-License-Identifier: MIT */

/*
 * A life of one core: packets, time and commands in any order. The input is a list of steps, each
 * one byte of kind and what belongs to it; a packet is u8 sender, u16 size, bytes. Two cores talk,
 * so that well-formed packets are there to be damaged: a step may flip a byte of what one sends to
 * the other.
 */

#include <assert.h>
#include <string.h>
#include "base/bytes.h"
#include "swim/swim.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CORES     2
#define KEPT_MAX  8
#define STEPS_MAX 512

enum step {
    STEP_TIME,
    STEP_PACKET,
    STEP_DELIVER,
    STEP_DAMAGE,
    STEP_MESSAGE,
    STEP_LEAVE,
    STEP_META,
    STEP_WALL,
    STEP_PING,
    STEP_JOIN,
    _STEP_MAX,
};

struct kept {
    size_t source;
    size_t size;
    uint8_t data[SWIM_PACKET_MAX];
};

struct session {
    struct swim *cores[CORES]; /* owned */
    struct kept kept[KEPT_MAX];
    size_t kept_count;
    usec_t now;
};

static struct address address_of(size_t i)
{
    return (struct address){.bytes = {10, 0, 0, (uint8_t)(i + 1)}, .port = 7717, .family = 4};
}

static struct node_id id_of(size_t i)
{
    return (struct node_id){{(uint8_t)(i + 1)}};
}

static void drain(struct session *session, size_t core)
{
    struct swim_packet packet;
    struct swim_event event;

    for (int i = 0; swim_next_packet(session->cores[core], &packet); i++) {
        struct kept *kept = &session->kept[session->kept_count++ % KEPT_MAX];
        assert(i < 256 && packet.size > 0 && packet.size <= SWIM_PACKET_MAX);
        *kept = (struct kept){.source = core, .size = packet.size};
        memcpy(kept->data, packet.data, packet.size);
    }
    for (int i = 0; swim_next_event(session->cores[core], &event); i++)
        assert(i < 4096 && (!event.text || strlen(event.text) <= SWIM_MESSAGE_MAX));
    assert(swim_members_count(session->cores[core]) <= SWIM_MEMBERS_MAX);
}

static void receive(struct session *session, size_t source, const void *data, size_t size)
{
    struct address from = address_of(source);
    struct node_id from_id = id_of(source);
    size_t core = (source + 1) % CORES;

    (void)swim_receive(session->cores[core], &from, &from_id, data, size, session->now);
    drain(session, core);
}

static void deliver(struct session *session, struct reader *reader, bool is_damaged)
{
    struct kept kept = session->kept[reader_u8(reader) % KEPT_MAX];

    if (kept.size == 0)
        return;
    if (is_damaged) {
        size_t i = reader_u16(reader) % kept.size;
        kept.data[i] ^= reader_u8(reader);
        kept.size -= reader_u8(reader) % kept.size;
    }
    receive(session, kept.source, kept.data, kept.size);
}

static void command(struct session *session, struct reader *reader, enum step step)
{
    size_t core = reader_u8(reader) % CORES;
    struct swim *swim = session->cores[core];
    struct node_id other = id_of(reader_u8(reader) % 4);
    struct address address = address_of(reader_u8(reader) % 4);
    uint64_t token;
    char text[256];

    reader_string8(reader, text, sizeof(text));
    if (step == STEP_MESSAGE)
        (void)swim_send_message(swim, text[0] == '*' ? NULL : &other, text, session->now, &token);
    else if (step == STEP_LEAVE)
        swim_leave(swim, session->now);
    else if (step == STEP_META)
        (void)swim_set_meta(swim, text, strlen(text), session->now);
    else if (step == STEP_WALL)
        swim_set_wall(swim, reader_u64(reader), session->now, text[0] & 1);
    else if (step == STEP_PING)
        (void)swim_ping(swim, &other, session->now, &token);
    else
        (void)swim_join(swim, &address, session->now);
    drain(session, core);
}

static void run_step(struct session *session, struct reader *reader)
{
    enum step step = (enum step)(reader_u8(reader) % _STEP_MAX);

    if (step == STEP_TIME) {
        session->now += (usec_t)reader_u16(reader) * 1000;
        for (size_t i = 0; i < CORES; i++) {
            swim_tick(session->cores[i], session->now);
            drain(session, i);
        }
    } else if (step == STEP_PACKET) {
        size_t source = reader_u8(reader) % 4;
        size_t size = reader_u16(reader);
        const uint8_t *bytes = reader_bytes(reader, size);
        if (bytes)
            receive(session, source, bytes, size);
    } else if (step == STEP_DELIVER || step == STEP_DAMAGE) {
        deliver(session, reader, step == STEP_DAMAGE);
    } else {
        command(session, reader, step);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct session session = {.now = USEC_PER_SEC};
    struct reader reader = reader_from(data, size);
    struct swim_config config;
    bool is_ready = true;

    swim_config_default(&config);
    for (size_t i = 0; i < CORES; i++) {
        struct swim_self self = {.id = id_of(i), .generation = 1000, .is_seed = i == 0};
        struct address seed = address_of(0);
        self.address = address_of(i);
        memcpy(self.name, i == 0 ? "n1" : "n2", 3);
        is_ready = is_ready && swim_new(&config, &self, i, session.now, UINT64_C(1795244870000000),
                                        &session.cores[i]) >= 0;
        if (is_ready)
            swim_set_seeds(session.cores[i], &(struct swim_seed){.address = seed}, 1, 1,
                           session.now);
    }
    for (size_t i = 0; i < CORES && is_ready; i++)
        drain(&session, i);
    for (int i = 0; i < STEPS_MAX && is_ready && reader_left(&reader) > 0; i++)
        run_step(&session, &reader);
    for (size_t i = 0; i < CORES; i++)
        (void)swim_free(session.cores[i]);
    return 0;
}
