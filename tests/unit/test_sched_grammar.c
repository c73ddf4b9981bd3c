/* SPDX-License-Identifier: MIT */
#include "sched/grammar.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

static const struct grammar_options options = {
    .retries = 2,
    .retry_delay_usec = 2 * USEC_PER_SEC,
    .retry_on = TASK_RETRY_NODE_LOST,
    .user = "user1",
};

static struct workflow_plan *parse(const char *text)
{
    struct workflow_plan *plan = NULL;
    struct grammar_errors errors = {0};
    int r = grammar_parse("tasks.txt", text, strlen(text), &options, &plan, &errors);

    if (r < 0)
        for (size_t i = 0; i < errors.lines_count; i++)
            print_error("%s\n", errors.lines[i]);
    assert_int_equal(r, 0);
    grammar_errors_done(&errors);
    return plan;
}

/* All errors of @text, a line each. */
static void expect_errors_of(const char *text, size_t size, const char *expected)
{
    struct workflow_plan *plan = NULL;
    struct grammar_errors errors = {0};
    char all[4096] = "";

    assert_int_equal(grammar_parse("tasks.txt", text, size, &options, &plan, &errors), -EINVAL);
    assert_null(plan);
    for (size_t i = 0; i < errors.lines_count; i++) {
        strncat(all, errors.lines[i], sizeof(all) - strlen(all) - 1);
        strncat(all, "\n", sizeof(all) - strlen(all) - 1);
    }
    assert_string_equal(all, expected);
    assert_int_equal(errors.count, errors.lines_count);
    grammar_errors_done(&errors);
}

static void expect_errors(const char *text, const char *expected)
{
    expect_errors_of(text, strlen(text), expected);
}

static void the_first_task_list_is_valid_as_it_is(void **state _unused_)
{
    static const char *const names[] = {"a1", "a2", "c1", "b1", "c2", "a3",
                                        "b2", "b3", "a4", "c3", "b4"};
    struct workflow_plan *plan = parse("a1 a2 c1 b1 c2\na3 b2 b3 a4\r\nc3 b4\n");

    assert_int_equal(plan->steps_count, 11);
    assert_int_equal(plan->groups_count, 11);
    for (size_t i = 0; i < 11; i++) {
        assert_string_equal(plan->steps[i].name, names[i]);
        assert_int_equal(plan->steps[i].group, i);
        assert_int_equal(plan->steps[i].spec.step, i);
        assert_int_equal(plan->steps[i].spec.retries, 2);
        assert_string_equal(plan->steps[i].spec.user, "user1");
    }
    assert_int_equal(plan->steps[5].line, 2);
    assert_int_equal(plan->steps[5].column, 1);
    assert_string_equal(plan->steps[10].spec.type, "b");
    assert_int_equal(plan->steps[10].spec.type_number, 4);
    workflow_plan_free(plan);
}

static void groups_share_a_step_and_comments_vanish(void **state _unused_)
{
    struct workflow_plan *plan =
        parse("\xef\xbb\xbf# order\na1#x\n{ a3 b2\n b3 } # together\n{c1}c2");

    assert_int_equal(plan->steps_count, 6);
    assert_int_equal(plan->groups_count, 4);
    static const uint32_t groups[] = {0, 1, 1, 1, 2, 3};
    for (size_t i = 0; i < 6; i++)
        assert_int_equal(plan->steps[i].group, groups[i]);
    workflow_plan_free(plan);
}

