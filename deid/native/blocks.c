/* BGZF blocks by the group: found where they lie and inflated into one piece of text. Twin: deid/bgzf.py (bgzf.c deflates
 * for both, and inflates blocks that were taken one by one); the bytes are the same. libdeflate is the one inside the `deflate` package, whose functions its shared object shows; where it does
 * not show them `bind` says no and the twin does the work. Promise: no byte outside the given buffers is read or
 * written, every length is checked first, and the interpreter's lock is released while blocks are worked on.
 * SAM specification section 4.1, RFC 1952. */
#define PY_SSIZE_T_CLEAN
#define _GNU_SOURCE
#include <Python.h>
#include <stdint.h>
#include <string.h>

#if defined(_WIN32) || PY_BIG_ENDIAN
#error "shared objects are not looked into here; the twin does the work"
#endif
#include <dlfcn.h>

enum { HEAD = 12, TAIL = 8, MAX_BLOCK = 1 << 16 };

static struct {
    void *(*new_inflater)(void);
    int (*inflate)(void *, const void *, size_t, void *, size_t, size_t *);
    void (*end_inflater)(void *);
    uint32_t (*sum)(uint32_t, const void *, size_t);
} lib;

static inline uint16_t u16(const uint8_t *p) { uint16_t v; memcpy(&v, p, 2); return v; }
static inline uint32_t u32(const uint8_t *p) { uint32_t v; memcpy(&v, p, 4); return v; }

/* bind(path): whether the shared object there, already loaded, shows every function of libdeflate that is used. */
static PyObject *bind(PyObject *self, PyObject *path) {
    (void)self;
    const char *name = PyUnicode_AsUTF8(path);
    if (!name) return NULL;
    void *object = dlopen(name, RTLD_NOW | RTLD_NOLOAD);
    if (!object) Py_RETURN_FALSE;
    const char *names[] = {"libdeflate_alloc_decompressor", "libdeflate_deflate_decompress", "libdeflate_free_decompressor",
                           "libdeflate_crc32"};
    void *found[4];
    for (int i = 0; i < 4; i++)
        if (!(found[i] = dlsym(object, names[i]))) Py_RETURN_FALSE;
    memcpy(&lib, found, sizeof lib);
    Py_RETURN_TRUE;
}

/* Size of the whole block at p, and where its DEFLATE begins: 0 where more bytes are needed, -1 where it is none. */
static int64_t block_size(const uint8_t *p, int64_t left, int64_t *body) {
    if (left < HEAD) return 0;
    if (memcmp(p, "\x1f\x8b\x08\x04", 4) != 0) return -1;
    int64_t extra = HEAD + u16(p + 10), at = HEAD;
    if (left < extra) return 0;
    while (at + 4 <= extra) {
        int64_t length = u16(p + at + 2);
        if (p[at] == 'B' && p[at + 1] == 'C' && length == 2 && at + 6 <= extra) {
            int64_t size = (int64_t)u16(p + at + 4) + 1;
            *body = extra;
            if (size < extra + TAIL) return -1;
            if (size > left) return 0;
            return u32(p + size - 4) > MAX_BLOCK ? -1 : size;
        }
        at += 4 + length;
    }
    return -1;
}

/* scan(data, start, most): (end, start of the last block, bytes of text, whether the next block is none). */
static PyObject *scan(PyObject *self, PyObject *args) {
    Py_buffer data;
    Py_ssize_t start, most;
    (void)self;
    if (!PyArg_ParseTuple(args, "y*nn", &data, &start, &most)) return NULL;
    const uint8_t *p = data.buf;
    int64_t at = start, last = start, text = 0, body, size = 0;
    if (start < 0 || start > data.len) at = last = data.len;
    while (text < most && (size = block_size(p + at, data.len - at, &body)) > 0) {
        last = at;
        at += size;
        text += u32(p + at - 4);
    }
    PyBuffer_Release(&data);
    return Py_BuildValue("(LLLi)", (long long)at, (long long)last, (long long)text, size < 0);
}

/* Inflates [p, end) into out; the place of the first bad block, or NULL. */
static const uint8_t *inflate_all(const uint8_t *p, const uint8_t *end, uint8_t *out, uint8_t *out_end) {
    void *inflater = lib.new_inflater();
    int64_t body, size;
    while (inflater && p < end && (size = block_size(p, end - p, &body)) > 0) {
        size_t want = u32(p + size - 4), made = 0;
        if (want > (size_t)(out_end - out)) break;
        if (want && (lib.inflate(inflater, p + body, (size_t)(size - body - TAIL), out, want, &made) || made != want ||
                     lib.sum(0, out, want) != u32(p + size - TAIL)))
            break;
        out += want;
        p += size;
    }
    if (inflater) lib.end_inflater(inflater);
    return p < end || out != out_end ? p : NULL;
}

/* inflate(data, start, end, size): the text of whole blocks; or the place of the first that is damaged. */
static PyObject *inflate(PyObject *self, PyObject *args) {
    Py_buffer data;
    Py_ssize_t start, end, size;
    (void)self;
    if (!PyArg_ParseTuple(args, "y*nnn", &data, &start, &end, &size)) return NULL;
    PyObject *text = NULL;
    if (!lib.sum || start < 0 || end < start || end > data.len || size < 0) {
        PyErr_SetString(PyExc_ValueError, "not bound, or a place outside the data");
    } else if ((text = PyBytes_FromStringAndSize(NULL, size))) {
        const uint8_t *p = data.buf, *bad;
        uint8_t *out = (uint8_t *)PyBytes_AS_STRING(text);
        Py_BEGIN_ALLOW_THREADS
        bad = inflate_all(p + start, p + end, out, out + size);
        Py_END_ALLOW_THREADS
        if (bad) {
            Py_DECREF(text);
            text = PyLong_FromSsize_t(bad - p);
        }
    }
    PyBuffer_Release(&data);
    return text;
}

static PyMethodDef methods[] = {
    {"bind", bind, METH_O, "Find libdeflate in a shared object that is loaded."},
    {"scan", scan, METH_VARARGS, "Find whole blocks."},
    {"inflate", inflate, METH_VARARGS, "The text of whole blocks."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_blocks", "BGZF blocks by the group.", -1, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__blocks(void) { return PyModule_Create(&module); }
