/* Measure written bytes: genotypes of VCF lines, kinship of pairs, odd cells, places of windows. Twins: deid/genomic.py,
 * deid/needles.py, deid/leaks/text.py. Bytes in, numbers out; nothing here writes a file that leaves. Every read is
 * bounded by the end of its line, and every line by the end of the block. */
#include <Python.h>
#include <stdint.h>
#include <string.h>

#define MAX_ALLELE 4096
enum { BAD_LINE = -1, TOO_MANY_ALLELES = -2 };

typedef struct { int64_t people; int64_t *singles, *private_; int8_t *dosage; int64_t rows, row; } Sink;
typedef struct { int64_t holders, last, copies; } Allele;

static const char *next_tab(const char *p, const char *end) {
    const char *tab = memchr(p, '\t', (size_t)(end - p));
    return tab ? tab : end;
}

static int is_autosome(const char *p, const char *end) {
    if (end - p > 3 && !memcmp(p, "chr", 3)) p += 3;
    if (end - p == 1) return *p >= '1' && *p <= '9';
    if (end - p != 2 || p[1] < '0' || p[1] > '9') return 0;
    return *p == '1' || (*p == '2' && p[1] <= '2');
}

/* The ALT count of a diploid call of REF and the first ALT; -1 for any other call. */
static int8_t dosage_of(const char *p, const char *end) {
    if (end - p != 3 || (p[1] != '/' && p[1] != '|')) return -1;
    int first = p[0] - '0', second = p[2] - '0';
    return first >= 0 && first <= 1 && second >= 0 && second <= 1 ? (int8_t)(first + second) : -1;
}

/* Copies of each ALT in one call; alleles are numbers, as VCF 4.5 1.6.2 has it. Returns the largest number or an error. */
static int64_t count_call(const char *p, const char *end, Allele *alleles, int64_t person, int64_t most) {
    while (p <= end) {
        const char *start = p;
        int64_t number = 0;
        int digits = 1;
        while (p < end && *p != '/' && *p != '|') {
            if (*p < '0' || *p > '9') digits = 0;
            else if (number <= MAX_ALLELE) number = number * 10 + (*p - '0');
            p++;
        }
        int missing = p - start == 1 && *start == '.';
        if (p == start || (!digits && !missing)) return BAD_LINE;
        if (number > MAX_ALLELE) return TOO_MANY_ALLELES;
        if (!missing && number) {
            for (; most < number; most++) alleles[most + 1] = (Allele){0, -1, 0};
            Allele *a = &alleles[number];
            if (a->last != person) { a->holders++; a->last = person; a->copies = 0; }
            a->copies++;
        }
        p++;
    }
    return most;
}

static void add_private(const Allele *alleles, int64_t most, Sink *sink) {
    for (int64_t number = 1; number <= most; number++) {
        if (alleles[number].holders != 1) continue;
        sink->private_[alleles[number].last]++;
        sink->singles[alleles[number].last] += alleles[number].copies == 1;
    }
}

static int take_line(const char *p, const char *end, Allele *alleles, Sink *sink) {
    const char *cell[10];
    cell[0] = p;
    for (int i = 1; i < 10; i++) {
        const char *tab = next_tab(cell[i - 1], end);
        if (tab == end) return i >= 8 && !sink->people ? 0 : BAD_LINE;
        cell[i] = tab + 1;
    }
    int has_calls = !memcmp(cell[8], "GT", 2) && (cell[8][2] == ':' || cell[8][2] == '\t');
    int64_t person = 0, most = 0, hets = 0;
    int8_t *row = sink->row < sink->rows ? sink->dosage + sink->row * sink->people : NULL;
    if (row && (memchr(cell[4], ',', (size_t)(cell[5] - cell[4])) || !is_autosome(cell[0], cell[1] - 1))) row = NULL;
    for (const char *at = cell[9];; person++) {
        if (person >= sink->people) return BAD_LINE;
        const char *stop = at;
        while (stop < end && *stop != ':' && *stop != '\t') stop++;
        const char *tab = stop;
        while (tab < end && *tab != '\t') tab++;
        if (has_calls) {
            int8_t copies = dosage_of(at, stop);
            if (copies) most = count_call(at, stop, alleles, person, most);
            if (most < 0) return (int)most;
            if (row) { row[person] = copies; hets += copies == 1; }
        }
        if (tab == end) break;
        at = tab + 1;
    }
    if (person + 1 != sink->people) return BAD_LINE;
    add_private(alleles, most, sink);
    if (row && hets) sink->row++;
    return 0;
}

