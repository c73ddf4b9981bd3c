/* SPDX-License-Identifier: MIT */

/* The messages between p2pnode and p2pnode-exec: what is said arrives, and nothing else does. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include "base/bytes.h"
#include "base/text.h"
#include "exec/message.h"

/* A message and its bytes. */
struct sample {
    struct exec_message message;
    uint8_t bytes[1024];
    size_t size;
};

static void encode(struct sample *sample)
{
    _cleanup_free_ void *data = NULL;

    assert_int_equal(exec_message_encode(&sample->message, &data, &sample->size), 0);
    assert_true(sample->size <= sizeof(sample->bytes));
    memcpy(sample->bytes, data, sample->size);
}

/* Encodes @message, decodes that into @ret and checks that the two have the same bytes. */
static void pass(const struct exec_message *message, struct exec_message *ret)
{
    _cleanup_free_ void *data = NULL, *again = NULL;
    size_t size = 0, again_size = 0;

    assert_int_equal(exec_message_encode(message, &data, &size), 0);
    assert_int_equal(exec_message_decode(data, size, ret), 0);
    assert_int_equal(ret->type, message->type);
    assert_int_equal(exec_message_encode(ret, &again, &again_size), 0);
    assert_int_equal(again_size, size);
    assert_memory_equal(again, data, size);
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
                                                .network = true,
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

static char word[] = "word", variable[] = "A=b", path[] = "/usr", interpreter[] = "/bin/p",
            version[] = "1", *none[] = {NULL}, *words[] = {word, NULL},
            *variables[] = {variable, NULL}, *paths[] = {path, NULL};

static struct sample signal_sample(void)
{
    struct sample sample = {.message = {.type = EXEC_SIGNAL, .id = 1, .signal = {9, 5}}};

    encode(&sample);
    return sample;
}

static struct sample started_sample(void)
{
    struct sample sample = {.message = {.type = EXEC_STARTED, .id = 1, .started = {1, 2}}};

    encode(&sample);
    return sample;
}

static struct sample start_sample(bool is_python)
{
    struct sample sample = {.message = {.type = EXEC_START, .id = 1}};

    sample.message.start = (struct exec_start){.is_python = is_python,
                                               .words = is_python ? none : words,
                                               .environment = variables,
                                               .level = EXEC_NONE};
    encode(&sample);
    return sample;
}

static struct sample configure_sample(void)
{
    struct sample sample = {.message = {.type = EXEC_CONFIGURE}};

    sample.message.configure = (struct exec_configure){
        .python = {interpreter, 1, 1, 1, none}, .level = EXEC_FULL, .read = paths, .write = none};
    encode(&sample);
    return sample;
}

static struct sample hello_sample(void)
{
    struct sample sample = {.message = {.type = EXEC_HELLO}};

    sample.message.hello = (struct exec_hello){version, EXEC_NONE, EXEC_FULL, none};
    encode(&sample);
    return sample;
}

static struct sample exited_sample(int error)
{
    struct sample sample = {.message = {.type = EXEC_EXITED, .id = 1}};

    sample.message.exited =
        (struct exec_status){.code = 1, .error = error, .reason = "word", .pid = 1};
    encode(&sample);
    return sample;
}

static void refuse(const struct sample *sample, const char *what, size_t number)
{
    struct exec_message untouched = {.id = 42};

    if (exec_message_decode(sample->bytes, sample->size, &untouched) != -EBADMSG)
        fail_msg("type %d was taken with %s, %zu", (int)sample->message.type, what, number);
    assert_int_equal(untouched.id, 42);
}

static void take(const struct sample *sample)
{
    struct exec_message message;

    assert_int_equal(exec_message_decode(sample->bytes, sample->size, &message), 0);
    exec_message_done(&message);
}

static void a_byte_less_or_more_is_refused(void **state _unused_)
{
    struct sample samples[] = {signal_sample(),    started_sample(),     start_sample(false),
                               start_sample(true), hello_sample(),       configure_sample(),
                               exited_sample(0),   exited_sample(-EPERM)};

    for (size_t i = 0; i < ARRAY_SIZE(samples); i++) {
        const size_t size = samples[i].size;
        take(&samples[i]);
        samples[i].bytes[size] = 0;
        samples[i].size = size + 1;
        refuse(&samples[i], "a byte more", size);
        for (samples[i].size = 0; samples[i].size < size; samples[i].size++)
            refuse(&samples[i], "bytes less", size - samples[i].size);
    }
}

/* Number @index of the 8-byte integers that a message begins with. */
static void put(struct sample *sample, size_t index, uint64_t value)
{
    struct writer writer = writer_into(sample->bytes + 8 * index, 8);

    writer_u64(&writer, value);
}

static void numbers_out_of_range_are_refused(void **state _unused_)
{
    const struct {
        struct sample sample;
        size_t index;
        uint64_t last, beyond; /* that is taken, that is not */
    } numbers[] = {
        {signal_sample(), 0, EXEC_SIGNAL, _EXEC_MESSAGE_TYPE_MAX},
        {signal_sample(), 1, EXEC_ID_MAX, EXEC_ID_MAX + 1},
        {signal_sample(), 2, 64, 65},
        {signal_sample(), 2, 1, 0},
        {started_sample(), 2, INT32_MAX, (uint64_t)INT32_MAX + 1},
        {started_sample(), 3, EXEC_ID_MAX, EXEC_ID_MAX + 1},
        {start_sample(false), 2, false, true}, /* a function has no words */
        {start_sample(true), 2, true, false},  /* and a command has */
        {start_sample(true), 2, true, 2},
        {start_sample(false), 3, true, 2},
        {start_sample(false), 4, EXEC_NONE, EXEC_REFUSE},
        {start_sample(false), 4, EXEC_FULL, _EXEC_LEVEL_MAX},
        {start_sample(false), 5, EXEC_ID_MAX, EXEC_ID_MAX + 1},
        {start_sample(false), 8, EXEC_CPUS_MAX * 1000, EXEC_CPUS_MAX * 1000 + 1},
        {start_sample(false), 11, true, 2},
        {start_sample(false), 14, 1, EXEC_WORDS_MAX + 1},
        {configure_sample(), 2, EXEC_NONE, EXEC_REFUSE},
        {configure_sample(), 3, true, 2},
        {configure_sample(), 4, EXEC_WORKERS_MAX, EXEC_WORKERS_MAX + 1},
        {configure_sample(), 5, 1, 0},
        {exited_sample(0), 2, 0, 3},
        {exited_sample(0), 3, 255, 256},
        {exited_sample(0), 6, INT32_MAX, (uint64_t)INT32_MAX + 1},
        {exited_sample(0), 11, 4095, 4096},
        {exited_sample(0), 11, 0, (uint64_t)INT32_MAX + 1}, /* which has no opposite */
        {exited_sample(0), 12, 0, 1},                       /* results of no size */
        {exited_sample(-EPERM), 3, 1, 0},
    };

    for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
        struct sample sample = numbers[i].sample;
        put(&sample, numbers[i].index, numbers[i].last);
        take(&sample);
        put(&sample, numbers[i].index, numbers[i].beyond);
        refuse(&sample, "the wrong number", numbers[i].index);
    }
}

