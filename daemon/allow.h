/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The networks of security.allow, read once: who may talk to this node at all, by UDP and TCP. A
 * coarse filter before any cryptography; an address proves nothing.
 */

#include <stdbool.h>
#include "base/address.h"
#include "config/config.h"

struct allow {
    struct {
        struct address network;
        unsigned bits;
    } items[CONFIG_LIST_MAX];
    size_t count; /* 0 = everyone may */
};

/* @networks: as checked by the configuration, "10.0.4.0/24" or an address alone. */
void allow_init(struct allow *allow, const struct config_strings *networks);

bool allow_has(const struct allow *allow, const struct address *address);
