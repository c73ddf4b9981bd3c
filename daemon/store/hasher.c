/* SPDX-License-Identifier: MIT */
#include "store/hasher.h"

#include <openssl/evp.h>
#include <pthread.h>
#include <unistd.h>
#include "base/machine.h"
#include "seal/provider.h"

#define LONG_SIZE  ((uint64_t)1024 * 1024) /* from here on a thread is worth its start */
#define STACK_SIZE ((size_t)128 * 1024)
#define READ_SIZE  ((size_t)256 * 1024)

struct hasher {
    EVP_MD *method;      /* owned */
    EVP_MD_CTX *context; /* owned; the thread's while there is data */
    EVP_MD_CTX *copy;    /* owned */
    uint64_t size;       /* so far */
    int error;           /* the first one; under the mutex where there is a thread */
    int movers;

    bool is_decided; /* whether there is to be a thread */
    bool has_thread;
    pthread_t thread;
    pthread_mutex_t mutex; /* guards all below */
    pthread_cond_t changed;
    struct piece {
        const void *data; /* borrowed */
        size_t size;
    } pieces[HASHER_PIECES]; /* a ring: not hashed yet */
    size_t first;            /* is being hashed */
    size_t count;
    bool is_ending;
};

static int update(struct hasher *hasher, const void *data, size_t size)
{
    return EVP_DigestUpdate(hasher->context, data, size) == 1 ? 0 : -EIO;
}

static void *serve(void *data)
{
    struct hasher *hasher = data;

    pthread_mutex_lock(&hasher->mutex);
    for (;;) {
        while (hasher->count == 0 && !hasher->is_ending)
            pthread_cond_wait(&hasher->changed, &hasher->mutex);
        if (hasher->count == 0)
            break;
        const struct piece piece = hasher->pieces[hasher->first];
        pthread_mutex_unlock(&hasher->mutex);
        int r = update(hasher, piece.data, piece.size);
        pthread_mutex_lock(&hasher->mutex);
        hasher->error = hasher->error < 0 ? hasher->error : r;
        hasher->first = (hasher->first + 1) % HASHER_PIECES;
        hasher->count--;
        pthread_cond_signal(&hasher->changed);
    }
    pthread_mutex_unlock(&hasher->mutex);
    return NULL;
}

static bool has_processor_left(const struct hasher *hasher)
{
    int count = machine_count_cpus();

    return count == 0 || count > hasher->movers;
}

/* Without a thread it goes on as before. */
static void start_thread(struct hasher *hasher)
{
    pthread_attr_t attributes;

    hasher->is_decided = true;
    if (!has_processor_left(hasher))
        return;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK_SIZE);
    hasher->has_thread = pthread_create(&hasher->thread, &attributes, serve, hasher) == 0;
    pthread_attr_destroy(&attributes);
}

/* Until no more than @count pieces are left to be hashed. Return: 0, or the first error. */
static int settle(struct hasher *hasher, size_t count)
{
    if (!hasher->has_thread)
        return hasher->error;
    pthread_mutex_lock(&hasher->mutex);
    while (hasher->count > count)
        pthread_cond_wait(&hasher->changed, &hasher->mutex);
    int r = hasher->error;
    pthread_mutex_unlock(&hasher->mutex);
    return r;
}

int hasher_new(struct hasher **ret)
{
    _cleanup_(hasher_freep) struct hasher *hasher = calloc(1, sizeof(*hasher));
    OSSL_LIB_CTX *library = provider_get_context();

    if (!hasher)
        return -ENOMEM;
    hasher->movers = 1;
    pthread_mutex_init(&hasher->mutex, NULL);
    pthread_cond_init(&hasher->changed, NULL);
    hasher->method = library ? EVP_MD_fetch(library, "SHA256", NULL) : NULL;
    hasher->context = EVP_MD_CTX_new();
    hasher->copy = EVP_MD_CTX_new();
    if (!hasher->method || !hasher->context || !hasher->copy || hasher_reset(hasher) < 0)
        return -ENOMEM;
    *ret = TAKE_PTR(hasher);
    return 0;
}

struct hasher *hasher_free(struct hasher *hasher)
{
    if (!hasher)
        return NULL;
    if (hasher->has_thread) {
        pthread_mutex_lock(&hasher->mutex);
        hasher->is_ending = true;
        pthread_cond_signal(&hasher->changed);
        pthread_mutex_unlock(&hasher->mutex);
        pthread_join(hasher->thread, NULL);
    }
    EVP_MD_CTX_free(hasher->copy);
    EVP_MD_CTX_free(hasher->context);
    EVP_MD_free(hasher->method);
    pthread_cond_destroy(&hasher->changed);
    pthread_mutex_destroy(&hasher->mutex);
    free(hasher);
    return NULL;
}

void hasher_set_movers(struct hasher *hasher, int count)
{
    hasher->movers = count;
}

int hasher_add(struct hasher *hasher, const void *data, size_t size)
{
    int r = settle(hasher, HASHER_PIECES - 1);

    if (r < 0)
        return r;
    hasher->size += size;
    if (!hasher->is_decided && hasher->size > LONG_SIZE)
        start_thread(hasher);
    if (!hasher->has_thread)
        return hasher->error = update(hasher, data, size);
    pthread_mutex_lock(&hasher->mutex);
    hasher->pieces[(hasher->first + hasher->count++) % HASHER_PIECES] = (struct piece){data, size};
    pthread_cond_signal(&hasher->changed);
    pthread_mutex_unlock(&hasher->mutex);
    return 0;
}

int hasher_settle(struct hasher *hasher)
{
    return settle(hasher, 0);
}

int hasher_add_file(struct hasher *hasher, int fd, uint64_t size, const atomic_bool *is_over)
{
    _cleanup_free_ uint8_t *buffers = malloc(HASHER_BUFFERS * READ_SIZE);
    uint64_t done = 0;
    int r = buffers ? 0 : -ENOMEM;

    for (size_t i = 0; r >= 0 && done < size; i = hasher_next(i)) {
        uint8_t *data = buffers + i * READ_SIZE;
        ssize_t got = pread(fd, data, (size_t)MIN(size - done, (uint64_t)READ_SIZE), (off_t)done);
        r = got > 0 ? hasher_add(hasher, data, (size_t)got) : -EIO;
        if (r >= 0 && is_over && atomic_load(is_over))
            r = -ECANCELED;
        done += (uint64_t)MAX(got, (ssize_t)0);
    }
    /* The buffers go. */
    int q = hasher_settle(hasher);
    return r < 0 ? r : q;
}

int hasher_get(struct hasher *hasher, uint8_t ret[static HASHER_SIZE])
{
    int r = hasher_settle(hasher);

    if (r < 0)
        return r;
    return EVP_MD_CTX_copy_ex(hasher->copy, hasher->context) == 1 &&
                   EVP_DigestFinal_ex(hasher->copy, ret, NULL) == 1
               ? 0
               : -EIO;
}

int hasher_reset(struct hasher *hasher)
{
    (void)hasher_settle(hasher);
    hasher->size = 0;
    hasher->error = EVP_DigestInit_ex(hasher->context, hasher->method, NULL) == 1 ? 0 : -EIO;
    return hasher->error;
}

int hasher_once(struct hasher *hasher, const void *data, size_t size,
                uint8_t ret[static HASHER_SIZE])
{
    int r = hasher_reset(hasher);

    if (r == 0)
        r = update(hasher, data, size);
    return r == 0 && EVP_DigestFinal_ex(hasher->context, ret, NULL) == 1 ? 0 : -EIO;
}
