/* One BAM record taken apart with every length proven; shared by what rewrites records and what surveys them.
 * Twin: deid/reads/records.py. SAM specification sections 1.4, 1.5 and 4.2. */
#ifndef TONGGUAN_READS_H
#define TONGGUAN_READS_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>
#include <string.h>

#include "names.h"
#include "spans.h"

enum { FIXED = 36, MOST_QUALITY = 93, MAX_RECORD = 1 << 25, PARTS = 19, OPTIONS = 8 };
enum Fault { /* positions in deid.reads.errors.RECORD_ERRORS */
    OK, BAD_LENGTH, BAD_NAME, BAD_CONTIG, BAD_POSITION, BAD_CIGAR, BAD_QUALITY, BAD_TAG, UNSORTED, OUT_OF_MEMORY, UNFORESEEN
};
enum Reason { WRITTEN = -1, FLAG, MASKED, NOT_PERMITTED, OUTSIDE_REGION, NO_SUBSTITUTE, REASONS };
enum Flag { PAIRED = 1, PROPER = 2, UNMAPPED = 4, MATE_UNMAPPED = 8, MATE_REVERSE = 32 };

typedef struct { const char *p; size_t n; } Str;
typedef struct { const char *blob; const int64_t *at; int64_t count; } Names;

typedef struct {
    int64_t contigs, drop_flags, in_region, panel_except, default_group, has_mask, sorted, is_guess;
    const uint8_t *key, *tags, *quality;
    Names groups, codes; /* codes: the new id of each group, empty where its participant is not permitted */
    Spans mask, panel, region;
    const uint64_t *hidden; /* sorted */
    int64_t n_hidden;
    const int64_t *lengths; /* of the contigs */
    int64_t longest_code;
    int keeps_quality; /* whether the table writes every quality a file may hold as it is */
} Layout;

typedef struct {
    const uint8_t *p;      /* the record behind its length */
    int64_t size, contig, position, mate_contig, mate_position, length, span_start, span_end, reach_start, reach_end;
    int64_t n_cigar, flag, group, l_name;
    const uint8_t *cigar, *sequence, *quality, *tags, *end;
    int long_cigar;
} Record;

typedef struct { uint8_t *p; size_t n, cap; } Out;
typedef struct {
    int64_t records, written, removed[REASONS], first, last;
    int fault;
} Done;

static inline int32_t i32(const uint8_t *p) { int32_t v; memcpy(&v, p, 4); return v; }
static inline uint32_t u32(const uint8_t *p) { uint32_t v; memcpy(&v, p, 4); return v; }
static inline uint16_t u16(const uint8_t *p) { uint16_t v; memcpy(&v, p, 2); return v; }

typedef struct { PyObject *parts; Layout plan; } Prepared;

PyObject *answer(PyObject *out, const Done *done);           /* reads.c */
PyObject *survey(PyObject *self, PyObject *args);            /* reads_survey.c */
PyObject *compare(PyObject *self, PyObject *args);           /* reads_bases.c */
PyObject *place(PyObject *self, PyObject *args);             /* reads_places.c */
PyObject *waiting(PyObject *self, PyObject *none);           /* reads_waiting.c */
PyObject *take(PyObject *self, PyObject *args);              /* reads_waiting.c */
PyObject *substitute(PyObject *self, PyObject *args);        /* reads_bases.c */
PyObject *ties(PyObject *self, PyObject *args);              /* reads_ties.c */
PyObject *one_run(PyObject *self, PyObject *text);           /* reads_ties.c */

/* The next whole record of [*p, end), nothing of it read yet: 1, 0 where there is none, -1 where its length is wrong. */
static inline int next_record(const uint8_t **p, const uint8_t *end, Record *r) {
    if (end - *p < 4) return 0;
    r->span_start = r->span_end = r->reach_start = r->reach_end = 0;
    r->size = u32(*p);
    r->p = *p + 4;
    if (r->size < 32 || r->size > MAX_RECORD || r->size > end - r->p) return -1;
    *p = r->p + r->size;
    return 1;
}

static inline int read_cigar(Record *r) {
    static const uint8_t query[] = {1, 1, 0, 0, 1, 0, 0, 1, 1}, reference[] = {1, 0, 1, 1, 0, 0, 0, 1, 1};
    int64_t read = 0, span = 0, before = 0, after = 0;
    for (int64_t i = 0; i < r->n_cigar; i++) {
        uint32_t word = u32(r->cigar + 4 * i), op = word & 15, size = word >> 4;
        if (op > 8) return BAD_CIGAR;
        read += query[op] ? size : 0;
        span += reference[op] ? size : 0;
        if (op == 4 || op == 5) *(span ? &after : &before) += size;
    }
    r->long_cigar = r->n_cigar == 2 && u32(r->cigar) == ((uint32_t)r->length << 4 | 4) && (u32(r->cigar + 4) & 15) == 3;
    if (r->n_cigar && r->length && read != r->length) return BAD_CIGAR;
    if (r->position < 0) return OK;
    r->span_start = r->position;
    r->span_end = r->position + (span && !(r->flag & UNMAPPED) ? span : 1);
    if (r->span_end > INT32_MAX) return BAD_POSITION;
    r->reach_start = r->span_start > before ? r->span_start - before : 0;
    r->reach_end = r->span_end + after;
    return OK;
}

