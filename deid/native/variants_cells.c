/* The genotype columns of a record: counted, masked, written. Twin: genotypes.py. */
#include "variants.h"

Str cell_of(const Work *work, int64_t i) {
    int64_t column = work->plan->columns[i];
    if (work->record.fixed) return (Str){work->record.cells + 4 * column, 3};
    uint32_t start = work->starts[column];
    return (Str){work->record.cells + start, work->starts[column + 1] - start - 1};
}

/* One allele at p: its number, -1 for '.', -2 where it is none; *stop is behind it. */
static int read_allele(const char *p, const char *end, const char **stop) {
    if (p == end) return -2;
    *stop = p + 1;
    if (*p == '.') return -1;
    unsigned value = (unsigned char)*p - '0';
    if (value > 9) return -2;
    if (value == 0) return 0;
    const char *q = p + 1;
    for (unsigned digit; q < end && (digit = (unsigned char)*q - '0') <= 9; q++) {
        if (q - p == 4) return -2;
        value = value * 10 + digit;
    }
    *stop = q;
    return (int)value;
}

/* Adds one genotype to the counts; 0 where it is none. `stamp` tells samples apart. */
static int count_cell(Record *r, Str cell, int64_t stamp, int *called) {
    const char *p = cell.p, *end = cell.p + cell.n;
    for (*called = 0;; p++) {
        int allele = read_allele(p, end, &p);
        if (allele < -1 || allele > r->n_alt) return 0;
        if (allele >= 0) {
            ++*called;
            r->copies[allele]++;
            if (r->last[allele] != stamp) r->carriers[allele]++;
            r->last[allele] = stamp;
        }
        if (p == end || *p == ':') return 1;
        if (*p != '/' && *p != '|') return 0;
    }
}

static void clear_counts(Record *r) {
    size_t n = (size_t)(r->n_alt + 1) * sizeof(int64_t);
    memset(r->copies, 0, n);
    memset(r->carriers, 0, n);
    memset(r->last, 0, n);
    r->called = r->samples_called = 0;
}

/* Two called alleles of one digit each, which nearly every genotype is; 0 where count_cell has to look. */
static inline int count_pair(Record *r, Str cell, int64_t stamp) {
    if (cell.n < 3 || (cell.p[1] != '|' && cell.p[1] != '/') || (cell.n > 3 && cell.p[3] != ':')) return 0;
    int a = (unsigned char)cell.p[0] - '0', b = (unsigned char)cell.p[2] - '0';
    if ((unsigned)a > 9 || (unsigned)b > 9 || a > r->n_alt || b > r->n_alt) return 0;
    r->copies[a]++;
    r->copies[b]++;
    r->carriers[a]++;
    r->carriers[b] += a != b;
    r->last[a] = r->last[b] = stamp;
    return 1;
}

/* Counts over the cells that are not masked. */
int count_cells(Work *work) {
    Record *r = &work->record;
    clear_counts(r);
    for (int64_t i = 0; i < work->plan->width; i++) {
        int called = 2;
        if (work->masked[i]) continue;
        Str cell = cell_of(work, i);
        if (!count_pair(r, cell, i + 1) && !count_cell(r, cell, i + 1, &called)) return BAD_GENOTYPE;
        r->called += called;
        r->samples_called += called > 0;
    }
    return OK;
}

/* Masks every cell with a hidden allele. The cells were proven genotypes by count_cells. */
void mask_carriers(Work *work, const uint8_t *hidden) {
    for (int64_t i = 0; i < work->plan->width; i++) {
        Str cell = cell_of(work, i);
        const char *p = cell.p, *end = cell.p + cell.n;
        for (;; p++) {
            int allele = read_allele(p, end, &p);
            if (allele >= 0 && hidden[allele]) work->masked[i] = 1;
            if (p == end || *p == ':') break;
        }
    }
}

