"""Everything a record rewriter needs to know, said once for both twins. Contigs are numbered as in the source."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from deid.reads.header import SourceHeader
from deid.reads.plan import ReadsPlan
from deid.variants.regions import Regions

REASONS = ("flag", "masked", "not_permitted", "outside_region", "no_substitute")
"""Why a read does not leave: its FLAG; it or a piece of the same name touches the mask; whose it is; not asked for;
spliced, clipped or long beyond measure or longer than its contig, where reads are substituted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """The plan joined with one source's header.

    ``codes`` holds the new ID of each read group, empty where its participant is not permitted; ``default_group`` is
    the group of reads that name none, -1 where that could be more than one person's. ``hidden`` are the first hash
    words of the names that touch the mask, sorted; ``is_guess`` where a read that touches it and is not among them
    must stop the view.
    """

    plan: ReadsPlan
    key: bytes = field(repr=False)
    quality: bytes
    groups: tuple[bytes, ...]
    codes: tuple[bytes, ...]
    default_group: int
    contigs: tuple[bytes, ...]
    lengths: tuple[int, ...]
    region: Regions | None
    sorted: bool
    hidden: tuple[int, ...] = ()
    is_guess: bool = False

    def is_hidden(self, word: int) -> bool:
        """Whether a name with this first hash word touches the mask."""
        at = bisect_left(self.hidden, word)
        return at < len(self.hidden) and self.hidden[at] == word

    def hiding(self, words: Sequence[int], *, is_guess: bool = False) -> Layout:
        """The same layout with these names hidden."""
        return replace(self, hidden=tuple(sorted(set(words))), is_guess=is_guess)


class Chunk(NamedTuple):
    """Whole records: those in ``head`` (one that lay across two pieces of text), then those of ``text[start:end]``."""

    head: bytes
    text: bytes
    start: int
    end: int

    @property
    def records(self) -> bytes:
        """The records in one piece."""
        return self.head + self.text[self.start : self.end]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rewritten:
    """What became of one chunk of whole records; ``first`` and ``last`` order its first and last read read."""

    data: bytes
    records: int
    written: int
    removed: tuple[int, ...]
    fault: int
    first: int
    last: int


def default_group(source: SourceHeader) -> int:
    """A read without a group belongs to somebody only where all groups are one person's."""
    return 0 if len({group.sample for group in source.groups}) == 1 else -1
