"""Reading sealed segments back: any plain range from a seekable source, front to back from a stream.

Whole segments are decrypted straight into the caller's buffer; only the odd ends pass through one cached segment.
What the format cannot show (a moved, dropped or inserted segment, a cut end) is checked when the caller says what
was sealed here (``Expected``). Every refusal names the byte of the file.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from gateway.crypt4gh.edits import EditMap
from gateway.crypt4gh.errors import Crypt4GHError
from gateway.crypt4gh.segments import CIPHER_SEGMENT, GROUP, NONCE, OVERHEAD, SEGMENT, nonce_at, plain_size
from gateway.crypt4gh.streams import Source, fill


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What the body must be: its plain bytes, and its first nonce where that was kept (else segment 0 tells)."""

    plain: int
    first_nonce: int | None = None


def _seekable(source: Any) -> bool:
    return bool(getattr(source, "seekable", lambda: False)())


class SegmentBody:
    """The plain text of a body that begins at byte ``start`` of ``source``."""

    def __init__(self, source: Source, *, keys: Sequence[bytes], start: int, expected: Expected | None = None) -> None:
        self._source: Any = source
        self._ciphers = [ChaCha20Poly1305(key) for key in keys]
        self._start = start
        self._expected = expected
        self._first_nonce = expected.first_nonce if expected else None
        self._sealed = memoryview(bytearray(GROUP * CIPHER_SEGMENT))
        self._cached = memoryview(bytearray(SEGMENT))
        self._cached_index, self._cached_size = -1, 0
        self._next = 0
        self._end: int | None = None
        self.seekable = _seekable(source)
        if self.seekable and expected is not None:
            self._check_size(self.size())

    def size(self) -> int:
        """Plain bytes of a seekable source."""
        end = self._source.seek(0, io.SEEK_END)
        self._next = -1
        try:
            return plain_size(end - self._start)
        except Crypt4GHError:
            raise Crypt4GHError("the sealed body ends inside a segment", offset=end) from None

    def read_at(self, position: int, target: memoryview) -> int:
        """Up to ``len(target)`` plain bytes from ``position``; 0 only at the end. May stop at a segment border."""
        if self._end is not None and position >= self._end:
            return 0
        index, inside = divmod(position, SEGMENT)
        if inside == 0 and len(target) >= SEGMENT:
            return self._decrypt(index, target[: min(len(target) // SEGMENT, GROUP) * SEGMENT])
        if index != self._cached_index:
            self._cached_index = -1
            self._cached_size = self._decrypt(index, self._cached)
            self._cached_index = index
        part = self._cached[inside : self._cached_size][: len(target)]
        target[: len(part)] = part
        return len(part)

    def _decrypt(self, index: int, target: memoryview) -> int:
        """Open the segments from ``index`` on that fill ``target``, a whole number of segments."""
        self._go_to(index)
        got = fill(self._source, self._sealed[: len(target) // SEGMENT * CIPHER_SEGMENT])
        self._next = index + -(-got // CIPHER_SEGMENT)
        if got < len(target) // SEGMENT * CIPHER_SEGMENT:
            self._check_end(index, got)
        done = 0
        for step, at in enumerate(range(0, got, CIPHER_SEGMENT)):
            sealed = self._sealed[at : min(at + CIPHER_SEGMENT, got)]
            plain = target[done : done + len(sealed) - OVERHEAD]
            self._open_segment(index + step, sealed, plain)
            done += len(plain)
        return done

    def _go_to(self, index: int) -> None:
        if index == self._next:
            return
        if self.seekable:
            self._source.seek(self._start + index * CIPHER_SEGMENT)
        elif index < self._next:
            raise io.UnsupportedOperation("this source is a stream: it cannot be read backwards")
        else:
            self._pass_over(index)
        self._next = index

    def _pass_over(self, index: int) -> None:
        while self._next < index:
            want = min(index - self._next, GROUP)
            got = fill(self._source, self._sealed[: want * CIPHER_SEGMENT])
            if got < want * CIPHER_SEGMENT:
                raise Crypt4GHError("the file ends before the place asked for", offset=self._offset(self._next) + got)
            if self._next == 0 and self._first_nonce is None:
                self._first_nonce = int.from_bytes(self._sealed[:NONCE], "little")
            self._next += want

    def _open_segment(self, index: int, sealed: memoryview, plain: memoryview) -> None:
        nonce = bytes(sealed[:NONCE])
        if self._expected is not None:
            self._check_nonce(index, nonce)
        for turn, cipher in enumerate(self._ciphers):
            try:
                cipher.decrypt_into(nonce, sealed[NONCE:], None, plain)
            except InvalidTag:
                continue
            if turn:
                self._ciphers.insert(0, self._ciphers.pop(turn))
            return
        raise Crypt4GHError(f"segment {index} does not open: it was changed or cut", offset=self._offset(index))

    def _check_nonce(self, index: int, nonce: bytes) -> None:
        if self._first_nonce is None:
            self._first_nonce = int.from_bytes(nonce if index == 0 else self._nonce_of_first(), "little")
        if nonce != nonce_at(self._first_nonce, index):
            raise Crypt4GHError(f"segment {index} is not the one that belongs here", offset=self._offset(index))

    def _nonce_of_first(self) -> bytes:
        here = self._source.tell()
        self._source.seek(self._start)
        nonce = bytearray(NONCE)
        fill(self._source, memoryview(nonce))
        self._source.seek(here)
        return bytes(nonce)

    def _check_end(self, index: int, got: int) -> None:
        if 0 < got % CIPHER_SEGMENT <= OVERHEAD:
            raise Crypt4GHError("the sealed body ends inside a segment", offset=self._offset(index) + got)
        if not self.seekable or got:  # beyond the end of a file nothing is learnt about where it ends
            self._end = index * SEGMENT + plain_size(got)
            self._check_size(self._end)

    def _check_size(self, plain: int) -> None:
        if self._expected is not None and plain != self._expected.plain:
            raise Crypt4GHError(
                f"the sealed body holds {plain} bytes instead of {self._expected.plain}: cut or lengthened",
                offset=self._offset(plain // SEGMENT),
            )

    def _offset(self, index: int) -> int:
        return self._start + index * CIPHER_SEGMENT


class PlainReader(io.RawIOBase):
    """A body, through its edit list, as a raw binary file. ``readinto`` fills its buffer unless the end comes."""

    def __init__(self, body: SegmentBody, edits: EditMap) -> None:
        self._body = body
        self._edits = edits
        self._position = 0

    def readable(self) -> bool:
        """Always; writing is not here."""
        return True

    def seekable(self) -> bool:
        """As the source is."""
        return self._body.seekable

    def tell(self) -> int:
        """The shown position."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """To a shown position; past the end is allowed, as for files."""
        if not self._body.seekable:
            raise io.UnsupportedOperation("this source is a stream: it cannot be sought")
        origin = {io.SEEK_SET: 0, io.SEEK_CUR: self._position}.get(whence)
        if origin is None:
            origin = self._edits.shown_size(self._body.size())
        if origin + offset < 0:
            raise ValueError("a position must not be negative")
        self._position = origin + offset
        return self._position

    def readinto(self, buffer: Any, /) -> int:
        """Decrypt into ``buffer``."""
        target = memoryview(buffer).cast("B")
        done = 0
        while done < len(target):
            place = self._edits.locate(self._position)
            if place is None:
                break
            plain, left = place
            got = self._body.read_at(plain, target[done : done + min(left, len(target) - done)])
            if got == 0:
                self._ended(plain)
                break
            done += got
            self._position += got
        return done

    def _ended(self, plain: int) -> None:
        if not self._edits.open_ended:
            raise Crypt4GHError(f"the file ends at plain byte {plain}, before its edit list does")
