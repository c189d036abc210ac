"""Read names, replaced: the same name under the same key gives the same 14 letters, and nothing comes back.

SipHash-2-4 with 128 bits (Aumasson and Bernstein 2012) under a key of 16 random bytes per view. The 84 bits that are
written give two different names of a billion the same new name with a chance of about 3 in 10^8. Mates keep a name in
common because they had one. Twin of the function in ``native/reads.c``.
"""

from __future__ import annotations

import struct

LETTERS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
LENGTH = 14
ALL = (1 << 64) - 1


def siphash128(key: bytes, text: bytes) -> tuple[int, int]:
    """The two 64-bit words of SipHash-2-4-128."""
    k0, k1 = struct.unpack("<QQ", key)
    v = [k0 ^ 0x736F6D6570736575, k1 ^ 0x646F72616E646F6D ^ 0xEE, k0 ^ 0x6C7967656E657261, k1 ^ 0x7465646279746573]
    whole = len(text) - len(text) % 8
    last = int.from_bytes(text[whole:], "little") | (len(text) & 0xFF) << 56
    for word in (*struct.unpack(f"<{whole // 8}Q", text[:whole]), last):
        v[3] ^= word
        _rounds(v, 2)
        v[0] ^= word
    v[2] ^= 0xEE
    _rounds(v, 4)
    first = v[0] ^ v[1] ^ v[2] ^ v[3]
    v[1] ^= 0xDD
    _rounds(v, 4)
    return first, v[0] ^ v[1] ^ v[2] ^ v[3]


def _rounds(v: list[int], count: int) -> None:
    a, b, c, d = v
    for _ in range(count):
        a = (a + b) & ALL
        b = (b << 13 | b >> 51) & ALL ^ a
        a = (a << 32 | a >> 32) & ALL
        c = (c + d) & ALL
        d = (d << 16 | d >> 48) & ALL ^ c
        a = (a + d) & ALL
        d = (d << 21 | d >> 43) & ALL ^ a
        c = (c + b) & ALL
        b = (b << 17 | b >> 47) & ALL ^ c
        c = (c << 32 | c >> 32) & ALL
    v[:] = a, b, c, d


def new_name(words: tuple[int, int]) -> bytes:
    """Fourteen letters of six bits each: 64 bits of the first word, 20 of the second."""
    bits = words[0] | words[1] << 64
    return bytes(LETTERS[bits >> 6 * place & 63] for place in range(LENGTH))
