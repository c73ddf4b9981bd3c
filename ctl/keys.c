/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include "commands.h"
#include "failure.h"
#include "seal/keyring.h"

/*
 * `p2pctl keys gen`: a fresh key ring for security.keyring. It asks no daemon. Never as JSON, which
 * is what gets logged.
 */

int keys_gen_run(struct ctl *ctl)
{
    _cleanup_(keyring_free_textp) char *text = NULL;
    int r;

    if (ctl->globals.json != JSON_OFF)
        return fail(ERROR_USAGE, NULL, "leave out --json: (umask 077; p2pctl keys gen > FILE)",
                    "a key ring is never shown as JSON");
    r = keyring_generate(&text);
    if (r < 0)
        return fail(ERROR_INTERNAL, "libcrypto gives no random numbers", NULL, "cannot make a key");
    fputs(text, stdout);
    if (fflush(stdout) != 0)
        return fail(ERROR_INTERNAL, NULL, NULL, "cannot write the key ring");
    if (ctl_is_chatty(ctl) && ctl->globals.stdout_is_tty)
        fputs("hint: keep it in a file: (umask 077; p2pctl keys gen > FILE)\n", stderr);
    return 0;
}
