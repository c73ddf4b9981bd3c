/* SPDX-License-Identifier: MIT */
#include "textfile.h"

#include <string.h>
#include "base/log.h"
#include "base/replace.h"
#include "control/service/metrics.h"
#include "node.h"

#define MODE_ALL_READ 0644
#define ACCURACY_USEC (250 * USEC_PER_MSEC)
#define FIRST_USEC    USEC_PER_SEC /* after the start, or after a reload */

struct textfile {
    struct node *node; /* borrowed */
    sd_event_source *timer;
    bool is_writing;
    int error; /* of the last time, which was told; 0 = none */
};

/* One text on its way to the disk. */
struct writing {
    struct textfile *textfile; /* borrowed: it goes after the worker */
    char *path;                /* owned */
    char *text;                /* owned */
    size_t size;
    int r;
};

static void writing_free(struct writing *writing)
{
    free(writing->path);
    free(writing->text);
    free(writing);
}

static void run(void *data)
{
    struct writing *writing = data;

    writing->r = replace_file(writing->path, writing->text, writing->size, MODE_ALL_READ);
}

static void done(void *data)
{
    struct writing *writing = data;
    struct textfile *textfile = writing->textfile;

    textfile->is_writing = false;
    if (writing->r < 0 && textfile->error == 0)
        log_warning_errno(writing->r, "Cannot write %s (metrics.textfile): %m", writing->path);
    textfile->error = -writing->r;
    writing_free(writing);
}

static void write_now(struct textfile *textfile)
{
    struct node *node = textfile->node;
    struct writing *writing = calloc(1, sizeof(*writing));

    if (!writing)
        return;
    writing->textfile = textfile;
    writing->path = strdup(node->config->metrics.textfile);
    if (!writing->path || metrics_format(node, &writing->text, &writing->size) < 0 ||
        worker_submit(node->worker, WORKER_FILES, run, done, writing) < 0) {
        writing_free(writing);
        return;
    }
    textfile->is_writing = true;
}

static int on_timer(sd_event_source *source, uint64_t usec _unused_, void *data)
{
    struct textfile *textfile = data;
    const struct config_metrics *config = &textfile->node->config->metrics;

    if (!textfile->is_writing)
        write_now(textfile);
    (void)sd_event_source_set_time_relative(source, config->interval_usec);
    (void)sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
    return 0;
}

void textfile_reload(struct textfile *textfile)
{
    bool is_wanted = *textfile->node->config->metrics.textfile;

    textfile->error = 0;
    (void)sd_event_source_set_time_relative(textfile->timer, FIRST_USEC);
    (void)sd_event_source_set_enabled(textfile->timer, is_wanted ? SD_EVENT_ONESHOT : SD_EVENT_OFF);
}

int textfile_get_error(const struct textfile *textfile)
{
    return textfile->error;
}

int textfile_new(struct node *node, struct textfile **ret)
{
    _cleanup_(textfile_freep) struct textfile *textfile = calloc(1, sizeof(*textfile));
    int r;

    if (!textfile)
        return -ENOMEM;
    textfile->node = node;
    r = sd_event_add_time_relative(node->event, &textfile->timer, CLOCK_MONOTONIC, FIRST_USEC,
                                   ACCURACY_USEC, on_timer, textfile);
    if (r < 0)
        return r;
    (void)sd_event_source_set_description(textfile->timer, "metrics-textfile");
    (void)sd_event_source_set_priority(textfile->timer, SD_EVENT_PRIORITY_IDLE);
    textfile_reload(textfile);
    *ret = TAKE_PTR(textfile);
    return 0;
}

struct textfile *textfile_free(struct textfile *textfile)
{
    if (!textfile)
        return NULL;
    sd_event_source_disable_unref(textfile->timer);
    free(textfile);
    return NULL;
}
