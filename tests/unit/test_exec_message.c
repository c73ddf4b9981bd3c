/* SPDX-License-Identifier: MIT */

/* The messages between p2pnode and p2pnode-exec: what is said arrives, and nothing else does. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include "exec/message.h"

#define START                                                                                      \
    "{\"type\":\"start\",\"id\":1,\"network\":true,\"sandbox\":\"none\",\"environment\":[],"       \
    "\"inputs\":false,\"outs\":[],"
#define CONFIGURE(mode, network, paths, workers, interpreter)                                      \
    "{\"type\":\"configure\",\"mode\":\"" mode "\",\"network\":" network ",\"read\":[" paths       \
    "],\"write\":[],\"modules\":[],\"jobs_max\":1,\"idle\":0,\"workers\":" workers                 \
    ",\"interpreter\":\"" interpreter "\"}"

/* Encodes @message, decodes that into @ret and checks that the two have the same text. */
static void pass(const struct exec_message *message, struct exec_message *ret)
{
    char *text = NULL, *again = NULL;
    size_t size = 0, again_size = 0;

    assert_int_equal(exec_message_encode(message, &text, &size), 0);
    assert_int_equal(size, strlen(text));
    assert_int_equal(exec_message_decode(text, size, ret), 0);
    assert_int_equal(ret->type, message->type);
    assert_int_equal(exec_message_encode(ret, &again, &again_size), 0);
    assert_string_equal(again, text);
    free(text);
    free(again);
}

static void start_arrives_with_all_it_says(void **state)
{
    char echo[] = "echo", umlaut[] = "\303\244 \"\n", variable[] = "A=b=c";
    char *words[] = {echo, umlaut, NULL}, *environment[] = {variable, NULL};
    struct exec_message message = {.type = EXEC_START, .id = EXEC_ID_MAX}, read;

    (void)state;
    message.start = (struct exec_start){.words = words,
                                        .environment = environment,
                                        .network = true,
                                        .level = EXEC_LANDLOCK,
                                        .limits = {.memory_bytes = 1,
                                                   .file_size_bytes = 2,
                                                   .processes = 3,
                                                   .cpus_milli = 1500,
                                                   .timeout_usec = EXEC_ID_MAX,
                                                   .grace_usec = USEC_INFINITY}};
    pass(&message, &read);
    assert_true(read.id == EXEC_ID_MAX);
    assert_string_equal(read.start.words[0], echo);
    assert_string_equal(read.start.words[1], umlaut);
    assert_null(read.start.words[2]);
    assert_string_equal(read.start.environment[0], variable);
    assert_true(read.start.network);
    assert_int_equal(read.start.level, EXEC_LANDLOCK);
    assert_int_equal(read.start.limits.memory_bytes, 1);
    assert_int_equal(read.start.limits.file_size_bytes, 2);
    assert_int_equal(read.start.limits.processes, 3);
    assert_int_equal(read.start.limits.cpus_milli, 1500);
    assert_true(read.start.limits.timeout_usec == EXEC_ID_MAX);
    assert_int_equal(read.start.limits.grace_usec, 0);
    exec_message_done(&read);
}

static void a_function_has_no_words_and_one_more_descriptor(void **state _unused_)
{
    char *none[] = {NULL};
    struct exec_message message = {.type = EXEC_START, .id = 1}, read;

    message.start = (struct exec_start){
        .is_python = true, .words = none, .environment = none, .level = EXEC_NONE};
    pass(&message, &read);
    assert_true(read.start.is_python);
    assert_int_equal(exec_message_fds(&read), 4);
    read.start.is_python = false;
    assert_int_equal(exec_message_fds(&read), 3);
    exec_message_done(&read);
}

static void what_is_malformed_differs_from_what_is_not_by_one_thing(void **state _unused_)
{
    static const char *const right[] = {
        START "\"python\":true,\"words\":[]}", START "\"python\":false,\"words\":[\"x\"]}",
        START "\"python\":false,\"words\":[\"x\"],\"cpus\":1024000}",
        CONFIGURE("auto", "true", "\"/usr\"", "256", "/bin/p")};
    struct exec_message message;

    for (size_t i = 0; i < ARRAY_SIZE(right); i++) {
        assert_int_equal(exec_message_decode(right[i], strlen(right[i]), &message), 0);
        exec_message_done(&message);
    }
}

