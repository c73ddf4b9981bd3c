/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>
#include "client.h"
#include "interrupt.h"
#include "console/failure.h"
#include "data/file.h"
#include "console/progress.h"
#include "console/render.h"

/* The stream that `file put` (file_put.c, file_pack.c) and `file get` (file_get.c) share. */

/* Says once that a part of it was there from an earlier time. */
static void tell_resumed(const struct ctl *ctl, const char *name, const cJSON *object, double total,
                         bool *is_told)
{
    double resumed = json_number(object, "resumed_bytes", 0);

    if (*is_told || resumed <= 0 || total <= 0 || ctl->globals.quiet ||
        ctl->globals.json != JSON_OFF)
        return;
    *is_told = true;
    render_text(stderr, name, strlen(name));
    fprintf(stderr, "  resumed at %d%%\n", (int)(100 * resumed / total));
}

void file_show_progress(struct progress *progress, const cJSON *object, double before, double total)
{
    const char *waits = json_text(object, "waits", "");

    if (*waits)
        progress_waits(progress, waits);
    progress_bytes(progress, before + json_number(object, "done_bytes", 0), total);
}

int file_fail_interrupted(const struct ctl *ctl, const char *name)
{
    if (ctl->globals.quiet)
        return EXIT_INTERRUPTED;
    if (ctl->globals.stderr_is_tty) /* behind the "^C" */
        fputc('\n', stderr);
    return fail_with(EXIT_INTERRUPTED, ERROR_INTERNAL, "interrupted", NULL, "%s", name);
}

int file_transfer(struct ctl *ctl, struct call call, const char *name, cJSON **ret_end)
{
    struct progress progress;
    bool last = false, is_told = false;
    int r;

    interrupt_catch();
    progress_init(&progress, ctl, name);
    r = client_start(ctl, call);
    while (r == 0 && !last) {
        _cleanup_json_ cJSON *object = NULL;
        r = client_next(ctl, &object, &last);
        if (r == 0 && object)
            tell_resumed(ctl, name, object,
                         json_number(object, last ? "size_bytes" : "total_bytes", 0), &is_told);
        if (r == 0 && last)
            *ret_end = TAKE_PTR(object);
        if (r != 0 || last)
            continue;
        progress_skip(&progress, json_number(object, "resumed_bytes", 0));
        file_show_progress(&progress, object, 0, json_number(object, "total_bytes", 0));
    }
    progress_wipe(&progress);
    return r == CLIENT_INTERRUPTED ? file_fail_interrupted(ctl, name) : r;
}

const char *file_kept_word(const struct ctl *ctl)
{
    const char *overwrite = options_get(&ctl->options, "overwrite");

    return overwrite && strcmp(overwrite, "newer") == 0 ? "as new" : "the same there";
}

bool file_tells_kept(const struct ctl *ctl)
{
    const char *overwrite = options_get(&ctl->options, "overwrite");

    return !ctl->globals.quiet &&
           (ctl_is_chatty(ctl) || (overwrite && strcmp(overwrite, "newer") == 0));
}

void file_tell_kept(const struct ctl *ctl, const char *name)
{
    if (!file_tells_kept(ctl))
        return;
    render_text(stderr, name, strlen(name));
    fprintf(stderr, "  is %s, and was kept\n", file_kept_word(ctl));
}

int file_show_end(const struct ctl *ctl, const cJSON *end)
{
    double size = json_number(end, "size_bytes", 0);
    double seconds = json_number(end, "elapsed_ms", 0) / 1000;
    const char *sha256 = json_text(end, "sha256", ""), *name = json_text(end, "name", "?");
    char text[RENDER_TEXT_MAX], rate[RENDER_TEXT_MAX], span[RENDER_TEXT_MAX];

    if (ctl->globals.json != JSON_OFF)
        return render_json(ctl, end, NULL);
    if (cJSON_IsTrue(json_member(end, "kept"))) {
        file_tell_kept(ctl, name);
        return 0;
    }
    if (!ctl_is_chatty(ctl))
        return 0;
    render_text(stderr, name, strlen(name));
    render_size(size, text);
    fprintf(stderr, "  %s of %s  100%%", text, text);
    if (seconds > 0)
        fprintf(stderr, "  %s/s  %s",
                render_size((size - json_number(end, "resumed_bytes", 0)) / seconds, rate),
                render_span(seconds, span));
    fprintf(stderr, "  %s", render_mark(MARK_DONE));
    if (strlen(sha256) == 64)
        fprintf(stderr, " sha256 %.4s%s%.4s", sha256, render_mark(MARK_ELLIPSIS), sha256 + 60);
    fputc('\n', stderr);
    return 0;
}

bool file_may_go_on(int r)
{
    return r != EXIT_INTERRUPTED && r != error_get_exit(ERROR_NOT_RUNNING) &&
           r != error_get_exit(ERROR_UNREACHABLE) && r != error_get_exit(ERROR_NOT_PERMITTED);
}

int file_check_name(const char *name)
{
    if (text_is_file_name(name))
        return 0;
    return fail_usage(
        "\"%s\" is no name for a stored file: 1 to 255 bytes of printable UTF-8, no \"/\", "
        "not starting with \"-\", and nothing that cannot be seen",
        name);
}

int file_check_rate(const struct options *options)
{
    const char *text = options_get(options, "rate");
    uint64_t rate;

    if (!text)
        return 0;
    if (text_parse_size(text, &rate) != 0)
        return fail_usage("--rate is bytes per second, such as 5MiB, not \"%s\"", text);
    if (rate > 0 && rate < FILE_RATE_MIN)
        return fail_usage("--rate is at least 1KiB per second, not \"%s\"", text);
    return 0;
}

int file_check_overwrite(const struct options *options)
{
    const char *text = options_get(options, "overwrite");

    if (!text || strcmp(text, "never") == 0 || strcmp(text, "newer") == 0 ||
        strcmp(text, "always") == 0)
        return 0;
    return fail_usage("--overwrite is never, newer or always, not \"%s\"", text);
}

bool file_is_glob(const char *text)
{
    return strpbrk(text, "*?[") != NULL;
}
