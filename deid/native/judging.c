/* Judge one node of the lattice. Twin: Evaluator._judge in deid/tables/judging.py, which says what is counted and why.
 * Sums are made in another order here, so losses are rounded before they are compared. Numbers in, numbers out; every
 * array is checked against its sizes before it is read. */
#include <Python.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { DISTINCT, ENTROPY, EQUAL };
#define SLACK 1e-12
#define MOST_CELLS (1 << 24)
#define STEPS 16        /* parts of the range in which the share of a value among the rows that stay can lie */
#define MOST_VALUES 16  /* of a column whose shares are followed one by one */

typedef struct { int32_t column, kind; double limit; } Rule;
typedef struct {
    int64_t n, axes, columns, rules, entries, k, limit, count;
    double moved;
    const int32_t *base, *held, *codes, *values;
    const int64_t *weights, *at; /* at: for each axis the place of its level in codes, and how many labels it has */
    const double *costs, *whole;
    const Rule *rule;
    int32_t *of;
    int64_t *keys, *size, *cells, *slots;
    double *far, *sure;
    char *good;
} Task;

static void *room_for(int64_t count, size_t size) { return PyMem_RawCalloc((size_t)(count > 0 ? count : 1), size); }

/* Number the classes: rows whose labels are equal on every axis. */
static void number_classes(Task *t, uint64_t mask) {
    for (int64_t i = 0; i < t->n; i++) {
        const int32_t *row = t->base + i * t->axes;
        int64_t key = 0;
        for (int64_t a = 0; a < t->axes; a++) key = key * t->at[2 * a + 1] + t->codes[t->at[2 * a] + row[a]];
        uint64_t place = ((uint64_t)key * 11400714819323198485ull) >> 20;
        int64_t slot;
        while ((slot = t->slots[place & mask]) && t->keys[slot - 1] != key) place++;
        if (!slot) { t->keys[t->count] = key; slot = t->slots[place & mask] = ++t->count; }
        t->of[i] = (int32_t)(slot - 1);
        t->size[slot - 1] += t->weights[i];
    }
}

/* Rows of each class with each value of one sensitive column. */
static void count_cells(Task *t, int32_t column) {
    int32_t values = t->values[column];
    const int32_t *held = t->held + (int64_t)column * t->n;
    memset(t->cells, 0, (size_t)(t->count * values) * 8);
    for (int64_t i = 0; i < t->n; i++) t->cells[(int64_t)t->of[i] * values + held[i]] += t->weights[i];
}

static int is_diverse(const Rule *r, const int64_t *cells, int32_t values, int64_t size) {
    double sum = 0;
    int64_t distinct = 0;
    for (int32_t v = 0; v < values; v++) {
        if (!cells[v]) continue;
        distinct++;
        double p = (double)cells[v] / (double)size;
        sum -= p * log(p);
    }
    return r->kind == DISTINCT ? distinct >= r->limit : sum >= log(r->limit) - SLACK;
}

static double distance(const int64_t *cells, const double *whole, int32_t values, int64_t size) {
    double sum = 0;
    for (int32_t v = 0; v < values; v++) sum += fabs((double)cells[v] / (double)size - whole[v]);
    return sum / 2;
}

static const double *whole_of(const Task *t, int32_t column) {
    const double *whole = t->whole;
    for (int32_t c = 0; c < column; c++) whole += t->values[c];
    return whole;
}

/* Rows that the good classes must leave out for one rule, whatever is left out: for each value, the least over where its
 * share among all rows that stay can lie. */
static double least_of(const Task *t, const Rule *r, int32_t values, const double *whole) {
    double most = 0;
    for (int32_t v = 0; v < values && values <= MOST_VALUES && t->limit; v++) {
        double low = (whole[v] - t->moved) / (1 - t->moved), high = whole[v] / (1 - t->moved);
        double over[STEPS + 1] = {0}, under[STEPS + 1] = {0}, least = INFINITY;
        low = low > 0 ? low : 0;
        high = high < 1 ? high : 1;
        for (int64_t c = 0; c < t->count; c++) {
            if (!t->good[c]) continue;
            double n = (double)t->size[c], p = (double)t->cells[c * values + v] / n - SLACK, q = p + 2 * SLACK;
            if (p <= low + r->limit && q >= high - r->limit) continue;
            for (int i = 0; i <= STEPS; i++) {
                double top = low + (high - low) * i / STEPS + r->limit, bottom = top - 2 * r->limit;
                if (p > top && top < 1) over[i] += n * (p - top) / (1 - top);
                if (q < bottom) under[i] += n * (bottom - q) / bottom;
            }
        }
        for (int i = 0; i < STEPS; i++) if (over[i + 1] + under[i] < least) least = over[i + 1] + under[i];
        if (least > most) most = least;
    }
    return most;
}

