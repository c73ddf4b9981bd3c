/* SPDX-License-Identifier: MIT */
#include "config_file.h"

#include "base/text.h"
#include "config/events.h"

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

static void load(const char *text)
{
    config_file_load(&lab, text, NULL);
}

static void an_empty_file_is_all_defaults(void **state _unused_)
{
    load("");
    assert_int_equal(lab.result, 0);
    assert_int_equal(lab.config->listen.port, CONFIG_PORT_DEFAULT);
    assert_int_equal(lab.config->membership.probe_interval_usec, USEC_PER_SEC);
    assert_int_equal(lab.config->membership.seed_quorum, CONFIG_QUORUM_MAJORITY);
    assert_int_equal(lab.config->files.quota_size, UINT64_C(20) << 30);
    assert_int_equal(lab.config->control.mode, 0660);
    assert_int_equal(lab.config->log.level, 6);
    assert_true(lab.config->security.encrypt);
    assert_int_equal(lab.config->sandbox.read.count, 6);
    assert_int_equal(lab.config->tasks.retry_on.count, 3);
    assert_true(text_is_node_name(lab.config->node.name));
}

static void no_file_at_all_is_all_defaults(void **state _unused_)
{
    _cleanup_(config_freep) struct config *config = NULL;
    _cleanup_strings_ struct config_strings errors = {0};

    assert_int_equal(config_load(NULL, NULL, &config, &errors), 0);
    assert_int_equal(config->gossip.fanout, 4);
}

static void a_missing_file_is_told(void **state _unused_)
{
    _cleanup_(config_freep) struct config *config = NULL;
    _cleanup_strings_ struct config_strings errors = {0};

    assert_int_equal(config_load("/nonexistent/lab.conf", NULL, &config, &errors), -EINVAL);
    assert_int_equal(errors.count, 1);
    assert_string_equal(errors.items[0], "/nonexistent/lab.conf: No such file or directory");
    assert_null(config);
}

static void a_folder_is_not_a_file(void **state _unused_)
{
    _cleanup_(config_freep) struct config *config = NULL;
    _cleanup_strings_ struct config_strings errors = {0};

    assert_int_equal(config_load("/tmp", NULL, &config, &errors), -EINVAL);
    assert_non_null(strstr(errors.items[0], "not a regular file"));
}

static void all_errors_are_told_at_once_with_their_lines(void **state _unused_)
{
    load("node = { name = \"bad name\";\n role = \"king\"; };\n"
         "membership = {\n probe_intervall = \"1s\";\n max_missed = 0; };\n"
         "listen = { port = 65536; };\n");
    assert_int_equal(lab.result, -EINVAL);
    assert_int_equal(lab.errors.count, 5);
    config_file_assert_error(
        &lab, 0, "lab.conf:1: node.name: expected at most 63 of [A-Za-z0-9._-], not \"bad name\"");
    config_file_assert_error(&lab, 1,
                             "lab.conf:2: node.role: expected \"peer\" or \"seed\", not \"king\"");
    config_file_assert_error(&lab, 2,
                             "lab.conf:4: unknown key \"membership.probe_intervall\"; did you mean "
                             "\"probe_interval\"?");
    config_file_assert_error(
        &lab, 3, "lab.conf:5: membership.max_missed: expected a number from 1 to 10, not \"0\"");
    config_file_assert_error(
        &lab, 4, "lab.conf:6: listen.port: expected a number from 0 to 65535, not \"65536\"");
}

static void unknown_sections_and_top_level_keys_get_a_suggestion(void **state _unused_)
{
    load("membershp = { };\nseed = ( );\nxyzzy = 1;\n");
    assert_int_equal(lab.errors.count, 3);
    config_file_assert_error(&lab, 0,
                             "lab.conf:1: unknown key \"membershp\"; did you mean \"membership\"?");
    config_file_assert_error(&lab, 1, "lab.conf:2: unknown key \"seed\"; did you mean \"seeds\"?");
    config_file_assert_error(&lab, 2, "lab.conf:3: unknown key \"xyzzy\"");
}

