/* The fixed columns of a line, its alleles and the spans they touch. Twin: records.py, alleles.py, regions.py. */
#include "variants.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

static int is_base(unsigned char c) {
    return c && strchr("ACGTNRYSWKMBDHVacgtnryswkmbdhv", c) != NULL;
}

static int all_bases(Str text) {
    for (size_t i = 0; i < text.n; i++)
        if (!is_base((unsigned char)text.p[i])) return 0;
    return text.n > 0;
}

static int kind_of(Str allele) {
    if (all_bases(allele)) return SEQUENCE;
    if (same(allele, "*", 1) || same(allele, "<*>", 3) || same(allele, "<NON_REF>", 9)) return UNSPECIFIED;
    if (allele.n < 2) return NO_ALLELE;
    int bracket = 0;
    for (size_t i = 0; i < allele.n; i++) {
        char c = allele.p[i];
        if (c < '!' || c > '~' || c == ',') return NO_ALLELE;
        bracket |= c == '[' || c == ']';
    }
    if (allele.p[0] == '<' && allele.p[allele.n - 1] == '>') return allele.n > 2 ? SYMBOLIC : NO_ALLELE;
    return bracket || allele.p[0] == '.' || allele.p[allele.n - 1] == '.' ? BREAKEND : NO_ALLELE;
}

static int64_t find_name(const Names *names, Str text) {
    for (int64_t i = 0; i < names->count; i++)
        if (same(text, names->blob + names->at[i], (size_t)(names->at[i + 1] - names->at[i]))) return i;
    return -1;
}

/* Contigs come in runs, so the last one is tried first. */
static int64_t find_contig(Work *work, Str text) {
    const Names *names = &work->plan->contigs;
    int64_t i = work->last_contig;
    if (i >= 0 && same(text, names->blob + names->at[i], (size_t)(names->at[i + 1] - names->at[i]))) return i;
    return work->last_contig = find_name(names, text);
}

static int read_alleles(Record *r) {
    if (!all_bases(r->field[3])) return BAD_ALLELE;
    r->n_alt = 0;
    if (same(r->field[4], ".", 1)) return OK;
    const char *p = r->field[4].p, *end = p + r->field[4].n;
    int count = 1, bad = 0;
    for (const char *q = p; q < end; q++) count += *q == ',';
    if (count > MAX_ALT) return TOO_MANY_ALLELES;
    for (int i = 0; i < count; i++) {
        const char *stop = memchr(p, ',', (size_t)(end - p));
        if (!stop) stop = end;
        r->alt[i] = (Str){p, (size_t)(stop - p)};
        r->kind[i] = (uint8_t)kind_of(r->alt[i]);
        bad |= r->kind[i] == NO_ALLELE;
        p = stop + 1;
    }
    r->n_alt = count;
    return bad ? BAD_ALLELE : OK;
}

static int known_filters(const Layout *plan, Str text) {
    if (same(text, ".", 1)) return 1;
    const char *p = text.p, *end = p + text.n;
    for (;;) {
        const char *stop = memchr(p, ';', (size_t)(end - p));
        if (!stop) stop = end;
        if (find_name(&plan->filters, (Str){p, (size_t)(stop - p)}) < 0) return 0;
        if (stop == end) return 1;
        p = stop + 1;
    }
}

static int is_quality(Str text) {
    if (text.n == 0 || text.n > 32) return 0;
    for (size_t i = 0; i < text.n; i++)
        if (!text.p[i] || !strchr("0123456789.eE+-", text.p[i])) return 0;
    return 1;
}

static int is_printable(Str text) {
    for (size_t i = 0; i < text.n; i++)
        if (text.p[i] < '!' || text.p[i] > '~') return 0;
    return text.n > 0;
}

/* Splits the nine fixed columns; whether the sample columns are all there is find_cells' question. */
int split_fixed(Record *r, const char *line, const char *end) {
    const char *p = line;
    for (int i = 0; i < 9; i++) {
        const char *tab = memchr(p, '\t', (size_t)(end - p));
        if (!tab) return 0;
        r->field[i] = (Str){p, (size_t)(tab - p)};
        p = tab + 1;
    }
    r->cells = p;
    r->end = end;
    return 1;
}

