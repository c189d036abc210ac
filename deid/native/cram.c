/* CRAM to BAM and back, one call for many records, outside the interpreter's lock. Twin: deid/reads/cram.py over pysam's
 * records; the records are the same.
 * CRAM is not decoded here and nothing is linked: pysam's own shared object holds htslib and shows its functions, which
 * `connect` finds by name. One structure of htslib is read here, bam1_t as it stands since htslib 1.10: `connect` has htslib
 * fill one with known values and finds each where it is looked for, or answers that there is no such library.
 * Promise: no name is opened but that of the reference, every length of a record is checked before it is copied, and a
 * record is written as BAM alone, without what stands in htslib's spare room (SAM specification section 4.2). */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>
#include <string.h>

#ifndef _WIN32
#include <dlfcn.h>
#include <unistd.h>
#endif

typedef struct {
    int64_t pos;
    int32_t tid;
    uint16_t bin;
    uint8_t qual, l_extranul;
    uint16_t flag, l_qname;
    uint32_t n_cigar;
    int32_t l_qseq, mtid;
    int64_t mpos, isize;
    uint64_t id;
    uint8_t *data;
    int l_data;
    uint32_t m_data, policy;
} Record;

static struct {
    void *(*hdopen)(int, const char *);
    int (*hclose)(void *);
    void *(*hopen)(void *, const char *, const char *);
    int (*close)(void *);
    int (*reference)(void *, const char *);
    void *(*header)(void *);
    int (*write_header)(void *, const void *);
    void (*forget_header)(void *);
    const char *(*text)(void *);
    size_t (*length)(void *);
    int (*contigs)(const void *);
    const char *(*name)(const void *, int);
    int64_t (*size)(const void *, int);
    Record *(*make)(void);
    void (*forget)(Record *);
    int (*read)(void *, void *, Record *);
    int (*write)(void *, const void *, const Record *);
    int (*option)(void **, const char *);
    int (*apply)(void *, void *);
    void (*forget_options)(void *);
    int (*set)(Record *, size_t, const char *, uint16_t, int32_t, int64_t, uint8_t, size_t, const uint32_t *, int32_t,
               int64_t, int64_t, size_t, const char *, const char *, size_t);
} lib;

static const char *const names[] = {
    "hdopen", "hclose", "hts_hopen", "hts_close", "hts_set_fai_filename", "sam_hdr_read", "sam_hdr_write",
    "sam_hdr_destroy", "sam_hdr_str", "sam_hdr_length", "sam_hdr_nref", "sam_hdr_tid2name", "sam_hdr_tid2len",
    "bam_init1", "bam_destroy1", "sam_read1", "sam_write1", "hts_opt_add",
    "hts_opt_apply", "hts_opt_free", "bam_set1",
};
enum { NAMES = sizeof names / sizeof *names };
enum { MORE, END, BAD, LONG_CIGAR, NO_MEMORY };
enum { FIXED = 36, MOST_CIGAR = 65535, MOST_NAME = 255 };

typedef struct {
    void *file, *header;
    Record *record;
} Reader;

typedef struct { uint8_t *p; size_t n, cap; } Out;

/* Whether a record that htslib fills stands where it is looked for here. */
static int as_known(void) {
    static const uint32_t cigar[2] = {3 << 4 | 4, 2 << 4};
    Record *r = lib.make();
    int good = r && lib.set(r, 2, "ab", 0x163, 5, 0x12345678, 37, 2, cigar, 7, 0x23456789, -9, 5, "ACGTN", "\1\2\3\4\5", 0) >= 0;
    good = good && r->pos == 0x12345678 && r->tid == 5 && r->qual == 37 && r->flag == 0x163 && r->n_cigar == 2 &&
           r->l_qseq == 5 && r->mtid == 7 && r->mpos == 0x23456789 && r->isize == -9 && r->l_qname >= 3 &&
           r->l_qname - r->l_extranul == 3 && r->l_data == r->l_qname + 16 && !memcmp(r->data, "ab", 3) &&
           !memcmp(r->data + r->l_qname, cigar, 8) && !memcmp(r->data + r->l_qname + 8, "\x12\x48\xf0\1\2\3\4\5", 8);
    if (r) lib.forget(r);
    return good;
}

/* connect(path): whether the shared object at `path`, loaded already, has all that is needed and as it is known here. */
static PyObject *connect(PyObject *self, PyObject *path) {
    (void)self;
    if (!PyUnicode_Check(path)) return PyErr_Format(PyExc_TypeError, "a path as text");
#ifdef _WIN32
    Py_RETURN_FALSE;
#else
    const char *file = PyUnicode_AsUTF8(path);
    if (!file) return NULL;
    void *handle = dlopen(file, RTLD_NOW | RTLD_NOLOAD), *found[NAMES];
    if (!handle || sizeof found != sizeof lib) Py_RETURN_FALSE;
    for (int i = 0; i < NAMES; i++)
        if (!(found[i] = dlsym(handle, names[i]))) Py_RETURN_FALSE;
    memcpy(&lib, found, sizeof lib); /* POSIX: a data pointer of dlsym holds a function's address */
    if (as_known()) Py_RETURN_TRUE;
    memset(&lib, 0, sizeof lib);
    Py_RETURN_FALSE;
#endif
}

