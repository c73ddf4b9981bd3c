/* SPDX-License-Identifier: MIT */
#include "net_lab.h"
#include "net/fastest.h"

static void choice_is_one_of_the_two_and_takes_little_time(void **state)
{
    usec_t start = conn_now();
    enum seal_algorithm algorithm = fastest_algorithm();

    (void)state;
    assert_true(algorithm == SEAL_AES_256_GCM || algorithm == SEAL_CHACHA20_POLY1305);
    assert_true(conn_now() - start >= 5 * USEC_PER_MSEC);
    assert_true(conn_now() - start < LAB_WAIT_USEC);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(choice_is_one_of_the_two_and_takes_little_time),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
