/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The key ring of this node: read from the configured file at the first start, copied to the state
 * directory (0600), which wins from then on and is what changes of keys change. Texts with keys are
 * wiped. What this does to the parts that use keys is in node_keys.c.
 */

#include "config/config.h"
#include "seal/keyring.h"

/**
 * keys_load() - the key ring, or NULL where encryption is off
 * @ret_differs: whether the configured file is there and says something else than the copy
 *
 * Says itself what went wrong, with the way to make a key ring. Return: 0; -ENOKEY for no or a
 * broken key ring; -ENOMEM; -EIO.
 */
int keys_load(const struct config *config, const char *state_dir, struct keyring **ret,
              bool *ret_differs);

/*
 * Replaces the copy, durably: the old one or the new one is there whatever happens. Blocks. Return:
 * 0, -ENOMEM, or what the disk says.
 */
int keys_save(const char *state_dir, const struct keyring *keyring);

/* Whether the configured file is there and does not say the same keys in the same order. Blocks. */
bool keys_differ(const struct config *config, const char *state_dir, const struct keyring *keyring);
