/* Which source reads are substituted, and where each will stand. Twin: placed() in deid/reads/substitute.py.
 * Promise: as in reads.c. */
#include "reads_places.h"

enum { MAX_CLIP = 10000, LONGEST = 1 << 23, READ_2 = 0x80, DROPPED = 0x4 | 0x100 | 0x200 | 0x400 | 0x800 };

typedef struct { int64_t start, length; } Stand;

/* Where the read would lie were it not clipped; false where nothing can stand for it. */
static int stands(const Layout *plan, const Record *r, Stand *found) {
    static const uint8_t counted[] = {1, 1, 0, 0, 1, 1, 0, 1, 1}; /* all that takes a base of the read, hard clips too */
    int64_t length = 0, start = r->position, most = plan->lengths[r->contig];
    int clipping = 1;
    for (int64_t i = 0; i < r->n_cigar; i++) {
        uint32_t word = u32(r->cigar + 4 * i), op = word & 15, size = word >> 4;
        if (op == 3) return 0;
        length += counted[op] ? size : 0;
        clipping &= op == 4 || op == 5;
        start -= clipping ? size : 0;
    }
    if (length < 1 || length > most || length > LONGEST || length > r->length + MAX_CLIP) return 0;
    if (r->position - r->reach_start > MAX_CLIP) return 0;
    if (r->flag & REVERSE) start = r->reach_end - length; /* anchored where its sequencing began: else an indel would show */
    start = start < most - length ? start : most - length;
    *found = (Stand){start > 0 ? start : 0, length};
    return r->position - found->start <= MAX_CLIP && found->start - r->position <= MAX_CLIP;
}

static int is_of_hidden_name(const Layout *plan, const Record *r) {
    uint64_t hash[2];
    if (!plan->n_hidden) return 0;
    siphash128(plan->key, r->p + 32, (size_t)r->l_name - 1, hash);
    return is_hidden(plan, hash[0]);
}

static int reason_of(const Layout *plan, const Record *r, Stand *found) {
    if (r->flag & DROPPED || r->contig < 0 || r->position < 0) return FLAG;
    if (touches(plan, r) || is_of_hidden_name(plan, r)) return MASKED;
    if (r->group < 0 || plan->codes.at[r->group] == plan->codes.at[r->group + 1]) return NOT_PERMITTED;
    if (!stands(plan, r, found)) return NO_SUBSTITUTE;
    if (plan->in_region && !in_region(plan, r->contig, found->start, found->start + found->length)) return OUTSIDE_REGION;
    return WRITTEN;
}

/* The new name is of this read alone: mates that shared one would show how far apart they lie. */
static void put_place(Out *out, const Layout *plan, const Record *r, const Stand *found) {
    uint8_t name[256 + 2], made[NAME + 1], *p = out->p + out->n;
    size_t size = (size_t)r->l_name - 1;
    uint64_t hash[2];
    memcpy(name, r->p + 32, size);
    memcpy(name + size, r->flag & READ_2 ? "/2" : "/1", 2);
    siphash128(plan->key, name, size + 2, hash);
    put_name(made, hash);
    put_big(p, (uint64_t)r->contig, 4);
    put_big(p + 4, (uint64_t)found->start, 4);
    memcpy(p + AT_NAME, made, NAME);
    put_big(p + AT_LENGTH, (uint64_t)found->length, 4);
    p[AT_STRAND] = (uint8_t)(r->flag & REVERSE);
    p[AT_STRAND + 1] = 0;
    put_big(p + AT_GROUP, (uint64_t)r->group, 4);
    out->n += PLACE;
}

static int place_one(Out *out, const Layout *plan, Record *r, Done *done) {
    Stand found;
    int fault = read_fixed(plan, r);
    if (!fault) fault = read_tags(plan, r);
    if (fault) return fault;
    int64_t order = order_of(r);
    if (done->records && order < done->last) return UNSORTED;
    if (!done->records) done->first = order;
    done->last = order;
    done->records++;
    int reason = reason_of(plan, r, &found);
    if (reason != WRITTEN) {
        done->removed[reason]++;
        return OK;
    }
    if (out->cap - out->n < PLACE) return OUT_OF_MEMORY;
    put_place(out, plan, r, &found);
    done->written++;
    return OK;
}

static size_t room_for(const uint8_t *p, const uint8_t *end) {
    Record r;
    size_t room = 0;
    while (next_record(&p, end, &r) > 0) room += PLACE;
    return room;
}

static void place_all(Out *out, const Layout *plan, const uint8_t *p, const uint8_t *end, Done *done) {
    Record r;
    int more = 0;
    while (!done->fault && (more = next_record(&p, end, &r)) > 0) done->fault = place_one(out, plan, &r, done);
    if (more < 0) done->fault = BAD_LENGTH;
}

/* place(prepared, head, text, start, end): as rewrite() in reads.c, places instead of records. */
PyObject *place(PyObject *self, PyObject *args) {
    PyObject *capsule, *head, *text;
    Py_ssize_t start, end;
    (void)self;
    if (!PyArg_ParseTuple(args, "OSSnn", &capsule, &head, &text, &start, &end)) return NULL;
    Prepared *prepared = PyCapsule_GetPointer(capsule, "deid.reads");
    if (!prepared) return NULL;
    if (start < 0 || end < start || end > PyBytes_GET_SIZE(text)) return PyErr_Format(PyExc_ValueError, "a place outside the text");
    const uint8_t *h = (const uint8_t *)PyBytes_AS_STRING(head), *h_end = h + PyBytes_GET_SIZE(head);
    const uint8_t *t = (const uint8_t *)PyBytes_AS_STRING(text);
    Done done = {0};
    Out out = {0};
    out.cap = room_for(h, h_end) + room_for(t + start, t + end);
    PyObject *made = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)out.cap);
    if (!made) return NULL;
    out.p = (uint8_t *)PyBytes_AS_STRING(made);
    Py_BEGIN_ALLOW_THREADS
    place_all(&out, &prepared->plan, h, h_end, &done);
    place_all(&out, &prepared->plan, t + start, t + end, &done);
    Py_END_ALLOW_THREADS
    if (_PyBytes_Resize(&made, (Py_ssize_t)out.n)) return NULL;
    return answer(made, &done);
}
