/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>
#include <time.h>
#include "base/address.h"
#include "base/text.h"
#include "client.h"
#include "commands.h"
#include "config/config.h"
#include "console/failure.h"
#include "console/render.h"
#include "console/screen.h"

/* Who is there: members, peers, types, ping. */

#define NAMES_MAX 256 /* task types named in a footer */

/* What the STATE column says: the state, or what makes an alive member special. */
static const char *shown_state(const cJSON *member)
{
    const char *state = json_text(member, "state", "?");

    if (strcmp(state, "alive") != 0)
        return state;
    if (json_flag(member, "draining"))
        return "draining";
    return json_flag(member, "unstable") ? "unstable" : state;
}

static void name_cell(const struct ctl *ctl, const cJSON *member, struct cell *cell)
{
    (void)ctl;
    cell_printf(cell, "%s%s", json_text(member, "name", "?"), json_flag(member, "self") ? "*" : "");
    cell->tone = json_flag(member, "self") ? TONE_BOLD : TONE_PLAIN;
}

static void state_cell(const struct ctl *ctl, const cJSON *member, struct cell *cell)
{
    const char *state = shown_state(member);

    (void)ctl;
    cell_printf(cell, "%s", state);
    cell->tone = strcmp(state, "alive") == 0  ? TONE_GOOD
                 : strcmp(state, "dead") == 0 ? TONE_BAD
                 : strcmp(state, "left") == 0 ? TONE_DIM
                                              : TONE_WARN;
}

static void load_cell(const struct ctl *ctl, const cJSON *member, struct cell *cell)
{
    (void)ctl;
    if (json_is_set(member, "load"))
        cell_printf(cell, "%.2f", json_number(member, "load", 0));
}

static void slots_cell(const struct ctl *ctl, const cJSON *member, struct cell *cell)
{
    (void)ctl;
    if (json_is_set(member, "slots"))
        cell_printf(cell, "%.0f/%.0f", json_number(member, "running", 0),
                    json_number(member, "slots", 0));
}

static void percent_cell(const cJSON *member, const char *key, struct cell *cell)
{
    if (json_is_set(member, key))
        cell_printf(cell, "%.0f%%", 100 * json_number(member, key, 0));
}

static void cpu_cell(const struct ctl *ctl, const cJSON *member, struct cell *cell)
{
    (void)ctl;
    percent_cell(member, "cpu", cell);
}

static void mem_cell(const struct ctl *ctl, const cJSON *member, struct cell *cell)
{
    (void)ctl;
    percent_cell(member, "mem", cell);
}

static void loss_cell(const struct ctl *ctl, const cJSON *member, struct cell *cell)
{
    (void)ctl;
    percent_cell(member, "loss", cell);
}

static void rtt_cell(const struct ctl *ctl, const cJSON *member, struct cell *cell)
{
    (void)ctl;
    if (json_is_set(member, "rtt_ms"))
        cell_printf(cell, "%.1f ms", json_number(member, "rtt_ms", 0));
}

static void seen_cell(const struct ctl *ctl, const cJSON *member, struct cell *cell)
{
    char text[RENDER_TEXT_MAX];

    if (json_flag(member, "self"))
        cell_printf(cell, "now");
    else
        cell_printf(cell, "%s", render_time(ctl, json_text(member, "last_seen", NULL), text));
}

static void first_seen_cell(const struct ctl *ctl, const cJSON *member, struct cell *cell)
{
    char text[RENDER_TEXT_MAX];

    cell_printf(cell, "%s", render_time(ctl, json_text(member, "first_seen", NULL), text));
}

