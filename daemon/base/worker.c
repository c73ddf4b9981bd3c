/* SPDX-License-Identifier: MIT */
#include "base/worker.h"

#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include "base/list.h"
#include "base/macro.h"

#define FILES_NICE        5 /* a third of the weight of the loop, and of everybody else */
#define THREAD_STACK_SIZE ((size_t)256 * 1024)

struct job {
    struct list link;
    worker_run_t run;
    worker_done_t done;
    void *data;     /* borrowed between submit and done */
    bool is_posted; /* it runs in the loop */
};

struct lane {
    struct worker *worker;
    pthread_cond_t wanted;
    struct list queue;
    size_t queued;
    size_t idle;
    size_t threads_count;
    size_t threads_max;
    pthread_t *threads; /* owned, threads_max of them */
};

struct worker {
    pthread_mutex_t mutex; /* guards all below but fd */
    struct lane lanes[_WORKER_LANE_MAX];
    struct list finished;
    size_t queue_max;
    bool stopping;
    int fd;
};

static void *serve(void *argument)
{
    struct lane *lane = argument;
    struct worker *worker = lane->worker;

    /* On Linux this is for the calling thread, and for those that it starts. */
    if (lane == &worker->lanes[WORKER_FILES])
        (void)!nice(FILES_NICE);
    pthread_mutex_lock(&worker->mutex);
    for (;;) {
        while (list_is_empty(&lane->queue) && !worker->stopping) {
            lane->idle++;
            pthread_cond_wait(&lane->wanted, &worker->mutex);
            lane->idle--;
        }
        if (worker->stopping)
            break;
        struct job *job = list_first(&lane->queue, struct job, link);
        list_remove(&job->link);
        lane->queued--;
        pthread_mutex_unlock(&worker->mutex);
        job->run(job->data);
        pthread_mutex_lock(&worker->mutex);
        const bool is_first = list_is_empty(&worker->finished);
        list_append(&worker->finished, &job->link);
        if (!is_first)
            continue;
        /* Whom this wakes wants the mutex at once. */
        pthread_mutex_unlock(&worker->mutex);
        (void)eventfd_write(worker->fd, 1);
        pthread_mutex_lock(&worker->mutex);
    }
    pthread_mutex_unlock(&worker->mutex);
    return NULL;
}

static int start_thread(struct lane *lane)
{
    pthread_attr_t attributes;
    sigset_t all, before;

    sigfillset(&all);
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, THREAD_STACK_SIZE);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int r = pthread_create(&lane->threads[lane->threads_count], &attributes, serve, lane);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    if (r == 0)
        lane->threads_count++;
    return -r;
}

int worker_new(size_t files_threads, size_t queue_max, struct worker **ret)
{
    _cleanup_(worker_freep) struct worker *worker = calloc(1, sizeof(*worker));

    if (!worker)
        return -ENOMEM;
    worker->fd = -EBADF;
    worker->queue_max = queue_max;
    pthread_mutex_init(&worker->mutex, NULL);
    list_init(&worker->finished);
    for (size_t i = 0; i < _WORKER_LANE_MAX; i++) {
        struct lane *lane = &worker->lanes[i];
        *lane =
            (struct lane){.worker = worker, .threads_max = i == WORKER_FILES ? files_threads : 1};
        list_init(&lane->queue);
        pthread_cond_init(&lane->wanted, NULL);
        lane->threads = calloc(lane->threads_max, sizeof(*lane->threads));
    }
    for (size_t i = 0; i < _WORKER_LANE_MAX; i++)
        if (!worker->lanes[i].threads)
            return -ENOMEM;
    worker->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (worker->fd < 0)
        return -errno;
    *ret = TAKE_PTR(worker);
    return 0;
}

static void finish(struct list *jobs)
{
    list_for_each_safe (link, jobs) {
        struct job *job = list_entry(link, struct job, link);
        list_remove(link);
        job->done(job->data);
        free(job);
    }
}

