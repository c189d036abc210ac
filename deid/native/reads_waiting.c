/* Places that wait for their turn, the least first: a heap of four words each. Twin: Waiting in deid/reads/substitute.py.
 * Promise: nothing but whole places is taken in; the interpreter's lock is released while they are put in order, and a
 * second caller meanwhile is refused. */
#include "reads_places.h"

typedef struct { uint64_t w[4]; } Place;
typedef struct { Place *heap; size_t n, cap; int busy; } Waiting;

static inline int is_less(const Place *a, const Place *b) {
    for (int i = 0; i < 4; i++)
        if (a->w[i] != b->w[i]) return a->w[i] < b->w[i];
    return 0;
}

static void push(Waiting *all, Place one) {
    size_t at = all->n++;
    while (at && is_less(&one, &all->heap[(at - 1) / 2])) {
        all->heap[at] = all->heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    all->heap[at] = one;
}

static Place pop(Waiting *all) {
    Place least = all->heap[0], one = all->heap[--all->n];
    size_t at = 0, child;
    while ((child = 2 * at + 1) < all->n) {
        child += child + 1 < all->n && is_less(&all->heap[child + 1], &all->heap[child]);
        if (!is_less(&all->heap[child], &one)) break;
        all->heap[at] = all->heap[child];
        at = child;
    }
    if (all->n) all->heap[at] = one;
    return least;
}

static int make_room(Waiting *all, size_t more) {
    size_t cap = all->cap ? all->cap : 4096;
    if (all->n + more <= all->cap) return 1;
    while (cap < all->n + more) cap *= 2;
    Place *heap = PyMem_RawRealloc(all->heap, cap * sizeof *heap);
    if (!heap) return 0;
    all->heap = heap;
    all->cap = cap;
    return 1;
}

static void add(Waiting *all, const uint8_t *p, size_t count) {
    for (size_t i = 0; i < count; i++, p += PLACE) {
        Place one;
        for (int word = 0; word < 4; word++) one.w[word] = big(p + 8 * word, 8);
        push(all, one);
    }
}

/* What the record of a place will cost, about: as the twin counts it. */
static int64_t cost_of(const Place *one) {
    int64_t length = (int64_t)((one->w[2] & 0xffff) << 16 | one->w[3] >> 48);
    return 64 + length + length / 2;
}

static size_t take_out(Waiting *all, uint8_t *out, uint64_t frontier, int64_t most) {
    size_t n = 0;
    while (all->n && all->heap[0].w[0] < frontier && most > 0) {
        Place one = pop(all);
        for (int word = 0; word < 4; word++) put_big(out + n + 8 * word, one.w[word], 8);
        n += PLACE;
        most -= cost_of(&one);
    }
    return n;
}

static void forget(PyObject *capsule) {
    Waiting *all = PyCapsule_GetPointer(capsule, "deid.reads.waiting");
    if (!all) return;
    PyMem_RawFree(all->heap);
    PyMem_Free(all);
}

PyObject *waiting(PyObject *self, PyObject *none) {
    (void)self, (void)none;
    Waiting *all = PyMem_Calloc(1, sizeof *all);
    return all ? PyCapsule_New(all, "deid.reads.waiting", forget) : PyErr_NoMemory();
}

/* take(waiting, places, frontier, most): (places in order, how many wait). Those whose contig and start are before the
 * frontier, until their records would be `most` bytes, about. */
PyObject *take(PyObject *self, PyObject *args) {
    PyObject *capsule;
    const char *places;
    Py_ssize_t size, most;
    long long frontier;
    (void)self;
    if (!PyArg_ParseTuple(args, "Oy#Ln", &capsule, &places, &size, &frontier, &most)) return NULL;
    Waiting *all = PyCapsule_GetPointer(capsule, "deid.reads.waiting");
    if (!all) return NULL;
    if (size % PLACE || frontier < 0 || most < 1) return PyErr_Format(PyExc_ValueError, "whole places, a frontier and room");
    if (all->busy) return PyErr_Format(PyExc_RuntimeError, "these places are being put in order already");
    size_t count = (size_t)size / PLACE, room = (size_t)most / 64 + 1;
    if (!make_room(all, count)) return PyErr_NoMemory();
    if (room > all->n + count) room = all->n + count;
    PyObject *made = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)(room * PLACE));
    if (!made) return NULL;
    all->busy = 1;
    size_t n;
    Py_BEGIN_ALLOW_THREADS
    add(all, (const uint8_t *)places, count);
    n = take_out(all, (uint8_t *)PyBytes_AS_STRING(made), (uint64_t)frontier, most);
    Py_END_ALLOW_THREADS
    all->busy = 0;
    if (_PyBytes_Resize(&made, (Py_ssize_t)n)) return NULL;
    return Py_BuildValue("(Nn)", made, (Py_ssize_t)all->n);
}
