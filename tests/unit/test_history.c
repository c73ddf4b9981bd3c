/* SPDX-License-Identifier: MIT */

/* Events and messages that are kept, listed and followed. */

#include "call_lab.h"
#include "history.h"

#define SECOND   UINT64_C(1000000)
#define WALL     (UINT64_C(1795244870) * SECOND)
#define MESSAGES 3

static struct history *history;

static int begin(void **state _unused_)
{
    assert_int_equal(history_new(MESSAGES, &history), 0);
    return 0;
}

static int end(void **state _unused_)
{
    history = history_free(history);
    return 0;
}

static void add_event(const char *type, const char *member, uint64_t wall_usec)
{
    const struct journal_field fields[] = {{.name = member ? "MEMBER" : NULL, .text = member},
                                           {.name = NULL}};
    char message[64];

    snprintf(message, sizeof(message), "%s of %s", type, member ? member : "nobody");
    history_add_event(&(struct journal_event){.type = type,
                                              .wall_usec = wall_usec,
                                              .message = message,
                                              .fields = fields,
                                              .line = member ? "Line:1" : NULL},
                      history);
}

static struct call_lab ask_events(const char *parameters)
{
    static struct call_lab lab;

    history_serve_events(history, call_lab_new(&lab, "Events", parameters, false), WALL);
    assert_true(lab.is_answered);
    return lab;
}

/* The seq numbers of the events listed, "2 3 ". */
static void assert_events(const char *parameters, const char *expected)
{
    struct call_lab lab = ask_events(parameters);
    _cleanup_json_ cJSON *reply = NULL;
    const cJSON *list = NULL;
    char numbers[256] = "";
    uint64_t seq;

    assert_string_equal(lab.error, "");
    assert_int_equal(json_parse(lab.last, strlen(lab.last), &reply), 0);
    assert_int_equal(json_get_array(reply, "events", &list), 1);
    json_for_each (item, list) {
        assert_int_equal(json_get_u64(item, "seq", UINT64_MAX, &seq), 1);
        snprintf(numbers + strlen(numbers), sizeof(numbers) - strlen(numbers), "%u ",
                 (unsigned)seq);
    }
    assert_string_equal(numbers, expected);
    call_lab_done(&lab);
}

static void an_event_is_listed_with_all_that_it_said(void **state _unused_)
{
    add_event("member-dead", "lab-02", WALL);
    struct call_lab lab = ask_events("{}");
    assert_string_equal(lab.last,
                        "{\"schema\":\"p2pctl.events/1\",\"events\":[{\"seq\":1,"
                        "\"time\":\"2026-11-21T07:07:50.000Z\",\"type\":\"member-dead\","
                        "\"node\":\"lab-02\",\"task\":null,\"message\":\"member-dead of lab-02\","
                        "\"line\":\"Line:1\",\"confidential\":false}]}");
    call_lab_done(&lab);
}

static void a_line_that_is_the_message_is_listed_as_both(void **state _unused_)
{
    struct journal_event event = {
        .type = "liveness", .wall_usec = WALL, .message = "Line:2", .line = (char[]){"Line:2"}};

    history_add_event(&event, history);
    struct call_lab lab = ask_events("{\"lines\":1}");
    assert_non_null(strstr(lab.last, "\"message\":\"Line:2\",\"line\":\"Line:2\""));
    call_lab_done(&lab);
}

static void events_are_chosen_by_type_number_and_age(void **state _unused_)
{
    add_event("member-dead", "lab-02", WALL - 100 * SECOND);
    add_event("gossip", NULL, WALL - 10 * SECOND);
    add_event("member-alive", "lab-02", WALL - SECOND);
    assert_events("{}", "1 2 3 ");
    assert_events("{\"types\":[]}", "1 2 3 ");
    assert_events("{\"types\":[\"member-*\"]}", "1 3 ");
    assert_events("{\"types\":[\"gossip\",\"member-alive\"]}", "2 3 ");
    assert_events("{\"types\":[\"nothing\"]}", "");
    assert_events("{\"lines\":2}", "2 3 ");
    assert_events("{\"lines\":0}", "");
    assert_events("{\"lines\":2,\"types\":[\"member-*\"]}", "1 3 ");
    assert_events("{\"since\":\"10s\"}", "2 3 ");
    assert_events("{\"since\":\"9s\"}", "3 ");
    assert_events("{\"since\":\"0\"}", "");
    assert_events("{\"since\":\"1h\",\"lines\":1}", "3 ");
}

