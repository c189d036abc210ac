/* Split people into classes for local recoding. Twin: deid/tables/splitting.py, which says what is done and why; the same
 * arithmetic in the same order there and here, so both give the same classes. Numbers in, numbers out: no value of a table
 * comes here, and every array is checked against its sizes before it is read. */
#include <Python.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { DISTINCT, ENTROPY, RECURSIVE, EQUAL, ORDERED, HIERARCHICAL, PEOPLE };
#define ROW ((int64_t)1 << 40) /* in a count of weights: that a row is there, whatever its weight */
#define SLACK 1e-12

typedef struct { int32_t column, kind; double limit, c; } Rule;
typedef struct { int32_t size, height; const int32_t *levels; const double *costs; } Ladder;
typedef struct { double score; int32_t axis, first, last; } Cut;
typedef struct {
    int32_t quasi, sensitive, width, rules;
    int64_t n, k, row;       /* row: ROW where people of a population stand among the rows with weight 0, else 0 */
    int32_t *rows, *starts;  /* a line a combination: ranks, weight, number; where each class starts */
    Ladder *ladder;          /* quasi-identifiers, then sensitive columns */
    Rule *rule;
    const double **whole;    /* of each sensitive column, the share of each value in the table */
    int64_t *count, *held;   /* one entry for each value of the largest column; held is zero between uses */
    int32_t *value;
    double *share, *above, *below;
    Cut *cut;
} Task;

static int by_number(const void *a, const void *b) {
    int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    return (x > y) - (x < y);
}
static int by_size(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x < y) - (x > y);
}
static int by_score(const void *a, const void *b) {
    const Cut *x = a, *y = b;
    if (x->score != y->score) return x->score < y->score ? 1 : -1;
    if (x->axis != y->axis) return x->axis < y->axis ? -1 : 1;
    if (x->first != y->first) return x->first < y->first ? -1 : 1;
    return (x->last > y->last) - (x->last < y->last);
}

/* The lowest level at which two values are one. */
static int32_t meet(const Ladder *l, int32_t a, int32_t b) {
    int32_t level = 0;
    while (level < l->height - 1 && l->levels[level * l->size + a] != l->levels[level * l->size + b]) level++;
    return level;
}
static double cost(const Ladder *l, int32_t a, int32_t b) { return l->costs[meet(l, a, b) * l->size + a]; }

/* Present values of one column in [lo, hi), sorted, with their weights; a large range for few rows is sorted instead. */
static int32_t present(Task *t, int64_t lo, int64_t hi, int32_t column) {
    int32_t size = t->ladder[column].size, found = 0, w = t->width;
    const int32_t *rows = t->rows + lo * w;
    if (size <= 8 * (hi - lo)) {
        for (int64_t i = 0; i < hi - lo; i++) t->held[rows[i * w + column]] += rows[i * w + w - 2] + t->row;
        for (int32_t v = 0; v < size; v++)
            if (t->held[v]) { t->value[found] = v; t->count[found++] = t->held[v] & (ROW - 1); t->held[v] = 0; }
        return found;
    }
    for (int64_t i = 0; i < hi - lo; i++) {
        int32_t v = rows[i * w + column];
        if (!t->held[v]) t->value[found++] = v;
        t->held[v] += rows[i * w + w - 2] + t->row;
    }
    qsort(t->value, (size_t)found, sizeof *t->value, by_number);
    for (int32_t i = 0; i < found; i++) { t->count[i] = t->held[t->value[i]] & (ROW - 1); t->held[t->value[i]] = 0; }
    return found;
}

/* Earth mover's distance over a tree: at each inner group the smaller of what its children have too much and too little
 * moves through it, at its height (Li, Li, Venkatasubramanian 2007, 5.2). */
static double moved(const Ladder *l, double *extra, double *above, double *least) {
    double total = 0, steps = l->height - 1;
    for (int32_t level = 1; level < l->height; level++) {
        const int32_t *under = l->levels + (level - 1) * l->size, *over = l->levels + level * l->size;
        for (int32_t v = 0; v < l->size; v++) above[v] = least[v] = 0;
        for (int32_t v = 0; v < l->size; v++) {
            if (v && under[v] == under[v - 1]) continue; /* values lie in the order of the tree: one entry a group */
            double e = extra[under[v]];
            if (e > 0) above[over[v]] += e; else least[over[v]] -= e;
        }
        for (int32_t v = 0; v < l->size; v++) {
            if (v && over[v] == over[v - 1]) continue;
            int32_t g = over[v];
            total += level / steps * (above[g] < least[g] ? above[g] : least[g]);
        }
        for (int32_t v = 0; v < l->size; v++) extra[over[v]] = above[over[v]] - least[over[v]];
    }
    return total;
}

