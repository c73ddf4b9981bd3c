/* SPDX-License-Identifier: MIT */

/* The daemon's end against a real p2pnode-exec: starting, output, signals, ends, losses. */

#include "exec_fixture.h"

#include <sys/mman.h>
#include <sys/wait.h>

static void exit_code_is_told(void **state)
{
    const struct collected *task = run_shell(*state, "exit 7");

    assert_int_equal(task->status.code, 7);
    assert_int_equal(task->status.signal, 0);
    assert_int_equal(task->status.error, 0);
    assert_false(task->status.timed_out);
    assert_true(task->has_started);
    assert_true(task->status.wall_usec > 0);
    assert_true(task->status.memory_peak_bytes > 0);
}

static void killing_signal_is_told(void **state)
{
    const struct collected *task = run_shell(*state, "kill -SEGV $$");

    assert_int_equal(task->status.signal, SIGSEGV);
    assert_int_equal(task->status.code, -1);
}

static void output_larger_than_a_pipe_arrives_whole(void **state)
{
    const struct collected *task =
        run_shell(*state, "seq 1 300000; seq 300000 -1 1 >&2; echo end; echo end >&2");

    assert_int_equal(task->status.code, 0);
    for (size_t i = 0; i < _EXEC_STREAM_MAX; i++) {
        assert_int_equal(task->sizes[i], 1988895 + 4);
        assert_string_equal(task->bytes[i] + task->sizes[i] - 5, "\nend\n");
    }
    assert_memory_equal(task->bytes[EXEC_STDOUT], "1\n2\n", 4);
    assert_memory_equal(task->bytes[EXEC_STDERR], "300000\n", 7);
}

static void binary_output_arrives_unchanged(void **state)
{
    const struct collected *task = run_shell(*state, "printf '\\000\\377\\n\\000'");

    assert_int_equal(task->sizes[EXEC_STDOUT], 4);
    assert_memory_equal(task->bytes[EXEC_STDOUT], "\0\377\n", 4);
}

static void missing_command_exits_127_and_a_file_that_is_none_126(void **state)
{
    struct exec_task task = PLAIN_TASK;
    const char *const missing[] = {"no-such-command", NULL};
    const char *const missing_path[] = {"/usr/bin/no-such-command", NULL};
    const char *const directory[] = {"/usr/bin", NULL};
    const struct collected *ended;

    task.words = missing;
    ended = run_task(*state, 1, &task);
    assert_int_equal(ended->status.code, 127);
    assert_string_equal(text_of(ended, EXEC_STDERR),
                        "p2pnode-exec: no-such-command: command not found\n");
    task.words = missing_path;
    assert_int_equal(run_task(*state, 1, &task)->status.code, 127);
    task.words = directory;
    assert_int_equal(run_task(*state, 1, &task)->status.code, 126);
}

static void command_is_found_by_the_path_of_its_environment(void **state)
{
    const char *const words[] = {"sh", "-c", "exit 3", NULL};
    const char *const environment[] = {"PATH=/nowhere:/usr/bin", NULL};
    struct exec_task task = PLAIN_TASK;

    task.words = words;
    assert_int_equal(run_task(*state, 1, &task)->status.code, 3);
    task.environment = environment;
    assert_int_equal(run_task(*state, 1, &task)->status.code, 3);
}

static void demo_handler_says_its_line(void **state)
{
    const char *const words[] = {EXEC_DEMO, "1", NULL};
    const char *const environment[] = {"P2P_TASK_TYPE=a", "P2P_TASK_NUM=1", NULL};
    struct exec_task task = PLAIN_TASK;

    task.words = words;
    task.environment = environment;
    const struct collected *ended = run_task(*state, 1, &task);
    assert_int_equal(ended->status.code, 0);
    assert_string_equal(text_of(ended, EXEC_STDOUT), "Executing task: a1\n");
}

static void standard_input_is_the_given_one_or_empty(void **state)
{
    struct fixture *fixture = *state;
    struct exec_task task = PLAIN_TASK;
    int fd = memfd_create("input", MFD_CLOEXEC);

    assert_int_equal(write(fd, "hello\n", 6), 6);
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    task.stdin_fd = fd;
    start_shell(fixture, 1, "cat", task);
    WAIT_FOR(fixture, fixture->tasks[1].has_ended);
    assert_string_equal(text_of(&fixture->tasks[1], EXEC_STDOUT), "hello\n");
    close_fd(fd);
    assert_int_equal(run_shell(fixture, "cat")->sizes[EXEC_STDOUT], 0);
}

