/* What the benches that measure inside one process share: its processor time, and medians. */
/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef BENCH_FIGURES_H
#define BENCH_FIGURES_H

#include <stdlib.h>
#include <time.h>

/* No other process, and no device, has a part in it. */
static inline double processor_seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static inline int figures_compare(const void *a, const void *b)
{
    const double *x = a, *y = b;

    return (*x > *y) - (*x < *y);
}

/* Sorts them. */
static inline double median(double *values, unsigned n)
{
    qsort(values, n, sizeof *values, figures_compare);
    return values[n / 2];
}

#endif