static void details_go_to_their_task_wherever_they_stand(void **state _unused_)
{
    struct workflow_plan *plan =
        parse("a1: args=\"--rows 10 'two words'\" name=\"first one\"\n"
              "a1 c1 b1\n"
              "c1: timeout=30s retries=5 confidential=yes memory=512MiB cpus=1.5 # why not\n"
              "b1:node=lab-05 args=x run=\"python3 plot.py \\\"a b\\\"\" env=K=V env=\"L=a b\"\n");
    const struct task_spec *a = &plan->steps[0].spec, *c = &plan->steps[1].spec,
                           *b = &plan->steps[2].spec;

    assert_int_equal(a->args.count, 3);
    assert_string_equal(a->args.items[0], "--rows");
    assert_string_equal(a->args.items[2], "two words");
    assert_null(a->args.items[3]);
    assert_string_equal(a->name, "first one");
    assert_int_equal(c->timeout_usec, 30 * USEC_PER_SEC);
    assert_int_equal(c->retries, 5);
    assert_true(c->is_confidential);
    assert_int_equal(c->memory_size, 512 * 1024 * 1024);
    assert_int_equal(c->cpus_milli, 1500);
    assert_true(b->is_command);
    assert_string_equal(b->type, TASK_TYPE_COMMAND);
    assert_string_equal(b->name, "b1");
    assert_string_equal(b->node, "lab-05");
    assert_int_equal(b->args.count, 4);
    assert_string_equal(b->args.items[0], "python3");
    assert_string_equal(b->args.items[2], "a b");
    assert_string_equal(b->args.items[3], "x");
    assert_int_equal(b->env.count, 2);
    assert_string_equal(b->env.items[1], "L=a b");
    workflow_plan_free(plan);
}

static void a_word_without_a_number_is_told_with_its_place(void **state _unused_)
{
    expect_errors("a1 a2 c b1",
                  "tasks.txt:1:7: \"c\" has no number; a task is a type letter and a number, for "
                  "example c1\n");
}

static void all_errors_are_told_in_their_order(void **state _unused_)
{
    expect_errors(
        "a1 12 a-1\n{ { b1 } } }\na1 {}\nz9: retries=1\nb1: retires=2 timeout=x\n{ c1",
        "tasks.txt:1:4: \"12\" has no type; a task is a type letter and a number, for "
        "example a12\n"
        "tasks.txt:1:7: \"a-1\" is not a task; a task is a type letter and a number, for "
        "example a1\n"
        "tasks.txt:2:3: a group inside a group; close the first with }\n"
        "tasks.txt:2:10: } without {\n"
        "tasks.txt:2:12: } without {\n"
        "tasks.txt:3:1: \"a1\" is listed twice; first in line 1\n"
        "tasks.txt:3:4: an empty group\n"
        "tasks.txt:4:1: \"z9\" is not in the list\n"
        "tasks.txt:5:5: unknown detail \"retires\"; did you mean \"retries\"?\n"
        "tasks.txt:5:15: timeout=x: expected a duration below 285 years, for example 30s, "
        "or 0 for no limit\n"
        "tasks.txt:6:1: { is never closed\n");
}

static void leading_zeros_do_not_make_another_task(void **state _unused_)
{
    expect_errors("a1 a01", "tasks.txt:1:4: \"a01\" is listed twice; first in line 1\n");
}

static void an_empty_list_is_an_error(void **state _unused_)
{
    expect_errors("# nothing\n\n", "tasks.txt:1:1: there is no task in the list\n");
    expect_errors("", "tasks.txt:1:1: there is no task in the list\n");
}

static void a_function_names_its_code_and_gets_json(void **state _unused_)
{
    struct workflow_plan *plan =
        parse("a1 b1 c1\n"
              "a1: python=lib/stats.py:Stats.mean args=\"'[1, 2]' scale=2\"\n"
              "b1: in=data.csv python=lib/stats.py:mean in=lib/stats.py\n");
    const struct workflow_step *a = &plan->steps[0], *b = &plan->steps[1];

    assert_true(a->has_code && b->has_code && !plan->steps[2].has_code);
    assert_string_equal(a->spec.python->file, "stats.py");
    assert_string_equal(a->spec.python->function, "Stats.mean");
    assert_string_equal(a->spec.type, TASK_TYPE_PYTHON);
    assert_string_equal(a->spec.name, "a1");
    assert_false(a->spec.is_command);
    assert_string_equal(a->spec.args.items[0], "[1, 2]");
    assert_string_equal(a->spec.args.items[1], "scale=2");
    /* A file goes with the list once, whatever it is for. */
    assert_int_equal(plan->locals.count, 2);
    assert_string_equal(plan->locals.items[a->code], "lib/stats.py");
    assert_int_equal(b->code, a->code);
    assert_int_equal(b->inputs[1].index, a->code);
    workflow_plan_free(plan);
}

