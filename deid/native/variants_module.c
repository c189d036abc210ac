/* One record after another, and the door to Python. Twin: records.py, recipient.py.
 * The interpreter's lock is released while a chunk is worked on; the chunk and the layout are immutable bytes objects. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdio.h>

#include "variants.h"

/* Drops or masks until no ALT is rare; a Reason. */
static int rare(Work *work) {
    const Layout *plan = work->plan;
    Record *r = &work->record;
    uint8_t hidden[MAX_ALT + 1];
    int exempt = contains(&plan->panel, r->contig, r->span_start, r->span_end);
    int64_t private_ = exempt && plan->private_except ? KEEP : plan->private_;
    int64_t few_ = exempt && plan->rare_except ? KEEP : plan->rare;
    for (;;) {
        int alone = 0, few = 0;
        memset(hidden, 0, sizeof hidden);
        for (int i = 0; i < r->n_alive; i++) {
            int number = r->alive[i];
            int is_alone = private_ != KEEP && r->carriers[number] < plan->carriers;
            int is_few = few_ != KEEP && r->copies[number] < plan->minimum;
            alone |= is_alone;
            few |= is_few;
            hidden[number] = (uint8_t)(is_alone | is_few);
        }
        if (!alone && !few) return WRITTEN;
        int reason = alone ? PRIVATE_ALLELE : MINIMUM_ALLELE_COUNT;
        if ((alone && private_ == DROP) || (few && few_ == DROP)) return reason;
        mask_carriers(work, hidden);
        if (count_cells(work) || !carried(r, 0)) return reason;
    }
}

static void put_alleles(Out *out, const Record *r) {
    for (int i = 0; i < r->n_alive; i++) {
        Str alt = r->alt[r->alive[i] - 1];
        if (i) put_char(out, ',');
        put(out, alt.p, alt.n - (r->kind[r->alive[i] - 1] == SEQUENCE ? r->cut : 0));
    }
}

/* AC / AN in the 32 bits of a VCF Float, six significant digits. */
static void put_frequency(Out *out, int64_t copies, int64_t called) {
    char text[32];
    int n = snprintf(text, sizeof text, "%.6g", (double)(float)((double)copies / (double)called));
    for (int i = 0; i < n; i++)
        if (text[i] == ',') text[i] = '.'; /* a host program may have set a locale */
    put(out, text, (size_t)n);
}

static void put_info_value(Out *out, const Record *r, int64_t key) {
    if (key == INFO_AN) put_number(out, (uint64_t)r->called);
    if (key == INFO_NS) put_number(out, (uint64_t)r->samples_called);
    if (key == INFO_DP) put_number(out, (uint64_t)r->depth);
    if (key == INFO_END) put_number(out, (uint64_t)r->info_end);
    for (int i = 0; (key == INFO_AC || key == INFO_AF) && i < r->n_alive; i++) {
        if (i) put_char(out, ',');
        if (key == INFO_AC) put_number(out, (uint64_t)r->copies[r->alive[i]]);
        else if (r->called) put_frequency(out, r->copies[r->alive[i]], r->called);
        else put_char(out, '.');
    }
}

static void put_info(Out *out, const Layout *plan, const Record *r) {
    static const char *const names[] = {"AC=", "AN=", "AF=", "NS=", "DP=", "END="};
    size_t before = out->n;
    for (int64_t i = 0; i < plan->n_info; i++) {
        int64_t key = plan->info[i];
        if ((key == INFO_DP && r->depth < 0) || (key == INFO_END && r->info_end < 0)) continue;
        if (out->n > before) put_char(out, ';');
        put(out, names[key], strlen(names[key]));
        put_info_value(out, r, key);
    }
    if (out->n == before) put_char(out, '.');
}

static void put_field(Out *out, const Record *r, int field, int64_t kept) {
    if (kept) put(out, r->field[field].p, r->field[field].n);
    else put_char(out, '.');
    put_char(out, '\t');
}

