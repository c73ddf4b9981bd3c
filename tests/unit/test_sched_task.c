/* SPDX-License-Identifier: MIT */
#include "sched/task_json.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

static struct task_spec spec_of(const char *type, uint64_t number)
{
    struct task_spec spec = {.type_number = number};

    (void)snprintf(spec.type, sizeof(spec.type), "%s", type);
    return spec;
}

static void ids_are_read_as_they_are_written(void **state _unused_)
{
    char text[TASK_ID_TEXT_MAX], origin[NODE_NAME_MAX + 1];
    uint64_t number;

    assert_string_equal(task_id_format(42, "lab-01", text), "42@lab-01");
    assert_int_equal(task_id_parse(text, "", &number, origin), 0);
    assert_int_equal(number, 42);
    assert_string_equal(origin, "lab-01");
    assert_int_equal(task_id_parse("w7", "w", &number, origin), 0);
    assert_int_equal(number, 7);
    assert_string_equal(origin, "");
    static const char *const bad[] = {"",
                                      "0",
                                      "042",
                                      "-1",
                                      "4x",
                                      "42@",
                                      "42@-x",
                                      "w42",
                                      "42@a b",
                                      "@lab1",
                                      "99999999999999999999"};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_int_equal(task_id_parse(bad[i], "", &number, origin), -EINVAL);
}

static void states_have_the_names_of_the_contract(void **state _unused_)
{
    for (int i = 0; i < _TASK_STATE_MAX; i++)
        assert_int_equal(task_state_parse(task_state_name((enum task_state)i)), i);
    assert_string_equal(task_state_name(TASK_TIMED_OUT), "timed-out");
    assert_int_equal(task_state_parse("dead"), -EINVAL);
    assert_false(task_state_is_final(TASK_PENDING));
    assert_false(task_state_is_final(TASK_RUNNING));
    assert_true(task_state_is_final(TASK_UNKNOWN));
    assert_int_equal(task_retry_on_parse("exit"), TASK_RETRY_EXIT);
    assert_int_equal(task_retry_on_parse("never"), -EINVAL);
}

static void words_are_bounded_in_number_and_in_bytes(void **state _unused_)
{
    _cleanup_(task_words_done) struct task_words many = {0}, large = {0};
    char *word = malloc(TASK_WORDS_SIZE + 1);

    assert_non_null(word);
    for (int i = 0; i < TASK_WORDS_MAX; i++)
        assert_int_equal(task_words_add(&many, "x"), 0);
    assert_int_equal(task_words_add(&many, "x"), -E2BIG);
    memset(word, 'x', TASK_WORDS_SIZE);
    word[TASK_WORDS_SIZE] = '\0';
    assert_int_equal(task_words_add(&large, word), -E2BIG);
    word[TASK_WORDS_SIZE - 1] = '\0';
    assert_int_equal(task_words_add(&large, word), 0);
    assert_int_equal(task_words_add(&large, ""), -E2BIG);
    free(word);
}

static void bad_specifications_are_refused_with_a_sentence(void **state _unused_)
{
    char reason[TASK_REASON_MAX + 1];
    struct task_spec spec = spec_of("a", 1);

    assert_int_equal(task_spec_check(&spec, reason), 0);
    spec = spec_of("a1", 1);
    assert_int_equal(task_spec_check(&spec, reason), -EINVAL);
    assert_string_equal(reason, "a task type is 1 to 32 letters");
    spec = spec_of("cmd", 0);
    spec.is_command = true;
    assert_int_equal(task_spec_check(&spec, reason), -EINVAL);
    assert_string_equal(reason, "a command needs at least one word");
    spec = spec_of("a", 1);
    (void)snprintf(spec.name, sizeof(spec.name), "a\nb");
    assert_int_equal(task_spec_check(&spec, reason), -EINVAL);
    spec = spec_of("a", 1);
    (void)snprintf(spec.node, sizeof(spec.node), "../x");
    assert_int_equal(task_spec_check(&spec, reason), -EINVAL);
    spec = spec_of("a", 1);
    (void)snprintf(spec.select, sizeof(spec.select), "gpu");
    assert_int_equal(task_spec_check(&spec, reason), -EINVAL);
    spec = spec_of("a", 1);
    spec.retries = TASK_RETRIES_MAX + 1;
    assert_int_equal(task_spec_check(&spec, reason), -EINVAL);
    spec.retries = TASK_RETRIES_MAX;
    spec.slots = TASK_SLOTS_MAX + 1;
    assert_int_equal(task_spec_check(&spec, reason), -EINVAL);
    spec.slots = TASK_SLOTS_MAX;
    assert_int_equal(task_spec_check(&spec, reason), 0);
    spec.cpus_milli = TASK_CPUS_MIN - 1;
    assert_int_equal(task_spec_check(&spec, reason), -EINVAL);
    assert_string_equal(reason, "a limit of CPUs is 0.01 to 1024");
    spec.cpus_milli = TASK_CPUS_MAX * 1000 + 1;
    assert_int_equal(task_spec_check(&spec, reason), -EINVAL);
    spec.cpus_milli = TASK_CPUS_MAX * 1000;
    assert_int_equal(task_spec_check(&spec, reason), 0);
    spec.cpus_milli = TASK_CPUS_MIN;
    assert_int_equal(task_spec_check(&spec, reason), 0);
}