static void texts_that_are_none_are_refused(void **state _unused_)
{
    const struct {
        struct sample sample;
        const char *before, *after;
    } texts[] = {
        {start_sample(false), "word", "w\0rd"},    {start_sample(false), "word", "w\377rd"},
        {start_sample(false), "A=b", "=Ab"},       {start_sample(false), "A=b", "Aab"},
        {configure_sample(), "/usr", "usr/"},      {configure_sample(), "/usr", "/a/."},
        {configure_sample(), "/bin/p", "bin//p"},  {exited_sample(-EPERM), "word", "w\0rd"},
        {exited_sample(-EPERM), "word", "w\377rd"}};

    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        struct sample sample = texts[i].sample;
        size_t length = strlen(texts[i].before);
        uint8_t *place = memmem(sample.bytes, sample.size, texts[i].before, length);
        assert_non_null(place);
        take(&sample);
        memcpy(place, texts[i].after, length);
        refuse(&sample, "the wrong text", i);
    }
}

static void what_would_be_refused_is_not_said(void **state _unused_)
{
    char many[NODE_NAME_MAX + 2], empty[] = "", *no_word[] = {empty, NULL};
    struct sample samples[] = {signal_sample(),     start_sample(false), start_sample(false),
                               start_sample(false), configure_sample(),  hello_sample(),
                               hello_sample(),      exited_sample(0)};
    void *data = NULL;
    size_t size;

    memset(many, 'x', sizeof(many) - 1);
    many[sizeof(many) - 1] = '\0';
    samples[0].message.signal.number = 0;
    samples[1].message.start.words = none;
    samples[2].message.start.words = no_word;
    samples[3].message.start.environment = words;
    samples[4].message.configure.write = words;
    samples[5].message.hello.available = EXEC_REFUSE;
    samples[6].message.hello.version = many;
    samples[7].message.exited.code = 256;
    for (size_t i = 0; i < ARRAY_SIZE(samples); i++)
        assert_int_equal(exec_message_encode(&samples[i].message, &data, &size), -EINVAL);
    many[NODE_NAME_MAX] = '\0';
    assert_int_equal(exec_message_encode(&samples[6].message, &data, &size), 0);
    free(data);
}

