/* SPDX-License-Identifier: MIT */
#include "seal/keyring.h"

#include <inttypes.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <string.h>
#include "base/base64.h"
#include "seal/crypto.h"

#define LINE_MAX_SIZE 256

int keyring_name_key(struct crypto *crypto, struct keyring_key *key)
{
    static const char info[] = "p2p key id";
    uint8_t bytes[4];
    int r = crypto_derive(crypto, key->secret, "p2pnode", info, strlen(info), bytes, sizeof(bytes));

    if (r < 0)
        return r;
    key->id =
        (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
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

/* The next word of *@text, ended by a NUL, or "" where there is none. */
static char *next_word(char **text)
{
    char *word = *text, *end = word;

    while (*end && !is_space(*end))
        end++;
    for (*text = end; is_space(**text);)
        *(*text)++ = '\0';
    return word;
}

/* Return: 0 with the seconds, which are 0 for ""; -EINVAL. */
static int parse_time(const char *word, uint64_t *ret)
{
    uint64_t value = 0;

    for (; *word; word++) {
        if (*word < '0' || *word > '9')
            return -EINVAL;
        value = value * 10 + (uint64_t)(*word - '0');
        if (value > KEYRING_TIME_MAX)
            return -EINVAL;
    }
    *ret = value;
    return 0;
}

/* @text: of one line, "KEY [MADE [UNTIL]]"; cut into words. */
static int add_key(struct keyring *keyring, struct crypto *crypto, char *text, size_t line,
                   char error[static KEYRING_ERROR_MAX])
{
    struct keyring_key *key = &keyring->keys[keyring->count];
    const char *encoded = next_word(&text), *made = next_word(&text), *until = next_word(&text);
    uint8_t *secret = NULL;
    size_t size = 0;
    int r;

    if (keyring->count == KEYRING_KEYS_MAX)
        return complain(error, line, "a key ring has at most 16 keys");
    if (*text || parse_time(made, &key->made_sec) < 0 || parse_time(until, &key->until_sec) < 0)
        return complain(error, line, "after a key only its two times, in seconds");
    r = base64_decode(encoded, &secret, &size);
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
    r = keyring_name_key(crypto, key);
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
    char *text = strip(line);

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

char *keyring_format(const struct keyring *keyring)
{
    size_t size = (keyring->count + 2) * LINE_MAX_SIZE, used;
    char *text = malloc(size), fingerprint[FINGERPRINT_TEXT_MAX];

    if (!text)
        return NULL;
    used = (size_t)snprintf(
        text, size,
        "# Key ring of a p2pnode cluster: the same file on every node, mode 0600.\n"
        "# One key per line, and when it was made; the first protects what is sent, all open what "
        "comes.\n");
    for (size_t i = 0; i < keyring->count; i++) {
        const struct keyring_key *key = &keyring->keys[i];
        _cleanup_(keyring_free_textp) char *encoded =
            base64_encode(key->secret, KEYRING_SECRET_SIZE);
        char until[24] = "";
        if (!encoded)
            return keyring_free_text(text);
        if (key->until_sec > 0)
            (void)snprintf(until, sizeof(until), " %" PRIu64, key->until_sec);
        used += (size_t)snprintf(text + used, size - used, "# fingerprint %s\n%s %" PRIu64 "%s\n",
                                 keyring_format_fingerprint(key->id, fingerprint), encoded,
                                 key->made_sec, until);
    }
    return text;
}

/* Return: 0, -EIO. */
static int draw_key(uint64_t made_sec, struct keyring_key *ret)
{
    struct crypto crypto;
    int r;

    *ret = (struct keyring_key){.made_sec = made_sec};
    if (RAND_priv_bytes(ret->secret, sizeof(ret->secret)) != 1)
        return -EIO;
    r = crypto_init(&crypto);
    if (r == 0) {
        r = keyring_name_key(&crypto, ret);
        crypto_done(&crypto);
    }
    return r;
}

int keyring_generate(uint64_t now_sec, char **ret)
{
    struct keyring keyring = {.count = 1};
    int r = draw_key(now_sec, &keyring.keys[0]);
    char *text = r == 0 ? keyring_format(&keyring) : NULL;

    OPENSSL_cleanse(&keyring, sizeof(keyring));
    if (r == 0 && !text)
        return -ENOMEM;
    if (r == 0)
        *ret = text;
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

bool keyring_is_equal(const struct keyring *a, const struct keyring *b)
{
    if (a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++)
        if (CRYPTO_memcmp(a->keys[i].secret, b->keys[i].secret, KEYRING_SECRET_SIZE) != 0)
            return false;
    return true;
}

bool keyring_is_newer(const struct keyring_key *a, const struct keyring_key *b)
{
    if (a->made_sec != b->made_sec)
        return a->made_sec > b->made_sec;
    return a->made_sec > 0 && a->id > b->id;
}

const struct keyring_key *keyring_find_newer(const struct keyring *keyring)
{
    const struct keyring_key *newest = &keyring->keys[0];

    for (size_t i = 1; i < keyring->count; i++)
        if (keyring_is_newer(&keyring->keys[i], newest))
            newest = &keyring->keys[i];
    return newest == &keyring->keys[0] ? NULL : newest;
}

int keyring_make_key(const struct keyring *keyring, uint64_t now_sec, struct keyring_key *ret)
{
    uint64_t made_sec = now_sec;

    /* A clock that is slow here must not make the new key look old. */
    for (size_t i = 0; i < keyring->count; i++)
        made_sec = MAX(made_sec, keyring->keys[i].made_sec + 1);
    return draw_key(MIN(made_sec, KEYRING_TIME_MAX), ret);
}

int keyring_add(struct keyring *keyring, const struct keyring_key *key)
{
    if (keyring_find(keyring, key->id))
        return -EEXIST;
    if (keyring->count == KEYRING_KEYS_MAX)
        return -ENOSPC;
    keyring->keys[keyring->count++] = *key;
    return 0;
}

int keyring_use(struct keyring *keyring, uint32_t id, uint64_t until_sec)
{
    const struct keyring_key *found = keyring_find(keyring, id);
    struct keyring_key key;

    if (!found)
        return -ENOENT;
    key = *found;
    memmove(&keyring->keys[1], &keyring->keys[0],
            (size_t)(found - keyring->keys) * sizeof(keyring->keys[0]));
    key.until_sec = 0;
    keyring->keys[0] = key;
    for (size_t i = 1; i < keyring->count; i++)
        if (!keyring_is_newer(&keyring->keys[i], &key))
            keyring->keys[i].until_sec = MIN(until_sec, KEYRING_TIME_MAX);
    OPENSSL_cleanse(&key, sizeof(key));
    return 0;
}

void keyring_settle(struct keyring *keyring, uint64_t from_sec, uint64_t to_sec)
{
    for (size_t i = 0; i < keyring->count; i++)
        if (keyring->keys[i].until_sec > 0)
            keyring->keys[i].until_sec = CLAMP(keyring->keys[i].until_sec, from_sec, to_sec);
}

int keyring_remove(struct keyring *keyring, uint32_t id)
{
    const struct keyring_key *found = keyring_find(keyring, id);

    if (!found)
        return -ENOENT;
    if (found == &keyring->keys[0])
        return -EBUSY;
    size_t place = (size_t)(found - keyring->keys);
    keyring->count--;
    memmove(&keyring->keys[place], &keyring->keys[place + 1],
            (keyring->count - place) * sizeof(keyring->keys[0]));
    OPENSSL_cleanse(&keyring->keys[keyring->count], sizeof(keyring->keys[0]));
    return 0;
}

char *keyring_format_fingerprint(uint32_t id, char target[static FINGERPRINT_TEXT_MAX])
{
    (void)snprintf(target, FINGERPRINT_TEXT_MAX, "%04x", (unsigned)(id >> 16));
    return target;
}
