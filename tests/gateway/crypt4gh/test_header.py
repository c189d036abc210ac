"""Header tricks: huge counts, edit lists that go backwards, unknown methods. Headers are forged here independently."""

from __future__ import annotations

import hashlib
import io
import os
import struct
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.crypt4gh import Crypt4GHError, WrongKeyError, open_sealed

READER = X25519PrivateKey.generate()
PRIVATE = READER.private_bytes_raw()
DATA_KEY = os.urandom(32)
PLAIN = os.urandom(200_000)


def packet(payload: bytes, *, method: int = 0, reader: X25519PrivateKey = READER) -> bytes:
    """The packet as the standard's text has it, written without the code under test."""
    writer = X25519PrivateKey.generate()
    ours, theirs = writer.public_key().public_bytes_raw(), reader.public_key().public_bytes_raw()
    shared = hashlib.blake2b(writer.exchange(reader.public_key()) + theirs + ours, digest_size=64).digest()[:32]
    nonce = os.urandom(12)
    body = struct.pack("<I", method) + ours + nonce + ChaCha20Poly1305(shared).encrypt(nonce, payload, b"")
    return struct.pack("<I", len(body) + 4) + body


def header(*packets: bytes, version: int = 1, count: int | None = None) -> bytes:
    number = len(packets) if count is None else count
    return b"crypt4gh" + struct.pack("<II", version, number) + b"".join(packets)


def data_key(key: bytes = DATA_KEY, method: int = 0) -> bytes:
    return struct.pack("<II", 0, method) + key


def edits(*lengths: int, count: int | None = None) -> bytes:
    number = len(lengths) if count is None else count
    return struct.pack("<II", 1, number) + b"".join(struct.pack("<Q", n) for n in lengths)


def body(plain: bytes = PLAIN, keys: tuple[bytes, ...] = (DATA_KEY,)) -> bytes:
    out = []
    for turn, at in enumerate(range(0, len(plain), 65536)):
        nonce = os.urandom(12)
        cipher = ChaCha20Poly1305(keys[turn % len(keys)])
        out.append(nonce + cipher.encrypt(nonce, plain[at : at + 65536], None))
    return b"".join(out)


def opened(data: bytes) -> bytes:
    return open_sealed(io.BytesIO(data), PRIVATE).read()


KEY_PACKET = packet(data_key())
START = 16
REFUSED = {
    "empty file": (b"", "ends inside its header", 0),
    "other magic": (b"crypt4gX" + bytes(100), "does not begin with", 0),
    "version 2": (header(KEY_PACKET, version=2), "version 2", 8),
    "no packets": (header(), "0 header packets", 12),
    "huge packet count": (header(KEY_PACKET, count=0xFFFFFFFF), "4294967295 header packets", 12),
    "more packets than there are": (header(KEY_PACKET, count=2), "ends inside its header", START + len(KEY_PACKET)),
    "packet length zero": (header(bytes(100), count=1), "packet of 0 bytes", START),
    "packet length huge": (header(b"\xff\xff\xff\xff" + bytes(100), count=1), "4294967295 bytes", START),
    "cut packet": (header(KEY_PACKET[:50], count=1), "ends inside its header", START + 50),
    "unknown packet type": (header(KEY_PACKET, packet(struct.pack("<I", 7))), "type 7", START + len(KEY_PACKET)),
    "unknown data method": (header(packet(data_key(method=1))), "method 1", START),
    "short data key": (header(packet(data_key(b"short"))), "too short", START),
    "empty packet": (header(packet(b"")), "too short", START),
    "edit list only": (header(packet(edits(0, 5))), "no data key", None),
    "two edit lists": (header(packet(edits(0, 5)), packet(edits(0, 5)), KEY_PACKET), "two edit lists", None),
    "edit list shorter than it says": (header(KEY_PACKET, packet(edits(0, 5, count=3))), "does not fit", None),
    "edit list with a huge count": (header(KEY_PACKET, packet(edits(0, 5, count=0xFFFFFFFF))), "does not fit", None),
    "edit list that wraps backwards": (header(KEY_PACKET, packet(edits(2**64 - 10, 20))), "add up", None),
    "edit list past the end": (header(KEY_PACKET, packet(edits(0, 200_001))), "reaches byte 200001", None),
    "edit list that skips everything": (header(KEY_PACKET, packet(edits(200_001))), "reaches byte 200001", None),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_false_header_is_refused_with_its_place(name: str) -> None:
    start, words, offset = REFUSED[name]
    with pytest.raises(Crypt4GHError, match=words) as caught:
        opened(start + (body() if "edit list" in name else b""))
    if offset is not None:
        assert caught.value.offset == offset


def test_a_header_of_many_large_packets_is_refused_before_it_is_read() -> None:
    class Endless(io.RawIOBase):
        given = 0

        def readinto(self, buffer: Any) -> int:
            view = memoryview(buffer)
            start = header(count=4096) if self.given == 0 else struct.pack("<I", 1 << 20)
            view[:] = (start + bytes(len(view)))[: len(view)]
            self.given += len(view)
            return len(view)

    source = Endless()
    with pytest.raises(Crypt4GHError, match="longer than"):
        open_sealed(source, PRIVATE)
    assert source.given <= 1 << 24


def test_packets_for_others_and_of_unknown_methods_are_passed_over() -> None:
    other = packet(data_key(os.urandom(32)), reader=X25519PrivateKey.generate())
    unknown = packet(data_key(os.urandom(32)), method=9)
    low_order = struct.pack("<II", 100, 0) + bytes(92)
    assert opened(header(other, unknown, low_order, KEY_PACKET) + body()) == PLAIN
    with pytest.raises(WrongKeyError, match="none of the 3"):
        opened(header(other, unknown, low_order) + body())


def test_padded_packets_and_several_data_keys_open() -> None:
    second = os.urandom(32)
    start = header(packet(data_key() + bytes(64)), packet(data_key(second)))
    assert opened(start + body(keys=(DATA_KEY, second))) == PLAIN


def apply_edits(lengths: list[int], plain: bytes) -> bytes:
    """The standard's ApplyEditList, step by step."""
    if not lengths:
        return plain
    out, at, rest = b"", 0, list(lengths)
    while rest:
        at += rest.pop(0)
        if not rest:
            return out + plain[at:]
        keep = rest.pop(0)
        out += plain[at : at + keep]
        at += keep
    return out


@given(lengths=st.lists(st.integers(0, 30_000), max_size=6), seek=st.integers(0, 200_000))
@settings(max_examples=80, deadline=None)
def test_edit_lists_show_what_the_standard_says(lengths: list[int], seek: int) -> None:
    data = header(KEY_PACKET, packet(edits(*lengths))) + SEALED
    wanted = apply_edits(lengths, PLAIN)
    assert opened(data) == wanted
    reader = open_sealed(io.BytesIO(data), PRIVATE)
    reader.seek(seek)
    assert reader.read(1000) == wanted[seek : seek + 1000]
    assert reader.seek(0, io.SEEK_END) == len(wanted)


SEALED = body()


@given(at=st.integers(0, 124), bit=st.integers(0, 7))
@settings(max_examples=300, deadline=None)
def test_no_flipped_header_bit_opens_to_anything_else(at: int, bit: int) -> None:
    start = header(KEY_PACKET)
    assert len(start) == 124
    mutant = bytearray(start + SEALED[: 65536 + 28])
    if at < len(start):
        mutant[at] ^= 1 << bit
        with pytest.raises(Crypt4GHError):
            opened(bytes(mutant))