struct worker *worker_free(struct worker *worker)
{
    if (!worker)
        return NULL;
    pthread_mutex_lock(&worker->mutex);
    worker->stopping = true;
    for (size_t i = 0; i < _WORKER_LANE_MAX; i++)
        pthread_cond_broadcast(&worker->lanes[i].wanted);
    pthread_mutex_unlock(&worker->mutex);
    for (size_t i = 0; i < _WORKER_LANE_MAX; i++)
        for (size_t j = 0; j < worker->lanes[i].threads_count; j++)
            pthread_join(worker->lanes[i].threads[j], NULL);
    finish(&worker->finished);
    for (size_t i = 0; i < _WORKER_LANE_MAX; i++) {
        finish(&worker->lanes[i].queue);
        pthread_cond_destroy(&worker->lanes[i].wanted);
        free(worker->lanes[i].threads);
    }
    pthread_mutex_destroy(&worker->mutex);
    close_fd(worker->fd);
    free(worker);
    return NULL;
}

int worker_set_files_threads(struct worker *worker, size_t files_threads)
{
    struct lane *lane = &worker->lanes[WORKER_FILES];
    int r = 0;

    pthread_mutex_lock(&worker->mutex);
    size_t room = MAX(files_threads, lane->threads_count);
    pthread_t *threads = reallocarray(lane->threads, room, sizeof(*threads));
    if (threads) {
        lane->threads = threads;
        lane->threads_max = files_threads;
    } else {
        r = -ENOMEM;
    }
    pthread_mutex_unlock(&worker->mutex);
    return r;
}

int worker_get_fd(const struct worker *worker)
{
    return worker->fd;
}

int worker_submit(struct worker *worker, enum worker_lane lane_index, worker_run_t run,
                  worker_done_t done, void *data)
{
    struct lane *lane = &worker->lanes[lane_index];
    struct job *job = malloc(sizeof(*job));
    int r = 0;

    if (!job)
        return -ENOMEM;
    *job = (struct job){.run = run, .done = done, .data = data};
    pthread_mutex_lock(&worker->mutex);
    if (worker->stopping)
        r = -ECANCELED;
    else if (lane->queued >= worker->queue_max)
        r = -EBUSY;
    else if (lane->idle <= lane->queued && lane->threads_count < lane->threads_max)
        r = start_thread(lane);
    /* Without a new thread the job still runs, later, if there is any thread at all. */
    if (r == -EAGAIN && lane->threads_count > 0)
        r = 0;
    if (r == 0) {
        list_append(&lane->queue, &job->link);
        lane->queued++;
    }
    pthread_mutex_unlock(&worker->mutex);
    if (r < 0)
        free(job);
    else
        pthread_cond_signal(&lane->wanted);
    return r;
}

int worker_post(struct worker *worker, worker_run_t run, worker_done_t done, void *data)
{
    struct job *job = malloc(sizeof(*job));
    bool is_stopping;

    if (!job)
        return -ENOMEM;
    *job = (struct job){.run = run, .done = done, .data = data, .is_posted = true};
    pthread_mutex_lock(&worker->mutex);
    is_stopping = worker->stopping;
    if (!is_stopping) {
        list_append(&worker->finished, &job->link);
        (void)eventfd_write(worker->fd, 1);
    }
    pthread_mutex_unlock(&worker->mutex);
    if (is_stopping)
        free(job);
    return is_stopping ? -ECANCELED : 0;
}

void worker_dispatch(struct worker *worker)
{
    struct list finished;
    eventfd_t count;

    (void)eventfd_read(worker->fd, &count);
    list_init(&finished);
    pthread_mutex_lock(&worker->mutex);
    list_for_each_safe (link, &worker->finished) {
        list_remove(link);
        list_append(&finished, link);
    }
    pthread_mutex_unlock(&worker->mutex);
    list_for_each (link, &finished) {
        struct job *job = list_entry(link, struct job, link);
        if (job->is_posted)
            job->run(job->data);
    }
    finish(&finished);
}
