"""What an audit can meet, in one small tree.

    Finding               one place in the evidence and what is wrong there
    ├── Contradiction     the evidence contradicts itself or its signature       exit 1
    └── Inconclusive      a file that cannot be read, a key that is not there    exit 2

Messages name files and positions, never the content of an entry.
"""

from __future__ import annotations


class Finding(Exception):
    """One sentence about one ``place`` (a path inside the log, or the name of a receipt)."""

    code = "finding"

    def __init__(self, place: str, detail: str) -> None:
        super().__init__(f"{place}: {detail}")
        self.place = place
        self.detail = detail
        self.signed: tuple[int, bytes] | None = None
        """Size and root of the checkpoint, where its signature was reached."""


class Contradiction(Finding):
    """The evidence cannot all be true: somebody or something changed it."""

    code = "tampered"


class Inconclusive(Finding):
    """There is not enough to tell."""

    code = "unknown"
