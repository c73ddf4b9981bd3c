/* SPDX-License-Identifier: MIT */
#pragma once

/* What the node counts, as Prometheus reads it: for the method Metrics and for metrics.textfile. */

#include <stddef.h>

struct node;

/* Text format 0.0.4, owned by the caller. Return: 0, -ENOMEM. */
int metrics_format(struct node *node, char **ret, size_t *ret_size);
