/* BGZF blocks by the group: found where they lie, inflated into one piece of text, deflated from views, each group in one
 * call outside the interpreter's lock. Twin: deid/bgzf.py; the bytes and the refusals are the same.
 * DEFLATE is not written here and nothing is linked: the `deflate` package's own shared object holds libdeflate and
 * shows its functions, which `connect` finds by name; where it does not, the package is called block by block.
 * Promise: no byte outside the given buffers is read or written, and every length is checked before it is used.
 * Compressors and output rooms are kept between calls (a fresh one costs page faults) and are taken and given back only
 * while the interpreter's lock is held. BGZF: SAM specification section 4.1; gzip: RFC 1952. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>
#include <string.h>

#ifndef _WIN32
#include <dlfcn.h>
#endif

enum { KEPT = 16, LEVELS = 13, MAX_BLOCK = 0x10000, ROOM = 0x12000, MAX_GROUP = 1 << 12 };
enum { FIXED = 12, HEAD = 18, TAIL = 8 }; /* gzip's own header, that with BGZF's field, and what follows the DEFLATE */

typedef struct {
    void *(*alloc_compressor)(int);
    size_t (*compress)(void *, const void *, size_t, void *, size_t);
    void *(*alloc_decompressor)(void);
    int (*decompress)(void *, const void *, size_t, void *, size_t, size_t *);
    uint32_t (*crc32)(uint32_t, const void *, size_t);
    void (*free_compressor)(void *);
    void (*free_decompressor)(void *);
} Library;

typedef struct { uint8_t *p; size_t cap; } Room;

static Library lib;
static void *compressors[LEVELS][KEPT], *decompressors[KEPT];
static int n_compressors[LEVELS], n_decompressors, n_rooms;
static Room rooms[KEPT];

static inline uint16_t two(const uint8_t *p) { return (uint16_t)(p[0] | p[1] << 8); }

static inline uint32_t four(const uint8_t *p) { return p[0] | p[1] << 8 | p[2] << 16 | (uint32_t)p[3] << 24; }

static void put_four(uint8_t *p, uint32_t value) {
    for (int i = 0; i < 4; i++) p[i] = (uint8_t)(value >> 8 * i);
}

/* connect(path): whether the shared object at `path`, loaded already, has all that is needed. */
static PyObject *connect(PyObject *self, PyObject *path) {
    (void)self;
    if (!PyUnicode_Check(path)) return PyErr_Format(PyExc_TypeError, "a path as text");
#ifdef _WIN32
    Py_RETURN_FALSE;
#else
    const char *name = PyUnicode_AsUTF8(path);
    void *handle = name ? dlopen(name, RTLD_NOW | RTLD_NOLOAD) : NULL;
    if (!name) return NULL;
    if (!handle) Py_RETURN_FALSE;
    const char *names[] = {"libdeflate_alloc_compressor", "libdeflate_deflate_compress", "libdeflate_alloc_decompressor",
                           "libdeflate_deflate_decompress", "libdeflate_crc32", "libdeflate_free_compressor",
                           "libdeflate_free_decompressor"};
    void *found[7];
    for (int i = 0; i < 7; i++)
        if (!(found[i] = dlsym(handle, names[i]))) Py_RETURN_FALSE;
    memcpy(&lib, found, sizeof lib); /* POSIX: a data pointer of dlsym holds a function's address */
    Py_RETURN_TRUE;
#endif
}

