/* SPDX-License-Identifier: MIT */

/* Messages between p2pnode and p2pnode-exec: what is taken is said in the same bytes. */

#include <assert.h>
#include <string.h>
#include "exec/message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct exec_message message;
    void *again = NULL;
    size_t again_size = 0;

    if (exec_message_decode(data, size, &message) < 0)
        return 0;
    int r = exec_message_encode(&message, &again, &again_size);
    assert(r == 0 && again_size == size && memcmp(again, data, size) == 0);
    free(again);
    exec_message_done(&message);
    return 0;
}
