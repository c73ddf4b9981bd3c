/* SPDX-License-Identifier: MIT */
#include "seal_lab.h"
#include "base/base64.h"

/* Sealing while the keys are changed: members with different rings. */

#define KEY_A "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
#define KEY_B "ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8="
#define KEY_C "QEFCQ0RFRkdISUpLTE1OT1BRUlNUVVZXWFlaW1xdXl8="

static struct lab lab;

static int stop(void **state _unused_)
{
    lab_stop(&lab);
    return 0;
}

static void set_keys(size_t node, const char *text)
{
    _cleanup_(keyring_freep) struct keyring *keyring = lab_keyring(text);

    lab.now += USEC_PER_MSEC; /* no change takes no time */
    assert_int_equal(seal_set_keyring(lab.nodes[node].seal, keyring, lab.now), 0);
}

/* Each says something, and both are heard, at once and with nothing lost. */
static void talk(size_t a, size_t b)
{
    for (int i = 0; i < 3; i++) {
        lab.nodes[a].got_count = lab.nodes[b].got_count = 0;
        lab_send(&lab, a, b, "there");
        lab_send(&lab, b, a, "back");
        lab_run(&lab);
        assert_true(lab_has(&lab, b, "there"));
        assert_true(lab_has(&lab, a, "back"));
    }
}

static void begin(size_t count)
{
    lab_start(&lab, count);
    for (size_t i = 0; i < count; i++)
        set_keys(i, KEY_A);
}

static uint32_t key_of(size_t record)
{
    const uint8_t *data = lab.records[record].data;

    return (uint32_t)data[2] << 24 | (uint32_t)data[3] << 16 | (uint32_t)data[4] << 8 | data[5];
}

static uint32_t id_of(const char *text)
{
    _cleanup_(keyring_freep) struct keyring *keyring = lab_keyring(text);

    return keyring->keys[0].id;
}

static void every_order_of_the_three_phases_keeps_all_in_touch(void **state _unused_)
{
    static const char *const phases[] = {KEY_A, KEY_A "\n" KEY_B, KEY_B "\n" KEY_A, KEY_B};

    begin(2);
    talk(0, 1);
    /* Each node in turn is a phase ahead. */
    for (size_t i = 1; i < ARRAY_SIZE(phases); i++) {
        set_keys(i % 2, phases[i]);
        talk(0, 1);
        talk(1, 0);
        set_keys(1 - i % 2, phases[i]);
        talk(0, 1);
    }
    assert_int_equal(lab_dropped(&lab, 0, SEAL_DROP_KEY), 0);
    assert_int_equal(lab_dropped(&lab, 1, SEAL_DROP_KEY), 0);
}

static void two_changes_at_once_keep_all_in_touch(void **state _unused_)
{
    begin(2);
    talk(0, 1);
    set_keys(0, KEY_B "\n" KEY_C "\n" KEY_A);
    set_keys(1, KEY_C "\n" KEY_B "\n" KEY_A);
    talk(0, 1);
    set_keys(0, KEY_B "\n" KEY_C);
    talk(1, 0);
    set_keys(1, KEY_C "\n" KEY_B);
    lab_pass(&lab, 100 * USEC_PER_MSEC);
    talk(0, 1);
    set_keys(0, KEY_C "\n" KEY_B);
    talk(0, 1);
}

static void after_use_everything_is_sealed_with_the_new_key(void **state _unused_)
{
    size_t first;

    begin(2);
    talk(0, 1);
    for (size_t i = 0; i < 2; i++)
        set_keys(i, KEY_A "\n" KEY_B);
    set_keys(0, KEY_B "\n" KEY_A);
    talk(0, 1);
    set_keys(1, KEY_B "\n" KEY_A);
    first = lab.records_count;
    talk(0, 1);
    for (size_t i = first; i < lab.records_count; i++)
        if (lab_type(&lab, i) != PACKET_DATA)
            assert_int_equal(key_of(i), id_of(KEY_B));
    /* So the old one can go, and nobody loses a session over it. */
    for (size_t i = 0; i < 2; i++)
        set_keys(i, KEY_B);
    first = lab.records_count;
    talk(0, 1);
    for (size_t i = first; i < lab.records_count; i++)
        assert_int_equal(lab_type(&lab, i), PACKET_DATA);
}

