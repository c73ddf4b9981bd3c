/* SPDX-License-Identifier: MIT */

/* What a task sees and can do, at each level that this machine allows. */

#include "exec_fixture.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include "exec/landlock.h"

static int compare_lines(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Sorts the lines of @text, without their ends, into @lines. Return: how many. */
static size_t sort_lines(char *text, char **lines, size_t max)
{
    size_t count = 0;

    for (char *line = strtok(text, "\n"); line && count < max; line = strtok(NULL, "\n"))
        lines[count++] = line;
    qsort(lines, count, sizeof(*lines), compare_lines);
    return count;
}

static void environment_is_exactly_the_documented_one(void **state)
{
    need_level(*state);
    struct fixture *fixture = *state;
    const char *const words[] = {"/usr/bin/env", NULL};
    const char *const environment[] = {"P2P_TASK_ID=1@lab-01", "TMPDIR=/var/tmp", "X=a=b", NULL};
    struct exec_task task = {.words = words, .environment = environment, .stdin_fd = -1};
    char *lines[8];

    const struct collected *ended = run_task(fixture, 1, &task);
    assert_int_equal(sort_lines(ended->bytes[EXEC_STDOUT], lines, 8), 5);
    if (exec_get_level(fixture->exec) == EXEC_NAMESPACES) {
        assert_string_equal(lines[0], "P2P_INPUT_DIR=/task");
        assert_string_equal(lines[1], "P2P_OUTPUT_DIR=/task");
        assert_string_equal(lines[3], "TMPDIR=/tmp");
    } else {
        assert_memory_equal(lines[0] + strlen("P2P_INPUT_DIR="), fixture->work_root,
                            strlen(fixture->work_root));
        assert_string_equal(lines[0] + strlen("P2P_INPUT_DIR="),
                            lines[1] + strlen("P2P_OUTPUT_DIR="));
        assert_memory_equal(lines[3] + strlen("TMPDIR="), lines[1] + strlen("P2P_OUTPUT_DIR="),
                            strlen(lines[1]) - strlen("P2P_OUTPUT_DIR="));
        assert_string_equal(strrchr(lines[3], '.'), ".tmp");
    }
    assert_string_equal(lines[2], "P2P_TASK_ID=1@lab-01");
    assert_string_equal(lines[4], "X=a=b");
}

static void work_and_temporary_directories_are_writable_and_gone_afterwards(void **state)
{
    need_level(*state);
    struct fixture *fixture = *state;
    const struct collected *task =
        run_shell(fixture, "set -e; echo a > x; echo b > $TMPDIR/y; echo c > $P2P_OUTPUT_DIR/z;"
                           "mkdir d; mv x d; cat d/x $TMPDIR/y z; ln -s / link");

    assert_string_equal(text_of(task, EXEC_STDERR), "");
    assert_string_equal(text_of(task, EXEC_STDOUT), "a\nb\nc\n");
    WAIT_FOR(fixture, count_entries(fixture->work_root) == 0);
    assert_int_equal(access("/usr/bin/env", X_OK), 0); /* behind the link */
}

static void hostile_tree_is_removed(void **state)
{
    need_level(*state);
    struct fixture *fixture = *state;
    const struct collected *task = run_shell(
        fixture, "set -e; deep=$(printf 'd/%.0s' $(seq 1500)); mkdir -p './~5/~0/~1' './~0' $deep;"
                 " touch ${deep}f d/f; chmod 000 ${deep} d/d/d; chmod 000 d './~0' .");

    assert_string_equal(text_of(task, EXEC_STDERR), "");
    assert_int_equal(task->status.code, 0);
    WAIT_FOR(fixture, count_entries(fixture->work_root) == 0);
}

static void nothing_can_be_written_outside(void **state)
{
    need_level(*state);
    struct fixture *fixture = *state;
    char script[1024], path[128];

    snprintf(path, sizeof(path), "%s/open", fixture->directory);
    assert_int_equal(mkdir(path, 0777), 0);
    assert_int_equal(chmod(path, 0777), 0);
    snprintf(script, sizeof(script),
             "for d in %s /var/tmp /dev/shm/.. /usr/bin /etc ..; do"
             " touch $d/p2pnode-test-escape 2>/dev/null && echo escaped to $d; done; exit 3",
             path);
    const struct collected *task = run_shell(fixture, script);
    assert_int_equal(task->status.code, 3);
    assert_string_equal(text_of(task, EXEC_STDOUT), "");
    assert_int_equal(count_entries(path), 0);
}

static void state_of_the_daemon_cannot_be_read(void **state)
{
    need_level(*state);
    struct fixture *fixture = *state;
    char path[128], script[1024];

    snprintf(path, sizeof(path), "%s/secret", fixture->directory);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "secret", 6), 6);
    close_fd(fd);
    snprintf(script, sizeof(script),
             "cat %s /proc/1/root%s /etc/passwd; ls %s; ln -s %s l; cat l; ln %s h; cat h; exit 3",
             path, path, fixture->directory, path, path);
    const struct collected *task = run_shell(fixture, script);
    assert_int_equal(task->status.code, 3);
    assert_string_equal(text_of(task, EXEC_STDOUT), "");
}

