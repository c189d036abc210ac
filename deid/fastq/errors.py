"""The one way this room fails: a stable code and one sentence that names the line and never the content."""

from __future__ import annotations


class FastqError(Exception):
    """A FASTQ file or its recipe cannot be used; ``code`` is stable."""

    def __init__(self, code: str, message: str, *, line: int | None = None) -> None:
        super().__init__(message if line is None else f"line {line}: {message}")
        self.code = code
        self.line = line


RECORD_ERRORS: tuple[tuple[str, str], ...] = (
    ("ok", ""),
    ("crlf", "a line of the record ends with a carriage return; convert the file to Unix line ends"),
    ("bad_name", "the record does not begin with @ and a printable ASCII name"),
    ("bad_base", "the sequence holds a character that is no base"),
    ("bad_plus", "the third line of the record does not begin with +"),
    ("bad_quality", "the quality line holds a character outside ! to ~"),
    ("ragged", "the record has not four lines, or bases and qualities of different number"),
    ("out_of_memory", "not enough memory for this record"),
)
"""Code and sentence of each fault a record can have; the position is the number the compiled kernel returns."""

FAULT = {code: number for number, (code, _) in enumerate(RECORD_ERRORS)}