static void text_is_cut_between_characters_and_cleaned(void **state _unused_)
{
    char small[8];

    assert_string_equal(task_format_text(small, sizeof(small), "abcdef%s", "\xc3\xa4"), "abcdef");
    assert_string_equal(task_format_text(small, sizeof(small), "abcde%s", "\xc3\xa4"),
                        "abcde\xc3\xa4");
    assert_string_equal(task_format_text(small, sizeof(small), "%s", "a\x1b\xff\n"), "a???");
    assert_string_equal(task_format_text(small, sizeof(small), "%s", "\xe2\x82"), "??");
}

static void run_times_are_short(void **state _unused_)
{
    static const struct {
        usec_t usec;
        const char *text;
    } cases[] = {
        {0, "0ms"},           {999999, "999ms"},
        {1000000, "1s"},      {1840000, "1.84s"},
        {8800000, "8.8s"},    {8007123, "8s"},
        {59999999, "59.99s"}, {60000000, "1min"},
        {61500000, "61s"},    {300 * USEC_PER_SEC, "5min"},
    };
    char text[32];

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        assert_string_equal(task_format_run(cases[i].usec, text), cases[i].text);
}

static void ends_read_as_people_expect(void **state _unused_)
{
    char text[TASK_REASON_MAX + 1];
    struct task_end end = {.type = TASK_END_EXIT, .code = 1};

    assert_string_equal(task_end_format(&end, text), "exit 1");
    end.is_oom = true;
    assert_string_equal(task_end_format(&end, text), "out of memory (exit 1)");
    end.is_oom = false;
    assert_int_equal(task_end_get_state(&end), TASK_FAILED);
    end.code = 0;
    assert_int_equal(task_end_get_state(&end), TASK_SUCCEEDED);
    end = (struct task_end){.type = TASK_END_SIGNAL, .code = 9, .is_oom = true};
    assert_string_equal(task_end_format(&end, text), "out of memory (signal 9)");
    end = (struct task_end){.type = TASK_END_TIMED_OUT, .run_usec = 1500 * USEC_PER_MSEC};
    assert_string_equal(task_end_format(&end, text), "timed out after 1.5s");
    strcpy(end.text, "1s");
    assert_string_equal(task_end_format(&end, text), "timed out after 1s");
    assert_int_equal(task_end_get_state(&end), TASK_TIMED_OUT);
    end = (struct task_end){.type = TASK_END_NOT_RUN, .code = ENOENT, .text = "no such file"};
    assert_string_equal(task_end_format(&end, text), "cannot start: no such file");
    end = (struct task_end){.type = TASK_END_STOPPED};
    assert_int_equal(task_end_get_state(&end), TASK_LOST);
}

static void a_long_timeline_keeps_its_beginning_and_the_newest(void **state _unused_)
{
    _cleanup_(task_freep) struct task *task = calloc(1, sizeof(*task));

    assert_non_null(task);
    for (uint64_t i = 0; i < 1000; i++)
        assert_int_equal(task_add_timeline(task, i, "entry %d", (int)i), 0);
    assert_int_equal(task->timeline_count, TASK_TIMELINE_MAX);
    assert_string_equal(task->timeline[0].text, "entry 0");
    assert_string_equal(task->timeline[7].text, "entry 7");
    assert_string_equal(task->timeline[TASK_TIMELINE_MAX - 1].text, "entry 999");
    assert_int_equal(task->timeline[8].wall_usec, 1000 - (TASK_TIMELINE_MAX - 8));
}

