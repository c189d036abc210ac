/* Groups of BGZF blocks inflated or deflated in one call outside the interpreter's lock. Twin: deid/bgzf.py.
 * DEFLATE is not written here and nothing is linked: the `deflate` package's own shared object holds libdeflate and
 * shows its functions, which `connect` finds by name; where it does not, the package is called block by block.
 * Compressors and output rooms are kept between calls (a fresh one costs page faults); the lists are touched only while
 * the interpreter's lock is held. BGZF: SAM specification section 4.1; gzip: RFC 1952. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>
#include <string.h>

#ifndef _WIN32
#include <dlfcn.h>
#endif

enum { KEPT = 16, LEVELS = 13, MAX_TEXT = 0x10000, ROOM = 0x12000, HEAD = 18, TAIL = 8, MAX_GROUP = 1 << 12 };
enum { WHOLE, NOT_INFLATED, OTHER_CHECKSUM };

typedef struct {
    void *(*alloc_compressor)(int);
    size_t (*compress)(void *, const void *, size_t, void *, size_t);
    void *(*alloc_decompressor)(void);
    int (*decompress)(void *, const void *, size_t, void *, size_t, size_t *);
    uint32_t (*crc32)(uint32_t, const void *, size_t);
} Library;

typedef struct { uint8_t *p; size_t cap; } Room;

static Library lib;
static void *compressors[LEVELS][KEPT], *decompressors[KEPT];
static int n_compressors[LEVELS], n_decompressors, n_rooms;
static Room rooms[KEPT];

static uint32_t little(const uint8_t *p) { return p[0] | p[1] << 8 | p[2] << 16 | (uint32_t)p[3] << 24; }

static void put_little(uint8_t *p, uint32_t value) {
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
                           "libdeflate_deflate_decompress", "libdeflate_crc32"};
    void *found[5];
    for (int i = 0; i < 5; i++)
        if (!(found[i] = dlsym(handle, names[i]))) Py_RETURN_FALSE;
    memcpy(&lib, found, sizeof lib); /* POSIX: a data pointer of dlsym holds a function's address */
    Py_RETURN_TRUE;
#endif
}

typedef struct { const uint8_t *body; size_t body_size, size; uint32_t crc; } Block;

/* Where the parts of one whole block lie; 0 where it is too short to have them. */
static int read_block(PyObject *bytes, Block *block) {
    const uint8_t *p = (const uint8_t *)PyBytes_AS_STRING(bytes);
    size_t n = (size_t)PyBytes_GET_SIZE(bytes);
    if (n < HEAD + TAIL) return 0;
    size_t start = 12 + (size_t)(p[10] | p[11] << 8);
    if (start + TAIL > n) return 0;
    *block = (Block){p + start, n - TAIL - start, little(p + n - 4), little(p + n - 8)};
    return block->size <= MAX_TEXT;
}

static int inflate_block(void *decompressor, const Block *block, uint8_t *out) {
    size_t made = 0;
    if (block->size == 0) return WHOLE;
    if (lib.decompress(decompressor, block->body, block->body_size, out, block->size, &made)) return NOT_INFLATED;
    return made == block->size && lib.crc32(0, out, made) == block->crc ? WHOLE : OTHER_CHECKSUM;
}

static Py_ssize_t read_blocks(PyObject *group, Block *blocks, size_t *total) {
    Py_ssize_t count = PyList_GET_SIZE(group);
    *total = 0;
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *pair = PyList_GET_ITEM(group, i);
        if (!PyTuple_Check(pair) || PyTuple_GET_SIZE(pair) != 2 || !PyBytes_Check(PyTuple_GET_ITEM(pair, 1)) ||
            !read_block(PyTuple_GET_ITEM(pair, 1), &blocks[i])) {
            PyErr_SetString(PyExc_ValueError, "pairs of an offset and a whole block");
            return -1;
        }
        *total += blocks[i].size;
    }
    return count;
}

/* inflate(group): the text of whole blocks, or (index, fault) of the first that is broken. */
static PyObject *inflate(PyObject *self, PyObject *group) {
    (void)self;
    size_t total, at = 0;
    int fault = WHOLE;
    Py_ssize_t i = 0;
    if (!lib.decompress || !PyList_Check(group)) return PyErr_Format(PyExc_TypeError, "a list, after connect");
    Block *blocks = PyMem_Calloc((size_t)PyList_GET_SIZE(group) + 1, sizeof *blocks);
    if (!blocks) return PyErr_NoMemory();
    Py_ssize_t count = read_blocks(group, blocks, &total);
    PyObject *text = count < 0 ? NULL : PyBytes_FromStringAndSize(NULL, (Py_ssize_t)total);
    void *decompressor = !text ? NULL : n_decompressors ? decompressors[--n_decompressors] : lib.alloc_decompressor();
    if (text && decompressor) {
        uint8_t *out = (uint8_t *)PyBytes_AS_STRING(text);
        /* The caller's frame holds the list, and nobody else has it: the blocks stay while the lock is released. */
        Py_BEGIN_ALLOW_THREADS
        for (; i < count && !(fault = inflate_block(decompressor, &blocks[i], out + at)); i++) at += blocks[i].size;
        Py_END_ALLOW_THREADS
        if (n_decompressors < KEPT) decompressors[n_decompressors++] = decompressor;
    } else if (text) {
        Py_CLEAR(text);
        PyErr_NoMemory();
    }
    PyMem_Free(blocks);
    if (!text || !fault) return text;
    Py_DECREF(text);
    return Py_BuildValue("(ni)", i, fault);
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
    if (size == 0 || size + HEAD + TAIL > MAX_TEXT) size = store(text, n, out + HEAD);
    memcpy(out, prefix, 16);
    size_t whole = size + HEAD + TAIL;
    out[16] = (uint8_t)(whole - 1), out[17] = (uint8_t)((whole - 1) >> 8);
    put_little(out + HEAD + size, lib.crc32(0, text, n));
    put_little(out + HEAD + size + 4, (uint32_t)n);
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
        made = PyBytes_FromStringAndSize((const char *)room.p, (Py_ssize_t)at);
    } else {
        PyErr_NoMemory();
    }
    if (compressor && n_compressors[level] < KEPT) compressors[level][n_compressors[level]++] = compressor;
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
    {"inflate", inflate, METH_O, "The text of whole BGZF blocks."},
    {"deflate", deflate, METH_VARARGS, "A BGZF block for each text."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_bgzf", "BGZF, compiled.", -1, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__bgzf(void) { return PyModule_Create(&module); }
