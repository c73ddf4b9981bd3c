/* SPDX-License-Identifier: MIT */

/* p2pnode-exec as a program: its options, its sockets, and clients that mean it harm. */

#include "exec_fixture.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

/*
 * Runs p2pnode-exec with @socket_fd (negative = none), listening for systemd if @is_listening. Its
 * stderr is thrown away.
 */
static pid_t run_program(const struct fixture *fixture, int socket_fd, bool is_listening)
{
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid > 0)
        return pid;
    char number[16];
    int null = open("/dev/null", O_RDWR);
    if (socket_fd >= 0)
        (void)dup2(socket_fd, 3);
    (void)dup2(null, STDERR_FILENO);
    (void)close_range(socket_fd >= 0 ? 4 : 3, ~0U, 0);
    if (is_listening) {
        snprintf(number, sizeof(number), "%d", (int)getpid());
        (void)setenv("LISTEN_PID", number, 1);
        (void)setenv("LISTEN_FDS", "1", 1);
        execl(fixture->program, "p2pnode-exec", "--work-root", fixture->work_root, NULL);
    } else {
        execl(fixture->program, "p2pnode-exec", "--socket-fd", "3", "--work-root",
              fixture->work_root, NULL);
    }
    _exit(99);
}

static int await_exit(pid_t pid)
{
    int status;

    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

/* Sends @text with @fds_count descriptors to a fresh p2pnode-exec, which has to end without a word.
 */
static void expect_rejection(const struct fixture *fixture, const char *text, size_t size,
                             size_t fds_count)
{
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(8 * sizeof(int))];
    } ancillary = {0};
    struct iovec part = {.iov_base = (char *)(uintptr_t)text, .iov_len = size};
    struct msghdr header = {.msg_iov = &part, .msg_iovlen = 1};
    char answer[16];
    int pair[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    if (fds_count > 0) {
        header.msg_control = &ancillary;
        header.msg_controllen = CMSG_SPACE(fds_count * sizeof(int));
        struct cmsghdr *rights = CMSG_FIRSTHDR(&header);
        rights->cmsg_level = SOL_SOCKET;
        rights->cmsg_type = SCM_RIGHTS;
        rights->cmsg_len = CMSG_LEN(fds_count * sizeof(int));
        for (size_t i = 0; i < fds_count; i++)
            memcpy(CMSG_DATA(rights) + i * sizeof(int), &pair[0], sizeof(int));
    }
    pid_t pid = run_program(fixture, pair[1], false);
    close_fd(pair[1]);
    assert_int_equal(sendmsg(pair[0], &header, MSG_NOSIGNAL), size);
    /* A reset, where it had not read everything, is an end too. */
    assert_true(recv(pair[0], answer, sizeof(answer), 0) <= 0);
    assert_int_equal(await_exit(pid), 0);
    close_fd(pair[0]);
}

#define START                                                                                      \
    "{\"type\":\"start\",\"id\":1,\"network\":false,\"sandbox\":\"none\","                         \
    "\"words\":[\"true\"],\"environment\":[]}"

static void client_that_breaks_the_protocol_is_dropped(void **state)
{
    static const char *const wrong[] = {"hello", "{\"type\":\"configure\"}", START};
    static char large[EXEC_MESSAGE_MAX + 1];

    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
        expect_rejection(*state, wrong[i], strlen(wrong[i]), 0);
        expect_rejection(*state, wrong[i], strlen(wrong[i]), 2);
        expect_rejection(*state, wrong[i], strlen(wrong[i]), 8);
    }
    memset(large, ' ', sizeof(large));
    expect_rejection(*state, large, sizeof(large), 0);
}

/* What systemd does for p2pnode-exec@.socket. Return: its p2pnode-exec. */
static pid_t run_unit(struct fixture *fixture, const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

    strcpy(address.sun_path, path);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(listener, 4), 0);
    pid_t pid = run_program(fixture, listener, true);
    close_fd(listener);
    return pid;
}

