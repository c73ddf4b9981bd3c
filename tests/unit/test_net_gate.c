/* SPDX-License-Identifier: MIT */
#include "net_lab.h"
#include <pthread.h>
#include "net/gate.h"

static void tickets_run_out_and_come_back(void **state)
{
    struct gate *gate = NULL;
    int first, second;

    (void)state;
    assert_int_equal(gate_new(2, 2, &gate), 0);
    first = gate_enter(gate);
    second = gate_enter(gate);
    assert_true(first >= 0 && second >= 0 && first != second);
    assert_int_equal(gate_enter(gate), -EMFILE);
    assert_int_equal(gate_get_count(gate), 2);
    gate_leave(gate, first);
    assert_int_equal(gate_enter(gate), first);
    gate_leave(gate, first);
    gate_leave(gate, second);
    (void)gate_free(gate);
}

static void one_node_has_its_own_limit(void **state)
{
    struct gate *gate = NULL;
    int tickets[3];

    (void)state;
    assert_int_equal(gate_new(3, 2, &gate), 0);
    for (int i = 0; i < 3; i++)
        tickets[i] = gate_enter(gate);
    assert_int_equal(gate_identify(gate, tickets[0], &lab_a), 0);
    assert_int_equal(gate_identify(gate, tickets[1], &lab_a), 0);
    assert_int_equal(gate_identify(gate, tickets[2], &lab_a), -EUSERS);
    assert_int_equal(gate_identify(gate, tickets[2], &lab_b), 0);
    gate_leave(gate, tickets[0]);
    tickets[0] = gate_enter(gate);
    assert_int_equal(gate_identify(gate, tickets[0], &lab_a), 0);
    for (int i = 0; i < 3; i++)
        gate_leave(gate, tickets[i]);
    (void)gate_free(gate);
}

static void other_limits_leave_the_tickets_that_are_out(void **state)
{
    struct gate *gate = NULL;
    int tickets[3];

    (void)state;
    assert_int_equal(gate_new(2, 1, &gate), 0);
    tickets[0] = gate_enter(gate);
    tickets[1] = gate_enter(gate);
    assert_int_equal(gate_identify(gate, tickets[0], &lab_a), 0);
    assert_int_equal(gate_identify(gate, tickets[1], &lab_a), -EUSERS);
    assert_int_equal(gate_set_limits(gate, 0, 0), -EINVAL);
    assert_int_equal(gate_set_limits(gate, 65600, 2), 0);
    tickets[2] = gate_enter(gate);
    assert_true(tickets[2] >= 0);
    assert_int_equal(gate_identify(gate, tickets[1], &lab_a), 0);
    assert_int_equal(gate_set_limits(gate, 1, 1), 0);
    assert_int_equal(gate_enter(gate), -EMFILE);
    gate_leave(gate, tickets[2]);
    gate_leave(gate, tickets[1]);
    assert_int_equal(gate_enter(gate), -EMFILE);
    gate_leave(gate, tickets[0]);
    tickets[0] = gate_enter(gate);
    assert_true(tickets[0] >= 0);
    gate_leave(gate, tickets[0]);
    (void)gate_free(gate);
}

static void limits_out_of_range_are_refused(void **state)
{
    struct gate *gate = NULL;

    (void)state;
    assert_int_equal(gate_new(0, 0, &gate), -EINVAL);
    assert_int_equal(gate_new(1, 2, &gate), -EINVAL);
    assert_int_equal(gate_new(65601, 1, &gate), -EINVAL);
    assert_null(gate);
}

static void *enter_and_leave(void *data)
{
    struct gate *gate = data;

    for (int i = 0; i < 2000; i++) {
        int ticket = gate_enter(gate);
        if (ticket >= 0)
            gate_leave(gate, ticket);
    }
    return NULL;
}

static void threads_share_it(void **state)
{
    struct gate *gate = NULL;
    pthread_t threads[3];

    (void)state;
    assert_int_equal(gate_new(2, 1, &gate), 0);
    for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, enter_and_leave, gate), 0);
    for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(gate_get_count(gate), 0);
    (void)gate_free(gate);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tickets_run_out_and_come_back),
        cmocka_unit_test(one_node_has_its_own_limit),
        cmocka_unit_test(other_limits_leave_the_tickets_that_are_out),
        cmocka_unit_test(limits_out_of_range_are_refused),
        cmocka_unit_test(threads_share_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
