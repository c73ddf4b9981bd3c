/* SPDX-License-Identifier: MIT */
#include "cluster/frame.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <wchar.h>
#include "console/output.h"
#include "console/render.h"

#define CELL_SIZE   512
#define BAR_WIDTH   10
#define LEFT_WIDTH  46
#define EVENT_LINES 3

/* What stands behind the names of a transfer, and what is added where there is so much room. */
#define TRANSFER_TAIL 18
#define TRANSFER_LEFT 7
#define TRANSFER_WIDE 44

#define KEYS(enter)                                                                                \
    " 1-4 nodes tasks files events  " enter " show l logs c cancel r retry / filter F2 cols q"
#define FIXED_LINES (1 + 2 + 2 + EVENT_LINES + 1) /* head, two titles, two rules, events, keys */

struct frame {
    const struct ctl *ctl;
    FILE *out;
    size_t columns;
    size_t rows_left;
};

/* --- Cells --- */

/* How many columns the first character of @text takes, and its bytes in *@ret_size. */
static size_t width_of(const char *text, size_t *ret_size)
{
    wchar_t c;
    mbstate_t state = {0};
    size_t size = mbrtowc(&c, text, strlen(text), &state);

    if (size == (size_t)-1 || size == (size_t)-2 || size == 0) {
        *ret_size = 1;
        return 1;
    }
    *ret_size = size;
    int width = wcwidth(c);
    return width < 0 ? 1 : (size_t)width;
}

/* @text without what could steer a terminal, cut or filled up to exactly @width columns. */
static void put(struct frame *frame, enum tone tone, size_t width, const char *text)
{
    char *clean = NULL;
    size_t size = 0, used = 0, whole = 0;
    FILE *stream = open_memstream(&clean, &size);
    const char *code = frame->ctl->globals.color ? render_tone(tone) : NULL;

    if (!stream)
        return;
    render_text(stream, text, strlen(text));
    if (fclose(stream) != 0) {
        free(clean);
        return;
    }
    for (const char *at = clean; *at; at += size)
        whole += width_of(at, &size);
    size_t room = whole > width && width > 0 ? width - 1 : width;
    fputs(code ? code : "", frame->out);
    for (const char *at = clean; *at; at += size) {
        size_t next = width_of(at, &size);
        if (used + next > room)
            break;
        fwrite(at, 1, size, frame->out);
        used += next;
    }
    if (whole > width && width > 0) {
        fputs(render_is_ascii() ? "~" : render_mark(MARK_ELLIPSIS), frame->out);
        used++;
    }
    fputs(code ? "\033[0m" : "", frame->out);
    fprintf(frame->out, "%*s", (int)(width - MIN(used, width)), "");
    free(clean);
}

static void _printf_(4, 5)
    put_format(struct frame *frame, enum tone tone, size_t width, const char *format, ...)
{
    char text[CELL_SIZE];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    put(frame, tone, width, text);
}

static void end_line(struct frame *frame)
{
    fputc('\n', frame->out);
    frame->rows_left -= frame->rows_left > 0;
}

static void put_rule(struct frame *frame)
{
    for (size_t i = 0; i < frame->columns; i++)
        fputs(render_is_ascii() ? "-" : "\u2500", frame->out);
    end_line(frame);
}

/* --- Parts --- */

static void write_head(struct frame *frame, const struct view *view)
{
    const cJSON *cluster = json_member(view->status, "cluster");
    const cJSON *tasks = json_member(view->status, "tasks");
    const cJSON *node = json_member(view->status, "node");
    char up[RENDER_TEXT_MAX], now[32], text[CELL_SIZE];
    time_t seconds = time(NULL);
    struct tm tm;
    bool is_ok = strcmp(json_text(view->status, "health", ""), "ok") == 0;

    (void)(frame->ctl->globals.utc ? gmtime_r(&seconds, &tm) : localtime_r(&seconds, &tm));
    strftime(now, sizeof(now), "%H:%M:%S", &tm);
    snprintf(text, sizeof(text), " %s on %s  %.0f nodes: %.0f%s %.0f%s %.0f%s",
             json_text(cluster, "name", "?"), json_text(node, "name", "?"),
             json_number(cluster, "nodes", 0),
             json_number(cluster, "alive", 0) + json_number(cluster, "draining", 0),
             render_mark(MARK_ALIVE), json_number(cluster, "suspect", 0), render_mark(MARK_SUSPECT),
             json_number(cluster, "dead", 0), render_mark(MARK_DEAD));
    put_format(frame, is_ok ? TONE_BOLD : TONE_WARN, frame->columns - 10,
               "%.300s   tasks %.0f running, %.0f pending   up %s", text,
               json_number(tasks, "running", 0), json_number(tasks, "pending", 0),
               render_elapsed(json_number(node, "uptime_s", 0), up));
    put(frame, TONE_PLAIN, 10, now);
    end_line(frame);
}

