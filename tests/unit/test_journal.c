/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include "base/json.h"
#include "base/log.h"
#include "journal.h"
#include "output.h"

/* What the last record had, as journald would have got it. */
static char record[4096];
static int records_count;

static int on_send(const struct iovec *fields, int count)
{
    record[0] = '\0';
    for (int i = 0; i < count; i++) {
        strncat(record, fields[i].iov_base, fields[i].iov_len);
        strcat(record, "\n");
    }
    records_count++;
    return 0;
}

static struct journal_event seen;
static char seen_message[256], seen_line[128], *seen_fields;
static int seen_count;

/* {"MEMBER":"lab-02", ...} */
static char *format_fields(const struct journal_field *fields)
{
    _cleanup_json_ cJSON *json = cJSON_CreateObject();

    for (; fields->name; fields++)
        if (fields->is_number)
            json_add_u64(json, fields->name, fields->number);
        else
            json_add_string(json, fields->name, fields->text);
    return json_format(json);
}

static void on_event(const struct journal_event *event, void *data _unused_)
{
    seen = *event;
    snprintf(seen_message, sizeof(seen_message), "%s", event->message);
    snprintf(seen_line, sizeof(seen_line), "%s", event->line ? event->line : "");
    free(seen_fields);
    seen_fields = format_fields(event->fields);
    seen_count++;
}

static void open_journal(const char *variable)
{
    _cleanup_(config_freep) struct config *config = NULL;
    _cleanup_strings_ struct config_strings errors = {0};
    char *environment[] = {(char[]){"P2PNODE_NODE_NAME=lab-01"},
                           (char[]){"P2PNODE_LOG_TARGET=stderr"}, NULL, NULL};
    _cleanup_free_ char *copy = variable ? strdup(variable) : NULL;

    environment[2] = copy;
    assert_int_equal(config_load(NULL, environment, &config, &errors), 0);
    assert_int_equal(journal_open(config), 0);
    journal_set_send(on_send);
    journal_set_observer(on_event, NULL);
    records_count = seen_count = 0;
    record[0] = '\0';
}

static int begin(void **state _unused_)
{
    open_journal(NULL);
    return 0;
}

static int end(void **state _unused_)
{
    journal_set_send(NULL);
    journal_close();
    free(seen_fields);
    seen_fields = NULL;
    return 0;
}

static void assert_field(const char *field)
{
    char line[512];

    snprintf(line, sizeof(line), "%s\n", field);
    if (!strstr(record, line))
        fail_msg("no %s in:\n%s", field, record);
}

static struct swim_member member_named(const char *name)
{
    struct swim_member member = {
        .id = {{0x6f}},
        .address = {.family = 4, .bytes = {10, 0, 4, 17}, .port = 7717},
        .incarnation = {1795244870, 3},
        .state = SWIM_DEAD,
        .name = name,
    };

    return member;
}

static void an_event_has_an_id_a_level_and_its_fields(void **state _unused_)
{
    struct swim_member dead = member_named("lab-07"), by = member_named("lab-03");

    journal_member_dead(&dead, &by, NULL, "Dead Node:10.0.4.17:1795244870.874:10.0.4.11");
    assert_field("MESSAGE=member lab-07 dead, reported by lab-03");
    assert_field("PRIORITY=5");
    assert_field("SYSLOG_IDENTIFIER=p2pnode");
    assert_field("PEER_EVENT=member-dead");
    assert_field("PEER_NODE=lab-01");
    assert_field("PEER_MEMBER=lab-07");
    assert_field("PEER_ADDRESS=10.0.4.17:7717");
    assert_field("PEER_INCARNATION=1795244870.3");
    assert_field("PEER_STATE=dead");
    assert_field("PEER_BY=lab-03");
    assert_field("PEER_LINE=Dead Node:10.0.4.17:1795244870.874:10.0.4.11");
    char id[64];
    snprintf(id, sizeof(id), "MESSAGE_ID=%s", event_get_info(EVENT_MEMBER_DEAD)->message_id);
    assert_field(id);
}