static void many_tasks_run_at_once(void **state)
{
    struct fixture *fixture = *state;
    unsigned ended = 0;

    for (uint64_t id = 0; id < FIXTURE_TASKS_MAX; id++)
        start_shell(fixture, id, "echo $$; exit 5", PLAIN_TASK);
    for (uint64_t id = 0; id < FIXTURE_TASKS_MAX; id++) {
        WAIT_FOR(fixture, fixture->tasks[id].has_ended);
        ended += fixture->tasks[id].status.code == 5;
        assert_true(fixture->tasks[id].sizes[EXEC_STDOUT] > 1);
    }
    assert_int_equal(ended, FIXTURE_TASKS_MAX);
}

static void terminated_task_ends_by_its_signal(void **state)
{
    struct fixture *fixture = *state;

    start_shell(fixture, 1, "echo ready; exec sleep 1000", PLAIN_TASK);
    WAIT_FOR(fixture, fixture->tasks[1].sizes[EXEC_STDOUT] > 0);
    assert_int_equal(exec_signal(fixture->exec, 1, SIGTERM, USEC_INFINITY), 0);
    WAIT_FOR(fixture, fixture->tasks[1].has_ended);
    assert_int_equal(fixture->tasks[1].status.signal, SIGTERM);
    assert_int_equal(exec_signal(fixture->exec, 1, SIGTERM, USEC_INFINITY), -ESRCH);
}

static void task_that_ignores_termination_is_killed_after_the_grace(void **state)
{
    struct fixture *fixture = *state;

    start_shell(fixture, 1, "trap '' TERM; echo ready; while :; do sleep 1000; done", PLAIN_TASK);
    WAIT_FOR(fixture, fixture->tasks[1].sizes[EXEC_STDOUT] > 0);
    assert_int_equal(exec_signal(fixture->exec, 1, SIGTERM, 20 * USEC_PER_MSEC), 0);
    WAIT_FOR(fixture, fixture->tasks[1].has_ended);
    assert_int_equal(fixture->tasks[1].status.signal, SIGKILL);
    assert_false(fixture->tasks[1].status.timed_out);
}

static void task_is_killed_after_the_grace_though_its_start_is_heard_later(void **state)
{
    struct fixture *fixture = *state;
    struct exec_task task = PLAIN_TASK;

    task.limits.timeout_usec = USEC_PER_SEC;
    start_shell(fixture, 1, "exec sleep 1000", task);
    assert_int_equal(exec_signal(fixture->exec, 1, SIGURG, USEC_PER_SEC / 4), 0);
    WAIT_FOR(fixture, fixture->tasks[1].has_ended);
    assert_int_equal(fixture->tasks[1].status.signal, SIGKILL);
    assert_false(fixture->tasks[1].status.timed_out);
}

static void stopped_task_can_be_terminated(void **state)
{
    struct fixture *fixture = *state;

    start_shell(fixture, 1, "echo ready; kill -STOP $$; echo woken", PLAIN_TASK);
    WAIT_FOR(fixture, fixture->tasks[1].sizes[EXEC_STDOUT] > 0);
    assert_int_equal(exec_signal(fixture->exec, 1, SIGTERM, USEC_INFINITY), 0);
    WAIT_FOR(fixture, fixture->tasks[1].has_ended);
    assert_int_equal(fixture->tasks[1].status.signal, SIGTERM);
}

static void task_over_its_time_is_ended_and_says_so(void **state)
{
    struct fixture *fixture = *state;
    struct exec_task task = PLAIN_TASK;

    task.limits.timeout_usec = 50 * USEC_PER_MSEC;
    task.limits.grace_usec = 5 * USEC_PER_SEC;
    start_shell(fixture, 1, "exec sleep 1000", task);
    /* Time enough for the shell to come to its trap. */
    start_shell(fixture, 2, "trap '' TERM; while :; do sleep 1000; done",
                (struct exec_task){.stdin_fd = -1, .limits = {.timeout_usec = 2 * USEC_PER_SEC}});
    WAIT_FOR(fixture, fixture->tasks[1].has_ended && fixture->tasks[2].has_ended);
    assert_int_equal(fixture->tasks[1].status.signal, SIGTERM);
    assert_true(fixture->tasks[1].status.timed_out);
    assert_int_equal(fixture->tasks[2].status.signal, SIGKILL);
    assert_true(fixture->tasks[2].status.timed_out);
    assert_true(fixture->tasks[1].status.wall_usec >= 50 * USEC_PER_MSEC);
}

