"""The one way this room fails: a stable code and one sentence that names the place and never the content."""

from __future__ import annotations


class ReadsError(Exception):
    """An alignment file or its recipe cannot be used.

    ``code`` is stable. The message may name a record by number, a byte offset or a recipe step; never a name or a base.
    """

    def __init__(self, code: str, message: str, *, record: int | None = None) -> None:
        super().__init__(message if record is None else f"record {record}: {message}")
        self.code = code
        self.record = record


RECORD_ERRORS: tuple[tuple[str, str], ...] = (
    ("ok", ""),
    ("bad_length", "a length does not fit the record"),
    ("bad_name", "the read name is empty, unended or not printable ASCII"),
    ("bad_contig", "a contig number is not in the header"),
    ("bad_position", "a position or the end of a read is out of range"),
    ("bad_cigar", "the CIGAR has an unknown operation or another length than the sequence"),
    ("bad_quality", "a quality is over 93, or only some are absent"),
    ("bad_tag", "a tag is cut, of unknown type, stands twice or holds what its kind cannot"),
    ("unsorted", "stands before the read in front of it, though the header says sorted by coordinate"),
    ("out_of_memory", "not enough memory for this record"),
    ("unforeseen", "touches the mask and was not foreseen"),
)
"""Code and sentence of each fault a record can have; the position is the number the compiled kernel returns."""

FAULT = {code: number for number, (code, _) in enumerate(RECORD_ERRORS)}
