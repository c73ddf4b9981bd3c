/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/resource.h>
#include "base/log.h"
#include "base/worker.h"

/* A gate that a job waits at until the test opens it. */
struct gate {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool is_open;
    int waiting;
};

static struct gate gate = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false, 0};

static void set_gate(bool is_open)
{
    pthread_mutex_lock(&gate.lock);
    gate.is_open = is_open;
    pthread_cond_broadcast(&gate.changed);
    pthread_mutex_unlock(&gate.lock);
}

static void wait_at_gate(void)
{
    pthread_mutex_lock(&gate.lock);
    gate.waiting++;
    pthread_cond_broadcast(&gate.changed);
    while (!gate.is_open)
        pthread_cond_wait(&gate.changed, &gate.lock);
    gate.waiting--;
    pthread_mutex_unlock(&gate.lock);
}

static void wait_for_waiting(int count)
{
    pthread_mutex_lock(&gate.lock);
    while (gate.waiting < count)
        pthread_cond_wait(&gate.changed, &gate.lock);
    pthread_mutex_unlock(&gate.lock);
}

struct job {
    int number;
    pthread_t thread;
    bool has_run, is_done;
};

static int order[64];
static atomic_int order_count;
static int done_order[64], done_count;

static void run_job(void *data)
{
    struct job *job = data;

    job->thread = pthread_self();
    job->has_run = true;
    order[atomic_fetch_add(&order_count, 1)] = job->number;
}

static void run_job_at_gate(void *data)
{
    wait_at_gate();
    run_job(data);
}

static void on_done(void *data)
{
    struct job *job = data;

    job->is_done = true;
    done_order[done_count++] = job->number;
}

static struct worker *begin(size_t files_threads, size_t queue_max)
{
    struct worker *worker = NULL;

    atomic_store(&order_count, 0);
    done_count = 0;
    set_gate(false);
    assert_int_equal(worker_new(files_threads, queue_max, &worker), 0);
    return worker;
}

static void dispatch_until(struct worker *worker, int count)
{
    struct pollfd fd = {.fd = worker_get_fd(worker), .events = POLLIN};

    while (done_count < count) {
        assert_int_equal(poll(&fd, 1, 10000), 1);
        worker_dispatch(worker);
    }
}

static void a_job_runs_elsewhere_and_comes_back_here(void **state _unused_)
{
    _cleanup_(worker_freep) struct worker *worker = begin(1, 8);
    struct job job = {.number = 1};

    assert_int_equal(worker_submit(worker, WORKER_FILES, run_job, on_done, &job), 0);
    dispatch_until(worker, 1);
    assert_true(job.has_run && job.is_done);
    assert_false(pthread_equal(job.thread, pthread_self()));
}

static void a_posted_job_runs_here_at_the_next_turn(void **state _unused_)
{
    struct worker *worker = begin(1, 8);
    struct job first = {.number = 1}, second = {.number = 2}, late = {.number = 3};

    assert_int_equal(worker_post(worker, run_job, on_done, &first), 0);
    assert_int_equal(worker_post(worker, run_job, on_done, &second), 0);
    assert_false(first.has_run || first.is_done);
    dispatch_until(worker, 2);
    assert_true(first.has_run && second.has_run);
    assert_true(pthread_equal(first.thread, pthread_self()));
    assert_int_equal(done_order[0], 1);
    assert_int_equal(done_order[1], 2);
    assert_int_equal(worker_post(worker, run_job, on_done, &late), 0);
    worker_free(worker);
    assert_true(late.is_done);
    assert_false(late.has_run);
}

static void commits_run_in_their_order(void **state _unused_)
{
    _cleanup_(worker_freep) struct worker *worker = begin(4, 64);
    struct job jobs[50] = {{0}};

    for (int i = 0; i < 50; i++) {
        jobs[i].number = i;
        assert_int_equal(worker_submit(worker, WORKER_COMMITS, run_job, on_done, &jobs[i]), 0);
    }
    dispatch_until(worker, 50);
    for (int i = 0; i < 50; i++) {
        assert_int_equal(order[i], i);
        assert_int_equal(done_order[i], i);
    }
}

static void a_slow_file_delays_no_commit_and_no_name(void **state _unused_)
{
    _cleanup_(worker_freep) struct worker *worker = begin(1, 8);
    struct job slow = {.number = 1}, commit = {.number = 2}, name = {.number = 3};

    assert_int_equal(worker_submit(worker, WORKER_FILES, run_job_at_gate, on_done, &slow), 0);
    wait_for_waiting(1);
    assert_int_equal(worker_submit(worker, WORKER_COMMITS, run_job, on_done, &commit), 0);
    assert_int_equal(worker_submit(worker, WORKER_NAMES, run_job, on_done, &name), 0);
    dispatch_until(worker, 2);
    assert_true(commit.is_done && name.is_done);
    assert_false(slow.is_done);
    set_gate(true);
    dispatch_until(worker, 3);
}