static inline int read_fixed(const Layout *plan, Record *r) {
    const uint8_t *p = r->p;
    r->contig = i32(p), r->position = i32(p + 4);
    r->l_name = p[8], r->n_cigar = u16(p + 12), r->flag = u16(p + 14), r->length = i32(p + 16);
    r->mate_contig = i32(p + 20), r->mate_position = i32(p + 24);
    if (r->length < 0 || r->l_name < 1) return BAD_LENGTH;
    int64_t need = 32 + r->l_name + 4 * r->n_cigar + (r->length + 1) / 2 + r->length;
    if (need > r->size) return BAD_LENGTH;
    const uint8_t *name = p + 32;
    if (r->l_name < 2 || name[r->l_name - 1]) return BAD_NAME;
    uint8_t least = 255, most = 0; /* no branch inside, so that many letters are looked at at once */
    for (int64_t i = 0; i < r->l_name - 1; i++) {
        least = name[i] < least ? name[i] : least;
        most = name[i] > most ? name[i] : most;
    }
    if (least < '!' || most > '~') return BAD_NAME;
    if (r->contig < -1 || r->contig >= plan->contigs || r->mate_contig < -1 || r->mate_contig >= plan->contigs)
        return BAD_CONTIG;
    if (r->position < -1 || r->mate_position < -1) return BAD_POSITION;
    r->cigar = name + r->l_name;
    r->sequence = r->cigar + 4 * r->n_cigar;
    r->quality = r->sequence + (r->length + 1) / 2;
    r->tags = r->quality + r->length;
    r->end = p + r->size;
    return read_cigar(r);
}

static const uint8_t size_of[256] = {['A'] = 1, ['c'] = 1, ['C'] = 1, ['s'] = 2, ['S'] = 2, ['i'] = 4, ['I'] = 4, ['f'] = 4};

/* Bytes of the tag at p with its name and type; 0 where it does not fit. */
static inline int64_t tag_size(const uint8_t *p, const uint8_t *end) {
    int64_t left = end - p, size;
    if (left < 4) return 0;
    if (p[2] == 'Z' || p[2] == 'H') {
        const uint8_t *stop = memchr(p + 3, 0, (size_t)(left - 3));
        return stop ? stop - p + 1 : 0;
    }
    if (p[2] == 'B') {
        int64_t each = left >= 8 && p[3] != 'A' ? size_of[p[3]] : 0;
        size = each ? 8 + (int64_t)u32(p + 4) * each : 0;
    } else {
        size = size_of[p[2]] ? 3 + size_of[p[2]] : 0;
    }
    return size <= left ? size : 0;
}

static inline uint32_t tag_number(const uint8_t *p) { return (uint32_t)p[0] | (uint32_t)p[1] << 8; }

static inline int64_t find_group(const Layout *plan, const uint8_t *p, size_t n) {
    for (int64_t i = 0; i < plan->groups.count; i++) {
        int64_t at = plan->groups.at[i];
        if ((size_t)(plan->groups.at[i + 1] - at) == n && memcmp(plan->groups.blob + at, p, n) == 0) return i;
    }
    return -1;
}

/* Proves all tags and finds the read group. */
static inline int read_tags(const Layout *plan, Record *r) {
    int seen = 0;
    r->group = plan->default_group;
    for (const uint8_t *p = r->tags; p < r->end;) {
        int64_t size = tag_size(p, r->end);
        if (!size) return BAD_TAG;
        if (p[0] == 'R' && p[1] == 'G') {
            if (p[2] != 'Z' || seen++) return BAD_TAG;
            r->group = find_group(plan, p + 3, (size_t)size - 4);
        }
        p += size;
    }
    return OK;
}

static inline int is_hidden(const Layout *plan, uint64_t hash) {
    int64_t low = 0, high = plan->n_hidden;
    while (low < high) {
        int64_t middle = (low + high) / 2;
        if (plan->hidden[middle] < hash) low = middle + 1; else high = middle;
    }
    return low < plan->n_hidden && plan->hidden[low] == hash;
}

/* Whether the read, clipped parts included, touches the mask outside the panel. */
static inline int touches(const Layout *plan, const Record *r) {
    if (!plan->has_mask || r->contig < 0 || r->position < 0) return 0;
    if (!overlaps(&plan->mask, r->contig, r->reach_start, r->reach_end)) return 0;
    return !(plan->panel_except && contains(&plan->panel, r->contig, r->reach_start, r->reach_end));
}

static inline int in_region(const Layout *plan, int64_t contig, int64_t start, int64_t end) {
    return contig >= 0 && start >= 0 && overlaps(&plan->region, contig, start, end);
}

static inline int reg2bin(int64_t start, int64_t end) {
    end--;
    if (start >> 14 == end >> 14) return (int)(((1 << 15) - 1) / 7 + (start >> 14));
    if (start >> 17 == end >> 17) return (int)(((1 << 12) - 1) / 7 + (start >> 17));
    if (start >> 20 == end >> 20) return (int)(((1 << 9) - 1) / 7 + (start >> 20));
    if (start >> 23 == end >> 23) return (int)(((1 << 6) - 1) / 7 + (start >> 23));
    if (start >> 26 == end >> 26) return (int)(((1 << 3) - 1) / 7 + (start >> 26));
    return 0;
}

static inline void put(Out *out, const void *p, size_t n) {
    memcpy(out->p + out->n, p, n);
    out->n += n;
}

static inline void put_group(Out *out, const Layout *plan, int64_t group) {
    int64_t at = plan->codes.at[group];
    put(out, "RGZ", 3);
    put(out, plan->codes.blob + at, (size_t)(plan->codes.at[group + 1] - at));
    put(out, "", 1);
}

static inline int64_t order_of(const Record *r) { /* unplaced reads stand last */
    return (int64_t)((uint64_t)(r->contig < 0 ? INT32_MAX : r->contig) << 32 | (uint32_t)(r->position + 1));
}

#endif
