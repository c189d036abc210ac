"""Find any of many values in many bytes, fast: which value stands where.

Every value is searched as itself without regard to ASCII case (UTF-8, and for other scripts GB18030 and UTF-16) and
as its unsalted MD5, SHA-1 or SHA-256 in hexadecimal, since a plain hash of a known number is that number. Windows of
4 or 8 bytes are looked up in a bit table first (numpy), and only where one fits are bytes compared.

Short values would stand everywhere by chance. Values under 4 ASCII characters count only as whole words, and values
made of digits only where no letter or digit adjoins. ``naming`` text (headers, names, cells of a table) is searched
for all of them; other text (genotypes, bases, numbers) only for values of at least 4 characters, all-digit ones from
8. All-digit values under 6 characters are searched in file names, headers and names only by their whole word: in a
table they would equal ages and counts.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from deid import native

SHORT, SHORT_DIGITS, BODY_DIGITS = 4, 6, 8
_GROUPS = ((11, 1 << 30, 8, 4), (7, 11, 4, 4), (5, 7, 4, 2), (4, 5, 4, 1))  # least, below, width, stride
_MULTIPLIER = {4: 2654435761, 8: 11400714819323198485}  # odd, golden ratio: multiplicative hashing
_WORD = re.compile(rb"(?<![0-9a-z_-])[0-9a-z_-]+(?![0-9a-z_-])")  # P-12 is one word, not 12
_ALNUM = frozenset(b"0123456789abcdefghijklmnopqrstuvwxyz")


Windows: TypeAlias = npt.NDArray[Any]


class Form(NamedTuple):
    """One way in which one value may be written."""

    text: bytes
    value: int
    kind: str
    bounded: bool
    body: bool


class Hit(NamedTuple):
    """Where a form stands in the bytes searched."""

    start: int
    end: int
    form: Form


class Needles:
    """The values to look for; built once, used on many files."""

    def __init__(self, values: Iterable[str]) -> None:
        self.values = sorted({value.strip() for value in values if value and value.strip()})
        self._words: dict[bytes, Form] = {}
        self._name_words: dict[bytes, Form] = {}
        long: list[Form] = []
        for number, value in enumerate(self.values):
            for form in _forms(value, number):
                if value.isascii() and value.isdigit() and len(value) < SHORT_DIGITS:
                    self._name_words[form.text] = form
                elif value.isascii() and len(value) < SHORT:
                    self._words[form.text] = form
                elif len(form.text) >= SHORT:
                    long.append(form)
        self._indexes = [
            _Index([form for form in long if least <= len(form.text) < below], width, stride)
            for least, below, width, stride in _GROUPS
        ]
        self.longest = max((len(form.text) for form in long), default=0)

    def find(self, data: bytes, *, naming: bool, names: bool = False) -> list[Hit]:
        """Hits by position; ``naming`` and ``names`` (this text is a name) as the module says."""
        low = data.lower()
        hits = [hit for index in self._indexes for hit in index.find(low) if naming or hit.form.body]
        words = {**self._words, **self._name_words} if names else self._words if naming else {}
        if words:
            hits += [
                Hit(found.start(), found.end(), words[found[0]]) for found in _WORD.finditer(low) if found[0] in words
            ]
        return sorted(hits, key=lambda hit: (hit.start, hit.end))

    def find_compressed(self, data: bytes) -> list[Hit]:
        """Hits in bytes that look random, where anything under 8 bytes would stand by chance."""
        low = data.lower()
        return [hit for index in self._indexes[:2] for hit in index.find(low) if hit.end - hit.start >= 8]


def _forms(value: str, number: int) -> list[Form]:
    low = value.lower()
    digits = value.isascii() and value.isdigit()
    body = len(value) >= (BODY_DIGITS if digits else SHORT) or not value.isascii()
    forms = [Form(low.encode(), number, "source-identifier", digits, body)]
    if not value.isascii():
        for encoding in ("gb18030", "utf-16-le", "utf-16-be"):
            # bytes.lower() changes ASCII bytes inside these encodings too, so the needle is lowered as bytes.
            forms.append(Form(value.encode(encoding).lower(), number, "source-identifier", False, body))
    if not digits or len(value) >= SHORT_DIGITS:
        for algorithm in (hashlib.md5, hashlib.sha1, hashlib.sha256):
            made = algorithm(value.encode(), usedforsecurity=False).hexdigest().encode()
            forms.append(Form(made, number, "hashed-identifier", False, True))
    return forms


class _Index:
    """Forms of at least ``width + stride - 1`` bytes: one of their first windows starts at a multiple of ``stride``."""

    def __init__(self, forms: list[Form], width: int, stride: int) -> None:
        self.width, self.stride, self.forms = width, stride, forms
        self.kind: np.dtype[Any] = np.dtype(f"<u{width}")
        heads = np.frombuffer(b"".join(form.text[: width + stride - 1] for form in forms), np.uint8)
        heads = heads.reshape(len(forms), width + stride - 1)
        # One row of windows for each offset; `order` says which offset and form each window in rising order is of.
        parts = [np.ascontiguousarray(heads[:, at : at + width]).view(self.kind)[:, 0] for at in range(stride)]
        windows = np.concatenate(parts)
        self.order = np.argsort(windows, kind="stable")
        self.rising = windows[self.order]
        self.sorted = self.rising[np.r_[True, self.rising[1:] != self.rising[:-1]][: len(self.rising)]]
        # About one entry in 64 is set: small enough for the processor's cache, sparse enough to pass little.
        bits = min(max(len(self.sorted).bit_length() + 6, 12), 22)
        self.multiplier = np.array(_MULTIPLIER[width], self.kind)
        self.shift = np.array(width * 8 - bits, self.kind)
        self.table = np.zeros(1 << bits, np.bool_)
        self.table[self._hash(self.sorted)] = True
        # For the kernel: a bit for a byte, so that the table stays in the cache.
        self.bits, self.wide = np.packbits(self.table, bitorder="little"), self.sorted.astype(np.uint64)

    def _hash(self, windows: Windows) -> Windows:
        mixed: Windows = (windows * self.multiplier) >> self.shift
        return mixed

    def find(self, low: bytes) -> list[Hit]:
        hits: list[Hit] = []
        if not self.forms:
            return hits
        for place, window in self._places(low):
            hits += self._compare(low, place, window)
        return hits

    def _places(self, low: bytes) -> list[tuple[int, int]]:
        """Where a window is one of ours, and which; every multiple of the stride is looked at."""
        if native.has_measure:
            found = native._measure.windows(
                low, self.width, self.stride, int(self.shift), int(self.multiplier), self.bits, self.wide
            )
            places = np.frombuffer(found, np.int64).tolist()
            return [(at, int.from_bytes(low[at : at + self.width], "little")) for at in places]
        return sorted(self._places_in_python(low))

    def _places_in_python(self, low: bytes) -> Iterator[tuple[int, int]]:
        """The kernel's twin."""
        for shift in range(0, self.width, self.stride):
            count = (len(low) - shift) // self.width
            if count <= 0:
                continue
            windows = np.frombuffer(low, self.kind, count, shift)
            places = np.flatnonzero(self.table[self._hash(windows)])
            # Not np.isin: it sorts the windows first, which costs more than the whole search.
            likely = windows[places]
            nearest = np.minimum(np.searchsorted(self.sorted, likely), len(self.sorted) - 1)
            places = places[self.sorted[nearest] == likely]
            starts = (places * self.width + shift).tolist()
            yield from zip(starts, windows[places].tolist(), strict=True)

    def _compare(self, low: bytes, place: int, window: int) -> list[Hit]:
        found = []
        bound = np.array(window, self.kind)
        first, last = np.searchsorted(self.rising, bound, "left"), np.searchsorted(self.rising, bound, "right")
        for number in self.order[first:last].tolist():
            offset, form = number // len(self.forms), self.forms[number % len(self.forms)]
            start = place - offset
            end = start + len(form.text)
            if start >= 0 and low[start:end] == form.text and not (form.bounded and _adjoins(low, start, end)):
                found.append(Hit(start, end, form))
        return found


def _adjoins(low: bytes, start: int, end: int) -> bool:
    """True when a letter or digit stands right before or after."""
    return (start > 0 and low[start - 1] in _ALNUM) or (end < len(low) and low[end] in _ALNUM)