static void a_function_that_is_none_is_told(void **state _unused_)
{
    expect_errors("a1\na1: python=stats.py",
                  "tasks.txt:2:5: python=stats.py: expected FILE:FUNCTION of Python code, for "
                  "example stats.py:mean; at most 64 files go with a list\n");
    expect_errors("a1\na1: python=dir/:f",
                  "tasks.txt:2:5: python=dir/:f: expected FILE:FUNCTION of Python code, for "
                  "example stats.py:mean; at most 64 files go with a list\n");
    expect_errors("a1\na1: python=f.py:",
                  "tasks.txt:2:5: python=f.py:: expected FILE:FUNCTION of Python code, for "
                  "example stats.py:mean; at most 64 files go with a list\n");
    expect_errors("a1\na1: python=f.py:f args=\"1 one\"",
                  "tasks.txt:2:19: a1: argument 2 is no JSON: one\n");
    expect_errors("a1\na1: python=f.py:f args=\"1 k=1 ab=3 a=2 k=2\"",
                  "tasks.txt:2:19: a1: argument 5 gives a name a second value: k=2\n");
    expect_errors("a1\na1: python=f.py:2f",
                  "tasks.txt:2:5: python=f.py:2f: expected FILE:FUNCTION of Python code, for "
                  "example stats.py:mean; at most 64 files go with a list\n");
    expect_errors("a1\n\na1: python=f.py:f run=\"cat 1\"",
                  "tasks.txt:3:5: python=f.py:f: a task is a command or a function, not both\n");
}

static void expect_input(const struct workflow_input *input, enum workflow_input_type type,
                         uint32_t index, const char *source, const char *name)
{
    assert_int_equal(input->type, type);
    assert_int_equal(input->index, index);
    if (source)
        assert_string_equal(input->source, source);
    else
        assert_null(input->source);
    assert_string_equal(input->name, name);
}

static void files_go_with_tasks(void **state _unused_)
{
    struct workflow_plan *plan =
        parse("a1 b1 c1\n"
              "a1: in=raw.csv in=../dir/y.csv=sub/z out=*.png out=dir=there\n"
              "c1: in=@a01/clean.csv in=@unit in=\"@b1/a b/c=d\" in=raw.csv=again needs=a1");
    const struct workflow_step *a = &plan->steps[0], *c = &plan->steps[2];

    assert_int_equal(plan->locals.count, 2);
    assert_string_equal(plan->locals.items[0], "raw.csv");
    assert_string_equal(plan->locals.items[1], "../dir/y.csv");
    assert_int_equal(a->inputs_count, 2);
    expect_input(&a->inputs[0], WORKFLOW_INPUT_LOCAL, 0, NULL, "raw.csv");
    expect_input(&a->inputs[1], WORKFLOW_INPUT_LOCAL, 1, NULL, "sub/z");
    assert_int_equal(a->spec.outs.count, 2);
    assert_int_equal(c->inputs_count, 4);
    expect_input(&c->inputs[0], WORKFLOW_INPUT_RESULT, 0, "clean.csv", "clean.csv");
    expect_input(&c->inputs[1], WORKFLOW_INPUT_STORED, 0, "unit", "unit");
    expect_input(&c->inputs[2], WORKFLOW_INPUT_RESULT, 1, "a b/c", "d");
    expect_input(&c->inputs[3], WORKFLOW_INPUT_LOCAL, 0, NULL, "again");
    assert_int_equal(c->needs_count, 2);
    workflow_plan_free(plan);
}

#define A_PATTERN                                                                                  \
    "a path below the work directory, without \"..\", perhaps with wildcards and =DIR, for "       \
    "example "                                                                                     \
    "plot*.png; at most 64\n"