static void systemd_socket_serves_one_client_after_the_other(void **state)
{
    struct fixture *fixture = *state;
    char path[100];

    snprintf(path, sizeof(path), "%s/exec.sock", fixture->directory);
    pid_t pid = run_unit(fixture, path);
    fixture->config.socket_path = path;
    fixture->config.program = "/nonexistent";
    for (int i = 0; i < 3; i++) {
        fixture_connect(fixture);
        assert_int_equal(run_shell(fixture, "exit 6")->status.code, 6);
        start_shell(fixture, 1, "echo ready; exec sleep 1000.06", PLAIN_TASK);
        WAIT_FOR(fixture, fixture->tasks[1].sizes[EXEC_STDOUT] > 0);
        fixture->exec = exec_free(fixture->exec);
        WAIT_FOR(fixture, count_processes("1000.06") == 0);
    }
    assert_int_equal(kill(pid, SIGTERM), 0);
    assert_int_equal(await_exit(pid), 0);
    assert_int_equal(count_entries(fixture->work_root), 0);
}

static void stop_unit(pid_t pid, const char *path)
{
    assert_int_equal(unlink(path), 0);
    assert_int_equal(kill(pid, SIGTERM), 0);
    assert_int_equal(await_exit(pid), 0);
}

/* A child could be started: @program is there. */
static void a_unit_that_is_gone_is_waited_for(void **state)
{
    struct fixture *fixture = *state;
    char path[100];

    snprintf(path, sizeof(path), "%s/exec.sock", fixture->directory);
    pid_t pid = run_unit(fixture, path);
    fixture->config.socket_path = path;
    fixture_connect(fixture);
    for (int i = 0; i < 2; i++) {
        const unsigned ready = fixture->ready_count, failed = fixture->failed_count;
        assert_false(exec_has_failed(fixture->exec));
        stop_unit(pid, path);
        WAIT_FOR(fixture, fixture->failed_count >= failed + 2);
        assert_true(exec_has_failed(fixture->exec) && exec_is_unit(fixture->exec));
        assert_int_equal(fixture->ready_count, ready);
        assert_non_null(strstr(exec_get_missing(fixture->exec)[0], "does not answer at "));
        pid = run_unit(fixture, path);
        WAIT_FOR(fixture, fixture->ready_count > ready);
        assert_int_equal(run_shell(fixture, "exit 6")->status.code, 6);
    }
    fixture->exec = exec_free(fixture->exec);
    stop_unit(pid, path);
}

static void a_unit_that_was_never_there_is_waited_for(void **state)
{
    struct fixture *fixture = *state;
    char path[100];

    snprintf(path, sizeof(path), "%s/exec.sock", fixture->directory);
    fixture->config.socket_path = path;
    fixture->config.is_unit = true;
    assert_int_equal(
        exec_new(fixture->event, &fixture->config, &fixture_handler, fixture, &fixture->exec), 0);
    WAIT_FOR(fixture, fixture->failed_count >= 2);
    assert_int_equal(fixture->ready_count, 0);
    pid_t pid = run_unit(fixture, path);
    WAIT_FOR(fixture, fixture->ready_count > 0);
    fixture->exec = exec_free(fixture->exec);
    stop_unit(pid, path);
}

static void wrong_usage_is_told_by_its_exit_code(void **state)
{
    const struct fixture *fixture = *state;
    int file = open("/dev/null", O_RDWR | O_CLOEXEC);
    int pair[2];

    assert_int_equal(await_exit(run_program(fixture, -1, false)), 2);
    assert_int_equal(await_exit(run_program(fixture, file, false)), 2);
    assert_int_equal(await_exit(run_program(fixture, -1, true)), 2);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    assert_int_equal(await_exit(run_program(fixture, pair[0], false)), 2);
    close_fd(pair[0]);
    close_fd(pair[1]);
    close_fd(file);
}

