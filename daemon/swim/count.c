/* SPDX-License-Identifier: MIT */
#include <assert.h>
#include "swim/core.h"

/* How many frames of each type came and went, for metrics. */

static const char *const names[] = {
    [MESSAGE_PING] = "ping",
    [MESSAGE_ACK] = "ack",
    [MESSAGE_ASK] = "ask",
    [MESSAGE_NACK] = "nack",
    [MESSAGE_RELAYED] = "relayed",
    [MESSAGE_ALIVE] = "alive",
    [MESSAGE_SUSPECT] = "suspect",
    [MESSAGE_DEAD] = "dead",
    [MESSAGE_LEFT] = "left",
    [MESSAGE_LOAD] = "load",
    [MESSAGE_HEARTBEAT] = "heartbeat",
    [MESSAGE_TEXT] = "text",
    [MESSAGE_DIRECT] = "direct",
    [MESSAGE_RECEIPT] = "receipt",
    [MESSAGE_JOIN] = "join",
    [MESSAGE_WELCOME] = "welcome",
    [MESSAGE_ADDRESS] = "address",
    [MESSAGE_COMPARE] = "compare",
    [MESSAGE_VECTOR] = "vector",
    [MESSAGE_PULL] = "pull",
    [MESSAGE_PAGE] = "page",
    [MESSAGE_REPORT] = "report",
    [MESSAGE_REPORT_ACK] = "report-ack",
    [MESSAGE_LEAVE] = "leave",
    [MESSAGE_LEAVE_ACK] = "leave-ack",
    [MESSAGE_HAVE] = "have",
    [MESSAGE_WANT] = "want",
    [MESSAGE_KEPT] = "kept",
};
static_assert(ARRAY_SIZE(names) == _MESSAGE_TYPE_MAX, "a type without a name");

void count_frames(const void *packet, size_t size, uint64_t counts[static _MESSAGE_TYPE_MAX])
{
    struct reader reader = reader_from(packet, size);

    (void)reader_u8(&reader);
    while (reader_left(&reader) > 0) {
        uint8_t type = reader_u8(&reader);
        (void)reader_sub(&reader, reader_u16(&reader));
        if (reader_ok(&reader) && type < _MESSAGE_TYPE_MAX)
            counts[type]++;
    }
}

const char *swim_get_frames(const struct swim *swim, size_t i, uint64_t *ret_received,
                            uint64_t *ret_sent)
{
    if (++i >= _MESSAGE_TYPE_MAX)
        return NULL;
    *ret_received = swim->frames_received[i];
    *ret_sent = swim->frames_sent[i];
    return names[i];
}
