"""Seal once, to a recipient; open with their private key. The file that is made is the file that is served.

A range is served as bytes of the sealed file (``cipher_range`` says which): nothing is sealed again for a range.
The data key is the caller's, new for every copy. Where it comes from and where the file goes is not here.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import BinaryIO

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from gateway.crypt4gh.body import Expected, PlainReader, SegmentBody
from gateway.crypt4gh.header import NONCE, build_header, read_header
from gateway.crypt4gh.segments import GROUP, SEGMENT, cipher_size, seal_body
from gateway.crypt4gh.streams import Sink, Source, write_all
from gateway.ports import Randomness


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedSize:
    """Bytes: ``plain`` went in, the sealed file has ``cipher``, of which the first ``header`` are its header."""

    plain: int
    cipher: int
    header: int


def generate_keypair(random: Randomness) -> tuple[bytes, bytes]:
    """(private, public), 32 raw bytes each, X25519."""
    private = random.token(32)
    return private, public_of(private)


def public_of(private_key: bytes) -> bytes:
    """The public key of a raw private key."""
    return X25519PrivateKey.from_private_bytes(private_key).public_key().public_bytes_raw()


def seal(source: Source, sink: Sink, *, readers: Sequence[bytes], session_key: bytes, random: Randomness) -> SealedSize:
    """Seal ``source`` to every public key of ``readers`` under ``session_key`` (32 bytes, used for one file only)."""
    header = build_header(readers=readers, session_key=session_key, random=random)
    write_all(sink, memoryview(header))
    plain = seal_body(source, sink, key=session_key, first_nonce=int.from_bytes(random.token(NONCE), "little"))
    return SealedSize(plain=plain, cipher=len(header) + cipher_size(plain), header=len(header))


def open_sealed(source: Source, private_key: bytes, *, sealed: SealedSize | None = None) -> BinaryIO:
    """A reader of the plain bytes, seekable when ``source`` is. ``source`` stands at its first byte.

    With ``sealed`` (what ``seal`` returned) a cut, lengthened, reordered or spliced file is refused too; without it
    only what the format protects is: every segment's own bytes.
    """
    opened = read_header(source, private_key)
    expected = Expected(plain=sealed.plain) if sealed is not None else None
    body = SegmentBody(source, keys=opened.data_keys, start=opened.length, expected=expected)
    if body.seekable:
        opened.edits.shown_size(body.size())
    return io.BufferedReader(PlainReader(body, opened.edits), buffer_size=GROUP * SEGMENT)
