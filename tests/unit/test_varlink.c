/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include "varlink/varlink.h"

/* Two ends of one connection: what "us" receives, "raw" or "them" sent. */
struct lab {
    struct varlink *us;
    struct varlink *them;
};

static int set_up(void **state)
{
    static struct lab lab;
    int sockets[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, sockets),
                     0);
    assert_int_equal(varlink_new(sockets[0], &lab.us), 0);
    assert_int_equal(varlink_new(sockets[1], &lab.them), 0);
    *state = &lab;
    return 0;
}

static int tear_down(void **state)
{
    struct lab *lab = *state;

    lab->us = varlink_free(lab->us);
    lab->them = varlink_free(lab->them);
    return 0;
}

/* With the NUL at the end of @text. */
static void send_raw(struct lab *lab, const char *text, size_t size)
{
    while (size > 0) {
        ssize_t count = send(varlink_fd(lab->them), text, size, MSG_NOSIGNAL);
        if (count < 0) {
            /* The socket is full: the other end must read. */
            assert_int_equal(errno, EAGAIN);
            assert_int_equal(varlink_receive(lab->us), 1);
            continue;
        }
        text += count;
        size -= (size_t)count;
    }
}

#define SEND(lab, text) send_raw(lab, text, sizeof(text))

/* Receives until a message or a failure comes. */
static int receive(struct lab *lab, struct varlink_message *ret)
{
    for (;;) {
        int r = varlink_next(lab->us, ret);
        if (r != 0)
            return r;
        r = varlink_receive(lab->us);
        if (r <= 0)
            return r;
    }
}

