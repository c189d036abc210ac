"""Does one disease lie below another? ICD-10 by chapter, block and code, and MONDO where a mapping is supplied.

A chapter is written as its range (``I00-I99``) or ``chapter IX``, a block as its range (``I30-I52``), a code with or
without its point (``I45.8``, ``I458``, ``I45.-``). A lone letter means the categories under that letter, never the
Roman numeral: ``I`` is I00-I99 and not chapter I. What cannot be read, or has no place in the tables, matches nothing.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache, lru_cache
from importlib.resources import files

CODE = re.compile(r"([A-Z])(\d\d)(?:\.?([0-9A-Z]{1,4}))?")
RANGE = re.compile(r"([A-Z]\d\d)-([A-Z]\d\d)")
CHAPTER = re.compile(r"CHAPTER ([IVX]+)")
MONDO = re.compile(r"MONDO[:_](\d{7})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Consecutive three-character categories, and for a finer code what follows its category."""

    first: int
    last: int
    finer: str = ""

    def holds(self, other: Span) -> bool:
        """Whether the other is this one or lies below it."""
        inside = self.first <= other.first and other.last <= self.last
        return inside and (not self.finer or (other.first == other.last and other.finer.startswith(self.finer)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Mondo:
    """A supplied mapping: MONDO id to its direct parents, and to the ICD-10 codes that mean exactly the same."""

    parents: Mapping[str, frozenset[str]] = field(default_factory=dict)
    exact: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def ancestors(self, term: str) -> frozenset[str]:
        """The term and everything above it; a circle in the mapping ends where it began."""
        found, waiting = {term}, [term]
        while waiting:
            fresh = set(self.parents.get(waiting.pop(), ())) - found
            found |= fresh
            waiting += fresh
        return frozenset(found)


NO_MONDO = Mondo()


def within(code: str, roots: Iterable[str], mondo: Mondo = NO_MONDO) -> bool:
    """Whether the disease equals one of the roots or lies below one. Unknown, empty and unreadable are never within."""
    return any(_below(code, root, mondo) for root in roots)


def _below(code: str, root: str, mondo: Mondo) -> bool:
    term, above = _mondo_id(code), _mondo_id(root)
    if term and above:
        return above in mondo.ancestors(term)
    if term:
        same = [icd for up in mondo.ancestors(term) for icd in mondo.exact.get(up, ())]
        return any(_icd_below(icd, root) for icd in same)
    if above:
        return any(_icd_below(code, icd) for icd in mondo.exact.get(above, ()))
    return _icd_below(code, root)


def _icd_below(code: str, root: str) -> bool:
    below, above = span(code), span(root)
    return below is not None and above is not None and above.holds(below)


@lru_cache(maxsize=8192)
def span(text: str) -> Span | None:
    """The place of a chapter, block, letter or code in ICD-10; None where the tables hold no such place."""
    plain = text.strip().upper().removeprefix("ICD10:").removeprefix("ICD-10:").rstrip("*+†").removesuffix(".-")
    if chapter := CHAPTER.fullmatch(plain):
        return _named().get(_chapters().get(chapter[1], ""))
    if RANGE.fullmatch(plain):
        return _named().get(plain)
    if len(plain) == 1 and "A" <= plain <= "Z":
        return Span(first=_category(f"{plain}00"), last=_category(f"{plain}99"))
    if (code := CODE.fullmatch(plain)) is None:
        return None
    category = _category(code[1] + code[2])
    known = any(one.first <= category <= one.last for one in _blocks())
    return Span(first=category, last=category, finer=code[3] or "") if known else None


def _mondo_id(text: str) -> str:
    found = MONDO.fullmatch(text.strip().upper())
    return f"MONDO:{found[1]}" if found else ""


def _category(text: str) -> int:
    return ord(text[0]) * 100 + int(text[1:])


def _range(text: str) -> Span:
    first, last = text.split("-")
    return Span(first=_category(first), last=_category(last))


@cache
def _table() -> dict[str, dict[str, str]]:
    text = (files("policies") / "tables" / "icd10.toml").read_text("utf-8")
    return {name: part for name, part in tomllib.loads(text).items() if isinstance(part, dict)}


def _chapters() -> dict[str, str]:
    return _table()["chapters"]


@cache
def _blocks() -> tuple[Span, ...]:
    return tuple(_range(text) for blocks in _table()["blocks"].values() for text in blocks.split())


@cache
def _named() -> dict[str, Span]:
    """Every range that has a name in ICD-10: chapters and blocks."""
    ranges = [*_chapters().values(), *(text for blocks in _table()["blocks"].values() for text in blocks.split())]
    return {text: _range(text) for text in ranges}
