/* SPDX-License-Identifier: MIT */

/* Nodes that break p2p-file/1, on either side: nothing of theirs is stored, nothing is taken for
 * true. */

#include "transfer_rogue.h"

#define PUT_AS(name, size, overwrite)                                                              \
    "{\"op\":\"put\",\"name\":\"" name "\",\"owner\":\"user1\",\"size\":" size                     \
    ",\"modified_usec\":1,\"executable\":false,\"overwrite\":\"" overwrite "\"}"
#define PUT(name, size) PUT_AS(name, size, "always")
#define DONE(sha256)    "{\"op\":\"done\",\"sha256\":\"" sha256 "\"}"
#define SHA_FOUR        "04efaf080f5a3e74e1c29d1ca6a48569382cbbcd324e8d59d2b83ef21c039f00"
#define SHA_WRONG       "14efaf080f5a3e74e1c29d1ca6a48569382cbbcd324e8d59d2b83ef21c039f00"

static void put_well(struct rogue *self _unused_)
{
    say(PUT("file", "4"), NULL, 0);
    hear();
    say("{\"op\":\"data\"}", "fo", 2);
    say("{\"op\":\"data\"}", NULL, 0);
    say("{\"op\":\"data\"}", "ur", 2);
    say(DONE(SHA_FOUR), NULL, 0);
    hear();
}

static void a_put_by_hand_is_stored(void **state _unused_)
{
    assert_string_equal(ask(put_well), "go stored ");
    expect_content(here->room.files, "file", "four");
    run_until(here->stored == 1);
}

static void put_damaged_then_well(struct rogue *self)
{
    say(PUT("file", "4"), NULL, 0);
    hear();
    say("{\"op\":\"data\"}", "four", 4);
    say(DONE(SHA_WRONG), NULL, 0);
    hear();
    put_well(self);
}

static void damaged_content_is_refused_and_the_connection_goes_on(void **state _unused_)
{
    assert_string_equal(ask(put_damaged_then_well), "go error:damaged go stored ");
    run_until(here->stored == 1);
}

static void put_half(struct rogue *self _unused_)
{
    say(PUT("file", "1000000"), NULL, 0);
    hear();
    say("{\"op\":\"data\"}", some_bytes(100000), 100000);
    conn_abort(self->conn);
}

static void put_half_cleanly(struct rogue *self)
{
    say(PUT("file", "1000000"), NULL, 0);
    hear();
    say("{\"op\":\"data\"}", some_bytes(100000), 100000);
    (void)conn_close(self->conn, until());
}

static void a_node_that_goes_amid_its_file_leaves_nothing(void **state _unused_)
{
    assert_string_equal(ask(put_half), "go ");
    run_until(count_parts(&here->room) == 0);
    assert_string_equal(ask(put_half_cleanly), "go ");
    run_until(count_parts(&here->room) == 0);
    assert_empty(here);
    assert_int_equal(usage_of(here->room.files).under_way, 0);
}

static void put_more(struct rogue *self _unused_)
{
    say(PUT("file", "4"), NULL, 0);
    hear();
    say("{\"op\":\"data\"}", "fourfive", 8);
    hear();
    hear();
}

static void put_less(struct rogue *self _unused_)
{
    say(PUT("file", "5"), NULL, 0);
    hear();
    say("{\"op\":\"data\"}", "four", 4);
    say(DONE(SHA_FOUR), NULL, 0);
    hear();
}

static void more_or_less_than_was_offered_is_refused(void **state _unused_)
{
    assert_string_equal(ask(put_more), "go error:length end ");
    assert_string_equal(ask(put_less), "go error:length ");
    run_until(count_parts(&here->room) == 0);
    assert_empty(here);
}

static const char *broken; /* what ask_broken says */
static size_t broken_size; /* with so many bytes behind */

static void ask_broken(struct rogue *self _unused_)
{
    say(broken, some_bytes(FILE_MAX), broken_size);
    hear();
}

static void ask_broken_amid_a_put(struct rogue *self _unused_)
{
    say(PUT("file", "4"), NULL, 0);
    hear();
    say(broken, some_bytes(FILE_MAX), broken_size);
    hear();
}