static void files_that_cannot_go_are_told(void **state _unused_)
{
#define IN(place, value)                                                                           \
    "tasks.txt:" place ": in=" value                                                               \
    ": expected a file, @STORED or @TASK/RESULT of a task before it, perhaps =NAME; at most 64\n"
    expect_errors(
        "a1 b1\na1: in=@b1/x in= in=x=.. in=@ in=@a b1: in=1\nb1: in=@a1/../x in=x=/y out=",
        IN("2:5", "@b1/x") IN("2:14", "") IN("2:18", "x=..")
            IN("2:26", "@") "tasks.txt:2:37: \"b1:\" is not a detail; write KEY=VALUE, for example "
                            "timeout=30s\n" IN("3:5", "@a1/../x")
                                IN("3:17", "x=/y") "tasks.txt:3:25: out=: expected " A_PATTERN);
    expect_errors("a1 b1\na1:\tout=x.png out=../x out=/etc/passwd\nb1: name=x out=\"a\tb\"",
                  "tasks.txt:2:15: out=../x: expected " A_PATTERN
                  "tasks.txt:2:24: out=/etc/passwd: expected " A_PATTERN
                  "tasks.txt:3:12: out=a?b: expected " A_PATTERN);
#undef IN
}

/* Whoever takes them runs at the same node, and so does whoever takes what that one made of them.
 */
static void results_of_confidential_tasks_stay(void **state _unused_)
{
#define LEAKS(place, value, name)                                                                  \
    "tasks.txt:" place ": in=" value ": a result of a confidential task; make " name               \
    " confidential, too: confidential=yes\n"
    expect_errors(
        "a1 b1\na1: in=a/x in=b/x in=@s in=y=s/t\nb1: in=a/x in=b/x=y in=@a1/x=z/x",
        "tasks.txt:2:12: in=b/x: the place of another file of a1; give it one of its own: "
        "=NAME\n"
        "tasks.txt:2:25: in=y=s/t: the place of another file of a1; give it one of its "
        "own: =NAME\n");
    expect_errors("a1 b1 c1 d1\nb1: in=x in=@a01/s in=\"@a1/t=u\" confidential=no\n"
                  "c1: in=@a1/s confidential=yes\nd1: run=\"cat s\" in=@c1/s\n"
                  "a1: confidential=yes out=s",
                  LEAKS("2:10", "@a01/s", "b1") LEAKS("2:20", "@a1/t=u", "b1")
                      LEAKS("4:17", "@c1/s", "d1"));
#undef LEAKS
    workflow_plan_free(parse("a1 b1 c1\nb1: in=@a1/s confidential=yes\n"
                             "c1: needs=a1,b1\na1: confidential=yes"));
}

/* Of a list: different ones. Of a task: all. */
static void so_many_files_go_and_no_more(void **state _unused_)
{
    for (int count = TASK_FILES_MAX; count <= TASK_FILES_MAX + 1; count++) {
        for (int is_one = 0; is_one < 2; is_one++) {
            char text[8192];
            struct grammar_errors errors = {0};
            struct workflow_plan *plan = NULL;
            size_t used = (size_t)sprintf(text, "a1 b1\n");
            for (int i = 0; i < count; i++)
                used += (size_t)sprintf(text + used, "%s1: in=%d=f%d\n",
                                        is_one || i % 2 ? "a" : "b", is_one ? 0 : i, i);
            int r = grammar_parse("t", text, used, &options, &plan, &errors);
            assert_int_equal(r, count > TASK_FILES_MAX ? -EINVAL : 0);
            grammar_errors_done(&errors);
            workflow_plan_free(plan);
        }
    }
}

static void tasks_need_earlier_ones(void **state _unused_)
{
    struct workflow_plan *plan = parse(
        "a1 { b01 c1 } d1\nd1: needs=\"a1, b1\"\nc1: needs=a1,b1,a1 on_fail=continue slots=3\n"
        "b1: on_fail=stop");

    assert_int_equal(plan->steps[0].needs_count, 0);
    assert_int_equal(plan->steps[0].on_fail, WORKFLOW_ON_FAIL_DEFAULT);
    assert_int_equal(plan->steps[1].on_fail, WORKFLOW_ON_FAIL_STOP);
    assert_int_equal(plan->steps[2].on_fail, WORKFLOW_ON_FAIL_CONTINUE);
    assert_int_equal(plan->steps[2].spec.slots, 3);
    assert_int_equal(plan->steps[2].needs_count, 2);
    assert_int_equal(plan->steps[3].needs_count, 2);
    assert_int_equal(plan->steps[3].needs[0], 0);
    assert_int_equal(plan->steps[3].needs[1], 1);
    workflow_plan_free(plan);
}

