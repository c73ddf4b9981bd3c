/* SPDX-License-Identifier: MIT */

/* Those who watch the log live. */

#include <pthread.h>
#include "base/log.h"
#include "call_lab.h"
#include "journal.h"
#include "monitor.h"

static sd_event *loop;
static struct monitor *monitor;
static int records_count; /* lines of the log itself */

static int on_send(const struct iovec *fields _unused_, int count _unused_)
{
    records_count++;
    return 0;
}

static int begin(void **state _unused_)
{
    _cleanup_(config_freep) struct config *config = NULL;
    _cleanup_strings_ struct config_strings errors = {0};
    char *environment[] = {(char[]){"P2PNODE_NODE_NAME=lab-01"},
                           (char[]){"P2PNODE_LOG_TARGET=stderr"},
                           (char[]){"P2PNODE_LOG_LEVEL=warning"}, NULL};

    assert_int_equal(config_load(NULL, environment, &config, &errors), 0);
    assert_int_equal(journal_open(config), 0);
    journal_set_send(on_send);
    assert_true(sd_event_new(&loop) >= 0);
    assert_int_equal(monitor_new(loop, &monitor), 0);
    records_count = 0;
    return 0;
}

static int end(void **state _unused_)
{
    monitor = monitor_free(monitor);
    loop = sd_event_unref(loop);
    journal_set_send(NULL);
    journal_close();
    return 0;
}

static void watch(struct call_lab *lab, const char *parameters)
{
    monitor_serve(monitor, call_lab_new(lab, "Monitor", parameters, true));
}

/* Runs what is due in the loop. */
static void run(void)
{
    while (sd_event_run(loop, 0) > 0)
        continue;
}

static void whoever_watches_sees_more_than_the_log(void **state _unused_)
{
    struct call_lab lab;

    log_debug("nobody watches");
    watch(&lab, "{}");
    assert_int_equal(lab.notified, 0);
    log_debug("%d lines", 3);
    run();
    assert_int_equal(lab.notified, 1);
    assert_non_null(strstr(lab.last, "\"type\":\"log\",\"time\":\"20"));
    assert_non_null(strstr(lab.last, "\"level\":\"debug\",\"subsystem\":null,\"event\":null,"
                                     "\"message\":\"3 lines\",\"line\":null}"));
    journal_liveness("lab-02", true, true, "Liveness Request:1795244870.874:10.0.4.11");
    run();
    assert_int_equal(lab.notified, 2);
    assert_non_null(strstr(lab.last, "\"subsystem\":\"liveness\",\"event\":\"liveness\""));
    assert_non_null(strstr(lab.last, "\"line\":\"Liveness Request:1795244870.874:10.0.4.11\"}"));
    assert_int_equal(records_count, 0);
    log_warning("both");
    run();
    assert_int_equal(lab.notified, 3);
    assert_int_equal(records_count, 1);
    call_lab_done(&lab);
    assert_int_equal(log_get_level(), LOG_WARNING);
    log_debug("nobody watches any more");
    run();
}

static void each_sees_what_it_asked_for(void **state _unused_)
{
    struct call_lab wire, info, messages;

    watch(&wire, "{\"wire\":true}");
    watch(&info, "{\"level\":\"info\"}");
    watch(&messages, "{\"subsystem\":\"messages\"}");
    journal_liveness("lab-02", true, true, "Liveness Request:1795244870.874:10.0.4.11");
    journal_message("lab-02", "Hello Node2!", false);
    log_debug("something");
    log_info("something else");
    run();
    assert_int_equal(wire.notified, 1);
    assert_int_equal(info.notified, 2);
    assert_int_equal(messages.notified, 1);
    assert_non_null(strstr(messages.last, "Hello Node2!"));
    call_lab_done(&wire);
    call_lab_done(&messages);
    assert_int_equal(log_get_level(), LOG_INFO);
    log_info("for one");
    run();
    assert_int_equal(info.notified, 3);
    call_lab_done(&info);
}

