/* SPDX-License-Identifier: MIT */
#include "base/rest.h"

#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
#include "base/macro.h"

/* Of a thread's cache in the GNU C library (its tunables tcache_count and tcache_max). Where it is
 * another one, less is given back. */
#define CACHED_EACH     7
#define CACHED_SIZE_MIN 24
#define CACHED_SIZE_MAX 1032
#define CACHED_STEP     16

#define THREAD_STACK_SIZE ((size_t)64 * 1024)

struct chunk {
    struct chunk *next;
};

void rest_forget(void *start, size_t size)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t skipped = -(uintptr_t)start & (page - 1);

    if (size < skipped + page)
        return;
    /* Where the kernel refuses, the memory is merely kept. */
    (void)madvise((uint8_t *)start + skipped, (size - skipped) & ~(page - 1), MADV_DONTNEED);
}

/* All that malloc has at hand for this thread. Return: a list. */
static struct chunk *empty_cache(void)
{
    struct chunk *first = NULL;

    for (size_t size = CACHED_SIZE_MIN; size <= CACHED_SIZE_MAX; size += CACHED_STEP)
        for (int i = 0; i < CACHED_EACH; i++) {
            struct chunk *chunk = malloc(size);
            if (!chunk)
                return first;
            chunk->next = first;
            first = chunk;
        }
    return first;
}

static void *free_all(void *argument)
{
    for (struct chunk *chunk = argument, *next; chunk; chunk = next) {
        next = chunk->next;
        free(chunk);
    }
    return NULL;
}

void rest_heap(void)
{
    pthread_attr_t attributes;
    sigset_t all, before;
    pthread_t thread;

    /* A thread's cache is emptied only by the end of the thread: so another one frees. */
    struct chunk *chunks = empty_cache();
    sigfillset(&all);
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, THREAD_STACK_SIZE);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int r = pthread_create(&thread, &attributes, free_all, chunks);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    if (r == 0)
        (void)pthread_join(thread, NULL);
    else
        free_all(chunks);
    (void)malloc_trim(0);
}
