/* SPDX-License-Identifier: MIT */

/* The control socket with clients of all manners, in one loop. */

#include "store_fault.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <grp.h>
#include <seccomp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include "base/log.h"
#include "base/usec.h"
#include "varlink/server.h"

#define WAIT_USEC   (60 * USEC_PER_SEC)
#define CLIENTS_MAX 4
#define HELD_MAX    128

static char *directory, path[128];
static sd_event *event;
static struct server *server;

/* What was dispatched. */
static struct call *held[HELD_MAX]; /* that wait for their answer */
static size_t held_count, gone_count, calls_count;
static struct caller last_caller;
static char last_content[16];

static void on_gone(struct call *call, void *data)
{
    size_t *count = data;

    for (size_t i = 0; i < held_count; i++)
        if (held[i] == call)
            held[i] = NULL;
    (*count)++;
}

static void hold(struct call *call)
{
    assert_true(held_count < HELD_MAX);
    held[held_count++] = call;
    call_on_gone(call, on_gone, &gone_count);
}

static void read_descriptors(struct call *call)
{
    cJSON *reply = call_new_reply("test");

    json_add_u64(reply, "count", call->fds_count);
    memset(last_content, 0, sizeof(last_content));
    for (size_t i = 0; i < call->fds_count; i++)
        assert_int_equal(pread(call->fds[i], last_content + i, 1, 0), 1);
    call_reply(call, reply);
}

static void dispatch(struct call *call, void *data _unused_)
{
    const char *name = strrchr(call->method, '.') + 1;

    calls_count++;
    last_caller = call->caller;
    if (strcmp(name, "Echo") == 0)
        call_reply(call, cJSON_Duplicate(call->parameters, true));
    else if (strcmp(name, "Hold") == 0)
        hold(call);
    else if (strcmp(name, "Take") == 0)
        read_descriptors(call);
    else if (strcmp(name, "Value") == 0)
        call_reply_bytes(call, call_new_reply("test"), "value", "\xff value", 7);
    else
        call_fail(call, ERROR_NOT_FOUND, "a hint", "no \"%s\"", name);
}

static struct server_config config_of(const char *user_group, const char *admin_group, mode_t mode)
{
    return (struct server_config){.path = path,
                                  .mode = mode,
                                  .user_group = user_group,
                                  .admin_group = admin_group,
                                  .clients_max = CLIENTS_MAX,
                                  .listen_fd = -EBADF};
}

static void start(const char *user_group, const char *admin_group, mode_t mode)
{
    struct server_config config = config_of(user_group, admin_group, mode);

    server = server_free(server);
    assert_int_equal(server_new(event, &config, dispatch, NULL, &server), 0);
}

static void drop_log(int level _unused_, const char *text _unused_, void *data _unused_)
{
}

static int begin(void **state _unused_)
{
    (void)signal(SIGPIPE, SIG_IGN);
    log_set_sink(drop_log, NULL);
    directory = directory_new();
    snprintf(path, sizeof(path), "%s/lab.sock", directory);
    assert_true(sd_event_new(&event) >= 0);
    held_count = gone_count = calls_count = 0;
    start("", "", 0660);
    return 0;
}

static int end(void **state _unused_)
{
    server = server_free(server);
    assert_int_not_equal(access(path, F_OK), 0);
    event = sd_event_unref(event);
    directory = directory_free(directory);
    log_set_sink(NULL, NULL);
    return 0;
}

static usec_t now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (usec_t)time.tv_sec * USEC_PER_SEC + (usec_t)time.tv_nsec / 1000;
}

#define run_until(condition)                                                                       \
    do {                                                                                           \
        usec_t run_end = now() + WAIT_USEC;                                                        \
        while (!(condition)) {                                                                     \
            assert_true(now() < run_end);                                                          \
            assert_true(sd_event_run(event, 10 * USEC_PER_MSEC) >= 0);                             \
        }                                                                                          \
    } while (0)

/* Runs what is due at once. */
static void run_now(void)
{
    int r;

    while ((r = sd_event_run(event, 0)) > 0)
        ;
    assert_int_equal(r, 0);
}

/* --- A client --- */

static struct varlink *dial(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct varlink *varlink = NULL;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    strcpy(address.sun_path, path);
    assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(varlink_new(fd, &varlink), 0);
    return varlink;
}