static void a_syntax_error_has_its_line(void **state _unused_)
{
    load("node = {\n name = ;\n};\n");
    assert_int_equal(lab.errors.count, 1);
    config_file_assert_error(&lab, 0, "lab.conf:2: syntax error");
}

static void a_key_that_is_there_twice_is_refused(void **state _unused_)
{
    load("stop_grace = \"1s\";\nstop_grace = \"2s\";\n");
    config_file_assert_error(&lab, 0, "lab.conf:2: duplicate setting name");
}

static void durations_are_texts_or_bare_seconds(void **state _unused_)
{
    load("membership = { probe_interval = 2; probe_timeout = 0.25; rejoin_interval = \"1.5s\"; };"
         "stop_grace = \"90\"; tasks = { timeout = 0; };");
    assert_int_equal(lab.result, 0);
    assert_int_equal(lab.config->membership.probe_interval_usec, 2 * USEC_PER_SEC);
    assert_int_equal(lab.config->membership.probe_timeout_usec, 250 * USEC_PER_MSEC);
    assert_int_equal(lab.config->membership.rejoin_interval_usec, 1500 * USEC_PER_MSEC);
    assert_int_equal(lab.config->stop_grace_usec, 90 * USEC_PER_SEC);
    assert_int_equal(lab.config->tasks.timeout_usec, 0);
}

static void a_quoted_number_is_a_number(void **state _unused_)
{
    load("listen = { port = \"7718\"; };");
    assert_int_equal(lab.config->listen.port, 7718);
}

static void a_number_above_32_bits_is_refused_and_not_wrapped(void **state _unused_)
{
    load("files = { quota = 5000000000;\n file_max = 4294967297; };\nmem = { limit = 0x1ffffffff; "
         "};");
    assert_int_equal(lab.errors.count, 3);
    config_file_assert_error(&lab, 0,
                             "lab.conf:1: files.quota: the number is too large; write it in "
                             "quotes, with a unit if it has one");
    load("files = { quota = 5000000000L; file_max = \"4GB\"; };");
    assert_int_equal(lab.result, 0);
    assert_int_equal(lab.config->files.quota_size, UINT64_C(5000000000));
}

static void a_negative_number_is_refused(void **state _unused_)
{
    load("tasks = { retries = -1; timeout = -5; memory = -1L; };");
    assert_int_equal(lab.errors.count, 3);
    config_file_assert_error(
        &lab, 0, "lab.conf:1: tasks.retries: expected a number from 0 to 100, not \"-1\"");
}

static void wrong_kinds_are_refused(void **state _unused_)
{
    load("security = { tls = \"yes\"; };\nlisten = 3;\nseeds = \"10.0.0.1\";\n"
         "node = { tags = ( 1 ); };\ncontrol = { mode = 660; };\ngossip = { fanout = 1.5; };\n");
    assert_int_equal(lab.errors.count, 6);
    config_file_assert_error(&lab, 0,
                             "lab.conf:1: security.tls: expected true or false, not \"yes\"");
    config_file_assert_error(&lab, 1, "lab.conf:2: listen: expected a group { ... }");
    config_file_assert_error(&lab, 2,
                             "lab.conf:3: seeds: expected a list such as ( \"a\", \"b\" )");
    config_file_assert_error(&lab, 3,
                             "lab.conf:4: node.tags: expected KEY=VALUE of at most 63 characters");
    config_file_assert_error(
        &lab, 4, "lab.conf:5: control.mode: expected an octal mode in quotes such as \"0660\"");
}

static void every_range_ends_where_it_says(void **state _unused_)
{
    load("gossip = { mtu = 548; fanout = 64; }; messages = { size_max = \"1KiB\"; };");
    assert_int_equal(lab.result, 0);
    load("gossip = { mtu = 547; fanout = 65; }; messages = { size_max = 1025; };");
    assert_int_equal(lab.errors.count, 3);
}