static int count_fds(void)
{
    int count = 0;

    for (int fd = 0; fd < 1024; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

static void a_message_may_come_in_pieces(void **state)
{
    static const char text[] = "{\"method\":\"org.p2pnode.Status\"}";
    _cleanup_varlink_message_ struct varlink_message message = VARLINK_MESSAGE_NULL;
    struct lab *lab = *state;

    for (size_t i = 0; i < sizeof(text); i++) {
        assert_int_equal(varlink_next(lab->us, &message), 0);
        send_raw(lab, text + i, 1);
        assert_int_equal(varlink_receive(lab->us), 1);
    }
    assert_int_equal(varlink_next(lab->us, &message), 1);
    assert_string_equal(cJSON_GetObjectItem(message.json, "method")->valuestring,
                        "org.p2pnode.Status");
    assert_int_equal(varlink_receive(lab->us), -EAGAIN);
}

static void many_messages_may_come_at_once(void **state)
{
    struct lab *lab = *state;

    SEND(lab, "{\"n\":1}\0{\"n\":2}\0{\"n\":3}");
    for (int n = 1; n <= 3; n++) {
        _cleanup_varlink_message_ struct varlink_message message = VARLINK_MESSAGE_NULL;
        assert_int_equal(receive(lab, &message), 1);
        assert_int_equal(cJSON_GetObjectItem(message.json, "n")->valueint, n);
    }
}

static void what_is_no_object_ends_the_connection(void **state)
{
    static const char *const texts[] = {"{\"a\":\"\\u0000\"}", "", "[]", "1", "{", "{}x",
                                        "{\"a\":\"\xff\"}"};
    struct lab *lab = *state;

    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        _cleanup_varlink_message_ struct varlink_message message = VARLINK_MESSAGE_NULL;
        send_raw(lab, texts[i], strlen(texts[i]) + 1);
        SEND(lab, "{\"too\":\"late\"}");
        int expected = i == 0 ? -EILSEQ : -EBADMSG;
        assert_int_equal(receive(lab, &message), expected);
        assert_int_equal(receive(lab, &message), expected);
        assert_int_equal(varlink_receive(lab->us), expected);
        tear_down(state);
        set_up(state);
    }
}

/* An object of exactly @size bytes. */
static void send_large(struct lab *lab, size_t size)
{
    _cleanup_free_ char *text = malloc(size + 1);

    assert_non_null(text);
    memset(text, 'x', size);
    memcpy(text, "{\"a\":\"", 6);
    memcpy(text + size - 2, "\"}", 3);
    send_raw(lab, text, size + 1);
}

static void a_message_has_at_most_one_mebibyte(void **state)
{
    _cleanup_varlink_message_ struct varlink_message message = VARLINK_MESSAGE_NULL;
    struct lab *lab = *state;

    send_large(lab, JSON_SIZE_MAX);
    assert_int_equal(receive(lab, &message), 1);
    varlink_message_done(&message);
    send_large(lab, JSON_SIZE_MAX + 1);
    assert_int_equal(receive(lab, &message), -EMSGSIZE);
}

static void a_client_takes_longer_answers(void **state)
{
    _cleanup_varlink_message_ struct varlink_message message = VARLINK_MESSAGE_NULL;
    struct lab *lab = *state;

    varlink_set_message_max(lab->us, 2 * JSON_SIZE_MAX);
    send_large(lab, 2 * JSON_SIZE_MAX);
    assert_int_equal(receive(lab, &message), 1);
    varlink_message_done(&message);
    send_large(lab, 2 * JSON_SIZE_MAX + 1);
    assert_int_equal(receive(lab, &message), -EMSGSIZE);
}

static void a_message_without_end_is_refused_before_it_ends(void **state)
{
    _cleanup_varlink_message_ struct varlink_message message = VARLINK_MESSAGE_NULL;
    _cleanup_free_ char *text = calloc(1, 65536);
    struct lab *lab = *state;
    size_t sent = 0;
    int r = 0;

    memset(text, 'x', 65536);
    for (; r == 0 && sent < 4 * JSON_SIZE_MAX; sent += 65536) {
        send_raw(lab, text, 65536);
        while (varlink_receive(lab->us) == 1 && r == 0)
            r = varlink_next(lab->us, &message);
    }
    assert_int_equal(r, -EMSGSIZE);
    assert_true(sent <= JSON_SIZE_MAX + 4 * 65536);
}

static void a_message_has_at_most_thirty_two_levels(void **state)
{
    _cleanup_varlink_message_ struct varlink_message message = VARLINK_MESSAGE_NULL;
    struct lab *lab = *state;
    char text[128];

    for (int depth = JSON_DEPTH_MAX; depth <= JSON_DEPTH_MAX + 1; depth++) {
        char *c = stpcpy(text, "{\"a\":");
        for (int i = 1; i < depth; i++)
            *c++ = '[';
        for (int i = 1; i < depth; i++)
            *c++ = ']';
        strcpy(c, "}");
        send_raw(lab, text, strlen(text) + 1);
        assert_int_equal(receive(lab, &message), depth == JSON_DEPTH_MAX ? 1 : -ELOOP);
        varlink_message_done(&message);
    }
}

static void an_end_inside_a_message_is_an_error(void **state)
{
    _cleanup_varlink_message_ struct varlink_message message = VARLINK_MESSAGE_NULL;
    struct lab *lab = *state;

    send_raw(lab, "{\"a\"", 4);
    lab->them = varlink_free(lab->them);
    assert_int_equal(receive(lab, &message), -EBADMSG);
}

static void an_end_between_messages_is_the_end(void **state)
{
    _cleanup_varlink_message_ struct varlink_message message = VARLINK_MESSAGE_NULL;
    struct lab *lab = *state;

    SEND(lab, "{}");
    lab->them = varlink_free(lab->them);
    assert_int_equal(receive(lab, &message), 1);
    varlink_message_done(&message);
    assert_int_equal(receive(lab, &message), 0);
}

static void queue_number(struct varlink *varlink, int number, const int *fds, size_t fds_count)
{
    _cleanup_json_ cJSON *json = cJSON_CreateObject();

    json_add_i64(json, "n", number);
    assert_int_equal(varlink_queue(varlink, json, fds, fds_count), 0);
}

/* A file that can be told from others by its size. */
static int make_file(int size)
{
    int fd = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, size), 0);
    return fd;
}

static void descriptors_stay_with_their_message(void **state)
{
    struct lab *lab = *state;

    /* Glued together by the kernel: 1 without, 2 with one, 3 with two, 4 without. */
    for (int number = 1; number <= 4; number++) {
        int fds[2] = {make_file(number * 10), make_file(number * 10 + 1)};
        queue_number(lab->them, number, fds, number == 4 ? 0 : (size_t)number - 1);
        close(fds[0]);
        close(fds[1]);
    }
    assert_int_equal(varlink_flush(lab->them), 0);
    for (int number = 1; number <= 4; number++) {
        _cleanup_varlink_message_ struct varlink_message message = VARLINK_MESSAGE_NULL;
        assert_int_equal(receive(lab, &message), 1);
        assert_int_equal(cJSON_GetObjectItem(message.json, "n")->valueint, number);
        assert_int_equal(message.fds_count, number == 4 ? 0 : number - 1);
        for (size_t i = 0; i < message.fds_count; i++) {
            struct stat status;
            assert_int_equal(fstat(message.fds[i], &status), 0);
            assert_int_equal(status.st_size, number * 10 + (int)i);
        }
    }
}

