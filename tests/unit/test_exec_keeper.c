/* SPDX-License-Identifier: MIT */

/* Keepers: processes that hold one task after another, and what may pass from one to the next. */

#include "exec_fixture.h"
#include "exec/spares.h"

/*
 * Runs @script, then @next until a keeper that held the one before has held the other. Return: of
 * that run. Where keepers are free again too late, as on a busy machine, two of them take turns: so
 * both have @script first.
 */
static const struct collected *run_after(struct fixture *fixture, const char *script,
                                         const char *next)
{
    const usec_t deadline = fixture_now() + FIXTURE_DEADLINE_USEC;
    const struct collected *task;
    pid_t keepers[2];

    need_level(fixture);
    do {
        assert_true(fixture_now() < deadline);
        for (size_t i = 0; i < ARRAY_SIZE(keepers); i++) {
            task = run_shell(fixture, script);
            keepers[i] = task->pid;
            assert_int_equal(task->status.error, 0);
        }
        task = run_shell(fixture, next);
    } while (task->pid != keepers[0] && task->pid != keepers[1]);
    return task;
}

static void keeper_holds_one_task_after_another(void **state)
{
    const struct collected *task = run_after(*state, "exit 3", "echo again; exit 4");

    assert_int_equal(task->status.code, 4);
    assert_string_equal(text_of(task, EXEC_STDOUT), "again\n");
}

static void next_task_finds_nothing_of_the_last(void **state)
{
    const struct collected *task = run_after(
        *state,
        "echo x > kept; mkdir -p a/b; chmod 0 a; echo x > $TMPDIR/kept; umask 0777; ulimit -n 9;"
        "cd /; export LEFT=1; trap '' TERM;"
        "setsid sh -c 'trap \"\" HUP TERM; exec sleep 1000.31' & exit 0",
        "ls -A . $TMPDIR | grep -v ':$' | grep .; umask; echo ${LEFT-none}; trap; ulimit -n;"
        "for i in 3 4 5 6 7 8 9; do (: >&$i) 2> /dev/null && echo open $i; done; exit 0");

    assert_string_equal(text_of(task, EXEC_STDERR), "");
    assert_string_equal(text_of(task, EXEC_STDOUT), "0022\nnone\n1024\n");
    assert_int_equal(count_processes("1000.31"), 0);
}

static void namespaces_of_the_next_task_are_new(void **state)
{
    const struct collected *task =
        run_after(*state,
                  "ipcmk -M 4096 > /dev/null; echo x > /tmp/kept; echo x > /dev/shm/kept;"
                  "for i in 1 2 3 4 5 6 7 8 9; do true & done; exit 0",
                  "cd /; echo *; echo tmp/* task/* dev/shm/*; set -- proc/[0-9]*; echo $# $$;"
                  "ipcs -m | grep -c 0x; cat /proc/net/dev | grep -c :");

    assert_string_equal(text_of(task, EXEC_STDERR), "");
    assert_string_equal(text_of(task, EXEC_STDOUT), "bin dev etc lib lib64 proc task tmp usr\n"
                                                    "tmp/* task/* dev/shm/*\n"
                                                    "2 2\n0\n1\n");
}

static void resources_are_those_of_one_task(void **state)
{
    struct fixture *fixture = *state;
    const struct collected *task =
        run_after(fixture, "i=0; while [ $i -lt 300000 ]; do i=$((i + 1)); done", "exit 0");

    /* The first task took many times as long as what starts and ends a shell. */
    assert_true(task->status.user_usec < 100 * USEC_PER_MSEC);
}

static void many_tasks_at_once_have_keepers_each(void **state)
{
    struct fixture *fixture = *state;
    const uint64_t count = 12;

    need_level(fixture);
    for (unsigned round = 0; round < 3; round++) {
        for (uint64_t i = 1; i <= count; i++)
            start_shell(fixture, i, "read line; echo done", PLAIN_TASK);
        for (uint64_t i = 1; i <= count; i++) {
            WAIT_FOR(fixture, fixture->tasks[i].has_ended);
            assert_int_equal(fixture->tasks[i].status.error, 0);
            assert_string_equal(text_of(&fixture->tasks[i], EXEC_STDOUT), "done\n");
        }
    }
    fixture->exec = exec_free(fixture->exec);
    assert_int_equal(count_entries(fixture->work_root), 0);
}

