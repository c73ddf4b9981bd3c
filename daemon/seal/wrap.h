/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * How a key of the ring travels to another member: wrapped, that is sealed for that one member
 * under a key that both have. What is on its way in queues, frames and buffers is never the key
 * itself. The connection that carries it is encrypted too and says who sends; this is so that
 * nothing but this folder ever holds a key. The format is in daemon/PROTOCOL.md, "Change of keys".
 */

#include "base/id.h"
#include "seal/keyring.h"

#define WRAP_SALT_SIZE 16
#define WRAP_SIZE      (1 + 4 + WRAP_SALT_SIZE + KEYRING_SECRET_SIZE + 8 + 16)

/**
 * wrap_key() - @key for the member @to
 * @under: the key of the ring that protects it; the member has it too
 *
 * Return: 0; -EIO where libcrypto fails.
 */
int wrap_key(const struct keyring_key *key, const struct keyring_key *under, const char *cluster,
             const struct node_id *to, uint8_t ret[static WRAP_SIZE]);

/**
 * wrap_open() - the key in @data, which was wrapped for the member @to: us
 *
 * Return: 0; -EBADMSG where it is no wrapped key or too many bytes; -ENOKEY where @keyring lacks
 * the key that protects it; -EKEYREJECTED where it is damaged or meant for another cluster or
 * member; -EIO.
 */
int wrap_open(const struct keyring *keyring, const char *cluster, const struct node_id *to,
              const void *data, size_t size, struct keyring_key *ret);
