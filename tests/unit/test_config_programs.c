/* SPDX-License-Identifier: MIT */
#include "config_file.h"

#include <sys/stat.h>
#include "config/programs.h"

/* Programs that a configuration names and that cannot run. */

static struct config_file lab;
static char told[1024], fixes[1024];

static int begin(void **state _unused_)
{
    config_file_begin(&lab);
    return 0;
}

static int end(void **state _unused_)
{
    config_file_end(&lab);
    return 0;
}

static void note(const struct program_trouble *trouble, void *data _unused_)
{
    size_t size = strlen(told);

    snprintf(told + size, sizeof(told) - size, "%s: %s\n", trouble->key, trouble->message);
    size = strlen(fixes);
    snprintf(fixes + size, sizeof(fixes) - size, "%s\n", trouble->fix);
}

static void check(const char *text, bool is_unit, const char *expected)
{
    config_file_load(&lab, text, NULL);
    assert_int_equal(lab.result, 0);
    *told = *fixes = '\0';
    assert_int_equal(programs_check(lab.config, is_unit, note, NULL), 0);
    assert_string_equal(told, expected);
}

static void what_is_there_or_found_by_path_is_not_told(void **state _unused_)
{
    check("tasks = { on_done = \"/bin/sh -c true\"; types = ( { name = \"a\"; command = "
          "\"no-such-word\"; }, { name = \"b\"; } ); };\n"
          "messages = { handler = \"'/bin/sh' x\"; };\n"
          "hooks = ( { event = \"drain\"; command = \"no-such-word /no/such\"; } );",
          true, "");
}

static void what_is_missing_is_told_with_who_names_it(void **state _unused_)
{
    check("tasks = { on_done = \"/no/such/done 1\"; types = ( { name = \"a\"; command = "
          "\"/usr/no-such-handler\"; } ); };\n"
          "messages = { handler = \"/bin/sh/x\"; };\n"
          "hooks = ( { event = \"drain\"; command = \"/no/such/hook\"; },\n"
          "          { event = \"undrain\"; command = \"/usr\"; } );",
          false,
          "tasks.types: type \"a\": there is no /usr/no-such-handler\n"
          "tasks.on_done: there is no /no/such/done\n"
          "messages.handler: there is no /bin/sh/x\n"
          "hooks: drain: there is no /no/such/hook\n"
          "hooks: undrain: /usr is no program\n");
    assert_non_null(strstr(fixes, "put it there, or correct hooks; then p2pctl reload\n"));
}

static void what_nobody_may_run_is_told(void **state _unused_)
{
    char path[160], text[256], expected[256];

    snprintf(path, sizeof(path), "%s/common.conf", lab.directory);
    config_file_write(lab.directory, "common.conf", "#!/bin/sh\n");
    snprintf(text, sizeof(text), "tasks = { on_done = \"%s\"; };", path);
    snprintf(expected, sizeof(expected), "tasks.on_done: %s is not executable\n", path);
    check(text, false, expected);
    snprintf(expected, sizeof(expected), "chmod a+x %s; then p2pctl reload\n", path);
    assert_string_equal(fixes, expected);
    assert_int_equal(chmod(path, 0700), 0);
    check(text, false, "");
}

static void what_a_unit_is_not_shown_is_told_of_units_alone(void **state _unused_)
{
    static const char text[] =
        "sandbox = { read = ( \"/usr\", \"/home\" ); };\n"
        "tasks = { types = ( { name = \"a\"; command = \"/home/u/a.sh\"; } ); };\n"
        "messages = { handler = \"/home/u/m.sh\"; };\n"
        "hooks = ( { event = \"drain\"; command = \"/tmp/hook\"; },\n"
        "          { event = \"undrain\"; command = \"/rooted/hook\"; } );";

    check(text, true,
          "tasks.types: type \"a\": the unit that runs it, p2pnode-exec@, does not see "
          "/home/u/a.sh (ProtectHome=)\n"
          "messages.handler: the unit that runs it, p2pnode-exec@, does not see /home/u/m.sh "
          "(ProtectHome=)\n"
          "hooks: drain: the unit that runs it, p2pnode-exec@, does not see /tmp/hook "
          "(PrivateTmp=)\n"
          "hooks: undrain: there is no /rooted/hook\n");
    check(text, false,
          "tasks.types: type \"a\": there is no /home/u/a.sh\n"
          "messages.handler: there is no /home/u/m.sh\n"
          "hooks: drain: there is no /tmp/hook\n"
          "hooks: undrain: there is no /rooted/hook\n");
}

static void what_tasks_do_not_see_is_told_first(void **state _unused_)
{
    static const char types[] =
        "tasks = { types = ( { name = \"a\"; command = \"/tmp/h.sh 1\"; },\n"
        "{ name = \"b\"; command = \"/usr/bin/env x\"; }, { name = \"c\"; command = \"/usrx\"; },\n"
        "{ name = \"d\"; command = \"env /tmp/x\"; }, { name = \"e\"; } ); };";
    char text[512];

    check(types, true,
          "tasks.types: type \"a\": tasks do not see /tmp/h.sh: it is in neither sandbox.read nor "
          "sandbox.write\n"
          "tasks.types: type \"c\": tasks do not see /usrx: it is in neither sandbox.read nor "
          "sandbox.write\n");
    snprintf(text, sizeof(text), "%s sandbox = { read = ( \"/usrx/\" ); write = ( \"/tmp\" ); };",
             types);
    check(text, false,
          "tasks.types: type \"a\": there is no /tmp/h.sh\n"
          "tasks.types: type \"b\": tasks do not see /usr/bin/env: it is in neither sandbox.read "
          "nor sandbox.write\n"
          "tasks.types: type \"c\": there is no /usrx\n");
    snprintf(text, sizeof(text), "%s sandbox = { mode = \"none\"; };", types);
    check(text, false,
          "tasks.types: type \"a\": there is no /tmp/h.sh\n"
          "tasks.types: type \"c\": there is no /usrx\n");
}

static void who_runs_no_tasks_needs_no_handler(void **state _unused_)
{
    check("tasks = { enabled = false; types = ( { name = \"a\"; command = \"/usr/none\"; } ); };\n"
          "messages = { handler = \"/usr/none\"; };",
          false, "messages.handler: there is no /usr/none\n");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(what_is_there_or_found_by_path_is_not_told),
        TEST(what_is_missing_is_told_with_who_names_it),
        TEST(what_nobody_may_run_is_told),
        TEST(what_a_unit_is_not_shown_is_told_of_units_alone),
        TEST(what_tasks_do_not_see_is_told_first),
        TEST(who_runs_no_tasks_needs_no_handler),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
