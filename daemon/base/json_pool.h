/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The items of cJSON's trees, kept to be used again: a task's messages and records take hundreds
 * for a moment each, of two sizes, far more than malloc has at hand without looking. Each is memory
 * of malloc, so free() takes it as well, and any thread may.
 */

/* From now on cJSON's memory comes from what the calling thread keeps; that of other threads from
 * malloc. Nothing is kept where a sanitizer is to see each. */
void json_pool_start(void);

/* Gives back what the calling thread keeps. */
void json_pool_rest(void);
