/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>
#include "client.h"
#include "console/failure.h"
#include "data/file.h"
#include "interrupt.h"
#include "console/render.h"

/* What `file put` and `file get` of many small files go over, and what they show. */

#define SHOWN_MAX 20 /* of more files only the sum is told */

static int show_json(const struct ctl *ctl, const char *schema, const cJSON *end, const cJSON *item,
                     const char *owner, const char *sha256)
{
    _cleanup_json_ cJSON *json = cJSON_CreateObject();

    json_add_string(json, "type", "end");
    json_add_string(json, "schema", schema);
    json_add_string(json, "name", json_text(item, "name", ""));
    json_add_string(json, "node", json_text(end, "node", ""));
    json_add_u64(json, "size_bytes", (uint64_t)json_number(item, "size_bytes", 0));
    json_add_string(json, "sha256", sha256);
    json_add_string(json, "owner", owner);
    json_add_string(json, "modified", json_text(item, "modified", NULL));
    json_add_bool(json, "executable", cJSON_IsTrue(json_member(item, "executable")));
    if (json_is_set(item, "mode"))
        json_add_u64(json, "mode", (uint64_t)json_number(item, "mode", 0));
    json_add_bool(json, "kept", sha256 == NULL);
    json_add_u64(json, "resumed_bytes", 0);
    json_add_double(json, "elapsed_ms", json_number(end, "elapsed_ms", 0));
    return render_json(ctl, json, NULL);
}

static void show_line(const struct ctl *ctl, const cJSON *item, const char *sha256)
{
    const char *name = json_text(item, "name", "");
    char text[RENDER_TEXT_MAX];

    if (!sha256) {
        file_tell_kept(ctl, name);
        return;
    }
    render_text(stderr, name, strlen(name));
    fprintf(stderr, "  %s  %s sha256 %.4s%s%.4s\n",
            render_size(json_number(item, "size_bytes", 0), text), render_mark(MARK_DONE), sha256,
            render_mark(MARK_ELLIPSIS), sha256 + MIN(strlen(sha256), (size_t)60));
}

int file_show_one(const struct ctl *ctl, struct file_sum *sum, const char *schema, const cJSON *end,
                  const cJSON *item, const char *owner, const char *sha256)
{
    if (sha256) {
        sum->moved++;
        sum->bytes += (uint64_t)json_number(item, "size_bytes", 0);
    } else {
        sum->kept++;
    }
    if (ctl->globals.json != JSON_OFF)
        return show_json(ctl, schema, end, item, owner, sha256);
    if (sum->count <= SHOWN_MAX && (ctl_is_chatty(ctl) || !sha256))
        show_line(ctl, item, sha256);
    return 0;
}

bool file_is_brief(const struct ctl *ctl, const struct file_sum *sum)
{
    return sum->count > SHOWN_MAX && ctl->globals.json == JSON_OFF;
}

static void show_sum(const struct ctl *ctl, const struct file_sum *sum, double seconds)
{
    char text[RENDER_TEXT_MAX], rate[RENDER_TEXT_MAX], span[RENDER_TEXT_MAX];
    double size = (double)sum->bytes;

    if (!file_is_brief(ctl, sum))
        return;
    if (ctl_is_chatty(ctl))
        fprintf(stderr, "%zu files  %s  %s/s  %s  %s\n", sum->moved, render_size(size, text),
                render_size(seconds > 0 ? size / seconds : 0, rate), render_span(seconds, span),
                render_mark(MARK_DONE));
    if (sum->kept > 0 && file_tells_kept(ctl))
        fprintf(stderr, "%zu files are %s, and were kept\n", sum->kept, file_kept_word(ctl));
}

void file_note(struct file_sum *sum, int r)
{
    sum->failure = sum->failure ? sum->failure : r;
}

void file_begin_many(const struct ctl *ctl, struct file_sum *sum, struct progress *progress)
{
    snprintf(sum->name, sizeof(sum->name), "%zu files", sum->count);
    interrupt_catch_end();
    progress_init(progress, ctl, sum->name);
}

int file_end_many(const struct ctl *ctl, const struct file_sum *sum,
                  const struct progress *progress, int r)
{
    if (r == CLIENT_INTERRUPTED)
        return file_fail_interrupted(ctl, sum->name);
    if (r == 0)
        show_sum(ctl, sum, progress_elapsed(progress));
    return r != 0 ? r : sum->failure;
}

/* --- Packs --- */

void file_lanes_init(struct file_lanes *lanes, struct ctl *ctl, bool is_parallel)
{
    /* Each transfer keeps the rate by itself. */
    *lanes = (struct file_lanes){.ctl = ctl,
                                 .other = *ctl,
                                 .is_parallel = is_parallel && !options_get(&ctl->options, "rate")};
    lanes->other.client = NULL;
}

static bool is_refusal(enum error_code code)
{
    return code == ERROR_BUSY;
}

int file_lanes_open(struct file_lanes *lanes)
{
    _cleanup_json_ cJSON *answer = NULL;

    if (!lanes->is_parallel || lanes->other.client)
        return 0;
    int r = client_call(&lanes->other,
                        (struct call){"org.varlink.service.GetInfo", NULL, -1, false, is_refusal},
                        &answer);
    lanes->is_parallel = answer != NULL;
    return r;
}

struct ctl *file_lanes_next(struct file_lanes *lanes)
{
    return lanes->is_parallel && lanes->sent++ % FILE_LANES_MAX > 0 ? &lanes->other : lanes->ctl;
}

void file_lanes_done(struct file_lanes *lanes)
{
    lanes->other.client = client_free(lanes->other.client);
}

size_t file_pack_count(size_t left, size_t max)
{
    return MIN(left, MIN(max, MAX((size_t)FILE_PACK_FIRST, left / FILE_LANES_MAX)));
}
