/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * How often something took how long: counts in fixed classes, as Prometheus wants them. No memory
 * of its own but the counts; whoever owns one zeroes it.
 */

#include <stddef.h>
#include <stdint.h>
#include "base/usec.h"

#define HISTOGRAM_CLASSES_MAX 16

/* The upper ends of the classes, each above the one before; what is longer is in one class more. */
struct histogram_scale {
    usec_t ends_usec[HISTOGRAM_CLASSES_MAX];
    size_t count; /* of ends */
};

extern const struct histogram_scale histogram_network; /* 100 us ... 5 s */
extern const struct histogram_scale histogram_work;    /* 10 ms ... 6 h */

struct histogram {
    uint64_t counts[HISTOGRAM_CLASSES_MAX + 1]; /* not cumulated; the last is what is longer */
    uint64_t sum_usec;                          /* stops at its largest value */
};

void histogram_add(struct histogram *histogram, const struct histogram_scale *scale, usec_t usec);
