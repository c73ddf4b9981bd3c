/* SPDX-License-Identifier: MIT */
#include <openssl/crypto.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#include "base/text.h"
#include "client.h"
#include "interrupt.h"
#include "commands.h"
#include "console/failure.h"
#include "input.h"
#include "console/render.h"
#include "console/screen.h"
#include "seal/keyring.h"

/*
 * `p2pctl keys`: the key ring. Keys are made by `gen`, which asks no daemon, and by the daemon
 * itself; what is shown are fingerprints. A key ring goes to the daemon as a file in memory.
 */

/* Never as JSON, which is what gets logged. */
int keys_gen_run(struct ctl *ctl)
{
    _cleanup_(keyring_free_textp) char *text = NULL;
    int r;

    if (ctl->globals.json != JSON_OFF)
        return fail(ERROR_USAGE, NULL, "leave out --json: (umask 077; p2pctl keys gen > FILE)",
                    "a key ring is never shown as JSON");
    r = keyring_generate((uint64_t)time(NULL), &text);
    if (r < 0)
        return fail(ERROR_INTERNAL, "libcrypto gives no random numbers", NULL, "cannot make a key");
    fputs(text, stdout);
    if (fflush(stdout) != 0)
        return fail(ERROR_INTERNAL, NULL, NULL, "cannot write the key ring");
    if (ctl_is_chatty(ctl) && ctl->globals.stdout_is_tty)
        fputs("hint: keep it in a file: (umask 077; p2pctl keys gen > FILE)\n", stderr);
    return 0;
}

static void primary_cell(const struct ctl *ctl, const cJSON *key, struct cell *cell)
{
    (void)ctl;
    cell_printf(cell, "%s", cJSON_IsTrue(json_member(key, "primary")) ? "yes" : "no");
}

static void nodes_cell(const struct ctl *ctl, const cJSON *key, struct cell *cell)
{
    int nodes = cJSON_GetArraySize(json_member(key, "nodes"));
    int missing = cJSON_GetArraySize(json_member(key, "missing"));

    (void)ctl;
    cell_printf(cell, "%d of %d", nodes, nodes + missing);
    cell->tone = missing > 0 ? TONE_BAD : TONE_PLAIN;
}

static void made_cell(const struct ctl *ctl, const cJSON *key, struct cell *cell)
{
    char text[RENDER_TEXT_MAX];

    cell_printf(cell, "%s", render_time(ctl, json_text(key, "made", NULL), text));
}

/* A time to come. */
static void until_cell(const struct ctl *ctl, const cJSON *key, struct cell *cell)
{
    const char *until = json_text(key, "until", NULL);
    char text[RENDER_TEXT_MAX];

    if (!until)
        return;
    double left = (double)render_parse_time(until) / USEC_PER_SEC - (double)time(NULL);
    cell_printf(cell, "%s",
                ctl->globals.time != TIME_RELATIVE ? render_time(ctl, until, text)
                : left > 0                         ? render_span(left, text)
                                                   : "now");
}

int keys_list_run(struct ctl *ctl)
{
    static const struct column columns[] = {{"KEY", "fingerprint", COLUMN_NAME, NULL},
                                            {"PRIMARY", "primary", COLUMN_NAME, primary_cell},
                                            {"NODES", "nodes", COLUMN_NAME, nodes_cell},
                                            {"MISSING", "missing", COLUMN_BLANK, NULL},
                                            {"MADE", "made", COLUMN_RIGHT, made_cell},
                                            {"UNTIL", "until", COLUMN_RIGHT, until_cell}};
    static const struct screen screen = {"keyring", columns, ARRAY_SIZE(columns)};
    _cleanup_json_ cJSON *answer = NULL;
    struct call call = {"ListKeys", client_parameters(ctl), -1, false, NULL};
    int r = client_call(ctl, call, &answer);

    return r != 0 ? r : screen_show(ctl, &screen, answer, NULL);
}

/* A file in memory with @text. Return: its descriptor, or -1. */
static int hold(const uint8_t *text, size_t size)
{
    int fd = memfd_create("keyring", MFD_CLOEXEC);

    for (size_t done = 0; fd >= 0 && done < size;) {
        ssize_t count = write(fd, text + done, size - done);
        if (count < 0) {
            close_fd(fd);
            return -1;
        }
        done += (size_t)count;
    }
    return fd;
}

/* What a step says where it worked. */
static int show_step(struct ctl *ctl, const cJSON *answer, const char *key, const char *said)
{
    if (ctl->globals.json != JSON_OFF)
        return render_json(ctl, answer, NULL);
    _cleanup_free_ char *keys = screen_value(json_member(answer, key));
    if (!ctl->globals.quiet)
        fprintf(stderr, "%s %s\n", keys ? keys : "?", said);
    return 0;
}

int keys_install_run(struct ctl *ctl)
{
    _cleanup_json_ cJSON *answer = NULL;
    _cleanup_close_ int fd = -EBADF;
    uint8_t *text = NULL;
    size_t size = 0;

    if (ctl->globals.node)
        return fail(ERROR_USAGE, NULL, "to bring a key to all nodes: p2pctl keys rotate",
                    "a key ring is installed on this node only");
    int r = input_read(ctl->options.words[0], KEYRING_TEXT_MAX, NULL, &text, &size);
    if (r != 0)
        return r;
    fd = hold(text, size);
    OPENSSL_cleanse(text, size);
    free(text);
    if (fd < 0)
        return fail(ERROR_INTERNAL, strerror(errno), NULL, "cannot hold the key ring");
    r = client_call(ctl, (struct call){"InstallKey", NULL, fd, false, NULL}, &answer);
    return r != 0 ? r : show_step(ctl, answer, "keys", "installed here");
}

