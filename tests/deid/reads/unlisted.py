"""Finds the bytes of a BAM or FASTQ that no view may depend on, and changes one; it knows nothing of ``deid``.

Written from the SAM specification (sections 1.3 to 1.5, 4.2) and RFC 1952 alone, so that what the program under test
believes of a file is not what its test believes. Unlisted is: header fields but those of the allow-list, tags not kept,
BAM's bin, the spare half byte of a sequence, the unused bits of FLAG, everything but place and FLAG of reads of people
who are not permitted and of reads whose FLAG keeps them out; in FASTQ comments, and what repeats the name after ``+``.
"""

from __future__ import annotations

import random
import struct

LETTERS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
KEPT = {b"@HD": (b"VN", b"SO"), b"@SQ": (b"SN", b"LN", b"M5"), b"@RG": (b"ID", b"SM", b"PL"), b"@PG": (), b"@CO": ()}
WIDTH = {b"A": 1, b"c": 1, b"C": 1, b"s": 2, b"S": 2, b"i": 4, b"I": 4, b"f": 4}
TEXT, BYTE, HIGH, LOW = "text", "byte", "high bits", "low half"
Position = tuple[int, str]


def header_positions(raw: bytes) -> list[Position]:
    """Letters of header values that are not on the allow-list."""
    size = struct.unpack_from("<I", raw, 4)[0]
    found, at = [], 8
    for line in raw[8 : 8 + size].rstrip(b"\0").split(b"\n"):
        fields = line.split(b"\t")
        place = at + len(fields[0]) + 1
        for field in fields[1:]:
            skip = 0 if fields[0] == b"@CO" else 3
            if skip == 0 or field[:2] not in KEPT[fields[0]]:
                found += [(place + n, TEXT) for n in range(skip, len(field)) if field[n] in LETTERS]
            place += len(field) + 1
        at += len(line) + 1
    return found


def first_record(raw: bytes) -> int:
    """Where the records begin."""
    at = 8 + struct.unpack_from("<I", raw, 4)[0]
    count, at = struct.unpack_from("<I", raw, at)[0], at + 4
    for _ in range(count):
        at += 8 + struct.unpack_from("<I", raw, at)[0]
    return at


def tags(raw: bytes, at: int, end: int) -> list[tuple[bytes, bytes, int, int]]:
    """Name, kind, and where the value begins and ends, of each tag."""
    found = []
    while at < end:
        name, kind = raw[at : at + 2], raw[at + 2 : at + 3]
        if kind in (b"Z", b"H"):
            begin, stop = at + 3, raw.index(b"\0", at + 3)
            after = stop + 1
        elif kind == b"B":
            begin = at + 8
            stop = after = begin + struct.unpack_from("<I", raw, at + 4)[0] * WIDTH[raw[at + 3 : at + 4]]
        else:
            begin = at + 3
            stop = after = begin + WIDTH[kind]
        found.append((name, kind, begin, stop))
        at = after
    return found


def record_positions(raw: bytes, kept_tags: tuple[bytes, ...], groups: tuple[bytes, ...], drop: int) -> list[Position]:
    """Bytes of records; ``groups`` are the read groups of the permitted, ``drop`` the FLAG bits that keep a read out."""
    found: list[Position] = []
    at = first_record(raw)
    while at < len(raw):
        size, _, _, long, _, _, operations, flag, length = struct.unpack_from("<IiiBBHHHi", raw, at)
        end, name_at = at + 4 + size, at + 36
        sequence = name_at + long + 4 * operations
        quality = sequence + (length + 1) // 2
        listed = tags(raw, quality + length, end)
        found += [(at + 14, BYTE), (at + 15, BYTE), (at + 19, HIGH)]
        if length % 2:
            found.append((quality - 1, LOW))
        theirs = any(name == b"RG" and raw[begin:stop] in groups for name, _, begin, stop in listed)
        outside = bool(flag & drop) or not theirs
        if outside:
            found.append((at + 13, BYTE))
            found += [(n, BYTE) for n in (*range(at + 32, at + 36), *range(sequence, quality + length))]
            found += [(n, TEXT) for n in range(name_at, name_at + long - 1)]
        for name, kind, begin, stop in listed:
            if name != b"RG" and (outside or name not in kept_tags):
                found += [(n, TEXT if kind in (b"Z", b"H", b"A") else BYTE) for n in range(begin, stop)]
        at = end
    return found


def fastq_positions(text: bytes) -> list[Position]:
    """Letters of comments and of what stands after ``+``."""
    found, at = [], 0
    for number, line in enumerate(text.split(b"\n")):
        begin = line.find(b" ") + 1 if number % 4 == 0 else 1 if number % 4 == 2 else 0
        if begin:
            found += [(at + n, TEXT) for n in range(begin, len(line))]
        at += len(line) + 1
    return found


def changed(data: bytes, position: Position, rng: random.Random) -> bytes:
    """The data with that one byte another, in the way its kind allows."""
    at, kind = position
    old, out = data[at], bytearray(data)
    while out[at] == old:
        if kind == TEXT:
            out[at] = rng.choice(LETTERS)
        elif kind == BYTE:
            out[at] = rng.randrange(256)
        elif kind == HIGH:
            out[at] = old & 0x0F | rng.randrange(16) << 4
        else:
            out[at] = old & 0xF0 | rng.randrange(16)
    return bytes(out)


def gzip_header_changed(data: bytes, rng: random.Random) -> bytes:
    """A gzip file whose first member's time, flags of effort and system are others (RFC 1952 section 2.3.1)."""
    out = bytearray(data)
    out[4:8] = rng.randbytes(4)
    out[8], out[9] = rng.randrange(256), rng.randrange(256)
    return bytes(out)
