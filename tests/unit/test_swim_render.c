/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "base/macro.h"
#include "swim/render.h"

#define WALL UINT64_C(1795244870874000)

static struct address ip(const char *text)
{
    struct address address;

    assert_int_equal(address_parse(text, 0, &address), 0);
    return address;
}

static void a_dead_node_reads_as_the_seed_wrote_it(void **state)
{
    struct address dead = ip("10.0.4.17"), reporter = ip("10.0.4.11");
    struct render_line line;
    char text[RENDER_TEXT_MAX];

    (void)state;
    assert_string_equal(render_dead_node(&dead, WALL, &reporter, text),
                        "Dead Node:10.0.4.17:1795244870.874:10.0.4.11");
    assert_int_equal(render_parse(text, &line), 0);
    assert_int_equal(line.type, RENDER_DEAD_NODE);
    assert_true(address_is_equal(&line.subject, &dead));
    assert_true(address_is_equal(&line.other, &reporter));
    assert_int_equal(line.wall_usec, WALL);
}

static void a_gossip_reads_as_the_seed_wrote_it(void **state)
{
    struct address origin = ip("10.0.4.11");
    struct render_line line;
    char text[RENDER_TEXT_MAX];

    (void)state;
    assert_string_equal(render_gossip(WALL, &origin, 17, text), "1795244870.874:10.0.4.11:17");
    assert_int_equal(render_parse(text, &line), 0);
    assert_int_equal(line.type, RENDER_GOSSIP);
    assert_true(address_is_equal(&line.subject, &origin));
    assert_int_equal(line.number, 17);
    assert_int_equal(line.wall_usec, WALL);
}

static void a_liveness_request_reads_as_the_seed_wrote_it(void **state)
{
    struct address sender = ip("10.0.4.11");
    struct render_line line;
    char text[RENDER_TEXT_MAX];

    (void)state;
    assert_string_equal(render_liveness_request(WALL, &sender, text),
                        "Liveness Request:1795244870.874:10.0.4.11");
    assert_int_equal(render_parse(text, &line), 0);
    assert_int_equal(line.type, RENDER_LIVENESS_REQUEST);
    assert_true(address_is_equal(&line.subject, &sender));
    assert_int_equal(line.wall_usec, WALL);
}

static void a_liveness_reply_reads_as_the_seed_wrote_it(void **state)
{
    struct address sender = ip("10.0.4.11"), self = ip("10.0.4.13");
    struct render_line line;
    char text[RENDER_TEXT_MAX];

    (void)state;
    assert_string_equal(render_liveness_reply(WALL, &sender, &self, text),
                        "Liveness Reply:1795244870.874:10.0.4.11:10.0.4.13");
    assert_int_equal(render_parse(text, &line), 0);
    assert_int_equal(line.type, RENDER_LIVENESS_REPLY);
    assert_true(address_is_equal(&line.subject, &sender));
    assert_true(address_is_equal(&line.other, &self));
    assert_int_equal(line.wall_usec, WALL);
}

static void ports_do_not_appear_and_ip6_stands_in_brackets(void **state)
{
    struct address dead = ip("[fd00::2]:7717"), reporter = ip("10.0.4.11:7717");
    struct render_line line;
    char text[RENDER_TEXT_MAX];

    (void)state;
    assert_string_equal(render_dead_node(&dead, 5000, &reporter, text),
                        "Dead Node:[fd00::2]:0.005:10.0.4.11");
    assert_int_equal(render_parse(text, &line), 0);
    assert_int_equal(line.subject.family, 6);
    assert_int_equal(line.subject.port, 0);
}

static void the_largest_values_have_a_place(void **state)
{
    struct address origin = ip("[2001:db8:ffff:ffff:ffff:ffff:ffff:ffff]:1");
    struct render_line line;
    char text[RENDER_TEXT_MAX];

    (void)state;
    render_gossip(UINT64_MAX / 1000 * 1000, &origin, UINT64_MAX, text);
    assert_int_equal(render_parse(text, &line), 0);
    assert_int_equal(line.number, UINT64_MAX);
    assert_int_equal(line.wall_usec, UINT64_MAX / 1000 * 1000);
}

static void anything_else_is_refused(void **state)
{
    static const char *const bad[] = {
        "",
        "Dead Node",
        "Dead Node:",
        "Dead Node:10.0.4.17:1795244870.874:",
        "Dead Node:10.0.4.17:1795244870.874:10.0.4.11:",
        "Dead Node:10.0.4.17:1795244870.87:10.0.4.11",
        "Dead Node:10.0.4.17:1795244870.8740:10.0.4.11",
        "Dead Node:10.0.4:1795244870.874:10.0.4.11",
        "dead node:10.0.4.17:1795244870.874:10.0.4.11",
        "1795244870.874:10.0.4.11",
        "1795244870.874:10.0.4.11:",
        "1795244870.874:10.0.4.11:-1",
        "1795244870.874:10.0.4.11:17 ",
        "1795244870.874:10.0.4.11:18446744073709551616",
        "99999999999999999999.000:10.0.4.11:1",
        "01.000:10.0.4.11:1",
        " 1795244870.874:10.0.4.11:17",
        "Liveness Request:1795244870.874:[fd00::2",
        "Liveness Request:1795244870.874:fd00::2",
        "Liveness Request:1795244870.874:[10.0.4.11]",
        "Liveness Reply:1795244870.874:10.0.4.11",
    };
    struct render_line line;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        if (render_parse(bad[i], &line) != -EINVAL)
            fail_msg("accepted: %s", bad[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_dead_node_reads_as_the_seed_wrote_it),
        cmocka_unit_test(a_gossip_reads_as_the_seed_wrote_it),
        cmocka_unit_test(a_liveness_request_reads_as_the_seed_wrote_it),
        cmocka_unit_test(a_liveness_reply_reads_as_the_seed_wrote_it),
        cmocka_unit_test(ports_do_not_appear_and_ip6_stands_in_brackets),
        cmocka_unit_test(the_largest_values_have_a_place),
        cmocka_unit_test(anything_else_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