/* Size of the whole block at p, and where its DEFLATE begins: 0 where more bytes are needed, -1 where it is none. */
static int64_t block_size(const uint8_t *p, int64_t left, int64_t *body) {
    if (left < FIXED) return 0;
    if (memcmp(p, "\x1f\x8b\x08\x04", 4) != 0) return -1;
    int64_t extra = FIXED + two(p + 10), at = FIXED;
    if (left < extra) return 0;
    while (at + 4 <= extra) {
        int64_t length = two(p + at + 2);
        if (p[at] == 'B' && p[at + 1] == 'C' && length == 2 && at + 6 <= extra) {
            int64_t size = (int64_t)two(p + at + 4) + 1;
            *body = extra;
            if (size < extra + TAIL) return -1;
            if (size > left) return 0;
            return four(p + size - 4) > MAX_BLOCK ? -1 : size;
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
        text += four(p + at - 4);
    }
    PyBuffer_Release(&data);
    return Py_BuildValue("(LLLi)", (long long)at, (long long)last, (long long)text, size < 0);
}

/* Inflates [p, end) into out; the place of the first bad block, or NULL. */
static const uint8_t *inflate_all(void *inflater, const uint8_t *p, const uint8_t *end, uint8_t *out, uint8_t *out_end) {
    int64_t body, size;
    while (p < end && (size = block_size(p, end - p, &body)) > 0) {
        size_t want = four(p + size - 4), made = 0;
        if (want > (size_t)(out_end - out)) break;
        if (want && (lib.decompress(inflater, p + body, (size_t)(size - body - TAIL), out, want, &made) || made != want ||
                     lib.crc32(0, out, want) != four(p + size - TAIL)))
            break;
        out += want;
        p += size;
    }
    return p < end || out != out_end ? p : NULL;
}

/* inflate(data, start, end, size): the text of whole blocks; or the place of the first that is damaged. */
static PyObject *inflate(PyObject *self, PyObject *args) {
    Py_buffer data;
    Py_ssize_t start, end, size;
    PyObject *text = NULL;
    (void)self;
    if (!PyArg_ParseTuple(args, "y*nnn", &data, &start, &end, &size)) return NULL;
    void *inflater = !lib.crc32 ? NULL : n_decompressors ? decompressors[--n_decompressors] : lib.alloc_decompressor();
    if (!lib.crc32 || start < 0 || end < start || end > data.len || size < 0) {
        PyErr_SetString(PyExc_ValueError, "not connected, or a place outside the data");
    } else if (!inflater) {
        PyErr_NoMemory();
    } else if ((text = PyBytes_FromStringAndSize(NULL, size))) {
        const uint8_t *p = data.buf, *bad;
        uint8_t *out = (uint8_t *)PyBytes_AS_STRING(text);
        Py_BEGIN_ALLOW_THREADS
        bad = inflate_all(inflater, p + start, p + end, out, out + size);
        Py_END_ALLOW_THREADS
        if (bad) {
            Py_DECREF(text);
            text = PyLong_FromSsize_t(bad - p);
        }
    }
    if (inflater && n_decompressors < KEPT) decompressors[n_decompressors++] = inflater;
    else if (inflater) lib.free_decompressor(inflater);
    PyBuffer_Release(&data);
    return text;
}

static size_t store(const uint8_t *text, size_t n, uint8_t *out) {
    const uint8_t head[5] = {1, (uint8_t)n, (uint8_t)(n >> 8), (uint8_t)~n, (uint8_t)(~n >> 8)};
    memcpy(out, head, 5);
    memcpy(out + 5, text, n);
    return n + 5;
}

/* One block of at most 0xff00 bytes of text, 18 bytes of header before and 8 behind; its size. */
static size_t deflate_block(void *compressor, const uint8_t *text, size_t n, uint8_t *out) {
    static const uint8_t prefix[16] = {31, 139, 8, 4, 0, 0, 0, 0, 0, 255, 6, 0, 'B', 'C', 2, 0};
    size_t size = lib.compress(compressor, text, n, out + HEAD, ROOM - HEAD - TAIL);
    if (size == 0 || size + HEAD + TAIL > MAX_BLOCK) size = store(text, n, out + HEAD);
    memcpy(out, prefix, 16);
    size_t whole = size + HEAD + TAIL;
    out[16] = (uint8_t)(whole - 1), out[17] = (uint8_t)((whole - 1) >> 8);
    put_four(out + HEAD + size, lib.crc32(0, text, n));
    put_four(out + HEAD + size + 4, (uint32_t)n);
    return whole;
}

static Room take_room(size_t size) {
    Room room = n_rooms ? rooms[--n_rooms] : (Room){NULL, 0};
    if (room.cap < size) {
        PyMem_RawFree(room.p);
        room = (Room){PyMem_RawMalloc(size), size};
    }
    return room;
}

static void give_room(Room room) {
    if (room.p && n_rooms < KEPT) rooms[n_rooms++] = room;
    else PyMem_RawFree(room.p);
}

static PyObject *deflate_all(Py_buffer *texts, Py_ssize_t count, int level) {
    PyObject *made = NULL;
    size_t at = 0;
    Room room = take_room((size_t)count * ROOM + 1);
    void *compressor = n_compressors[level] ? compressors[level][--n_compressors[level]] : lib.alloc_compressor(level);
    if (room.p && compressor) {
        Py_BEGIN_ALLOW_THREADS
        for (Py_ssize_t i = 0; i < count; i++)
            at += deflate_block(compressor, texts[i].buf, (size_t)texts[i].len, room.p + at);
        Py_END_ALLOW_THREADS
        if ((made = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)at))) {
            Py_BEGIN_ALLOW_THREADS
            memcpy(PyBytes_AS_STRING(made), room.p, at);
            Py_END_ALLOW_THREADS
        }
    } else {
        PyErr_NoMemory();
    }
    if (compressor && n_compressors[level] < KEPT) compressors[level][n_compressors[level]++] = compressor;
    else if (compressor) lib.free_compressor(compressor);
    give_room(room);
    return made;
}

/* deflate(texts, level): a BGZF block for each text of at most 0xff00 bytes, one after the other. */
static PyObject *deflate(PyObject *self, PyObject *args) {
    (void)self;
    PyObject *texts, *made = NULL;
    int level;
    if (!PyArg_ParseTuple(args, "O!i", &PyList_Type, &texts, &level)) return NULL;
    Py_ssize_t count = PyList_GET_SIZE(texts), held = 0;
    if (!lib.compress || level < 1 || level >= LEVELS || count > MAX_GROUP)
        return PyErr_Format(PyExc_ValueError, "a level from 1 to 12 and a group of blocks, after connect");
    Py_buffer *views = PyMem_Calloc((size_t)count + 1, sizeof *views);
    if (!views) return PyErr_NoMemory();
    for (; held < count; held++) {
        if (PyObject_GetBuffer(PyList_GET_ITEM(texts, held), &views[held], PyBUF_SIMPLE)) break;
        if (views[held].len > 0xff00) {
            PyBuffer_Release(&views[held]);
            PyErr_SetString(PyExc_ValueError, "a block holds at most 65280 bytes");
            break;
        }
    }
    if (held == count) made = deflate_all(views, count, level);
    while (held) PyBuffer_Release(&views[--held]);
    PyMem_Free(views);
    return made;
}

static PyMethodDef methods[] = {
    {"connect", connect, METH_O, "Find libdeflate in a shared object that is loaded."},
    {"scan", scan, METH_VARARGS, "Find whole BGZF blocks."},
    {"inflate", inflate, METH_VARARGS, "The text of whole BGZF blocks."},
    {"deflate", deflate, METH_VARARGS, "A BGZF block for each text."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_bgzf", "BGZF, compiled.", -1, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__bgzf(void) { return PyModule_Create(&module); }
