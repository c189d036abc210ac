"""One staged file: a card and sealed segments, readable only with its owner's key.

    TGSTAGE1 (8 bytes) | card (80 bytes) | segments as in Crypt4GH, under the file's own key

The card holds the file's key, first nonce and plain size, sealed under the owner's key and bound to owner and name.
It is written last: a half-written file has none. Size and counted nonces make a cut, moved or inserted segment show,
and one staged file in another's place.
"""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass
from types import TracebackType
from typing import Any, BinaryIO, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from gateway.crypt4gh import Crypt4GHError
from gateway.crypt4gh.body import Expected, PlainReader, SegmentBody
from gateway.crypt4gh.edits import WHOLE
from gateway.crypt4gh.segments import CIPHER_SEGMENT, GROUP, SEGMENT, seal_segments
from gateway.ports import Randomness
from gateway.staging.errors import StagedFileDamagedError
from gateway.staging.files import NewFile

_MAGIC = b"TGSTAGE1"
_NONCE, _KEY = 12, 32
_FIELDS = struct.Struct(f"<{_KEY}s{_NONCE}sQ")
_CARD = _NONCE + _FIELDS.size + 16
START = len(_MAGIC) + _CARD


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Owner, name, and the owner's key."""

    owner: str
    name: str
    key: bytes

    @property
    def binding(self) -> bytes:
        """What the card is authenticated with."""
        return _MAGIC + self.owner.encode() + b"/" + self.name.encode()


class StagedWriter:
    """A sink. Use as a context manager: a clean end makes the file durable, an error leaves nothing."""

    def __init__(self, file: NewFile, place: Place, random: Randomness) -> None:
        self._file, self._place = file, place
        self._key, self._first, self._nonce = random.token(_KEY), random.token(_NONCE), random.token(_NONCE)
        self._cipher = ChaCha20Poly1305(self._key)
        self._plain = memoryview(bytearray(GROUP * SEGMENT))
        self._sealed = memoryview(bytearray(GROUP * CIPHER_SEGMENT))
        self._held = 0
        self._done = 0
        file.write(bytes(START))

    @property
    def size(self) -> int:
        """Plain bytes written so far."""
        return self._done + self._held

    def write(self, data: Any, /) -> int:
        """All of ``data``. Raises StagingFullError or StagingError."""
        rest = memoryview(data).cast("B")
        size = len(rest)
        while len(rest):
            part = rest[: len(self._plain) - self._held]
            self._plain[self._held : self._held + len(part)] = part
            self._held += len(part)
            rest = rest[len(part) :]
            if self._held == len(self._plain):
                self._flush()
        return size

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        try:
            if kind is None:
                self._flush()
                self._file.write_at(0, _MAGIC + self._card())
                self._file.commit()
        finally:
            self._file.discard()

    def _flush(self) -> None:
        nonce = int.from_bytes(self._first, "little") + self._done // SEGMENT
        size = seal_segments(self._cipher, self._plain[: self._held], self._sealed, nonce)
        self._file.write(self._sealed[:size])
        self._done += self._held
        self._held = 0

    def _card(self) -> bytes:
        fields = _FIELDS.pack(self._key, self._first, self._done)
        return self._nonce + ChaCha20Poly1305(self._place.key).encrypt(self._nonce, fields, self._place.binding)


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """What a staged file says of itself."""

    key: bytes
    first_nonce: int
    size: int


def read_card(source: BinaryIO, place: Place) -> Card:
    """The card at the beginning of ``source``. Raises StagedFileDamagedError."""
    start = source.read(START)
    nonce, sealed = start[len(_MAGIC) : len(_MAGIC) + _NONCE], start[len(_MAGIC) + _NONCE :]
    try:
        fields = ChaCha20Poly1305(place.key).decrypt(nonce, sealed, place.binding)
    except (InvalidTag, ValueError):
        raise StagedFileDamagedError(f"staging: {place.name} of {place.owner} is not what was written") from None
    key, first, size = _FIELDS.unpack(fields)
    return Card(key=key, first_nonce=int.from_bytes(first, "little"), size=size)


class _StagedReader(PlainReader):
    """Closes its file with itself, and speaks of staging where the segments are damaged."""

    def __init__(self, body: SegmentBody, file: BinaryIO, place: Place) -> None:
        super().__init__(body, WHOLE)
        self._file, self._place = file, place

    def readinto(self, buffer: Any, /) -> int:
        try:
            return super().readinto(buffer)
        except Crypt4GHError as error:
            raise damaged(self._place, error) from error

    def close(self) -> None:
        self._file.close()
        super().close()


def damaged(place: Place, error: Crypt4GHError) -> StagedFileDamagedError:
    """The same place, as trouble of ours and not of a file somebody gave us."""
    return StagedFileDamagedError(f"staging: {place.name} of {place.owner}: {error}")


def open_staged(file: BinaryIO, place: Place) -> BinaryIO:
    """A seekable reader of the plain bytes; owns ``file``."""
    try:
        card = read_card(file, place)
        expected = Expected(plain=card.size, first_nonce=card.first_nonce)
        body = SegmentBody(file, keys=[card.key], start=START, expected=expected)
    except Crypt4GHError as error:
        file.close()
        raise damaged(place, error) from error
    except BaseException:
        file.close()
        raise
    return io.BufferedReader(_StagedReader(body, file, place), buffer_size=GROUP * SEGMENT)
