/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "seal/rotation.h"
#include "seal/wrap.h"

/* What a ring can do, how a key travels, and who may do what when. */

#define REPORTS_MAX 4
#define NOW_SEC     UINT64_C(1795244870)

static void make_ring(struct keyring *ring, size_t count, uint64_t made_sec)
{
    *ring = (struct keyring){0};
    for (size_t i = 0; i < count; i++) {
        struct keyring_key key;
        assert_int_equal(keyring_make_key(ring, made_sec, &key), 0);
        assert_int_equal(keyring_add(ring, &key), 0);
    }
}

/* --- The ring --- */

static void text_of_a_ring_reads_back(void **state _unused_)
{
    _cleanup_(keyring_free_textp) char *text = NULL;
    _cleanup_(keyring_freep) struct keyring *back = NULL;
    char error[KEYRING_ERROR_MAX] = "";
    struct keyring ring;

    make_ring(&ring, KEYRING_KEYS_MAX, NOW_SEC);
    ring.keys[1].made_sec = 0;
    ring.keys[1].until_sec = NOW_SEC + 600;
    ring.keys[2].until_sec = KEYRING_TIME_MAX;
    text = keyring_format(&ring);
    assert_non_null(text);
    assert_int_equal(keyring_parse(text, strlen(text), error, &back), 0);
    assert_memory_equal(back, &ring, sizeof(ring));
}

static void times_that_are_none_are_refused(void **state _unused_)
{
#define KEY_A "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
    static const char *const texts[] = {KEY_A " x",
                                        KEY_A " -1",
                                        KEY_A " 1 1x",
                                        KEY_A " 1 2 3",
                                        KEY_A " 1.5",
                                        KEY_A " 1000000000001",
                                        KEY_A " 99999999999999999999999"};
    struct keyring *ring = NULL;
    char error[KEYRING_ERROR_MAX];

    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        assert_int_equal(keyring_parse(texts[i], strlen(texts[i]), error, &ring), -EINVAL);
        assert_string_equal(error, "line 1: after a key only its two times, in seconds");
    }
    assert_int_equal(
        keyring_parse(KEY_A "  7 \t 8 # x", strlen(KEY_A "  7 \t 8 # x"), error, &ring), 0);
    assert_int_equal(ring->keys[0].made_sec, 7);
    assert_int_equal(ring->keys[0].until_sec, 8);
    (void)keyring_free(ring);
}

static void a_new_key_is_newer_even_where_the_clock_is_slow(void **state _unused_)
{
    struct keyring ring;
    struct keyring_key key;

    make_ring(&ring, 2, NOW_SEC);
    assert_int_equal(keyring_make_key(&ring, 5, &key), 0);
    assert_true(keyring_is_newer(&key, &ring.keys[1]));
    assert_false(keyring_is_newer(&ring.keys[1], &key));
    assert_ptr_equal(keyring_find_newer(&ring), &ring.keys[1]);
    assert_int_equal(keyring_use(&ring, ring.keys[1].id, 0), 0);
    assert_null(keyring_find_newer(&ring));
}

static void keys_of_one_second_have_an_order_and_of_unknown_age_none(void **state _unused_)
{
    struct keyring_key a = {.id = 1, .made_sec = 5}, b = {.id = 2, .made_sec = 5};

    assert_true(keyring_is_newer(&b, &a));
    assert_false(keyring_is_newer(&a, &b));
    a.made_sec = b.made_sec = 0;
    assert_false(keyring_is_newer(&b, &a));
    assert_false(keyring_is_newer(&a, &b));
}

static void a_used_key_comes_first_and_older_ones_get_their_end(void **state _unused_)
{
    struct keyring ring;

    make_ring(&ring, 4, NOW_SEC);
    struct keyring before = ring;
    assert_int_equal(keyring_use(&ring, before.keys[2].id, 99), 0);
    assert_int_equal(ring.keys[0].id, before.keys[2].id);
    assert_int_equal(ring.keys[1].id, before.keys[0].id);
    assert_int_equal(ring.keys[2].id, before.keys[1].id);
    assert_int_equal(ring.keys[3].id, before.keys[3].id);
    assert_int_equal(ring.keys[0].until_sec, 0);
    assert_int_equal(ring.keys[1].until_sec, 99);
    assert_int_equal(ring.keys[2].until_sec, 99);
    assert_int_equal(ring.keys[3].until_sec, 0); /* newer: it is to be used yet */
    assert_int_equal(keyring_use(&ring, before.keys[2].id + 1, 0), -ENOENT);
    /* A file with a later time could not be read again. */
    assert_int_equal(keyring_use(&ring, before.keys[2].id, UINT64_MAX), 0);
    assert_int_equal(ring.keys[1].until_sec, KEYRING_TIME_MAX);
}

