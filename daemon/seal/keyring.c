/* SPDX-License-Identifier: MIT */
#include "seal/keyring.h"

#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <string.h>
#include "base/base64.h"
#include "seal/crypto.h"

#define LINE_MAX_SIZE 256

static int derive_id(struct crypto *crypto, const uint8_t secret[static KEYRING_SECRET_SIZE],
                     uint32_t *ret)
{
    static const char info[] = "p2p key id";
    uint8_t bytes[4];
    int r = crypto_derive(crypto, secret, "p2pnode", info, strlen(info), bytes, sizeof(bytes));

    if (r < 0)
        return r;
    *ret = (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
    return 0;
}

static int complain(char error[static KEYRING_ERROR_MAX], size_t line, const char *what)
{
    if (line > 0)
        (void)snprintf(error, KEYRING_ERROR_MAX, "line %zu: %s", line, what);
    else
        (void)snprintf(error, KEYRING_ERROR_MAX, "%s", what);
    return -EINVAL;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

/* Cuts @line (NUL-terminated) down to what stands before a comment, without white space around it.
 */
static char *strip(char *line)
{
    line[strcspn(line, "#")] = '\0';
    while (is_space(*line))
        line++;
    for (size_t size = strlen(line); size > 0 && is_space(line[size - 1]); size--)
        line[size - 1] = '\0';
    return line;
}

static int add_key(struct keyring *keyring, struct crypto *crypto, const char *text, size_t line,
                   char error[static KEYRING_ERROR_MAX])
{
    struct keyring_key *key = &keyring->keys[keyring->count];
    uint8_t *secret = NULL;
    size_t size = 0;
    int r;

    if (keyring->count == KEYRING_KEYS_MAX)
        return complain(error, line, "a key ring has at most 16 keys");
    r = base64_decode(text, &secret, &size);
    if (r == 0 && size == KEYRING_SECRET_SIZE)
        memcpy(key->secret, secret, KEYRING_SECRET_SIZE);
    else if (r == 0)
        r = -EINVAL;
    if (secret)
        OPENSSL_cleanse(secret, size);
    free(secret);
    if (r == -EINVAL)
        return complain(error, line, "a key is 32 bytes in base64");
    if (r < 0)
        return r;
    r = derive_id(crypto, key->secret, &key->id);
    if (r < 0)
        return r;
    if (keyring_find(keyring, key->id))
        return complain(error, line, "this key is there already");
    keyring->count++;
    return 0;
}

/* @line is the copy of one line, NUL-terminated, wiped by the caller. */
static int parse_line(struct keyring *keyring, struct crypto *crypto, char *line, size_t number,
                      char error[static KEYRING_ERROR_MAX])
{
    const char *text = strip(line);

    return *text ? add_key(keyring, crypto, text, number, error) : 0;
}

static int parse_lines(struct keyring *keyring, struct crypto *crypto, const char *text,
                       size_t size, char error[static KEYRING_ERROR_MAX])
{
    char line[LINE_MAX_SIZE];
    size_t number = 0;
    int r = 0;

    while (size > 0 && r == 0) {
        const char *end = memchr(text, '\n', size);
        size_t length = end ? (size_t)(end - text) : size, used = end ? length + 1 : length;

        number++;
        if (memchr(text, '\0', length))
            r = complain(error, number, "a NUL byte");
        else if (length >= sizeof(line) && *text != '#')
            r = complain(error, number, "too long for a key");
        else if (length < sizeof(line)) {
            memcpy(line, text, length);
            line[length] = '\0';
            r = parse_line(keyring, crypto, line, number, error);
        }
        text += used;
        size -= used;
    }
    OPENSSL_cleanse(line, sizeof(line));
    if (r == 0 && keyring->count == 0)
        return complain(error, 0, "no key in it");
    return r;
}

int keyring_parse(const char *text, size_t size, char error[static KEYRING_ERROR_MAX],
                  struct keyring **ret)
{
    _cleanup_(keyring_freep) struct keyring *keyring = NULL;
    struct crypto crypto;
    int r;

    if (size > KEYRING_TEXT_MAX)
        return complain(error, 0, "too long for a key ring");
    keyring = calloc(1, sizeof(*keyring));
    if (!keyring)
        return -ENOMEM;
    r = crypto_init(&crypto);
    if (r < 0)
        return r;
    r = parse_lines(keyring, &crypto, text, size, error);
    crypto_done(&crypto);
    if (r < 0)
        return r;
    *ret = TAKE_PTR(keyring);
    return 0;
}

struct keyring *keyring_free(struct keyring *keyring)
{
    if (keyring)
        OPENSSL_cleanse(keyring, sizeof(*keyring));
    free(keyring);
    return NULL;
}

static int format_ring(struct crypto *crypto, const uint8_t secret[static KEYRING_SECRET_SIZE],
                       char **ret)
{
    _cleanup_(keyring_free_textp) char *encoded = NULL, *text = NULL;
    char fingerprint[FINGERPRINT_TEXT_MAX];
    uint32_t id;
    int r = derive_id(crypto, secret, &id);

    if (r < 0)
        return r;
    encoded = base64_encode(secret, KEYRING_SECRET_SIZE);
    if (!encoded ||
        asprintf(&text,
                 "# Key ring of a p2pnode cluster: the same file on every node, mode 0600.\n"
                 "# One key per line; the first protects what is sent, all open what comes.\n"
                 "# fingerprint %s\n%s\n",
                 keyring_format_fingerprint(id, fingerprint), encoded) < 0) {
        text = NULL;
        return -ENOMEM;
    }
    *ret = TAKE_PTR(text);
    return 0;
}

int keyring_generate(char **ret)
{
    uint8_t secret[KEYRING_SECRET_SIZE];
    struct crypto crypto;
    int r;

    if (RAND_priv_bytes(secret, sizeof(secret)) != 1)
        return -EIO;
    r = crypto_init(&crypto);
    if (r == 0) {
        r = format_ring(&crypto, secret, ret);
        crypto_done(&crypto);
    }
    OPENSSL_cleanse(secret, sizeof(secret));
    return r;
}

char *keyring_free_text(char *text)
{
    if (text)
        OPENSSL_cleanse(text, strlen(text));
    free(text);
    return NULL;
}

struct keyring *keyring_copy(const struct keyring *keyring)
{
    struct keyring *copy = malloc(sizeof(*copy));

    if (copy)
        *copy = *keyring;
    return copy;
}

const struct keyring_key *keyring_find(const struct keyring *keyring, uint32_t id)
{
    for (size_t i = 0; i < keyring->count; i++)
        if (keyring->keys[i].id == id)
            return &keyring->keys[i];
    return NULL;
}

char *keyring_format_fingerprint(uint32_t id, char target[static FINGERPRINT_TEXT_MAX])
{
    (void)snprintf(target, FINGERPRINT_TEXT_MAX, "%04x", (unsigned)(id >> 16));
    return target;
}
