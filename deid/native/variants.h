/* Shared nouns of the VCF record kernel. The twin that defines its output is deid/variants/records.py; names match it.
 * Promise: no byte outside the given line is read (but for the chunk's own final line feed), every length is checked
 * before it is used, nothing here touches the interpreter, a file or the clock. */
#ifndef TONGGUAN_VARIANTS_H
#define TONGGUAN_VARIANTS_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_ALT = 1000, MAX_KEYS = 256, MAX_SLOTS = 8 };
enum Fault { /* positions in deid.variants.errors.RECORD_ERRORS */
    OK, CRLF, RAGGED_LINE, UNKNOWN_CONTIG, BAD_POSITION, BAD_IDENTIFIER, BAD_ALLELE, TOO_MANY_ALLELES, BAD_QUALITY,
    UNKNOWN_FILTER, BAD_FORMAT, BAD_INFO, BAD_GENOTYPE, RAGGED_CELL, BAD_VALUE, OUT_OF_MEMORY
};
enum Reason { WRITTEN = -1, NO_CARRIER, MASKED, PRIVATE_ALLELE, MINIMUM_ALLELE_COUNT, OUTSIDE_REGION, REASONS };
enum Kind { SEQUENCE, UNSPECIFIED, SYMBOLIC, BREAKEND, NO_ALLELE };
enum Slot { GT, DP, GQ, AD };
enum Info { INFO_AC, INFO_AN, INFO_AF, INFO_NS, INFO_DP, INFO_END };
enum Rarity { KEEP, DROP, MASK };

typedef struct { const char *p; size_t n; } Str;
typedef struct { char *p; size_t n, cap; } Out;

typedef struct { const char *blob; const int64_t *at; int64_t count; } Names; /* name i is blob[at[i]..at[i+1]) */
typedef struct { const int64_t *at, *starts, *ends; } Spans;                   /* contig c has at[c]..at[c+1] */

typedef struct {
    int64_t source_columns, width;
    const int64_t *columns;
    Names contigs, filters, slot_names;
    Spans mask, panel, region;
    const int64_t *slots, *bins, *info;
    int64_t n_slots, n_info;
    Str format; /* the FORMAT column as written */
    int64_t keep_id, keep_quality, keep_filter, sites_only, mask_except, minimum, rare, rare_except, private_, private_except;
    int64_t carriers, blocks, in_region; /* fewest carriers; keep reference blocks; write `region` only */
} Layout;

typedef struct {
    Str field[9], alt[MAX_ALT];
    uint8_t kind[MAX_ALT];
    int64_t contig, position, span_start, span_end, info_end; /* info_end is -1 where there is none */
    int n_alt, n_alive, n_keys, alive[MAX_ALT], number[MAX_ALT + 1];
    int64_t copies[MAX_ALT + 1], carriers[MAX_ALT + 1], last[MAX_ALT + 1];
    int64_t called, samples_called, depth; /* depth is -1 where no depth was written */
    size_t cut;
    int place[MAX_SLOTS], block;
    int fixed; /* every cell was proven to be three bytes */
    const char *cells, *end;
} Record;

typedef struct {
    const Layout *plan;
    Record record;
    uint32_t *starts;  /* offset of each source cell from the first, and one past the end */
    uint32_t *words;   /* gathered three-byte cells with their separator */
    uint8_t *masked;
    Out out, body;
    int64_t *missing, *singletons;
    int64_t last_contig;
} Work;

/* variants_line.c: the fixed columns and the alleles */
int read_fixed(Work *work, const char *line, const char *end);
int read_format(Work *work);
int split_fixed(Record *record, const char *line, const char *end);
int find_cells(Work *work);
int carried(Record *record, int64_t blocks);
void set_cut(Record *record);
int set_span(Record *record);
int overlaps(const Spans *spans, int64_t contig, int64_t start, int64_t end);
int contains(const Spans *spans, int64_t contig, int64_t start, int64_t end);
int order_alleles(Record *record);

/* variants_cells.c: the genotype columns */
Str cell_of(const Work *work, int64_t i);
int count_cells(Work *work);
int count_words(Work *work);
void mask_carriers(Work *work, const uint8_t *hidden);
int write_cells(Work *work);
void tally(Work *work);
void tally_words(Work *work);

static inline int reserve(Out *out, size_t more) {
    if (out->cap - out->n >= more) return 1;
    size_t cap = out->cap ? out->cap : 1 << 16;
    while (cap - out->n < more) {
        if (cap > SIZE_MAX / 2) return 0;
        cap *= 2;
    }
    char *p = realloc(out->p, cap);
    if (!p) return 0;
    out->p = p;
    out->cap = cap;
    return 1;
}

/* Callers have reserved the room. */
static inline void put(Out *out, const char *p, size_t n) {
    memcpy(out->p + out->n, p, n);
    out->n += n;
}

static inline void put_char(Out *out, char c) { out->p[out->n++] = c; }

static inline void put_number(Out *out, uint64_t value) {
    char digits[20];
    int at = 20;
    do digits[--at] = (char)('0' + value % 10); while (value /= 10);
    put(out, digits + at, (size_t)(20 - at));
}

static inline int same(Str a, const char *p, size_t n) { return a.n == n && memcmp(a.p, p, n) == 0; }

/* A whole number without a leading zero, at most ten digits; -1 where it is none. */
static inline int64_t whole(Str text) {
    if (text.n == 0 || text.n > 10 || (text.n > 1 && text.p[0] == '0')) return -1;
    int64_t value = 0;
    for (size_t i = 0; i < text.n; i++) {
        unsigned digit = (unsigned char)text.p[i] - '0';
        if (digit > 9) return -1;
        value = value * 10 + digit;
    }
    return value <= INT32_MAX ? value : -1;
}

#endif
