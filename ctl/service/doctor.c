/* SPDX-License-Identifier: MIT */
#include "service/doctor.h"

#include <stdio.h>
#include <string.h>
#include "client.h"
#include "commands.h"
#include "console/failure.h"
#include "find.h"
#include "console/render.h"

/* `p2pctl doctor`: what is wrong here, and what to do about it. */

#define CHECK_WIDTH  8
#define STATUS_WIDTH 8

bool doctor_wants(const struct ctl *ctl, const char *check)
{
    for (size_t i = 0; i < ctl->options.words_count; i++)
        if (strcmp(ctl->options.words[i], check) == 0)
            return true;
    return ctl->options.words_count == 0;
}

static enum tone tone_of(const char *status)
{
    if (strcmp(status, "failed") == 0)
        return TONE_BAD;
    if (strcmp(status, "warning") == 0)
        return TONE_WARN;
    return strcmp(status, "ok") == 0 ? TONE_GOOD : TONE_DIM;
}

static void print_check(const struct ctl *ctl, const cJSON *check)
{
    const char *status = json_text(check, "status", "?"), *fix = json_text(check, "fix", NULL);

    printf("%-*s  ", CHECK_WIDTH, json_text(check, "check", "?"));
    render_tinted(ctl, stdout, tone_of(status), status);
    printf("%*s", (int)(STATUS_WIDTH + 1 - MIN(strlen(status), (size_t)STATUS_WIDTH)), "");
    render_tinted(ctl, stdout, TONE_PLAIN, json_text(check, "message", ""));
    putchar('\n');
    if (!fix)
        return;
    printf("%*sfix: ", CHECK_WIDTH + STATUS_WIDTH + 3, "");
    render_tinted(ctl, stdout, TONE_BOLD, fix);
    putchar('\n');
}

/* Whether the daemon that is meant is there. With -N there has to be one: the failure is told then.
 */
static int is_running(struct ctl *ctl, bool *ret)
{
    char path[FIND_PATH_MAX];
    int fd = -ENOENT;

    *ret = true;
    if (ctl->globals.node)
        return 0;
    if (ctl->globals.socket)
        fd = find_connect(ctl->globals.socket);
    else if (ctl->globals.instance)
        fd = find_path(ctl->globals.instance, path) == 0 ? find_connect(path) : -ENOENT;
    else {
        struct instances instances;
        find_running(&instances);
        /* Where there are several, the client says so. */
        if (instances.count > 0)
            return 0;
    }
    /* Who may not connect is told so. */
    *ret = fd >= 0 || fd == -EACCES || fd == -EPERM;
    close_fd(fd);
    return 0;
}

static int ask(struct ctl *ctl, cJSON **ret)
{
    cJSON *parameters = client_parameters(ctl);
    cJSON *checks = cJSON_AddArrayToObject(parameters, "checks");

    for (size_t i = 0; i < ctl->options.words_count; i++)
        cJSON_AddItemToArray(checks, cJSON_CreateString(ctl->options.words[i]));
    return client_call(ctl, (struct call){"Doctor", parameters, -1, false, NULL}, ret);
}

static int check_words(const struct ctl *ctl)
{
    static const char *const words[] = {"ports", "clock",   "key",    "sandbox",
                                        "disk",  "cluster", "python", NULL};

    for (size_t i = 0; i < ctl->options.words_count; i++) {
        size_t j = 0;
        while (words[j] && strcmp(words[j], ctl->options.words[i]) != 0)
            j++;
        if (!words[j])
            return fail_usage("\"%s\" is no check: they are ports, clock, key, sandbox, disk, "
                              "cluster and python",
                              ctl->options.words[i]);
    }
    return 0;
}

int doctor_run(struct ctl *ctl)
{
    _cleanup_json_ cJSON *answer = NULL;
    const char *path = options_get(&ctl->options, "report");
    bool running = false;
    int r = check_words(ctl);

    if (r == 0)
        r = is_running(ctl, &running);
    if (r == 0 && running)
        r = ask(ctl, &answer);
    else if (r == 0)
        answer = doctor_look(ctl);
    if (r != 0)
        return r;
    if (!answer)
        return fail_memory();
    if (path)
        r = doctor_write_report(ctl, path, answer, running);
    else if (ctl->globals.json != JSON_OFF)
        r = render_json(ctl, answer, "checks");
    else
        json_for_each (check, json_member(answer, "checks"))
            print_check(ctl, check);
    if (r == 0 && strcmp(json_text(answer, "health", ""), "ok") != 0)
        return error_get_exit(ERROR_DEGRADED);
    return r;
}
