/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/macro.h"
#include "data/part.h"

/* The part of an earlier get, whose descriptor the daemon has as long as it did not notice that
 * its client is gone. */

static int held_fd = -EBADF; /* the daemon's */
static unsigned calls;       /* of flock() */
static unsigned release_at;  /* the call before which the daemon lets go; 0 = never */

int flock(int fd, int operation)
{
    if (++calls == release_at)
        held_fd = close_fd(held_fd);
    return (int)syscall(SYS_flock, fd, operation);
}

static int send_fd(int socket, int fd)
{
    union {
        char space[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control = {.space = ""};
    char byte = 'x';
    struct iovec iov = {.iov_base = &byte, .iov_len = 1};
    struct msghdr message = {.msg_iov = &iov,
                             .msg_iovlen = 1,
                             .msg_control = control.space,
                             .msg_controllen = sizeof(control.space)};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);

    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(header), &fd, sizeof(fd));
    return sendmsg(socket, &message, 0) == 1 ? 0 : -1;
}

static int receive_fd(int socket)
{
    union {
        char space[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control;
    char byte;
    struct iovec iov = {.iov_base = &byte, .iov_len = 1};
    struct msghdr message = {.msg_iov = &iov,
                             .msg_iovlen = 1,
                             .msg_control = control.space,
                             .msg_controllen = sizeof(control.space)};
    int fd;

    assert_int_equal(recvmsg(socket, &message, MSG_CMSG_CLOEXEC), 1);
    assert_non_null(CMSG_FIRSTHDR(&message));
    memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(fd));
    return fd;
}

/* A client that gives its part away, and goes when its socket is closed. */
static pid_t begin_get(const char *target, int *ret_socket)
{
    int sockets[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets), 0);
    pid_t pid = fork();
    if (pid == 0) {
        struct part part = PART_NONE;
        char byte;
        close(sockets[0]);
        if (part_open_again(target, &part) == 0 && send_fd(sockets[1], part.fd) == 0)
            (void)!read(sockets[1], &byte, 1);
        _exit(0);
    }
    assert_true(pid > 0);
    close(sockets[1]);
    held_fd = receive_fd(sockets[0]);
    *ret_socket = sockets[0];
    return pid;
}

static void end_get(pid_t pid, int socket)
{
    close(socket);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

struct room {
    char directory[32];
    char target[48];
};

static int room_setup(void **state)
{
    struct room *room = calloc(1, sizeof(*room));

    strcpy(room->directory, "/tmp/p2pctl-part-XXXXXX");
    if (!mkdtemp(room->directory))
        return -1;
    strcpy(room->target, room->directory);
    strcat(room->target, "/target");
    calls = release_at = 0;
    *state = room;
    return 0;
}

static int room_teardown(void **state)
{
    struct room *room = *state;
    int r = rmdir(room->directory);

    free(room);
    return r;
}

static void what_a_dead_client_left_is_gone_on_with_at_once(void **state)
{
    const struct room *room = *state;
    struct part part = PART_NONE;
    int socket;
    pid_t pid = begin_get(room->target, &socket);

    end_get(pid, socket);
    release_at = 4;
    assert_int_equal(part_open_again(room->target, &part), 0);
    assert_int_equal(calls, 4);
    assert_true(part.is_resumable);
    part_done(&part);
}

static void what_another_works_on_is_left_to_it(void **state)
{
    const struct room *room = *state;
    struct part part = PART_NONE, first = PART_NONE;
    int socket;
    pid_t pid = begin_get(room->target, &socket);

    assert_int_equal(part_open_again(room->target, &part), 0);
    assert_int_equal(calls, 1);
    assert_false(part.is_resumable);
    part_done(&part);
    end_get(pid, socket);
    held_fd = close_fd(held_fd);
    assert_int_equal(part_open_again(room->target, &first), 0);
    assert_true(first.is_resumable);
    part_done(&first);
}

static void what_was_held_too_long_goes_once_the_target_is_there(void **state)
{
    const struct room *room = *state;
    struct part part = PART_NONE;
    int socket;
    pid_t pid = begin_get(room->target, &socket);

    end_get(pid, socket);
    assert_int_equal(part_open_again(room->target, &part), 0);
    assert_false(part.is_resumable);
    release_at = calls + 4;
    assert_int_equal(part_rename(&part, room->target, NULL), 0);
    assert_int_equal(calls, release_at);
    part_done(&part);
    assert_int_equal(unlink(room->target), 0); /* and nothing else is there: room_teardown() */
}

#define test(name) cmocka_unit_test_setup_teardown(name, room_setup, room_teardown)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        test(what_a_dead_client_left_is_gone_on_with_at_once),
        test(what_another_works_on_is_left_to_it),
        test(what_was_held_too_long_goes_once_the_target_is_there),
    };

    return cmocka_run_group_tests_name("ctl/part", tests, NULL, NULL);
}