/* Which classes fail k or l, how far each is (greatest excess over reach, and over t), rows that must go for it. */
static double mark(Task *t, int relative) {
    double failed = 0, least = 0, lost = 0;
    if (!relative) for (int64_t c = 0; c < t->count; c++) t->good[c] = t->size[c] >= t->k;
    for (int64_t r = 0; r < t->rules; r++) {
        const Rule *rule = &t->rule[r];
        if ((rule->kind == EQUAL) != relative) continue;
        int32_t values = t->values[rule->column];
        const double *whole = whole_of(t, rule->column);
        double reach = rule->limit + t->moved;
        count_cells(t, rule->column);
        for (int64_t c = 0; c < t->count; c++) {
            const int64_t *cells = t->cells + c * values;
            if (!relative) { t->good[c] = (char)(t->good[c] && is_diverse(rule, cells, values, t->size[c])); continue; }
            double e = distance(cells, whole, values, t->size[c]), beyond = e - reach - SLACK;
            if (e > rule->limit + SLACK) t->far[c] = 1;
            if (!t->good[c] || reach >= 1 || beyond <= 0) continue;
            double needed = (double)t->size[c] * (t->limit ? beyond / (1 - reach) : 1);
            if (needed > t->sure[c]) t->sure[c] = needed;
        }
        double rows = relative ? least_of(t, rule, values, whole) : 0;
        if (rows > least) least = rows;
    }
    for (int64_t c = 0; c < t->count; c++) {
        if (!t->good[c]) { t->sure[c] = (double)t->size[c]; lost += t->sure[c]; }
        failed += t->sure[c];
    }
    return lost + least > failed ? lost + least : failed;
}

/* Whether every class that stays is close enough to all rows that stay. */
static int stays_close(Task *t) {
    for (int64_t r = 0; r < t->rules; r++) {
        const Rule *rule = &t->rule[r];
        if (rule->kind != EQUAL) continue;
        int32_t values = t->values[rule->column];
        double *whole = room_for(values, 8), total = 0;
        if (!whole) return -1;
        count_cells(t, rule->column);
        for (int64_t c = 0; c < t->count; c++)
            for (int32_t v = 0; t->good[c] && v < values; v++) whole[v] += (double)t->cells[c * values + v];
        for (int32_t v = 0; v < values; v++) total += whole[v];
        for (int32_t v = 0; v < values; v++) whole[v] /= total;
        int close = 1;
        for (int64_t c = 0; close && c < t->count; c++)
            close = !t->good[c] || distance(t->cells + c * values, whole, values, t->size[c]) <= rule->limit + SLACK;
        PyMem_RawFree(whole);
        if (!close) return 0;
    }
    return 1;
}

/* What each axis loses more: by the rows that must go, and by the rows that this node leaves out. */
static void add_losses(const Task *t, double *more, double *gone) {
    for (int64_t i = 0; i < t->n; i++) {
        int32_t c = t->of[i];
        if (t->sure[c] <= 0 && t->good[c]) continue;
        const int32_t *row = t->base + i * t->axes;
        double w = (double)t->weights[i], share = w * t->sure[c] / (double)t->size[c];
        for (int64_t a = 0; a < t->axes; a++) {
            double lost = 1 - t->costs[t->at[2 * a] + row[a]];
            more[a] += lost * share;
            if (!t->good[c]) gone[a] += lost * w;
        }
    }
}

static int sound(const Task *t, const Py_buffer *b) {
    if (t->axes < 1 || b[0].len != t->n * t->axes * 4 || b[2].len != t->n * t->columns * 4) return 0;
    if (b[4].len != t->entries * 4 || b[5].len != t->entries * 8 || t->n < 1 || t->n >= INT32_MAX) return 0;
    int64_t values = 0;
    for (int64_t c = 0; c < t->columns; c++) {
        if (t->values[c] < 1 || (int64_t)t->values[c] * t->n > MOST_CELLS) return 0;
        values += t->values[c];
    }
    if (b[7].len != values * 8 || b[8].len != t->rules * (int64_t)sizeof(Rule)) return 0;
    for (int64_t r = 0; r < t->rules; r++) if (t->rule[r].column < 0 || t->rule[r].column >= t->columns) return 0;
    for (int64_t a = 0; a < t->axes; a++) if (t->at[2 * a] < 0 || t->at[2 * a] >= t->entries || t->at[2 * a + 1] < 1) return 0;
    for (int64_t i = 0; i < t->n; i++) {
        if (t->weights[i] < 1) return 0;
        for (int64_t a = 0; a < t->axes; a++) {
            int32_t v = t->base[i * t->axes + a];
            if (v < 0 || t->at[2 * a] + v >= t->entries) return 0;
        }
    }
    for (int64_t c = 0; c < t->columns; c++)
        for (int64_t i = 0; i < t->n; i++)
            if (t->held[c * t->n + i] < 0 || t->held[c * t->n + i] >= t->values[c]) return 0;
    return 1;
}

