/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The secrets of a cluster: up to 16 keys of 32 bytes, the first of which protects what is sent
 * while all of them open what is received. A key is named in public by an id that is derived from
 * it, and shown to people as a short fingerprint; the key itself never leaves this folder but by
 * derivation, in the text of the ring, and wrapped in another key (wrap.h).
 *
 * The text form is the file of security.keyring: one key per line in base64, after it when it was
 * made and when it may go, both in seconds since 1970 and both left out where they are not known;
 * `#` starts a comment. This header reads and writes texts only; files are opened on floor 4 and in
 * p2pctl. A keyring belongs to whoever parsed it and is wiped when freed.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/macro.h"

#define KEYRING_KEYS_MAX     16
#define KEYRING_SECRET_SIZE  32
#define KEYRING_TEXT_MAX     ((size_t)64 * 1024) /* bytes of a key ring's text */
#define KEYRING_ERROR_MAX    160
#define KEYRING_TIME_MAX     UINT64_C(1000000000000) /* seconds since 1970 */
#define FINGERPRINT_TEXT_MAX 5

struct keyring_key {
    uint8_t secret[KEYRING_SECRET_SIZE];
    uint32_t id;
    uint64_t made_sec;  /* wall clock; 0 = not known, and then older than any */
    uint64_t until_sec; /* from then on it may be removed; 0 = nobody said so */
};

struct keyring {
    struct keyring_key keys[KEYRING_KEYS_MAX]; /* the first is the primary one */
    size_t count;                              /* 1..KEYRING_KEYS_MAX */
};

/**
 * keyring_parse() - a key ring from the text of its file
 * @text:  @size bytes, not NUL-terminated; wiping it is the caller's part
 * @error: on -EINVAL says what is wrong, as "line 3: a key is 32 bytes in base64"
 *
 * Return: 0; -EINVAL for a text that is not 1..KEYRING_KEYS_MAX different keys; -ENOMEM; -EIO where
 * libcrypto fails.
 */
int keyring_parse(const char *text, size_t size, char error[static KEYRING_ERROR_MAX],
                  struct keyring **ret);
struct keyring *keyring_free(struct keyring *keyring);
DEFINE_CLEANUP(struct keyring *, keyring_free)

/**
 * keyring_generate() - the text of a new key ring with one random key
 * @now_sec: wall clock, 1..KEYRING_TIME_MAX
 *
 * The text starts with a comment that shows the fingerprint. *@ret is owned by the caller, who
 * frees it with keyring_free_text().
 *
 * Return: 0, -ENOMEM, -EIO where libcrypto has no randomness.
 */
int keyring_generate(uint64_t now_sec, char **ret);

/* Return: the text of @keyring for its file, to be freed as above; NULL without memory. */
char *keyring_format(const struct keyring *keyring);

/* Wipes and frees a text that holds keys. Returns NULL. */
char *keyring_free_text(char *text);
DEFINE_CLEANUP(char *, keyring_free_text)

/* Return: a copy, or NULL without memory. */
struct keyring *keyring_copy(const struct keyring *keyring);

/* Return: the key called @id, borrowed from @keyring, or NULL. */
const struct keyring_key *keyring_find(const struct keyring *keyring, uint32_t id);

/* Whether both have the same keys in the same order. */
bool keyring_is_equal(const struct keyring *a, const struct keyring *b);

/* A random key that is newer than all of @keyring. Return: 0, -EIO. */
int keyring_make_key(const struct keyring *keyring, uint64_t now_sec, struct keyring_key *ret);

/* Derives the id of a key that has its secret. Return: 0, -EIO. */
struct crypto;
int keyring_name_key(struct crypto *crypto, struct keyring_key *key);

/* Whether @a was made after @b. Keys of unknown age have no order among themselves. */
bool keyring_is_newer(const struct keyring_key *a, const struct keyring_key *b);

/* Return: the newest key that is newer than the first, or NULL where the first is the newest. */
const struct keyring_key *keyring_find_newer(const struct keyring *keyring);

/* Adds a copy at the end. Return: 0; -EEXIST where it is there already; -ENOSPC. */
int keyring_add(struct keyring *keyring, const struct keyring_key *key);

/*
 * Makes the key @id the first; the others may go after @until_sec (0 = no time is set), but for
 * those that are newer. Return: 0; -ENOENT where there is none.
 */
int keyring_use(struct keyring *keyring, uint32_t id, uint64_t until_sec);

/* Old keys whose time is set stay until @from_sec at least and @to_sec at most: after a start, for
 * the clock may have been set meanwhile, forwards or back. */
void keyring_settle(struct keyring *keyring, uint64_t from_sec, uint64_t to_sec);

/* Return: 0; -ENOENT; -EBUSY for the first key, which is in use. */
int keyring_remove(struct keyring *keyring, uint32_t id);

/* The first four hex digits of a key's id, as "3f9a". Returns @target. */
char *keyring_format_fingerprint(uint32_t id, char target[static FINGERPRINT_TEXT_MAX]);