static void the_observer_sees_the_same(void **state _unused_)
{
    struct swim_member dead = member_named("lab-07");

    journal_member_dead(&dead, NULL, NULL, "Dead Node:x");
    assert_int_equal(seen_count, 1);
    assert_int_equal(seen.event, EVENT_MEMBER_DEAD);
    assert_string_equal(seen.type, "member-dead");
    assert_string_equal(seen.node, "lab-01");
    assert_string_equal(seen_message, "member lab-07 dead");
    assert_string_equal(seen_line, "Dead Node:x");
    assert_true(seen.wall_usec > UINT64_C(1500000000) * USEC_PER_SEC);
    assert_string_equal(seen_fields,
                        "{\"MEMBER\":\"lab-07\",\"UUID\":\"6f000000-0000-0000-0000-000000000000\","
                        "\"ADDRESS\":\"10.0.4.17:7717\",\"INCARNATION\":\"1795244870.3\","
                        "\"STATE\":\"dead\"}");
}

static void the_observer_sees_no_control_characters(void **state _unused_)
{
    journal_mem_changed("a\nb\xff", "set", 7);
    assert_string_equal(seen_message, "key a?b? set (version 7)");
    assert_string_equal(seen_fields, "{\"KEY\":\"a?b?\",\"ACTION\":\"set\",\"VERSION\":7}");
}

static void debug_events_are_observed_but_not_logged(void **state _unused_)
{
    journal_liveness("lab-03", true, true, "Liveness Request:1795244870.874:10.0.4.11");
    assert_int_equal(records_count, 0);
    assert_int_equal(seen_count, 1);
}

static void a_subsystem_has_its_own_level(void **state _unused_)
{
    open_journal("P2PNODE_LOG_SUBSYSTEMS=liveness=debug,membership=err");
    journal_liveness("lab-03", true, true, "Liveness Request:1795244870.874:10.0.4.11");
    assert_field("MESSAGE=Liveness Request:1795244870.874:10.0.4.11");
    assert_field("PRIORITY=7");
    journal_seed_unreachable("10.0.4.2:7717");
    assert_int_equal(records_count, 1);
}

static void the_first_gossip_of_a_node_is_info_and_the_rest_debug(void **state _unused_)
{
    journal_gossip("lab-03", 10, "1795244870.874:10.0.4.11:10");
    assert_int_equal(records_count, 1);
    assert_field("PRIORITY=6");
    assert_field("PEER_NUMBER=10");
    journal_gossip("lab-03", 11, "1795244870.874:10.0.4.11:11");
    assert_int_equal(records_count, 1);
    assert_int_equal(seen.level, 7);
}

static void a_dead_report_is_the_line_of_the_seed(void **state _unused_)
{
    struct address address = {.family = 4, .bytes = {10, 0, 4, 17}, .port = 7717};

    journal_dead_report(
        &(struct journal_report){.name = "lab-07",
                                 .address = &address,
                                 .by = "lab-01",
                                 .through = "lab-03, seed-1",
                                 .line = "Dead Node:10.0.4.17:1795244870.874:10.0.4.11"});
    assert_field(
        "MESSAGE=Dead Node:10.0.4.17:1795244870.874:10.0.4.11 (lab-07 by lab-01: no answer "
        "directly, nor through lab-03, seed-1)");
    assert_field("PEER_LINE=Dead Node:10.0.4.17:1795244870.874:10.0.4.11");
    assert_field("PRIORITY=5");
    assert_field("PEER_WAY=indirect");
    assert_field("PEER_THROUGH=lab-03, seed-1");
}

static void a_reporter_tells_which_seeds_know(void **state _unused_)
{
    struct swim_member dead = member_named("lab-07"), by = member_named("lab-03");

    journal_member_suspect(&dead, &by, 3, "lab-01, seed-1");
    assert_field("MESSAGE=member lab-07 suspect, reported by lab-03: 3 requests unanswered, also "
                 "through lab-01, seed-1");
    journal_member_suspect(&dead, &by, 3, NULL);
    assert_field("MESSAGE=member lab-07 suspect, reported by lab-03: 3 requests unanswered");
    journal_member_dead(&dead, &by, "seed-1, seed-2", "Dead Node:x");
    assert_field("MESSAGE=member lab-07 dead, reported by lab-03: reported to seed-1, seed-2");
    journal_dead_report(
        &(struct journal_report){.name = "lab-07", .seeds = "seed-1", .has_acked = true});
    assert_string_equal(seen_message, "report of lab-07 acknowledged by seed-1");
    journal_dead_report(&(struct journal_report){.name = "lab-07", .seeds = "seed-2"});
    assert_field("MESSAGE=report of lab-07 not acknowledged by seed-2");
    assert_field("PEER_EVENT=dead-report");
}