static void send_bytes(struct varlink *client, const char *bytes, size_t size)
{
    while (size > 0) {
        ssize_t sent = send(varlink_fd(client), bytes, size, MSG_NOSIGNAL);
        if (sent < 0 && errno == EPIPE)
            return;
        if (sent < 0)
            run_now();
        bytes += MAX(sent, (ssize_t)0);
        size -= (size_t)MAX(sent, (ssize_t)0);
    }
}

/* With the NUL. */
static void send_text(struct varlink *client, const char *text)
{
    send_bytes(client, text, strlen(text) + 1);
}

static void ask(struct varlink *client, const char *method, const char *parameters)
{
    _cleanup_free_ char *text = NULL;

    assert_true(
        asprintf(&text, "{\"method\":\"org.test.%s\",\"parameters\":%s}", method, parameters) > 0);
    send_text(client, text);
}

/* The next answer as text, "" where the connection is over. The result is kept for one answer. */
static const char *answer(struct varlink *client)
{
    static char *text;
    struct varlink_message message = VARLINK_MESSAGE_NULL;
    int r;

    for (usec_t until = now() + WAIT_USEC; (r = varlink_next(client, &message)) == 0;) {
        assert_true(now() < until);
        r = varlink_receive(client);
        if (r == 0 || r == -ECONNRESET)
            return "";
        if (r == -EAGAIN)
            assert_true(sd_event_run(event, 10 * USEC_PER_MSEC) >= 0);
        else
            assert_int_equal(r, 1);
    }
    assert_int_equal(r, 1);
    free(text);
    text = json_format(message.json);
    varlink_message_done(&message);
    return text;
}

#define assert_answer(client, text) assert_string_equal(answer(client), text)

static void answer_held(size_t i)
{
    struct call *call = held[i];

    assert_non_null(call);
    held[i] = NULL;
    call_on_gone(call, NULL, NULL);
    call_reply(call, cJSON_Duplicate(call->parameters, true));
}

/* --- Tests --- */

static void a_call_is_answered(void **state _unused_)
{
    struct varlink *client = dial();

    ask(client, "Echo", "{\"a\":1}");
    assert_answer(client, "{\"parameters\":{\"a\":1}}");
    ask(client, "Nothing", "{}");
    assert_answer(client, "{\"error\":\"org.p2pnode.NotFound\",\"parameters\":{\"message\":\"no "
                          "\\\"Nothing\\\"\",\"hint\":\"a hint\"}}");
    send_text(client, "{\"method\":\"org.test.Echo\"}");
    assert_answer(client, "{\"parameters\":{}}");
    assert_true(last_caller.is_admin);
    assert_false(last_caller.is_remote);

    uint64_t answered, failed;
    server_get_statistics(server, &answered, &failed);
    assert_int_equal(answered, 2);
    assert_int_equal(failed, 1);
    varlink_free(client);
}

static void pipelined_calls_are_answered_in_their_order(void **state _unused_)
{
    struct varlink *client = dial();
    char expected[64];

    for (int i = 0; i < 500; i++) {
        char parameters[32];
        snprintf(parameters, sizeof(parameters), "{\"i\":%d}", i);
        ask(client, "Echo", parameters);
    }
    for (int i = 0; i < 500; i++) {
        snprintf(expected, sizeof(expected), "{\"parameters\":{\"i\":%d}}", i);
        assert_answer(client, expected);
    }
    varlink_free(client);
}

static void a_call_behind_one_that_takes_time_waits_for_it(void **state _unused_)
{
    struct varlink *client = dial(), *other = dial();

    ask(client, "Hold", "{\"i\":1}");
    ask(client, "Hold", "{\"i\":2}");
    ask(client, "Echo", "{\"i\":3}");
    run_until(held_count == 1);
    ask(other, "Echo", "{\"i\":9}");
    assert_answer(other, "{\"parameters\":{\"i\":9}}");
    run_now();
    assert_int_equal(held_count, 1);
    answer_held(0);
    assert_answer(client, "{\"parameters\":{\"i\":1}}");
    run_until(held_count == 2);
    answer_held(1);
    assert_answer(client, "{\"parameters\":{\"i\":2}}");
    assert_answer(client, "{\"parameters\":{\"i\":3}}");
    varlink_free(client);
    varlink_free(other);
}