static int step(struct ctl *ctl, const char *method, const char *said)
{
    _cleanup_json_ cJSON *answer = NULL;
    cJSON *parameters = client_parameters(ctl);

    json_add_string(parameters, "key", ctl->options.words[0]);
    int r = client_call(ctl, (struct call){method, parameters, -1, false, NULL}, &answer);
    return r != 0 ? r : show_step(ctl, answer, "key", said);
}

int keys_use_run(struct ctl *ctl)
{
    return step(ctl, "UseKey", "in use here");
}

int keys_remove_run(struct ctl *ctl)
{
    _cleanup_free_ char *question = NULL;
    int r;

    if (asprintf(&question, "remove key %s", ctl->options.words[0]) < 0)
        return fail_memory();
    r = ctl_confirm(ctl, question);
    return r != 0 ? r : step(ctl, "RemoveKey", "removed here");
}

/* Who has to be thought of: on stderr, for scripts too. */
static void warn_of_absent(const struct ctl *ctl, const cJSON *answer, const char *grace)
{
    const cJSON *absent = json_member(answer, "absent");
    _cleanup_free_ char *names = screen_value(absent);

    if (cJSON_GetArraySize(absent) == 0 || ctl->globals.quiet)
        return;
    fprintf(stderr, "not there, and without the new key: %s\nhint: ", names ? names : "?");
    if (grace)
        fprintf(stderr, "back within %s they get it by themselves; later, ", grace);
    fputs(
        "copy the file keyring of a node's state directory there, and: p2pctl keys install FILE\n",
        stderr);
}

static void show_end(const struct ctl *ctl, const cJSON *answer)
{
    const cJSON *keys = json_member(answer, "old");
    usec_t usec = (usec_t)(json_number(answer, "grace_s", 0) * USEC_PER_SEC);
    _cleanup_free_ char *old = screen_value(keys);
    char grace[32];

    text_format_usec(usec, grace);
    if (cJSON_GetArraySize(keys) > 0 && !ctl->globals.quiet) {
        printf("old key%s %s ", cJSON_GetArraySize(keys) > 1 ? "s" : "", old ? old : "?");
        if (usec > 0)
            printf("kept for %s, then removed", grace);
        else
            printf("removed at once");
        puts(" (p2pctl keys list)");
    }
    fflush(stdout);
    warn_of_absent(ctl, answer, usec > 0 ? grace : NULL);
}

/* One object of the stream, as a line. */
static void show_phase(const struct ctl *ctl, const cJSON *answer)
{
    const char *type = json_text(answer, "type", ""), *key = json_text(answer, "key", "?");
    double nodes = json_number(answer, "nodes", 0);
    bool is_installed = strcmp(type, "installed") == 0;
    bool is_resumed = cJSON_IsTrue(json_member(answer, "resumed"));

    if (strcmp(type, "end") == 0) {
        show_end(ctl, answer);
        return;
    }
    printf("%s%s %s on %.0f of %.0f nodes\n", is_installed && !is_resumed ? "new key " : "", key,
           is_installed ? "installed" : "in use", nodes, nodes);
    if (!is_installed || !is_resumed || ctl->globals.quiet)
        return;
    fflush(stdout);
    fprintf(stderr,
            "key %s was there already, from \"keys install\" or a change that did not end, so none "
            "was made\nhint: for one that is made now, when this is over: p2pctl keys rotate\n",
            key);
}

/* Where a change stands whose client was interrupted. */
static void tell_interrupted(const struct ctl *ctl, bool is_installed)
{
    if (ctl->globals.quiet)
        return;
    fprintf(stderr, "\ninterrupted: %s; nobody is cut off\n",
            is_installed ? "all nodes have the new key, and all go on to it once one has"
                         : "not all nodes have the new key yet, so none uses it");
    fputs("hint: go on where it stopped: p2pctl keys rotate\n"
          "hint: see where it stands: p2pctl keys list\n",
          stderr);
}

int keys_rotate_run(struct ctl *ctl)
{
    cJSON *parameters = client_parameters(ctl);
    const char *grace = options_get(&ctl->options, "grace");
    bool is_last = false, is_installed = false;
    int r;

    if (grace)
        json_add_string(parameters, "grace", grace);
    interrupt_catch();
    r = client_start(ctl, (struct call){"RotateKeys", parameters, -1, true, NULL});
    while (r == 0 && !is_last) {
        _cleanup_json_ cJSON *answer = NULL;
        r = client_next(ctl, &answer, &is_last);
        if (r != 0)
            break;
        if (ctl->globals.json != JSON_OFF)
            r = render_json_line(answer);
        else
            show_phase(ctl, answer);
        (void)fflush(stdout);
        is_installed |= strcmp(json_text(answer, "type", ""), "installed") == 0;
    }
    if (r == CLIENT_INTERRUPTED)
        tell_interrupted(ctl, is_installed);
    return r;
}