static void what_cannot_be_needed_is_told(void **state _unused_)
{
#define EXPECTED ": expected tasks that stand before it in the list, for example a1,b2\n"
    expect_errors("a1 b1 c1 d1 e1\na1: needs=b1\nb1: needs=b1\nc1: needs=z9\nd1: needs=\"\"\n"
                  "e1: needs=a on_fail=retry slots=0",
                  "tasks.txt:2:5: needs=b1" EXPECTED "tasks.txt:3:5: needs=b1" EXPECTED
                  "tasks.txt:4:5: needs=z9" EXPECTED "tasks.txt:5:5: needs=" EXPECTED
                  "tasks.txt:6:5: needs=a" EXPECTED
                  "tasks.txt:6:13: on_fail=retry: expected stop, skip or continue\n"
                  "tasks.txt:6:27: slots=0: expected a number from 1 to 1024\n");
#undef EXPECTED
}

/* A list of one task too many that the last one needs. */
static void needs_have_a_limit(void **state _unused_)
{
    for (size_t count = GRAMMAR_NEEDS_MAX; count <= GRAMMAR_NEEDS_MAX + 1; count++) {
        struct grammar_errors errors = {0};
        struct workflow_plan *plan = NULL;
        char *text = malloc(count * 32 + 64);
        size_t used = 0;
        for (size_t i = 0; i < count; i++)
            used += (size_t)sprintf(text + used, "a%zu ", i);
        used += (size_t)sprintf(text + used, "z1\nz1: needs=");
        for (size_t i = 0; i < count; i++)
            used += (size_t)sprintf(text + used, "a%zu,", i);
        int r = grammar_parse("t", text, used, &options, &plan, &errors);
        assert_int_equal(r, count > GRAMMAR_NEEDS_MAX ? -EINVAL : 0);
        grammar_errors_done(&errors);
        workflow_plan_free(plan);
        free(text);
    }
}

/* @vars: "K=V", NULL at the end. */
static int parse_with(const char *text, const char *const *vars, struct workflow_plan **ret,
                      struct grammar_errors *errors)
{
    _cleanup_(task_words_done) struct task_words words = {0};
    struct grammar_options with = options;

    for (; *vars; vars++)
        assert_int_equal(task_words_add(&words, *vars), 0);
    with.vars = &words;
    return grammar_parse("tasks.txt", text, strlen(text), &with, ret, errors);
}

static void variables_are_put_in_behind_all_splitting(void **state _unused_)
{
    const char *vars[] = {"FILE=my \"own\" file.txt node=x", "N=lab-05", "EMPTY=", NULL};
    struct grammar_errors errors = {0};
    struct workflow_plan *plan = NULL;

    assert_int_equal(parse_with("a1\na1: run=\"cat ${FILE} pre-${N}${EMPTY}-post ${HOME} $N ${\" "
                                "node=${N} env=X=${FILE}",
                                vars, &plan, &errors),
                     0);
    const struct task_spec *spec = &plan->steps[0].spec;
    assert_int_equal(spec->args.count, 6);
    assert_string_equal(spec->args.items[1], "my \"own\" file.txt node=x");
    assert_string_equal(spec->args.items[2], "pre-lab-05-post");
    assert_string_equal(spec->args.items[3], "${HOME}");
    assert_string_equal(spec->args.items[4], "$N");
    assert_string_equal(spec->args.items[5], "${");
    assert_string_equal(spec->node, "lab-05");
    assert_string_equal(spec->env.items[0], "X=my \"own\" file.txt node=x");
    workflow_plan_free(plan);
}

static void a_variable_that_nothing_uses_is_an_error(void **state _unused_)
{
    const char *vars[] = {"FIEL=x", NULL};
    struct grammar_errors errors = {0};
    struct workflow_plan *plan = NULL;

    assert_int_equal(parse_with("a1\na1: args=${FILE}", vars, &plan, &errors), -EINVAL);
    assert_string_equal(errors.lines[0],
                        "tasks.txt:1:1: no detail has ${FIEL}, which --var gives a value");
    grammar_errors_done(&errors);
}