static void paused_output_makes_the_task_wait(void **state)
{
    struct fixture *fixture = *state;

    start_shell(fixture, 1, "echo ready; read line; seq 1 300000", PLAIN_TASK);
    assert_int_equal(exec_set_reading(fixture->exec, 1, false), 0);
    WAIT_FOR(fixture, fixture->tasks[1].has_started);
    /* Another task comes and goes, while this one can only fill its pipe. */
    assert_int_equal(run_shell(fixture, "exit 0")->status.code, 0);
    assert_int_equal(fixture->tasks[1].sizes[EXEC_STDOUT], 0);
    assert_false(fixture->tasks[1].has_ended);
    assert_int_equal(exec_set_reading(fixture->exec, 1, true), 0);
    WAIT_FOR(fixture, fixture->tasks[1].has_ended);
    assert_int_equal(fixture->tasks[1].sizes[EXEC_STDOUT], 1988895 + 6);
    assert_int_equal(exec_set_reading(fixture->exec, 1, true), -ESRCH);
}

static void what_does_not_fit_a_message_is_refused_at_once(void **state)
{
    struct fixture *fixture = *state;
    char *large = calloc(1, EXEC_MESSAGE_MAX + 1);
    const char *const none[] = {NULL};
    const char *const words[] = {"echo", "x", NULL};
    const char *const malformed[] = {"echo", "\377", NULL};
    const char *const variables[] = {"NO_VALUE", NULL};
    struct exec_task task = PLAIN_TASK;

    task.words = none;
    assert_int_equal(exec_start(fixture->exec, 1, &task), -EINVAL);
    memset(large, 'x', EXEC_MESSAGE_MAX);
    const char *const long_words[] = {"echo", large, NULL};
    task.words = long_words;
    assert_int_equal(exec_start(fixture->exec, 1, &task), -EMSGSIZE);
    task.words = malformed;
    assert_int_equal(exec_start(fixture->exec, 1, &task), -EINVAL);
    task.words = words;
    task.environment = variables;
    assert_int_equal(exec_start(fixture->exec, 1, &task), -EINVAL);
    task.environment = NULL;
    assert_int_equal(exec_start(fixture->exec, EXEC_ID_MAX + 1, &task), -EINVAL);
    assert_int_equal(exec_start(fixture->exec, 1, &task), 0);
    assert_int_equal(exec_start(fixture->exec, 1, &task), -EEXIST);
    assert_int_equal(exec_signal(fixture->exec, 1, 0, 0), -EINVAL);
    WAIT_FOR(fixture, fixture->tasks[1].has_ended);
    assert_int_equal(fixture->tasks[1].status.code, 0);
    free(large);
}

/* The first child of this process, which is p2pnode-exec. */
static pid_t find_exec(void)
{
    char text[64];
    int fd = open("/proc/thread-self/children", O_RDONLY | O_CLOEXEC);
    ssize_t size = read(fd, text, sizeof(text) - 1);

    close_fd(fd);
    assert_true(size > 0);
    text[size] = '\0';
    return (pid_t)strtol(text, NULL, 10);
}

static void tasks_of_a_killed_exec_are_lost_and_it_is_started_again(void **state)
{
    struct fixture *fixture = *state;

    start_shell(fixture, 1, "echo ready; setsid sleep 1000.01 & exec sleep 1000.01", PLAIN_TASK);
    WAIT_FOR(fixture, fixture->tasks[1].sizes[EXEC_STDOUT] > 0);
    assert_int_equal(kill(find_exec(), SIGKILL), 0);
    WAIT_FOR(fixture, fixture->tasks[1].has_ended);
    assert_int_equal(fixture->tasks[1].status.error, -ECONNRESET);
    assert_false(exec_is_ready(fixture->exec));
    assert_int_equal(exec_get_level(fixture->exec), EXEC_REFUSE);
    assert_non_null(exec_get_missing(fixture->exec)[0]);
    assert_int_equal(exec_start(fixture->exec, 2,
                                &(struct exec_task){.words = (const char *const[]){"true", NULL}}),
                     -EAGAIN);
    WAIT_FOR(fixture, count_processes("1000.01") == 0);
    WAIT_FOR(fixture, fixture->ready_count == 2);
    assert_int_equal(run_shell(fixture, "exit 9")->status.code, 9);
}

static void task_of_a_killed_supervisor_ends_too(void **state)
{
    struct fixture *fixture = *state;
    struct exec_config config = fixture->config;

    config.is_auto = false;
    config.level = EXEC_LANDLOCK;
    assert_int_equal(exec_configure(fixture->exec, &config), 0);
    WAIT_FOR(fixture, fixture->ready_count == 2);
    start_shell(fixture, 1,
                "setsid sh -c 'echo ready; exec sleep 1000.02' & sleep 1000.02; :", PLAIN_TASK);
    WAIT_FOR(fixture, fixture->tasks[1].sizes[EXEC_STDOUT] > 0 && fixture->tasks[1].has_started);
    assert_int_equal(kill(fixture->tasks[1].pid, SIGKILL), 0);
    WAIT_FOR(fixture, fixture->tasks[1].has_ended);
    assert_int_equal(fixture->tasks[1].status.error, -ECONNRESET);
    WAIT_FOR(fixture, count_processes("1000.02") == 0);
}

