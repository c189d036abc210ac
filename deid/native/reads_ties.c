/* Reads of one place in the order of their names. Twin: deid/reads/ties.py.
 * Promise: as in reads.c; the records are our own, and still every length is checked. */
#include "reads.h"

enum { LEAST = 32 + NAME };

typedef struct { const uint8_t *p; uint32_t size; } Body; /* with its length in front, which is not compared */

static int by_name(const void *left, const void *right) {
    const Body *a = left, *b = right;
    int order = memcmp(a->p + 36, b->p + 36, NAME);
    if (!order) order = memcmp(a->p + 4, b->p + 4, a->size < b->size ? a->size : b->size);
    return order ? order : (a->size > b->size) - (a->size < b->size);
}

static int is_whole(const uint8_t *p, const uint8_t *end) {
    return end - p >= 4 && u32(p) >= LEAST && u32(p) <= MAX_RECORD && u32(p) <= end - p - 4;
}

static void put_run(Out *out, Body *run, int64_t count) {
    if (count > 1) qsort(run, (size_t)count, sizeof *run, by_name);
    for (int64_t i = 0; i < count; i++) put(out, run[i].p, 4 + (size_t)run[i].size);
}

/* Writes every run that has ended and gives where the last one begins; NULL where a record is not whole. */
static const uint8_t *over_runs(Out *out, const uint8_t *p, const uint8_t *end, Body *run, int64_t most) {
    const uint8_t *begin = p;
    int64_t count = 0;
    for (; p < end; p += 4 + u32(p)) {
        if (!is_whole(p, end)) return NULL;
        if (count && (count == most || memcmp(p + 4, begin + 4, 8))) {
            put_run(out, run, count);
            begin = p, count = 0;
        }
        run[count++] = (Body){p, u32(p)};
    }
    return begin;
}

/* ties(text, most): (the runs that have ended, in order, and where the last one begins). A run has `most` reads. */
PyObject *ties(PyObject *self, PyObject *args) {
    const char *text;
    Py_ssize_t size;
    long long most;
    (void)self;
    if (!PyArg_ParseTuple(args, "y#L", &text, &size, &most)) return NULL;
    if (most < 1 || most > 1 << 24) return PyErr_Format(PyExc_ValueError, "a run has one read at least");
    int64_t runs = size / (4 + LEAST) + 1 < most ? size / (4 + LEAST) + 1 : most;
    Body *run = PyMem_Malloc((size_t)runs * sizeof *run);
    PyObject *made = run ? PyBytes_FromStringAndSize(NULL, size) : PyErr_NoMemory();
    if (!made) {
        PyMem_Free(run);
        return NULL;
    }
    const uint8_t *p = (const uint8_t *)text, *last;
    Out out = {(uint8_t *)PyBytes_AS_STRING(made), 0, (size_t)size};
    Py_BEGIN_ALLOW_THREADS
    last = over_runs(&out, p, p + size, run, most);
    Py_END_ALLOW_THREADS
    PyMem_Free(run);
    if (!last) {
        Py_DECREF(made);
        return PyErr_Format(PyExc_ValueError, "a record is not whole");
    }
    if (_PyBytes_Resize(&made, (Py_ssize_t)out.n)) return NULL;
    return Py_BuildValue("(Nn)", made, (Py_ssize_t)(last - p));
}

/* one_run(text): how many reads the text holds if all are of one place, else 0. */
PyObject *one_run(PyObject *self, PyObject *text) {
    (void)self;
    if (!PyBytes_Check(text)) return PyErr_Format(PyExc_TypeError, "bytes");
    const uint8_t *begin = (const uint8_t *)PyBytes_AS_STRING(text), *end = begin + PyBytes_GET_SIZE(text), *p = begin;
    long long count = 0;
    for (; p < end; p += 4 + u32(p), count++)
        if (!is_whole(p, end) || memcmp(p + 4, begin + 4, 8)) return PyLong_FromLong(0);
    return PyLong_FromLongLong(count);
}