/* The common case: one ALT, cells of three bytes. Returns OK, or BAD_GENOTYPE where a cell is none. */
int count_words(Work *work) {
    Record *r = &work->record;
    int64_t n = work->plan->width;
    uint32_t *words = work->words, bad = 0, alt = 0, ref = 0;
    for (int64_t i = 0; i < n; i++) memcpy(&words[i], r->cells + 4 * work->plan->columns[i], 4);
    for (int64_t i = 0; i < n; i++) {
        uint32_t a = words[i] & 0xff, s = words[i] >> 8 & 0xff, b = words[i] >> 16 & 0xff;
        uint32_t a0 = a == '0', a1 = a == '1', b0 = b == '0', b1 = b == '1';
        bad |= !(a0 | a1 | (a == '.')) | !(b0 | b1 | (b == '.')) | !((s == '|') | (s == '/'));
        alt += a1 + b1;
        ref += a0 + b0;
        words[i] = (words[i] & 0xffffff) | (uint32_t)'\t' << 24;
    }
    if (bad) return BAD_GENOTYPE;
    clear_counts(r);
    r->copies[0] = ref;
    r->copies[1] = alt;
    r->called = (int64_t)ref + alt;
    r->samples_called = n;
    if (r->called != 2 * n)
        for (int64_t i = 0; i < n; i++) r->samples_called -= (words[i] & 0xff00ff) == 0x2e002e;
    for (int64_t i = 0; i < n && alt; i++) {
        int carries = (words[i] & 0xff) == '1' || (words[i] >> 16 & 0xff) == '1';
        r->carriers[1] += carries;
        if (carries) r->last[1] = i + 1;
        if (r->carriers[1] >= work->plan->carriers) break; /* nobody asks for more than whether it is fewer */
    }
    return OK;
}

static void put_genotype(Out *out, const Record *r, const char *p, const char *end, int masked) {
    for (;; p++) {
        int allele = read_allele(p, end, &p);
        if (masked || allele < 0) put_char(out, '.');
        else put_number(out, (uint64_t)r->number[allele]);
        if (p == end || *p == ':') return;
        put_char(out, masked ? '/' : *p);
    }
}

/* One to nine digits; -1 where it is no such number. */
static int64_t digits(Str text) {
    if (text.n == 0 || text.n > 9) return -1;
    int64_t value = 0;
    for (size_t i = 0; i < text.n; i++) {
        unsigned digit = (unsigned char)text.p[i] - '0';
        if (digit > 9) return -1;
        value = value * 10 + digit;
    }
    return value;
}

static int put_depths(Out *out, const Record *r, Str text) {
    Str entry[MAX_ALT + 1];
    const char *p = text.p, *end = text.p + text.n;
    int count = 0;
    for (;; count++) {
        const char *stop = memchr(p, ',', (size_t)(end - p));
        if (!stop) stop = end;
        if (count > r->n_alt) return 0;
        entry[count] = (Str){p, (size_t)(stop - p)};
        if (!same(entry[count], ".", 1) && digits(entry[count]) < 0) return 0;
        if (stop == end) break;
        p = stop + 1;
    }
    if (count != r->n_alt) return 0;
    for (int i = -1; i < r->n_alive; i++) {
        Str kept = entry[i < 0 ? 0 : r->alive[i]];
        if (i >= 0) put_char(out, ',');
        if (kept.p[0] == '.') put_char(out, '.');
        else put_number(out, (uint64_t)digits(kept));
    }
    return 1;
}

static int put_value(Work *work, int64_t slot, Str text) {
    Record *r = &work->record;
    if (same(text, ".", 1)) {
        put_char(&work->body, '.');
        return 1;
    }
    if (work->plan->slots[slot] == AD) return put_depths(&work->body, r, text);
    int64_t value = digits(text);
    if (value < 0) return 0;
    value -= value % work->plan->bins[slot];
    if (work->plan->slots[slot] == DP) r->depth = (r->depth < 0 ? 0 : r->depth) + value;
    put_number(&work->body, (uint64_t)value);
    return 1;
}

/* Splits a cell at its colons; the number of values, which may be one more than there are keys. */
static int split_cell(Str cell, Str *value, int keys) {
    const char *p = cell.p, *end = cell.p + cell.n;
    for (int count = 0;; count++) {
        const char *stop = p;
        while (stop < end && *stop != ':') stop++;
        if (count == keys) return keys + 1;
        value[count] = (Str){p, (size_t)(stop - p)};
        if (stop == end) return count + 1;
        p = stop + 1;
    }
}