static void freeing_ends_all_tasks(void **state)
{
    struct fixture *fixture = *state;

    start_shell(fixture, 1, "echo ready; setsid sleep 1000.03 & exec sleep 1000.03", PLAIN_TASK);
    WAIT_FOR(fixture, fixture->tasks[1].sizes[EXEC_STDOUT] > 0);
    fixture->exec = exec_free(fixture->exec);
    assert_int_equal(count_processes("1000.03"), 0);
    assert_int_equal(count_entries(fixture->work_root), 0);
    assert_false(fixture->tasks[1].has_ended);
}

static void program_that_is_not_there_is_told_and_tried_again(void **state)
{
    struct fixture *fixture = *state;

    fixture->config.program = "/nonexistent/p2pnode-exec";
    assert_int_equal(
        exec_new(fixture->event, &fixture->config, &fixture_handler, fixture, &fixture->exec), 0);
    WAIT_FOR(fixture, strstr(exec_get_missing(fixture->exec)[0], "No such file or directory"));
    assert_false(exec_is_ready(fixture->exec) || exec_is_unit(fixture->exec));
    assert_true(exec_has_failed(fixture->exec) && fixture->failed_count > 0);
}

static void malformed_paths_are_refused(void **state)
{
    static const char *const malformed[] = {
        "usr", "/", "/usr/", "/usr//bin", "/.", "/usr/.", "/usr/../x", "/..", "/\377", "", NULL};
    struct fixture *fixture = *state;

    for (size_t i = 0; malformed[i]; i++) {
        const char *const paths[] = {malformed[i], NULL};
        fixture->config.read = paths;
        assert_int_equal(
            exec_new(fixture->event, &fixture->config, &fixture_handler, fixture, &fixture->exec),
            -EINVAL);
    }
}

static void level_that_is_not_to_be_had_refuses_tasks(void **state)
{
    struct fixture *fixture = *state;
    const char *const words[] = {"true", NULL};

    fixture->config.is_auto = false;
    fixture->config.level = EXEC_FULL;
    fixture_connect(fixture);
    assert_int_equal(exec_get_level(fixture->exec), EXEC_REFUSE);
    assert_int_equal(exec_start(fixture->exec, 1, &(struct exec_task){.words = words}), -EPERM);
    fixture->config.is_auto = true;
    assert_int_equal(exec_configure(fixture->exec, &fixture->config), 0);
    WAIT_FOR(fixture, fixture->ready_count == 2);
    assert_true(exec_get_level(fixture->exec) >= EXEC_LANDLOCK);
    assert_int_equal(
        exec_start(fixture->exec, 1, &(struct exec_task){.words = words, .level = EXEC_FULL}),
        -EOPNOTSUPP);
}

#define CONNECTED(test) cmocka_unit_test_setup_teardown(test, connected_setup, fixture_teardown)
#define ALONE(test)     cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONNECTED(exit_code_is_told),
        CONNECTED(killing_signal_is_told),
        CONNECTED(output_larger_than_a_pipe_arrives_whole),
        CONNECTED(binary_output_arrives_unchanged),
        CONNECTED(missing_command_exits_127_and_a_file_that_is_none_126),
        CONNECTED(command_is_found_by_the_path_of_its_environment),
        CONNECTED(demo_handler_says_its_line),
        CONNECTED(standard_input_is_the_given_one_or_empty),
        CONNECTED(many_tasks_run_at_once),
        CONNECTED(terminated_task_ends_by_its_signal),
        CONNECTED(task_that_ignores_termination_is_killed_after_the_grace),
        CONNECTED(task_is_killed_after_the_grace_though_its_start_is_heard_later),
        CONNECTED(stopped_task_can_be_terminated),
        CONNECTED(task_over_its_time_is_ended_and_says_so),
        CONNECTED(paused_output_makes_the_task_wait),
        CONNECTED(what_does_not_fit_a_message_is_refused_at_once),
        CONNECTED(tasks_of_a_killed_exec_are_lost_and_it_is_started_again),
        CONNECTED(task_of_a_killed_supervisor_ends_too),
        CONNECTED(freeing_ends_all_tasks),
        ALONE(program_that_is_not_there_is_told_and_tried_again),
        ALONE(malformed_paths_are_refused),
        ALONE(level_that_is_not_to_be_had_refuses_tasks),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
