"""The body of a Crypt4GH file: 64 KiB segments, sealed in groups through buffers that are used again.

A segment is nonce (12 bytes), ciphertext, MAC (16 bytes); only the last may be short (Crypt4GH 1, "Segmenting the
input"). Nonces count upwards from a random start, as the standard's "Nonce selection" proposes. A foreign reader
notices nothing; our own can tell that a segment was moved, dropped or inserted, which the format alone cannot.

Two threads encrypt while the caller's thread reads and writes: the cipher releases the interpreter lock. Order and
bytes do not depend on the threads. Header, keys and reading are not here.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from gateway.crypt4gh.errors import Crypt4GHError
from gateway.crypt4gh.streams import Sink, Source, fill, write_all

SEGMENT = 65536
NONCE = 12
MAC = 16
OVERHEAD = NONCE + MAC
CIPHER_SEGMENT = SEGMENT + OVERHEAD
GROUP = 16
"""Segments worked on at once: 1 MiB, measured best of 4, 16 and 64 (cache against calls)."""
THREADS = 2
SLOTS = THREADS + 1


def cipher_size(plain: int) -> int:
    """Bytes of body that ``plain`` bytes become."""
    return plain + OVERHEAD * -(-plain // SEGMENT)


def plain_size(cipher: int) -> int:
    """Bytes of plain text in a body of ``cipher`` bytes. Raises where no body has that length."""
    whole, rest = divmod(cipher, CIPHER_SEGMENT)
    if rest == 0:
        return whole * SEGMENT
    if rest <= OVERHEAD:
        raise Crypt4GHError("the sealed body ends inside a segment", offset=cipher)
    return whole * SEGMENT + rest - OVERHEAD


def cipher_range(plain_start: int, plain_end: int) -> tuple[int, int]:
    """The bytes of the body (from, to-exclusive, counted from the end of the header) that cover a plain range.

    Both ends are on segment borders; the last segment of a file may end before the upper one. Add the header's
    length for a place in the file (Crypt4GH 1, section "Decryption").
    """
    if not 0 <= plain_start <= plain_end:
        raise ValueError("a range must not be negative or backwards")
    first = plain_start // SEGMENT
    last = -(-plain_end // SEGMENT)
    return first * CIPHER_SEGMENT, max(first, last) * CIPHER_SEGMENT


def nonce_at(first: int, index: int) -> bytes:
    """The nonce of segment ``index`` when segment 0 has ``first``; wraps at 96 bits."""
    return ((first + index) % (1 << 96)).to_bytes(NONCE, "little")


def seal_segments(cipher: ChaCha20Poly1305, plain: memoryview, sealed: memoryview, nonce: int) -> int:
    """Seal ``plain`` segment by segment into ``sealed``, nonces counting from ``nonce``; the bytes written."""
    out = 0
    for index, start in enumerate(range(0, len(plain), SEGMENT)):
        segment = plain[start : start + SEGMENT]
        tag = nonce_at(nonce, index)
        sealed[out : out + NONCE] = tag
        end = out + len(segment) + OVERHEAD
        cipher.encrypt_into(tag, segment, None, sealed[out + NONCE : end])
        out = end
    return out


@dataclass(slots=True, kw_only=True)
class _Slot:
    """One group's buffers, and the sealing of it while it is under way."""

    plain: memoryview = field(default_factory=lambda: memoryview(bytearray(GROUP * SEGMENT)))
    sealed: memoryview = field(default_factory=lambda: memoryview(bytearray(GROUP * CIPHER_SEGMENT)))
    running: Future[int] | None = None

    def flush(self, sink: Sink) -> None:
        """Wait for this group and hand it on."""
        if self.running is not None:
            size = self.running.result()
            self.running = None
            write_all(sink, self.sealed[:size])


def seal_body(source: Source, sink: Sink, *, key: bytes, first_nonce: int) -> int:
    """Seal all of ``source`` into ``sink``; how many plain bytes went in."""
    slot = _Slot()
    got = fill(source, slot.plain)
    if got < len(slot.plain):
        size = seal_segments(ChaCha20Poly1305(key), slot.plain[:got], slot.sealed, first_nonce)
        write_all(sink, slot.sealed[:size])
        return got
    with ThreadPoolExecutor(THREADS, thread_name_prefix="seal") as pool:
        return _seal_groups(source, sink, _Pipeline(key=key, first_nonce=first_nonce, pool=pool, head=slot))


@dataclass(slots=True, kw_only=True)
class _Pipeline:
    key: bytes
    first_nonce: int
    pool: ThreadPoolExecutor
    head: _Slot


def _seal_groups(source: Source, sink: Sink, line: _Pipeline) -> int:
    """Read, seal and write at once; ``line.head`` is already read and full."""
    slots = [line.head, *(_Slot() for _ in range(SLOTS - 1))]
    got = len(line.head.plain)
    total = turn = 0
    while got:
        slot = slots[turn % SLOTS]
        nonce = line.first_nonce + turn * GROUP
        # A cipher object per group: cheap, and never shared by two threads.
        slot.running = line.pool.submit(seal_segments, ChaCha20Poly1305(line.key), slot.plain[:got], slot.sealed, nonce)
        total += got
        turn += 1
        following = slots[turn % SLOTS]
        following.flush(sink)
        got = fill(source, following.plain) if got == len(slot.plain) else 0
    for step in range(SLOTS):
        slots[(turn + step) % SLOTS].flush(sink)
    return total