static int write_record(Work *work, int is_words) {
    const Layout *plan = work->plan;
    Record *r = &work->record;
    if (!order_alleles(r)) return BAD_ALLELE;
    int in_words = is_words && plan->n_slots == 1;
    r->depth = -1;
    if (!plan->sites_only && !in_words) {
        int fault = write_cells(work);
        if (fault) return fault;
    }
    size_t cells = in_words ? 4 * (size_t)plan->width : work->body.n;
    size_t fixed = (size_t)(r->cells - r->field[0].p) + plan->format.n;
    if (!reserve(&work->out, fixed + cells + 256 + 64 * (size_t)r->n_alive)) return OUT_OF_MEMORY;
    Out *out = &work->out;
    put_field(out, r, 0, 1);
    put_field(out, r, 1, 1);
    put_field(out, r, 2, plan->keep_id);
    put(out, r->field[3].p, r->field[3].n - r->cut);
    put_char(out, '\t');
    put_alleles(out, r);
    put_char(out, '\t');
    put_field(out, r, 5, plan->keep_quality);
    put_field(out, r, 6, plan->keep_filter);
    put_info(out, plan, r);
    if (!plan->sites_only) {
        put_char(out, '\t');
        put(out, plan->format.p, plan->format.n);
        put_char(out, '\t');
        put(out, in_words ? (const char *)work->words : work->body.p, in_words ? cells - 1 : cells);
    }
    put_char(out, '\n');
    if (is_words) tally_words(work); else tally(work);
    return OK;
}

/* One line: a fault, or OK with the reason in *reason. */
static int rewrite_line(Work *work, const char *line, const char *end, int *reason) {
    const Layout *plan = work->plan;
    Record *r = &work->record;
    int fault = read_fixed(work, line, end);
    if (!fault) fault = read_format(work);
    if (fault) return fault;
    *reason = NO_CARRIER;
    if (r->place[0] < 0 || r->n_alt == 0) return OK;
    memset(work->masked, 0, (size_t)plan->width);
    /* What count_words does not understand may still be a genotype: the general way decides. */
    int is_words = r->fixed && r->n_alt == 1 && r->n_keys == 1 && count_words(work) == OK;
    if (!is_words && (fault = count_cells(work))) return fault;
    if (!carried(r, plan->blocks)) return OK;
    if ((fault = set_span(r))) return fault;
    *reason = OUTSIDE_REGION;
    if (plan->in_region && !overlaps(&plan->region, r->contig, r->span_start, r->span_end)) return OK;
    *reason = MASKED;
    if (overlaps(&plan->mask, r->contig, r->span_start, r->span_end) &&
        !(plan->mask_except && contains(&plan->panel, r->contig, r->span_start, r->span_end)))
        return OK;
    *reason = r->block ? WRITTEN : rare(work);
    return *reason == WRITTEN ? write_record(work, is_words) : OK;
}

static int open_work(Work *work, const Layout *plan) {
    memset(work, 0, sizeof *work);
    work->plan = plan;
    work->last_contig = -1;
    work->starts = malloc(((size_t)plan->source_columns + 1) * sizeof *work->starts);
    work->words = malloc((size_t)plan->width * sizeof *work->words);
    work->masked = malloc((size_t)plan->width);
    return work->starts && work->words && work->masked;
}

static void close_work(Work *work) {
    free(work->starts);
    free(work->words);
    free(work->masked);
    free(work->out.p);
    free(work->body.p);
}

typedef struct { int64_t lines, written, removed[REASONS]; int fault; } Done;

static void rewrite_chunk(Work *work, const char *p, const char *end, Done *done) {
    while (p < end) {
        const char *stop = memchr(p, '\n', (size_t)(end - p));
        int reason = WRITTEN;
        if (!stop) return;
        done->fault = rewrite_line(work, p, stop, &reason);
        if (done->fault) return;
        done->lines++;
        if (reason == WRITTEN) done->written++; else done->removed[reason]++;
        p = stop + 1;
    }
}

/* The core view's lines with their cells in another order. */
static void reorder_chunk(Work *work, const char *p, const char *end, Done *done) {
    Record *r = &work->record;
    Out *out = &work->out;
    for (; p < end; p = r->end + 1) {
        const char *stop = memchr(p, '\n', (size_t)(end - p));
        if (!stop) return;
        done->fault = split_fixed(r, p, stop) && find_cells(work) ? OK : RAGGED_LINE;
        if (!done->fault && !reserve(out, (size_t)(stop - p) + 2)) done->fault = OUT_OF_MEMORY;
        if (done->fault) return;
        put(out, p, (size_t)(r->cells - p));
        for (int64_t i = 0; i < work->plan->width; i++) {
            Str cell = cell_of(work, i);
            put(out, cell.p, cell.n);
            put_char(out, '\t');
        }
        out->p[out->n - 1] = '\n';
        done->lines++;
        done->written++;
    }
}

/* ---- Python ---- */

enum { PARTS = 21, OPTIONS = 14, KEPT = 16 };
typedef struct { PyObject *parts; Layout plan; Work *kept[KEPT]; int n_kept; } Prepared;

static const int64_t *numbers(PyObject *parts, int i, int64_t *count) {
    PyObject *part = PyTuple_GET_ITEM(parts, i);
    if (count) *count = (int64_t)(PyBytes_GET_SIZE(part) / (Py_ssize_t)sizeof(int64_t));
    return (const int64_t *)(const void *)PyBytes_AS_STRING(part);
}