static void frames_that_are_none_end_the_connection(void **state _unused_)
{
    static const char *const first[] = {
        "{}",
        "{\"op\":7}",
        "{\"op\":\"data\"}",
        "{\"op\":\"go\"}",
        "{\"op\":\"get\"}",
        "{\"op\":\"get\",\"name\":7}",
        "{\"op\":\"put\"}",
        "{\"op\":\"put\",\"name\":\"file\"}",
        PUT("file", "-1"),
        PUT("file", "\"4\""),
        PUT("file", "1e300"),
        PUT_AS("file", "4", "perhaps"),
    };
    static const char *const amid[] = {
        "{}", PUT("other", "4"), "{\"op\":\"done\",\"sha256\":7}", DONE("04"),
        DONE("04EFAF080F5A3E74E1C29D1CA6A48569382CBBCD324E8D59D2B83EF21C039F00")};

    broken_size = 0;
    for (size_t i = 0; i < ARRAY_SIZE(first); i++) {
        broken = first[i];
        assert_string_equal(ask(ask_broken), "end ");
    }
    for (size_t i = 0; i < ARRAY_SIZE(amid); i++) {
        broken = amid[i];
        assert_string_equal(ask(ask_broken_amid_a_put), "go end ");
    }
    broken = "{\"op\":\"data\"}";
    broken_size = FILE_WIRE_CHUNK + 1;
    assert_non_null(strstr(ask(ask_broken_amid_a_put), "go "));
    broken = "{\"op\":\"get\",\"name\":\"file\"}";
    broken_size = 5;
    assert_string_equal(ask(ask_broken), "end ");
    run_until(count_parts(&here->room) == 0);
    assert_empty(here);
}

static void ask_for_what_is_no_file(struct rogue *self _unused_)
{
    static const char *const names[] = {"..",     "../secret",     "/etc/passwd",
                                        "-index", "-parts/0.part", "a\\nb"};
    char text[128];

    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        snprintf(text, sizeof(text), "{\"op\":\"get\",\"name\":\"%s\"}", names[i]);
        say(text, NULL, 0);
        hear();
        rogue.heard[strlen(rogue.heard) - 1] = '\0';
        if (strcmp(rogue.heard, "error:invalid") != 0)
            return;
        rogue.heard[0] = '\0';
    }
    say(PUT("../secret", "4"), NULL, 0);
    hear();
}

static void names_that_lead_elsewhere_are_invalid(void **state _unused_)
{
    assert_string_equal(ask(ask_for_what_is_no_file), "error:invalid ");
    assert_empty(here);
}

/* --- Rogues that are asked --- */

#define INFO(op, size)                                                                             \
    "{\"op\":\"" op "\",\"name\":\"file\",\"owner\":\"user1\",\"size\":" size                      \
    ",\"modified_usec\":1,\"executable\":false,\"sha256\":\"" SHA_FOUR "\"}"

static void give_well(struct rogue *self _unused_)
{
    hear();
    say(INFO("file", "4"), NULL, 0);
    say("{\"op\":\"data\"}", "four", 4);
    say(DONE(SHA_FOUR), NULL, 0);
    hear();
}

static void give_wrong_hash(struct rogue *self _unused_)
{
    hear();
    say(INFO("file", "4"), NULL, 0);
    say("{\"op\":\"data\"}", "four", 4);
    say(DONE(SHA_WRONG), NULL, 0);
}

static void give_other_bytes(struct rogue *self _unused_)
{
    hear();
    say(INFO("file", "4"), NULL, 0);
    say("{\"op\":\"data\"}", "fore", 4);
    say(DONE(SHA_FOUR), NULL, 0);
}

static void give_less(struct rogue *self _unused_)
{
    hear();
    say(INFO("file", "5"), NULL, 0);
    say("{\"op\":\"data\"}", "four", 4);
    say(DONE(SHA_FOUR), NULL, 0);
}

static void give_without_end(struct rogue *self _unused_)
{
    static const uint8_t bytes[1000];
    _cleanup_json_ cJSON *frame = cJSON_Parse("{\"op\":\"data\"}");

    hear();
    say(INFO("file", "4"), NULL, 0);
    while (frame_send(rogue.conn, frame, sizeof(bytes), until()) >= 0 &&
           conn_write(rogue.conn, bytes, sizeof(bytes), until()) >= 0)
        ;
}

static void what_is_got_is_checked(void **state _unused_)
{
    struct moving moving;

    assert_int_equal(get_from(give_well, &moving), 0);
    assert_int_equal(moving.end.info.size, 4);
    assert_int_equal(get_from(give_wrong_hash, &moving), -EBADMSG);
    assert_non_null(strstr(moving.end.reason, "arrived damaged"));
    assert_int_equal(get_from(give_other_bytes, &moving), -ESTALE);
    assert_int_equal(get_from(give_less, &moving), -EBADMSG);
    assert_int_equal(get_from(give_without_end, &moving), -EBADMSG);
    assert_true(moving.done <= 4);
}