static void times_of_old_keys_outlive_a_start_within_limits(void **state _unused_)
{
    struct keyring ring;

    make_ring(&ring, 4, NOW_SEC);
    ring.keys[1].until_sec = 50;
    ring.keys[2].until_sec = 150;
    ring.keys[3].until_sec = 250;
    keyring_settle(&ring, 100, 200);
    assert_int_equal(ring.keys[0].until_sec, 0);
    assert_int_equal(ring.keys[1].until_sec, 100);
    assert_int_equal(ring.keys[2].until_sec, 150);
    assert_int_equal(ring.keys[3].until_sec, 200);
}

static void a_ring_keeps_the_key_in_use_and_at_most_sixteen(void **state _unused_)
{
    struct keyring ring;
    struct keyring_key key;

    make_ring(&ring, KEYRING_KEYS_MAX, 1);
    assert_int_equal(keyring_make_key(&ring, 1, &key), 0);
    assert_int_equal(keyring_add(&ring, &ring.keys[3]), -EEXIST);
    assert_int_equal(keyring_add(&ring, &key), -ENOSPC);
    assert_int_equal(keyring_remove(&ring, ring.keys[0].id), -EBUSY);
    assert_int_equal(keyring_remove(&ring, key.id), -ENOENT);
    assert_int_equal(keyring_remove(&ring, ring.keys[3].id), 0);
    assert_int_equal(ring.count, KEYRING_KEYS_MAX - 1);
    static const uint8_t nothing[KEYRING_SECRET_SIZE];
    assert_memory_equal(ring.keys[KEYRING_KEYS_MAX - 1].secret, nothing, sizeof(nothing));
    assert_int_equal(keyring_add(&ring, &key), 0);
}

/* --- On its way --- */

static const struct node_id here = {.bytes = {1}}, elsewhere = {.bytes = {2}};

static void a_wrapped_key_opens_for_whom_it_is(void **state _unused_)
{
    struct keyring ring;
    struct keyring_key key, back = {0};
    uint8_t data[WRAP_SIZE + 1] = {0}, again[WRAP_SIZE];

    make_ring(&ring, 2, NOW_SEC);
    assert_int_equal(keyring_make_key(&ring, NOW_SEC, &key), 0);
    key.until_sec = 77; /* is not passed on */
    assert_int_equal(wrap_key(&key, &ring.keys[1], "lab", &here, data), 0);
    assert_int_equal(wrap_key(&key, &ring.keys[1], "lab", &here, again), 0);
    assert_memory_not_equal(data + 5, again + 5, WRAP_SIZE - 5);
    assert_null(memmem(data, WRAP_SIZE, key.secret, 8));
    assert_int_equal(wrap_open(&ring, "lab", &here, data, WRAP_SIZE, &back), 0);
    assert_memory_equal(back.secret, key.secret, sizeof(key.secret));
    assert_int_equal(back.id, key.id);
    assert_int_equal(back.made_sec, key.made_sec);
    assert_int_equal(back.until_sec, 0);
    struct keyring_key none = {0}, untouched = {0};
    assert_int_equal(wrap_open(&ring, "lab", &elsewhere, data, WRAP_SIZE, &none), -EKEYREJECTED);
    assert_int_equal(wrap_open(&ring, "lab2", &here, data, WRAP_SIZE, &none), -EKEYREJECTED);
    assert_int_equal(wrap_open(&ring, "lab", &here, data, WRAP_SIZE - 1, &none), -EBADMSG);
    assert_int_equal(wrap_open(&ring, "lab", &here, data, WRAP_SIZE + 1, &none), -EBADMSG);
    assert_int_equal(wrap_open(&ring, "lab", &here, data, 0, &none), -EBADMSG);
    assert_int_equal(keyring_remove(&ring, ring.keys[1].id), 0);
    assert_int_equal(wrap_open(&ring, "lab", &here, data, WRAP_SIZE, &none), -ENOKEY);
    assert_memory_equal(&none, &untouched, sizeof(none));
}