static const struct column member_columns[] = {
    {"NODE", "name", COLUMN_NAME, name_cell},
    {"ROLE", "role", COLUMN_LOW, NULL},
    {"STATE", "state", COLUMN_NAME, state_cell},
    {"ADDRESS", "address", COLUMN_NAME, NULL},
    {"TYPES", "types", 0, NULL},
    {"LOAD", "load", COLUMN_RIGHT, load_cell},
    {"SLOTS", "slots", COLUMN_RIGHT, slots_cell},
    {"RTT", "rtt_ms", COLUMN_RIGHT | COLUMN_LOW, rtt_cell},
    {"SEEN", "last_seen", COLUMN_RIGHT | COLUMN_LOW, seen_cell},
    {"VERSION", "version", COLUMN_LOW, NULL},
    {"UUID", "uuid", COLUMN_EXTRA | COLUMN_NAME, NULL},
    {"TAGS", "tags", COLUMN_EXTRA, NULL},
    {"QUEUE", "queue", COLUMN_EXTRA | COLUMN_RIGHT, NULL},
    {"CPU", "cpu", COLUMN_EXTRA | COLUMN_RIGHT, cpu_cell},
    {"MEM", "mem", COLUMN_EXTRA | COLUMN_RIGHT, mem_cell},
    {"KEY", "key", COLUMN_EXTRA, NULL},
    {"PROTO", "protocol", COLUMN_EXTRA | COLUMN_RIGHT, NULL},
    {"PYTHON", "python", COLUMN_EXTRA, NULL},
    {"FLAPS", "flaps", COLUMN_EXTRA | COLUMN_RIGHT, NULL},
    {"INCARNATION", "incarnation", COLUMN_EXTRA, NULL},
    {"REPORTED_BY", "reported_by", COLUMN_EXTRA, NULL},
    {"FIRST_SEEN", "first_seen", COLUMN_EXTRA | COLUMN_RIGHT, first_seen_cell},
    {"LOSS", "loss", COLUMN_EXTRA | COLUMN_RIGHT, loss_cell},
};
const struct screen member_screen = {"members", member_columns, ARRAY_SIZE(member_columns)};

static bool has_element(const cJSON *list, const char *text)
{
    json_for_each (item, list)
        if (cJSON_IsString(item) && strcmp(item->valuestring, text) == 0)
            return true;
    return false;
}