static cJSON *again(cJSON *json)
{
    char *text = json_format(json);
    cJSON *parsed = NULL;

    assert_non_null(text);
    assert_int_equal(json_parse(text, strlen(text), &parsed), 0);
    cJSON_Delete(json);
    free(text);
    return parsed;
}

static struct task *make_full_task(void)
{
    struct task *task = calloc(1, sizeof(*task));

    assert_non_null(task);
    task->number = UINT64_C(1) << 53;
    task->spec = spec_of("cmd", 0);
    task->spec.is_command = task->spec.is_confidential = task->spec.has_stdin = true;
    (void)snprintf(task->spec.name, sizeof(task->spec.name), "m\xc3\xa4in");
    (void)snprintf(task->spec.user, sizeof(task->spec.user), "user1");
    (void)snprintf(task->spec.node, sizeof(task->spec.node), "lab-05");
    (void)snprintf(task->spec.select, sizeof(task->spec.select), "gpu=1");
    assert_int_equal(task_words_add(&task->spec.args, "echo"), 0);
    assert_int_equal(task_words_add(&task->spec.args, "\xff\x01 \""), 0);
    assert_int_equal(task_words_add(&task->spec.env, "K=V"), 0);
    assert_int_equal(task_words_add(&task->spec.outs, "plots/*.png=here"), 0);
    task->spec.in = (struct task_files){.bundle = 21, .size = 22, .bytes = 20, .count = 23};
    task->spec.timeout_usec = 1;
    task->spec.memory_size = 2;
    task->spec.cpus_milli = 2500;
    strcpy(task->spec.sandbox, "namespaces");
    task->spec.retries = 3;
    task->spec.slots = 5;
    task->spec.retry_delay_usec = 4;
    task->spec.retry_on = TASK_RETRY_EXIT | TASK_RETRY_NO_SPACE;
    task->spec.workflow = 5;
    task->spec.step = 6;
    task->state = TASK_FAILED;
    task->attempt = 7;
    task->tries = 2;
    task->tries_max = 4;
    task->has_node = true;
    memset(&task->node, 0xab, sizeof(task->node));
    task->node_generation = 1795244870;
    (void)snprintf(task->node_name, sizeof(task->node_name), "lab-05");
    task->is_cancelled = task->is_withdrawn = true;
    task->cancel_signal = 15;
    task->cancel_grace_usec = 9;
    task->submitted_wall_usec = UINT64_C(1795244870874001);
    task->started_wall_usec = 11;
    task->ended_wall_usec = 12;
    task->has_end = true;
    task->end = (struct task_end){.type = TASK_END_SIGNAL,
                                  .code = 9,
                                  .is_oom = true,
                                  .run_usec = 13,
                                  .memory_peak_size = 14,
                                  .out = {.size = 31, .count = 32},
                                  .text = "why"};
    (void)snprintf(task->reason, sizeof(task->reason), "exit 1");
    assert_int_equal(task_add_timeline(task, 15, "submitted"), 0);
    return task;
}

static void a_record_survives_the_database(void **state _unused_)
{
    _cleanup_(task_freep) struct task *task = make_full_task(), *copy = NULL;
    _cleanup_json_ cJSON *json = again(task_to_json(task));

    assert_int_equal(task_from_json(json, &copy), 0);
    assert_int_equal(copy->spec.args.count, 2);
    assert_string_equal(copy->spec.args.items[1], "\xff\x01 \"");
    assert_string_equal(copy->spec.env.items[0], "K=V");
    assert_int_equal(copy->spec.outs.count, 1);
    assert_string_equal(copy->spec.outs.items[0], "plots/*.png=here");
    assert_memory_equal(&copy->spec.in, &task->spec.in, sizeof(copy->spec.in));
    assert_memory_equal(&copy->end.out, &task->end.out, sizeof(copy->end.out));
    assert_int_equal(copy->timeline_count, 1);
    assert_string_equal(copy->timeline[0].text, "submitted");
    assert_int_equal(copy->timeline[0].wall_usec, 15);
    /* Without what they point to, both are the same bytes of meaning. */
    assert_string_equal(copy->spec.name, task->spec.name);
    assert_string_equal(copy->spec.select, task->spec.select);
    assert_string_equal(copy->spec.sandbox, "namespaces");
    assert_int_equal(copy->number, task->number);
    assert_int_equal(copy->state, task->state);
    assert_int_equal(copy->spec.retry_on, task->spec.retry_on);
    assert_int_equal(copy->spec.step, task->spec.step);
    assert_int_equal(copy->spec.cpus_milli, 2500);
    assert_int_equal(copy->tries_max, task->tries_max);
    assert_memory_equal(&copy->node, &task->node, sizeof(copy->node));
    assert_int_equal(copy->node_generation, task->node_generation);
    assert_int_equal(copy->submitted_wall_usec, task->submitted_wall_usec);
    assert_int_equal(copy->cancel_grace_usec, task->cancel_grace_usec);
    assert_int_equal(copy->end.type, TASK_END_SIGNAL);
    assert_int_equal(copy->end.run_usec, 13);
    assert_true(copy->end.is_oom);
    assert_string_equal(copy->end.text, "why");
    cJSON *twice = again(task_to_json(copy));
    assert_true(cJSON_Compare(json, twice, true));
    cJSON_Delete(twice);
}