static void any_changed_bit_of_a_wrapped_key_is_noticed(void **state _unused_)
{
    struct keyring ring;
    struct keyring_key key, none;
    uint8_t data[WRAP_SIZE];

    make_ring(&ring, 1, NOW_SEC);
    assert_int_equal(keyring_make_key(&ring, NOW_SEC, &key), 0);
    assert_int_equal(wrap_key(&key, &ring.keys[0], "lab", &here, data), 0);
    for (size_t bit = 0; bit < 8 * WRAP_SIZE; bit++) {
        data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_true(wrap_open(&ring, "lab", &here, data, WRAP_SIZE, &none) < 0);
        data[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    assert_int_equal(wrap_open(&ring, "lab", &here, data, WRAP_SIZE, &none), 0);
}

/* --- Who may do what --- */

struct room {
    struct keyring ring; /* three keys, each newer than the one before: A B C */
    uint32_t a, b, c;
    uint32_t keys[REPORTS_MAX][3];
    struct rotation_report reports[REPORTS_MAX];
    struct rotation_view view;
};

static struct room room;

static int enter(void **state _unused_)
{
    memset(&room, 0, sizeof(room));
    make_ring(&room.ring, 3, NOW_SEC);
    room.a = room.ring.keys[0].id;
    room.b = room.ring.keys[1].id;
    room.c = room.ring.keys[2].id;
    room.view = (struct rotation_view){
        .self = {.bytes = {5}}, .keyring = &room.ring, .reports = room.reports};
    return 0;
}

static void report(uint8_t id, size_t count, uint32_t x, uint32_t y, uint32_t z)
{
    size_t i = room.view.count++;

    room.keys[i][0] = x;
    room.keys[i][1] = y;
    room.keys[i][2] = z;
    room.reports[i] =
        (struct rotation_report){.id = {.bytes = {id}}, .keys = room.keys[i], .count = count};
}

static void a_key_is_used_only_when_all_have_it(void **state _unused_)
{
    size_t i = 9;

    assert_int_equal(rotation_check_use(&room.view, room.b, &i), 0); /* alone */
    report(1, 2, room.a, room.b, 0);
    report(2, 2, room.b, room.a, 0);
    assert_int_equal(rotation_check_use(&room.view, room.b, &i), 0);
    assert_int_equal(i, 9);
    report(3, 1, room.a, 0, 0);
    assert_int_equal(rotation_check_use(&room.view, room.b, &i), -EAGAIN);
    assert_int_equal(i, 2);
    room.reports[2].count = 0; /* who says nothing may have nothing */
    assert_int_equal(rotation_check_use(&room.view, room.a, &i), -EAGAIN);
    assert_int_equal(rotation_count_holders(&room.view, room.b), 3);
    assert_int_equal(rotation_count_users(&room.view, room.b), 1);
    assert_int_equal(rotation_count_users(&room.view, room.a), 2);
    assert_int_equal(rotation_check_use(&room.view, room.a + 1, &i), -ENOENT);
}

static void nobody_goes_back_to_an_older_key(void **state _unused_)
{
    size_t i;

    assert_int_equal(keyring_use(&room.ring, room.b, 0), 0);
    assert_int_equal(rotation_check_use(&room.view, room.a, &i), -ESTALE);
    assert_int_equal(rotation_check_use(&room.view, room.b, &i), 0);
    assert_int_equal(rotation_check_use(&room.view, room.c, &i), 0);
}

static void a_key_is_removed_only_when_nobody_needs_it(void **state _unused_)
{
    size_t i = 9;

    assert_int_equal(keyring_use(&room.ring, room.b, 0), 0);
    assert_int_equal(rotation_check_remove(&room.view, room.b, &i), -EBUSY);
    assert_int_equal(rotation_check_remove(&room.view, room.b + 1, &i), -ENOENT);
    report(1, 2, room.b, room.a, 0);
    assert_int_equal(rotation_check_remove(&room.view, room.a, &i), 0);
    report(2, 2, room.a, room.b, 0); /* uses it */
    assert_int_equal(rotation_check_remove(&room.view, room.a, &i), -EAGAIN);
    assert_int_equal(i, 1);
    room.keys[1][0] = room.b;
    assert_int_equal(rotation_check_remove(&room.view, room.a, &i), 0);
    room.keys[1][0] = room.c; /* has nothing else in common with us */
    room.keys[1][1] = room.a;
    assert_int_equal(rotation_check_remove(&room.view, room.a, &i), -EAGAIN);
}

static void whoever_lags_behind_goes_on_by_itself(void **state _unused_)
{
    struct rotation_advice advice;

    report(1, 2, room.a, room.b, 0);
    report(2, 2, room.a, room.b, 0);
    assert_int_equal(rotation_advise(&room.view, NOW_SEC).step, ROTATION_NONE);
    room.keys[1][0] = room.b;
    room.keys[1][1] = room.a;
    advice = rotation_advise(&room.view, NOW_SEC);
    assert_int_equal(advice.step, ROTATION_USE);
    assert_int_equal(advice.key_id, room.b);
    report(3, 1, room.a, 0, 0); /* until everybody has it */
    assert_int_equal(rotation_advise(&room.view, NOW_SEC).step, ROTATION_NONE);
}

static void of_two_changes_at_once_the_newer_wins(void **state _unused_)
{
    struct rotation_advice advice;

    report(1, 3, room.b, room.c, room.a);
    report(2, 3, room.c, room.b, room.a);
    advice = rotation_advise(&room.view, NOW_SEC);
    assert_int_equal(advice.step, ROTATION_USE);
    assert_int_equal(advice.key_id, room.c);
    assert_int_equal(keyring_use(&room.ring, room.c, 0), 0);
    assert_int_equal(rotation_advise(&room.view, NOW_SEC).step, ROTATION_NONE);
}

static void the_lowest_of_those_who_can_brings_a_missing_key(void **state _unused_)
{
    struct rotation_advice advice;

    assert_int_equal(keyring_use(&room.ring, room.b, 0), 0);
    report(9, 2, room.b, room.a, 0);
    report(7, 1, room.a, 0, 0); /* came back */
    advice = rotation_advise(&room.view, NOW_SEC);
    assert_int_equal(advice.step, ROTATION_INSTALL);
    assert_int_equal(advice.key_id, room.b);
    assert_int_equal(advice.report, 1);
    report(3, 1, room.b, 0, 0); /* is lower, but has nothing to bring it in */
    assert_int_equal(rotation_advise(&room.view, NOW_SEC).step, ROTATION_INSTALL);
    report(2, 2, room.b, room.a, 0);
    assert_int_equal(rotation_advise(&room.view, NOW_SEC).step, ROTATION_NONE);
}

static void nothing_is_brought_to_who_is_ahead_or_out_of_reach(void **state _unused_)
{
    assert_int_equal(keyring_use(&room.ring, room.b, 0), 0);
    report(9, 2, room.c, room.a, 0);
    report(8, 2, room.b, room.a, 0); /* so that we cannot go on to the newer one yet */
    assert_int_equal(rotation_advise(&room.view, NOW_SEC).step, ROTATION_NONE);
    room.keys[0][0] = ~room.a;
    room.keys[0][1] = ~room.b;
    assert_int_equal(rotation_advise(&room.view, NOW_SEC).step, ROTATION_NONE);
}

static void old_keys_go_when_their_time_is_up_and_nobody_needs_them(void **state _unused_)
{
    struct rotation_advice advice;

    assert_int_equal(keyring_use(&room.ring, room.b, NOW_SEC + 600), 0);
    report(9, 2, room.b, room.a, 0);
    assert_int_equal(rotation_advise(&room.view, NOW_SEC + 599).step, ROTATION_NONE);
    advice = rotation_advise(&room.view, NOW_SEC + 600);
    assert_int_equal(advice.step, ROTATION_REMOVE);
    assert_int_equal(advice.key_id, room.a);
    room.keys[0][0] = room.a;
    room.keys[0][1] = room.b;
    assert_int_equal(rotation_advise(&room.view, NOW_SEC + 600).step, ROTATION_NONE);
}

#define test(name) cmocka_unit_test_setup(name, enter)

int main(void)
{
    const struct CMUnitTest tests[] = {
        test(text_of_a_ring_reads_back),
        test(times_that_are_none_are_refused),
        test(a_new_key_is_newer_even_where_the_clock_is_slow),
        test(keys_of_one_second_have_an_order_and_of_unknown_age_none),
        test(a_used_key_comes_first_and_older_ones_get_their_end),
        test(times_of_old_keys_outlive_a_start_within_limits),
        test(a_ring_keeps_the_key_in_use_and_at_most_sixteen),
        test(a_wrapped_key_opens_for_whom_it_is),
        test(any_changed_bit_of_a_wrapped_key_is_noticed),
        test(a_key_is_used_only_when_all_have_it),
        test(nobody_goes_back_to_an_older_key),
        test(a_key_is_removed_only_when_nobody_needs_it),
        test(whoever_lags_behind_goes_on_by_itself),
        test(of_two_changes_at_once_the_newer_wins),
        test(the_lowest_of_those_who_can_brings_a_missing_key),
        test(nothing_is_brought_to_who_is_ahead_or_out_of_reach),
        test(old_keys_go_when_their_time_is_up_and_nobody_needs_them),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