/* What they put in is bounded, whatever the list repeats. */
static void variables_have_a_limit(void **state _unused_)
{
    static char value[60000] = "V=", text[8192];
    const char *vars[] = {value, NULL};
    size_t times = GRAMMAR_SIZE_MAX / (sizeof(value) - 3), used = 0;
    struct grammar_errors errors = {0};
    struct workflow_plan *plan = NULL;

    memset(value + 2, 'x', sizeof(value) - 3);
    for (size_t i = 0; i <= times; i++)
        used += (size_t)sprintf(text + used, "a%zu ", i);
    for (size_t i = 0; i < times; i++)
        used += (size_t)sprintf(text + used, "\na%zu: env=V=${V}", i);
    assert_int_equal(parse_with(text, vars, &plan, &errors), 0);
    plan = workflow_plan_free(plan);
    (void)sprintf(text + used, "\na%zu: env=V=${V}", times);
    assert_int_equal(parse_with(text, vars, &plan, &errors), -EINVAL);
    assert_non_null(strstr(errors.lines[0], "with its variables the list is longer than"));
    grammar_errors_done(&errors);
}

static void malformed_details_are_told(void **state _unused_)
{
    expect_errors("a1 b1 c1 d1 e1 f1\na1: timeout\nb1: args=\"x\nc1: args=\"x\"y\nd1:\n"
                  "e1: retries=1 retries=2\nf1: retries=1001 confidential=maybe env=1A=b",
                  "tasks.txt:2:5: \"timeout\" is not a detail; write KEY=VALUE, for example "
                  "timeout=30s\n"
                  "tasks.txt:3:10: the quote is never closed\n"
                  "tasks.txt:4:13: a space is missing behind the quote\n"
                  "tasks.txt:5:1: no details behind \"d1:\"\n"
                  "tasks.txt:6:15: \"retries\" is given twice for e1\n"
                  "tasks.txt:7:5: retries=1001: expected a number from 0 to 1000\n"
                  "tasks.txt:7:18: confidential=maybe: expected yes or no\n"
                  "tasks.txt:7:37: env=1A=b: expected NAME=VALUE, with letters, digits and _ in "
                  "NAME, which does not begin with P2P_; at most 1024 and 64 KiB\n");
    expect_errors(
        "a1 b1\na1: name=gnp\u202e.sh\nb1: name=\u200b",
        "tasks.txt:2:5: name=gnp\u202e.sh: expected at most 63 bytes of printable text, and "
        "nothing that cannot be seen\n"
        "tasks.txt:3:5: name=\u200b: expected at most 63 bytes of printable text, and "
        "nothing that cannot be seen\n");
    expect_errors(
        "a1\n\na1: timeout=999y run=\"'' x\"\na1: name=\"x\x1by\" memory=9PiB",
        "tasks.txt:3:5: timeout=999y: expected a duration below 285 years, for example "
        "30s, or 0 for no limit\n"
        "tasks.txt:3:18: run='' x: expected a command, at most 1024 words and 64 KiB, "
        "quotes closed\n"
        "tasks.txt:4:5: name=x?y: expected at most 63 bytes of printable text, and nothing "
        "that cannot be seen\n"
        "tasks.txt:4:16: memory=9PiB: expected a size above 0 and up to 8PiB, for example "
        "512MiB\n");
}

static void hostile_bytes_are_shown_as_question_marks(void **state _unused_)
{
    expect_errors_of("a1 \x1b[31m\xff\xfe", 10,
                     "tasks.txt:1:4: \"?[31m??\" is not a task; a task is a type letter and a "
                     "number, for example a1\n");
    expect_errors_of("a1: x\0y=1\na1", 12, "tasks.txt:1:1: a NUL byte in the line\n");
}

static void only_so_many_errors_are_kept(void **state _unused_)
{
    struct workflow_plan *plan = NULL;
    struct grammar_errors errors = {0};
    char text[2 * (GRAMMAR_ERRORS_MAX + 50) + 1];

    for (size_t i = 0; i < sizeof(text) - 1; i += 2)
        memcpy(text + i, "c ", 3);
    assert_int_equal(grammar_parse("tasks.txt", text, sizeof(text) - 1, &options, &plan, &errors),
                     -EINVAL);
    assert_int_equal(errors.lines_count, GRAMMAR_ERRORS_MAX);
    assert_int_equal(errors.count, GRAMMAR_ERRORS_MAX + 50);
    grammar_errors_done(&errors);
}

