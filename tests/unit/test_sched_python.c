/* SPDX-License-Identifier: MIT */

/* Functions as tasks: what is one, what travels, and where it may run. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "base/json.h"
#include "sched/place.h"
#include "sched/slots.h"
#include "sched/task_json.h"

#define CODE "def f(x):\n\treturn x\n"

static struct task_spec spec_of(const char *file, const char *function, const char *code)
{
    struct task_spec spec = {.type = TASK_TYPE_PYTHON};

    assert_int_equal(task_python_new(file, function, code, &spec.python), 0);
    return spec;
}

/* What is wrong with it, or NULL. */
static const char *check(const char *file, const char *function, const char *code)
{
    static char reason[TASK_REASON_MAX + 1];
    _cleanup_(task_spec_done) struct task_spec spec = spec_of(file, function, code);

    return task_spec_check(&spec, reason) < 0 ? reason : NULL;
}

static void functions_have_names(void **state _unused_)
{
    static const char *const good[] = {"f", "_f", "Stats.mean", "m\303\244nn", "f1", "a.b.c"};
    static const char *const bad[] = {"",     "1f",  "a b", "a.",  ".a",
                                      "a..b", "f()", "a-b", "f\n", "\377"};
    char name[TASK_FUNCTION_MAX + 2] = "";

    for (size_t i = 0; i < ARRAY_SIZE(good); i++)
        assert_null(check("x.py", good[i], CODE));
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_non_null(check("x.py", bad[i], CODE));
    memset(name, 'f', TASK_FUNCTION_MAX);
    assert_null(check("x.py", name, CODE));
    assert_non_null(check("", "f", CODE));
    assert_non_null(check("a/b.py", "f", CODE));
    assert_non_null(check("a\nb.py", "f", CODE));
    assert_null(check("<code>", "f", CODE));
}

static void code_is_text_up_to_its_limit(void **state _unused_)
{
    _cleanup_free_ char *code = malloc(TASK_CODE_MAX + 2);

    assert_non_null(code);
    memset(code, '#', TASK_CODE_MAX + 1);
    code[TASK_CODE_MAX + 1] = '\0';
    assert_non_null(check("x.py", "f", code));
    code[TASK_CODE_MAX] = '\0';
    assert_null(check("x.py", "f", code));
    code[7] = '\1';
    assert_non_null(check("x.py", "f", code));
    code[7] = (char)0xff;
    assert_non_null(check("x.py", "f", code));
    assert_null(check("x.py", "f", "\t\r\n\f# \303\244"));
}

static void the_largest_code_fits_a_frame(void **state _unused_)
{
    _cleanup_free_ char *code = malloc(TASK_CODE_MAX + 1), *text = NULL;
    _cleanup_(task_spec_done) struct task_spec spec = {0};
    _cleanup_json_ cJSON *json = NULL;

    assert_non_null(code);
    memset(code, '\n', TASK_CODE_MAX); /* twice as long in JSON */
    code[TASK_CODE_MAX] = '\0';
    spec = spec_of("x.py", "f", code);
    for (size_t i = 0; i < TASK_WORDS_SIZE / 16; i++)
        if (task_words_add(&spec.args, "\"\\n\\n\\n\\n\\n\\n\"") < 0)
            break;
    json = task_spec_to_json(&spec);
    text = json_format(json);
    assert_true(strlen(text) < JSON_SIZE_MAX - 1024);
}

static void it_survives_the_way_and_copies(void **state _unused_)
{
    _cleanup_(task_spec_done) struct task_spec spec = spec_of("x.py", "f", CODE), back = {0},
                                               copy = {0};
    _cleanup_json_ cJSON *json = NULL;
    char name[TASK_NAME_MAX + 1];

    assert_int_equal(task_words_add(&spec.args, "scale=[1, 2]"), 0);
    json = task_spec_to_json(&spec);
    assert_int_equal(task_spec_from_json(json, &back), 0);
    assert_int_equal(task_spec_copy(&back, &copy), 0);
    assert_ptr_not_equal(copy.python, back.python);
    assert_string_equal(copy.python->code, CODE);
    assert_string_equal(copy.python->file, "x.py");
    assert_string_equal(copy.python->function, "f");
    assert_string_equal(copy.args.items[0], "scale=[1, 2]");
    assert_int_equal(task_spec_get_kind(&copy), TASK_PYTHON);
    assert_string_equal(task_spec_format_name(&copy, name), "f");
}

