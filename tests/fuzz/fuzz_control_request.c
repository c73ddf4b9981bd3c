/* SPDX-License-Identifier: MIT */

/*
 * A client that sends anything: the first byte says in how large steps it comes. Calls come out or
 * the connection ends with a reason; what comes out is a call or is refused, and can be written
 * again.
 */

#include <assert.h>
#include <sys/socket.h>
#include "varlink/varlink.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define INPUT_MAX ((size_t)64 * 1024) /* what a socket takes at once */

static void use(const struct varlink_message *message)
{
    struct varlink_reply reply;
    struct varlink_call call;

    assert(cJSON_IsObject(message->json) && message->fds_count == 0);
    if (varlink_parse_call(message->json, &call) == 0) {
        assert(call.method && !(call.more && call.oneway));
        assert(!call.parameters || cJSON_IsObject(call.parameters));
    }
    if (varlink_parse_reply(message->json, &reply) == 0)
        assert(cJSON_IsObject(reply.parameters) && !(reply.error && reply.continues));
    _cleanup_free_ char *text = json_format(message->json);
    assert(text);
}

/* Return: 0 to go on, or why the connection is over. */
static int drain(struct varlink *varlink)
{
    for (;;) {
        _cleanup_varlink_message_ struct varlink_message message = VARLINK_MESSAGE_NULL;
        int r = varlink_next(varlink, &message);
        if (r <= 0)
            return r;
        use(&message);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    _cleanup_(varlink_freep) struct varlink *varlink = NULL;
    _cleanup_close_ int writer = -EBADF;
    int sockets[2], r = 0;

    if (size < 1 || size > INPUT_MAX)
        return 0;
    size_t step = (size_t)data[0] * data[0] + 1;
    assert(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, sockets) == 0);
    writer = sockets[0];
    assert(varlink_new(sockets[1], &varlink) == 0);
    for (size_t i = 1; i < size && r == 0; i += step) {
        assert(send(writer, data + i, MIN(step, size - i), MSG_NOSIGNAL) > 0);
        assert(varlink_receive(varlink) == 1);
        r = drain(varlink);
    }
    assert(r <= 0 && drain(varlink) == r);
    return 0;
}
