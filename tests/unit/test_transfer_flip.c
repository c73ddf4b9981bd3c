/* SPDX-License-Identifier: MIT */

/* A bit that is flipped on the way, anywhere: found before the name appears. */

#include "transfer_lab.h"
#include "relay.h"

static struct depot *const there = &depots[1];

enum { HERE, THERE };

#define SIZE ((size_t)300000)

/* In the handshake, in the question, in the content, near its end. */
static const size_t places[] = {3, 200, 1500, 20000, 150000, SIZE};

static void a_put_with_a_flipped_bit_stores_nothing(void **state _unused_)
{
    for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
        struct upload_offer offer = offer_of("file", SIZE);
        struct relay relay;
        struct moving moving;

        relay_start(&relay, &nodes[THERE].address, false, places[i]);
        assert_true(put_fd(THERE, new_memory(some_bytes(SIZE), SIZE), &offer, &moving) < 0);
        relay_stop(&relay);
        run_until(count_parts(&there->room) == 0);
        assert_empty(there);
    }
}

static void a_pack_with_a_flipped_bit_stores_nothing(void **state _unused_)
{
    for (size_t i = 2; i < ARRAY_SIZE(places) - 1; i++) {
        struct transfer_place place;
        struct upload_offer offer = {.owner = "user1"};
        struct transfer_item *list = calloc(2, sizeof(*list));
        struct relay relay;
        struct moving moving = {0};

        for (size_t j = 0; j < 2; j++)
            list[j] = (struct transfer_item){.name = strdup(j ? "g" : "f"), .size = SIZE / 2};
        relay_start(&relay, &nodes[THERE].address, false, places[i]);
        place = place_of(&depots[HERE], THERE);
        assert_int_equal(transfers_put_list(depots[HERE].transfers, &place,
                                            new_memory(some_bytes(SIZE), SIZE), &offer,
                                            (struct transfer_list){list, 2}, &moving_handler,
                                            &moving, &moving.transfer),
                         0);
        run_until(moving.is_ended);
        assert_true(moving.end.r < 0);
        relay_stop(&relay);
        run_until(count_parts(&there->room) == 0);
        assert_empty(there);
    }
}

static void a_get_with_a_flipped_bit_says_so(void **state _unused_)
{
    struct upload_offer offer = offer_of("file", SIZE);
    struct moving moving;

    assert_int_equal(put(there->room.files, &offer, some_bytes(SIZE), SIZE), 0);
    for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
        struct relay relay;
        relay_start(&relay, &nodes[THERE].address, true, places[i]);
        assert_true(get_fd(THERE, "file", new_memory("", 0), &moving) < 0);
        relay_stop(&relay);
    }
    assert_int_equal(get_fd(THERE, "file", new_memory("", 0), &moving), 0);
}

#define test(name) cmocka_unit_test_setup_teardown(name, transfer_start, transfer_stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        test(a_put_with_a_flipped_bit_stores_nothing),
        test(a_pack_with_a_flipped_bit_stores_nothing),
        test(a_get_with_a_flipped_bit_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