static void configured_paths_are_seen(void **state)
{
    need_level(*state);
    struct fixture *fixture = *state;
    char data[128], results[128], script[1024];
    const char *const read[] = {"/usr", "/lib", "/lib64", "/bin", data, "/nonexistent", NULL};
    const char *const write[] = {results, NULL};

    snprintf(data, sizeof(data), "%s/data", fixture->directory);
    snprintf(results, sizeof(results), "%s/results", fixture->directory);
    assert_int_equal(mkdir(data, 0777), 0);
    assert_int_equal(mkdir(results, 0777), 0);
    assert_int_equal(chmod(data, 0777), 0);
    assert_int_equal(chmod(results, 0777), 0);
    fixture->config.read = read;
    fixture->config.write = write;
    assert_int_equal(exec_configure(fixture->exec, &fixture->config), 0);
    WAIT_FOR(fixture, fixture->ready_count == 2);
    snprintf(script, sizeof(script),
             "ls %s && echo x > %s/y && cat %s/y && ! touch %s/z 2>/dev/null", data, results,
             results, data);
    const struct collected *task = run_shell(fixture, script);
    assert_string_equal(text_of(task, EXEC_STDERR), "");
    assert_int_equal(task->status.code, 0);
    assert_int_equal(count_entries(results), 1);
    assert_int_equal(count_entries(data), 0);
    WAIT_FOR(fixture, count_entries(fixture->work_root) == 0);
}

static void network_cannot_be_reached(void **state)
{
    need_level(*state);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(address);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    char script[256];

    assert_int_equal(bind(listener, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &size), 0);
    snprintf(script, sizeof(script), "bash -c 'echo > /dev/tcp/127.0.0.1/%u' 2>/dev/null || exit 3",
             ntohs(address.sin_port));
    assert_int_equal(run_shell(*state, script)->status.code, 3);
    assert_int_equal(accept(listener, NULL, NULL), -1);
    assert_int_equal(errno, EAGAIN);
    close_fd(listener);
}

static void network_can_be_allowed_and_still_be_denied_to_a_task(void **state)
{
    need_level(*state);
    struct fixture *fixture = *state;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(address);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    char script[256];

    assert_int_equal(bind(listener, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &size), 0);
    snprintf(script, sizeof(script), "bash -c 'echo > /dev/tcp/127.0.0.1/%u' 2>/dev/null || exit 3",
             ntohs(address.sin_port));
    fixture->config.network = true;
    assert_int_equal(exec_configure(fixture->exec, &fixture->config), 0);
    WAIT_FOR(fixture, fixture->ready_count == 2);
    start_shell(fixture, 1, script, (struct exec_task){.stdin_fd = -1, .network = true});
    start_shell(fixture, 2, script, (struct exec_task){.stdin_fd = -1, .network = false});
    WAIT_FOR(fixture, fixture->tasks[1].has_ended && fixture->tasks[2].has_ended);
    assert_int_equal(fixture->tasks[1].status.code, 0);
    assert_int_equal(fixture->tasks[2].status.code, 3);
    close_fd(listener);
}

static void namespaces_mounts_and_tracing_are_denied(void **state)
{
    need_level(*state);
    const struct collected *task = run_shell(
        *state, "unshare -U true 2>/dev/null && echo unshared; mount -t tmpfs x . 2>/dev/null &&"
                " echo mounted; chroot / true 2>/dev/null && echo rooted; exit 3");

    assert_int_equal(task->status.code, 3);
    assert_string_equal(text_of(task, EXEC_STDOUT), "");
}