static void put_bar(struct frame *frame, double load)
{
    static const char *const full[] = {"\u2588", "#"}, *const empty[] = {"\u2591", "."};
    int filled = (int)(MIN(load, 1.0) * BAR_WIDTH + 0.5);
    enum tone tone = load >= 1.0 ? TONE_BAD : load >= 0.8 ? TONE_WARN : TONE_GOOD;
    const char *code = frame->ctl->globals.color ? render_tone(tone) : NULL;

    fputs(code ? code : "", frame->out);
    for (int i = 0; i < BAR_WIDTH; i++)
        fputs((i < filled ? full : empty)[render_is_ascii()], frame->out);
    fputs(code ? "\033[0m" : "", frame->out);
}

/* LEFT_WIDTH columns: " lab-01*      ████░░░░░░ 0.41   3/8  a,b     ". */
static void put_member(struct frame *frame, const cJSON *member)
{
    const char *state = json_text(member, "state", "?");
    _cleanup_free_ char *name = NULL, *types = NULL;
    size_t used = 16;

    if (!member) {
        put(frame, TONE_PLAIN, LEFT_WIDTH, "");
        return;
    }
    if (asprintf(&name, " %s%s", json_text(member, "name", "?"),
                 json_flag(member, "self") ? "*" : "") < 0)
        name = NULL;
    put(frame, json_flag(member, "self") ? TONE_BOLD : TONE_PLAIN, 15, name ? name : "");
    put(frame, TONE_PLAIN, 1, "");
    if (strcmp(state, "alive") != 0) {
        put(frame, strcmp(state, "suspect") == 0 ? TONE_WARN : TONE_BAD, LEFT_WIDTH - used, state);
        return;
    }
    put_bar(frame, json_number(member, "load", 0));
    put_format(frame, TONE_PLAIN, 12, " %.2f %3.0f/%.0f", json_number(member, "load", 0),
               json_number(member, "running", 0), json_number(member, "slots", 0));
    used += BAR_WIDTH + 12;
    for (const cJSON *type = json_member(member, "types") ? json_member(member, "types")->child
                                                          : NULL;
         type; type = type->next) {
        char *longer = NULL;
        if (asprintf(&longer, "%s%s%s", types ? types : "", types ? "," : "",
                     cJSON_IsString(type) ? type->valuestring : "?") < 0)
            break;
        free(types);
        types = longer;
    }
    bool is_draining = json_flag(member, "draining");
    put(frame, is_draining ? TONE_WARN : TONE_PLAIN, LEFT_WIDTH - used,
        is_draining ? "draining"
        : types     ? types
                    : "-");
}

/* The last of @list, newest at the bottom: the @i-th of @count lines. */
static const cJSON *pick_last(const cJSON *list, size_t i, size_t count)
{
    size_t size = (size_t)cJSON_GetArraySize(list);
    size_t first = size > count ? size - count : 0;

    return first + i < size ? cJSON_GetArrayItem(list, (int)(first + i)) : NULL;
}

/* "run2.h5 → lab-05  64%  110.2 MiB/s", with the time that is left where there is room. */
static void put_transfer(struct frame *frame, size_t width, const cJSON *transfer)
{
    double done = json_number(transfer, "done_bytes", 0);
    double total = json_number(transfer, "total_bytes", 0);
    double rate = json_number(transfer, "rate_bytes_s", 0);
    double files = json_number(transfer, "files", 1);
    bool is_out = strcmp(json_text(transfer, "direction", ""), "out") == 0;
    const char *arrow = is_out ? render_mark(MARK_ARROW) : render_is_ascii() ? "<-" : "\u2190";
    size_t tail = TRANSFER_TAIL + (width > TRANSFER_WIDE ? TRANSFER_LEFT : 0);
    char speed[RENDER_TEXT_MAX] = "-", left[RENDER_TEXT_MAX] = "", more[24] = "";

    if (files > 1)
        snprintf(more, sizeof(more), " +%.0f", files - 1);
    put_format(frame, TONE_PLAIN, width - tail, "%s%s %s %s", json_text(transfer, "name", "?"),
               more, arrow, json_text(transfer, "node", "?"));
    if (total <= 0) {
        put_format(frame, TONE_PLAIN, tail, "%*s", TRANSFER_TAIL, render_size(done, speed));
        return;
    }
    if (rate > 0)
        strcat(render_size(rate, speed), "/s");
    if (rate > 0 && width > TRANSFER_WIDE)
        render_span((total - done) / rate, left);
    put_format(frame, TONE_PLAIN, tail, " %3.0f%% %12s%s%s", done / total * 100, speed,
               *left ? "  " : "", left);
}