static bool is_gone(pid_t pid)
{
    return kill(pid, 0) < 0 && errno == ESRCH;
}

static void killed_keeper_is_replaced(void **state)
{
    struct fixture *fixture = *state;

    for (unsigned i = 0; i < 3; i++) {
        pid_t keeper = run_after(fixture, "exit 0", "exit 0")->pid;
        assert_int_equal(kill(keeper, SIGKILL), 0);
        WAIT_FOR(fixture, is_gone(keeper));
        assert_int_equal(run_shell(fixture, "exit 7")->status.code, 7);
    }
}

static void task_of_a_killed_keeper_ends_too(void **state)
{
    struct fixture *fixture = *state;

    (void)run_after(fixture, "exit 0", "exit 0");
    start_shell(fixture, 1, "setsid sleep 1000.32 & echo ready; exec sleep 1000.32", PLAIN_TASK);
    WAIT_FOR(fixture, fixture->tasks[1].sizes[EXEC_STDOUT] > 0 && fixture->tasks[1].has_started);
    assert_int_equal(kill(fixture->tasks[1].pid, SIGKILL), 0);
    WAIT_FOR(fixture, fixture->tasks[1].has_ended);
    assert_int_equal(fixture->tasks[1].status.error, -ECONNRESET);
    WAIT_FOR(fixture, count_processes("1000.32") == 0);
    assert_int_equal(run_shell(fixture, "exit 7")->status.code, 7);
}

static void orders_reach_the_task_of_a_used_keeper(void **state)
{
    struct fixture *fixture = *state;
    struct exec_task task = PLAIN_TASK;

    (void)run_after(fixture, "exit 0", "exit 0");
    start_shell(fixture, 1, "echo ready; exec sleep 1000.33", task);
    WAIT_FOR(fixture, fixture->tasks[1].sizes[EXEC_STDOUT] > 0);
    /* The second comes too late, and is not to meet the next task. */
    assert_int_equal(exec_signal(fixture->exec, 1, SIGTERM, USEC_INFINITY), 0);
    (void)exec_signal(fixture->exec, 1, SIGTERM, USEC_INFINITY);
    WAIT_FOR(fixture, fixture->tasks[1].has_ended);
    assert_int_equal(fixture->tasks[1].status.signal, SIGTERM);
    assert_int_equal(run_after(fixture, "exit 0", "exit 5")->status.code, 5);
    task.limits.timeout_usec = 50 * USEC_PER_MSEC;
    task.limits.grace_usec = USEC_PER_SEC;
    start_shell(fixture, 2, "exec sleep 1000.33", task);
    WAIT_FOR(fixture, fixture->tasks[2].has_ended);
    assert_true(fixture->tasks[2].status.timed_out);
    assert_false(run_after(fixture, "exit 0", "exit 5")->status.timed_out);
}

#define SHADOW_PAGES (1UL << 30) /* of an address sanitizer, which keeps what was freed */

/* Pages of its heap and stacks. */
static unsigned long get_data_pages(pid_t pid)
{
    unsigned long values[6] = {0};
    char number[16], line[256], *end = line;

    snprintf(number, sizeof(number), "%d", (int)pid);
    assert_true(read_process(number, "statm", line, sizeof(line)) > 0);
    for (size_t i = 0; i < ARRAY_SIZE(values); i++)
        values[i] = strtoul(end, &end, 10);
    return values[0] < SHADOW_PAGES ? values[5] : 0;
}

/* Supervisors of commands run in it, one after another, and leave no memory behind: there are 15 of
 * them during which it has as much as before. */