/* genotypes(block, singles, privates, dosage, row) -> (records, row): whole lines of records, none of the header. */
static PyObject *genotypes(PyObject *self, PyObject *args) {
    Py_buffer block, singles, private_, dosage;
    long long row, records = 0;
    int bad = 0;
    (void)self;
    if (!PyArg_ParseTuple(args, "y*w*w*w*L", &block, &singles, &private_, &dosage, &row)) return NULL;
    int64_t people = singles.len / 8;
    Sink sink = {people, singles.buf, private_.buf, dosage.buf, people ? dosage.len / people : 0, row};
    Allele *alleles = PyMem_RawMalloc((MAX_ALLELE + 1) * sizeof *alleles);
    if (!alleles || private_.len != singles.len || row < 0) bad = 1;
    Py_BEGIN_ALLOW_THREADS
    const char *p = block.buf, *end = p + block.len;
    while (!bad && p < end) {
        const char *line = memchr(p, '\n', (size_t)(end - p));
        const char *stop = line ? line : end;
        if (stop > p && stop[-1] == '\r') stop--;
        bad = take_line(p, stop, alleles, &sink);
        records++;
        p = line ? line + 1 : end;
    }
    Py_END_ALLOW_THREADS
    PyMem_RawFree(alleles);
    PyBuffer_Release(&block); PyBuffer_Release(&singles); PyBuffer_Release(&private_); PyBuffer_Release(&dosage);
    if (bad) return PyErr_Format(PyExc_ValueError, "a record does not hold together");
    return Py_BuildValue("LL", records, (long long)sink.row);
}

#if defined(__x86_64__) && defined(__GNUC__) && defined(__gnu_linux__)
#define CLONES __attribute__((target_clones("avx2", "popcnt", "default")))
#else
#define CLONES
#endif

/* Bits of four planes (het, low, high, called), words each; KING-robust (Manichaikul 2010, between families). */
CLONES static double kinship_of(const uint64_t *a, const uint64_t *b, int64_t words, int64_t least) {
    const uint64_t *het_a = a, *low_a = a + words, *high_a = a + 2 * words, *in_a = a + 3 * words;
    const uint64_t *het_b = b, *low_b = b + words, *high_b = b + 2 * words, *in_b = b + 3 * words;
    int64_t both = 0, opposite = 0, mine = 0, theirs = 0, shared = 0;
    for (int64_t w = 0; w < words; w++) {
        both += __builtin_popcountll(het_a[w] & het_b[w]);
        opposite += __builtin_popcountll((low_a[w] & high_b[w]) | (high_a[w] & low_b[w]));
        mine += __builtin_popcountll(het_a[w] & in_b[w]);
        theirs += __builtin_popcountll(het_b[w] & in_a[w]);
        shared += __builtin_popcountll(in_a[w] & in_b[w]);
    }
    double fewest = (double)(mine < theirs ? mine : theirs);
    if (fewest == 0 || shared < least) return 0;
    return ((double)both - 2.0 * (double)opposite) / (2 * fewest) + 0.5 - (double)(mine + theirs) / (4 * fewest);
}

/* kin(planes, people, words, least, threshold) -> pairs above the threshold as 64-bit numbers, first then second. */
static PyObject *kin(PyObject *self, PyObject *args) {
    Py_buffer planes;
    long long people, words, least;
    double threshold;
    (void)self;
    if (!PyArg_ParseTuple(args, "y*LLLd", &planes, &people, &words, &least, &threshold)) return NULL;
    if (people < 0 || words <= 0 || planes.len / 32 / words != people) {
        PyBuffer_Release(&planes);
        return PyErr_Format(PyExc_ValueError, "four planes per person are needed");
    }
    int64_t room = 1024, count = 0, *found = PyMem_RawMalloc((size_t)room * 16);
    Py_BEGIN_ALLOW_THREADS
    const uint64_t *bits = planes.buf;
    for (int64_t i = 0; found && i < people; i++)
        for (int64_t j = i + 1; j < people; j++) {
            if (kinship_of(bits + i * 4 * words, bits + j * 4 * words, words, least) <= threshold) continue;
            if (count == room) {
                int64_t *larger = PyMem_RawRealloc(found, (size_t)(room *= 2) * 16);
                if (!larger) { PyMem_RawFree(found); found = NULL; break; }
                found = larger;
            }
            found[2 * count] = i;
            found[2 * count++ + 1] = j;
        }
    Py_END_ALLOW_THREADS
    PyBuffer_Release(&planes);
    if (!found) return PyErr_NoMemory();
    PyObject *result = PyBytes_FromStringAndSize((const char *)found, count * 16);
    PyMem_RawFree(found);
    return result;
}

typedef struct { int64_t *at; size_t n, room; int broken; } Places;