static size_t count_events(const char *parameters)
{
    struct call_lab lab = ask_events(parameters);
    _cleanup_json_ cJSON *reply = cJSON_Parse(lab.last);

    call_lab_done(&lab);
    return (size_t)cJSON_GetArraySize(cJSON_GetObjectItem(reply, "events"));
}

static void the_oldest_events_make_room_each_kind_for_its_own(void **state _unused_)
{
    for (int i = 0; i < HISTORY_EVENTS_MAX + 10; i++) {
        add_event("liveness", NULL, WALL);
        add_event("member-joined", NULL, WALL);
        add_event("gossip", NULL, WALL);
        add_event("mem-changed", NULL, WALL);
    }
    assert_events("{\"lines\":4}", "2085 2086 2087 2088 ");
    assert_int_equal(count_events("{\"types\":[\"member-*\"]}"), HISTORY_EVENTS_MAX);
    assert_int_equal(count_events("{\"types\":[\"gossip\"]}"), HISTORY_GOSSIP_MAX);
    assert_int_equal(count_events("{\"types\":[\"liveness\"]}"), HISTORY_LIVENESS_MAX);
    assert_int_equal(count_events("{\"types\":[\"mem-changed\"]}"), HISTORY_VALUES_MAX);
}

static void what_is_asked_wrongly_is_told(void **state _unused_)
{
    static const char *const wrong[][2] = {
        {"types", "{\"types\":\"gossip\"}"}, {"types", "{\"types\":[1]}"},
        {"lines", "{\"lines\":-1}"},         {"lines", "{\"lines\":1.5}"},
        {"since", "{\"since\":\"soon\"}"},   {"since", "{\"since\":5}"},
        {"follow", "{\"follow\":1}"},        {"follow", "{\"follow\":true}"}, /* without more */
    };
    char text[2048] = "{\"types\":[\"a\"";

    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
        struct call_lab lab = ask_events(wrong[i][1]);
        call_lab_assert_invalid(&lab, wrong[i][0]);
        call_lab_done(&lab);
    }
    for (int i = 0; i < 32; i++)
        strcat(text, ",\"a\"");
    struct call_lab lab = ask_events(strcat(text, "]}"));
    call_lab_assert_invalid(&lab, "types");
    call_lab_done(&lab);
    snprintf(text, sizeof(text), "{\"types\":[\"%065d\"]}", 0);
    lab = ask_events(text);
    call_lab_assert_invalid(&lab, "types");
    call_lab_done(&lab);
}

static void a_follower_sees_what_was_and_what_comes(void **state _unused_)
{
    struct call_lab lab;

    add_event("gossip", NULL, WALL);
    add_event("member-dead", "lab-02", WALL);
    history_serve_events(history,
                         call_lab_new(&lab, "Events",
                                      "{\"follow\":true,\"lines\":5,\"types\":[\"member-*\"]}",
                                      true),
                         WALL);
    assert_int_equal(lab.notified, 1);
    add_event("gossip", NULL, WALL);
    assert_int_equal(lab.notified, 1);
    add_event("member-alive", "lab-02", WALL);
    assert_int_equal(lab.notified, 2);
    assert_non_null(strstr(lab.last, "\"seq\":4"));
    assert_false(lab.is_answered);
    call_lab_done(&lab);
    add_event("member-dead", "lab-02", WALL);
}

static void a_follower_that_is_behind_misses_and_sees_the_gap(void **state _unused_)
{
    struct call_lab lab, other;

    history_serve_events(history, call_lab_new(&lab, "Events", "{\"follow\":true}", true), WALL);
    history_serve_events(history, call_lab_new(&other, "Events", "{\"follow\":true}", true), WALL);
    add_event("gossip", NULL, WALL);
    lab.pending_size = 1024 * 1024;
    add_event("gossip", NULL, WALL);
    lab.pending_size = 0;
    add_event("gossip", NULL, WALL);
    assert_int_equal(lab.notified, 2);
    assert_int_equal(other.notified, 3);
    assert_non_null(strstr(lab.last, "\"seq\":3"));
    call_lab_done(&other);
    add_event("gossip", NULL, WALL);
    assert_int_equal(lab.notified, 3);
    call_lab_done(&lab);
}