static const char *answer;

static void answer_and_wait(struct rogue *self _unused_)
{
    hear();
    say(answer, NULL, 0);
    hear();
}

static void answer_late(struct rogue *self _unused_)
{
    hear();
    say("{\"op\":\"go\"}", NULL, 0);
    hear();
    say(answer, NULL, 0);
    conn_abort(rogue.conn);
}

static void answers_that_are_none_end_the_transfer(void **state _unused_)
{
    static const char *const answers[] = {
        "{}",
        "{\"op\":\"file\"}",
        "{\"op\":\"stored\"}",
        "{\"op\":\"kept\",\"name\":\"a/b\"}",
        INFO("file", "-4"),
        "{\"op\":\"error\"}",
        "{\"op\":\"error\",\"error\":\"success\",\"reason\":\"all is well\"}",
        "{\"op\":\"error\",\"error\":7,\"reason\":7}",
    };
    struct moving moving;

    for (size_t i = 0; i < ARRAY_SIZE(answers); i++) {
        answer = answers[i];
        assert_int_equal(get_from(answer_and_wait, &moving), -EBADMSG);
        assert_int_equal(put_to(answer_and_wait, &moving), -EBADMSG);
        assert_in_range((uint64_t)-put_to(answer_late, &moving), 1, 200);
    }
}

static void a_reason_that_cannot_be_shown_is_not(void **state _unused_)
{
    struct moving moving;

    answer = "{\"op\":\"error\",\"error\":\"quota\",\"reason\":\"\\u001b[2J gone\"}";
    assert_int_equal(put_to(answer_and_wait, &moving), -EDQUOT);
    assert_string_equal(moving.end.reason, "it gave a reason that cannot be shown");
    answer = "{\"op\":\"error\",\"error\":\"quota\",\"reason\":\"no room \xe2\x82\xac\"}";
    assert_int_equal(get_from(answer_and_wait, &moving), -EDQUOT);
    assert_string_equal(moving.end.reason, "no room \xe2\x82\xac");
}

static void break_off(struct rogue *self)
{
    hear();
    say("{\"op\":\"go\"}", NULL, 0);
    hear();
    conn_abort(self->conn);
}

static void break_off_a_get(struct rogue *self)
{
    hear();
    say(INFO("file", "1000000"), NULL, 0);
    say("{\"op\":\"data\"}", some_bytes(1000), 1000);
    conn_abort(self->conn);
}

static void close_at_once(struct rogue *self)
{
    (void)conn_close(self->conn, until());
}

static void a_node_that_dies_on_the_way_is_told(void **state _unused_)
{
    struct moving moving;

    assert_int_equal(put_to(break_off, &moving), -ECONNRESET);
    assert_int_equal(get_from(break_off_a_get, &moving), -ECONNRESET);
    assert_non_null(strstr(moving.end.reason, "connection to the other node failed"));
    assert_int_equal(get_from(close_at_once, &moving), -ECONNRESET);
}

static void stay_silent(struct rogue *self _unused_)
{
    hear();
    hear();
}

static void a_node_that_says_nothing_can_be_given_up(void **state _unused_)
{
    struct moving moving;

    assert_int_equal(begin_get(here, THERE, "file", new_memory("", 0), &moving), 0);
    serve(stay_silent);
    run_until(rogue.heard_count == 1);
    transfer_cancel(moving.transfer);
    end_rogue();
    assert_string_equal(rogue.heard, "get cut ");
    assert_false(moving.is_ended);
}

static int rogue_stop(void **state)
{
    assert_int_equal(usage_of(there->room.files).count, 0);
    return transfer_stop(state);
}

#define test(name) cmocka_unit_test_setup_teardown(name, transfer_start, rogue_stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        test(a_put_by_hand_is_stored),
        test(damaged_content_is_refused_and_the_connection_goes_on),
        test(a_node_that_goes_amid_its_file_leaves_nothing),
        test(more_or_less_than_was_offered_is_refused),
        test(frames_that_are_none_end_the_connection),
        test(names_that_lead_elsewhere_are_invalid),
        test(what_is_got_is_checked),
        test(answers_that_are_none_end_the_transfer),
        test(a_reason_that_cannot_be_shown_is_not),
        test(a_node_that_dies_on_the_way_is_told),
        test(a_node_that_says_nothing_can_be_given_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
