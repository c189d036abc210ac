/* Sorted intervals of each contig, and two questions about a stretch. Twin: deid/variants/regions.py. */
#ifndef TONGGUAN_SPANS_H
#define TONGGUAN_SPANS_H

#include <stdint.h>

typedef struct { const int64_t *at, *starts, *ends; } Spans;

/* The first interval of the contig that ends behind start; -1 where there is none. */
static inline int64_t first_behind(const Spans *spans, int64_t contig, int64_t start) {
    int64_t low = spans->at[contig], stop = spans->at[contig + 1], high = stop;
    while (low < high) {
        int64_t middle = (low + high) / 2;
        if (spans->ends[middle] <= start) low = middle + 1; else high = middle;
    }
    return low < stop ? low : -1;
}

static inline int overlaps(const Spans *spans, int64_t contig, int64_t start, int64_t end) {
    int64_t i = first_behind(spans, contig, start);
    return i >= 0 && spans->starts[i] < end;
}

static inline int contains(const Spans *spans, int64_t contig, int64_t start, int64_t end) {
    int64_t i = first_behind(spans, contig, start);
    return i >= 0 && spans->starts[i] <= start && spans->ends[i] >= end;
}

#endif
