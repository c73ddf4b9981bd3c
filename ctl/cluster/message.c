/* SPDX-License-Identifier: MIT */
#include <string.h>
#include "base/text.h"
#include "client.h"
#include "interrupt.h"
#include "commands.h"
#include "console/failure.h"
#include "input.h"
#include "console/render.h"
#include "console/screen.h"
#include "console/window.h"

/* Messages between people at nodes: send, and read what came. */

#define MESSAGE_MAX ((size_t)256 * 1024)

/* "received by 10 of 12 nodes in 0.31s; no answer: lab-07 (suspect), lab-09 (dead)". */
static int show_receipt(const struct ctl *ctl, const cJSON *answer)
{
    const cJSON *nodes = json_member(answer, "nodes");
    int total = cJSON_GetArraySize(nodes), received = 0;
    char elapsed[RENDER_TEXT_MAX];
    const char *separator = "; no answer: ";

    json_for_each (node, nodes)
        received += json_flag(node, "received");
    if (json_is_set(answer, "file") && !ctl->globals.quiet) {
        fputs("the text is long and goes as a file, ", stderr);
        render_text(stderr, json_text(answer, "file", ""), strlen(json_text(answer, "file", "")));
        fputc('\n', stderr);
    }
    if (strcmp(json_text(answer, "status", ""), "sent") == 0) {
        printf("sent to %d node%s\n", total, PLURAL(total));
        return 0;
    }
    if (total == 1 && received == 1) {
        fputs("received by ", stdout);
        render_tinted(ctl, stdout, TONE_PLAIN, json_text(nodes->child, "name", "?"));
        if (json_is_set(nodes->child, "rtt_ms"))
            printf(" (%.1f ms)", json_number(nodes->child, "rtt_ms", 0));
        putchar('\n');
        return 0;
    }
    printf("received by %d of %d nodes in %s", received, total,
           render_elapsed(json_number(answer, "elapsed_ms", 0) / 1000, elapsed));
    json_for_each (node, nodes) {
        if (json_flag(node, "received"))
            continue;
        fputs(separator, stdout);
        render_tinted(ctl, stdout, TONE_PLAIN, json_text(node, "name", "?"));
        if (strcmp(json_text(node, "state", "alive"), "alive") != 0)
            printf(" (%s)", json_text(node, "state", ""));
        separator = ", ";
    }
    putchar('\n');
    return 0;
}

static int read_text(const char *word, uint8_t **ret)
{
    size_t size;

    if (strcmp(word, "-") != 0) {
        *ret = (uint8_t *)strdup(word);
        if (!*ret)
            return fail_memory();
        size = strlen(word);
    } else {
        int r = input_read(word, MESSAGE_MAX, NULL, ret, &size);
        if (r != 0)
            return r;
    }
    while (size > 0 && (*ret)[size - 1] == '\n')
        (*ret)[--size] = '\0';
    if (size == 0 || memchr(*ret, 0, size) || !text_is_utf8(*ret, size))
        return fail_usage("a message is some text in UTF-8");
    return 0;
}

int message_run(struct ctl *ctl)
{
    const struct options *options = &ctl->options;
    _cleanup_json_ cJSON *answer = NULL;
    _cleanup_free_ uint8_t *text = NULL;
    bool all = options_has(options, "all");
    int r;

    if (options->words_count != (all ? 1 : 2))
        return fail_usage(all ? "with --all there is only the text: p2pctl message --all TEXT"
                              : "a message needs a node and one text: p2pctl message NODE TEXT");
    r = read_text(options->words[options->words_count - 1], &text);
    if (r != 0)
        return r;
    all = all || strcmp(options->words[0], "all") == 0;
    cJSON *parameters = client_parameters(ctl);
    if (all)
        json_add_bool(parameters, "all", true);
    else
        json_add_string(parameters, "to", options->words[0]);
    json_add_string(parameters, "text", (const char *)text);
    if (options_has(options, "no-wait"))
        json_add_bool(parameters, "no_wait", true);
    r = client_call(ctl, (struct call){"SendMessage", parameters, -1, false, NULL}, &answer);
    if (r != 0)
        return r;
    return ctl->globals.json != JSON_OFF ? render_json(ctl, answer, NULL)
                                         : show_receipt(ctl, answer);
}

static void time_cell(const struct ctl *ctl, const cJSON *message, struct cell *cell)
{
    char clock[RENDER_TEXT_MAX];

    cell_printf(cell, "%s", render_clock(ctl, json_text(message, "time", NULL), clock));
}

static int follow_inbox(struct ctl *ctl, cJSON *parameters)
{
    bool last = false;
    char clock[RENDER_TEXT_MAX];
    int r;

    interrupt_catch();
    r = client_start(ctl, (struct call){"Inbox", parameters, -1, true, NULL});
    while (r == 0 && !last && !ferror(stdout)) {
        _cleanup_json_ cJSON *message = NULL;
        r = client_next(ctl, &message, &last);
        if (r == 0 && ctl->globals.json != JSON_OFF) {
            r = render_json_line(message);
        } else if (r == 0 && !last) {
            printf("%s  ", render_clock(ctl, json_text(message, "time", NULL), clock));
            render_tinted(ctl, stdout, TONE_BOLD, json_text(message, "sender", "?"));
            fputs("  ", stdout);
            render_tinted(ctl, stdout, TONE_PLAIN, json_text(message, "msg", ""));
            putchar('\n');
            fflush(stdout);
        }
    }
    return window_end(ctl, r);
}

int inbox_run(struct ctl *ctl)
{
    static const struct column columns[] = {{"TIME", "time", COLUMN_NAME, time_cell},
                                            {"SENDER", "sender", COLUMN_NAME, NULL},
                                            {"MESSAGE", "msg", 0, NULL}};
    static const struct screen screen = {"messages", columns, ARRAY_SIZE(columns)};
    _cleanup_json_ cJSON *answer = NULL, *parameters = client_parameters(ctl);
    bool follow = options_has(&ctl->options, "follow");
    int r = window_add(ctl, parameters);

    if (r != 0)
        return r;
    if (follow)
        return follow_inbox(ctl, TAKE_PTR(parameters));
    r = client_list(ctl, (struct call){"Inbox", TAKE_PTR(parameters), -1, false, NULL}, "messages",
                    &answer);
    return r != 0 ? r : screen_show(ctl, &screen, answer, NULL);
}
