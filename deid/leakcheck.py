"""Look for what must not be there, in the very bytes that would leave (INTERFACES, "Leak check").

Two questions. Does any value of a direct identifier of the source stand anywhere, in text, in a container's
own fields, in
the raw bytes? And is there anything whose kind was never allowed: a header line, a name in a gzip member, a cell of a
genotype column that is not a genotype? The second needs no list of values, so it also finds what nobody thought of.
The value found is never part of a finding.
"""

from __future__ import annotations

import gzip
import io
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

SHORTEST = 4
"""Identifiers of fewer characters are matched as whole words only: two letters stand in any text."""
HEADER_LINES = (b"##fileformat=", b"##contig=<", b"##FILTER=<", b"##INFO=<", b"##FORMAT=<", b"##ALT=<", b"#CHROM\t")
GENOTYPE_BYTES = b"0123456789.,:|/-eE*"
IDENTITY_NUMBER = re.compile(rb"(?<![0-9])[1-9][0-9]{5}(?:19|20)[0-9]{9}[0-9Xx](?![0-9])")
WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that must not leave: where, of what kind, and what to do."""

    path: str
    where: str
    kind: str
    severity: str = "high"
    hint: str = ""


def check(data: bytes, *, name: str, identifiers: Sequence[str]) -> list[Finding]:
    """Findings in one file's bytes. Raises ValueError when the container cannot be read."""
    wanted = sorted({value.encode() for value in identifiers if value})
    findings = _values(name, "raw", data, wanted)
    if data.startswith(b"\x1f\x8b"):
        findings += _gzip_fields(name, data)
        data = gzip.decompress(data)
    if data.startswith(b"##fileformat=VCF"):
        return findings + _variants(name, data, wanted)
    if data.startswith(b"PAR1"):
        return findings + _table(name, data, wanted)
    return findings + _values(name, "text", data, wanted) + _numbers(name, "text", data)


def as_json(findings: Iterable[Finding]) -> list[dict[str, Any]]:
    """Plain JSON objects."""
    return [asdict(finding) for finding in findings]


def _values(name: str, where: str, text: bytes, wanted: Sequence[bytes]) -> list[Finding]:
    words: set[bytes] | None = None
    for value in wanted:
        if len(value) < SHORTEST:
            words = set(re.findall(rb"[^\s,;:=<>\"|/]+", text)) if words is None else words
            found = value in words
        else:
            found = value in text
        if found:
            hint = "a direct identifier of the source stands here"
            return [Finding(path=name, where=where, kind="identifier", hint=hint)]
    return []


def _numbers(name: str, where: str, text: bytes) -> list[Finding]:
    for match in IDENTITY_NUMBER.finditer(text):
        digits = match[0].upper()
        total = sum(int(chr(c)) * w for c, w in zip(digits[:17], WEIGHTS, strict=True))
        if chr(digits[17]) == "10X98765432"[total % 11]:
            return [Finding(path=name, where=where, kind="resident-identity-number", hint="GB 11643 check digit holds")]
    return []


def _gzip_fields(name: str, data: bytes) -> list[Finding]:
    flags, time = data[3], int.from_bytes(data[4:8], "little")
    findings = []
    if flags & 0x18:
        findings.append(Finding(path=name, where="gzip:FNAME", kind="file-name", hint="write gzip without a name"))
    if time:
        findings.append(Finding(path=name, where="gzip:MTIME", kind="time", severity="low", hint="write it as zero"))
    return findings


def _variants(name: str, data: bytes, wanted: Sequence[bytes]) -> list[Finding]:
    split = data.index(b"\n#CHROM\t") + 1
    end = data.index(b"\n", split) + 1
    header, body = data[:end], data[end:]
    findings = _values(name, "header", header, wanted)
    for number, line in enumerate(header.splitlines(), 1):
        if not line.startswith(HEADER_LINES):
            findings.append(
                Finding(path=name, where=f"header:line {number}", kind="header-line", hint="not allow-listed")
            )
    fixed = io.BytesIO()
    for number, line in enumerate(body.splitlines(), 1):
        cells = line.split(b"\t", 9)
        fixed.write(b"\t".join(cells[:9]) + b"\n")
        if len(cells) > 9 and cells[9].translate(None, GENOTYPE_BYTES + b"\t"):
            findings.append(Finding(path=name, where=f"record:{number}", kind="cell", hint="not a genotype or number"))
            break
        if cells[2] != b".":
            findings.append(Finding(path=name, where=f"record:{number}:ID", kind="record-id", severity="medium"))
            break
    return findings + _values(name, "records", fixed.getvalue(), wanted) + _numbers(name, "header", header)


def _table(name: str, data: bytes, wanted: Sequence[bytes]) -> list[Finding]:
    # Imported here: most files are not Parquet, and Arrow takes longer to import than they take to check.
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(pa.BufferReader(data))
    except (pa.ArrowException, OSError) as error:
        raise ValueError("not a readable Parquet file") from error
    findings = []
    if table.schema.metadata:
        findings.append(Finding(path=name, where="parquet:metadata", kind="metadata", hint="drop the schema metadata"))
    for column in table.column_names:
        text = "\n".join({str(value) for value in table.column(column).to_pylist() if value is not None}).encode()
        findings += _values(name, f"parquet:{column}", text, wanted) + _numbers(name, f"parquet:{column}", text)
    return findings
