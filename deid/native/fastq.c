/* FASTQ records, and the door to Python. Twin: deid/fastq/records.py; names match it.
 * Promise: no byte outside the given chunk is read, and the interpreter's lock is released while a chunk is worked on. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>
#include <string.h>

#include "names.h"

enum Fault { OK, CRLF, BAD_NAME, BAD_BASE, BAD_PLUS, BAD_QUALITY, RAGGED, OUT_OF_MEMORY }; /* deid.fastq.errors */

typedef struct { const uint8_t *p; size_t n; } Line;
typedef struct {
    const uint8_t *key, *bases, *quality;
    int keeps_bases, keeps_quality; /* whether A, C, G, T and N, and whether all qualities, are written as they are */
} Tables;
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

/* Two loops without a branch, so that sixteen letters at a time are looked at; what they do not pass the table judges. */
static int are_plain_bases(Line from) {
    uint8_t all = 255;
    for (size_t i = 0; i < from.n; i++) {
        uint8_t c = from.p[i];
        all &= (uint8_t)-((c == 'A') | (c == 'C') | (c == 'G') | (c == 'T') | (c == 'N'));
    }
    return all != 0;
}

static int are_qualities(Line from) {
    uint8_t least = 255, most = 0;
    for (size_t i = 0; i < from.n; i++) {
        least = from.p[i] < least ? from.p[i] : least;
        most = from.p[i] > most ? from.p[i] : most;
    }
    return least >= '!' && most <= '~';
}

static int put_line(uint8_t *to, Line from, const uint8_t *table, int as_is) {
    if (!as_is) return translate(to, from, table);
    memcpy(to, from.p, from.n);
    return 1;
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
    if (!put_line(to, line[1], tables->bases, tables->keeps_bases && are_plain_bases(line[1]))) return BAD_BASE;
    to += line[1].n;
    memcpy(to, "\n+\n", 3);
    to += 3;
    if (!put_line(to, line[3], tables->quality, tables->keeps_quality && are_qualities(line[3]))) return BAD_QUALITY;
    to += line[3].n;
    *to++ = '\n';
    memcpy(done->names + 8 * done->records++, hash, 8);
    done->n = (size_t)(to - done->out);
    return OK;
}

static Tables tables_of(const uint8_t *key, const uint8_t *bases, const uint8_t *quality) {
    Tables tables = {key, bases, quality, 1, 1};
    for (const char *p = "ACGTN"; *p; p++) tables.keeps_bases &= bases[(uint8_t)*p] == (uint8_t)*p;
    for (int i = '!'; i <= '~'; i++) tables.keeps_quality &= quality[i] == i;
    return tables;
}

/* How many lines end; sixteen letters at a time, which neither memchr nor bytes.count does. */
static size_t lines_in(const uint8_t *p, const uint8_t *end) {
    size_t count = 0;
    for (; p < end; p++) count += *p == '\n';
    return count;
}

/* The least record, "@a", two empty lines and "+", has 7 bytes; its name grows to 14 letters. */
static size_t most_records(const uint8_t *p, const uint8_t *end) { return lines_in(p, end) / 4 + 1; }

/* rewrite(key, bases, quality, head, text, start, end): (bytes, hash words of the names, records, fault). Whole records
 * in `head` (one that lay across two pieces of text) come before those of text[start:end]. */
static PyObject *rewrite(PyObject *self, PyObject *args) {
    PyObject *key, *bases, *quality, *head, *text, *made, *names;
    Py_ssize_t start, end;
    (void)self;
    if (!PyArg_ParseTuple(args, "SSSSSnn", &key, &bases, &quality, &head, &text, &start, &end)) return NULL;
    if (PyBytes_GET_SIZE(key) != 16 || PyBytes_GET_SIZE(bases) != 256 || PyBytes_GET_SIZE(quality) != 256)
        return PyErr_Format(PyExc_ValueError, "a key of 16 and two tables of 256 bytes are needed");
    if (start < 0 || end < start || end > PyBytes_GET_SIZE(text)) return PyErr_Format(PyExc_ValueError, "a place outside the text");
    Tables tables = tables_of((const uint8_t *)PyBytes_AS_STRING(key), (const uint8_t *)PyBytes_AS_STRING(bases),
                              (const uint8_t *)PyBytes_AS_STRING(quality));
    const uint8_t *h = (const uint8_t *)PyBytes_AS_STRING(head), *h_end = h + PyBytes_GET_SIZE(head);
    const uint8_t *t = (const uint8_t *)PyBytes_AS_STRING(text) + start, *t_end = t + (end - start);
    size_t most = most_records(h, h_end) + most_records(t, t_end);
    made = PyBytes_FromStringAndSize(NULL, (h_end - h) + (t_end - t) + (Py_ssize_t)most * (NAME + 8));
    names = PyBytes_FromStringAndSize(NULL, 8 * (Py_ssize_t)most);
    if (!made || !names) {
        Py_XDECREF(made);
        Py_XDECREF(names);
        return NULL;
    }
    Done done = {0};
    done.out = (uint8_t *)PyBytes_AS_STRING(made);
    done.names = (uint8_t *)PyBytes_AS_STRING(names);
    Py_BEGIN_ALLOW_THREADS
    while (!done.fault && h < h_end) done.fault = one(&h, h_end, &tables, &done);
    while (!done.fault && t < t_end) done.fault = one(&t, t_end, &tables, &done);
    Py_END_ALLOW_THREADS
    if (_PyBytes_Resize(&made, (Py_ssize_t)done.n)) {
        Py_DECREF(names);
        return NULL;
    }
    if (_PyBytes_Resize(&names, (Py_ssize_t)(8 * done.records))) {
        Py_DECREF(made);
        return NULL;
    }
    return Py_BuildValue("(NNni)", made, names, (Py_ssize_t)done.records, done.fault);
}

/* lines(text, start): how many lines end in text[start:]. */
static PyObject *lines(PyObject *self, PyObject *args) {
    PyObject *text;
    Py_ssize_t start;
    (void)self;
    if (!PyArg_ParseTuple(args, "Sn", &text, &start)) return NULL;
    const uint8_t *p = (const uint8_t *)PyBytes_AS_STRING(text), *end = p + PyBytes_GET_SIZE(text);
    if (start < 0 || start > end - p) return PyErr_Format(PyExc_ValueError, "a place outside the text");
    return PyLong_FromSize_t(lines_in(p + start, end));
}

static PyMethodDef methods[] = {
    {"lines", lines, METH_VARARGS, "How many lines end."},
    {"rewrite", rewrite, METH_VARARGS, "Rewrite whole records."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_fastq", "FASTQ records, compiled.", -1, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__fastq(void) { return PyModule_Create(&module); }