static Names names_at(PyObject *parts, int i) {
    Names names = {PyBytes_AS_STRING(PyTuple_GET_ITEM(parts, i)), numbers(parts, i + 1, &(int64_t){0}), 0};
    names.count = (int64_t)(PyBytes_GET_SIZE(PyTuple_GET_ITEM(parts, i + 1)) / 8) - 1;
    return names;
}

static void fill_layout(Layout *plan, PyObject *parts) {
    const int64_t *o = numbers(parts, 0, NULL);
    plan->source_columns = o[0];
    plan->keep_id = o[1], plan->keep_quality = o[2], plan->keep_filter = o[3], plan->sites_only = o[4];
    plan->mask_except = o[5], plan->minimum = o[6], plan->rare = o[7], plan->rare_except = o[8];
    plan->private_ = o[9], plan->private_except = o[10];
    plan->carriers = o[11], plan->blocks = o[12], plan->in_region = o[13];
    plan->columns = numbers(parts, 1, &plan->width);
    plan->contigs = names_at(parts, 2);
    plan->filters = names_at(parts, 4);
    plan->slot_names = names_at(parts, 6);
    plan->mask = (Spans){numbers(parts, 8, NULL), numbers(parts, 9, NULL), numbers(parts, 10, NULL)};
    plan->panel = (Spans){numbers(parts, 11, NULL), numbers(parts, 12, NULL), numbers(parts, 13, NULL)};
    plan->region = (Spans){numbers(parts, 14, NULL), numbers(parts, 15, NULL), numbers(parts, 16, NULL)};
    plan->slots = numbers(parts, 17, &plan->n_slots);
    plan->bins = numbers(parts, 18, NULL);
    plan->info = numbers(parts, 19, &plan->n_info);
    PyObject *format = PyTuple_GET_ITEM(parts, 20);
    plan->format = (Str){PyBytes_AS_STRING(format), (size_t)PyBytes_GET_SIZE(format)};
}

static int is_sound(const Layout *plan) {
    if (plan->width < 1 || plan->source_columns < plan->width || plan->n_slots < 1 || plan->n_slots > MAX_SLOTS) return 0;
    if (plan->slot_names.count != plan->n_slots) return 0;
    for (int64_t i = 0; i < plan->width; i++)
        if (plan->columns[i] < 0 || plan->columns[i] >= plan->source_columns) return 0;
    for (int64_t i = 0; i < plan->n_slots; i++)
        if (plan->bins[i] < 1) return 0;
    for (int64_t i = 0; i < plan->n_info; i++)
        if (plan->info[i] < INFO_AC || plan->info[i] > INFO_END) return 0;
    return 1;
}

static void forget(PyObject *capsule) {
    Prepared *prepared = PyCapsule_GetPointer(capsule, "deid.layout");
    if (!prepared) return;
    while (prepared->n_kept) {
        close_work(prepared->kept[--prepared->n_kept]);
        PyMem_RawFree(prepared->kept[prepared->n_kept]);
    }
    Py_DECREF(prepared->parts);
    PyMem_Free(prepared);
}

/* prepare(parts): the layout as 21 bytes objects of native 64-bit numbers and names; see deid/native/__init__.py. */
static PyObject *prepare(PyObject *self, PyObject *parts) {
    (void)self;
    if (!PyTuple_Check(parts) || PyTuple_GET_SIZE(parts) != PARTS) return PyErr_Format(PyExc_TypeError, "a tuple of 21");
    for (int i = 0; i < PARTS; i++)
        if (!PyBytes_Check(PyTuple_GET_ITEM(parts, i))) return PyErr_Format(PyExc_TypeError, "bytes objects");
    if (PyBytes_GET_SIZE(PyTuple_GET_ITEM(parts, 0)) != OPTIONS * 8 ||
        PyBytes_GET_SIZE(PyTuple_GET_ITEM(parts, 17)) != PyBytes_GET_SIZE(PyTuple_GET_ITEM(parts, 18)))
        return PyErr_Format(PyExc_ValueError, "the options have the wrong size");
    Prepared *prepared = PyMem_Calloc(1, sizeof *prepared);
    if (!prepared) return PyErr_NoMemory();
    fill_layout(&prepared->plan, parts);
    if (!is_sound(&prepared->plan)) {
        PyMem_Free(prepared);
        return PyErr_Format(PyExc_ValueError, "the layout does not hold together");
    }
    prepared->parts = Py_NewRef(parts);
    return PyCapsule_New(prepared, "deid.layout", forget);
}