/* A file of htslib's on a descriptor that is its own from now on; NULL, and the descriptor closed, where there is none. */
static void *opened(int fd, const char *mode, const char *fasta) {
    void *raw = lib.hdopen(fd, mode), *file = raw ? lib.hopen(raw, "-", mode) : NULL;
    if (raw && !file) lib.hclose(raw);
    if (file && fasta && lib.reference(file, fasta) != 0) {
        lib.close(file);
        file = NULL;
    }
    return file;
}

static void close_all(Reader *reader) {
    if (reader->record) lib.forget(reader->record);
    if (reader->header) lib.forget_header(reader->header);
    if (reader->file) lib.close(reader->file);
    memset(reader, 0, sizeof *reader);
}

static void drop(PyObject *capsule) {
    Reader *reader = PyCapsule_GetPointer(capsule, "cram");
    Py_BEGIN_ALLOW_THREADS
    close_all(reader);
    Py_END_ALLOW_THREADS
    PyMem_RawFree(reader);
}

/* begin(fd, fasta): a CRAM whose header is read; the descriptor is ours from now on. ValueError where it cannot be read. */
static PyObject *begin(PyObject *self, PyObject *args) {
    int fd;
    PyObject *fasta;
    (void)self;
    if (!PyArg_ParseTuple(args, "iO&", &fd, PyUnicode_FSConverter, &fasta)) return NULL;
    Reader *reader = PyMem_RawCalloc(1, sizeof *reader);
    if (!lib.read || !reader) {
        PyMem_RawFree(reader);
        Py_DECREF(fasta);
        return PyErr_Format(PyExc_ValueError, "not connected, or no memory");
    }
    const char *path = PyBytes_AS_STRING(fasta);
    Py_BEGIN_ALLOW_THREADS
    reader->file = opened(fd, "rc", path);
    reader->header = reader->file ? lib.header(reader->file) : NULL;
    reader->record = reader->header ? lib.make() : NULL;
    Py_END_ALLOW_THREADS
    Py_DECREF(fasta);
    PyObject *capsule = PyCapsule_New(reader, "cram", drop);
    if (!capsule) {
        close_all(reader);
        PyMem_RawFree(reader);
    } else if (!reader->record) {
        Py_DECREF(capsule);
        return PyErr_Format(PyExc_ValueError, "the header cannot be read");
    }
    return capsule;
}

/* header(reader): its text, and name and length of each contig. */
static PyObject *header(PyObject *self, PyObject *capsule) {
    (void)self;
    Reader *reader = PyCapsule_GetPointer(capsule, "cram");
    if (!reader) return NULL;
    if (!reader->file) return PyErr_Format(PyExc_ValueError, "closed");
    const char *text = lib.text(reader->header);
    int count = lib.contigs(reader->header);
    if (!text || count < 0) return PyErr_Format(PyExc_ValueError, "the header cannot be read");
    PyObject *contigs = PyList_New(count);
    for (int i = 0; contigs && i < count; i++) {
        PyObject *one = Py_BuildValue("(yL)", lib.name(reader->header, i), (long long)lib.size(reader->header, i));
        if (one) PyList_SET_ITEM(contigs, i, one);
        else Py_CLEAR(contigs);
    }
    return contigs ? Py_BuildValue("(y#N)", text, (Py_ssize_t)lib.length(reader->header), contigs) : NULL;
}

static uint8_t *room_for(Out *out, size_t more) {
    if (out->cap - out->n < more) {
        size_t cap = out->cap + more + (out->cap >> 1);
        uint8_t *p = PyMem_RawRealloc(out->p, cap);
        if (!p) return NULL;
        *out = (Out){p, out->n, cap};
    }
    uint8_t *place = out->p + out->n;
    out->n += more;
    return place;
}

static void put(uint8_t *p, int size, int64_t value) {
    for (int i = 0; i < size; i++) p[i] = (uint8_t)((uint64_t)value >> 8 * i);
}

static int is_int(int64_t value) { return value >= INT32_MIN && value <= INT32_MAX; }