/* Found by a storm: a key that goes may not take with it what was seen of a session. */
static void removing_a_key_opens_nothing_twice(void **state _unused_)
{
    size_t echo, data;

    begin(2);
    for (size_t i = 0; i < 2; i++)
        set_keys(i, KEY_A "\n" KEY_B);
    lab_send(&lab, 0, 1, "one");
    lab_run(&lab);
    echo = lab.records_count - 1; /* in the first key; its cookie stays fresh for a while */
    assert_int_equal(lab_type(&lab, echo), PACKET_ECHO);
    talk(1, 0);
    lab_send(&lab, 0, 1, "two");
    lab_run(&lab);
    data = lab.records_count - 1;
    assert_int_equal(lab_type(&lab, data), PACKET_DATA);
    /* A handshake in the second key follows, since the first hello is lost. */
    lab_lose(&lab, 1 << 3);
    for (int i = 0; i < 3; i++)
        lab_send(&lab, 1, 0, "no answer");
    lab_pass(&lab, 300 * USEC_PER_MSEC);
    set_keys(1, KEY_A);
    assert_int_equal(lab_replay(&lab, echo), -EALREADY);
    assert_int_equal(lab_replay(&lab, data), -EALREADY);
}

static void whoever_missed_the_change_is_reached_in_the_old_key(void **state _unused_)
{
    begin(2);
    set_keys(0, KEY_B "\n" KEY_A);
    lab_send(&lab, 0, 1, "do you hear");
    lab_run(&lab);
    assert_false(lab_has(&lab, 1, "do you hear"));
    lab_pass(&lab, 250 * USEC_PER_MSEC); /* the first repetition is in the second key */
    assert_true(lab_has(&lab, 1, "do you hear"));
    lab_send(&lab, 1, 0, "clearly");
    lab_run(&lab);
    assert_true(lab_has(&lab, 0, "clearly"));
}

static void whoever_missed_the_change_reaches_the_others_at_once(void **state _unused_)
{
    begin(2);
    set_keys(0, KEY_B "\n" KEY_A);
    lab_send(&lab, 1, 0, "I was away");
    lab_run(&lab);
    assert_true(lab_has(&lab, 0, "I was away"));
    lab_send(&lab, 0, 1, "welcome");
    lab_run(&lab);
    assert_true(lab_has(&lab, 1, "welcome"));
}

/* More keys than one handshake has hellos: the right one comes in the end. */
static void any_common_key_is_found(void **state _unused_)
{
    char text[KEYRING_KEYS_MAX * 64] = "";

    begin(2);
    for (size_t i = 0; i < KEYRING_KEYS_MAX - 1; i++) {
        uint8_t secret[KEYRING_SECRET_SIZE] = {(uint8_t)(0x80 + i)};
        _cleanup_free_ char *line = base64_encode(secret, sizeof(secret));
        strcat(strcat(text, line), "\n");
    }
    strcat(text, KEY_A);
    set_keys(0, text);
    for (int i = 0; i < 6 && lab.nodes[1].got_count == 0; i++) {
        lab_send(&lab, 0, 1, "anybody");
        lab_pass(&lab, 4 * USEC_PER_SEC);
    }
    assert_true(lab_has(&lab, 1, "anybody"));
}

static void whoever_came_too_late_hears_nothing_and_is_counted(void **state _unused_)
{
    struct seal_statistics statistics;

    begin(2);
    set_keys(0, KEY_B);
    lab_send(&lab, 1, 0, "too late");
    lab_send(&lab, 0, 1, "who is there");
    lab_pass(&lab, 3 * USEC_PER_SEC);
    assert_int_equal(lab.nodes[0].got_count, 0);
    assert_int_equal(lab.nodes[1].got_count, 0);
    for (size_t i = 0; i < lab.records_count; i++)
        assert_int_equal(lab_type(&lab, i), PACKET_HELLO);
    seal_get_statistics(lab.nodes[0].seal, &statistics);
    assert_int_equal(statistics.unknown_key_id, id_of(KEY_A));
    seal_get_statistics(lab.nodes[1].seal, &statistics);
    assert_int_equal(statistics.unknown_key_id, id_of(KEY_B));
}