static void configure_hello_signal_and_started_arrive(void **state)
{
    char interpreter[] = "/usr/bin/python3", path[] = "/usr/lib", sentence[] = "no cgroup",
         version[] = "1.0";
    char *paths[] = {path, NULL}, *none[] = {NULL}, *missing[] = {sentence, NULL};
    struct exec_message message = {.type = EXEC_CONFIGURE}, read;

    (void)state;
    message.configure = (struct exec_configure){.python = {.interpreter = interpreter,
                                                           .workers = 2,
                                                           .jobs_max = 3,
                                                           .idle_usec = 4,
                                                           .modules = missing},
                                                .level = EXEC_NONE,
                                                .read = paths,
                                                .write = none};
    pass(&message, &read);
    assert_string_equal(read.configure.python.interpreter, interpreter);
    assert_int_equal(read.configure.python.workers, 2);
    assert_int_equal(read.configure.python.jobs_max, 3);
    assert_int_equal(read.configure.python.idle_usec, 4);
    assert_string_equal(read.configure.python.modules[0], sentence);
    assert_false(read.configure.is_auto);
    assert_int_equal(read.configure.level, EXEC_NONE);
    assert_string_equal(read.configure.read[0], path);
    assert_null(read.configure.write[0]);
    exec_message_done(&read);
    message = (struct exec_message){.type = EXEC_HELLO};
    message.hello = (struct exec_hello){version, EXEC_REFUSE, EXEC_NONE, missing};
    pass(&message, &read);
    assert_string_equal(read.hello.missing[0], sentence);
    assert_int_equal(read.hello.level, EXEC_REFUSE);
    exec_message_done(&read);
    message = (struct exec_message){.type = EXEC_SIGNAL, .id = 0, .signal = {15, USEC_INFINITY}};
    pass(&message, &read);
    assert_int_equal(read.signal.number, 15);
    assert_true(read.signal.grace_usec == USEC_INFINITY);
    message.signal.grace_usec = 0;
    pass(&message, &read);
    assert_true(read.signal.grace_usec == 0);
    message = (struct exec_message){.type = EXEC_STARTED, .id = 7, .started = {4711, 8000}};
    pass(&message, &read);
    assert_int_equal(read.started.pid, 4711);
    assert_int_equal(read.started.wall_usec, 8000);
}

static void every_way_to_end_arrives(void **state)
{
    struct exec_message message = {.type = EXEC_EXITED, .id = 1}, read;

    (void)state;
    message.exited = (struct exec_status){.code = 255, .pid = 4711, .wall_usec = 5, .user_usec = 6};
    pass(&message, &read);
    assert_int_equal(read.exited.pid, 4711);
    assert_int_equal(read.exited.code, 255);
    assert_int_equal(read.exited.wall_usec, 5);
    message.exited = (struct exec_status){.code = -1, .signal = 9, .timed_out = true};
    pass(&message, &read);
    assert_int_equal(read.exited.code, -1);
    assert_int_equal(read.exited.signal, 9);
    assert_true(read.exited.timed_out);
    assert_false(read.exited.is_oom);
    message.exited = (struct exec_status){.code = -1, .signal = 9, .is_oom = true};
    pass(&message, &read);
    assert_true(read.exited.is_oom && !read.exited.timed_out);
    message.exited = (struct exec_status){.code = -1, .error = -EPERM, .reason = "mount"};
    pass(&message, &read);
    assert_int_equal(read.exited.error, -EPERM);
    assert_int_equal(read.exited.code, -1);
    assert_string_equal(read.exited.reason, "mount");
}