static void other_processes_cannot_be_signalled(void **state)
{
    need_level(*state);
    struct fixture *fixture = *state;
    char script[256];

    if (landlock_get_abi() < LANDLOCK_SCOPE_ABI)
        skip();
    snprintf(
        script, sizeof(script),
        "kill -0 $PPID 2>/dev/null && echo parent; kill -0 %d 2>/dev/null && echo test; exit 3",
        getpid());
    const struct collected *task = run_shell(fixture, script);
    assert_int_equal(task->status.code, 3);
    assert_string_equal(text_of(task, EXEC_STDOUT), "");
}

static void what_a_task_leaves_running_is_killed(void **state)
{
    need_level(*state);
    struct fixture *fixture = *state;
    const struct collected *task =
        run_shell(fixture, "for i in 1 2 3 4 5 6 7 8 9; do"
                           " setsid sh -c 'sleep 1000.04 & exec sleep 1000.04' & done;"
                           " (sleep 1000.04 &) ; echo left; exit 4");

    assert_int_equal(task->status.code, 4);
    assert_string_equal(text_of(task, EXEC_STDOUT), "left\n");
    assert_int_equal(count_processes("1000.04"), 0);
}

static void killing_reaches_all_that_was_forked(void **state)
{
    need_level(*state);
    struct fixture *fixture = *state;

    start_shell(fixture, 1,
                "i=0; while [ $i -lt 40 ]; do setsid sleep 1000.05 & i=$((i+1)); done;"
                " trap '' TERM; echo ready; wait",
                PLAIN_TASK);
    WAIT_FOR(fixture, fixture->tasks[1].sizes[EXEC_STDOUT] > 0);
    assert_int_equal(exec_signal(fixture->exec, 1, SIGKILL, USEC_INFINITY), 0);
    WAIT_FOR(fixture, fixture->tasks[1].has_ended);
    assert_int_equal(fixture->tasks[1].status.signal, SIGKILL);
    assert_int_equal(count_processes("1000.05"), 0);
}

static void files_and_memory_are_limited(void **state)
{
    need_level(*state);
    struct fixture *fixture = *state;
    struct exec_task task = PLAIN_TASK;

    task.limits.file_size_bytes = 100000;
    task.limits.memory_bytes = (uint64_t)32 << 20;
    start_shell(fixture, 1, "head -c 200000 /dev/zero > f; [ $? = 153 ] && wc -c < f", task);
    start_shell(fixture, 2, "tail /dev/zero", task);
    WAIT_FOR(fixture, fixture->tasks[1].has_ended && fixture->tasks[2].has_ended);
    assert_string_equal(text_of(&fixture->tasks[1], EXEC_STDOUT), "100000\n");
    assert_int_equal(fixture->tasks[2].status.code, 1);
    assert_non_null(strstr(text_of(&fixture->tasks[2], EXEC_STDERR), "memory exhausted"));
    assert_true(fixture->tasks[2].status.memory_peak_bytes < (uint64_t)64 << 20);
}

/* Below level full a process is refused what is above the limit; of all of them somebody keeps
 * count.
 */
static void memory_of_all_processes_is_watched(void **state)
{
    need_level(*state);
    struct fixture *fixture = *state;
    struct exec_task task = PLAIN_TASK;

    task.limits.memory_bytes = (uint64_t)64 << 20;
    start_shell(fixture, 1,
                "for i in 1 2 3 4; do (head -c 30000000 /dev/zero | tail -c 30000000 |"
                " setsid sleep 1000.06) & done; wait",
                task);
    WAIT_FOR(fixture, fixture->tasks[1].has_ended);
    assert_true(fixture->tasks[1].status.is_oom);
    assert_int_equal(fixture->tasks[1].status.signal, SIGKILL);
    assert_false(fixture->tasks[1].status.timed_out);
    assert_int_equal(count_processes("1000.06"), 0);
}