static void patterns_of_results_stay_below_the_work_directory(void **state _unused_)
{
    static const char *const good[] = {"a",    "*.png", "plots/x?[a-z].png", "a=b", "a=/b/c",
                                       "a=..", "...",   ".hidden/*"};
    static const char *const bad[] = {"",       "/a",  "a/", "a//b", "..",  "../a",
                                      "a/../b", "./a", ".",  "=a",   "a\n", "a=\n"};
    char reason[TASK_REASON_MAX + 1];
    size_t size;

    for (size_t i = 0; i < ARRAY_SIZE(good) + ARRAY_SIZE(bad); i++) {
        struct task_spec spec = spec_of("a", 1);
        bool is_good = i < ARRAY_SIZE(good);
        const char *out = is_good ? good[i] : bad[i - ARRAY_SIZE(good)];
        assert_int_equal(task_words_add(&spec.outs, out), 0);
        assert_int_equal(task_spec_check(&spec, reason), is_good ? 0 : -EINVAL);
        task_spec_done(&spec);
    }
    assert_string_equal(task_out_split("a/*.png=x=y", &size), "x=y");
    assert_int_equal(size, 7);
    assert_string_equal(task_out_split("a/*.png", &size), "");
    assert_int_equal(size, 7);
}

static void so_many_files_and_patterns_and_not_one_more(void **state _unused_)
{
    struct task_spec spec = spec_of("a", 1);
    char reason[TASK_REASON_MAX + 1];

    spec.in = (struct task_files){.bundle = 1, .size = 100, .count = TASK_FILES_MAX};
    for (unsigned i = 0; i < TASK_FILES_MAX; i++)
        assert_int_equal(task_words_add(&spec.outs, "x"), 0);
    assert_int_equal(task_spec_check(&spec, reason), 0);
    spec.in.count++;
    assert_int_equal(task_spec_check(&spec, reason), -EINVAL);
    spec.in.count--;
    assert_int_equal(task_words_add(&spec.outs, "x"), 0);
    assert_int_equal(task_spec_check(&spec, reason), -EINVAL);
    task_spec_done(&spec);
}

static void lost_results_are_a_failure_of_a_task_that_exited_0(void **state _unused_)
{
    struct task_end end = {.type = TASK_END_NO_RESULTS, .code = EFBIG, .text = "too large"};
    char text[TASK_REASON_MAX + 1];

    assert_int_equal(task_end_get_state(&end), TASK_FAILED);
    assert_string_equal(task_end_format(&end, text), "exit 0, but its results are lost: too large");
}

/* Parses a specification that is @good, but for one member. */
static int parse_with(const char *key, const char *value)
{
    char text[512];
    cJSON *json = NULL;
    struct task_spec spec;

    (void)snprintf(text, sizeof(text), "{\"type\":\"a\",\"type_number\":1,\"%s\":%s}", key, value);
    assert_int_equal(json_parse(text, strlen(text), &json), 0);
    int r = task_spec_from_json(json, &spec);
    cJSON_Delete(json);
    if (r >= 0)
        task_spec_done(&spec);
    return r;
}