static void seeds_are_addresses_or_names(void **state _unused_)
{
    load("seeds = ( \"10.0.4.2:7717\", \"[fd00::2]:7717\", \"seed-1.lab\", \"seed-2:99\", \"::1\" "
         ");");
    assert_int_equal(lab.result, 0);
    assert_int_equal(lab.config->seeds.count, 5);
    load("seeds = ( \"10.0.4.2:0\",\n \"300.0.0.1:1\",\n \"a b\",\n \"seed:70000\", \"\", "
         "\"0.0.0.0:7\" );");
    assert_int_equal(lab.errors.count, 6);
}

static void a_list_has_a_limit(void **state _unused_)
{
    char text[4096] = "seeds = ( ";

    for (int i = 0; i < CONFIG_LIST_MAX; i++)
        snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s\"10.0.0.1:%d\"",
                 i > 0 ? "," : "", i + 1);
    size_t length = strlen(text);
    strcpy(text + length, ");");
    load(text);
    assert_int_equal(lab.result, 0);
    strcpy(text + length, ", \"10.0.0.2:1\");");
    load(text);
    config_file_assert_error(&lab, 0, "lab.conf:1: seeds: more than 64 entries");
}

static void the_seeds_file_has_one_address_per_line(void **state _unused_)
{
    char text[256];

    config_file_write(lab.directory, "config.txt",
                      "# the seeds\n192.168.1.1:5000\n\n  192.168.1.2:5001  # second\n");
    snprintf(text, sizeof(text),
             "seeds = ( \"10.0.0.1:1\", \"192.168.1.1:5000\" ); seeds_file = \"%s/config.txt\";",
             lab.directory);
    load(text);
    assert_int_equal(lab.result, 0);
    assert_int_equal(lab.config->all_seeds.count, 3);
    assert_string_equal(lab.config->all_seeds.items[2], "192.168.1.2:5001");
}

static void seeds_that_cannot_be_meant_are_warned_of(void **state _unused_)
{
    char text[256];

    load("seeds = ( \"10.0.0.1:1\" ); membership = { seed_quorum = \"9\"; };");
    assert_int_equal(lab.result, 0);
    assert_int_equal(lab.config->warnings.count, 1);
    assert_non_null(strstr(lab.config->warnings.items[0],
                           "membership.seed_quorum: 9, but there are 1 seeds: it is that many"));
    load("seeds = ( \"10.0.0.1:1\" ); membership = { seed_quorum = \"all\"; };");
    assert_int_equal(lab.config->warnings.count, 0);
    config_file_write(lab.directory, "config.txt", "# nobody\n");
    snprintf(text, sizeof(text), "seeds_file = \"%s/config.txt\";", lab.directory);
    load(text);
    assert_int_equal(lab.result, 0);
    assert_int_equal(lab.config->warnings.count, 1);
    assert_non_null(strstr(lab.config->warnings.items[0], "seeds_file: there is no seed in it"));
}

