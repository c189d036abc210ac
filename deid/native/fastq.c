/* FASTQ records, and the door to Python. Twin: deid/fastq/records.py; names match it.
 * Promise: no byte outside the given chunk is read, and the interpreter's lock is released while a chunk is worked on. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "names.h"

enum Fault { OK, CRLF, BAD_NAME, BAD_BASE, BAD_PLUS, BAD_QUALITY, RAGGED, OUT_OF_MEMORY }; /* deid.fastq.errors */

typedef struct { const uint8_t *p; size_t n; } Line;
typedef struct { const uint8_t *key, *bases, *quality; } Tables;
typedef struct { uint8_t *out, *names; size_t n, records; int fault; } Done;

static int take_line(const uint8_t **p, const uint8_t *end, Line *line) {
    const uint8_t *stop = memchr(*p, '\n', (size_t)(end - *p));
    if (!stop) return 0;
    *line = (Line){*p, (size_t)(stop - *p)};
    *p = stop + 1;
    return 1;
}

/* The name is what stands before the first space or tab, without the /1 or /2 of a mate. */
static int take_name(Line head, Line *name) {
    if (head.n < 2 || head.p[0] != '@') return 0;
    size_t n = 1;
    for (; n < head.n && head.p[n] != ' ' && head.p[n] != '\t'; n++)
        if (head.p[n] < '!' || head.p[n] > '~') return 0;
    if (n > 3 && head.p[n - 2] == '/' && (head.p[n - 1] == '1' || head.p[n - 1] == '2')) n -= 2;
    *name = (Line){head.p + 1, n - 1};
    return n > 1;
}

/* Copies through a table; 0 where the table refuses a byte (its entry is 0). */
static int translate(uint8_t *to, Line from, const uint8_t *table) {
    uint8_t least = 255;
    for (size_t i = 0; i < from.n; i++) {
        to[i] = table[from.p[i]];
        least = to[i] < least ? to[i] : least;
    }
    return least > 0;
}

static int one(const uint8_t **p, const uint8_t *end, const Tables *tables, Done *done) {
    Line line[4], name;
    uint64_t hash[2];
    for (int i = 0; i < 4; i++) {
        if (!take_line(p, end, &line[i])) return RAGGED;
        if (line[i].n && line[i].p[line[i].n - 1] == '\r') return CRLF;
    }
    if (!take_name(line[0], &name)) return BAD_NAME;
    if (!line[2].n || line[2].p[0] != '+') return BAD_PLUS;
    if (line[1].n != line[3].n) return RAGGED;
    siphash128(tables->key, name.p, name.n, hash);
    uint8_t *to = done->out + done->n;
    *to++ = '@';
    put_name(to, hash);
    to[NAME] = '\n';
    to += NAME + 1;
    if (!translate(to, line[1], tables->bases)) return BAD_BASE;
    to += line[1].n;
    memcpy(to, "\n+\n", 3);
    to += 3;
    if (!translate(to, line[3], tables->quality)) return BAD_QUALITY;
    to += line[3].n;
    *to++ = '\n';
    memcpy(done->names + 8 * done->records++, hash, 8);
    done->n = (size_t)(to - done->out);
    return OK;
}

/* rewrite(key, bases, quality, chunk): (bytes, hash words of the names, records, fault). */
static PyObject *rewrite(PyObject *self, PyObject *args) {
    Py_buffer key, bases, quality, chunk;
    PyObject *result = NULL;
    (void)self;
    if (!PyArg_ParseTuple(args, "y*y*y*y*", &key, &bases, &quality, &chunk)) return NULL;
    if (key.len != 16 || bases.len != 256 || quality.len != 256) {
        PyErr_SetString(PyExc_ValueError, "a key of 16 and two tables of 256 bytes are needed");
    } else {
        Tables tables = {key.buf, bases.buf, quality.buf};
        Done done = {0};
        const uint8_t *p = chunk.buf, *end = p + chunk.len;
        Py_BEGIN_ALLOW_THREADS
        /* The least record, "@a", two empty lines and "+", has 7 bytes; its name grows to 14 letters. */
        size_t most = (size_t)chunk.len / 7 + 1;
        done.out = malloc((size_t)chunk.len + most * (NAME + 8));
        done.names = malloc(8 * most);
        if (!done.out || !done.names) done.fault = OUT_OF_MEMORY;
        while (!done.fault && p < end) done.fault = one(&p, end, &tables, &done);
        Py_END_ALLOW_THREADS
        result = Py_BuildValue("(y#y#ni)", done.out ? (const char *)done.out : "", (Py_ssize_t)done.n,
                               done.names ? (const char *)done.names : "", (Py_ssize_t)(8 * done.records),
                               (Py_ssize_t)done.records, done.fault);
        free(done.out);
        free(done.names);
    }
    PyBuffer_Release(&key);
    PyBuffer_Release(&bases);
    PyBuffer_Release(&quality);
    PyBuffer_Release(&chunk);
    return result;
}

static PyMethodDef methods[] = {
    {"rewrite", rewrite, METH_VARARGS, "Rewrite whole records."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_fastq", "FASTQ records, compiled.", -1, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__fastq(void) { return PyModule_Create(&module); }
