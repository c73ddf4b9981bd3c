/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Who may do what in a change of keys, decided from the own key ring and from what the other live
 * members report of theirs. A change has three phases: the new key is installed everywhere, then
 * used everywhere, then the old ones are removed. No phase begins at a node before the one before
 * is over at all live members, as far as this node knows; and since a member is written to in a key
 * that it has (seal.h), whoever has not heard of a phase is not cut off by it.
 *
 * A change that its initiator did not finish is finished by the members: see rotation_advise().
 */

#include "base/id.h"
#include "seal/keyring.h"

/* What one other live member says of its ring. Nothing (count 0) counts as a ring without keys. */
struct rotation_report {
    struct node_id id;
    const uint32_t *keys; /* borrowed: ids; the first is in use */
    size_t count;
};

struct rotation_view {
    struct node_id self;
    const struct keyring *keyring;         /* ours; borrowed */
    const struct rotation_report *reports; /* borrowed */
    size_t count;
};

bool rotation_report_has(const struct rotation_report *report, uint32_t key_id);

/* How many of the members, ourselves included, have the key @key_id; and how many use it. */
size_t rotation_count_holders(const struct rotation_view *view, uint32_t key_id);
size_t rotation_count_users(const struct rotation_view *view, uint32_t key_id);

/* The first key of ours that the member has, too; NULL where there is none. */
const struct keyring_key *rotation_find_common(const struct keyring *keyring,
                                               const struct rotation_report *report);

/**
 * rotation_check_use() - whether @key_id may become the first key here
 * @ret_report: on -EAGAIN a member without it
 *
 * Return: 0; -ENOENT where it is not in our ring; -ESTALE where the one in use is newer; -EAGAIN
 * where a live member does not have it (yet).
 */
int rotation_check_use(const struct rotation_view *view, uint32_t key_id, size_t *ret_report);

/**
 * rotation_check_remove() - whether @key_id may go from the ring here
 * @ret_report: on -EAGAIN a member that needs it: it uses it, or lacks the one that we use
 *
 * Return: 0; -ENOENT; -EBUSY where it is the one in use here; -EAGAIN.
 */
int rotation_check_remove(const struct rotation_view *view, uint32_t key_id, size_t *ret_report);

enum rotation_step {
    ROTATION_NONE,
    ROTATION_USE,     /* others went on to a newer key that all have */
    ROTATION_REMOVE,  /* its time is up, and nobody needs it */
    ROTATION_INSTALL, /* a member came back without our key, and it is on us to bring it */
};

struct rotation_advice {
    enum rotation_step step;
    uint32_t key_id;
    size_t report; /* ROTATION_INSTALL: whom */
};

/*
 * What this node should do by itself now, as any node does until all rings are the same. A missing
 * key is brought by one node only: of those that use it, the one with the lowest id.
 */
struct rotation_advice rotation_advise(const struct rotation_view *view, uint64_t now_sec);