static void wrong_types_and_ranges_in_json_are_errors(void **state _unused_)
{
    assert_int_equal(parse_with("later", "true"), 0);
    assert_int_equal(parse_with("retries", "1000"), 0);
    assert_int_equal(parse_with("retries", "1001"), -EBADMSG);
    assert_int_equal(parse_with("slots", "1024"), 0);
    assert_int_equal(parse_with("slots", "1025"), -EBADMSG);
    assert_int_equal(parse_with("retries", "-1"), -EBADMSG);
    assert_int_equal(parse_with("retries", "\"1\""), -EBADMSG);
    assert_int_equal(parse_with("confidential", "1"), -EBADMSG);
    assert_int_equal(parse_with("args", "\"x\""), -EBADMSG);
    assert_int_equal(parse_with("args", "[1]"), -EBADMSG);
    assert_int_equal(parse_with("args", "[{}]"), -EBADMSG);
    assert_int_equal(parse_with("args", "[{\"word_b64\":\"AAA=\"}]"), -EBADMSG);
    assert_int_equal(parse_with("env", "[\"novalue\"]"), -EBADMSG);
    assert_int_equal(parse_with("node", "\"a/b\""), -EBADMSG);
    assert_int_equal(parse_with("command", "true"), -EBADMSG);
    assert_int_equal(parse_with("retry_on", "16"), -EBADMSG);
    assert_int_equal(parse_with("name", "\"0123456789012345678901234567890123456789012345678901234"
                                        "567890123\""),
                     -EBADMSG);
}

static void ends_from_workers_are_checked(void **state _unused_)
{
    static const struct {
        const char *text;
        int result;
    } cases[] = {
        {"{\"type\":\"exit\",\"code\":255}", 0},
        {"{\"type\":\"exit\",\"code\":256}", -EBADMSG},
        {"{\"type\":\"signal\",\"code\":0}", -EBADMSG},
        {"{\"type\":\"signal\",\"code\":64}", 0},
        {"{\"type\":\"signal\",\"code\":65}", -EBADMSG},
        {"{\"type\":\"won\"}", -EBADMSG},
        {"{}", -EBADMSG},
        {"{\"type\":\"cancelled\",\"run_usec\":-1}", -EBADMSG},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct task_end end;
        cJSON *json = NULL;
        assert_int_equal(json_parse(cases[i].text, strlen(cases[i].text), &json), 0);
        assert_int_equal(task_end_from_json(json, &end), cases[i].result);
        cJSON_Delete(json);
    }
}

static void words_read_as_a_shell_takes_them(void **state _unused_)
{
    static const char *const items[] = {"plain", "two words", "it's", "", "tab\there \xff"};
    _cleanup_(task_words_done) struct task_words words = {0}, other = {0};
    char *text;

    for (size_t i = 0; i < ARRAY_SIZE(items); i++)
        assert_int_equal(task_words_add(&words, items[i]), 0);
    text = task_words_format(&words, 100);
    assert_string_equal(text, "plain 'two words' 'it'\\''s' '' 'tab?here ?'");
    free(text);
    text = task_words_format(&words, 8);
    assert_string_equal(text, "plain 't");
    free(text);
    text = task_words_format(&other, 8);
    assert_string_equal(text, "");
    free(text);
    assert_int_equal(task_words_add(&other, "a\xc3\xa4"), 0);
    text = task_words_format(&other, 3);
    assert_string_equal(text, "'a");
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_are_read_as_they_are_written),
        cmocka_unit_test(states_have_the_names_of_the_contract),
        cmocka_unit_test(words_are_bounded_in_number_and_in_bytes),
        cmocka_unit_test(bad_specifications_are_refused_with_a_sentence),
        cmocka_unit_test(text_is_cut_between_characters_and_cleaned),
        cmocka_unit_test(run_times_are_short),
        cmocka_unit_test(ends_read_as_people_expect),
        cmocka_unit_test(a_long_timeline_keeps_its_beginning_and_the_newest),
        cmocka_unit_test(a_record_survives_the_database),
        cmocka_unit_test(patterns_of_results_stay_below_the_work_directory),
        cmocka_unit_test(so_many_files_and_patterns_and_not_one_more),
        cmocka_unit_test(lost_results_are_a_failure_of_a_task_that_exited_0),
        cmocka_unit_test(wrong_types_and_ranges_in_json_are_errors),
        cmocka_unit_test(ends_from_workers_are_checked),
        cmocka_unit_test(words_read_as_a_shell_takes_them),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
