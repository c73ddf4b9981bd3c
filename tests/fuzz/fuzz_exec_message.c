/* SPDX-License-Identifier: MIT */

/* Messages between p2pnode and p2pnode-exec: what is taken can be said again, and means the same.
 */

#include <assert.h>
#include <string.h>
#include "exec/message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct exec_message message, again;
    char *text = NULL, *second = NULL;
    size_t text_size = 0, second_size = 0;

    if (exec_message_decode((const char *)data, size, &message) < 0)
        return 0;
    /* Escapes may make the text longer than what was read. */
    int r = exec_message_encode(&message, &text, &text_size);
    assert(r == 0 || r == -EMSGSIZE);
    if (r == 0) {
        r = exec_message_decode(text, text_size, &again);
        assert(r == 0);
        r = exec_message_encode(&again, &second, &second_size);
        assert(r == 0 && strcmp(text, second) == 0);
        exec_message_done(&again);
    }
    free(text);
    free(second);
    exec_message_done(&message);
    return 0;
}