/* The right side: transfers where there are any, then messages. @row: 0 is the title. */
static void put_right(struct frame *frame, const struct view *view, size_t row, size_t lines)
{
    const cJSON *messages = json_member(view->messages, "messages"), *message = NULL;
    const cJSON *transfers = json_member(view->status, "transfers");
    size_t width = frame->columns - LEFT_WIDTH - 2;
    size_t all = (size_t)cJSON_GetArraySize(transfers), count = MIN(all, (lines + 1) / 2);
    size_t title = count > 0 ? count + 1 : 0; /* the row of that of the messages */

    if (row == title)
        put(frame, TONE_DIM, width, "MESSAGES");
    else if (row == 0)
        put_format(frame, TONE_DIM, width, "TRANSFERS%s", all > count ? ", some of them" : "");
    else if (row < title)
        put_transfer(frame, width, cJSON_GetArrayItem(transfers, (int)row - 1));
    else if ((message = pick_last(messages, row - title - 1, lines - title)))
        put_format(frame, TONE_PLAIN, width, "%s: %s", json_text(message, "sender", "?"),
                   json_text(message, "msg", ""));
    else
        put(frame, TONE_PLAIN, width, "");
}

static void write_members(struct frame *frame, const struct view *view, size_t lines)
{
    const cJSON *members = json_member(view->members, "members");
    size_t count = (size_t)cJSON_GetArraySize(members);

    for (size_t row = 0; row <= lines; row++) {
        if (row == 0)
            put_format(frame, TONE_DIM, LEFT_WIDTH, " NODES (load)%s",
                       count > lines ? ", some of them" : "");
        else
            put_member(frame, row <= count ? cJSON_GetArrayItem(members, (int)row - 1) : NULL);
        fprintf(frame->out, "%s ", render_is_ascii() ? "|" : "\u2502");
        put_right(frame, view, row, lines);
        end_line(frame);
    }
}

static void write_events(struct frame *frame, const struct view *view)
{
    const cJSON *events = json_member(view->events, "events");
    char clock[RENDER_TEXT_MAX];

    for (size_t i = 0; i < EVENT_LINES; i++) {
        const cJSON *event = pick_last(events, i, EVENT_LINES);
        if (event)
            put_format(frame, TONE_PLAIN, frame->columns, " %s  %s",
                       render_clock(frame->ctl, json_text(event, "time", NULL), clock),
                       json_text(event, "message", ""));
        else
            put(frame, TONE_PLAIN, frame->columns, "");
        end_line(frame);
    }
}

/* Under way first, then what ended, the newest first in both. */
static int compare_tasks(const cJSON *a, const cJSON *b)
{
    bool has_a = output_has_ended(a), has_b = output_has_ended(b);

    if (has_a != has_b)
        return has_a ? 1 : -1;
    return strcmp(json_text(b, "submitted", ""), json_text(a, "submitted", ""));
}

static int compare(const void *a, const void *b)
{
    return compare_tasks(*(const cJSON *const *)a, *(const cJSON *const *)b);
}

void frame_sort_tasks(cJSON *tasks)
{
    size_t count = (size_t)cJSON_GetArraySize(tasks), i = 0;
    _cleanup_free_ cJSON **order = calloc(count + 1, sizeof(*order));

    if (!order)
        return;
    while (tasks->child)
        order[i++] = cJSON_DetachItemViaPointer(tasks, tasks->child);
    qsort(order, i, sizeof(*order), compare);
    for (size_t j = 0; j < i; j++)
        cJSON_AddItemToArray(tasks, order[j]);
}

/* Nodes and transfers have what they need, up to half of all lines. */
static size_t upper_lines(const struct view *view, size_t lines)
{
    size_t members = (size_t)cJSON_GetArraySize(json_member(view->members, "members"));
    size_t transfers = (size_t)cJSON_GetArraySize(json_member(view->status, "transfers"));

    return MIN(MAX(members, 3 + MIN(transfers, (size_t)2)), lines / 2);
}

int frame_draw(const struct ctl *ctl, const struct view *view, size_t columns, size_t rows,
               FILE *out)
{
    struct frame frame = {.ctl = ctl,
                          .out = out,
                          .columns = MAX(columns, (size_t)FRAME_COLUMNS_MIN),
                          .rows_left = MAX(rows, (size_t)FRAME_ROWS_MIN)};
    size_t lines = frame.rows_left - FIXED_LINES, upper = upper_lines(view, lines);

    write_head(&frame, view);
    write_members(&frame, view, upper);
    put_rule(&frame);
    int r = pane_draw(ctl, view->pane, view->rows, frame.columns, lines - upper + 1, out);
    put_rule(&frame);
    write_events(&frame, view);
    put(&frame, view->note ? TONE_WARN : TONE_DIM, frame.columns,
        view->note          ? view->note
        : render_is_ascii() ? KEYS("Ret")
                            : KEYS("\u23ce"));
    end_line(&frame);
    return r;
}