static int holds_one(Task *t, const Rule *r, int64_t total) {
    const Ladder *l = &t->ladder[t->quasi + r->column];
    int64_t distinct = 0, *n = t->held;
    double sum = 0, run = 0;
    for (int32_t v = 0; v < l->size; v++) distinct += n[v] > 0;
    if (r->kind == DISTINCT) return distinct >= r->limit;
    if (r->kind == ENTROPY) {
        for (int32_t v = 0; v < l->size; v++)
            if (n[v]) { double p = (double)n[v] / (double)total; sum -= p * log(p); }
        return sum >= log(r->limit) - SLACK;
    }
    if (r->kind == RECURSIVE) {
        if (distinct < r->limit) return 0;
        memcpy(t->count, n, (size_t)l->size * 8);
        qsort(t->count, (size_t)l->size, 8, by_size);
        int64_t tail = 0;
        for (int32_t v = (int32_t)r->limit - 1; v < l->size; v++) tail += t->count[v];
        return (double)t->count[0] < r->c * (double)tail;
    }
    for (int32_t v = 0; v < l->size; v++) t->share[v] = (double)n[v] / (double)total - t->whole[r->column][v];
    if (r->kind == EQUAL) {
        for (int32_t v = 0; v < l->size; v++) sum += fabs(t->share[v]);
        return sum / 2 <= r->limit + SLACK;
    }
    if (r->kind == ORDERED) {
        for (int32_t v = 0; v < l->size; v++) { run += t->share[v]; sum += fabs(run); }
        return (l->size > 1 ? sum / (l->size - 1) : 0) <= r->limit + SLACK;
    }
    return moved(l, t->share, t->above, t->below) <= r->limit + SLACK;
}

/* k-map and delta-presence: people enough, and the share of them that is in the table small enough. */
static int hidden(const Rule *r, int64_t total, int64_t people) {
    return people >= r->limit && total <= people && (double)total / (double)people <= r->c + SLACK;
}

static int on_left(const Cut *c, const int32_t *row) { return row[c->axis] >= c->first && row[c->axis] <= c->last; }

/* Whether both sides of a cut satisfy every rule. */
static int allowed(Task *t, int64_t lo, int64_t hi, const Cut *c) {
    int32_t w = t->width;
    for (int side = 0; side < 2; side++)
        for (int32_t r = 0; r < t->rules; r++) {
            int32_t column = t->quasi + t->rule[r].column;
            int64_t total = 0, people = 0;
            for (int64_t i = lo; i < hi; i++) {
                const int32_t *row = t->rows + i * w;
                if (on_left(c, row) != side) continue;
                total += row[w - 2];
                if (t->rule[r].kind == PEOPLE) people += row[column];
                else t->held[row[column]] += row[w - 2];
            }
            /* Where nobody of the table is, nothing leaves. */
            int fine = !total || (t->rule[r].kind == PEOPLE ? hidden(&t->rule[r], total, people) : holds_one(t, &t->rule[r], total));
            memset(t->held, 0, (size_t)t->ladder[column].size * 8);
            if (!fine) return 0;
        }
    return 1;
}

static void offer(Task *t, int32_t *cuts, int64_t total, int64_t left, double gain, Cut cut) {
    int64_t right = total - left, least = left < right ? left : right;
    if (least < t->k && !(t->row && !least)) return;
    cut.score = gain / (double)total + 1e-6 * ((double)least / (double)total);
    if (t->rules) t->cut[(*cuts)++] = cut;
    else if (!*cuts || by_score(&cut, t->cut) < 0) { t->cut[0] = cut; *cuts = 1; }
}

/* Candidates on one column: a run of child groups from the left, or one child group alone. */
static void candidates(Task *t, int64_t lo, int64_t hi, int64_t total, int32_t axis, int32_t *cuts) {
    const Ladder *l = &t->ladder[axis];
    int32_t found = present(t, lo, hi, axis);
    if (found < 2) return;
    int32_t first = t->value[0], last = t->value[found - 1], level = meet(l, first, last);
    if (!level) return;
    const int32_t *group = l->levels + (level - 1) * l->size;
    double whole = (double)total * cost(l, first, last);
    int64_t left = 0;
    int32_t before = found - 1; /* where the last group starts */
    while (before > 0 && group[t->value[before - 1]] == group[last]) before--;
    for (int32_t start = 0, stop; start < before; start = stop) {
        int64_t size = 0;
        for (stop = start; stop < found && group[t->value[stop]] == group[t->value[start]]; stop++) size += t->count[stop];
        left += size;
        int32_t a = t->value[start], b = t->value[stop - 1], c = t->value[stop];
        double parts = (double)left * cost(l, first, b) + (double)(total - left) * cost(l, c, last);
        offer(t, cuts, total, left, whole - parts, (Cut){0, axis, first, b});
        if (!start) continue;
        parts = (double)size * cost(l, a, b) + (double)(total - size) * cost(l, first, last);
        offer(t, cuts, total, size, whole - parts, (Cut){0, axis, a, b});
    }
}