int read_fixed(Work *work, const char *line, const char *end) {
    const Layout *plan = work->plan;
    Record *r = &work->record;
    if (end > line && end[-1] == '\r') return CRLF;
    if (!split_fixed(r, line, end) || !find_cells(work)) return RAGGED_LINE;
    if ((r->contig = find_contig(work, r->field[0])) < 0) return UNKNOWN_CONTIG;
    if ((r->position = whole(r->field[1])) < 0) return BAD_POSITION;
    if (plan->keep_id && !is_printable(r->field[2])) return BAD_IDENTIFIER;
    int fault = read_alleles(r);
    if (fault) return fault;
    if (plan->keep_quality && !is_quality(r->field[5])) return BAD_QUALITY;
    if (plan->keep_filter && !known_filters(plan, r->field[6])) return UNKNOWN_FILTER;
    return OK;
}

int read_format(Work *work) {
    const Layout *plan = work->plan;
    Record *r = &work->record;
    const char *p = r->field[8].p, *end = p + r->field[8].n;
    for (int64_t s = 0; s < plan->n_slots; s++) r->place[s] = -1;
    int repeated = 0;
    for (r->n_keys = 0;; r->n_keys++) {
        const char *stop = memchr(p, ':', (size_t)(end - p));
        if (!stop) stop = end;
        int64_t slot = find_name(&plan->slot_names, (Str){p, (size_t)(stop - p)});
        if (slot >= 0) {
            repeated |= r->place[slot] >= 0 || (slot == 0 && r->n_keys > 0);
            r->place[slot] = r->n_keys;
        }
        if (stop == end) break;
        p = stop + 1;
    }
    r->n_keys++;
    return repeated || r->n_keys > MAX_KEYS ? BAD_FORMAT : OK;
}

static int is_little_endian(void) {
    const uint16_t one = 1;
    return *(const unsigned char *)&one == 1;
}

/* Whether the sample columns are `count` cells of exactly three bytes: every fourth byte a tab, no other tab.
 * The loop has no branch, so that the compiler can use whatever vectors the machine has. */
static int is_fixed(const char *p, int64_t count) {
    if (!is_little_endian()) return 0; /* the pattern and count_words are written for little-endian words */
    const uint64_t tabs = 0x0909090909090909u, low = 0x7f7f7f7f7f7f7f7fu;
    uint64_t bad = 0, x;
    int64_t pairs = (count - 1) / 2;
    for (int64_t i = 0; i < pairs; i++) {
        memcpy(&x, p + 8 * i, 8);
        x ^= tabs;
        x = ~(((x & low) + low) | x | low); /* the high bit of each byte that was a tab */
        bad |= x ^ 0x8000000080000000u;
    }
    for (int64_t i = 8 * pairs; i < 4 * count - 1; i++) bad |= (p[i] == '\t') != (i % 4 == 3);
    return bad == 0;
}

static int64_t scan_tabs(const char *p, size_t n, uint32_t *starts, int64_t limit) {
    int64_t found = 0;
    size_t i = 0;
#if defined(__SSE2__)
    const __m128i tab = _mm_set1_epi8('\t');
    for (; i + 16 <= n; i += 16) {
        unsigned bits = (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(_mm_loadu_si128((const __m128i *)(p + i)), tab));
        for (; bits; bits &= bits - 1) {
            if (found == limit) return found + 1;
            starts[++found] = (uint32_t)(i + (size_t)__builtin_ctz(bits)) + 1;
        }
    }
#endif
    for (; i < n; i++)
        if (p[i] == '\t') {
            if (found == limit) return found + 1;
            starts[++found] = (uint32_t)i + 1;
        }
    return found;
}

/* Fills `starts`, or proves that it need not be filled; 0 where there are not as many cells as the header has. */
int find_cells(Work *work) {
    Record *r = &work->record;
    int64_t count = work->plan->source_columns;
    size_t n = (size_t)(r->end - r->cells);
    r->fixed = n == 4 * (size_t)count - 1 && is_fixed(r->cells, count);
    if (r->fixed) return 1;
    work->starts[0] = 0;
    if (scan_tabs(r->cells, n, work->starts, count - 1) != count - 1) return 0;
    work->starts[count] = (uint32_t)n + 1;
    return 1;
}

/* ALT numbers somebody permitted carries; 0 where none of them says what it is. Where `blocks` are kept, a record that
 * nobody's ALT justifies stays as a block: its "any other allele" is all that is left of ALT. */
