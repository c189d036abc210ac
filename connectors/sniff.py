"""What a file is, by its bytes and never by its name; runs as a sandbox task over one open file.

``sniff`` answers kind, container, sample names (VCF, BAM) or column names (tables), and what is wrong. A file
that is cut
off, empty or of an unknown kind says so; its name's ending is only compared, to find mislabelled files.
"""

from __future__ import annotations

import csv
import gzip
import io
import os
import re
import zlib
from collections.abc import Mapping
from typing import Any, BinaryIO

import pysam

from connectors.errors import ConnectorError

BGZF_EOF = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")
ENDINGS = {
    "vcf": (".vcf", ".vcf.gz", ".vcf.bgz"), "bcf": (".bcf",), "bam": (".bam",), "cram": (".cram",),
    "fastq": (".fastq", ".fq", ".fastq.gz", ".fq.gz"), "csv": (".csv", ".tsv", ".txt", ".csv.gz"),
    "parquet": (".parquet",), "fasta": (".fa", ".fasta", ".fna"),
}  # fmt: skip
BASES = re.compile(rb"[A-Za-z*-]+")
KINDS = {
    "vcf": "vcf",
    "bcf": "vcf",
    "bam": "reads",
    "cram": "reads",
    "fastq": "fastq",
    "csv": "table",
    "parquet": "table",
    "fasta": "reference",
}


def sniff(spec: Mapping[str, Any], inputs: Mapping[str, BinaryIO], outputs: Mapping[str, BinaryIO]) -> dict[str, Any]:
    """spec {"path": name as the user wrote it}; input "file" is seekable."""
    del outputs
    path, source = str(spec["path"]), inputs["file"]
    head = _head(path, source)
    form = _form(head.plain)
    if form is None:
        raise ConnectorError(
            "unknown_format", f"{path}: this is none of VCF, BCF, BAM, CRAM, FASTQ, CSV, Parquet or FASTA"
        )
    findings = []
    if head.container == "bgzf" and not head.whole:
        raise ConnectorError("truncated_file", f"{path}: the file is cut off (its last BGZF block is missing)")
    if not path.lower().endswith(ENDINGS[form]):
        findings.append(f"named as something else, but holds {form}")
    return {
        "form": form,
        "kind": KINDS[form],
        "container": head.container,
        "samples": _samples(path, form, source),
        "columns": _columns(path, head.plain) if form == "csv" else [],
        "findings": findings,
    }


class _Head:
    def __init__(self, plain: bytes, container: str, *, whole: bool) -> None:
        self.plain, self.container, self.whole = plain, container, whole


def _head(path: str, source: BinaryIO) -> _Head:
    source.seek(0)
    raw = source.read(1 << 16)
    if not raw:
        raise ConnectorError("empty_file", f"{path}: the file is empty")
    size = source.seek(0, os.SEEK_END)
    source.seek(max(0, size - len(BGZF_EOF)))
    tail = source.read()
    source.seek(0)
    if not raw.startswith(b"\x1f\x8b"):
        return _Head(raw, "plain", whole=True)
    container = "bgzf" if raw[12:14] == b"BC" else "gzip"
    try:
        plain = gzip.GzipFile(fileobj=io.BytesIO(raw)).read1(1 << 15)
        if not plain or (size < len(raw) + 1 and container == "gzip" and _cut_off(raw)):
            raise EOFError
    except (OSError, EOFError, zlib.error):
        raise ConnectorError("damaged_file", f"{path}: the compressed data at the start is damaged") from None
    return _Head(plain, container, whole=tail == BGZF_EOF)


def _cut_off(raw: bytes) -> bool:
    """Whether a gzip file that fits in the head ends before its trailer."""
    try:
        gzip.decompress(raw)
    except (OSError, EOFError, zlib.error):
        return True
    return False


def _form(plain: bytes) -> str | None:
    for magic, form in ((b"##fileformat=VCF", "vcf"), (b"BCF\x02", "bcf"), (b"BAM\x01", "bam"), (b"CRAM", "cram")):
        if plain.startswith(magic):
            return form
    if plain.startswith(b"PAR1"):
        return "parquet"
    lines = plain.removeprefix(b"\xef\xbb\xbf").split(b"\n", 4)
    if plain.startswith(b"@") and len(lines) > 3 and lines[2].startswith(b"+"):
        return "fastq"
    if plain.startswith(b">") and len(lines) > 1 and BASES.fullmatch(lines[1].rstrip(b"\r")):
        return "fasta"
    if b"\0" in plain or (b"," not in lines[0] and b"\t" not in lines[0] and b";" not in lines[0]):
        return None
    return "csv"


def _columns(path: str, plain: bytes) -> list[str]:
    line = plain.removeprefix(b"\xef\xbb\xbf").split(b"\n", 1)[0].rstrip(b"\r")
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError:
        try:
            text = line.decode("gb18030")
        except UnicodeDecodeError:
            raise ConnectorError("bad_encoding", f"{path}: line 1 is neither UTF-8 nor GB18030") from None
    mark = next((mark for mark in ("\t", ";", ",") if mark in text), ",")
    return next(csv.reader([text], delimiter=mark))


def _samples(path: str, form: str, source: BinaryIO) -> list[str]:
    if form not in {"vcf", "bcf", "bam"}:
        return []
    source.seek(0)
    try:
        if form == "bam":
            with pysam.AlignmentFile(os.dup(source.fileno()), "rb", check_sq=False) as reads:
                groups = reads.header.to_dict().get("RG", [])
            return sorted({str(group["SM"]) for group in groups if "SM" in group})
        with pysam.VariantFile(os.dup(source.fileno())) as variants:
            return [str(name) for name in variants.header.samples]
    except (ValueError, OSError, KeyError):
        raise ConnectorError("broken_header", f"{path}: the header cannot be read as {form.upper()}") from None
