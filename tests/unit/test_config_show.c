/* SPDX-License-Identifier: MIT */
#include "config_file.h"

static struct config_file lab;

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

static size_t index_of(const char *path)
{
    const char *closest;
    int index = config_key_find(path, &closest);

    assert_true(index >= 0);
    return (size_t)index;
}

static void assert_value(const char *path, const char *expected)
{
    _cleanup_free_ char *text = config_format_value(lab.config, index_of(path));

    assert_string_equal(text, expected);
}

static void the_dump_names_every_key_and_loads_as_the_defaults(void **state _unused_)
{
    _cleanup_(config_freep) struct config *defaults = NULL;
    _cleanup_strings_ struct config_strings errors = {0}, changed = {0}, restart = {0};
    _cleanup_free_ char *dump = config_dump_default();

    assert_int_equal(config_load(NULL, NULL, &defaults, &errors), 0);
    config_file_load(&lab, dump, NULL);
    assert_int_equal(lab.result, 0);
    assert_int_equal(config_diff(defaults, lab.config, &changed, &restart), 0);
    assert_int_equal(changed.count, 0);
    for (size_t i = 0; i < config_keys_count(); i++)
        assert_string_not_equal(config_origin(lab.config, i), "default");
}

static void the_dump_fits_a_terminal_and_has_no_blanks_at_line_ends(void **state _unused_)
{
    _cleanup_free_ char *dump = config_dump_default();

    assert_null(strstr(dump, " \n"));
    assert_null(strchr(dump, '\t'));
}

static void values_are_shown_as_a_file_would_have_them(void **state _unused_)
{
    config_file_load(&lab,
                     "node = { name = \"lab-01\"; tags = ( \"room=2\", \"gpu=1\" ); };"
                     "membership = { probe_interval = 1.5; seed_quorum = 2; };"
                     "tasks = { on_done = \"say \\\"x\\\\y\\\"\"; types = ( { name = \"a\"; } ); };"
                     "seeds = ( \"10.0.0.1:1\", \"10.0.0.2:1\" );"
                     "hooks = ( { event = \"drain\"; command = \"x\"; } );",
                     NULL);
    assert_int_equal(lab.result, 0);
    assert_value("node.name", "\"lab-01\"");
    assert_value("node.tags", "( \"room=2\", \"gpu=1\" )");
    assert_value("node.role", "\"peer\"");
    assert_value("membership.probe_interval", "\"1.5s\"");
    assert_value("membership.seed_quorum", "\"2\"");
    assert_value("tasks.on_done", "\"say \\\"x\\\\y\\\"\"");
    assert_value("tasks.types", "( { name = \"a\"; command = \"\"; slots = 1; max = 0; "
                                "timeout = \"\"; memory = \"0\"; users = ( ); } )");
    assert_value("hooks", "( { event = \"drain\"; command = \"x\"; } )");
    assert_value("control.mode", "\"0660\"");
    assert_value("files.quota", "\"20GiB\"");
    assert_value("log.level", "\"info\"");
    assert_value("security.tls", "true");
    assert_value("listen.port", "7717");
    assert_value("security.allow", "( )");
}

/* Whatever is shown can be pasted into a file and means the same. */
static void what_is_shown_reads_back(void **state _unused_)
{
    _cleanup_(config_freep) struct config *before = NULL;
    _cleanup_strings_ struct config_strings changed = {0}, restart = {0};
    char *text = NULL;
    size_t size = 0;

    config_file_load(
        &lab,
        "node = { name = \"x\"; role = \"seed\"; }; gossip = { message_interval = 0; };"
        "log = { level = \"debug\"; facility = \"local3\"; }; control = { mode = \"600\"; };"
        "mem = { limit = 2000000; }; membership = { seed_quorum = \"all\"; };"
        "tasks = { types = ( { name = \"a\"; command = \"b \\\"c\\\"\"; } ); };",
        NULL);
    assert_int_equal(lab.result, 0);
    FILE *stream = open_memstream(&text, &size);
    char section[32] = "";
    for (size_t i = 0; i < config_keys_count(); i++) {
        _cleanup_free_ char *value = config_format_value(lab.config, i);
        const char *path = config_key_path(i), *dot = strchr(path, '.');
        char next[32];
        snprintf(next, sizeof(next), "%.*s", dot ? (int)(dot - path) : 0, path);
        if (strcmp(next, section) != 0)
            fprintf(stream, "%s%s%s", *section ? "};" : "", next, *next ? "={" : "");
        strcpy(section, next);
        fprintf(stream, "%s=%s;\n", dot ? dot + 1 : path, value);
    }
    assert_int_equal(fclose(stream), 0);
    before = TAKE_PTR(lab.config);
    config_file_load(&lab, text, NULL);
    free(text);
    assert_int_equal(lab.result, 0);
    assert_int_equal(config_diff(before, lab.config, &changed, &restart), 0);
    assert_int_equal(changed.count, 0);
}

static void every_value_has_an_origin(void **state _unused_)
{
    char *environment[] = {(char[]){"P2PNODE_LISTEN_PORT=1"}, NULL};
    char expected[160];

    config_file_load(&lab, "\nnode = {\n role = \"seed\"; };", environment);
    snprintf(expected, sizeof(expected), "%s:3", lab.path);
    assert_string_equal(config_origin(lab.config, index_of("node.role")), expected);
    assert_string_equal(config_origin(lab.config, index_of("listen.port")),
                        "env P2PNODE_LISTEN_PORT");
    assert_string_equal(config_origin(lab.config, index_of("gossip.mtu")), "default");
}