static void a_descriptor_stays_with_a_message_larger_than_the_socket(void **state)
{
    _cleanup_varlink_message_ struct varlink_message first = VARLINK_MESSAGE_NULL;
    _cleanup_varlink_message_ struct varlink_message second = VARLINK_MESSAGE_NULL;
    _cleanup_json_ cJSON *json = cJSON_CreateObject();
    _cleanup_free_ char *text = malloc(900001);
    _cleanup_close_ int fd = make_file(7);
    struct lab *lab = *state;
    int r;

    memset(text, 'x', 900000);
    text[900000] = '\0';
    json_add_string(json, "a", text);
    queue_number(lab->them, 1, NULL, 0);
    assert_int_equal(varlink_queue(lab->them, json, &fd, 1), 0);
    do {
        r = varlink_flush(lab->them);
        assert_true(r >= 0);
        while (varlink_receive(lab->us) == 1)
            continue;
    } while (r > 0);
    assert_int_equal(receive(lab, &first), 1);
    assert_int_equal(first.fds_count, 0);
    assert_int_equal(receive(lab, &second), 1);
    assert_int_equal(second.fds_count, 1);
}

static void no_descriptor_is_left_behind(void **state)
{
    struct lab *lab = *state;
    int before = count_fds(), fds[VARLINK_FDS_MAX];

    for (size_t i = 0; i < VARLINK_FDS_MAX; i++)
        fds[i] = make_file(1);
    for (int i = 0; i < 3; i++)
        queue_number(lab->them, i, fds, VARLINK_FDS_MAX);
    assert_int_equal(varlink_flush(lab->them), 0);
    queue_number(lab->them, 4, fds, 1);
    for (size_t i = 0; i < VARLINK_FDS_MAX; i++)
        close(fds[i]);
    struct varlink_message message = VARLINK_MESSAGE_NULL;
    assert_int_equal(receive(lab, &message), 1);
    assert_int_equal(message.fds_count, VARLINK_FDS_MAX);
    varlink_message_done(&message);
    assert_int_equal(varlink_receive(lab->us), 1);
    tear_down(state);
    assert_int_equal(count_fds(), before - 2);
    set_up(state);
}

/* @count descriptors with one message, past what varlink_queue() allows. */
static void send_fds(struct lab *lab, const char *text, size_t size, size_t count)
{
    union {
        char bytes[CMSG_SPACE((VARLINK_FDS_MAX + 1) * sizeof(int))];
        struct cmsghdr alignment;
    } control = {0};
    struct iovec vector = {0};
    struct msghdr header = {.msg_iov = &vector, .msg_iovlen = 1, .msg_control = control.bytes};

    memcpy(&vector.iov_base, &text, sizeof(text));
    vector.iov_len = size;
    header.msg_controllen = CMSG_SPACE(count * sizeof(int));
    struct cmsghdr *rights = CMSG_FIRSTHDR(&header);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(count * sizeof(int));
    for (size_t i = 0; i < count; i++) {
        int fd = varlink_fd(lab->them);
        memcpy(CMSG_DATA(rights) + i * sizeof(int), &fd, sizeof(fd));
    }
    assert_true(sendmsg(varlink_fd(lab->them), &header, MSG_NOSIGNAL) > 0);
}

static void too_many_descriptors_end_the_connection(void **state)
{
    struct lab *lab = *state;

    send_fds(lab, "{}", 3, VARLINK_FDS_MAX + 1);
    assert_int_equal(varlink_receive(lab->us), -EPROTO);
    assert_int_equal(varlink_receive(lab->us), -EPROTO);
}

static void descriptors_cannot_pile_up_in_one_message(void **state)
{
    struct lab *lab = *state;
    int r = 1, count = 0;

    /* A byte and as many descriptors as may come at a time, never a NUL. */
    for (; r == 1 && count < 100; count++) {
        send_fds(lab, "x", 1, VARLINK_FDS_MAX);
        r = varlink_receive(lab->us);
    }
    assert_int_equal(r, -EPROTO);
    assert_true(count <= 5);
}

