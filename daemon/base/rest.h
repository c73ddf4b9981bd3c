/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Memory that a process at rest gives back to the system: whole pages of buffers whose contents
 * nobody needs, and what free() keeps.
 */

#include <stddef.h>

/* Gives back the whole pages among the @size bytes at @start, which are private memory. They stay
 * the caller's; what was in these pages reads as zeros. */
void rest_forget(void *start, size_t size);

/*
 * Gives back what is free in the heap, with what malloc keeps at hand for the calling thread; that
 * is up to 7 chunks of each size up to 1 KiB, which malloc_trim() alone takes for used. Takes about
 * a millisecond.
 */
void rest_heap(void);
