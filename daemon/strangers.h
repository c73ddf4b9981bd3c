/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Who writes what our keys do not open: other clusters, and nodes of ours that missed a change of
 * keys. Nothing of it is authentic, so it is only worth a word; a flood of it is no flood of words,
 * and what is remembered is bounded.
 */

#include "base/address.h"
#include "seal/seal.h"

#define STRANGERS_MAX 8

/* Somebody who wrote with a key that is not in our ring. */
struct stranger {
    struct address address;
    uint32_t key_id;
    usec_t first_usec, last_usec;
    bool is_told; /* the owner's own mark */
};

/* Zeroed is valid. */
struct strangers {
    struct stranger items[STRANGERS_MAX]; /* where there is no room, the one longest quiet goes */
    size_t count;
    usec_t next_usec;      /* when the next new one may be remembered */
    uint64_t foreign_keys; /* datagrams with a foreign key, when last looked */
    uint64_t told_next;    /* datagrams of others until the next word about them */
};

/* Somebody there wrote with a key of ours: what was there before is over. */
void strangers_acquit(struct strangers *strangers, const struct address *from);

/* A datagram @from there was refused just now. */
void strangers_watch(struct strangers *strangers, const struct seal_statistics *statistics,
                     const struct address *from, usec_t now);