static void swap(int32_t *a, int32_t *b, int32_t width) {
    for (int32_t c = 0; c < width; c++) { int32_t held = a[c]; a[c] = b[c]; b[c] = held; }
}

/* Rows of the left side first; the place where the right side starts. In place: the order within a side means nothing. */
static int64_t divide(Task *t, int64_t lo, int64_t hi, const Cut *c) {
    int64_t right = hi;
    while (lo < right) {
        int32_t *row = t->rows + lo * t->width;
        if (on_left(c, row)) { lo++; continue; }
        do right--; while (lo < right && !on_left(c, t->rows + right * t->width));
        if (lo < right) { swap(row, t->rows + right * t->width, t->width); lo++; }
    }
    return lo;
}

static int best_cut(Task *t, int64_t lo, int64_t hi, Cut *chosen) {
    int64_t total = 0;
    int32_t cuts = 0;
    for (int64_t i = lo; i < hi; i++) total += t->rows[i * t->width + t->width - 2];
    if (!total || (total < 2 * t->k && !t->row)) return 0;
    for (int32_t axis = 0; axis < t->quasi; axis++) candidates(t, lo, hi, total, axis, &cuts);
    if (!t->rules) { *chosen = t->cut[0]; return cuts > 0; }
    qsort(t->cut, (size_t)cuts, sizeof *t->cut, by_score);
    for (int32_t i = 0; i < cuts; i++)
        if (allowed(t, lo, hi, &t->cut[i])) { *chosen = t->cut[i]; return 1; }
    return 0;
}

/* Depth first, left first; -1 without memory. */
static int64_t run(Task *t, const int64_t *parts, int64_t count) {
    int64_t room = 1024, depth = 0, made = 0, *stack = PyMem_RawMalloc((size_t)room * 16);
    for (int64_t part = 0; stack && part < count; part++) {
        stack[0] = parts[part]; stack[1] = parts[part + 1]; depth = 1;
        while (depth) {
            int64_t lo = stack[2 * depth - 2], hi = stack[2 * depth - 1];
            Cut cut;
            depth--;
            if (!best_cut(t, lo, hi, &cut)) {
                t->starts[made++] = (int32_t)lo;
                continue;
            }
            int64_t middle = divide(t, lo, hi, &cut);
            if (depth + 2 > room) {
                int64_t *more = PyMem_RawRealloc(stack, (size_t)(room *= 2) * 16);
                if (!more) { PyMem_RawFree(stack); return -1; }
                stack = more;
            }
            stack[2 * depth] = middle; stack[2 * depth + 1] = hi;
            stack[2 * depth + 2] = lo; stack[2 * depth + 3] = middle;
            depth += 2;
        }
    }
    if (!stack) return -1;
    PyMem_RawFree(stack);
    return made;
}

/* Every length against every other, every code against its ladder: a caller's mistake must not read past an array. */
static int sound(const Task *t, const Py_buffer *b, const int64_t *parts, int64_t count, int64_t entries) {
    int64_t at = 0;
    if (t->width != t->quasi + t->sensitive + 2 || b[0].len != t->n * t->width * 4 || b[1].len != t->n * 4) return 0;
    if (b[2].len != (int64_t)(t->quasi + t->sensitive) * 8 || b[3].len != entries * 4 || b[4].len != entries * 8) return 0;
    if (b[6].len != (int64_t)t->rules * 8 || b[7].len != (int64_t)t->rules * 16 || parts[0] || parts[count] != t->n) return 0;
    for (int64_t i = 0; i < count; i++) if (parts[i] >= parts[i + 1]) return 0;
    for (int32_t c = 0; c < t->quasi + t->sensitive; c++)
        for (int64_t e = 0; e < (int64_t)t->ladder[c].size * t->ladder[c].height; e++, at++)
            if (t->ladder[c].levels[e] < 0 || t->ladder[c].levels[e] >= t->ladder[c].size) return 0;
    for (int64_t i = 0; i < t->n; i++) {
        const int32_t *row = t->rows + i * t->width;
        for (int32_t c = 0; c < t->quasi + t->sensitive; c++) if (row[c] < 0 || row[c] >= t->ladder[c].size) return 0;
        if (row[t->width - 2] < !t->row || row[t->width - 1] < 0 || row[t->width - 1] >= t->n) return 0;
    }
    for (int32_t r = 0; r < t->rules; r++)
        if (t->rule[r].column < 0 || t->rule[r].column >= t->sensitive || t->rule[r].limit < 0) return 0;
    return 1;
}