static void what_is_no_function_is_refused(void **state _unused_)
{
    static const char *const wrong[] = {
        "{\"type\":\"python\",\"python\":{\"file\":\"x\",\"function\":\"f\"}}",
        "{\"type\":\"python\",\"python\":{\"file\":\"x\",\"function\":\"f\",\"code\":1}}",
        "{\"type\":\"python\",\"python\":{\"file\":\"x\",\"function\":\"f g\",\"code\":\"\"}}",
        "{\"type\":\"python\",\"python\":[]}",
        "{\"type\":\"a\",\"python\":{\"file\":\"x\",\"function\":\"f\",\"code\":\"\"}}",
        ("{\"type\":\"cmd\",\"command\":true,\"args\":[\"x\"],\"python\":{\"file\":\"x\","
         "\"function\":\"f\",\"code\":\"\"}}"),
        ("{\"type\":\"python\",\"args\":[{\"word_b64\":\"/w==\"}],\"python\":{\"file\":\"x\","
         "\"function\":\"f\",\"code\":\"\"}}"),
    };
    struct task_spec spec;

    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
        _cleanup_json_ cJSON *json = NULL;
        assert_int_equal(json_parse(wrong[i], strlen(wrong[i]), &json), 0);
        if (task_spec_from_json(json, &spec) != -EBADMSG)
            fail_msg("taken: %s", wrong[i]);
    }
}

/* --- Where --- */

static void add(struct place *place, uint8_t number, const char *python, bool has_python)
{
    struct place_facts facts = {.id = {{number}},
                                .generation = 1,
                                .is_self = number == 1,
                                .has_tasks = true,
                                .has_python = has_python,
                                .slots = 4};

    (void)snprintf(facts.name, sizeof(facts.name), "lab-%02u", number);
    (void)snprintf(facts.python, sizeof(facts.python), "%s", python);
    assert_true(place_set_node(place, &facts, 0) >= 0);
}

static const char *choose(struct place *place, const char *node,
                          char reason[static TASK_REASON_MAX + 1])
{
    _cleanup_(task_spec_done) struct task_spec spec = spec_of("x.py", "f", CODE);

    (void)snprintf(spec.node, sizeof(spec.node), "%s", node);
    const struct place_node *chosen = place_choose(place, &spec, NULL, reason);
    return chosen ? chosen->facts.name : "";
}

static void it_goes_where_an_interpreter_is_and_others_may_use_it(void **state _unused_)
{
    char reason[TASK_REASON_MAX + 1];
    struct place *place;

    assert_int_equal(place_new(1, &place), 0);
    add(place, 1, "", true);
    add(place, 2, "3.11", false);
    assert_string_equal(choose(place, "", reason), "");
    assert_string_equal(reason, "no node runs Python functions");
    assert_string_equal(choose(place, "lab-02", reason), "");
    assert_string_equal(reason, "lab-02 does not handle Python");
    add(place, 3, "3.11", true);
    assert_string_equal(choose(place, "", reason), "lab-03");
    add(place, 1, "3.11", false); /* its own it runs itself */
    assert_string_equal(choose(place, "lab-01", reason), "lab-01");
    place_free(place);
}

static void another_version_there_is_told(void **state _unused_)
{
    char reason[TASK_REASON_MAX + 1];
    struct place *place;

    assert_int_equal(place_new(1, &place), 0);
    add(place, 1, "3.11", true);
    add(place, 2, "3.9", true);
    add(place, 3, "?", true);
    assert_string_equal(choose(place, "lab-02", reason), "lab-02");
    assert_string_equal(reason, "load 0.00, asked for; it has Python 3.9, this node 3.11");
    assert_string_equal(choose(place, "lab-01", reason), "lab-01");
    assert_string_equal(reason, "load 0.00, asked for");
    assert_string_equal(choose(place, "lab-03", reason), "lab-03");
    assert_string_equal(reason, "load 0.00, asked for");
    place_free(place);
}

static void a_node_may_refuse_those_of_others(void **state _unused_)
{
    _cleanup_(task_spec_done) struct task_spec spec = spec_of("x.py", "f", CODE);
    const struct slots_config config = {.id = {{1}}, .slots = 1, .queue_max = 9};
    struct slots_key own = {.origin = {{1}}, .number = 1, .attempt = 1},
                     foreign = {.origin = {{2}}, .number = 1, .attempt = 1};
    struct slots *slots;

    assert_int_equal(slots_new(&config, 1, 0, &slots), 0);
    assert_int_equal(slots_offer(slots, &foreign, "lab-02", &spec, USEC_PER_SEC, 0), -ENOENT);
    assert_int_equal(slots_offer(slots, &own, "lab-01", &spec, 0, 0), 0);
    slots_free(slots);
}

#define test(name) cmocka_unit_test(name)

int main(void)
{
    const struct CMUnitTest tests[] = {
        test(functions_have_names),
        test(code_is_text_up_to_its_limit),
        test(the_largest_code_fits_a_frame),
        test(it_survives_the_way_and_copies),
        test(what_is_no_function_is_refused),
        test(it_goes_where_an_interpreter_is_and_others_may_use_it),
        test(another_version_there_is_told),
        test(a_node_may_refuse_those_of_others),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
