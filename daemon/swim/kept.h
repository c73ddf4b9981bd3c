/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The list of messages: the last texts to all that were told here, for some minutes. Rumors and
 * their author's repetitions reach whoever is there; this list reaches whoever is not: a node that
 * was cut off, stopped or just joined. It works as the member table's anti-entropy does (sync.h),
 * with one frame less, because the list is short:
 *
 *     ACK and HAVE, a digest of all that is older than rumors travel
 *     WANT, hashes of what the asker has, where the digests differ
 *     KEPT ..., HAVE                           one packet of what it has not, each with its age
 *
 * and so on while there is something new in it. Nothing is pushed. Every node forgets a text at the
 * same age, KEPT_USEC, but remembers by their hashes which it was told, lest the copy of a node
 * that was stopped for long, whose idea of an age is too young, is told again.
 *
 * SWIM has no such list: its dissemination (4.1) reaches all "with high probability". memberlist,
 * which does the same for user messages, was measured to miss a node in 2 of 80 broadcasts.
 */

#include "base/list.h"
#include "swim/message.h"

#define KEPT_MAX      MESSAGE_BUCKETS /* texts; then the oldest goes */
#define KEPT_TOLD_MAX 512             /* texts that are known to have been told, however long ago */
#define KEPT_USEC     (5 * USEC_PER_MIN)
#define KEPT_COMPANY  (MESSAGE_FRAME + 8) /* bytes of the HAVE behind them */

struct swim;
struct source;
struct draft;

struct kept {
    struct list texts; /* in the order in which they came */
    size_t count;
    uint64_t *told; /* owned ring of KEPT_TOLD_MAX hashes of what was told; NULL = nothing yet */
    size_t told_count;
    usec_t gone_usec;  /* highest expiry of what was forgotten */
    bool is_hungry;    /* a page brought something new: there may be more */
    usec_t asked_usec; /* last WANT, for these digests, and how long until the next one */
    uint64_t own_digest;
    uint64_t peer_digest;
    usec_t wait_usec;
};

void kept_init(struct swim *swim);
void kept_done(struct swim *swim);

/* Adds a text of @author that is @age_usec old; one that finds no memory or is too old is not kept.
 */
void kept_add(struct swim *swim, const struct message *message, const char *author,
              usec_t age_usec);

/* Whether it is in the list, or among the last KEPT_TOLD_MAX that were. */
bool kept_has(const struct swim *swim, const struct message *message);

/* Whether a text of that age would be in the list if it had ever been. */
bool kept_proves_new(const struct swim *swim, const struct message *message, usec_t age_usec);

/* The machine slept: everything is so much older. */
void kept_age(struct swim *swim, usec_t slept_usec);

/* The HAVE that goes with an acknowledgement; nothing where the list is empty. */
void kept_write_digest(struct swim *swim, struct draft *draft);

/* Frames. */
void kept_take_digest(struct swim *swim, const struct source *source, uint64_t digest);
void kept_take_want(struct swim *swim, const struct source *source, const struct message *message);
