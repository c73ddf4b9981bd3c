/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The few macros that every file uses: scope-bound cleanup, moving ownership, array length.
 * Nothing here knows the program.
 */

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#define _cleanup_(function)   __attribute__((cleanup(function)))
#define _printf_(text, first) __attribute__((format(printf, text, first)))
#define _packed_              __attribute__((packed))
#define _unused_              __attribute__((unused))

#define ARRAY_SIZE(array)   (sizeof(array) / sizeof((array)[0]))
#define MIN(a, b)           ((a) < (b) ? (a) : (b))
#define MAX(a, b)           ((a) > (b) ? (a) : (b))
#define CLAMP(x, low, high) MIN(MAX(x, low), high)
#define PLURAL(count)       ((count) == 1 ? "" : "s") /* "%u file%s", count, PLURAL(count) */
#define CONTAINER_OF(pointer, type, field)                                                         \
    ((type *)(void *)((char *)(pointer)-offsetof(type, field)))

/* TAKE_PTR(p): the value of p, while p becomes NULL: hands an object over to its next owner. */
#define TAKE_PTR(pointer)                                                                          \
    ({                                                                                             \
        __typeof__(pointer) _taken = (pointer);                                                    \
        (pointer) = NULL;                                                                          \
        _taken;                                                                                    \
    })

#define TAKE_FD(fd)                                                                                \
    ({                                                                                             \
        int _taken = (fd);                                                                         \
        (fd) = -EBADF;                                                                             \
        _taken;                                                                                    \
    })

/* DEFINE_CLEANUP(struct swim *, swim_free) defines swim_freep() for _cleanup_(swim_freep). */
#define DEFINE_CLEANUP(type, function)                                                             \
    static inline void function##p(type *pointer)                                                  \
    {                                                                                              \
        if (*pointer)                                                                              \
            (void)function(*pointer);                                                              \
    }

static inline void freep(void *pointer)
{
    free(*(void **)pointer);
}
#define _cleanup_free_ _cleanup_(freep)

/* Closes an fd if it is one, keeps errno, and returns what the variable should hold after. */
static inline int close_fd(int fd)
{
    if (fd >= 0) {
        int saved = errno;
        (void)close(fd);
        errno = saved;
    }
    return -EBADF;
}

static inline void closep(int *fd)
{
    *fd = close_fd(*fd);
}
#define _cleanup_close_ _cleanup_(closep)