int carried(Record *r, int64_t blocks) {
    int real = 0;
    r->n_alive = 0;
    r->block = 0;
    for (int number = 1; number <= r->n_alt; number++)
        if (r->copies[number]) {
            r->alive[r->n_alive++] = number;
            real |= r->kind[number - 1] != UNSPECIFIED;
        }
    if (real || !blocks) return real;
    r->n_alive = 0;
    for (int number = 1; number <= r->n_alt; number++)
        if (r->kind[number - 1] == UNSPECIFIED && r->alt[number - 1].n > 1) r->alive[r->n_alive++] = number;
    r->block = r->n_alive > 0;
    return r->block;
}

void set_cut(Record *r) {
    Str ref = r->field[3];
    size_t most = ref.n - 1, cut = 0;
    int sequences = 0;
    for (int i = 0; i < r->n_alive; i++)
        if (r->kind[r->alive[i] - 1] == SEQUENCE) {
            sequences = 1;
            if (r->alt[r->alive[i] - 1].n - 1 < most) most = r->alt[r->alive[i] - 1].n - 1;
        }
    if (!sequences) {
        r->cut = most;
        return;
    }
    for (; cut < most; cut++) {
        char last = ref.p[ref.n - 1 - cut];
        int shared = 1;
        for (int i = 0; i < r->n_alive && shared; i++) {
            Str alt = r->alt[r->alive[i] - 1];
            shared = r->kind[r->alive[i] - 1] != SEQUENCE || alt.p[alt.n - 1 - cut] == last;
        }
        if (!shared) break;
    }
    r->cut = cut;
}

static int find_info_end(Record *r) {
    const char *p = r->field[7].p, *end = p + r->field[7].n;
    r->info_end = -1;
    for (;;) {
        const char *stop = memchr(p, ';', (size_t)(end - p));
        if (!stop) stop = end;
        if (stop - p >= 4 && memcmp(p, "END=", 4) == 0) {
            r->info_end = whole((Str){p + 4, (size_t)(stop - p - 4)});
            return r->info_end < 0 ? BAD_INFO : OK;
        }
        if (stop == end) return OK;
        p = stop + 1;
    }
}

static int is_symbolic(const Record *r) {
    if (r->block) return 1;
    for (int i = 0; i < r->n_alive; i++)
        if (r->kind[r->alive[i] - 1] == SYMBOLIC) return 1;
    return 0;
}

/* The bases the carried alleles touch, 0-based and half-open. */
int set_span(Record *r) {
    set_cut(r);
    r->span_start = r->position > 0 ? r->position - 1 : 0;
    r->span_end = r->span_start + (int64_t)(r->field[3].n - r->cut);
    r->info_end = -1;
    if (!is_symbolic(r)) return OK;
    int fault = find_info_end(r);
    if (r->info_end > r->span_end) r->span_end = r->info_end;
    return fault;
}

static int64_t first_ending_after(const Spans *s, int64_t contig, int64_t start) {
    int64_t low = s->at[contig], high = s->at[contig + 1];
    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        if (s->ends[middle] > start) high = middle; else low = middle + 1;
    }
    return low;
}

int overlaps(const Spans *s, int64_t contig, int64_t start, int64_t end) {
    int64_t i = first_ending_after(s, contig, start);
    return i < s->at[contig + 1] && s->starts[i] < end;
}

int contains(const Spans *s, int64_t contig, int64_t start, int64_t end) {
    int64_t i = first_ending_after(s, contig, start);
    return i < s->at[contig + 1] && s->starts[i] <= start && s->ends[i] >= end;
}

static Str trimmed(const Record *r, int number) {
    Str alt = r->alt[number - 1];
    if (r->kind[number - 1] == SEQUENCE) alt.n -= r->cut;
    return alt;
}

static int compare(Str a, Str b) {
    int order = memcmp(a.p, b.p, a.n < b.n ? a.n : b.n);
    return order ? order : (a.n > b.n) - (a.n < b.n);
}

/* Puts the carried alleles in byte order and gives them their new numbers; 0 where two are the same. */
int order_alleles(Record *r) {
    set_cut(r);
    for (int i = 1; i < r->n_alive; i++) { /* insertion: few alleles, and nearly sorted */
        int number = r->alive[i], at = i;
        for (; at > 0 && compare(trimmed(r, r->alive[at - 1]), trimmed(r, number)) > 0; at--) r->alive[at] = r->alive[at - 1];
        r->alive[at] = number;
    }
    r->number[0] = 0;
    for (int i = 0; i < r->n_alive; i++) {
        if (i && compare(trimmed(r, r->alive[i - 1]), trimmed(r, r->alive[i])) == 0) return 0;
        r->number[r->alive[i]] = i + 1;
    }
    if (!is_symbolic(r)) r->info_end = -1;
    return 1;
}