static void work_root_is_taken_only_if_it_is_nobody_elses(void **state)
{
    struct fixture *fixture = *state;
    char inside[128];
    int pair[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    /* Not made by a p2pnode-exec: as root, because of what is in it; else because it cannot be
     * used. */
    assert_int_equal(mkdir(fixture->work_root, geteuid() == 0 ? 0755 : 0), 0);
    snprintf(inside, sizeof(inside), "%s/task-precious", fixture->work_root);
    if (geteuid() == 0)
        assert_int_equal(mkdir(inside, 0700), 0);
    assert_int_equal(await_exit(run_program(fixture, pair[1], false)), 1);
    assert_int_equal(count_entries(fixture->directory), 1);
    if (geteuid() == 0)
        assert_int_equal(access(inside, F_OK), 0);
    close_fd(pair[0]);
    close_fd(pair[1]);
}

static void leftovers_are_removed_and_a_second_user_of_the_work_root_is_refused(void **state)
{
    struct fixture *fixture = *state;
    int pair[2];

    fixture_connect(fixture);
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    assert_int_equal(await_exit(run_program(fixture, pair[1], false)), 1);
    close_fd(pair[0]);
    close_fd(pair[1]);
    fixture->config.is_auto = false;
    fixture->config.level = EXEC_NONE;
    assert_int_equal(exec_configure(fixture->exec, &fixture->config), 0);
    WAIT_FOR(fixture, fixture->ready_count == 2);
    assert_int_equal(run_shell(fixture, "mkdir -p ../task-99/a/b ../other")->status.code, 0);
    fixture->exec = exec_free(fixture->exec);
    assert_int_equal(count_entries(fixture->work_root), 2);
    fixture_connect(fixture);
    assert_int_equal(count_entries(fixture->work_root), 1);
}

static void work_root_below_a_directory_of_root_is_reached_and_nothing_beside_it(void **state)
{
    struct fixture *fixture = *state;
    char path[128], secret[160], script[256];

    if (geteuid() != 0)
        skip();
    snprintf(path, sizeof(path), "%s/closed", fixture->directory);
    assert_int_equal(mkdir(path, 0700), 0);
    snprintf(secret, sizeof(secret), "%s/secret", path);
    int fd = open(secret, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    assert_true(fd >= 0);
    close_fd(fd);
    snprintf(fixture->work_root, sizeof(fixture->work_root), "%.60s/way", path);
    assert_int_equal(mkdir(fixture->work_root, 0755), 0);
    strcat(fixture->work_root, "/work");
    fixture->config.is_auto = false;
    snprintf(script, sizeof(script), "echo x > $TMPDIR/y && cat $TMPDIR/y; test -e %s && echo seen",
             secret);
    for (int level = EXEC_NONE; level <= EXEC_LANDLOCK; level++) {
        fixture->config.level = (enum exec_level)level;
        fixture_connect(fixture);
        const struct collected *task = run_shell(fixture, script);
        assert_string_equal(text_of(task, EXEC_STDERR), "");
        assert_string_equal(text_of(task, EXEC_STDOUT), "x\n");
        if (exec_get_available(fixture->exec) >= EXEC_NAMESPACES) {
            start_shell(fixture, 1, script,
                        (struct exec_task){.stdin_fd = -1, .level = EXEC_NAMESPACES});
            WAIT_FOR(fixture, fixture->tasks[1].has_ended);
            assert_string_equal(text_of(&fixture->tasks[1], EXEC_STDOUT), "x\n");
        }
        fixture->exec = exec_free(fixture->exec);
    }
    assert_int_equal(access(secret, F_OK), 0);
    assert_int_equal(count_entries(fixture->work_root), 0);
}

#define ALONE(test) cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ALONE(client_that_breaks_the_protocol_is_dropped),
        ALONE(systemd_socket_serves_one_client_after_the_other),
        ALONE(a_unit_that_is_gone_is_waited_for),
        ALONE(a_unit_that_was_never_there_is_waited_for),
        ALONE(wrong_usage_is_told_by_its_exit_code),
        ALONE(work_root_is_taken_only_if_it_is_nobody_elses),
        ALONE(leftovers_are_removed_and_a_second_user_of_the_work_root_is_refused),
        ALONE(work_root_below_a_directory_of_root_is_reached_and_nothing_beside_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