static void write_bytes(const char *name, const char *data, size_t size)
{
    char path[256];

    snprintf(path, sizeof(path), "%s/%s", lab.directory, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

static void a_bad_line_of_the_seeds_file_is_told_with_its_number(void **state _unused_)
{
    char text[256];

    config_file_write(lab.directory, "config.txt",
                      "192.168.1.1:5000\n192.168.1.2\nseed:1\n1.2.3.4:0\n");
    snprintf(text, sizeof(text), "seeds_file = \"%s/config.txt\";", lab.directory);
    load(text);
    assert_int_equal(lab.errors.count, 3);
    config_file_assert_error(&lab, 0, "config.txt:2: expected IP:PORT, not \"192.168.1.2\"");
    config_file_assert_error(&lab, 2, "config.txt:4: expected IP:PORT, not \"1.2.3.4:0\"");
    /* Nothing of a line is left out in silence. */
    config_file_write(lab.directory, "config.txt",
                      "\xef\xbb\xbf"
                      "192.168.1.1:5000\r\n192.168.1.2:5000\r\n192.168.1.3:1\r192.168.1.4:1\n");
    load(text);
    assert_int_equal(lab.errors.count, 2);
    config_file_assert_error(&lab, 0,
                             "config.txt:1: expected IP:PORT in plain text, without "
                             "control characters or a byte order mark");
    config_file_assert_error(&lab, 1,
                             "config.txt:3: expected IP:PORT in plain text, without "
                             "control characters or a byte order mark");
    write_bytes("config.txt", "192.168.1.1:5000\0rest\n", 22);
    load(text);
    config_file_assert_error(&lab, 0,
                             "config.txt:1: expected IP:PORT in plain text, without "
                             "control characters or a byte order mark");
    load("seeds_file = \"/nonexistent\";");
    config_file_assert_error(&lab, 0,
                             "lab.conf:1: seeds_file: /nonexistent: No such file or directory");
    load("seeds_file = \"/dev/zero\";");
    config_file_assert_error(
        &lab, 0, "lab.conf:1: seeds_file: /dev/zero: not a regular file of at most 1048576 bytes");
}

static void an_included_file_counts_and_keeps_its_own_lines(void **state _unused_)
{
    config_file_write(lab.directory, "common.conf", "gossip = {\n fanout = 99; };\n");
    load("\n@include \"common.conf\"\n");
    config_file_assert_error(
        &lab, 0, "common.conf:2: gossip.fanout: expected a number from 1 to 64, not \"99\"");
    config_file_write(lab.directory, "common.conf", "gossip = { fanout = 9; };\n");
    load("@include \"common.conf\"\n");
    assert_int_equal(lab.config->gossip.fanout, 9);
}

static void types_have_defaults_and_are_checked(void **state _unused_)
{
    load("tasks = { types = ( { name = \"a\"; command = \"/bin/true x\"; slots = 2; timeout = "
         "\"10min\"; "
         "memory = \"512MiB\"; users = ( \"user1\" ); }, { name = \"b\"; } ); };");
    assert_int_equal(lab.result, 0);
    assert_int_equal(lab.config->tasks.types_count, 2);
    assert_string_equal(lab.config->tasks.types[0].command, "/bin/true x");
    assert_int_equal(lab.config->tasks.types[0].timeout_usec, 10 * USEC_PER_MIN);
    assert_string_equal(lab.config->tasks.types[0].users.items[0], "user1");
    assert_string_equal(lab.config->tasks.types[1].command, "");
    assert_int_equal(lab.config->tasks.types[1].slots, 1);
    assert_true(lab.config->tasks.types[1].timeout_usec == CONFIG_UNSET);
    load("tasks = { types = ( { name = \"a\"; timeout = 0; }, { name = \"b\"; timeout = \"\"; } ); "
         "};");
    assert_int_equal(lab.result, 0);
    assert_int_equal(lab.config->tasks.types[0].timeout_usec, 0);
    assert_true(lab.config->tasks.types[1].timeout_usec == CONFIG_UNSET);
    load("tasks = { types = ( { name = \"a1\"; },\n { nam = \"b\"; },\n 3,\n { name = \"c\"; }, { "
         "name = \"c\"; } ); };");
    assert_int_equal(lab.errors.count, 5);
    config_file_assert_error(&lab, 0,
                             "lab.conf:1: tasks.types.name: expected 1 to 32 letters, not \"a1\"");
    config_file_assert_error(&lab, 1,
                             "lab.conf:2: unknown key \"tasks.types.nam\"; did you mean \"name\"?");
    config_file_assert_error(&lab, 2, "lab.conf:2: tasks.types: an entry without \"name\"");
    config_file_assert_error(&lab, 3, "lab.conf:3: tasks.types: expected a group { ... }");
    config_file_assert_error(&lab, 4, "lab.conf:1: tasks.types: type \"c\" is there twice");
}

static void hooks_name_an_event_and_a_command(void **state _unused_)
{
    load("hooks = ( { event = \"member-dead\"; command = \"/usr/local/bin/page\"; } );");
    assert_int_equal(lab.result, 0);
    assert_int_equal(lab.config->hooks_count, 1);
    load("hooks = ( { event = \"member-died\"; command = \"x\"; }, { event = \"drain\"; } );");
    assert_int_equal(lab.errors.count, 2);
    config_file_assert_error(
        &lab, 0,
        "lab.conf:1: hooks.event: expected an event such as member-dead, not \"member-died\"");
}

static void commands_close_their_quotes(void **state _unused_)
{
    load(
        "tasks = { on_done = \"it's\"; types = ( { name = \"a\"; command = \"'x\"; }, { name = "
        "\"b\"; command = \" \"; } ); };\nmessages = { handler = \"a 'b\"; };\nhooks = ( { event = "
        "\"drain\"; command = \"a ''\"; }, { event = \"drain\"; command = \"\"; } );");
    assert_int_equal(lab.errors.count, 5);
    for (size_t i = 0; i < lab.errors.count; i++)
        if (!strstr(lab.errors.items[i], "expected a command: words, with every quote closed"))
            fail_msg("%s", lab.errors.items[i]);
}

static void the_environment_overrides_the_file(void **state _unused_)
{
    char *environment[] = {(char[]){"P2PNODE_LISTEN_PORT=1"},
                           (char[]){"P2PNODE_SEEDS=10.0.0.1:1,seed-2"},
                           (char[]){"P2PNODE_TASKS_TYPES=a,b"},
                           (char[]){"P2PNODE_STATE_DIR=/x"},
                           (char[]){"P2PNODE_MEMBERSHIP_PROBE_INTERVAL=3s"},
                           (char[]){"P2PNODE_INSTANCE=lab"},
                           (char[]){"HOME=/"},
                           NULL};

    config_file_load(&lab, "listen = { port = 2; };", environment);
    assert_int_equal(lab.result, 0);
    assert_int_equal(lab.config->listen.port, 1);
    assert_int_equal(lab.config->seeds.count, 2);
    assert_int_equal(lab.config->tasks.types_count, 2);
    assert_string_equal(lab.config->tasks.types[1].name, "b");
    assert_string_equal(lab.config->state_dir, "/x");
    assert_int_equal(lab.config->membership.probe_interval_usec, 3 * USEC_PER_SEC);
}

static void errors_of_the_environment_are_told(void **state _unused_)
{
    char *environment[] = {(char[]){"P2PNODE_LISTEN_PORT=x"}, (char[]){"P2PNODE_GOSSIP_FANOT=1"},
                           (char[]){"P2PNODE_TASKS_TYPES=a,1"}, (char[]){"P2PNODE_HOOKS=x"}, NULL};

    config_file_load(&lab, "", environment);
    assert_int_equal(lab.errors.count, 4);
    config_file_assert_error(
        &lab, 0, "environment: P2PNODE_LISTEN_PORT: expected a number from 0 to 65535, not \"x\"");
    config_file_assert_error(&lab, 1,
                             "environment: unknown variable P2PNODE_GOSSIP_FANOT; did you mean "
                             "P2PNODE_GOSSIP_FANOUT?");
    config_file_assert_error(
        &lab, 2, "environment: P2PNODE_TASKS_TYPES: expected 1 to 32 letters, not \"1\"");
    config_file_assert_error(&lab, 3, "environment: P2PNODE_HOOKS: hooks are set in the file only");
}

static void unknown_variables_of_no_section_are_warned_of(void **state _unused_)
{
    char *environment[] = {(char[]){"P2PNODE_SEDES=x"},   (char[]){"P2PNODE_BUILD_DIRECTORY=x"},
                           (char[]){"P2PNODE_SOCKET=/x"}, (char[]){"P2PNODE_INSTANCE=lab"},
                           (char[]){"P2PNODEX=1"},        NULL};

    config_file_load(&lab, "", environment);
    assert_int_equal(lab.result, 0);
    assert_int_equal(lab.config->warnings.count, 2);
    assert_string_equal(lab.config->warnings.items[0],
                        "environment: unknown variable P2PNODE_SEDES; did you mean P2PNODE_SEEDS?");
    assert_string_equal(lab.config->warnings.items[1],
                        "environment: unknown variable P2PNODE_BUILD_DIRECTORY");
}

static void a_socket_is_as_long_as_an_address_may_be(void **state _unused_)
{
    char text[200], path[109] = "/";

    memset(path + 1, 'x', 106);
    snprintf(text, sizeof(text), "control = { socket = \"%s\"; };", path);
    config_file_load(&lab, text, NULL);
    assert_int_equal(lab.result, 0);
    path[107] = 'x';
    snprintf(text, sizeof(text), "control = { socket = \"%s\"; };", path);
    config_file_load(&lab, text, NULL);
    assert_int_equal(lab.errors.count, 1);
    assert_non_null(strstr(lab.errors.items[0], "an absolute path of at most 107 bytes"));
}

static void programs_that_cannot_run_are_warned_of(void **state _unused_)
{
    load("tasks = {\n types = ( { name = \"a\"; command = \"/tmp/h.sh 1\"; } ); };\n"
         "hooks = ( { event = \"drain\"; command = \"/no/such/hook\"; } );\n");
    assert_int_equal(lab.result, 0);
    assert_int_equal(lab.config->warnings.count, 2);
    assert_non_null(strstr(lab.config->warnings.items[0],
                           "lab.conf:2: tasks.types: type \"a\": tasks do not see /tmp/h.sh: it is "
                           "in neither sandbox.read nor sandbox.write"));
    assert_non_null(strstr(lab.config->warnings.items[1],
                           "lab.conf:3: hooks: drain: there is no /no/such/hook"));
}

static void relations_between_keys_are_checked(void **state _unused_)
{
    load("membership = { probe_interval = \"800ms\";\n probe_timeout = \"401ms\"; };\n"
         "files = { quota = \"1GiB\";\n file_max = \"2GiB\"; };\n"
         "security = { encrypt = false; tls = true; };\n"
         "listen = { address = \"10.0.0.1\"; advertise = \"[fd00::1]:7\"; };\n");
    assert_int_equal(lab.errors.count, 4);
    config_file_assert_error(&lab, 0,
                             "lab.conf:2: membership.probe_timeout: has to be at most half of "
                             "membership.probe_interval");
    config_file_assert_error(&lab, 1, "lab.conf:4: files.file_max: has to be at most files.quota");
    config_file_assert_error(
        &lab, 2, "lab.conf:5: security.tls: needs security.encrypt: both use the key ring");
    config_file_assert_error(&lab, 3,
                             "lab.conf:6: listen.advertise: is IPv6, but listen.address is IPv4");
}

static void a_default_gives_way_to_what_is_written(void **state _unused_)
{
    load("files = { quota = \"1GiB\"; }; security = { encrypt = false; }; mem = { limit = "
         "\"64KiB\"; }; membership = { probe_interval = \"200ms\"; };");
    assert_int_equal(lab.result, 0);
    assert_int_equal(lab.config->membership.probe_timeout_usec, 100 * USEC_PER_MSEC);
    assert_false(lab.config->security.tls);
    load("membership = { probe_interval = \"4s\"; };");
    assert_int_equal(lab.config->membership.probe_timeout_usec, 500 * USEC_PER_MSEC);
    assert_true(lab.config->security.tls);
}

static void networks_and_paths_are_checked(void **state _unused_)
{
    load("security = { allow = ( \"10.0.0.0/8\", \"fd00::/64\", \"127.0.0.1\" ); };"
         "python = { modules = ( \"numpy\", \"scipy.stats\" ); }; log = { subsystems = ( "
         "\"gossip=debug\" ); };");
    assert_int_equal(lab.result, 0);
    load("security = { allow = ( \"10.0.0.0/33\", \"x\", \"10.0.0.1:80\", \"fd00::/129\", "
         "\"10.0.0.0/\" ); };"
         "python = { interpreter = \"python3\"; modules = ( \"a..b\", \"1a\", \"os;x\", \"\" ); };"
         "sandbox = { read = ( \"usr\" ); }; log = { subsystems = ( \"gossip\", \"x=debug\", "
         "\"net=loud\" ); };");
    assert_int_equal(lab.errors.count, 14);
}

static void control_characters_are_refused(void **state _unused_)
{
    load("seeds_file = \"a\\nb\";");
    config_file_assert_error(
        &lab, 0,
        "lab.conf:1: seeds_file: expected a text without control characters, not \"a\nb\"");
}

static void a_flood_of_errors_is_cut(void **state _unused_)
{
    char text[16384] = "";

    for (int i = 0; i < 300; i++)
        snprintf(text + strlen(text), sizeof(text) - strlen(text), "x%d = 1;\n", i);
    load(text);
    assert_int_equal(lab.errors.count, 200);
    assert_string_equal(lab.errors.items[199], "more errors are not shown");
}

static void every_event_is_found_by_its_name(void **state _unused_)
{
    const char *closest = NULL;

    for (int i = 0; i < _EVENT_MAX; i++)
        assert_int_equal(event_find(event_get_info((enum event)i)->name, NULL), i);
    assert_int_equal(event_find("member-ded", &closest), -ENOENT);
    assert_string_equal(closest, "member-dead");
}

static void subsystems_have_levels(void **state _unused_)
{
    enum subsystem subsystem;
    int level;

    assert_int_equal(subsystem_parse("tasks=err", &subsystem, &level), 0);
    assert_int_equal(subsystem, SUBSYSTEM_TASKS);
    assert_int_equal(level, 3);
    assert_int_equal(subsystem_parse("task=err", &subsystem, &level), -EINVAL);
    assert_int_equal(subsystem_parse("tasks=", &subsystem, &level), -EINVAL);
    assert_int_equal(subsystem_parse("tasks", &subsystem, &level), -EINVAL);
    assert_string_equal(level_name(7), "debug");
    assert_string_equal(level_name(0), "err");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_empty_file_is_all_defaults),
        TEST(no_file_at_all_is_all_defaults),
        TEST(a_missing_file_is_told),
        TEST(a_folder_is_not_a_file),
        TEST(all_errors_are_told_at_once_with_their_lines),
        TEST(unknown_sections_and_top_level_keys_get_a_suggestion),
        TEST(a_syntax_error_has_its_line),
        TEST(a_key_that_is_there_twice_is_refused),
        TEST(durations_are_texts_or_bare_seconds),
        TEST(a_quoted_number_is_a_number),
        TEST(a_number_above_32_bits_is_refused_and_not_wrapped),
        TEST(a_negative_number_is_refused),
        TEST(wrong_kinds_are_refused),
        TEST(every_range_ends_where_it_says),
        TEST(seeds_are_addresses_or_names),
        TEST(a_list_has_a_limit),
        TEST(the_seeds_file_has_one_address_per_line),
        TEST(seeds_that_cannot_be_meant_are_warned_of),
        TEST(a_bad_line_of_the_seeds_file_is_told_with_its_number),
        TEST(an_included_file_counts_and_keeps_its_own_lines),
        TEST(types_have_defaults_and_are_checked),
        TEST(hooks_name_an_event_and_a_command),
        TEST(commands_close_their_quotes),
        TEST(the_environment_overrides_the_file),
        TEST(errors_of_the_environment_are_told),
        TEST(unknown_variables_of_no_section_are_warned_of),
        TEST(a_socket_is_as_long_as_an_address_may_be),
        TEST(programs_that_cannot_run_are_warned_of),
        TEST(relations_between_keys_are_checked),
        TEST(a_default_gives_way_to_what_is_written),
        TEST(networks_and_paths_are_checked),
        TEST(control_characters_are_refused),
        TEST(a_flood_of_errors_is_cut),
        TEST(every_event_is_found_by_its_name),
        TEST(subsystems_have_levels),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