static void limits_hold_at_the_limit_and_one_past_it(void **state _unused_)
{
    struct workflow_plan *plan = NULL;
    struct grammar_errors errors = {0};
    size_t size = GRAMMAR_SIZE_MAX + 1, used = 0;
    char *text = malloc(size + 1);

    assert_non_null(text);
    for (int i = 1; i <= GRAMMAR_TASKS_MAX; i++)
        used += (size_t)sprintf(text + used, "a%d\n", i);
    assert_int_equal(grammar_parse("t", text, used, &options, &plan, &errors), 0);
    assert_int_equal(plan->steps_count, GRAMMAR_TASKS_MAX);
    plan = workflow_plan_free(plan);
    memcpy(text + used, "b1", 2);
    assert_int_equal(grammar_parse("t", text, used + 2, &options, &plan, &errors), -EINVAL);
    assert_string_equal(errors.lines[0], "t:20001:1: more than 20000 tasks");
    grammar_errors_done(&errors);

    memset(text, ' ', size);
    memcpy(text, "a1\n", 3);
    for (size_t i = 1000; i < size; i += 1000)
        text[i] = '\n';
    assert_int_equal(grammar_parse("t", text, size - 1, &options, &plan, &errors), 0);
    plan = workflow_plan_free(plan);
    assert_int_equal(grammar_parse("t", text, size, &options, &plan, &errors), -EINVAL);
    grammar_errors_done(&errors);

    memset(text, ' ', GRAMMAR_LINE_MAX + 1);
    memcpy(text, "a1", 2);
    assert_int_equal(grammar_parse("t", text, GRAMMAR_LINE_MAX, &options, &plan, &errors), 0);
    plan = workflow_plan_free(plan);
    assert_int_equal(grammar_parse("t", text, GRAMMAR_LINE_MAX + 1, &options, &plan, &errors),
                     -EINVAL);
    grammar_errors_done(&errors);
    free(text);
}

static void long_types_and_numbers_are_refused(void **state _unused_)
{
    struct workflow_plan *plan = parse("abcdefghijklmnopqrstuvwxyzabcdef1 a999999999999999");

    workflow_plan_free(plan);
    expect_errors(
        "abcdefghijklmnopqrstuvwxyzabcdefg1 a1000000000000000",
        "tasks.txt:1:1: \"abcdefghijklmnopqrstuvwxyzabcdefg1\" has a type of more than 32 "
        "letters\n"
        "tasks.txt:1:36: \"a1000000000000000\" has a number of more than 15 digits\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_task_list_is_valid_as_it_is),
        cmocka_unit_test(groups_share_a_step_and_comments_vanish),
        cmocka_unit_test(details_go_to_their_task_wherever_they_stand),
        cmocka_unit_test(a_word_without_a_number_is_told_with_its_place),
        cmocka_unit_test(all_errors_are_told_in_their_order),
        cmocka_unit_test(leading_zeros_do_not_make_another_task),
        cmocka_unit_test(an_empty_list_is_an_error),
        cmocka_unit_test(a_function_names_its_code_and_gets_json),
        cmocka_unit_test(a_function_that_is_none_is_told),
        cmocka_unit_test(files_go_with_tasks),
        cmocka_unit_test(files_that_cannot_go_are_told),
        cmocka_unit_test(results_of_confidential_tasks_stay),
        cmocka_unit_test(so_many_files_go_and_no_more),
        cmocka_unit_test(tasks_need_earlier_ones),
        cmocka_unit_test(what_cannot_be_needed_is_told),
        cmocka_unit_test(needs_have_a_limit),
        cmocka_unit_test(variables_are_put_in_behind_all_splitting),
        cmocka_unit_test(a_variable_that_nothing_uses_is_an_error),
        cmocka_unit_test(variables_have_a_limit),
        cmocka_unit_test(malformed_details_are_told),
        cmocka_unit_test(hostile_bytes_are_shown_as_question_marks),
        cmocka_unit_test(only_so_many_errors_are_kept),
        cmocka_unit_test(limits_hold_at_the_limit_and_one_past_it),
        cmocka_unit_test(long_types_and_numbers_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
