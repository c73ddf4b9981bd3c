/* SPDX-License-Identifier: MIT */
#include "console/progress.h"

#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include "console/render.h"

#define BAR_WIDTH          20
#define NAME_WIDTH_MIN     ((size_t)8)
#define BAR_INTERVAL_USEC  (USEC_PER_SEC / 4)
#define RATE_SECONDS       1.44 /* 1 / ln 2: a half-life of one second */
#define LINE_INTERVAL_USEC (10 * USEC_PER_SEC)
#define WAITS_SECONDS      1.0 /* then it is worth a word */

static usec_t now_usec(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (usec_t)now.tv_sec * USEC_PER_SEC + (usec_t)now.tv_nsec / 1000;
}

void progress_init(struct progress *progress, const struct ctl *ctl, const char *name)
{
    usec_t now = now_usec();
    *progress = (struct progress){.ctl = ctl,
                                  .name = name,
                                  .started_usec = now,
                                  .shown_usec = now,
                                  .rated_usec = now,
                                  .rate = -1};
}

void progress_skip(struct progress *progress, double done)
{
    progress->rated_done = MAX(progress->rated_done, done);
}

/* A mean in which what was a second ago counts half. */
static void update_rate(struct progress *progress, double done)
{
    usec_t now = now_usec();
    double seconds = (double)usec_sub(now, progress->rated_usec) / (double)USEC_PER_SEC;

    if (seconds <= 0)
        return;
    double rate = MAX(done - progress->rated_done, 0.0) / seconds;
    double weight = progress->rate < 0 ? 1 : seconds / (seconds + RATE_SECONDS);
    progress->rate = MAX(progress->rate, 0.0) * (1 - weight) + rate * weight;
    progress->rated_usec = now;
    progress->rated_done = MAX(done, progress->rated_done);
}

void progress_rename(struct progress *progress, const struct ctl *ctl, const char *name)
{
    usec_t shown_usec = progress->shown_usec;

    progress_wipe(progress);
    progress_init(progress, ctl, name);
    progress->shown_usec = shown_usec;
}

double progress_elapsed(const struct progress *progress)
{
    return (double)usec_sub(now_usec(), progress->started_usec) / (double)USEC_PER_SEC;
}

/* Whether it is time for a line; with JSON each step is one, since a program reads it. */
static bool is_due(struct progress *progress)
{
    enum progress_mode mode = progress->ctl->globals.progress;
    usec_t now = now_usec();

    if (mode == PROGRESS_NONE)
        return false;
    if (mode == PROGRESS_JSON)
        return true;
    if (usec_sub(now, progress->shown_usec) <
        (mode == PROGRESS_BAR ? BAR_INTERVAL_USEC : LINE_INTERVAL_USEC))
        return false;
    progress->shown_usec = now;
    return true;
}

static void print_json(const struct progress *progress, double done, double total)
{
    _cleanup_json_ cJSON *json = cJSON_CreateObject();
    _cleanup_free_ char *text = NULL;

    json_add_string(json, "type", "progress");
    json_add_string(json, "name", progress->name);
    json_add_double(json, "done", done);
    json_add_double(json, "total", total);
    json_add_double(json, "elapsed_s", progress_elapsed(progress));
    text = json_format(json);
    fprintf(stderr, "%s\n", text ? text : "{}");
}

static size_t terminal_width(void)
{
    struct winsize size;

    return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : SIZE_MAX;
}

/* What cannot be wiped as one line would fill the screen: first the name gives way, then the end.
 */
static void print_bar(struct progress *progress, const char *name, const char *rest)
{
    size_t width = terminal_width() - 1, used = render_width(rest);
    _cleanup_free_ char *start =
        render_shorten(name, MAX(width - MIN(used, width), NAME_WIDTH_MIN));
    _cleanup_free_ char *whole = NULL, *line = NULL;

    if (!start || asprintf(&whole, "%s%s", start, rest) < 0 ||
        !(line = render_shorten(whole, width)))
        return;
    fprintf(stderr, "\r\033[K%s", line);
    progress->shown = true;
}

/* The line: what is done, made harmless, and @rest. */
static void print_line(struct progress *progress, const char *rest)
{
    _cleanup_free_ char *name = NULL;
    size_t size;
    FILE *stream = open_memstream(&name, &size);

    if (!stream)
        return;
    render_text(stream, progress->name, strlen(progress->name));
    if (fclose(stream) != 0)
        return;
    if (progress->ctl->globals.progress == PROGRESS_BAR)
        print_bar(progress, name, rest);
    else
        fprintf(stderr, "%s%s\n", name, rest);
    fflush(stderr);
}

static void print_eta(FILE *stream, double done, double total, double elapsed)
{
    char text[RENDER_TEXT_MAX];

    if (done > 0 && total > done)
        fprintf(stream, "  ETA %s", render_span(elapsed * (total - done) / done, text));
}

void progress_bytes(struct progress *progress, double done, double total)
{
    char text[RENDER_TEXT_MAX];

    if (!is_due(progress))
        return;
    update_rate(progress, done);
    if (progress->ctl->globals.progress == PROGRESS_JSON) {
        print_json(progress, done, total);
        return;
    }
    _cleanup_free_ char *rest = NULL;
    size_t size;
    FILE *stream = open_memstream(&rest, &size);
    if (!stream)
        return;
    fprintf(stream, "  %s", render_size(done, text));
    if (total > 0)
        fprintf(stream, " of %s  %3.0f%%", render_size(total, text), 100 * done / total);
    fprintf(stream, "  %s/s", render_size(MAX(progress->rate, 0.0), text));
    if (progress->rate > 0 && total > done)
        fprintf(stream, "  ETA %s", render_span((total - done) / progress->rate, text));
    if (fclose(stream) == 0)
        print_line(progress, rest);
}

void progress_waits(struct progress *progress, const char *why)
{
    const struct globals *globals = &progress->ctl->globals;

    if (progress->has_waited || globals->quiet || globals->json != JSON_OFF ||
        progress_elapsed(progress) < WAITS_SECONDS)
        return;
    progress->has_waited = true;
    progress_wipe(progress);
    render_text(stderr, progress->name, strlen(progress->name));
    fputs("  waits: ", stderr);
    render_text(stderr, why, strlen(why));
    fputc('\n', stderr);
}

void progress_steps(struct progress *progress, double done, double total, const char *what)
{
    double elapsed = progress_elapsed(progress);
    int filled = total > 0 ? (int)(BAR_WIDTH * done / total) : 0;
    char text[RENDER_TEXT_MAX];

    if (!is_due(progress))
        return;
    if (progress->ctl->globals.progress == PROGRESS_JSON) {
        print_json(progress, done, total);
        return;
    }
    _cleanup_free_ char *rest = NULL;
    size_t size;
    FILE *stream = open_memstream(&rest, &size);
    if (!stream)
        return;
    fputs("  ", stream);
    for (int i = 0; i < BAR_WIDTH; i++)
        fputs(i < filled ? render_is_ascii() ? "#" : "█" : render_is_ascii() ? "." : "░", stream);
    fprintf(stream, "  %.0f/%.0f  %.0f%%", done, total, total > 0 ? 100 * done / total : 0);
    if (*what) {
        fputs("  ", stream);
        render_text(stream, what, strlen(what));
    }
    fprintf(stream, "  %s", render_span(elapsed, text));
    print_eta(stream, done, total, elapsed);
    if (fclose(stream) == 0)
        print_line(progress, rest);
}

void progress_wipe(struct progress *progress)
{
    if (!progress->shown)
        return;
    fputs("\r\033[K", stderr);
    fflush(stderr);
    progress->shown = false;
}
