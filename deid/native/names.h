/* Read names, replaced: SipHash-2-4-128 of Aumasson and Bernstein in fourteen letters. Twin: deid/reads/names.py. */
#ifndef TONGGUAN_NAMES_H
#define TONGGUAN_NAMES_H

#include <Python.h>
#include <stdint.h>
#include <string.h>

#if PY_BIG_ENDIAN
#error "words are read in place; on this machine the Python twins do the work"
#endif

enum { NAME = 14 };

static inline uint64_t u64(const uint8_t *p) { uint64_t v; memcpy(&v, p, 8); return v; }

#define ROTL(x, b) (((x) << (b)) | ((x) >> (64 - (b))))
#define ROUND \
    do { \
        v0 += v1; v1 = ROTL(v1, 13); v1 ^= v0; v0 = ROTL(v0, 32); \
        v2 += v3; v3 = ROTL(v3, 16); v3 ^= v2; \
        v0 += v3; v3 = ROTL(v3, 21); v3 ^= v0; \
        v2 += v1; v1 = ROTL(v1, 17); v1 ^= v2; v2 = ROTL(v2, 32); \
    } while (0)

static inline void siphash128(const uint8_t *key, const uint8_t *p, size_t n, uint64_t out[2]) {
    uint64_t k0 = u64(key), k1 = u64(key + 8), last = (uint64_t)n << 56;
    uint64_t v0 = k0 ^ 0x736f6d6570736575ULL, v1 = k1 ^ 0x646f72616e646f6dULL ^ 0xee;
    uint64_t v2 = k0 ^ 0x6c7967656e657261ULL, v3 = k1 ^ 0x7465646279746573ULL;
    size_t whole = n - n % 8;
    for (size_t i = 0; i < whole; i += 8) {
        uint64_t m = u64(p + i);
        v3 ^= m; ROUND; ROUND; v0 ^= m;
    }
    for (size_t i = whole; i < n; i++) last |= (uint64_t)p[i] << (8 * (i - whole));
    v3 ^= last; ROUND; ROUND; v0 ^= last;
    v2 ^= 0xee; ROUND; ROUND; ROUND; ROUND;
    out[0] = v0 ^ v1 ^ v2 ^ v3;
    v1 ^= 0xdd; ROUND; ROUND; ROUND; ROUND;
    out[1] = v0 ^ v1 ^ v2 ^ v3;
}

/* Fourteen letters of six bits: 64 bits of the first word, 20 of the second. */
static inline void put_name(uint8_t *out, const uint64_t hash[2]) {
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    uint64_t low = hash[0], high = hash[1];
    for (int i = 0; i < NAME; i++) {
        out[i] = (uint8_t)letters[low & 63];
        low = low >> 6 | (high & 63) << 58;
        high >>= 6;
    }
    out[NAME] = 0;
}

#endif