static void a_variable_is_the_path_in_capitals(void **state _unused_)
{
    _cleanup_free_ char *variable = config_variable(index_of("membership.probe_interval"));
    _cleanup_free_ char *top = config_variable(index_of("state_dir"));

    assert_string_equal(variable, "P2PNODE_MEMBERSHIP_PROBE_INTERVAL");
    assert_string_equal(top, "P2PNODE_STATE_DIR");
}

static void an_unknown_path_gets_a_suggestion(void **state _unused_)
{
    const char *closest = NULL;

    assert_int_equal(config_key_find("listen.prot", &closest), -ENOENT);
    assert_string_equal(closest, "listen.port");
    assert_int_equal(config_key_find("something", &closest), -ENOENT);
    assert_null(closest);
}

static void a_reload_lists_what_changed_and_what_needs_a_restart(void **state _unused_)
{
    _cleanup_(config_freep) struct config *before = NULL;
    _cleanup_strings_ struct config_strings changed = {0}, restart = {0};

    config_file_load(&lab, "node = { name = \"a\"; };", NULL);
    before = TAKE_PTR(lab.config);
    config_file_load(&lab,
                     "node = { name = \"b\"; }; gossip = { fanout = 5; }; listen = { port = 1; };"
                     "hooks = ( { event = \"drain\"; command = \"x\"; } );",
                     NULL);
    assert_int_equal(config_diff(before, lab.config, &changed, &restart), 0);
    assert_int_equal(changed.count, 4);
    assert_int_equal(restart.count, 2);
    assert_string_equal(restart.items[0], "node.name");
    assert_string_equal(restart.items[1], "listen.port");
    assert_true(config_strings_contain(&changed, "hooks"));
    assert_true(config_strings_contain(&changed, "gossip.fanout"));
}

static void a_changed_seeds_file_is_a_change(void **state _unused_)
{
    _cleanup_(config_freep) struct config *before = NULL;
    _cleanup_strings_ struct config_strings changed = {0}, restart = {0};
    char text[256];

    snprintf(text, sizeof(text), "seeds_file = \"%s/config.txt\";", lab.directory);
    config_file_write(lab.directory, "config.txt", "10.0.0.1:1\n");
    config_file_load(&lab, text, NULL);
    before = TAKE_PTR(lab.config);
    config_file_write(lab.directory, "config.txt", "10.0.0.2:1\n");
    config_file_load(&lab, text, NULL);
    assert_int_equal(config_diff(before, lab.config, &changed, &restart), 0);
    assert_int_equal(changed.count, 1);
    assert_string_equal(changed.items[0], "seeds_file");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

static void what_is_adopted_is_all_but_what_needs_a_restart(void **state _unused_)
{
    _cleanup_(config_freep) struct config *loaded = NULL;

    config_file_load(&lab,
                     "listen = { port = 7800; }; node = { name = \"new\"; tags = ( \"a=1\" ); };"
                     "tasks = { slots = 7; types = ( { name = \"a\"; }, { name = \"b\"; } ); };"
                     "hooks = ( { event = \"drain\"; command = \"x\"; } );"
                     "seeds = ( \"10.0.0.1:1\" ); membership = { seed_quorum = \"all\"; };"
                     "files = { quota = \"1GiB\"; }; mem = { persist = false; };",
                     NULL);
    loaded = TAKE_PTR(lab.config);
    config_file_load(&lab, "node = { name = \"old\"; };", NULL);
    const char *name = lab.config->node.name;
    config_adopt(lab.config, loaded);
    assert_ptr_equal(lab.config->node.name, name);
    assert_value("node.name", "\"old\"");
    assert_value("listen.port", "7717");
    assert_value("node.tags", "( \"a=1\" )");
    assert_value("tasks.slots", "7");
    assert_int_equal(lab.config->tasks.types_count, 2);
    assert_value("hooks", "( { event = \"drain\"; command = \"x\"; } )");
    assert_value("seeds", "( \"10.0.0.1:1\" )");
    assert_int_equal(lab.config->all_seeds.count, 1);
    assert_value("membership.seed_quorum", "\"all\"");
    assert_value("files.quota", "\"1GiB\"");
    assert_value("mem.persist", "false");
    assert_string_equal(config_origin(lab.config, index_of("listen.port")), "default");
    assert_non_null(strstr(config_origin(lab.config, index_of("tasks.slots")), "lab.conf:1"));
    /* The former values are the other's, to be freed with it. */
    assert_int_equal(loaded->tasks.slots, 0);
    assert_int_equal(loaded->all_seeds.count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_dump_names_every_key_and_loads_as_the_defaults),
        TEST(the_dump_fits_a_terminal_and_has_no_blanks_at_line_ends),
        TEST(values_are_shown_as_a_file_would_have_them),
        TEST(what_is_shown_reads_back),
        TEST(every_value_has_an_origin),
        TEST(a_variable_is_the_path_in_capitals),
        TEST(an_unknown_path_gets_a_suggestion),
        TEST(a_reload_lists_what_changed_and_what_needs_a_restart),
        TEST(a_changed_seeds_file_is_a_change),
        TEST(what_is_adopted_is_all_but_what_needs_a_restart),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
