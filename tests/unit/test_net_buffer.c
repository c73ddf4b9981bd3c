/* SPDX-License-Identifier: MIT */
#include "net_lab.h"
#include "base/rng.h"
#include "net/buffer.h"

static void empty_buffer_holds_no_memory(void **state)
{
    struct buffer buffer = {0};
    uint8_t *target;

    (void)state;
    assert_int_equal(buffer_reserve(&buffer, 100, &target), 0);
    memset(target, 'x', 100);
    buffer_add(&buffer, 100);
    buffer_drop(&buffer, 99);
    assert_int_equal(buffer.size, 1);
    assert_int_equal(buffer.data[buffer.start], 'x');
    buffer_drop(&buffer, 1);
    assert_null(buffer.data);
    assert_int_equal(buffer.allocated, 0);
}

static void bytes_come_out_in_order_however_they_went_in(void **state)
{
    struct buffer buffer = {0};
    struct rng rng;
    size_t in = 0, out = 0;

    (void)state;
    rng_init(&rng, 3);
    while (in < 3000000) {
        size_t size = rng_below(&rng, 9000);
        uint8_t *target;
        assert_int_equal(buffer_reserve(&buffer, size, &target), 0);
        for (size_t i = 0; i < size; i++)
            target[i] = (uint8_t)((in + i) % 251);
        buffer_add(&buffer, size);
        in += size;
        size = rng_below(&rng, buffer.size + 1);
        for (size_t i = 0; i < size; i += 97)
            assert_int_equal(buffer.data[buffer.start + i], (out + i) % 251);
        buffer_drop(&buffer, size);
        out += size;
    }
    assert_true(buffer.allocated < 100000);
    buffer_done(&buffer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(empty_buffer_holds_no_memory),
        cmocka_unit_test(bytes_come_out_in_order_however_they_went_in),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
