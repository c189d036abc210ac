"""Seal and open, against the ``crypt4gh`` package's command and the GA4GH sample files."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.crypt4gh import (
    Crypt4GHError,
    KeyFileError,
    SealedSize,
    WrongKeyError,
    accept_reader,
    cipher_range,
    cipher_size,
    generate_keypair,
    open_sealed,
    plain_size,
    read_private_key,
    seal,
    write_private_key,
    write_public_key,
)

SEGMENT, SEALED_SEGMENT = 65536, 65564
SIZES = [0, 1, SEGMENT - 1, SEGMENT, SEGMENT + 1, 16 * SEGMENT - 1, 16 * SEGMENT, 16 * SEGMENT + 1, 55 * SEGMENT + 7]


class Pipe:
    """A source that is only a stream, and gives less than asked."""

    def __init__(self, data: bytes, step: int = 50_000) -> None:
        self._data, self._step = io.BytesIO(data), step

    def readinto(self, buffer: Any) -> int:
        return self._data.readinto(memoryview(buffer)[: self._step])


def sealed(plain: bytes, random: Any, readers: int = 1) -> tuple[bytes, SealedSize, list[bytes]]:
    pairs = [generate_keypair(random) for _ in range(readers)]
    sink = io.BytesIO()
    size = seal(Pipe(plain), sink, readers=[pair[1] for pair in pairs], session_key=os.urandom(32), random=random)
    return sink.getvalue(), size, [pair[0] for pair in pairs]


@pytest.mark.parametrize("size", SIZES)
def test_what_we_seal_the_package_opens(size: int, random: Any, package_command: Any, tmp_path: Path) -> None:
    plain = os.urandom(size)
    data, told, (private,) = sealed(plain, random)
    (tmp_path / "key.sec").write_bytes(write_private_key(private, random=random))
    assert package_command("decrypt", "--sk", str(tmp_path / "key.sec"), data=data) == plain
    assert (told.plain, told.cipher) == (size, len(data))
    assert told.cipher - told.header == cipher_size(size)
    assert plain_size(cipher_size(size)) == size


@pytest.mark.parametrize("size", SIZES)
def test_what_the_package_seals_we_open(size: int, random: Any, package_command: Any, tmp_path: Path) -> None:
    plain = os.urandom(size)
    private, public = generate_keypair(random)
    (tmp_path / "key.pub").write_bytes(write_public_key(public))
    data = package_command("encrypt", "--recipient_pk", str(tmp_path / "key.pub"), data=plain)
    assert open_sealed(io.BytesIO(data), private).read() == plain
    assert open_sealed(Pipe(data), private).read() == plain


def test_every_reader_opens_and_nobody_else(random: Any) -> None:
    plain = os.urandom(100_000)
    data, _, privates = sealed(plain, random, readers=3)
    assert [open_sealed(io.BytesIO(data), private).read() for private in privates] == [plain] * 3
    with pytest.raises(WrongKeyError, match="none of the 3 header packets"):
        open_sealed(io.BytesIO(data), generate_keypair(random)[0])


def test_the_sample_files_open_to_the_files_they_were_made_from(shared_data: Path) -> None:
    folder = shared_data / "ga4gh/htsget/compliance/ga4gh/htsget/data"
    private = read_private_key((folder / "c4gh/keys/bob.sec").read_bytes())
    opened = 0
    for path in sorted((folder / "c4gh").glob("*.c4gh")):
        name = path.name.removesuffix(".c4gh")
        original = next((p for p in (folder / "reads" / name, folder / "variants" / name) if p.is_file()), None)
        with path.open("rb") as source:
            plain = open_sealed(source, private).read()
        assert original is None or plain == original.read_bytes()
        opened += original is not None
    assert opened >= 3


@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_any_range_is_the_same_as_a_slice(data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(PLAIN) + 10))
    length = data.draw(st.integers(0, 3 * SEGMENT))
    reader = open_sealed(io.BytesIO(SEALED), PRIVATE, sealed=TOLD)
    reader.seek(start)
    assert reader.read(length) == PLAIN[start : start + length]
    assert reader.tell() == max(start, min(start + length, max(start, len(PLAIN))))


class _Random:
    def token(self, size: int) -> bytes:
        return os.urandom(size)


PLAIN = os.urandom(18 * SEGMENT + 1234)
SEALED, TOLD, (PRIVATE,) = sealed(PLAIN, _Random())


@given(start=st.integers(0, 17 * SEGMENT), length=st.integers(1, SEGMENT))
@settings(max_examples=40, deadline=None)
def test_the_cipher_range_of_a_plain_range_is_enough_and_not_more(start: int, length: int) -> None:
    first, last = cipher_range(start, start + length)
    part = SEALED[: TOLD.header] + SEALED[TOLD.header + first : TOLD.header + last]
    plain = open_sealed(io.BytesIO(part), PRIVATE).read()
    inside = start % SEGMENT
    assert plain[inside : inside + length] == PLAIN[start : start + length]
    assert len(plain) < inside + length + SEGMENT


def test_an_empty_range_needs_no_bytes_and_a_backward_one_is_refused() -> None:
    assert cipher_range(SEGMENT, SEGMENT) == (SEALED_SEGMENT, SEALED_SEGMENT)
    with pytest.raises(ValueError, match="backwards"):
        cipher_range(5, 4)


def test_same_plain_text_seals_to_other_bytes_each_time(random: Any) -> None:
    """Invariant 12: two recipients never share data keys or artefacts."""
    key = os.urandom(32)
    made = set()
    for _ in range(2):
        sink = io.BytesIO()
        size = seal(io.BytesIO(PLAIN), sink, readers=[generate_keypair(random)[1]], session_key=key, random=random)
        made.add(hashlib.sha256(sink.getvalue()[size.header :]).digest())
    assert len(made) == 2


def test_no_nonce_is_used_twice_in_a_file() -> None:
    nonces = [SEALED[at : at + 12] for at in range(TOLD.header, len(SEALED), SEALED_SEGMENT)]
    assert len(set(nonces)) == len(nonces) == 19


def damaged(kind: str) -> bytes:
    head, body = SEALED[: TOLD.header], SEALED[TOLD.header :]
    segments = [body[at : at + SEALED_SEGMENT] for at in range(0, len(body), SEALED_SEGMENT)]
    if kind == "two segments swapped":
        segments[3], segments[4] = segments[4], segments[3]
    elif kind == "a segment dropped":
        del segments[3]
    elif kind == "a segment doubled":
        segments.insert(3, segments[3])
    elif kind == "the last segment dropped":
        del segments[-1]
    elif kind == "trailing bytes":
        segments.append(b"more than twenty-eight bytes behind the end")
    elif kind == "cut inside a segment":
        segments[-1] = segments[-1][:-1]
    elif kind == "cut inside a nonce":
        segments[-1] = segments[-1][:20]
    elif kind == "one bit":
        segments[5] = segments[5][:1000] + bytes([segments[5][1000] ^ 1]) + segments[5][1001:]
    return head + b"".join(segments)


KINDS = [
    "two segments swapped",
    "a segment dropped",
    "a segment doubled",
    "the last segment dropped",
    "trailing bytes",
    "cut inside a segment",
    "cut inside a nonce",
    "one bit",
]
SHOWN_BY_FORMAT = {"trailing bytes", "cut inside a segment", "cut inside a nonce", "one bit"}


@pytest.mark.parametrize("wrap", [io.BytesIO, Pipe])
@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_file_is_refused_with_its_place(kind: str, wrap: Callable[[bytes], Any]) -> None:
    with pytest.raises(Crypt4GHError, match=r"at byte \d+") as caught:
        open_sealed(wrap(damaged(kind)), PRIVATE, sealed=TOLD).read()
    assert caught.value.offset is not None
    assert TOLD.header <= caught.value.offset <= len(damaged(kind))


@pytest.mark.parametrize("kind", KINDS)
def test_without_what_was_sealed_only_what_the_format_protects_is_refused(kind: str) -> None:
    """Written down because people believe more of the format than it holds."""
    if kind in SHOWN_BY_FORMAT:
        with pytest.raises(Crypt4GHError, match="at byte"):
            open_sealed(io.BytesIO(damaged(kind)), PRIVATE).read()
    else:
        assert open_sealed(io.BytesIO(damaged(kind)), PRIVATE).read() != PLAIN


def test_a_moved_segment_is_found_when_only_a_range_is_read() -> None:
    body = damaged("two segments swapped")
    reader = open_sealed(io.BytesIO(body), PRIVATE, sealed=TOLD)
    reader.seek(3 * SEGMENT + 5)
    with pytest.raises(Crypt4GHError, match="not the one that belongs here") as caught:
        reader.read(10)
    assert caught.value.offset == TOLD.header + 3 * SEALED_SEGMENT


def test_a_key_of_low_order_short_or_our_own_is_no_reader(random: Any) -> None:
    own = generate_keypair(random)[1]
    for key, words in ((bytes(32), "low order"), (b"short", "32 bytes"), (own, "gateway's own")):
        with pytest.raises(KeyFileError, match=words):
            accept_reader(key, ours=[own])
    assert accept_reader(generate_keypair(random)[1], ours=[own])
    with pytest.raises(KeyFileError, match="low order"):
        seal(io.BytesIO(b"x"), io.BytesIO(), readers=[bytes(32)], session_key=bytes(32), random=random)


@pytest.mark.parametrize("readers", [0, 2])
def test_sealing_to_nobody_or_twice_to_one_is_a_mistake(readers: int, random: Any) -> None:
    keys = [generate_keypair(random)[1]] * readers
    with pytest.raises(ValueError, match="at least one reader"):
        seal(io.BytesIO(b"x"), io.BytesIO(), readers=keys, session_key=bytes(32), random=random)


def test_a_sink_that_fails_stops_the_sealing(random: Any) -> None:
    class Full:
        def write(self, data: Any) -> int:
            if len(data) > 1000:
                raise OSError(28, "No space left on device")
            return len(data)

    with pytest.raises(OSError, match="No space"):
        seal(io.BytesIO(PLAIN), Full(), readers=[generate_keypair(random)[1]], session_key=bytes(32), random=random)


def test_a_sink_that_takes_less_than_given_gets_everything(random: Any) -> None:
    class Slow(io.BytesIO):
        def write(self, data: Any) -> int:
            return super().write(bytes(data[:70_001]))

    private, public = generate_keypair(random)
    sink = Slow()
    seal(io.BytesIO(PLAIN), sink, readers=[public], session_key=os.urandom(32), random=random)
    assert open_sealed(io.BytesIO(sink.getvalue()), private).read() == PLAIN