static void lines_about_tasks_stay_on_the_node(void **state _unused_)
{
    const struct journal_task secret = {.id = "7@lab-01", .is_confidential = true};
    const struct journal_task task = {.id = "8@lab-01"};
    struct call_lab here, there;

    watch(&here, "{}");
    struct call *call = call_lab_new(&there, "Monitor", "{}", true);
    call->caller.is_remote = true;
    monitor_serve(monitor, call);
    log_line_errno(LOG_WARNING | LOG_STAYS, -ENOSPC, "Cannot keep the output of task 7: %m");
    journal_task_started(&secret, "lab-01", 1);
    run();
    assert_int_equal(here.notified, 2);
    assert_int_equal(there.notified, 0);
    assert_int_equal(records_count, 1); /* the log itself has the warning */
    log_warning_errno(-ENOSPC, "Cannot keep a file: %m");
    journal_task_started(&task, "lab-02", 1);
    run();
    assert_int_equal(there.notified, 2);
    call_lab_done(&here);
    call_lab_done(&there);
}

static void *speak(void *data _unused_)
{
    for (int i = 0; i < 100; i++)
        log_debug("from a thread");
    return NULL;
}

static void lines_come_from_any_thread(void **state _unused_)
{
    struct call_lab lab;
    pthread_t threads[4];

    watch(&lab, "{}");
    for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, speak, NULL), 0);
    for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    run();
    assert_int_equal(lab.notified, 400);
    call_lab_done(&lab);
}

static void a_slow_reader_misses_lines_and_is_told(void **state _unused_)
{
    struct call_lab slow, other;

    watch(&slow, "{}");
    watch(&other, "{}");
    slow.pending_size = 1024 * 1024;
    log_debug("one");
    log_debug("two");
    run();
    assert_int_equal(slow.notified, 0);
    assert_int_equal(other.notified, 2);
    slow.pending_size = 0;
    log_debug("three");
    run();
    assert_int_equal(slow.notified, 2);
    assert_non_null(strstr(slow.last, "\"message\":\"three\""));
    call_lab_done(&slow);
    call_lab_done(&other);
}

static char first[128]; /* answer to the one below */

static void keep_first(struct call *call _unused_, const char *error _unused_, cJSON *parameters,
                       bool continues _unused_, const void *body _unused_,
                       size_t body_size _unused_)
{
    _cleanup_free_ char *text = json_format(parameters);

    if (!*first)
        snprintf(first, sizeof(first), "%s", text);
    cJSON_Delete(parameters);
    log_debug("sending makes noise, too");
}

static size_t no_pending(const struct call *call _unused_)
{
    return 0;
}

static void the_queue_is_bounded_and_sending_does_not_feed_it(void **state _unused_)
{
    static const struct call_transport noisy = {.send = keep_first, .pending = no_pending};
    struct call_lab lab;

    watch(&lab, "{}");
    lab.call->transport = &noisy;
    for (int i = 0; i < MONITOR_QUEUE_MAX + 5; i++)
        log_debug("line");
    run();
    assert_string_equal(first, "{\"type\":\"missed\",\"count\":5}");
    call_lab_done(&lab);
}

static void what_is_asked_wrongly_is_told(void **state _unused_)
{
    static const char *const wrong[][2] = {
        {"level", "{\"level\":\"loud\"}"},  {"level", "{\"level\":7}"},
        {"wire", "{\"wire\":1}"},           {"subsystem", "{\"subsystem\":\"gosip\"}"},
        {"subsystem", "{\"subsystem\":1}"},
    };
    struct call_lab lab;

    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
        watch(&lab, wrong[i][1]);
        call_lab_assert_invalid(&lab, wrong[i][0]);
        call_lab_done(&lab);
    }
    monitor_serve(monitor, call_lab_new(&lab, "Monitor", "{}", false));
    assert_string_equal(lab.error, "org.varlink.service.ExpectedMore");
    call_lab_done(&lab);
    assert_int_equal(log_get_level(), LOG_WARNING);
}

#define test(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        test(whoever_watches_sees_more_than_the_log),
        test(each_sees_what_it_asked_for),
        test(lines_about_tasks_stay_on_the_node),
        test(lines_come_from_any_thread),
        test(a_slow_reader_misses_lines_and_is_told),
        test(the_queue_is_bounded_and_sending_does_not_feed_it),
        test(what_is_asked_wrongly_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
