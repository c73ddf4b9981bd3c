/* SPDX-License-Identifier: MIT */
#pragma once

/* A loop, two sides and their TLS for the tests of net/. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>
#include <systemd/sd-event.h>
#include <unistd.h>
#include "base/usec.h"
#include "net/bind.h"
#include "net/conn.h"
#include "net/tls.h"

#define LAB_WAIT_USEC (60 * USEC_PER_SEC) /* a test that waits longer has failed */

static const struct node_id lab_a = {{0xaa}}, lab_b = {{0xbb}}, lab_c = {{0xcc}};

static _unused_ struct address lab_loopback(uint16_t port)
{
    return (struct address){.bytes = {127, 21, 0, 1}, .port = port, .family = 4};
}

/* A ring whose key n is all bytes @first + n. */
static _unused_ struct keyring lab_keyring(uint8_t first, size_t count)
{
    struct keyring keyring = {.count = count};

    for (size_t i = 0; i < count; i++) {
        memset(keyring.keys[i].secret, (int)(first + i), KEYRING_SECRET_SIZE);
        keyring.keys[i].id = 0x1000U * (uint32_t)(first + i);
    }
    return keyring;
}

/* @keyring NULL = in the clear. */
static _unused_ struct tls *lab_tls(const char *cluster, const struct node_id *id,
                                    const struct keyring *keyring)
{
    struct tls_config config = {
        .cluster = cluster, .id = *id, .keyring = keyring, .is_encrypted = keyring != NULL};
    struct tls *tls = NULL;

    assert_int_equal(tls_new(&config, &tls), 0);
    return tls;
}

/*
 * UDP and TCP on a free port of the loopback. Tests run side by side, and one frees a port and
 * looks who has it: each process tries other ports first.
 */
static _unused_ struct bind_sockets lab_bind(void)
{
    struct bind_sockets sockets;
    char error[BIND_ERROR_MAX] = "";

    for (uint16_t i = 0; i < 1000; i++) {
        struct address address = lab_loopback((uint16_t)(23000 + getpid() % 8000 + i));
        if (bind_sockets_open(&address, NULL, error, &sockets) == 0)
            return sockets;
    }
    fail_msg("%s", error);
    return sockets;
}

/* Runs the loop until @condition holds. */
#define lab_run_until(event, condition)                                                            \
    do {                                                                                           \
        usec_t lab_end = conn_now() + LAB_WAIT_USEC;                                               \
        while (!(condition)) {                                                                     \
            assert_true(conn_now() < lab_end);                                                     \
            assert_true(sd_event_run(event, LAB_WAIT_USEC) >= 0);                                  \
        }                                                                                          \
    } while (0)
