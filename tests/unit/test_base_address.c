/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <string.h>
#include <sys/un.h>
#include "base/address.h"
#include "base/macro.h"

static void assert_reads_as(const char *text, const char *expected)
{
    struct address address;
    char formatted[ADDRESS_TEXT_MAX];

    assert_int_equal(address_parse(text, 7717, &address), 0);
    assert_string_equal(address_format(&address, formatted), expected);
}

static void every_spelling_is_read(void **state _unused_)
{
    assert_reads_as("10.0.4.2", "10.0.4.2:7717");
    assert_reads_as("10.0.4.2:80", "10.0.4.2:80");
    assert_reads_as("[fd00::2]:80", "[fd00::2]:80");
    assert_reads_as("[fd00::2]", "[fd00::2]:7717");
    assert_reads_as("fd00::2", "[fd00::2]:7717");
    assert_reads_as("0.0.0.0:0", "0.0.0.0:0");
}

static void a_mapped_address_is_ipv4(void **state _unused_)
{
    assert_reads_as("[::ffff:10.0.4.2]:80", "10.0.4.2:80");
}

static void nonsense_is_refused_and_changes_nothing(void **state _unused_)
{
    static const char *const texts[] = {
        "",
        "10.0.4",
        "10.0.4.2:",
        "10.0.4.2:65536",
        "10.0.4.2:1x",
        "[fd00::2",
        "[fd00::2]80",
        "[10.0.4.2]:80",
        "seed-1:80",
        "10.0.4.2:-1",
        ":80",
        "10.0.4.2:000080",
        "[fd00::2]:",
        "1111111111111111111111111111111111111111111111111111111",
    };
    struct address address = {.family = 4, .port = 9};

    for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
        if (address_parse(texts[i], 1, &address) != -EINVAL)
            fail_msg("%s was taken", texts[i]);
    assert_int_equal(address.port, 9);
}

static void the_ip_alone_has_no_port(void **state _unused_)
{
    struct address address;
    char text[ADDRESS_TEXT_MAX];

    assert_int_equal(address_parse("[fd00::11]:1", 0, &address), 0);
    assert_string_equal(address_format_ip(&address, text), "[fd00::11]");
    assert_int_equal(address_parse("10.0.4.11:1", 0, &address), 0);
    assert_string_equal(address_format_ip(&address, text), "10.0.4.11");
    assert_string_equal(address_format(&(struct address){0}, text), "-");
}

static void sockets_and_back(void **state _unused_)
{
    static const char *const texts[] = {"10.0.4.2:80", "[fd00::2]:81"};
    struct sockaddr_storage storage;

    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        struct address address, back;
        assert_int_equal(address_parse(texts[i], 0, &address), 0);
        socklen_t size = address_to_sockaddr(&address, &storage);
        assert_true(size > 0);
        assert_int_equal(address_from_sockaddr((struct sockaddr *)&storage, size, &back), 0);
        assert_true(address_is_equal(&address, &back));
        assert_memory_equal(&address, &back, sizeof(back));
    }
    assert_int_equal(address_to_sockaddr(&(struct address){0}, &storage), 0);
}

static void a_mapped_socket_address_is_ipv4(void **state _unused_)
{
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(80)};
    struct address address;
    char text[ADDRESS_TEXT_MAX];

    assert_int_equal(inet_pton(AF_INET6, "::ffff:10.0.4.2", &in6.sin6_addr), 1);
    assert_int_equal(address_from_sockaddr((struct sockaddr *)&in6, sizeof(in6), &address), 0);
    assert_string_equal(address_format(&address, text), "10.0.4.2:80");
}

static void other_families_are_refused(void **state _unused_)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    struct sockaddr_in in = {.sin_family = AF_INET};
    struct address address;

    assert_int_equal(address_from_sockaddr((struct sockaddr *)&un, sizeof(un), &address),
                     -EAFNOSUPPORT);
    assert_int_equal(address_from_sockaddr((struct sockaddr *)&in, 4, &address), -EAFNOSUPPORT);
}

static void the_wire_form_reads_back(void **state _unused_)
{
    static const char *const texts[] = {"10.0.4.2:80", "[fd00::2]:81"};
    uint8_t data[64];
    struct writer writer = writer_into(data, sizeof(data));
    struct address addresses[3] = {{{0}, 0, 0, 0}};

    for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
        assert_int_equal(address_parse(texts[i], 0, &addresses[i]), 0);
    for (size_t i = 0; i < ARRAY_SIZE(addresses); i++)
        address_write(&addresses[i], &writer);
    struct reader reader = reader_from(data, writer.position);
    for (size_t i = 0; i < ARRAY_SIZE(addresses); i++) {
        struct address address = address_read(&reader);
        assert_true(address_is_equal(&address, &addresses[i]));
    }
    assert_true(reader_done(&reader));
}

static void a_strange_family_on_the_wire_fails(void **state _unused_)
{
    const uint8_t data[] = {5, 1, 2, 3, 4, 0, 80};
    struct reader reader = reader_from(data, sizeof(data));
    struct address address = address_read(&reader);

    assert_false(reader_ok(&reader));
    assert_int_equal(address.family, 0);
}

static void wildcards_are_known(void **state _unused_)
{
    struct address address;

    assert_int_equal(address_parse("0.0.0.0", 1, &address), 0);
    assert_true(address_is_wildcard(&address));
    assert_int_equal(address_parse("::", 1, &address), 0);
    assert_true(address_is_wildcard(&address));
    assert_int_equal(address_parse("::1", 1, &address), 0);
    assert_false(address_is_wildcard(&address));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_spelling_is_read),
        cmocka_unit_test(a_mapped_address_is_ipv4),
        cmocka_unit_test(nonsense_is_refused_and_changes_nothing),
        cmocka_unit_test(the_ip_alone_has_no_port),
        cmocka_unit_test(sockets_and_back),
        cmocka_unit_test(a_mapped_socket_address_is_ipv4),
        cmocka_unit_test(other_families_are_refused),
        cmocka_unit_test(the_wire_form_reads_back),
        cmocka_unit_test(a_strange_family_on_the_wire_fails),
        cmocka_unit_test(wildcards_are_known),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