static void lists_and_texts_are_taken_up_to_their_limits(void **state)
{
    static char letter[] = "w", large[EXEC_MESSAGE_MAX];
    static char *letters[EXEC_WORDS_MAX + 2];
    struct exec_message message = {.type = EXEC_START, .id = 1}, read;
    char longest[UINT16_MAX + 2] = "", *filling[] = {longest, longest, large, NULL};
    char *single[] = {longest, NULL};
    void *data = NULL;
    size_t size;

    (void)state;
    for (size_t i = 0; i < EXEC_WORDS_MAX; i++)
        letters[i] = letter;
    message.start = (struct exec_start){.words = letters, .environment = none, .level = EXEC_NONE};
    pass(&message, &read);
    exec_message_done(&read);
    letters[EXEC_WORDS_MAX] = letter;
    assert_int_equal(exec_message_encode(&message, &data, &size), -EINVAL);
    /* The longest word, and the longest message; and one byte more of each. */
    message.start.words = single;
    memset(longest, 'x', UINT16_MAX);
    pass(&message, &read);
    exec_message_done(&read);
    longest[UINT16_MAX] = 'x';
    assert_int_equal(exec_message_encode(&message, &data, &size), -EMSGSIZE);
    longest[UINT16_MAX] = '\0';
    message.start.words = filling;
    memset(large, 'x', 1);
    assert_int_equal(exec_message_encode(&message, &data, &size), 0);
    free(data);
    const size_t room = EXEC_MESSAGE_MAX - size + 1;
    memset(large, 'x', room);
    pass(&message, &read);
    exec_message_done(&read);
    large[room] = 'x';
    assert_int_equal(exec_message_encode(&message, &data, &size), -EMSGSIZE);
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
        cmocka_unit_test(configure_hello_signal_and_started_arrive),
        cmocka_unit_test(every_way_to_end_arrives),
        cmocka_unit_test(a_byte_less_or_more_is_refused),
        cmocka_unit_test(numbers_out_of_range_are_refused),
        cmocka_unit_test(texts_that_are_none_are_refused),
        cmocka_unit_test(what_would_be_refused_is_not_said),
        cmocka_unit_test(lists_and_texts_are_taken_up_to_their_limits),
        cmocka_unit_test(levels_have_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