static void malformed_messages_are_refused(void **state)
{
    static const char *const malformed[] = {
        "", "{}", "[]", "null", "{\"type\":\"exit\"}", "{\"type\":1}",
        /* a key too few, too many, of the wrong type or out of range */
        "{\"type\":\"signal\",\"id\":1}", "{\"type\":\"signal\",\"number\":9}",
        "{\"type\":\"signal\",\"id\":1,\"number\":9,\"more\":1}",
        "{\"type\":\"signal\",\"id\":1,\"number\":0}",
        "{\"type\":\"signal\",\"id\":1,\"number\":65}",
        "{\"type\":\"signal\",\"id\":1,\"number\":9.5}",
        "{\"type\":\"signal\",\"id\":1,\"number\":9,\"grace\":-1}",
        "{\"type\":\"signal\",\"id\":-1,\"number\":9}",
        "{\"type\":\"signal\",\"id\":\"1\",\"number\":9}",
        "{\"type\":\"signal\",\"id\":9007199254740992,\"number\":9}",
        "{\"type\":\"signal\",\"id\":1,\"number\":9}x",
        "{\"type\":\"started\",\"id\":1,\"pid\":4294967296,\"wall\":0}",
        "{\"type\":\"started\",\"id\":1,\"pid\":1}",
        "{\"type\":\"start\",\"id\":1,\"python\":false,\"network\":true,\"sandbox\":\"none\","
        "\"words\":[],"
        "\"environment\":[]}",
        "{\"type\":\"start\",\"id\":1,\"python\":false,\"network\":true,\"sandbox\":\"none\","
        "\"words\":[\"\"],"
        "\"environment\":[]}",
        "{\"type\":\"start\",\"id\":1,\"python\":false,\"network\":true,\"sandbox\":\"none\","
        "\"words\":[1],"
        "\"environment\":[]}",
        "{\"type\":\"start\",\"id\":1,\"python\":false,\"network\":true,\"sandbox\":\"none\","
        "\"words\":[\"x\"],"
        "\"environment\":[\"=b\"]}",
        "{\"type\":\"start\",\"id\":1,\"python\":false,\"network\":true,\"sandbox\":\"none\","
        "\"words\":[\"x\"],"
        "\"environment\":[\"b\"]}",
        "{\"type\":\"start\",\"id\":1,\"python\":false,\"network\":true,\"sandbox\":\"refuse\","
        "\"words\":[\"x\"],"
        "\"environment\":[]}",
        "{\"type\":\"start\",\"id\":1,\"python\":false,\"network\":true,\"sandbox\":\"none\","
        "\"words\":["
        "\"x\\u0000\"],"
        "\"environment\":[]}",
        START "\"python\":false,\"words\":[\"x\"],\"cpus\":1024001}",
        START "\"python\":true,\"words\":[\"x\"]}", START "\"python\":false,\"words\":[]}",
        CONFIGURE("refuse", "true", "", "2", "/bin/p"), CONFIGURE("auto", "1", "", "2", "/bin/p"),
        CONFIGURE("auto", "true", "\"usr\"", "2", "/bin/p"),
        CONFIGURE("auto", "true", "\"/a/../b\"", "2", "/bin/p"),
        CONFIGURE("auto", "true", "", "257", "/bin/p"), CONFIGURE("auto", "true", "", "2", "p"),
        "{\"type\":\"hello\",\"version\":\"1\",\"level\":\"none\",\"available\":\"refuse\","
        "\"missing\":[]}",
        "{\"type\":\"exited\",\"id\":1}", "{\"type\":\"exited\",\"id\":1,\"error\":1}",
        "{\"type\":\"exited\",\"id\":1,\"code\":256,\"timed_out\":false,\"pid\":1,\"wall\":0,"
        "\"user\":0,\"system\":0,\"memory_peak\":0}",
        "{\"type\":\"exited\",\"id\":1,\"code\":1,\"signal\":9,\"timed_out\":false,\"pid\":1,"
        "\"wall\":0,\"user\":0,\"system\":0,\"memory_peak\":0}"};
    struct exec_message untouched = {.id = 42};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(malformed); i++)
        if (exec_message_decode(malformed[i], strlen(malformed[i]), &untouched) != -EBADMSG)
            fail_msg("taken: %s", malformed[i]);
    assert_int_equal(untouched.id, 42);
}

static void lists_and_texts_are_taken_up_to_their_limits(void **state)
{
    static char word[] = "w", large[EXEC_MESSAGE_MAX];
    static char *words[EXEC_WORDS_MAX + 2], *none[] = {NULL};
    struct exec_message message = {.type = EXEC_START, .id = 1}, read;
    char *text = NULL, *single[] = {large, NULL};
    size_t size;

    (void)state;
    for (size_t i = 0; i < EXEC_WORDS_MAX; i++)
        words[i] = word;
    message.start = (struct exec_start){.words = words, .environment = none, .level = EXEC_NONE};
    pass(&message, &read);
    exec_message_done(&read);
    words[EXEC_WORDS_MAX] = word;
    assert_int_equal(exec_message_encode(&message, &text, &size), -EINVAL);
    /* The longest word that fits, and one byte more. */
    message.start.words = single;
    memset(large, 'x', 1);
    assert_int_equal(exec_message_encode(&message, &text, &size), 0);
    free(text);
    const size_t room = EXEC_MESSAGE_MAX - size + 1;
    memset(large, 'x', room);
    pass(&message, &read);
    exec_message_done(&read);
    large[room] = 'x';
    assert_int_equal(exec_message_encode(&message, &text, &size), -EMSGSIZE);
    memset(large, ' ', sizeof(large));
    assert_int_equal(exec_message_decode(large, sizeof(large), &read), -EBADMSG);
    assert_int_equal(exec_message_decode(large, sizeof(large) + 1, &read), -EMSGSIZE);
}

static void levels_have_names(void **state)
{
    enum exec_level level;

    (void)state;
    for (int i = 0; i < _EXEC_LEVEL_MAX; i++) {
        assert_int_equal(exec_level_from_name(exec_level_name((enum exec_level)i), &level), 0);
        assert_int_equal(level, i);
    }
    assert_int_equal(exec_level_from_name("Full", &level), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(start_arrives_with_all_it_says),
        cmocka_unit_test(a_function_has_no_words_and_one_more_descriptor),
        cmocka_unit_test(what_is_malformed_differs_from_what_is_not_by_one_thing),
        cmocka_unit_test(configure_hello_signal_and_started_arrive),
        cmocka_unit_test(every_way_to_end_arrives),
        cmocka_unit_test(malformed_messages_are_refused),
        cmocka_unit_test(lists_and_texts_are_taken_up_to_their_limits),
        cmocka_unit_test(levels_have_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