static void cpus_are_whole_ones(void **state)
{
    need_level(*state);
    struct fixture *fixture = *state;
    struct exec_task task = PLAIN_TASK;

    task.limits.cpus_milli = 1;
    start_shell(fixture, 1, "nproc", task);
    WAIT_FOR(fixture, fixture->tasks[1].has_ended);
    assert_string_equal(text_of(&fixture->tasks[1], EXEC_STDOUT), "1\n");
}

static void private_root_shows_only_its_own(void **state)
{
    need_level(*state);
    const struct collected *task = run_shell(
        *state, "cd /; echo *; echo tmp/* task/* etc/*; set -- proc/[0-9]*; echo $#;"
                " echo < /proc/self/status && echo $$; touch /x /etc/x 2>/dev/null; exit 0");

    assert_string_equal(text_of(task, EXEC_STDERR), "");
    assert_string_equal(text_of(task, EXEC_STDOUT),
                        "bin dev etc lib lib64 proc task tmp usr\n"
                        "tmp/* task/* etc/alternatives etc/ld.so.cache etc/ssl\n"
                        "2\n\n2\n");
}

static void processes_of_a_task_are_limited(void **state)
{
    need_level(*state);
    struct fixture *fixture = *state;
    struct exec_task task = PLAIN_TASK;

    task.limits.processes = 4;
    start_shell(fixture, 1, "sleep 9 & sleep 9 & sleep 9 & echo three; sleep 9 & echo four", task);
    start_shell(fixture, 2, "sleep 9 & sleep 9 & sleep 9 & echo three", task);
    WAIT_FOR(fixture, fixture->tasks[1].has_ended && fixture->tasks[2].has_ended);
    assert_string_equal(text_of(&fixture->tasks[1], EXEC_STDOUT), "three\n");
    assert_int_equal(fixture->tasks[1].status.code, 2);
    assert_int_equal(fixture->tasks[2].status.code, 0);
}

static void task_may_ask_for_more_than_the_configuration(void **state)
{
    struct fixture *fixture = *state;
    const char *const script = "ls -d /etc/passwd 2>/dev/null && cat /etc/passwd > /dev/null";

    start_shell(fixture, 1, script, PLAIN_TASK);
    start_shell(fixture, 2, script, (struct exec_task){.stdin_fd = -1, .level = EXEC_LANDLOCK});
    WAIT_FOR(fixture, fixture->tasks[1].has_ended && fixture->tasks[2].has_ended);
    assert_int_equal(fixture->tasks[1].status.code, 0);
    assert_int_not_equal(fixture->tasks[2].status.code, 0);
    assert_null(strstr(text_of(&fixture->tasks[2], EXEC_STDOUT), "root"));
}

#define AT_LANDLOCK(test)                                                                          \
    {                                                                                              \
#test "_at_landlock", test, landlock_setup, fixture_teardown, NULL                         \
    }
#define AT_NAMESPACES(test)                                                                        \
    {                                                                                              \
#test "_at_namespaces", test, namespaces_setup, fixture_teardown, NULL                     \
    }
#define AT_BOTH(test) AT_LANDLOCK(test), AT_NAMESPACES(test)

int main(void)
{
    const struct CMUnitTest tests[] = {
        AT_BOTH(environment_is_exactly_the_documented_one),
        AT_BOTH(work_and_temporary_directories_are_writable_and_gone_afterwards),
        AT_BOTH(hostile_tree_is_removed),
        AT_BOTH(nothing_can_be_written_outside),
        AT_BOTH(state_of_the_daemon_cannot_be_read),
        AT_BOTH(configured_paths_are_seen),
        AT_BOTH(network_cannot_be_reached),
        AT_BOTH(network_can_be_allowed_and_still_be_denied_to_a_task),
        AT_BOTH(namespaces_mounts_and_tracing_are_denied),
        AT_BOTH(other_processes_cannot_be_signalled),
        AT_BOTH(what_a_task_leaves_running_is_killed),
        AT_BOTH(killing_reaches_all_that_was_forked),
        AT_BOTH(files_and_memory_are_limited),
        AT_BOTH(memory_of_all_processes_is_watched),
        AT_BOTH(cpus_are_whole_ones),
        AT_NAMESPACES(private_root_shows_only_its_own),
        AT_NAMESPACES(processes_of_a_task_are_limited),
        cmocka_unit_test_setup_teardown(task_may_ask_for_more_than_the_configuration, none_setup,
                                        fixture_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
