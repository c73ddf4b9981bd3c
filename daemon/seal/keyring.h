/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The secrets of a cluster: up to 16 keys of 32 bytes, the first of which protects what is sent
 * while all of them open what is received. A key is named in public by an id that is derived from
 * it, and shown to people as a short fingerprint; the key itself never leaves this folder but by
 * derivation.
 *
 * The text form is the file of security.keyring: one key per line in base64, `#` starts a comment.
 * This header reads and writes texts only; files are opened on floor 4 and in p2pctl. A keyring
 * belongs to whoever parsed it and is wiped when freed.
 */

#include <stddef.h>
#include <stdint.h>
#include "base/macro.h"

#define KEYRING_KEYS_MAX     16
#define KEYRING_SECRET_SIZE  32
#define KEYRING_TEXT_MAX     ((size_t)64 * 1024) /* bytes of a key ring's text */
#define KEYRING_ERROR_MAX    160
#define FINGERPRINT_TEXT_MAX 5

struct keyring_key {
    uint8_t secret[KEYRING_SECRET_SIZE];
    uint32_t id;
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
 *
 * The text starts with a comment that shows the fingerprint. *@ret is owned by the caller, who
 * frees it with keyring_free_text().
 *
 * Return: 0, -ENOMEM, -EIO where libcrypto has no randomness.
 */
int keyring_generate(char **ret);

/* Wipes and frees a text that holds keys. Returns NULL. */
char *keyring_free_text(char *text);
DEFINE_CLEANUP(char *, keyring_free_text)

/* Return: a copy, or NULL without memory. */
struct keyring *keyring_copy(const struct keyring *keyring);

/* Return: the key called @id, borrowed from @keyring, or NULL. */
const struct keyring_key *keyring_find(const struct keyring *keyring, uint32_t id);

/* The first four hex digits of a key's id, as "3f9a". Returns @target. */
char *keyring_format_fingerprint(uint32_t id, char target[static FINGERPRINT_TEXT_MAX]);