static void what_is_no_call_gets_an_error_and_the_end(void **state _unused_)
{
    static const struct {
        const char *text, *part;
    } bad[] = {
        {"[]", "not a JSON object"},
        {"{\"method\":", "not a JSON object"},
        {"", "not a JSON object"},
        {"{\"method\":\"org.test.Echo\",\"parameters\":{\"a\":\"b\\u0000c\"}}", "has a NUL"},
        {"{\"method\":\"\\\\u0000\"", "not a JSON object"},
        {"{\"parameters\":{}}", "malformed call"},
        {"{\"method\":7}", "malformed call"},
        {"{\"method\":\"org.test.Echo\",\"more\":true,\"oneway\":true}", "malformed call"},
        {"{\"method\":\"org.test.Echo\",\"parameters\":[]}", "malformed call"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct varlink *client = dial();
        send_text(client, bad[i].text);
        ask(client, "Echo", "{}");
        const char *text = answer(client);
        assert_non_null(strstr(text, "org.p2pnode.Usage"));
        assert_non_null(strstr(text, bad[i].part));
        assert_answer(client, "");
        varlink_free(client);
    }
    assert_int_equal(calls_count, 0);
}

static void a_request_that_is_too_large_or_too_deep_is_told(void **state _unused_)
{
    static char large[JSON_SIZE_MAX + 100];
    struct varlink *client = dial();
    char deep[200] = "{\"method\":\"org.test.Echo\",\"parameters\":{\"a\":";

    memset(large, ' ', sizeof(large));
    send_bytes(client, large, sizeof(large));
    assert_non_null(strstr(answer(client), "larger than 1 MiB"));
    assert_answer(client, "");
    varlink_free(client);

    client = dial();
    for (int i = 0; i < 40; i++)
        strcat(deep, "[");
    send_text(client, deep);
    assert_non_null(strstr(answer(client), "deeper than 32 levels"));
    assert_answer(client, "");
    varlink_free(client);
}

static void the_largest_request_is_answered(void **state _unused_)
{
    static char large[JSON_SIZE_MAX + 1];
    static const char head[] = "{\"method\":\"org.test.Hold\",\"parameters\":{\"a\":\"";
    struct varlink *client = dial();

    memset(large, 'x', JSON_SIZE_MAX);
    memcpy(large, head, sizeof(head) - 1);
    memcpy(large + JSON_SIZE_MAX - 3, "\"}}", 4);
    send_bytes(client, large, sizeof(large));
    run_until(held_count == 1);
    varlink_free(client);
    run_until(gone_count == 1);
}

static void half_a_message_and_the_end_is_forgotten(void **state _unused_)
{
    struct varlink *client = dial();

    send_bytes(client, "{\"method\":\"org.test", 19);
    run_now();
    shutdown(varlink_fd(client), SHUT_WR);
    assert_answer(client, "");
    assert_int_equal(calls_count, 0);
    varlink_free(client);
}

static void a_client_that_goes_is_told_to_its_call(void **state _unused_)
{
    struct varlink *client = dial();

    ask(client, "Hold", "{}");
    ask(client, "Hold", "{}");
    run_until(held_count == 1);
    varlink_free(client);
    run_until(gone_count == 1);
    run_now();
    assert_int_equal(held_count, 1);
    assert_null(held[0]);
}

static void a_client_that_sends_no_more_is_still_answered(void **state _unused_)
{
    struct varlink *client = dial();

    ask(client, "Hold", "{\"i\":1}");
    ask(client, "Echo", "{\"i\":2}");
    shutdown(varlink_fd(client), SHUT_WR);
    run_until(held_count == 1);
    run_now();
    assert_int_equal(gone_count, 0);
    answer_held(0);
    assert_answer(client, "{\"parameters\":{\"i\":1}}");
    assert_answer(client, "{\"parameters\":{\"i\":2}}");
    assert_answer(client, "");
    varlink_free(client);
}

static void a_call_that_wants_no_answer_gets_none(void **state _unused_)
{
    struct varlink *client = dial();

    send_text(client, "{\"method\":\"org.test.Echo\",\"parameters\":{\"i\":1},\"oneway\":true}");
    send_text(client, "{\"method\":\"org.test.Fail\",\"parameters\":{},\"oneway\":true}");
    ask(client, "Echo", "{\"i\":2}");
    assert_answer(client, "{\"parameters\":{\"i\":2}}");
    assert_int_equal(calls_count, 3);
    varlink_free(client);
}

static cJSON *new_block(void)
{
    static char text[64 * 1024];
    cJSON *json = cJSON_CreateObject();

    memset(text, 'x', sizeof(text) - 1);
    json_add_string(json, "text", text);
    return json;
}

static void a_reader_that_is_behind_is_seen_and_catches_up(void **state _unused_)
{
    struct varlink *client = dial();
    size_t blocks = 0;

    ask(client, "Hold", "{}");
    run_until(held_count == 1);
    for (; !call_is_congested(held[0]); blocks++) {
        call_notify(held[0], new_block());
        run_now();
    }
    assert_true(blocks > 4);
    for (size_t i = 0; i < blocks; i++)
        assert_non_null(strstr(answer(client), "\"continues\":true"));
    assert_false(call_is_congested(held[0]));
    answer_held(0);
    assert_answer(client, "{\"parameters\":{}}");
    varlink_free(client);
}

static void a_reader_that_never_reads_is_cut(void **state _unused_)
{
    struct varlink *client = dial(), *other = dial();

    ask(client, "Hold", "{}");
    run_until(held_count == 1);
    for (size_t i = 0; i < 2 * VARLINK_OUTPUT_MAX / (64 * 1024) && held[0]; i++) {
        call_notify(held[0], new_block());
        run_now();
    }
    run_until(gone_count == 1);
    ask(other, "Echo", "{}");
    assert_answer(other, "{\"parameters\":{}}");
    varlink_free(client);
    varlink_free(other);
}

static void clients_have_a_bound(void **state _unused_)
{
    struct varlink *clients[CLIENTS_MAX], *client;

    for (size_t i = 0; i < CLIENTS_MAX; i++) {
        clients[i] = dial();
        ask(clients[i], "Echo", "{}");
        assert_answer(clients[i], "{\"parameters\":{}}");
    }
    client = dial();
    assert_non_null(strstr(answer(client), "org.p2pnode.Busy"));
    assert_answer(client, "");
    varlink_free(client);
    varlink_free(clients[0]);
    run_now();
    client = clients[0] = dial();
    ask(client, "Echo", "{}");
    assert_answer(client, "{\"parameters\":{}}");
    for (size_t i = 0; i < CLIENTS_MAX; i++)
        varlink_free(clients[i]);
}

static void one_user_never_has_all_places(void **state _unused_)
{
    struct server_config config = config_of("", "", 0660);
    struct varlink *clients[14], *client;

    config.clients_max = 16;
    assert_int_equal(server_set_access(server, &config), 0);
    for (size_t i = 0; i < ARRAY_SIZE(clients); i++) {
        clients[i] = dial();
        ask(clients[i], "Echo", "{}");
        assert_answer(clients[i], "{\"parameters\":{}}");
    }
    client = dial();
    assert_non_null(strstr(answer(client), "too many clients of this user"));
    assert_answer(client, "");
    varlink_free(client);
    varlink_free(clients[0]);
    run_now();
    clients[0] = dial();
    ask(clients[0], "Echo", "{}");
    assert_answer(clients[0], "{\"parameters\":{}}");
    for (size_t i = 0; i < ARRAY_SIZE(clients); i++)
        varlink_free(clients[i]);
}

static void without_descriptors_clients_are_turned_away(void **state _unused_)
{
    struct varlink *client = dial();
    struct rlimit limit, few;
    int highest = fcntl(varlink_fd(client), F_DUPFD_CLOEXEC, 0);

    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    few = limit;
    few.rlim_cur = (rlim_t)highest;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    assert_answer(client, "");
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    (void)close(highest);
    varlink_free(client);
    client = dial();
    ask(client, "Echo", "{}");
    assert_answer(client, "{\"parameters\":{}}");
    varlink_free(client);
}

static int new_memory(const char *text)
{
    int fd = memfd_create("test", MFD_CLOEXEC);

    assert_int_equal(pwrite(fd, text, strlen(text), 0), strlen(text));
    return fd;
}

static void ask_with(struct varlink *client, const char *method, const int *fds, size_t fds_count)
{
    _cleanup_json_ cJSON *json = varlink_build_call(method, NULL, false);

    assert_int_equal(varlink_queue(client, json, fds, fds_count), 0);
    assert_int_equal(varlink_flush(client), 0);
}

static void descriptors_come_with_their_call(void **state _unused_)
{
    struct varlink *client = dial();
    int fds[] = {new_memory("a"), new_memory("b"), new_memory("c")};

    ask(client, "Echo", "{}");
    ask_with(client, "org.test.Take", fds, 2);
    ask_with(client, "org.test.Take", fds + 2, 1);
    ask(client, "Take", "{}");
    assert_answer(client, "{\"parameters\":{}}");
    assert_answer(client, "{\"parameters\":{\"schema\":\"test\",\"count\":2}}");
    assert_answer(client, "{\"parameters\":{\"schema\":\"test\",\"count\":1}}");
    assert_answer(client, "{\"parameters\":{\"schema\":\"test\",\"count\":0}}");
    varlink_free(client);
    for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
        (void)close(fds[i]);
}

static void a_value_goes_into_the_descriptor_or_beside(void **state _unused_)
{
    struct varlink *client = dial();
    char content[16] = "";
    int fd = new_memory(""), pipes[2];

    ask_with(client, "org.test.Value", &fd, 1);
    assert_answer(client, "{\"parameters\":{\"schema\":\"test\"}}");
    assert_int_equal(pread(fd, content, sizeof(content), 0), 7);
    assert_string_equal(content, "\xff value");
    ask(client, "Value", "{}");
    assert_non_null(strstr(answer(client), "\"value_b64\":\"/yB2YWx1ZQ==\""));
    assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
    ask_with(client, "org.test.Value", &pipes[1], 1);
    assert_non_null(strstr(answer(client), "org.p2pnode.Usage"));
    varlink_free(client);
    (void)close(fd);
    (void)close(pipes[0]);
    (void)close(pipes[1]);
}

static void the_server_may_go_while_calls_wait(void **state _unused_)
{
    struct varlink *client = dial(), *other = dial();

    ask(client, "Hold", "{}");
    ask(other, "Hold", "{}");
    run_until(held_count == 2);
    server = server_free(server);
    assert_int_equal(gone_count, 2);
    assert_answer(client, "");
    varlink_free(client);
    varlink_free(other);
}

/* --- Who may --- */

/* In a child: another user asks; the exit code says what came. */
static pid_t start_stranger(gid_t gid)
{
    fflush(NULL);
    pid_t pid = fork();

    if (pid != 0)
        return pid;
    static const char call[] = "{\"method\":\"org.test.Echo\",\"parameters\":{}}";
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char text[1024] = "";
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    strcpy(address.sun_path, path);
    if (setgroups(0, NULL) < 0 || setgid(gid) < 0 || setuid(65534) < 0)
        _exit(9);
    if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
        _exit(errno == EACCES ? 1 : 8);
    if (send(fd, call, sizeof(call), MSG_NOSIGNAL) < 0 || recv(fd, text, sizeof(text) - 1, 0) <= 0)
        _exit(7);
    _exit(strstr(text, "NotPermitted") ? 2 : strcmp(text, "{\"parameters\":{}}") == 0 ? 0 : 6);
}

static int ask_as(gid_t gid)
{
    pid_t pid = start_stranger(gid);
    int status = -1;

    assert_true(pid > 0);
    run_until(waitpid(pid, &status, WNOHANG) == pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void strangers_are_refused_and_groups_let_in(void **state _unused_)
{
    const struct group *group = getgrnam("daemon");
    gid_t gid = group ? group->gr_gid : 0;

    if (geteuid() != 0 || !group)
        skip();
    assert_int_equal(chmod(directory, 0755), 0);
    assert_int_equal(ask_as(65534), 1); /* the socket is the owner's alone */
    start("daemon", "", 0660);
    assert_int_equal(ask_as(65534), 1);
    assert_int_equal(ask_as(gid), 0);
    assert_false(last_caller.is_admin);
    start("daemon", "", 0666);
    assert_int_equal(ask_as(65534), 2);
    start("daemon", "daemon", 0660);
    assert_int_equal(ask_as(gid), 0);
    assert_true(last_caller.is_admin);
    start("no-such-group", "", 0666);
    assert_int_equal(ask_as(gid), 1);
}

/* A process like a service that may not give files away. Return: the mode of its socket; or 0. */
static mode_t mode_without_chown(const char *user_group)
{
    static const int forbidden[] = {SCMP_SYS(chown), SCMP_SYS(lchown), SCMP_SYS(fchown),
                                    SCMP_SYS(fchownat)};
    const struct server_config config = config_of(user_group, "", 0660);
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    struct server *own = NULL;
    sd_event *loop = NULL;
    struct stat status = {.st_mode = 0};
    int r = filter ? 0 : -ENOMEM;

    for (size_t i = 0; i < ARRAY_SIZE(forbidden) && r == 0; i++)
        r = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), forbidden[i], 0);
    if (r == 0)
        r = seccomp_load(filter);
    if (r == 0)
        r = sd_event_new(&loop);
    if (r >= 0 && server_new(loop, &config, dispatch, NULL, &own) == 0)
        (void)stat(path, &status);
    server_free(own);
    sd_event_unref(loop);
    if (filter)
        seccomp_release(filter);
    return status.st_mode & 0777;
}

static void its_own_group_is_let_in_by_a_process_that_may_give_nothing_away(void **state _unused_)
{
    const struct group *own = getgrgid(getegid());
    int status;

    assert_non_null(own);
    server = server_free(server);
    pid_t pid = fork();
    if (pid == 0)
        _exit(mode_without_chown(own->gr_name) == 0660 &&
                      mode_without_chown(own->gr_gid ? "root" : "daemon") == 0600
                  ? 0
                  : 1);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    start("", "", 0660);
}

/* --- The socket --- */

static void a_live_socket_is_not_taken_and_a_stale_one_is(void **state _unused_)
{
    struct server_config config = config_of("", "", 0600);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct server *second = NULL;

    assert_int_equal(server_new(event, &config, dispatch, NULL, &second), -EADDRINUSE);
    assert_int_equal(access(path, F_OK), 0);
    server = server_free(server);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    strcpy(address.sun_path, path);
    assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
    (void)close(fd);
    assert_int_equal(server_new(event, &config, dispatch, NULL, &server), 0);
    struct varlink *client = dial();
    ask(client, "Echo", "{}");
    assert_answer(client, "{\"parameters\":{}}");
    varlink_free(client);
}

static void a_path_that_cannot_be_bound_is_an_error(void **state _unused_)
{
    struct server_config config = config_of("", "", 0600);
    struct server *second = NULL;
    char longest[200];

    memset(longest, 'x', sizeof(longest) - 1);
    longest[sizeof(longest) - 1] = '\0';
    config.path = longest;
    assert_int_equal(server_new(event, &config, dispatch, NULL, &second), -ENAMETOOLONG);
    config.path = "/nowhere/lab.sock";
    assert_int_equal(server_new(event, &config, dispatch, NULL, &second), -ENOENT);
    assert_null(second);
}

static void a_socket_that_was_handed_over_is_not_removed(void **state _unused_)
{
    struct server_config config = config_of("", "", 0600);
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    server = server_free(server);
    config.listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    strcpy(address.sun_path, path);
    assert_int_equal(bind(config.listen_fd, (const struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(config.listen_fd, 8), 0);
    assert_int_equal(server_new(event, &config, dispatch, NULL, &server), 0);
    struct varlink *client = dial();
    ask(client, "Echo", "{}");
    assert_answer(client, "{\"parameters\":{}}");
    varlink_free(client);
    server = server_free(server);
    assert_int_equal(unlink(path), 0);
}

#define test(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        test(a_call_is_answered),
        test(pipelined_calls_are_answered_in_their_order),
        test(a_call_behind_one_that_takes_time_waits_for_it),
        test(what_is_no_call_gets_an_error_and_the_end),
        test(a_request_that_is_too_large_or_too_deep_is_told),
        test(the_largest_request_is_answered),
        test(half_a_message_and_the_end_is_forgotten),
        test(a_client_that_goes_is_told_to_its_call),
        test(a_client_that_sends_no_more_is_still_answered),
        test(a_call_that_wants_no_answer_gets_none),
        test(a_reader_that_is_behind_is_seen_and_catches_up),
        test(a_reader_that_never_reads_is_cut),
        test(clients_have_a_bound),
        test(one_user_never_has_all_places),
        test(without_descriptors_clients_are_turned_away),
        test(descriptors_come_with_their_call),
        test(a_value_goes_into_the_descriptor_or_beside),
        test(the_server_may_go_while_calls_wait),
        test(strangers_are_refused_and_groups_let_in),
        test(its_own_group_is_let_in_by_a_process_that_may_give_nothing_away),
        test(a_live_socket_is_not_taken_and_a_stale_one_is),
        test(a_path_that_cannot_be_bound_is_an_error),
        test(a_socket_that_was_handed_over_is_not_removed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