static bool member_is_wanted(const struct ctl *ctl, const cJSON *member)
{
    const char *state = options_get(&ctl->options, "state"),
               *tag = options_get(&ctl->options, "tag");
    const char *type = options_get(&ctl->options, "type");

    if (options_has(&ctl->options, "alive") && strcmp(json_text(member, "state", ""), "alive") != 0)
        return false;
    if (state && strcmp(shown_state(member), state) != 0 &&
        strcmp(json_text(member, "state", ""), state) != 0)
        return false;
    if (type && !has_element(json_member(member, "types"), type))
        return false;
    if (!tag)
        return true;
    json_for_each (item, json_member(member, "tags")) {
        _cleanup_free_ char *pair = NULL;
        if (cJSON_IsString(item) && asprintf(&pair, "%s=%s", item->string, item->valuestring) > 0 &&
            strcmp(pair, tag) == 0)
            return true;
    }
    return false;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* "Type c has no node that accepts work." for every type only others have. */
static void print_idle_types(const cJSON *members, FILE *stream)
{
    const char *names[NAMES_MAX];
    size_t count = 0;

    json_for_each (member, members)
        json_for_each (type, json_member(member, "types")) {
            bool accepted = !cJSON_IsString(type) || count == NAMES_MAX;
            json_for_each (other, members)
                accepted =
                    accepted || (strcmp(shown_state(other), "alive") == 0 &&
                                 has_element(json_member(other, "types"), type->valuestring));
            for (size_t i = 0; i < count && !accepted; i++)
                accepted = strcmp(names[i], type->valuestring) == 0;
            if (!accepted)
                names[count++] = type->valuestring;
        }
    qsort(names, count, sizeof(names[0]), compare_names);
    for (size_t i = 0; i < count; i++) {
        fputs(" Type ", stream);
        render_text(stream, names[i], strlen(names[i]));
        fputs(" has no node that accepts work.", stream);
    }
}

static void member_footer(const struct ctl *ctl, const cJSON *answer, FILE *stream)
{
    static const char *const states[] = {"alive",   "draining", "unstable",
                                         "suspect", "dead",     "left"};
    const cJSON *members = json_member(answer, "members");
    int total = cJSON_GetArraySize(members);
    const char *separator = ": ";

    (void)ctl;
    fprintf(stream, "%d node%s", total, PLURAL(total));
    for (size_t i = 0; i < ARRAY_SIZE(states); i++) {
        int count = 0;
        json_for_each (member, members)
            count += strcmp(shown_state(member), states[i]) == 0;
        if (count == 0)
            continue;
        fprintf(stream, "%s%d %s", separator, count, states[i]);
        separator = ", ";
    }
    fputc('.', stream);
    print_idle_types(members, stream);
    fputc('\n', stream);
}

int members_run(struct ctl *ctl)
{
    _cleanup_json_ cJSON *answer = NULL;
    static const char *const states[] = {"alive", "draining", "unstable", "suspect",
                                         "dead",  "left",     NULL};
    const char *tag = options_get(&ctl->options, "tag"), *equals = tag ? strchr(tag, '=') : NULL;
    int r = options_check_once(&ctl->options, (const char *const[]){"state", "type", "tag", NULL});

    if (r == 0)
        r = options_check_word(&ctl->options, "state", states);
    if (r != 0)
        return r;
    if (tag && (!equals || equals == tag))
        return fail(ERROR_USAGE, NULL, "see the tags: p2pctl members -o +tags",
                    "--tag is a tag and its value, K=V, not \"%s\"", tag);
    struct call call = {"Members", client_parameters(ctl), -1, false, NULL};
    r = client_list(ctl, call, "members", &answer);
    if (r != 0)
        return r;
    screen_keep(ctl, "members", answer, member_is_wanted);
    return screen_show(ctl, &member_screen, answer, member_footer);
}

int peers_run(struct ctl *ctl)
{
    static const struct column columns[] = {{"NODE", "name", COLUMN_NAME, NULL},
                                            {"ADDRESS", "address", COLUMN_NAME, NULL}};
    static const struct screen screen = {"peers", columns, ARRAY_SIZE(columns)};
    _cleanup_json_ cJSON *answer = NULL;
    int r = client_list(ctl, (struct call){"Peers", client_parameters(ctl), -1, false, NULL},
                        "peers", &answer);

    return r != 0 ? r : screen_show(ctl, &screen, answer, NULL);
}

/* "Type a is for some users alone on lab-03, lab-05." for every type that is so anywhere. */
static void types_footer(const struct ctl *ctl, const cJSON *answer, FILE *stream)
{
    (void)ctl;
    json_for_each (type, json_member(answer, "types")) {
        const char *separator = " is for some users alone on ", *name = json_text(type, "name", "");
        const cJSON *nodes = json_member(type, "for_some");
        if (cJSON_GetArraySize(nodes) == 0)
            continue;
        fputs("Type ", stream);
        render_text(stream, name, strlen(name));
        json_for_each (node, nodes) {
            const char *text = cJSON_IsString(node) ? node->valuestring : "";
            fputs(separator, stream);
            render_text(stream, text, strlen(text));
            separator = ", ";
        }
        fputs(".\n", stream);
    }
}

static bool has_for_some(const cJSON *answer)
{
    json_for_each (type, json_member(answer, "types"))
        if (cJSON_GetArraySize(json_member(type, "for_some")) > 0)
            return true;
    return false;
}

int types_run(struct ctl *ctl)
{
    static const struct column columns[] = {
        {"TYPE", "name", COLUMN_NAME, NULL},    {"NODES", "nodes", 0, NULL},
        {"SLOTS", "slots", COLUMN_RIGHT, NULL}, {"FREE", "free", COLUMN_RIGHT, NULL},
        {"HANDLER", "handler", 0, NULL},        {"FOR_SOME", "for_some", COLUMN_EXTRA, NULL}};
    static const struct screen screen = {"types", columns, ARRAY_SIZE(columns)};
    _cleanup_json_ cJSON *answer = NULL;
    int r = client_list(ctl, (struct call){"Types", client_parameters(ctl), -1, false, NULL},
                        "types", &answer);

    return r != 0 ? r
                  : screen_show(ctl, &screen, answer, has_for_some(answer) ? types_footer : NULL);
}

/* "ok 0.5 ms", "refused", "no answer". */
static void check_cell(const cJSON *node, const char *key, const char *key_ms, struct cell *cell)
{
    const char *result = json_text(node, key, NULL);

    if (!result)
        return;
    if (json_is_set(node, key_ms))
        cell_printf(cell, "%s %.1f ms", result, json_number(node, key_ms, 0));
    else
        cell_printf(cell, "%s", result);
    cell->tone = strcmp(result, "ok") == 0 ? TONE_GOOD : TONE_BAD;
}

static void udp_cell(const struct ctl *ctl, const cJSON *node, struct cell *cell)
{
    (void)ctl;
    check_cell(node, "udp", "udp_ms", cell);
}

static void tcp_cell(const struct ctl *ctl, const cJSON *node, struct cell *cell)
{
    (void)ctl;
    check_cell(node, "tcp", "tcp_ms", cell);
}

static cJSON *ping_parameters(const struct ctl *ctl)
{
    cJSON *parameters = client_parameters(ctl);
    bool udp = options_has(&ctl->options, "udp"), tcp = options_has(&ctl->options, "tcp");

    if (options_has(&ctl->options, "all"))
        json_add_bool(parameters, "all", true);
    if (ctl->options.words_count > 0) {
        cJSON *nodes = cJSON_AddArrayToObject(parameters, "nodes");
        for (size_t i = 0; nodes && i < ctl->options.words_count; i++)
            cJSON_AddItemToArray(nodes, cJSON_CreateString(ctl->options.words[i]));
    }
    if (udp != tcp) {
        json_add_bool(parameters, "udp", udp);
        json_add_bool(parameters, "tcp", tcp);
    }
    return parameters;
}

static bool check_failed(const cJSON *node, const char *key)
{
    const char *result = json_text(node, key, NULL);
    return result && strcmp(result, "ok") != 0;
}

static int ping_once(struct ctl *ctl)
{
    static const struct column columns[] = {{"NODE", "name", COLUMN_NAME, NULL},
                                            {"UDP", "udp", COLUMN_NAME, udp_cell},
                                            {"TCP", "tcp", COLUMN_NAME, tcp_cell},
                                            {"NOTE", "note", COLUMN_BLANK, NULL}};
    static const struct screen screen = {"nodes", columns, ARRAY_SIZE(columns)};
    _cleanup_json_ cJSON *answer = NULL;
    struct call call = {"Ping", ping_parameters(ctl), -1, false, NULL};
    int r = client_call(ctl, call, &answer);

    if (r != 0)
        return r;
    const cJSON *nodes = json_member(answer, "nodes");
    if (ctl->globals.json != JSON_OFF || cJSON_IsArray(nodes)) {
        r = screen_show(ctl, &screen, answer, NULL);
    } else {
        const char *message = json_text(answer, "message", "");
        render_text(stdout, message, strlen(message));
        putchar('\n');
    }
    /* Among all there may be dead ones; who is asked by name is expected to answer. */
    if (r == 0 && ctl->options.words_count > 0)
        json_for_each (node, nodes)
            if (check_failed(node, "udp") || check_failed(node, "tcp"))
                r = error_get_exit(ERROR_UNREACHABLE);
    return r;
}

int ping_run(struct ctl *ctl)
{
    const char *text = options_get(&ctl->options, "count");
    char *end = NULL;
    long count = text ? strtol(text, &end, 10) : 1;
    int r = 0;

    if (text && (*end != '\0' || count < 1 || count > 1000000))
        return fail_usage("-c is a number of pings, not \"%s\"", text);
    if (options_has(&ctl->options, "all") && ctl->options.words_count > 0)
        return fail_usage("name nodes, or say --all, but not both");
    if (count > 1)
        render_several(ctl, "pings");
    for (long i = 0; i < count; i++) {
        struct timespec second = {1, 0};
        if (i > 0)
            nanosleep(&second, NULL);
        int one = ping_once(ctl);
        if (one != 0 && one != error_get_exit(ERROR_UNREACHABLE))
            return one;
        r = one != 0 ? one : r;
    }
    return r;
}
