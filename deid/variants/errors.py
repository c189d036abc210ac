"""The one way this room fails: a stable code and one sentence that names the place and never the content."""

from __future__ import annotations


class VariantError(Exception):
    """A variant file or its recipe cannot be used.

    ``code`` is stable. The message may name a line, a byte offset, a recipe step or a column; never a sample, a
    genotype or any text of the source.
    """

    def __init__(self, code: str, message: str, *, line: int | None = None) -> None:
        super().__init__(message if line is None else f"line {line}: {message}")
        self.code = code
        self.line = line


RECORD_ERRORS: tuple[tuple[str, str], ...] = (
    ("ok", ""),
    ("crlf", "the line ends with a carriage return; convert the file to Unix line ends"),
    ("ragged_line", "the number of columns differs from the header's"),
    ("unknown_contig", "CHROM is not declared as a contig in the header"),
    ("bad_position", "POS is not a whole number from 0 to 2147483647"),
    ("bad_identifier", "ID has characters that are not printable ASCII"),
    ("bad_allele", "REF or ALT is not an allele the VCF specification allows, or an ALT stands twice"),
    ("too_many_alleles", "more than 1000 ALT alleles"),
    ("bad_quality", "QUAL is not a number"),
    ("unknown_filter", "FILTER is not declared in the header"),
    ("bad_format", "FORMAT repeats a key, has too many keys, or GT is not its first"),
    ("bad_info", "INFO END of a symbolic allele is not a whole number"),
    ("bad_genotype", "a GT value is not a genotype over this record's alleles"),
    ("ragged_cell", "a sample has more values than FORMAT has keys"),
    ("bad_value", "a DP, GQ or AD value is not a whole number or has the wrong number of entries"),
    ("out_of_memory", "not enough memory for this line"),
)
"""Code and sentence of each fault a record can have; the position is the number the compiled kernel returns."""

FAULT = {code: number for number, (code, _) in enumerate(RECORD_ERRORS)}
