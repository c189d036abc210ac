/* BAM records, one after another, and the door to Python. Twin: deid/reads/records.py; names match it.
 * Promise: no byte outside the given chunk is read, every length is checked before it is used, and the interpreter's
 * lock is released while a chunk is worked on. SAM specification sections 1.4, 1.5 and 4.2. */
#include "reads.h"

enum { IN_MD = 1, IN_MC = 2 };
static uint8_t letters_of[256]; /* which texts may hold a letter; filled when the module is loaded */

static void fill_letters(void) {
    for (const char *p = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ^"; *p; p++) letters_of[(uint8_t)*p] |= IN_MD;
    for (const char *p = "0123456789MIDNSHP=X*"; *p; p++) letters_of[(uint8_t)*p] |= IN_MC;
}

/* A text that is kept holds only what its tag can hold: a tag is no room for a note. */
static int is_kept_value(const uint8_t *p, int64_t size) {
    if (p[2] == 'Z') {
        uint8_t all = p[0] != 'M' ? 0 : p[1] == 'D' ? IN_MD : p[1] == 'C' ? IN_MC : 0;
        for (int64_t i = 3; i < size - 1; i++) all &= letters_of[p[i]];
        return all != 0;
    }
    if (p[2] == 'A') return p[3] == '+' || p[3] == '-';
    return p[2] != 'H' && p[2] != 'B' && p[2] != 'f';
}

static int reason_of(const Layout *plan, const Record *r, uint64_t hash, int touched) {
    if (r->flag & plan->drop_flags) return FLAG;
    if (touched || is_hidden(plan, hash)) return MASKED;
    if (r->group < 0 || plan->codes.at[r->group] == plan->codes.at[r->group + 1]) return NOT_PERMITTED;
    if (plan->in_region && !in_region(plan, r->contig, r->span_start, r->span_end)) return OUTSIDE_REGION;
    return WRITTEN;
}

/* The most bytes a record of `size` can become: our name and our read group besides what it had. */
static inline size_t most_of(const Layout *plan, int64_t size) {
    return 4 + (size_t)size + NAME + 1 + 4 + (size_t)plan->longest_code;
}

static int put_tags(Out *out, const Layout *plan, const Record *r, int mate_hidden) {
    uint32_t kept[64], n = 0, group = 'R' | 'G' << 8;
    int grouped = 0;
    for (const uint8_t *p = r->tags; p < r->end;) {
        int64_t size = tag_size(p, r->end);
        uint32_t number = tag_number(p);
        int is_mate = p[0] == 'M' && (p[1] == 'C' || p[1] == 'Q');
        if (number == group) {
            if (plan->tags[number >> 3] >> (number & 7) & 1) put_group(out, plan, r->group);
            grouped = 1;
        } else if (r->long_cigar && p[0] == 'C' && p[1] == 'G' && p[2] == 'B' && p[3] == 'I') {
            put(out, p, (size_t)size);
        } else if ((plan->tags[number >> 3] >> (number & 7) & 1) && !(is_mate && mate_hidden)) {
            for (uint32_t i = 0; i < n; i++)
                if (kept[i] == number) return BAD_TAG;
            if (n == 64 || !is_kept_value(p, size)) return BAD_TAG;
            kept[n++] = number;
            put(out, p, (size_t)size);
        }
        p += size;
    }
    if (!grouped && (plan->tags[group >> 3] >> (group & 7) & 1)) put_group(out, plan, r->group);
    return OK;
}

static int put_bases(Out *out, const Layout *plan, const Record *r) {
    size_t bytes = (size_t)(r->length + 1) / 2;
    put(out, r->sequence, bytes);
    if (r->length & 1) out->p[out->n - 1] &= 0xf0; /* the last half byte is nobody's base */
    uint8_t *to = out->p + out->n, bad = 0, most = 0;
    if (plan->keeps_quality) {
        memcpy(to, r->quality, (size_t)r->length);
        for (int64_t i = 0; i < r->length; i++) most = to[i] > most ? to[i] : most;
    }
    if (!plan->keeps_quality || most > MOST_QUALITY) {
        for (int64_t i = 0; i < r->length; i++) {
            to[i] = plan->quality[r->quality[i]];
            bad |= to[i] == 0xfe;
        }
    }
    out->n += (size_t)r->length;
    if (bad) return BAD_QUALITY;
    if (plan->keeps_quality && most <= MOST_QUALITY) return OK;
    if (r->length && to[0] == 0xff) memset(to, 0xff, (size_t)r->length);
    else if (memchr(to, 0xff, (size_t)r->length)) return BAD_QUALITY;
    return OK;
}

static int write_record(Out *out, const Layout *plan, const Record *r, const uint64_t hash[2]) {
    if (out->cap - out->n < most_of(plan, r->size)) return OUT_OF_MEMORY;
    size_t start = out->n;
    uint8_t head[FIXED + NAME + 1];
    int mate_hidden = plan->in_region && !in_region(plan, r->mate_contig, r->mate_position, r->mate_position + 1);
    int64_t flag = r->flag & 0xfff;
    memcpy(head + 4, r->p, 32);
    if (mate_hidden) {
        const int32_t none[3] = {-1, -1, 0};
        memcpy(head + 24, none, 12);
        if (flag & PAIRED) flag = (flag & ~(PROPER | MATE_REVERSE)) | MATE_UNMAPPED;
    }
    head[12] = NAME + 1;
    int bin = r->position < 0 ? 4680 : reg2bin(r->span_start, r->span_end);
    head[14] = (uint8_t)(bin & 255), head[15] = (uint8_t)(bin >> 8 & 255);
    head[18] = (uint8_t)(flag & 255), head[19] = (uint8_t)(flag >> 8);
    put_name(head + FIXED, hash);
    put(out, head, sizeof head);
    put(out, r->cigar, 4 * (size_t)r->n_cigar);
    int fault = put_bases(out, plan, r);
    if (!fault) fault = put_tags(out, plan, r, mate_hidden);
    uint32_t size = (uint32_t)(out->n - start - 4);
    memcpy(out->p + start, &size, 4);
    return fault;
}

/* One record: a fault, or OK. `touched` not NULL: only collect the hashes of names that touch the mask. */
static int one(Out *out, const Layout *plan, Record *r, Done *done, int collect) {
    uint64_t hash[2];
    int fault = read_fixed(plan, r);
    if (!fault && !collect) fault = read_tags(plan, r); /* where names are collected no tag matters */
    if (fault) return fault;
    int touched = touches(plan, r);
    if (touched && plan->is_guess && !collect) {
        siphash128(plan->key, r->p + 32, (size_t)r->l_name - 1, hash);
        if (!is_hidden(plan, hash[0])) return UNFORESEEN;
    }
    int64_t order = order_of(r);
    if (plan->sorted && done->records && order < done->last) return UNSORTED;
    if (!done->records) done->first = order;
    done->last = order;
    done->records++;
    if (collect) {
        if (!touched) return OK;
        if (out->cap - out->n < 8) return OUT_OF_MEMORY;
        siphash128(plan->key, r->p + 32, (size_t)r->l_name - 1, hash);
        put(out, hash, 8);
        return OK;
    }
    siphash128(plan->key, r->p + 32, (size_t)r->l_name - 1, hash);
    int reason = reason_of(plan, r, hash[0], touched);
    if (reason != WRITTEN) {
        done->removed[reason]++;
        return OK;
    }
    fault = write_record(out, plan, r, hash);
    if (fault) done->records--;
    else done->written++;
    return fault;
}

/* Room for everything that the records of [p, end) can become. */
static size_t room_for(const Layout *plan, const uint8_t *p, const uint8_t *end, int collect) {
    Record r;
    size_t room = 0;
    while (next_record(&p, end, &r) > 0) room += collect ? 8 : most_of(plan, r.size);
    return room;
}

static void over(Out *out, const Layout *plan, const uint8_t *p, const uint8_t *end, Done *done, int collect) {
    Record r;
    int more = 0;
    while (!done->fault && (more = next_record(&p, end, &r)) > 0) done->fault = one(out, plan, &r, done, collect);
    if (more < 0) done->fault = BAD_LENGTH;
}

/* ---- Python ---- */

static const int64_t *numbers(PyObject *parts, int i) {
    return (const int64_t *)(const void *)PyBytes_AS_STRING(PyTuple_GET_ITEM(parts, i));
}

static Names names_at(PyObject *parts, int i) {
    return (Names){PyBytes_AS_STRING(PyTuple_GET_ITEM(parts, i)), numbers(parts, i + 1),
                   PyBytes_GET_SIZE(PyTuple_GET_ITEM(parts, i + 1)) / 8 - 1};
}

static void fill_layout(Layout *plan, PyObject *parts) {
    const int64_t *o = numbers(parts, 0);
    plan->contigs = o[0], plan->drop_flags = o[1], plan->in_region = o[2], plan->panel_except = o[3];
    plan->default_group = o[4], plan->has_mask = o[5], plan->sorted = o[6], plan->is_guess = o[7];
    plan->key = (const uint8_t *)PyBytes_AS_STRING(PyTuple_GET_ITEM(parts, 1));
    plan->tags = (const uint8_t *)PyBytes_AS_STRING(PyTuple_GET_ITEM(parts, 2));
    plan->quality = (const uint8_t *)PyBytes_AS_STRING(PyTuple_GET_ITEM(parts, 3));
    plan->groups = names_at(parts, 4);
    plan->codes = names_at(parts, 6);
    plan->mask = (Spans){numbers(parts, 8), numbers(parts, 9), numbers(parts, 10)};
    plan->panel = (Spans){numbers(parts, 11), numbers(parts, 12), numbers(parts, 13)};
    plan->region = (Spans){numbers(parts, 14), numbers(parts, 15), numbers(parts, 16)};
    plan->hidden = (const uint64_t *)(const void *)numbers(parts, 17);
    plan->n_hidden = PyBytes_GET_SIZE(PyTuple_GET_ITEM(parts, 17)) / 8;
    plan->lengths = numbers(parts, 18);
}

static int is_sound(Layout *plan, PyObject *parts) {
    if (PyBytes_GET_SIZE(PyTuple_GET_ITEM(parts, 1)) != 16 || PyBytes_GET_SIZE(PyTuple_GET_ITEM(parts, 2)) != 8192) return 0;
    if (PyBytes_GET_SIZE(PyTuple_GET_ITEM(parts, 3)) != 256 || plan->groups.count != plan->codes.count) return 0;
    if (plan->contigs < 0 || PyBytes_GET_SIZE(PyTuple_GET_ITEM(parts, 18)) != plan->contigs * 8) return 0;
    for (int i = 8; i < 17; i += 3)
        if (PyBytes_GET_SIZE(PyTuple_GET_ITEM(parts, i)) != (plan->contigs + 1) * 8) return 0;
    plan->longest_code = 0;
    for (int64_t i = 0; i < plan->codes.count; i++) {
        int64_t size = plan->codes.at[i + 1] - plan->codes.at[i];
        if (size < 0 || size > 128) return 0;
        if (size > plan->longest_code) plan->longest_code = size;
    }
    plan->keeps_quality = PyBytes_AS_STRING(PyTuple_GET_ITEM(parts, 3))[255] == '\xff';
    for (int i = 0; i <= MOST_QUALITY; i++) plan->keeps_quality &= plan->quality[i] == i;
    return plan->groups.count >= 0 && plan->default_group < plan->groups.count && plan->default_group >= -1;
}

static void forget(PyObject *capsule) {
    Prepared *prepared = PyCapsule_GetPointer(capsule, "deid.reads");
    if (!prepared) return;
    Py_DECREF(prepared->parts);
    PyMem_Free(prepared);
}

/* prepare(parts): the layout as 19 bytes objects; deid/reads/engine.py packs them. */
static PyObject *prepare(PyObject *self, PyObject *parts) {
    (void)self;
    if (!PyTuple_Check(parts) || PyTuple_GET_SIZE(parts) != PARTS) return PyErr_Format(PyExc_TypeError, "a tuple of 19");
    for (int i = 0; i < PARTS; i++)
        if (!PyBytes_Check(PyTuple_GET_ITEM(parts, i))) return PyErr_Format(PyExc_TypeError, "bytes objects");
    if (PyBytes_GET_SIZE(PyTuple_GET_ITEM(parts, 0)) != OPTIONS * 8)
        return PyErr_Format(PyExc_ValueError, "the options have the wrong size");
    Prepared *prepared = PyMem_Malloc(sizeof *prepared);
    if (!prepared) return PyErr_NoMemory();
    fill_layout(&prepared->plan, parts);
    if (!is_sound(&prepared->plan, parts)) {
        PyMem_Free(prepared);
        return PyErr_Format(PyExc_ValueError, "the layout does not hold together");
    }
    prepared->parts = Py_NewRef(parts);
    return PyCapsule_New(prepared, "deid.reads", forget);
}

PyObject *answer(PyObject *out, const Done *done) {
    return Py_BuildValue("(NLL(LLLLL)iLL)", out, (long long)done->records, (long long)done->written,
                         (long long)done->removed[0], (long long)done->removed[1], (long long)done->removed[2],
                         (long long)done->removed[3], (long long)done->removed[4], done->fault, (long long)done->first, (long long)done->last);
}

/* rewrite(prepared, head, text, start, end, collect): (bytes, records, written, removed, fault, first, last). Whole
 * records in `head` (the one that lay across two pieces of text) come before those of text[start:end]. */
static PyObject *rewrite(PyObject *self, PyObject *args) {
    PyObject *capsule, *head, *text;
    Py_ssize_t start, end;
    int collect;
    (void)self;
    if (!PyArg_ParseTuple(args, "OSSnnp", &capsule, &head, &text, &start, &end, &collect)) return NULL;
    Prepared *prepared = PyCapsule_GetPointer(capsule, "deid.reads");
    if (!prepared) return NULL;
    if (start < 0 || end < start || end > PyBytes_GET_SIZE(text)) return PyErr_Format(PyExc_ValueError, "a place outside the text");
    const Layout *plan = &prepared->plan;
    const uint8_t *h = (const uint8_t *)PyBytes_AS_STRING(head), *h_end = h + PyBytes_GET_SIZE(head);
    const uint8_t *t = (const uint8_t *)PyBytes_AS_STRING(text), *t_end = t + end;
    Done done = {0};
    Out out = {0};
    out.cap = room_for(plan, h, h_end, collect) + room_for(plan, t + start, t_end, collect);
    PyObject *made = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)out.cap);
    if (!made) return NULL;
    out.p = (uint8_t *)PyBytes_AS_STRING(made);
    Py_BEGIN_ALLOW_THREADS
    over(&out, plan, h, h_end, &done, collect);
    if (!done.fault) over(&out, plan, t + start, t_end, &done, collect);
    Py_END_ALLOW_THREADS
    if (_PyBytes_Resize(&made, (Py_ssize_t)out.n)) return NULL;
    return answer(made, &done);
}