/* A counter that came again under another key would be a nonce used twice for one session. */
static void no_counter_comes_twice_whatever_the_key(void **state _unused_)
{
    begin(3);
    set_keys(0, KEY_B "\n" KEY_A);
    set_keys(1, KEY_A "\n" KEY_B);
    talk(0, 1);
    talk(0, 2);
    talk(1, 2);
    for (size_t i = 0; i < lab.records_count; i++)
        for (size_t j = i + 1; j < lab.records_count; j++)
            if (lab_type(&lab, i) != PACKET_DATA && lab_type(&lab, j) != PACKET_DATA)
                assert_memory_not_equal(lab.records[i].data + 6, lab.records[j].data + 6, 20);
}

/* An echo in the old key that was held back must not take two nodes back to it. */
static void late_echo_does_not_bring_the_old_key_back(void **state _unused_)
{
    size_t late;

    begin(2);
    for (size_t i = 0; i < 2; i++)
        set_keys(i, KEY_A "\n" KEY_B);
    lab_send(&lab, 0, 1, "one");
    lab_run(&lab);
    late = lab.records_count - 1;
    assert_int_equal(lab_type(&lab, late), PACKET_ECHO);
    lab_send(&lab, 0, 1, "two");
    lab_collect(&lab);
    assert_int_equal(lab_type(&lab, lab.records_count - 1), PACKET_ECHO);
    late = lab.delivered; /* "two" is on its way, and stays there */
    lab.delivered = lab.records_count;
    set_keys(1, KEY_B "\n" KEY_A);
    talk(1, 0);
    assert_int_equal(lab_replay(&lab, late), 1);
    set_keys(1, KEY_B); /* what still is sent in the old key needs a new handshake */
    lab_send(&lab, 1, 0, "as ever");
    lab_collect(&lab);
    assert_int_equal(lab_type(&lab, lab.records_count - 1), PACKET_DATA);
    talk(0, 1);
}

/* All answers to what is authentic but not proven, in any key: one, and never larger. */
static void answer_is_no_larger_than_the_question_in_any_key(void **state _unused_)
{
    begin(2);
    set_keys(0, KEY_B "\n" KEY_A "\n" KEY_C);
    lab_send(&lab, 1, 0, "x");
    lab_collect(&lab);
    for (size_t i = 0; i < 5; i++) {
        struct address elsewhere = lab_address(20 + i);
        const struct lab_record *hello = &lab.records[0];
        size_t before = lab.records_count;
        assert_int_equal(lab_type(&lab, 0), PACKET_HELLO);
        assert_int_equal(lab_inject(&lab, &elsewhere, 0, hello->data, hello->size), 0);
        lab_collect(&lab);
        assert_int_equal(lab.records_count, before + 1);
        assert_true(lab.records[before].size <= hello->size);
    }
}

#define test(name) cmocka_unit_test_teardown(name, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        test(every_order_of_the_three_phases_keeps_all_in_touch),
        test(two_changes_at_once_keep_all_in_touch),
        test(after_use_everything_is_sealed_with_the_new_key),
        test(removing_a_key_opens_nothing_twice),
        test(whoever_missed_the_change_is_reached_in_the_old_key),
        test(whoever_missed_the_change_reaches_the_others_at_once),
        test(any_common_key_is_found),
        test(whoever_came_too_late_hears_nothing_and_is_counted),
        test(no_counter_comes_twice_whatever_the_key),
        test(late_echo_does_not_bring_the_old_key_back),
        test(answer_is_no_larger_than_the_question_in_any_key),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