static void failures_of_tasks_are_notices(void **state _unused_)
{
    struct journal_task task = {.id = "42@lab-01", .name = "a1", .user = "user1"};

    journal_task_ended(&task, "lab-03", "succeeded", NULL, 1840 * USEC_PER_MSEC);
    assert_int_equal(records_count, 0);
    assert_string_equal(seen_message, "task 42@lab-01 a1 succeeded on lab-03 in 1.84s");
    journal_task_ended(&task, "lab-03", "failed", "exit 1", USEC_PER_SEC);
    assert_field("MESSAGE=task 42@lab-01 a1 failed on lab-03 in 1.00s: exit 1");
    assert_field("PRIORITY=5");
    assert_field("PEER_TASK=42@lab-01");
    assert_null(strstr(record, "CONFIDENTIAL"));
    journal_task_ended(&task, "lab-03", "cancelled", "", USEC_PER_SEC);
    assert_field("MESSAGE=task 42@lab-01 a1 cancelled on lab-03 in 1.00s");
    journal_task_ended(&task, "", "cancelled", "", 0);
    assert_field("MESSAGE=task 42@lab-01 a1 cancelled before it was placed");
    assert_null(strstr(record, "PEER_MEMBER"));
    journal_task_lost(&task, "lab-03", "node dead");
    assert_field("MESSAGE=task 42@lab-01 a1 lost with lab-03: node dead");
    task.is_confidential = true;
    journal_task_lost(&task, "lab-01", "node dead");
    assert_field("PEER_CONFIDENTIAL=1");
}

static void a_text_from_elsewhere_cannot_forge_a_record(void **state _unused_)
{
    journal_message("Node1", "hello\nPEER_EVENT=drain\x1b[31m\xff", false);
    assert_field("MESSAGE=message from Node1: hello?PEER_EVENT=drain?[31m?");
    assert_null(strstr(record, "\nPEER_EVENT=drain"));
    /* C1 in UTF-8: what some terminals take for ESC [. */
    journal_message("Node1",
                    "a\xc2\x9b"
                    "31m\xe2\x80\xa8"
                    "b \xc3\xa9",
                    false);
    assert_field("MESSAGE=message from Node1: a?31m?b \xc3\xa9");
}

static void diagnostics_go_the_same_way(void **state _unused_)
{
    log_warning("cannot\tbind");
    assert_field("MESSAGE=cannot?bind");
    assert_field("PRIORITY=4");
    log_debug("not shown");
    assert_int_equal(records_count, 1);
    assert_int_equal(seen_count, 0);
}

static void a_reload_is_told_with_what_needs_a_restart(void **state _unused_)
{
    char *changed[] = {(char[]){"gossip.fanout"}, (char[]){"listen.port"}};
    struct config_strings both = {changed, 2}, restart = {changed + 1, 1}, none = {0};

    journal_config_reloaded(&both, &restart);
    assert_field(
        "MESSAGE=configuration reloaded: gossip.fanout listen.port; needs restart: listen.port");
    journal_config_reloaded(&none, &none);
    assert_field("MESSAGE=configuration reloaded: nothing changed");
}

static char catalog[32768];

/* A field that is missing is shown by its name: every one that the text for operators wants is
 * there. */