/* Whether cells of this record can be written as they stand: the keys are ours in our order, no value is binned or
 * cut, and every allele keeps its number. */
static int is_verbatim(const Work *work) {
    const Layout *plan = work->plan;
    const Record *r = &work->record;
    if (r->n_keys != plan->n_slots || r->n_alive != r->n_alt) return 0;
    for (int number = 1; number <= r->n_alt; number++)
        if (r->number[number] != number) return 0;
    for (int64_t slot = 0; slot < plan->n_slots; slot++)
        if (r->place[slot] != slot || plan->bins[slot] != 1 || plan->slots[slot] == AD) return 0;
    return 1;
}

/* Copies a cell whose values are all there and written as we write them; 0, and nothing written, where one is not. */
static int copy_cell(Work *work, Str cell) {
    const Layout *plan = work->plan;
    const char *p = cell.p, *end = p + cell.n;
    int64_t depth = -1;
    while (p < end && *p != ':') p++; /* a genotype, as count_cells has proven */
    for (int64_t slot = 1; slot < plan->n_slots; slot++) {
        if (p == end) return 0;
        const char *start = ++p;
        int64_t value = 0;
        for (unsigned digit; p < end && p - start < 10 && (digit = (unsigned char)*p - '0') <= 9; p++)
            value = value * 10 + digit;
        if (p == start) { /* no number: it has to be a dot */
            if (p == end || *p++ != '.') return 0;
        } else if (p - start > 9 || (*start == '0' && p - start > 1)) {
            return 0;
        } else if (plan->slots[slot] == DP) {
            depth = value;
        }
        if (p < end && *p != ':') return 0;
    }
    if (p != end) return 0;
    if (depth >= 0) work->record.depth = (work->record.depth < 0 ? 0 : work->record.depth) + depth;
    put(&work->body, cell.p, cell.n);
    return 1;
}

int write_cells(Work *work) {
    const Layout *plan = work->plan;
    Record *r = &work->record;
    int verbatim = is_verbatim(work);
    Str value[MAX_KEYS];
    const Str absent = {".", 1};
    work->body.n = 0;
    r->depth = -1;
    for (int64_t i = 0; i < plan->width; i++) {
        Str cell = cell_of(work, i);
        /* A value grows only where an allele's number does, from one digit to at most four. */
        if (!reserve(&work->body, 4 * cell.n + 2 * MAX_SLOTS + 2)) return OUT_OF_MEMORY;
        if (verbatim && !work->masked[i] && copy_cell(work, cell)) {
            put_char(&work->body, '\t');
            continue;
        }
        int count = split_cell(cell, value, r->n_keys);
        if (count > r->n_keys) return RAGGED_CELL;
        put_genotype(&work->body, r, value[0].p, value[0].p + value[0].n, work->masked[i]);
        for (int64_t slot = 1; slot < plan->n_slots; slot++) {
            int place = r->place[slot];
            put_char(&work->body, ':');
            Str text = work->masked[i] || place < 0 || place >= count ? absent : value[place];
            if (!put_value(work, slot, text)) return BAD_VALUE;
        }
        put_char(&work->body, '\t');
    }
    work->body.n--;
    return OK;
}

/* Whoever is written without a called allele, and whoever alone has an allele. */
void tally(Work *work) {
    const Record *r = &work->record;
    for (int64_t i = 0; r->samples_called != work->plan->width && i < work->plan->width; i++) {
        int called = 0;
        Str cell = cell_of(work, i);
        const char *p = cell.p, *end = cell.p + cell.n;
        for (; !work->masked[i]; p++) {
            called |= read_allele(p, end, &p) >= 0;
            if (p == end || *p == ':') break;
        }
        work->missing[i] += !called;
    }
    for (int i = 0; i < r->n_alive; i++)
        if (r->copies[r->alive[i]] == 1) work->singletons[r->last[r->alive[i]] - 1]++;
}

void tally_words(Work *work) {
    const Record *r = &work->record;
    int64_t n = work->plan->width;
    for (int64_t i = 0; r->samples_called != n && i < n; i++) work->missing[i] += (work->words[i] & 0xff00ff) == 0x2e002e;
    if (r->copies[1] == 1) work->singletons[r->last[1] - 1]++;
}