/* whole(text, start): where the whole records from there end, and whether the next has an absurd length. */
static PyObject *whole(PyObject *self, PyObject *args) {
    (void)self;
    Py_buffer view;
    Py_ssize_t from;
    if (!PyArg_ParseTuple(args, "y*n", &view, &from)) return NULL;
    const uint8_t *start = view.buf, *end = start + view.len, *p = from < 0 || from > view.len ? end : start + from;
    int64_t bad = 0;
    while (!bad && end - p >= 4) {
        uint32_t size = u32(p);
        bad = size < 32 || size > MAX_RECORD;
        if (bad || size > end - p - 4) break;
        p += 4 + size;
    }
    PyBuffer_Release(&view);
    return Py_BuildValue("(Li)", (long long)(p - start), (int)bad);
}

static PyMethodDef methods[] = {
    {"prepare", prepare, METH_O, "Check and keep a layout."},
    {"rewrite", rewrite, METH_VARARGS, "Rewrite whole records, or collect the hashes of masked names."},
    {"place", place, METH_VARARGS, "Places of whole records, where reads are substituted."},
    {"waiting", waiting, METH_NOARGS, "Room for places that wait for their turn."},
    {"take", take, METH_VARARGS, "Add places, and take those whose turn it is."},
    {"substitute", substitute, METH_VARARGS, "Records of places, their bases the reference's."},
    {"compare", compare, METH_VARARGS, "Whether the bases of whole records are the reference's."},
    {"ties", ties, METH_VARARGS, "Reads of one place in the order of their names."},
    {"one_run", one_run, METH_O, "How many reads of one place, and of no other."},
    {"survey", survey, METH_VARARGS, "What kinds of things whole records hold."},
    {"whole", whole, METH_VARARGS, "Bytes that are whole records."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_reads", "BAM records, compiled.", -1, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__reads(void) {
    fill_letters();
    return PyModule_Create(&module);
}