static void assert_catalog_fields(const struct event_info *info)
{
    char mark[64], field[64];

    snprintf(mark, sizeof(mark), "\n-- %s\n", info->message_id);
    const char *entry = strstr(catalog, mark);
    assert_non_null(entry);
    const char *end = strstr(entry + 1, "\n-- ");
    end = end ? end : entry + strlen(entry);
    for (const char *at = strchr(entry, '@'); at && at < end; at = strchr(at + 1, '@')) {
        size_t size = strspn(at + 1, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_");
        if (size == 0 || at[1 + size] != '@')
            continue; /* p2pnode@NAME */
        snprintf(field, sizeof(field), "\n%.*s=", (int)size, at + 1);
        at += size + 1;
        if (!strstr(record, field) && strncmp(record, field + 1, strlen(field + 1)) != 0)
            fail_msg("%s: its text wants %s, and the record has only:\n%s", info->name, field + 1,
                     record);
    }
}

/* Every event once, each under its own name, with nothing that may be missing. */
static void every_event_has_a_function(void **state _unused_)
{
    FILE *file = fopen("systemd/p2pnode.catalog", "re");
    assert_non_null(file);
    catalog[fread(catalog, 1, sizeof(catalog) - 1, file)] = '\0';
    assert_true(feof(file));
    (void)fclose(file);
    open_journal("P2PNODE_LOG_LEVEL=debug");
    struct swim_member member = member_named("lab-07");
    struct journal_task task = {.id = "1@x"};
    struct config_strings none = {0};
    bool is_seen[_EVENT_MAX] = {false};

#define SEE(call)                                                                                  \
    do {                                                                                           \
        int before = seen_count;                                                                   \
        call;                                                                                      \
        assert_int_equal(seen_count, before + 1);                                                  \
        assert_false(is_seen[seen.event]);                                                         \
        assert_catalog_fields(event_get_info(seen.event));                                         \
        is_seen[seen.event] = true;                                                                \
    } while (0)

    SEE(journal_node_started(&member.id, "peer", &member.address));
    SEE(journal_node_stopping(NULL));
    SEE(journal_join_request(NULL, &member.address));
    SEE(journal_member_joined(&member));
    SEE(journal_member_suspect(&member, NULL, 0, NULL));
    SEE(journal_member_alive(&member));
    SEE(journal_member_dead(&member, NULL, NULL, NULL));
    SEE(journal_member_left(&member));
    SEE(journal_member_reaped(&member));
    SEE(journal_dead_report(&(struct journal_report){.seeds = "seed-1"}));
    SEE(journal_peer_list(NULL, &member.address, 1, "lab-01 10.0.4.11:7717"));
    SEE(journal_name_conflict("x", &member.address, &member.address));
    SEE(journal_id_conflict(&member.id, &member.address, true));
    SEE(journal_cluster_mismatch(&member.address, 3));
    SEE(journal_seed_unreachable("10.0.0.1:1"));
    SEE(journal_key_changed("3f9a", "used"));
    SEE(journal_gossip(NULL, 1, "1:2:3"));
    SEE(journal_message(NULL, "hi", true));
    SEE(journal_liveness(NULL, false, false, "Liveness Reply:"));
    SEE(journal_connection(NULL, NULL, NULL, "failed", NULL));
    SEE(journal_task_submitted(&task));
    SEE(journal_task_placed(&task, "x", NULL));
    SEE(journal_task_started(&task, "x", 1));
    SEE(journal_task_moved(&task, "x", "y", NULL));
    SEE(journal_task_lost(&task, NULL, NULL));
    SEE(journal_task_ended(&task, NULL, "cancelled", NULL, 0));
    SEE(journal_file_stored("f", 1, NULL, 1));
    SEE(journal_file_removed("f", 1, 1));
    SEE(journal_mem_changed("k", "set", 1));
    SEE(journal_drain(NULL));
    SEE(journal_undrain());
    SEE(journal_config_reloaded(&none, &none));
    SEE(journal_problem("disk-full", NULL, "no space", false));
    for (size_t i = 0; i < _EVENT_MAX; i++)
        assert_true(is_seen[i]);
}

/* Runs @say with stderr in a file; returns what it wrote. */
static const char *written_to_stderr(void (*say)(void))
{
    static char text[512];
    FILE *file = tmpfile();
    int saved = dup(STDERR_FILENO);

    assert_int_equal(dup2(fileno(file), STDERR_FILENO), STDERR_FILENO);
    journal_set_send(NULL);
    say();
    assert_int_equal(dup2(saved, STDERR_FILENO), STDERR_FILENO);
    close(saved);
    rewind(file);
    text[fread(text, 1, sizeof(text) - 1, file)] = '\0';
    (void)fclose(file);
    return text;
}

static void say_drain(void)
{
    journal_drain("kernel update");
}

static void stderr_gets_one_line_with_its_level(void **state _unused_)
{
    assert_string_equal(written_to_stderr(say_drain),
                        "notice: node lab-01 is draining: kernel update\n");
}

static void under_systemd_the_level_is_a_prefix(void **state _unused_)
{
    setenv("JOURNAL_STREAM", "8:1", 1);
    open_journal(NULL);
    assert_string_equal(written_to_stderr(say_drain),
                        "<5>node lab-01 is draining: kernel update\n");
    unsetenv("JOURNAL_STREAM");
}

static void a_plain_file_gets_the_lines_of_the_seeds(void **state _unused_)
{
    char path[] = "/tmp/p2pnode-log-XXXXXX", variable[64], text[256] = "";

    close(mkstemp(path));
    snprintf(variable, sizeof(variable), "P2PNODE_LOG_FILE=%s", path);
    open_journal(variable);
    struct swim_member dead = member_named("lab-07");
    journal_member_dead(&dead, NULL, NULL, "Dead Node:10.0.4.17:1795244870.874:10.0.4.11");
    journal_undrain();
    FILE *file = fopen(path, "r");
    assert_true(fread(text, 1, sizeof(text) - 1, file) > 0);
    (void)fclose(file);
    unlink(path);
    assert_int_equal(text[24], ' ');
    assert_int_equal(text[23], 'Z');
    assert_string_equal(text + 25 + strlen("Dead Node:10.0.4.17:1795244870.874:10.0.4.11\n") + 25,
                        "node lab-01 takes tasks again\n");
    text[25 + strlen("Dead Node:10.0.4.17:1795244870.874:10.0.4.11")] = '\0';
    assert_string_equal(text + 25, "Dead Node:10.0.4.17:1795244870.874:10.0.4.11");
}

static void a_log_file_that_cannot_be_opened_is_told(void **state _unused_)
{
    _cleanup_(config_freep) struct config *config = NULL;
    _cleanup_strings_ struct config_strings errors = {0};
    char *environment[] = {(char[]){"P2PNODE_LOG_FILE=/nonexistent/x"},
                           (char[]){"P2PNODE_LOG_TARGET=stderr"}, NULL};

    assert_int_equal(config_load(NULL, environment, &config, &errors), 0);
    records_count = 0;
    assert_int_equal(journal_open(config), -ENOENT);
    assert_field("MESSAGE=Cannot open /nonexistent/x (log.file): No such file or directory");
    journal_drain(NULL);
    assert_int_equal(records_count, 2);
    struct output_trouble trouble;
    output_get_trouble(&trouble);
    assert_int_equal(trouble.file_error, ENOENT);
    assert_null(trouble.missing);
}

static const char *wanted_target;

static void open_target(void)
{
    _cleanup_(config_freep) struct config *config = NULL;
    _cleanup_strings_ struct config_strings errors = {0};
    char variable[64];
    char *environment[] = {(char[]){"P2PNODE_NODE_NAME=lab-01"}, variable, NULL};

    snprintf(variable, sizeof(variable), "P2PNODE_LOG_TARGET=%s", wanted_target);
    assert_int_equal(config_load(NULL, environment, &config, &errors), 0);
    assert_int_equal(journal_open(config), 0);
    journal_drain(NULL);
}

static void a_logger_that_is_not_there_gives_way_and_that_is_told(void **state _unused_)
{
    static const struct output_sockets nowhere = {"/nonexistent/journal", "/nonexistent/log"};
    struct output_sockets former = output_set_sockets(nowhere);
    struct output_trouble trouble;

    wanted_target = "journal";
    assert_string_equal(written_to_stderr(open_target),
                        "warning: log.target: there is no /nonexistent/journal; the log goes to "
                        "standard error\nnotice: node lab-01 is draining\n");
    output_get_trouble(&trouble);
    assert_string_equal(trouble.missing, nowhere.journal);
    wanted_target = "syslog";
    assert_string_equal(written_to_stderr(open_target),
                        "warning: log.target: there is no /nonexistent/log; the log goes to "
                        "standard error\nnotice: node lab-01 is draining\n");
    /* Whoever wants what there is hears nothing. */
    wanted_target = "stderr";
    assert_string_equal(written_to_stderr(open_target), "notice: node lab-01 is draining\n");
    output_get_trouble(&trouble);
    assert_null(trouble.missing);
    (void)output_set_sockets(former);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_event_has_an_id_a_level_and_its_fields),
        TEST(the_observer_sees_the_same),
        TEST(the_observer_sees_no_control_characters),
        TEST(debug_events_are_observed_but_not_logged),
        TEST(a_subsystem_has_its_own_level),
        TEST(the_first_gossip_of_a_node_is_info_and_the_rest_debug),
        TEST(a_dead_report_is_the_line_of_the_seed),
        TEST(a_reporter_tells_which_seeds_know),
        TEST(failures_of_tasks_are_notices),
        TEST(a_text_from_elsewhere_cannot_forge_a_record),
        TEST(diagnostics_go_the_same_way),
        TEST(a_reload_is_told_with_what_needs_a_restart),
        TEST(every_event_has_a_function),
        TEST(stderr_gets_one_line_with_its_level),
        TEST(under_systemd_the_level_is_a_prefix),
        TEST(a_plain_file_gets_the_lines_of_the_seeds),
        TEST(a_log_file_that_cannot_be_opened_is_told),
        TEST(a_logger_that_is_not_there_gives_way_and_that_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
