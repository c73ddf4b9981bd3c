/* SPDX-License-Identifier: MIT */

/*
 * Key rings and wrapped keys. The first byte chooses: 0 the text of a key ring, which, where it is
 * one, reads back as it was written; else a wrapped key, raw or with every byte of the seal around
 * it right, which opens to nothing but what was wrapped.
 */

#include <assert.h>
#include <string.h>
#include "seal/wrap.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct node_id here = {{1}};

static void read_text(const uint8_t *data, size_t size)
{
    _cleanup_(keyring_freep) struct keyring *keyring = NULL, *again = NULL;
    _cleanup_(keyring_free_textp) char *text = NULL;
    char error[KEYRING_ERROR_MAX] = "";
    int r = keyring_parse((const char *)data, size, error, &keyring);

    if (r < 0) {
        assert(r == -EINVAL && *error && !keyring);
        return;
    }
    text = keyring_format(keyring);
    assert(text);
    r = keyring_parse(text, strlen(text), error, &again);
    assert(r == 0 && memcmp(keyring, again, sizeof(*keyring)) == 0);
}

static void open_wrapped(uint8_t choice, const uint8_t *data, size_t size)
{
    struct keyring keyring = {.count = 1, .keys = {{.id = 0x3f9a01bc}}};
    struct keyring_key key = {{7}, .id = 1, .made_sec = choice}, back;
    uint8_t wrapped[WRAP_SIZE];
    int r;

    r = wrap_open(&keyring, "lab", &here, data, size, &back);
    assert(r < 0); /* nobody guesses a tag */
    r = wrap_key(&key, &keyring.keys[0], "lab", &here, wrapped);
    assert(r == 0);
    for (size_t i = 0; i < size && i < WRAP_SIZE; i++)
        wrapped[i] ^= data[i];
    bool is_changed = false;
    for (size_t i = 0; i < size && i < WRAP_SIZE; i++)
        is_changed = is_changed || data[i] != 0;
    r = wrap_open(&keyring, "lab", &here, wrapped, WRAP_SIZE, &back);
    assert(is_changed ? r < 0 : r == 0 && back.made_sec == choice);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    if (*data == 0)
        read_text(data + 1, size - 1);
    else
        open_wrapped(*data, data + 1, size - 1);
    return 0;
}