static void note_niceness(void *data)
{
    struct job *job = data;

    job->number = getpriority(PRIO_PROCESS, 0);
}

static void who_moves_files_is_nicer_than_the_loop(void **state _unused_)
{
    _cleanup_(worker_freep) struct worker *worker = begin(1, 8);
    struct job file = {0}, commit = {0}, name = {0};
    int own = getpriority(PRIO_PROCESS, 0);

    assert_int_equal(worker_submit(worker, WORKER_FILES, note_niceness, on_done, &file), 0);
    assert_int_equal(worker_submit(worker, WORKER_COMMITS, note_niceness, on_done, &commit), 0);
    assert_int_equal(worker_submit(worker, WORKER_NAMES, note_niceness, on_done, &name), 0);
    dispatch_until(worker, 3);
    assert_int_equal(file.number, MIN(own + 5, 19));
    assert_int_equal(commit.number, own);
    assert_int_equal(name.number, own);
    assert_int_equal(getpriority(PRIO_PROCESS, 0), own);
}

static void files_run_side_by_side_up_to_their_threads(void **state _unused_)
{
    _cleanup_(worker_freep) struct worker *worker = begin(3, 8);
    struct job jobs[3] = {{0}};

    for (int i = 0; i < 3; i++)
        assert_int_equal(worker_submit(worker, WORKER_FILES, run_job_at_gate, on_done, &jobs[i]),
                         0);
    wait_for_waiting(3);
    set_gate(true);
    dispatch_until(worker, 3);
}

static void a_full_queue_is_told(void **state _unused_)
{
    _cleanup_(worker_freep) struct worker *worker = begin(1, 2);
    struct job jobs[4] = {{0}};

    assert_int_equal(worker_submit(worker, WORKER_COMMITS, run_job_at_gate, on_done, &jobs[0]), 0);
    wait_for_waiting(1);
    assert_int_equal(worker_submit(worker, WORKER_COMMITS, run_job, on_done, &jobs[1]), 0);
    assert_int_equal(worker_submit(worker, WORKER_COMMITS, run_job, on_done, &jobs[2]), 0);
    assert_int_equal(worker_submit(worker, WORKER_COMMITS, run_job, on_done, &jobs[3]), -EBUSY);
    set_gate(true);
    dispatch_until(worker, 3);
    assert_false(jobs[3].has_run);
}

static void the_end_waits_for_what_runs_and_drops_what_waits(void **state _unused_)
{
    struct worker *worker = begin(1, 8);
    struct job running = {.number = 1}, waiting = {.number = 2};

    assert_int_equal(worker_submit(worker, WORKER_COMMITS, run_job_at_gate, on_done, &running), 0);
    wait_for_waiting(1);
    assert_int_equal(worker_submit(worker, WORKER_COMMITS, run_job_at_gate, on_done, &waiting), 0);
    set_gate(true);
    assert_null(worker_free(worker));
    assert_true(running.has_run && running.is_done);
    assert_true(waiting.is_done);
    assert_null(worker_free(NULL));
}

static char logged[256];
static int logged_level;

static void on_log(int level, const char *text, void *data _unused_)
{
    logged_level = level;
    snprintf(logged, sizeof(logged), "%s", text);
}

static void a_log_line_has_a_level_and_keeps_errno(void **state _unused_)
{
    log_set_sink(on_log, NULL);
    log_set_level(LOG_INFO);
    errno = EPIPE;
    log_info("%d of %s", 3, "x");
    assert_string_equal(logged, "3 of x");
    assert_int_equal(logged_level, LOG_INFO);
    log_debug("not this");
    assert_string_equal(logged, "3 of x");
    assert_int_equal(log_error_errno(-ENOENT, "open: %m"), -ENOENT);
    assert_string_equal(logged, "open: No such file or directory");
    assert_int_equal(errno, EPIPE);
    assert_int_equal(log_debug_errno(-EIO, "no"), -EIO);
    log_set_sink(NULL, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_job_runs_elsewhere_and_comes_back_here),
        cmocka_unit_test(a_posted_job_runs_here_at_the_next_turn),
        cmocka_unit_test(commits_run_in_their_order),
        cmocka_unit_test(a_slow_file_delays_no_commit_and_no_name),
        cmocka_unit_test(who_moves_files_is_nicer_than_the_loop),
        cmocka_unit_test(files_run_side_by_side_up_to_their_threads),
        cmocka_unit_test(a_full_queue_is_told),
        cmocka_unit_test(the_end_waits_for_what_runs_and_drops_what_waits),
        cmocka_unit_test(a_log_line_has_a_level_and_keeps_errno),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
