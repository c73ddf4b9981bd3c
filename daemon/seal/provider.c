/* SPDX-License-Identifier: MIT */
#include "seal/provider.h"

#include <openssl/core_dispatch.h>
#include <openssl/crypto.h>
#include <openssl/provider.h>
#include <string.h>
#include <strings.h>
#include "base/macro.h"

#define NAME      "p2pnode"
#define NAMES_MAX 2

/* What we offer of one kind; the list ends with an empty one. */
static struct offer {
    int operation;
    const char *names[NAMES_MAX];
    OSSL_ALGORITHM algorithms[NAMES_MAX + 1];
} offers[] = {
    {.operation = OSSL_OP_CIPHER, .names = {"AES-256-GCM", "ChaCha20-Poly1305"}},
    {.operation = OSSL_OP_DIGEST, .names = {"SHA2-256"}},
};

static struct {
    CRYPTO_ONCE once;
    OSSL_PROVIDER *source; /* the default provider */
    OSSL_LIB_CTX *context;
} state = {.once = CRYPTO_ONCE_STATIC_INIT};

/* @names: "AES-256-GCM:id-aes256-GCM:2.16.840.1.101.3.4.1.46" */
static bool has_name(const char *names, const char *name)
{
    size_t size = strlen(name);

    return strncasecmp(names, name, size) == 0 && (names[size] == '\0' || names[size] == ':');
}

static void fill(struct offer *offer)
{
    const OSSL_ALGORITHM *all;
    size_t count = 0;
    int is_volatile;

    all = OSSL_PROVIDER_query_operation(state.source, offer->operation, &is_volatile);
    for (const OSSL_ALGORITHM *one = all; one && one->algorithm_names; one++)
        for (size_t i = 0; i < NAMES_MAX && offer->names[i] && count < NAMES_MAX; i++)
            if (has_name(one->algorithm_names, offer->names[i]))
                offer->algorithms[count++] = *one;
}

static const OSSL_ALGORITHM *query(void *context _unused_, int operation, int *ret_is_volatile)
{
    *ret_is_volatile = 0;
    for (size_t i = 0; i < ARRAY_SIZE(offers); i++)
        if (offers[i].operation == operation)
            return offers[i].algorithms;
    return NULL;
}

/* OSSL_FUNC_provider_init: our algorithms are the default provider's, and so is their context. */
static int init(const OSSL_CORE_HANDLE *handle _unused_, const OSSL_DISPATCH *in _unused_,
                const OSSL_DISPATCH **ret_out, void **ret_context)
{
    static const OSSL_DISPATCH dispatch[] = {
        {OSSL_FUNC_PROVIDER_QUERY_OPERATION, (void (*)(void))query},
        {0, NULL},
    };

    *ret_out = dispatch;
    *ret_context = OSSL_PROVIDER_get0_provider_ctx(state.source);
    return 1;
}

static void set_up(void)
{
    /* First come, first served: said before libcrypto is used at all. */
    (void)OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG | OPENSSL_INIT_NO_ADD_ALL_CIPHERS |
                                  OPENSSL_INIT_NO_ADD_ALL_DIGESTS |
                                  OPENSSL_INIT_NO_LOAD_CRYPTO_STRINGS,
                              NULL);
    state.source = OSSL_PROVIDER_load(NULL, "default");
    if (!state.source)
        return;
    for (size_t i = 0; i < ARRAY_SIZE(offers); i++)
        fill(&offers[i]);
    OSSL_LIB_CTX *context = OSSL_LIB_CTX_new();
    if (context && OSSL_PROVIDER_add_builtin(context, NAME, init) == 1 &&
        OSSL_PROVIDER_load(context, NAME))
        state.context = context;
    else
        OSSL_LIB_CTX_free(context);
}

OSSL_LIB_CTX *provider_get_context(void)
{
    return CRYPTO_THREAD_run_once(&state.once, set_up) ? state.context : NULL;
}
