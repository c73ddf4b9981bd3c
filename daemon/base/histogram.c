/* SPDX-License-Identifier: MIT */
#include "base/histogram.h"

#define MSEC(n) ((n)*USEC_PER_MSEC)
#define SEC(n)  ((n)*USEC_PER_SEC)

const struct histogram_scale histogram_network = {
    .ends_usec = {100, 250, 500, MSEC(1), 2500, MSEC(5), MSEC(10), MSEC(25), MSEC(50), MSEC(100),
                  MSEC(250), MSEC(500), SEC(1), 2500000, SEC(5)},
    .count = 15,
};

const struct histogram_scale histogram_work = {
    .ends_usec = {MSEC(10), MSEC(50), MSEC(100), MSEC(250), MSEC(500), SEC(1), 2500000, SEC(5),
                  SEC(10), SEC(30), SEC(60), SEC(300), SEC(900), SEC(3600), SEC(21600)},
    .count = 15,
};

void histogram_add(struct histogram *histogram, const struct histogram_scale *scale, usec_t usec)
{
    size_t i = 0;

    while (i < scale->count && usec > scale->ends_usec[i])
        i++;
    histogram->counts[i]++;
    histogram->sum_usec = usec_add(histogram->sum_usec, usec);
}
