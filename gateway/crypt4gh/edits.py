"""Edit lists: which parts of the decrypted bytes a reader is shown (Crypt4GH 1, "Edit List").

We read them, because others write them; we never write one. An edit list hides nothing: whoever can open the file
can decrypt the bytes it skips, so a gateway that cuts must decrypt, rewrite and seal anew.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from gateway.crypt4gh.errors import Crypt4GHError

MAX_EDITS = 65536
MAX_PLAIN = 1 << 62
"""No sum may pass this: 64-bit lengths whose sum wraps around are how a list is made to go backwards."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One kept stretch: ``length`` bytes from ``plain`` appear at ``shown``."""

    shown: int
    plain: int
    length: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EditMap:
    """Kept stretches in order; ``open_ended`` when the last one goes on to the end of the file."""

    runs: tuple[Run, ...]
    open_ended: bool

    def locate(self, shown: int) -> tuple[int, int] | None:
        """(plain position, bytes left in that stretch) of a shown position; None past the end."""
        at = bisect_right(self.runs, shown, key=lambda run: run.shown) - 1
        if at < 0:
            return None
        run = self.runs[at]
        inside = shown - run.shown
        return (run.plain + inside, run.length - inside) if inside < run.length else None

    def shown_size(self, plain: int) -> int:
        """How many bytes are shown of a file of ``plain`` bytes. Raises where the list reaches past its end."""
        last = self.runs[-1]
        if self.open_ended:
            self.check_end(last.plain, plain)
            return last.shown + plain - last.plain
        self.check_end(last.plain + last.length, plain)
        return last.shown + last.length

    def check_end(self, reaches: int, plain: int) -> None:
        """Refuse a list that reaches past the last byte: the file was cut, or the list is false."""
        if reaches > plain:
            raise Crypt4GHError(f"the edit list reaches byte {reaches} of a file of {plain} bytes")


WHOLE = EditMap(runs=(Run(shown=0, plain=0, length=MAX_PLAIN),), open_ended=True)


def edit_map(lengths: Sequence[int], *, offset: int) -> EditMap:
    """The map for a list of lengths, alternately skipped and kept; ``offset`` is the packet's place, for errors."""
    if not lengths:
        return WHOLE
    if len(lengths) > MAX_EDITS:
        raise Crypt4GHError(f"the edit list has more than {MAX_EDITS} lengths", offset=offset)
    if sum(lengths) > MAX_PLAIN:
        raise Crypt4GHError("the edit list's lengths add up to more than a file can hold", offset=offset)
    runs: list[Run] = []
    plain = shown = 0
    for skip, keep in zip(lengths[0::2], lengths[1::2], strict=False):
        plain += skip
        runs.append(Run(shown=shown, plain=plain, length=keep))
        plain += keep
        shown += keep
    open_ended = len(lengths) % 2 == 1
    if open_ended:
        runs.append(Run(shown=shown, plain=plain + lengths[-1], length=MAX_PLAIN))
    return EditMap(runs=tuple(run for run in runs if run.length or run is runs[-1]), open_ended=open_ended)
