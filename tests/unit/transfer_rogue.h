/* SPDX-License-Identifier: MIT */
#pragma once

/* A node that says on a p2p-file/1 connection what a test wants, to a node of transfer_lab.h. */

#include "transfer_lab.h"

enum { HERE, THERE };

static struct depot *const here = &depots[HERE], *const there = &depots[THERE];

/* A rogue's side of one connection, on a thread of its own. */
struct rogue {
    struct conn *conn;
    void (*act)(struct rogue *rogue);
    pthread_t thread;
    atomic_bool is_done;
    atomic_bool is_over; /* the test has seen what it wanted */
    atomic_uint heard_count;
    char heard[64]; /* ops and errors, as they came */
};

static struct rogue rogue;

static _unused_ usec_t until(void)
{
    return conn_now() + LAB_WAIT_USEC;
}

/* A frame as a text, and bytes behind it. Failures do not matter: the other side may have gone. */
static _unused_ void say(const char *text, const void *body, size_t size)
{
    _cleanup_json_ cJSON *frame = cJSON_Parse(text);

    if (frame_send(rogue.conn, frame, size, until()) >= 0 && size > 0)
        (void)conn_write(rogue.conn, body, size, until());
}

static _unused_ void hear(void)
{
    _cleanup_json_ cJSON *frame = NULL;
    const char *op = "", *error = NULL;
    uint64_t size = 0;
    int r = frame_receive(rogue.conn, until(), &frame, &size);

    if (r > 0) {
        (void)json_get_string(frame, "op", &op);
        (void)json_get_string(frame, "error", &error);
    }
    strcat(rogue.heard, r > 0 ? op : r == 0 ? "end" : "cut");
    if (error) {
        strcat(rogue.heard, ":");
        strcat(rogue.heard, error);
    }
    strcat(rogue.heard, " ");
    rogue.heard_count++;
    for (uint8_t byte; size > 0 && conn_read(rogue.conn, &byte, 1, until()) == 1; size--)
        ;
}

static void *run_rogue(void *data _unused_)
{
    rogue.act(&rogue);
    rogue.is_done = true;
    return NULL;
}

static _unused_ void start_rogue(void (*act)(struct rogue *rogue), struct lab_node *node)
{
    rogue = (struct rogue){.act = act};
    assert_int_equal(stream_take_blocking(node->stranger, &rogue.conn), 0);
    node->stranger = NULL;
    assert_int_equal(pthread_create(&rogue.thread, NULL, run_rogue, NULL), 0);
}

static _unused_ void end_rogue(void)
{
    run_until(rogue.is_done);
    pthread_join(rogue.thread, NULL);
    rogue.conn = conn_free(rogue.conn);
}

/* What @act, dialled to depot 0, heard until the end. */
static _unused_ const char *ask(void (*act)(struct rogue *rogue))
{
    lab_dial(&nodes[2], &nodes[HERE], TLS_PROTOCOL_FILE);
    start_rogue(act, &nodes[2]);
    end_rogue();
    return rogue.heard;
}

/* Node 1 is the rogue; what @act says to the first connection. */
static _unused_ void serve(void (*act)(struct rogue *rogue))
{
    nodes[THERE].is_stranger = true;
    lab_run_until(event, nodes[THERE].stranger);
    start_rogue(act, &nodes[THERE]);
}

static _unused_ int get_from(void (*act)(struct rogue *rogue), struct moving *moving)
{
    assert_int_equal(begin_get(here, THERE, "file", new_memory("", 0), moving), 0);
    serve(act);
    run_until(moving->is_ended);
    conn_abort(rogue.conn);
    end_rogue();
    return moving->end.r;
}

static _unused_ int put_to(void (*act)(struct rogue *rogue), struct moving *moving)
{
    struct upload_offer offer = offer_of("file", FILE_MAX);

    assert_int_equal(
        begin_put(here, THERE, new_memory(some_bytes(FILE_MAX), FILE_MAX), &offer, moving), 0);
    serve(act);
    run_until(moving->is_ended);
    conn_abort(rogue.conn);
    end_rogue();
    return moving->end.r;
}