static void the_inbox_keeps_the_last_messages(void **state _unused_)
{
    struct call_lab lab;

    for (int i = 0; i < MESSAGES + 2; i++) {
        char text[] = {(char)('a' + i), '\0'};
        history_add_message(history, "lab-03", text, WALL);
    }
    history_serve_inbox(history, call_lab_new(&lab, "Inbox", "{\"lines\":2}", false), WALL);
    assert_string_equal(
        lab.last, "{\"schema\":\"p2pctl.inbox/1\",\"messages\":["
                  "{\"time\":\"2026-11-21T07:07:50.000Z\",\"sender\":\"lab-03\",\"msg\":\"d\"},"
                  "{\"time\":\"2026-11-21T07:07:50.000Z\",\"sender\":\"lab-03\",\"msg\":\"e\"}"
                  "]}");
    call_lab_done(&lab);
    history_serve_inbox(history, call_lab_new(&lab, "Inbox", "{\"follow\":true}", true), WALL);
    assert_int_equal(lab.notified, MESSAGES);
    history_add_message(history, "lab-03", "new", WALL);
    assert_non_null(strstr(lab.last, "{\"type\":\"message\""));
    assert_non_null(strstr(lab.last, "\"msg\":\"new\""));
    call_lab_done(&lab);
}

static void a_timeline_has_what_happened_to_one_node(void **state _unused_)
{
    _cleanup_json_ cJSON *list = cJSON_CreateArray();

    add_event("member-joined", "lab-02", WALL);
    add_event("liveness", "lab-02", WALL);
    add_event("gossip", "lab-02", WALL);
    add_event("member-joined", "lab-03", WALL);
    add_event("member-dead", "lab-02", WALL + SECOND);
    history_add_timeline(history, &(struct caller){0}, "lab-02", list);
    _cleanup_free_ char *text = json_format(list);
    assert_string_equal(text, "[{\"time\":\"2026-11-21T07:07:50.000Z\","
                              "\"text\":\"member-joined of lab-02\"},"
                              "{\"time\":\"2026-11-21T07:07:51.000Z\","
                              "\"text\":\"member-dead of lab-02\"}]");
}

/* Of a task, confidential or not, of lab-02. */
static void add_task_event(const char *message, bool is_confidential)
{
    const struct journal_field fields[] = {{.name = "MEMBER", .text = "lab-02"}, {.name = NULL}};

    history_add_event(&(struct journal_event){.type = "task-ended",
                                              .wall_usec = WALL,
                                              .message = message,
                                              .fields = fields,
                                              .is_confidential = is_confidential},
                      history);
}

static void of_confidential_tasks_other_nodes_hear_nothing(void **state _unused_)
{
    _cleanup_json_ cJSON *list = cJSON_CreateArray();
    const struct caller remote = {.is_remote = true};
    struct call_lab lab, here;

    add_task_event("open", false);
    add_task_event("secret", true);
    struct call *call = call_lab_new(&lab, "Events", "{\"lines\":1}", false);
    call->caller = remote;
    history_serve_events(history, call, WALL);
    assert_non_null(strstr(lab.last, "\"message\":\"open\",\"line\":null,\"confidential\":false"));
    assert_null(strstr(lab.last, "secret"));
    call_lab_done(&lab);

    history_add_timeline(history, &remote, "lab-02", list);
    assert_int_equal(cJSON_GetArraySize(list), 1);
    history_add_timeline(history, &(struct caller){0}, "lab-02", list);
    assert_int_equal(cJSON_GetArraySize(list), 3);

    call = call_lab_new(&lab, "Events", "{\"follow\":true,\"lines\":0}", true);
    call->caller = remote;
    history_serve_events(history, call, WALL);
    history_serve_events(
        history, call_lab_new(&here, "Events", "{\"follow\":true,\"lines\":0}", true), WALL);
    add_task_event("secret", true);
    assert_int_equal(lab.notified, 0);
    assert_int_equal(here.notified, 1);
    assert_non_null(strstr(here.last, "\"confidential\":true"));
    add_task_event("open", false);
    assert_int_equal(lab.notified, 1);
    call_lab_done(&lab);
    call_lab_done(&here);
}

#define test(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        test(an_event_is_listed_with_all_that_it_said),
        test(a_line_that_is_the_message_is_listed_as_both),
        test(events_are_chosen_by_type_number_and_age),
        test(the_oldest_events_make_room_each_kind_for_its_own),
        test(what_is_asked_wrongly_is_told),
        test(a_follower_sees_what_was_and_what_comes),
        test(a_follower_that_is_behind_misses_and_sees_the_gap),
        test(the_inbox_keeps_the_last_messages),
        test(a_timeline_has_what_happened_to_one_node),
        test(of_confidential_tasks_other_nodes_hear_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