/* judge(base, weights, held, at, codes, costs, values, whole, rules, k, limit, moved)
 * -> (classes, rows that must go, rows left out or -1 where too many must go, close, more of each axis, gone of each). */
static PyObject *judge(PyObject *self, PyObject *args) {
    Py_buffer b[9];
    long long k, limit;
    Task t = {0};
    (void)self;
    if (!PyArg_ParseTuple(args, "y*y*y*y*y*y*y*y*y*LLd", b, b + 1, b + 2, b + 3, b + 4, b + 5, b + 6, b + 7, b + 8, &k,
                          &limit, &t.moved)) return NULL;
    t.n = b[1].len / 8; t.axes = b[3].len / 16; t.columns = b[6].len / 4; t.rules = b[8].len / (Py_ssize_t)sizeof(Rule);
    t.entries = b[4].len / 4; t.k = k; t.limit = limit;
    t.base = b[0].buf; t.weights = b[1].buf; t.held = b[2].buf; t.at = b[3].buf; t.codes = b[4].buf; t.costs = b[5].buf;
    t.values = b[6].buf; t.whole = b[7].buf; t.rule = b[8].buf;
    int fits = sound(&t, b), got = 0, close = 1;
    int64_t most = 1, suppressed = 0, slots = 16;
    double certain = 0, *losses = NULL;
    if (fits) {
        for (int64_t c = 0; c < t.columns; c++) if (t.values[c] > most) most = t.values[c];
        while (slots < 2 * t.n) slots *= 2;
        t.of = room_for(t.n, 4); t.keys = room_for(t.n, 8); t.size = room_for(t.n, 8); t.slots = room_for(slots, 8);
        t.far = room_for(t.n, 8); t.sure = room_for(t.n, 8); t.good = room_for(t.n, 1); losses = room_for(2 * t.axes, 8);
        got = t.of && t.keys && t.size && t.slots && t.far && t.sure && t.good && losses;
    }
    Py_BEGIN_ALLOW_THREADS
    if (fits && got) {
        number_classes(&t, (uint64_t)slots - 1);
        t.cells = PyMem_RawMalloc((size_t)(t.count * most) * 8);
        got = t.cells != NULL;
    }
    if (fits && got) {
        certain = mark(&t, 0);
        if (certain <= (double)limit) certain = mark(&t, 1);
        if (ceil(certain - 1e-6) > (double)limit) suppressed = -1;
        else {
            for (int64_t c = 0; c < t.count; c++) {
                if (t.far[c] > 0) t.good[c] = 0;
                if (!t.good[c]) suppressed += t.size[c];
            }
            add_losses(&t, losses, losses + t.axes);
            if (suppressed && suppressed <= limit) close = stays_close(&t);
        }
    }
    Py_END_ALLOW_THREADS
    PyObject *result = NULL, *more = NULL, *gone = NULL;
    if (fits && got && close >= 0) {
        more = PyBytes_FromStringAndSize((const char *)losses, (Py_ssize_t)t.axes * 8);
        gone = PyBytes_FromStringAndSize((const char *)(losses + t.axes), (Py_ssize_t)t.axes * 8);
        result = Py_BuildValue("LdLiNN", (long long)t.count, certain, (long long)suppressed, close, more, gone);
    }
    PyMem_RawFree(t.of); PyMem_RawFree(t.keys); PyMem_RawFree(t.size); PyMem_RawFree(t.slots); PyMem_RawFree(t.cells);
    PyMem_RawFree(t.far); PyMem_RawFree(t.sure); PyMem_RawFree(t.good); PyMem_RawFree(losses);
    for (int i = 0; i < 9; i++) PyBuffer_Release(&b[i]);
    if (!fits) return PyErr_Format(PyExc_ValueError, "the arrays do not fit each other");
    if (!got || close < 0) return PyErr_NoMemory();
    return result;
}

static PyMethodDef methods[] = {
    {"judge", judge, METH_VARARGS, "What one node of the lattice leaves out and loses."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_judging", "Judging, compiled.", -1, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__judging(void) { return PyModule_Create(&module); }