static void memory_of_a_keeper_does_not_grow(void **state)
{
    const usec_t end_usec = fixture_now() + FIXTURE_DEADLINE_USEC;
    const char *const script = "mkdir -p a/b; echo x > a/b/c; echo said";
    const char *const outs[] = {"a/b/c", NULL};
    struct fixture *fixture = *state;
    struct exec_task task = PLAIN_TASK;
    unsigned long most = 0;
    unsigned others = 0;
    pid_t keeper = 0;

    need_level(fixture);
    task.outs = outs;
    for (unsigned steady = 0; steady < 15;) {
        assert_true(fixture_now() < end_usec);
        task.results_fd = open(fixture->directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
        start_shell(fixture, 0, script, task);
        WAIT_FOR(fixture, fixture->tasks[0].has_ended);
        close_fd(task.results_fd);
        assert_int_equal(fixture->tasks[0].status.code, 0);
        assert_int_equal(fixture->tasks[0].status.results.count, 1);
        /* One that was free again too late may not be asked again. */
        others = fixture->tasks[0].pid == keeper ? 0 : others + 1;
        if (keeper == 0 || others == 5) {
            keeper = fixture->tasks[0].pid;
            steady = others = 0;
            most = 0;
        }
        if (fixture->tasks[0].pid != keeper)
            continue;
        unsigned long pages = get_data_pages(keeper);
        steady = pages > most ? 0 : steady + 1;
        most = MAX(most, pages);
    }
}

static struct exec_child *last_ended;
static size_t ended_count;

static void on_ended(struct exec_child *child, void *data _unused_)
{
    last_ended = child;
    ended_count++;
}

static void only_so_many_keepers_wait_for_tasks(void **state _unused_)
{
    struct exec_child children[SPARES_MAX + 1];
    _cleanup_(sd_event_unrefp) sd_event *event = NULL;
    struct spares spares;

    assert_true(sd_event_new(&event) >= 0);
    assert_true(spares_init(&spares, event, on_ended, NULL) >= 0);
    ended_count = 0;
    for (size_t i = 0; i < ARRAY_SIZE(children); i++) {
        children[i] = (struct exec_child){.pid = (pid_t)(i + 1), .control = -EBADF};
        list_init(&children[i].link);
        spares_put(&spares, &children[i]);
        assert_int_equal(ended_count, i == SPARES_MAX);
    }
    assert_ptr_equal(last_ended, &children[SPARES_MAX]);
    assert_null(spares_find(&spares, SPARES_MAX + 1));
    assert_ptr_equal(spares_find(&spares, SPARES_MAX), &children[SPARES_MAX - 1]);
    spares_end(&spares);
    assert_int_equal(ended_count, SPARES_MAX + 1);
    assert_null(spares_find(&spares, 1));
    spares_done(&spares);
}

static void new_configuration_has_new_keepers(void **state)
{
    struct fixture *fixture = *state;
    const char *const script = "cat /etc/passwd 2> /dev/null | grep -c :root:";
    const char *read[ARRAY_SIZE(fixture_read) + 1] = {"/etc/passwd"};

    assert_string_equal(text_of(run_after(fixture, script, script), EXEC_STDOUT), "0\n");
    memcpy(read + 1, fixture_read, sizeof(fixture_read));
    fixture->config.read = read;
    assert_int_equal(exec_configure(fixture->exec, &fixture->config), 0);
    WAIT_FOR(fixture, fixture->ready_count == 2);
    for (unsigned i = 0; i < 3; i++)
        assert_string_equal(text_of(run_shell(fixture, script), EXEC_STDOUT), "1\n");
}

static void keepers_end_when_they_are_not_needed(void **state)
{
    struct fixture *fixture = *state;
    pid_t keeper = run_after(fixture, "exit 0", "exit 0")->pid;

    WAIT_FOR(fixture, is_gone(keeper));
    assert_int_equal(run_shell(fixture, "exit 7")->status.code, 7);
}

#define AT(level, test)                                                                            \
    {                                                                                              \
#test "_at_" #level, test, level##_setup, fixture_teardown, NULL                           \
    }
#define AT_ALL(test) AT(none, test), AT(landlock, test), AT(namespaces, test)

int main(void)
{
    const struct CMUnitTest tests[] = {
        AT_ALL(keeper_holds_one_task_after_another),
        AT_ALL(next_task_finds_nothing_of_the_last),
        AT(namespaces, namespaces_of_the_next_task_are_new),
        AT_ALL(resources_are_those_of_one_task),
        AT_ALL(many_tasks_at_once_have_keepers_each),
        AT_ALL(killed_keeper_is_replaced),
        AT_ALL(task_of_a_killed_keeper_ends_too),
        AT_ALL(orders_reach_the_task_of_a_used_keeper),
        AT(none, memory_of_a_keeper_does_not_grow),
        AT(namespaces, memory_of_a_keeper_does_not_grow),
        cmocka_unit_test(only_so_many_keepers_wait_for_tasks),
        AT(landlock, new_configuration_has_new_keepers),
        AT(namespaces, new_configuration_has_new_keepers),
        AT(none, keepers_end_when_they_are_not_needed),
        AT(namespaces, keepers_end_when_they_are_not_needed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