static void a_reader_that_does_not_read_is_dropped(void **state)
{
    _cleanup_json_ cJSON *json = cJSON_CreateObject();
    _cleanup_free_ char *text = malloc(900001);
    struct lab *lab = *state;
    int r = 0;

    memset(text, 'x', 900000);
    text[900000] = '\0';
    json_add_string(json, "a", text);
    for (int i = 0; i < 100 && r == 0; i++)
        r = varlink_queue(lab->us, json, NULL, 0);
    assert_int_equal(r, -ENOBUFS);
    assert_true(varlink_pending(lab->us) <= VARLINK_OUTPUT_MAX);
    assert_int_equal(varlink_flush(lab->us), 1);
    assert_true(varlink_pending(lab->us) > 0);
}

static void writing_to_one_who_left_is_an_error(void **state)
{
    struct lab *lab = *state;

    lab->them = varlink_free(lab->them);
    queue_number(lab->us, 1, NULL, 0);
    assert_int_equal(varlink_flush(lab->us), -EPIPE);
}

static int parse_call(const char *text, struct varlink_call *ret)
{
    _cleanup_json_ cJSON *json = NULL;

    assert_int_equal(json_parse(text, strlen(text), &json), 0);
    return varlink_parse_call(json, ret);
}

static void a_call_is_read_strictly(void **state)
{
    static const char *const wrong[] = {
        "{}",
        "{\"method\":1}",
        "{\"method\":\"a.B\",\"parameters\":[]}",
        "{\"method\":\"a.B\",\"more\":1}",
        "{\"method\":\"a.B\",\"upgrade\":true}",
        "{\"method\":\"a.B\",\"more\":true,\"oneway\":true}",
        "{\"method\":\"a.B\",\"surprise\":1}",
    };
    struct varlink_call call;

    (void)state;
    assert_int_equal(parse_call("{\"method\":\"a.B\",\"more\":true}", &call), 0);
    assert_true(call.more && !call.oneway && !call.parameters);
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
        assert_int_equal(parse_call(wrong[i], &call), -EBADMSG);
}

static void a_reply_always_has_parameters(void **state)
{
    struct varlink_reply reply;
    _cleanup_json_ cJSON *plain = NULL, *wrong = NULL;

    (void)state;
    assert_int_equal(json_parse("{}", 2, &plain), 0);
    assert_int_equal(varlink_parse_reply(plain, &reply), 0);
    assert_true(cJSON_IsObject(reply.parameters) && !reply.error && !reply.continues);
    assert_int_equal(json_parse("{\"error\":1}", 11, &wrong), 0);
    assert_int_equal(varlink_parse_reply(wrong, &reply), -EBADMSG);
}

static void what_is_built_can_be_read(void **state)
{
    _cleanup_json_ cJSON *call_json = varlink_build_call("a.B", NULL, true);
    _cleanup_json_ cJSON *reply_json = varlink_build_reply(cJSON_CreateObject(), true);
    _cleanup_json_ cJSON *error_json = varlink_build_error("a.C", NULL);
    struct varlink_reply reply;
    struct varlink_call call;

    (void)state;
    assert_int_equal(varlink_parse_call(call_json, &call), 0);
    assert_true(call.more && strcmp(call.method, "a.B") == 0);
    assert_int_equal(varlink_parse_reply(reply_json, &reply), 0);
    assert_true(reply.continues && !reply.error);
    assert_int_equal(varlink_parse_reply(error_json, &reply), 0);
    assert_string_equal(reply.error, "a.C");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(a_message_may_come_in_pieces),
        TEST(many_messages_may_come_at_once),
        TEST(what_is_no_object_ends_the_connection),
        TEST(a_message_has_at_most_one_mebibyte),
        TEST(a_client_takes_longer_answers),
        TEST(a_message_without_end_is_refused_before_it_ends),
        TEST(a_message_has_at_most_thirty_two_levels),
        TEST(an_end_inside_a_message_is_an_error),
        TEST(an_end_between_messages_is_the_end),
        TEST(descriptors_stay_with_their_message),
        TEST(a_descriptor_stays_with_a_message_larger_than_the_socket),
        TEST(no_descriptor_is_left_behind),
        TEST(too_many_descriptors_end_the_connection),
        TEST(descriptors_cannot_pile_up_in_one_message),
        TEST(a_reader_that_does_not_read_is_dropped),
        TEST(writing_to_one_who_left_is_an_error),
        cmocka_unit_test(a_call_is_read_strictly),
        cmocka_unit_test(a_reply_always_has_parameters),
        cmocka_unit_test(what_is_built_can_be_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