/* One record with its length in front. What its name, bases, qualities and tags hold is for who rewrites it to judge. */
static int add(Out *out, const Record *r) {
    int64_t name = (int64_t)r->l_qname - r->l_extranul, bases = r->l_qseq, packed = (bases + 1) / 2;
    int64_t core = r->l_qname + 4 * (int64_t)r->n_cigar, rest = r->l_data - core;
    if (r->n_cigar > MOST_CIGAR) return LONG_CIGAR;
    if (name < 1 || bases < 0 || r->l_data < 0 || rest < packed + bases) return BAD;
    if (!is_int(r->pos) || !is_int(r->mpos) || !is_int(r->isize)) return BAD;
    if (name > MOST_NAME) return BAD;
    uint8_t *p = room_for(out, (size_t)(FIXED + name + 4 * (int64_t)r->n_cigar + rest));
    if (!p) return NO_MEMORY;
    put(p, 4, FIXED - 4 + name + 4 * (int64_t)r->n_cigar + rest);
    put(p + 4, 4, r->tid), put(p + 8, 4, r->pos), put(p + 12, 1, name), put(p + 13, 1, r->qual), put(p + 14, 2, 0);
    put(p + 16, 2, r->n_cigar), put(p + 18, 2, r->flag), put(p + 20, 4, bases), put(p + 24, 4, r->mtid);
    put(p + 28, 4, r->mpos), put(p + 32, 4, r->isize);
    memcpy(p += FIXED, r->data, (size_t)name);
    p += name;
    for (uint32_t i = 0; i < r->n_cigar; i++, p += 4) {
        uint32_t operation;
        memcpy(&operation, r->data + r->l_qname + 4 * i, 4);
        put(p, 4, operation);
    }
    memcpy(p, r->data + core, (size_t)rest);
    return MORE;
}

/* read(reader, most): records as BAM, about so many bytes; how many they are; and what comes next: more, the end or a fault. */
static PyObject *read_cram(PyObject *self, PyObject *args) {
    PyObject *capsule, *made = NULL;
    Py_ssize_t most;
    (void)self;
    if (!PyArg_ParseTuple(args, "On", &capsule, &most)) return NULL;
    Reader *reader = PyCapsule_GetPointer(capsule, "cram");
    if (!reader) return NULL;
    if (!reader->file) return PyErr_Format(PyExc_ValueError, "closed");
    Out out = {NULL, 0, 0};
    long count = 0;
    int status = MORE;
    Py_BEGIN_ALLOW_THREADS
    while (status == MORE && out.n < (size_t)most) {
        int got = lib.read(reader->file, reader->header, reader->record);
        status = got == -1 ? END : got < 0 ? BAD : add(&out, reader->record);
        count += status == MORE;
    }
    Py_END_ALLOW_THREADS
    made = Py_BuildValue("(y#li)", out.p ? (char *)out.p : "", (Py_ssize_t)out.n, count, status);
    PyMem_RawFree(out.p);
    return made;
}

/* Every record of `in` into `out`; whether all went well. */
static int pour(void *in, void *out) {
    void *head = lib.header(in);
    Record *record = head ? lib.make() : NULL;
    int got = record && lib.write_header(out, head) == 0 ? 0 : -2;
    while (got >= 0 && (got = lib.read(in, head, record)) >= 0)
        if (lib.write(out, head, record) < 0) got = -2;
    if (record) lib.forget(record);
    if (head) lib.forget_header(head);
    return got == -1;
}

/* An option as htslib's command lines spell it, given to an open file; whether it was taken. */
static int set_option(void *file, const char *words) {
    void *options = NULL;
    int good = lib.option(&options, words) == 0 && lib.apply(file, options) == 0;
    if (options) lib.forget_options(options);
    return good;
}

/* write(source, sink, fasta, option): the BAM that flows from one descriptor into the other as CRAM; whether all went well.
 * Both are ours from now on and are closed. */
static PyObject *write_cram(PyObject *self, PyObject *args) {
    int source, sink, good = 0;
    const char *option;
    PyObject *fasta;
    (void)self;
    if (!PyArg_ParseTuple(args, "iiO&z", &source, &sink, PyUnicode_FSConverter, &fasta, &option)) return NULL;
    if (!lib.read) {
        Py_DECREF(fasta);
        return PyErr_Format(PyExc_ValueError, "not connected");
    }
    const char *path = PyBytes_AS_STRING(fasta);
    Py_BEGIN_ALLOW_THREADS
    void *out = opened(sink, "wc", path), *in = out ? opened(source, "r", NULL) : NULL;
    if (!out) close(source);
    good = in && (!option || set_option(out, option)) && pour(in, out);
    if (in) lib.close(in);
    if (out && lib.close(out) != 0) good = 0;
    Py_END_ALLOW_THREADS
    Py_DECREF(fasta);
    return PyBool_FromLong(good);
}

/* close(reader): give the descriptor back now, whoever still holds the reader. */
static PyObject *close_cram(PyObject *self, PyObject *capsule) {
    (void)self;
    Reader *reader = PyCapsule_GetPointer(capsule, "cram");
    if (!reader) return NULL;
    Py_BEGIN_ALLOW_THREADS
    close_all(reader);
    Py_END_ALLOW_THREADS
    Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
    {"connect", connect, METH_O, "Find htslib in a shared object that is loaded."},
    {"begin", begin, METH_VARARGS, "A CRAM whose header is read."},
    {"header", header, METH_O, "The header of an open CRAM."},
    {"read", read_cram, METH_VARARGS, "The next records as BAM."},
    {"close", close_cram, METH_O, "Give an open CRAM back."},
    {"write", write_cram, METH_VARARGS, "BAM that flows in as CRAM that flows out."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_cram", "CRAM, compiled.", -1, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__cram(void) { return PyModule_Create(&module); }
