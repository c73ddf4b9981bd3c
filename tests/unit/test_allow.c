/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>
#include "allow.h"
#include "base/macro.h"

static bool has(const char *network, const char *text)
{
    char item[64];
    char *items[] = {item};
    struct config_strings networks = {.items = items, .count = *network ? 1 : 0};
    struct allow allow;
    struct address address;

    snprintf(item, sizeof(item), "%s", network);
    allow_init(&allow, &networks);
    assert_int_equal(address_parse(text, 7717, &address), 0);
    return allow_has(&allow, &address);
}

static void no_network_means_everyone(void **state _unused_)
{
    assert_true(has("", "10.0.4.2"));
    assert_true(has("", "fd00::2"));
}

static void a_prefix_counts_to_the_bit(void **state _unused_)
{
    assert_true(has("10.0.4.0/24", "10.0.4.255"));
    assert_false(has("10.0.4.0/24", "10.0.5.0"));
    assert_true(has("10.0.4.128/25", "10.0.4.128"));
    assert_false(has("10.0.4.128/25", "10.0.4.127"));
    assert_true(has("10.0.4.8/30", "10.0.4.11"));
    assert_false(has("10.0.4.8/30", "10.0.4.12"));
    assert_true(has("10.0.4.2/32", "10.0.4.2"));
    assert_false(has("10.0.4.2/32", "10.0.4.3"));
    assert_true(has("fd00::/64", "[fd00::1]:9"));
    assert_false(has("fd00::/64", "[fd00:0:0:1::1]:9"));
    assert_true(has("fd00::/9", "[fd7f::1]:9"));
    assert_false(has("fd00::/9", "[fd80::1]:9"));
}

static void an_address_alone_is_only_itself(void **state _unused_)
{
    assert_true(has("10.0.4.2", "10.0.4.2"));
    assert_false(has("10.0.4.2", "10.0.4.3"));
    assert_true(has("fd00::2", "[fd00::2]:1"));
    assert_false(has("fd00::2", "[fd00::3]:1"));
}

static void all_of_one_family_is_none_of_the_other(void **state _unused_)
{
    assert_true(has("0.0.0.0/0", "192.0.2.1"));
    assert_false(has("0.0.0.0/0", "[fd00::2]:1"));
    assert_true(has("::/0", "[fd00::2]:1"));
    assert_false(has("fd00::/8", "10.0.4.2"));
}

static void a_mapped_network_is_one_of_ipv4(void **state _unused_)
{
    assert_true(has("::ffff:10.0.4.0/120", "10.0.4.7"));
    assert_false(has("::ffff:10.0.4.0/120", "10.0.5.7"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_network_means_everyone),
        cmocka_unit_test(a_prefix_counts_to_the_bit),
        cmocka_unit_test(an_address_alone_is_only_itself),
        cmocka_unit_test(all_of_one_family_is_none_of_the_other),
        cmocka_unit_test(a_mapped_network_is_one_of_ipv4),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
