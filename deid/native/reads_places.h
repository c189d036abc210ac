/* Where a substituted read will stand: 32 bytes whose order as bytes is the order of the reads. Twin: deid/reads/places.py.
 * Contig and start (4 bytes each), new name (14), length (4), strand, nothing (1 each), read group (4), high byte first. */
#ifndef TONGGUAN_READS_PLACES_H
#define TONGGUAN_READS_PLACES_H

#include "reads.h"

enum { PLACE = 32, AT_NAME = 8, AT_LENGTH = 22, AT_STRAND = 26, AT_GROUP = 28, REVERSE = 0x10 };

static inline void put_big(uint8_t *p, uint64_t value, int bytes) {
    for (int i = 0; i < bytes; i++) p[i] = (uint8_t)(value >> 8 * (bytes - 1 - i));
}

static inline uint64_t big(const uint8_t *p, int bytes) {
    uint64_t value = 0;
    for (int i = 0; i < bytes; i++) value = value << 8 | p[i];
    return value;
}

#endif
