/* The reference's bases: written into records of places, and compared with those of records.
 * Twins: substituted() in deid/reads/substitute.py and are_reference() in deid/reads/bases.py. Promise: as in reads.c.
 * Both are given a stretch of one contig and stop in front of what does not lie in it. */
#include "reads_places.h"

enum { MAPPING_QUALITY = 60, BASE_QUALITY = 30 };

typedef struct { const uint8_t *bases; int64_t contig, start, end; } Stretch;

static uint8_t code_of(uint8_t letter) { /* SAM specification section 4.2.3; what is none of the four is N */
    return letter == 'A' ? 1 : letter == 'C' ? 2 : letter == 'G' ? 4 : letter == 'T' ? 8 : 15;
}

static const uint8_t *codes(void) { /* filled by the first caller, who holds the interpreter's lock */
    static uint8_t table[256];
    if (!table['A'])
        for (int i = 0; i < 256; i++) table[i] = code_of((uint8_t)i);
    return table;
}

static int lies_in(const Stretch *stretch, int64_t contig, int64_t start, int64_t length) {
    return contig == stretch->contig && start >= stretch->start && length >= 0 && start + length <= stretch->end;
}

static size_t size_of_record(const Layout *plan, int64_t length, int64_t group) {
    int64_t code = plan->codes.at[group + 1] - plan->codes.at[group];
    return (size_t)(FIXED + NAME + 1 + 4 + (length + 1) / 2 + length + 3 + code + 1);
}

static int is_place_in(const Layout *plan, const Stretch *stretch, const uint8_t *p) {
    int64_t length = (int64_t)big(p + AT_LENGTH, 4), group = (int64_t)big(p + AT_GROUP, 4);
    if (group >= plan->codes.count || length < 1 || length >= MAX_RECORD) return 0;
    return lies_in(stretch, (int64_t)big(p, 4), (int64_t)big(p + 4, 4), length);
}

static void put_record(Out *out, const Layout *plan, const Stretch *stretch, const uint8_t *code, const uint8_t *p) {
    int64_t contig = (int64_t)big(p, 4), start = (int64_t)big(p + 4, 4);
    int64_t length = (int64_t)big(p + AT_LENGTH, 4), group = (int64_t)big(p + AT_GROUP, 4);
    uint32_t bin = (uint32_t)reg2bin(start, start + length) & 0xffff, none = UINT32_MAX;
    uint32_t words[9] = {(uint32_t)(size_of_record(plan, length, group) - 4), (uint32_t)contig, (uint32_t)start,
                         (NAME + 1) | MAPPING_QUALITY << 8 | bin << 16, 1 | (uint32_t)p[AT_STRAND] << 16,
                         (uint32_t)length, none, none, 0};
    put(out, words, sizeof words);
    put(out, p + AT_NAME, NAME);
    put(out, "", 1);
    uint32_t match = (uint32_t)length << 4;
    put(out, &match, 4);
    const uint8_t *bases = stretch->bases + (start - stretch->start);
    uint8_t *to = out->p + out->n;
    for (int64_t i = 0; i + 1 < length; i += 2) *to++ = (uint8_t)(code[bases[i]] << 4 | code[bases[i + 1]]);
    if (length & 1) *to++ = (uint8_t)(code[bases[length - 1]] << 4);
    memset(to, BASE_QUALITY, (size_t)length);
    out->n = (size_t)(to - out->p) + (size_t)length;
    put_group(out, plan, group);
}

/* substitute(prepared, places, at, contig, bases, start): (records, where the first place begins that is not in
 * `bases`, which are those of `contig` from `start` on). */
PyObject *substitute(PyObject *self, PyObject *args) {
    PyObject *capsule;
    const char *places, *bases;
    Py_ssize_t size, at, n_bases;
    long long contig, start;
    (void)self;
    if (!PyArg_ParseTuple(args, "Oy#nLy#L", &capsule, &places, &size, &at, &contig, &bases, &n_bases, &start)) return NULL;
    Prepared *prepared = PyCapsule_GetPointer(capsule, "deid.reads");
    if (!prepared) return NULL;
    const Layout *plan = &prepared->plan;
    if (at < 0 || at > size || (size - at) % PLACE || start < 0 || start > INT32_MAX || contig < 0 || contig >= plan->contigs)
        return PyErr_Format(PyExc_ValueError, "no places or no stretch");
    const uint8_t *p = (const uint8_t *)places, *code = codes();
    Stretch stretch = {(const uint8_t *)bases, contig, start, start + n_bases};
    Out out = {0};
    Py_ssize_t stop = at;
    for (; stop < size && is_place_in(plan, &stretch, p + stop); stop += PLACE)
        out.cap += size_of_record(plan, (int64_t)big(p + stop + AT_LENGTH, 4), (int64_t)big(p + stop + AT_GROUP, 4));
    if (stop == at && at < size) return PyErr_Format(PyExc_ValueError, "the first place is not in the stretch");
    PyObject *made = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)out.cap);
    if (!made) return NULL;
    out.p = (uint8_t *)PyBytes_AS_STRING(made);
    Py_BEGIN_ALLOW_THREADS
    for (; at < stop; at += PLACE) put_record(&out, plan, &stretch, code, p + at);
    Py_END_ALLOW_THREADS
    return Py_BuildValue("(Nn)", made, stop);
}

static int is_same(const Stretch *stretch, const uint8_t *code, const Record *r) {
    const uint8_t *bases = stretch->bases + (r->position - stretch->start);
    uint8_t other = 0;
    for (int64_t i = 0; i + 1 < r->length; i += 2)
        other |= r->sequence[i / 2] ^ (uint8_t)(code[bases[i]] << 4 | code[bases[i + 1]]);
    if (r->length & 1) other |= r->sequence[r->length / 2] ^ (uint8_t)(code[bases[r->length - 1]] << 4);
    return !other;
}

/* Where the first record begins that is not in the stretch, not whole or not the reference's. */
static const uint8_t *compare_all(
    const Layout *plan, const Stretch *stretch, const uint8_t *code, const uint8_t *p, const uint8_t *end
) {
    Record r;
    const uint8_t *next = p;
    for (; next_record(&next, end, &r) > 0 && read_fixed(plan, &r) == OK; p = next)
        if (!lies_in(stretch, r.contig, r.position, r.length) || !is_same(stretch, code, &r)) break;
    return p;
}

/* compare(prepared, text, at, end, contig, bases, start): up to where the records are the reference's. */
PyObject *compare(PyObject *self, PyObject *args) {
    PyObject *capsule;
    const char *text, *bases;
    Py_ssize_t size, at, end, n_bases;
    long long contig, start;
    (void)self;
    if (!PyArg_ParseTuple(args, "Oy#nnLy#L", &capsule, &text, &size, &at, &end, &contig, &bases, &n_bases, &start)) return NULL;
    Prepared *prepared = PyCapsule_GetPointer(capsule, "deid.reads");
    if (!prepared) return NULL;
    if (at < 0 || end < at || end > size || start < 0 || start > INT32_MAX)
        return PyErr_Format(PyExc_ValueError, "a place outside the text");
    Stretch stretch = {(const uint8_t *)bases, contig, start, start + n_bases};
    const uint8_t *p = (const uint8_t *)text, *code = codes(), *stop;
    Py_BEGIN_ALLOW_THREADS
    stop = compare_all(&prepared->plan, &stretch, code, p + at, p + end);
    Py_END_ALLOW_THREADS
    return PyLong_FromSsize_t((Py_ssize_t)(stop - p));
}
