/* SPDX-License-Identifier: MIT */
#pragma once

/* Base64 (RFC 4648, with padding): keys in files and values in JSON. Never on the wire between
 * nodes. */

#include <stddef.h>
#include <stdint.h>

/* NUL-terminated text, owned by the caller; NULL without memory. */
char *base64_encode(const void *data, size_t size);

/*
 * Strict: no white space, padding required, unused bits zero. *@ret is NUL-terminated beyond
 * @ret_size and owned by the caller. Return: 0, -EINVAL, -ENOMEM.
 */
int base64_decode(const char *text, uint8_t **ret, size_t *ret_size);