static void *room_for(int64_t count, size_t size) { return PyMem_RawCalloc((size_t)(count > 0 ? count : 1), size); }

/* split(rows, starts, shapes, levels, costs, whole, rules, limits, parts, quasi, k) -> number of classes. */
static PyObject *split(PyObject *self, PyObject *args) {
    Py_buffer b[9];
    int quasi;
    long long k, made = -2;
    (void)self;
    if (!PyArg_ParseTuple(args, "w*w*y*y*y*y*y*y*y*iL", b, b + 1, b + 2, b + 3, b + 4, b + 5, b + 6, b + 7, b + 8, &quasi, &k))
        return NULL;
    const int32_t *shapes = b[2].buf, *levels = b[3].buf, *rules = b[6].buf;
    const double *costs = b[4].buf, *whole = b[5].buf, *limits = b[7].buf;
    int32_t columns = (int32_t)(b[2].len / 8), largest = 1;
    int64_t entries = 0, values = 0, all = 0, count = b[8].len / 8 - 1;
    Task t = {.quasi = quasi, .sensitive = columns - quasi, .width = columns + 2, .rules = (int32_t)(b[6].len / 8),
              .n = b[1].len / 4, .k = k, .rows = b[0].buf, .starts = b[1].buf};
    int fits = quasi > 0 && quasi <= columns && k > 0 && count > 0;
    for (int32_t c = 0; fits && c < columns; c++) {
        if (shapes[2 * c] < 1 || shapes[2 * c + 1] < 1) fits = 0;
        if (shapes[2 * c] > largest) largest = shapes[2 * c];
        entries += (int64_t)shapes[2 * c] * shapes[2 * c + 1];
        all += 2 * (int64_t)shapes[2 * c];
        if (c >= quasi) values += shapes[2 * c];
    }
    fits = fits && b[5].len == values * 8 && b[3].len == entries * 4 && b[4].len == entries * 8;
    t.ladder = room_for(columns, sizeof *t.ladder);
    t.rule = room_for(t.rules, sizeof *t.rule); t.whole = room_for(columns, sizeof *t.whole);
    t.count = room_for(largest, 8); t.held = room_for(largest, 8); t.value = room_for(largest, 4);
    t.share = room_for(largest, 8); t.above = room_for(largest, 8); t.below = room_for(largest, 8);
    t.cut = room_for(all, sizeof *t.cut);
    int got = t.ladder && t.rule && t.whole && t.count && t.held && t.value && t.share && t.above && t.below && t.cut;
    for (int32_t c = 0; fits && got && c < columns; c++) {
        t.ladder[c] = (Ladder){shapes[2 * c], shapes[2 * c + 1], levels, costs};
        levels += (int64_t)shapes[2 * c] * shapes[2 * c + 1];
        costs += (int64_t)shapes[2 * c] * shapes[2 * c + 1];
        if (c >= quasi) { t.whole[c - quasi] = whole; whole += shapes[2 * c]; }
    }
    for (int32_t r = 0; fits && got && r < t.rules; r++)
        t.rule[r] = (Rule){rules[2 * r], rules[2 * r + 1], limits[2 * r], limits[2 * r + 1]};
    for (int32_t r = 0; fits && got && r < t.rules; r++) if (t.rule[r].kind == PEOPLE) t.row = ROW;
    fits = fits && (!t.row || t.n < 1 << 23);
    fits = fits && got && sound(&t, b, b[8].buf, count, entries);
    Py_BEGIN_ALLOW_THREADS
    if (fits) made = run(&t, b[8].buf, count);
    Py_END_ALLOW_THREADS
    PyMem_RawFree(t.ladder); PyMem_RawFree(t.rule); PyMem_RawFree(t.whole); PyMem_RawFree(t.count);
    PyMem_RawFree(t.held); PyMem_RawFree(t.value); PyMem_RawFree(t.share); PyMem_RawFree(t.above); PyMem_RawFree(t.below); PyMem_RawFree(t.cut);
    for (int i = 0; i < 9; i++) PyBuffer_Release(&b[i]);
    if (!got || made == -1) return PyErr_NoMemory();
    if (!fits) return PyErr_Format(PyExc_ValueError, "the arrays do not fit each other");
    return PyLong_FromLongLong(made);
}

static PyMethodDef methods[] = {
    {"split", split, METH_VARARGS, "Classes for local recoding."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_tables", "Splitting, compiled.", -1, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__tables(void) { return PyModule_Create(&module); }
