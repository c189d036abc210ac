/* What kinds of things whole records hold, for the judgement over a finished view. Twin: deid/reads/survey.py.
 * Promise: as in reads.c; nothing is written but the counts. */
#include "reads.h"

typedef struct {
    int64_t records, mates, odd_names, strangers, unplaced, most_operations, first, last;
    uint32_t flags, operations;
    uint8_t tags[8192], qualities[256], mapping[256];
    int fault;
} Seen;

static int is_our_name(const Record *r) {
    const uint8_t *p = r->p + 32;
    if (r->l_name != NAME + 1) return 0;
    for (int i = 0; i < NAME; i++) {
        uint8_t c = p[i];
        if (!((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_')) return 0;
    }
    return 1;
}

static int look(Seen *seen, const Layout *plan, Record *r) {
    int fault = read_fixed(plan, r);
    if (!fault) fault = read_tags(plan, r);
    if (fault) return fault;
    int64_t order = order_of(r);
    if (plan->sorted && seen->records && order < seen->last) return UNSORTED;
    if (!seen->records) seen->first = order;
    seen->last = order;
    seen->records++;
    seen->flags |= (uint32_t)r->flag;
    seen->mates += r->mate_contig >= 0 || r->mate_position >= 0 || i32(r->p + 28) != 0;
    seen->odd_names += !is_our_name(r);
    seen->strangers += r->group < 0;
    seen->unplaced += r->contig < 0 || r->position < 0;
    if (r->n_cigar > seen->most_operations) seen->most_operations = r->n_cigar;
    for (int64_t i = 0; i < r->n_cigar; i++) seen->operations |= 1u << (u32(r->cigar + 4 * i) & 15);
    seen->mapping[r->p[9]] = 1;
    for (int64_t i = 0; i < r->length; i++) seen->qualities[r->quality[i]] = 1;
    for (const uint8_t *p = r->tags; p < r->end; p += tag_size(p, r->end)) {
        uint32_t number = tag_number(p);
        seen->tags[number >> 3] |= (uint8_t)(1 << (number & 7));
    }
    return OK;
}

static void look_over(Seen *seen, const Layout *plan, const uint8_t *p, const uint8_t *end) {
    Record r;
    int more = 0;
    while (!seen->fault && (more = next_record(&p, end, &r)) > 0) seen->fault = look(seen, plan, &r);
    if (more < 0) seen->fault = BAD_LENGTH;
}

/* survey(prepared, head, text, start, end): (numbers, tags, qualities, mapping qualities); deid/reads/survey.py names them. */
PyObject *survey(PyObject *self, PyObject *args) {
    PyObject *capsule, *head, *text;
    Py_ssize_t start, end;
    (void)self;
    if (!PyArg_ParseTuple(args, "OSSnn", &capsule, &head, &text, &start, &end)) return NULL;
    Prepared *prepared = PyCapsule_GetPointer(capsule, "deid.reads");
    if (!prepared) return NULL;
    if (start < 0 || end < start || end > PyBytes_GET_SIZE(text)) return PyErr_Format(PyExc_ValueError, "a place outside the text");
    Seen *seen = PyMem_Calloc(1, sizeof *seen);
    if (!seen) return PyErr_NoMemory();
    const uint8_t *h = (const uint8_t *)PyBytes_AS_STRING(head), *t = (const uint8_t *)PyBytes_AS_STRING(text);
    Py_ssize_t h_size = PyBytes_GET_SIZE(head);
    Py_BEGIN_ALLOW_THREADS
    look_over(seen, &prepared->plan, h, h + h_size);
    look_over(seen, &prepared->plan, t + start, t + end);
    Py_END_ALLOW_THREADS
    PyObject *result = Py_BuildValue(
        "((iLLLLLLIILL)y#y#y#)", seen->fault, (long long)seen->records, (long long)seen->mates, (long long)seen->odd_names,
        (long long)seen->strangers, (long long)seen->unplaced, (long long)seen->most_operations, seen->flags,
        seen->operations, (long long)seen->first, (long long)seen->last, (const char *)seen->tags, (Py_ssize_t)sizeof seen->tags, (const char *)seen->qualities,
        (Py_ssize_t)256, (const char *)seen->mapping, (Py_ssize_t)256);
    PyMem_Free(seen);
    return result;
}