static Work *take_work(Prepared *prepared) {
    if (prepared->n_kept) return prepared->kept[--prepared->n_kept];
    Work *work = PyMem_RawMalloc(sizeof *work);
    if (work && open_work(work, &prepared->plan)) return work;
    if (work) close_work(work);
    PyMem_RawFree(work);
    return NULL;
}

/* What a chunk needed the next one will: rooms that were filled once cost no page fault again. */
static void give_work(Prepared *prepared, Work *work) {
    if (prepared->n_kept < KEPT) {
        prepared->kept[prepared->n_kept++] = work;
        return;
    }
    close_work(work);
    PyMem_RawFree(work);
}

static PyObject *run(Prepared *prepared, const Py_buffer *chunk, Py_buffer *missing, Py_buffer *singletons) {
    Work *work = take_work(prepared);
    if (!work) return PyErr_NoMemory();
    Done done = {0};
    const char *p = chunk->buf, *end = p + chunk->len;
    Py_BEGIN_ALLOW_THREADS
    work->out.n = work->body.n = 0;
    work->last_contig = -1;
    if (missing) {
        work->missing = missing->buf;
        work->singletons = singletons->buf;
        rewrite_chunk(work, p, end, &done);
    } else {
        reorder_chunk(work, p, end, &done);
    }
    Py_END_ALLOW_THREADS
    PyObject *text = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)work->out.n), *result = NULL;
    if (text) {
        /* The largest copy of all, and nobody else has the new object yet: the others need not wait for it. */
        Py_BEGIN_ALLOW_THREADS
        if (work->out.n) memcpy(PyBytes_AS_STRING(text), work->out.p, work->out.n);
        Py_END_ALLOW_THREADS
        result = Py_BuildValue("(NLL(LLLLL)iL)", text, (long long)done.lines, (long long)done.written,
                               (long long)done.removed[0], (long long)done.removed[1], (long long)done.removed[2],
                               (long long)done.removed[3], (long long)done.removed[4], done.fault, (long long)done.lines);
    }
    give_work(prepared, work);
    return result;
}

/* rewrite(prepared, chunk, missing, singletons): two writable buffers of one 64-bit count per output column. */
static PyObject *rewrite(PyObject *self, PyObject *args) {
    PyObject *capsule, *result = NULL;
    Py_buffer chunk, missing, singletons;
    (void)self;
    if (!PyArg_ParseTuple(args, "Oy*w*w*", &capsule, &chunk, &missing, &singletons)) return NULL;
    Prepared *prepared = PyCapsule_GetPointer(capsule, "deid.layout");
    if (prepared && missing.len == prepared->plan.width * 8 && singletons.len == prepared->plan.width * 8)
        result = run(prepared, &chunk, &missing, &singletons);
    else if (prepared)
        PyErr_SetString(PyExc_ValueError, "a count per output column is needed");
    PyBuffer_Release(&chunk);
    PyBuffer_Release(&missing);
    PyBuffer_Release(&singletons);
    return result;
}

/* reorder(prepared, chunk): only the layout's columns matter. */
static PyObject *reorder(PyObject *self, PyObject *args) {
    PyObject *capsule, *result = NULL;
    Py_buffer chunk;
    (void)self;
    if (!PyArg_ParseTuple(args, "Oy*", &capsule, &chunk)) return NULL;
    Prepared *prepared = PyCapsule_GetPointer(capsule, "deid.layout");
    if (prepared) result = run(prepared, &chunk, NULL, NULL);
    PyBuffer_Release(&chunk);
    return result;
}

/* add(total, more): 64-bit counts, column by column. */
static PyObject *add(PyObject *self, PyObject *args) {
    Py_buffer total, more;
    (void)self;
    if (!PyArg_ParseTuple(args, "w*y*", &total, &more)) return NULL;
    int fits = total.len == more.len && total.len % 8 == 0;
    int64_t *to = total.buf;
    const int64_t *from = more.buf;
    for (Py_ssize_t i = 0; fits && i < total.len / 8; i++) to[i] += from[i];
    PyBuffer_Release(&total);
    PyBuffer_Release(&more);
    if (!fits) return PyErr_Format(PyExc_ValueError, "as many counts as there are in the total");
    Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
    {"prepare", prepare, METH_O, "Check and keep a layout."},
    {"rewrite", rewrite, METH_VARARGS, "Rewrite whole lines of the source."},
    {"reorder", reorder, METH_VARARGS, "Reorder the cells of whole lines of a core view."},
    {"add", add, METH_VARARGS, "Add counts."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_variants", "VCF records, compiled.", -1, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__variants(void) { return PyModule_Create(&module); }