static void put(Places *out, int64_t place) {
    if (out->n == out->room) {
        size_t room = out->room ? out->room * 2 : 256;
        int64_t *larger = PyMem_RawRealloc(out->at, room * 8);
        if (!larger) { out->broken = 1; return; }
        out->at = larger;
        out->room = room;
    }
    out->at[out->n++] = place;
}

static PyObject *done(Places *out) {
    PyObject *result = out->broken ? PyErr_NoMemory()
                                   : PyBytes_FromStringAndSize((const char *)out->at, (Py_ssize_t)out->n * 8);
    PyMem_RawFree(out->at);
    return result;
}

static int is_known(const uint64_t *sorted, int64_t count, uint64_t wanted) {
    int64_t low = 0, high = count;
    while (low < high) {
        int64_t middle = (low + high) / 2;
        if (sorted[middle] < wanted) low = middle + 1;
        else high = middle;
    }
    return low < count && sorted[low] == wanted;
}

/* windows(data, width, stride, shift, multiplier, bits, sorted): each multiple of stride whose window is in sorted. */
static PyObject *windows(PyObject *self, PyObject *args) {
    Py_buffer data, bits, sorted;
    int width, stride, shift;
    unsigned long long multiplier;
    Places out = {NULL, 0, 0, 0};
    (void)self;
    if (!PyArg_ParseTuple(args, "y*iiiKy*y*", &data, &width, &stride, &shift, &multiplier, &bits, &sorted)) return NULL;
    int sound = (width == 4 || width == 8) && stride > 0 && shift > 0 && shift < width * 8 &&
                bits.len >= ((Py_ssize_t)1 << (width * 8 - shift)) / 8;
    Py_BEGIN_ALLOW_THREADS
    const unsigned char *p = data.buf, *set = bits.buf;
    for (Py_ssize_t at = 0; sound && at + width <= data.len && !out.broken; at += stride) {
        uint64_t window = 0, hash;
        if (width == 8) {
            memcpy(&window, p + at, 8);
            hash = (window * multiplier) >> shift;
        } else {
            uint32_t w;
            memcpy(&w, p + at, 4);
            window = w;
            hash = (uint32_t)(w * (uint32_t)multiplier) >> shift;
        }
        if (set[hash >> 3] & (1 << (hash & 7)) && is_known(sorted.buf, (int64_t)(sorted.len / 8), window)) put(&out, at);
    }
    Py_END_ALLOW_THREADS
    PyBuffer_Release(&data);
    PyBuffer_Release(&bits);
    PyBuffer_Release(&sorted);
    if (!sound) {
        PyMem_RawFree(out.at);
        return PyErr_Format(PyExc_ValueError, "the table does not fit the windows");
    }
    return done(&out);
}

/* odd_cells(block, allowed): numbers of the lines with a byte that is not allowed after the ninth tab. */
static PyObject *odd_cells(PyObject *self, PyObject *args) {
    Py_buffer block, allowed;
    Places out = {NULL, 0, 0, 0};
    (void)self;
    if (!PyArg_ParseTuple(args, "y*y*", &block, &allowed)) return NULL;
    int sound = allowed.len == 256;
    Py_BEGIN_ALLOW_THREADS
    const char *p = block.buf, *end = p + block.len;
    const unsigned char *fine = allowed.buf;
    for (int64_t number = 0; sound && p < end && !out.broken; number++) {
        const char *line = memchr(p, '\n', (size_t)(end - p)), *stop = line ? line : end, *at = p;
        int tabs = 0;
        while (tabs < 9 && at < stop) tabs += *at++ == '\t';
        unsigned odd = 0;
        if (tabs == 9) while (at < stop) odd |= !fine[(unsigned char)*at++];
        if (odd) put(&out, number);
        p = line ? line + 1 : end;
    }
    Py_END_ALLOW_THREADS
    PyBuffer_Release(&block);
    PyBuffer_Release(&allowed);
    if (!sound) {
        PyMem_RawFree(out.at);
        return PyErr_Format(PyExc_ValueError, "a table of 256 bytes is needed");
    }
    return done(&out);
}

static PyMethodDef methods[] = {
    {"genotypes", genotypes, METH_VARARGS, "Private alleles, singletons and dosages of whole VCF lines."},
    {"kin", kin, METH_VARARGS, "Pairs whose KING-robust kinship is above a threshold."},
    {"windows", windows, METH_VARARGS, "Places whose window is one of a needle."},
    {"odd_cells", odd_cells, METH_VARARGS, "Lines with a byte off the alphabet in a sample's cell."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_measure", "Measuring, compiled.", -1, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__measure(void) { return PyModule_Create(&module); }
