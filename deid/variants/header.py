"""The VCF header: what is believed of the source's, and our own, written by allow-list.

Believed: contig names and lengths, FILTER and FORMAT names, the sample columns (VCF 4.3 sections 1.4 and 1.5). Every
other line (dates, programs, command lines, paths, ##SAMPLE, ##PEDIGREE, ##META, unknown) is passed over unread.
Descriptions are ours, so that no free text of the source leaves. Not here: records.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from deid.nouns import Noun
from deid.variants.errors import VariantError
from deid.variants.plan import VariantPlan

FIXED = (b"#CHROM", b"POS", b"ID", b"REF", b"ALT", b"QUAL", b"FILTER", b"INFO")
CONTIG = re.compile(rb"[0-9A-Za-z!#$%&+./:;?@^_|~-][0-9A-Za-z!#$%&*+./:;=?@^_|~-]{0,254}")
FILTER_NAME = re.compile(rb"[0-9A-Za-z_.+:/%<>=-]{1,64}")
FIELD = re.compile(rb'([A-Za-z0-9_]+)=("(?:[^"\\]|\\.)*"|[^,]*)(?:,|$)')
NAME = re.compile(r"[0-9A-Za-z][0-9A-Za-z_.-]{0,63}")

INFO_LINES = {
    "AC": '##INFO=<ID=AC,Number=A,Type=Integer,Description="Copies of each ALT allele in the genotypes of this file">',
    "AN": '##INFO=<ID=AN,Number=1,Type=Integer,Description="Alleles called in the genotypes of this file">',
    "AF": '##INFO=<ID=AF,Number=A,Type=Float,Description="AC divided by AN">',
    "NS": '##INFO=<ID=NS,Number=1,Type=Integer,Description="Samples of this file with a called allele">',
    "DP": '##INFO=<ID=DP,Number=1,Type=Integer,Description="Sum of the sample depths of this file">',
    "END": '##INFO=<ID=END,Number=1,Type=Integer,Description="Last position of the variant">',
}
FORMAT_LINES = {
    "GT": '##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">',
    "DP": '##FORMAT=<ID=DP,Number=1,Type=Integer,Description="Read depth">',
    "GQ": '##FORMAT=<ID=GQ,Number=1,Type=Integer,Description="Genotype quality">',
    "AD": '##FORMAT=<ID=AD,Number=R,Type=Integer,Description="Read depth of each allele">',
}


class SourceHeader(Noun):
    """What is believed of a source's header; ``lines`` is how many lines it has."""

    contigs: tuple[tuple[bytes, int | None], ...]
    filters: tuple[bytes, ...]
    formats: frozenset[str]
    samples: tuple[str, ...]
    lines: int


def parse_header(text: bytes) -> SourceHeader:
    """Read a whole header, its #CHROM line last, ending in a line feed.

    Raises ``VariantError`` with the line: ``not_vcf``, ``crlf``, ``not_utf8``, ``bad_header``, ``duplicate_sample``.
    """
    lines = text.split(b"\n")[:-1]
    _check_text(lines)
    contigs: dict[bytes, int | None] = {}
    filters: set[bytes] = set()
    formats: set[str] = set()
    for number, line in enumerate(lines[1:-1], start=2):
        if not line.startswith(b"##"):
            raise VariantError("bad_header", "stands in the header but does not begin with ##", line=number)
        if line.startswith(b"##contig=<"):
            name, length = _contig(line, number)
            if name in contigs:
                raise VariantError("bad_header", "declares a contig a second time", line=number)
            contigs[name] = length
        elif line.startswith(b"##FILTER=<"):
            filters.add(_identifier(line, number))
        elif line.startswith(b"##FORMAT=<"):
            formats.add(_identifier(line, number).decode())
    return SourceHeader(
        contigs=tuple(contigs.items()),
        filters=tuple(sorted(filters - {b"PASS"})),
        formats=frozenset(formats),
        samples=_samples(lines[-1], len(lines)),
        lines=len(lines),
    )


def _check_text(lines: Sequence[bytes]) -> None:
    if not lines[0].startswith(b"##fileformat=VCFv4."):
        raise VariantError("not_vcf", "does not say ##fileformat=VCFv4.x", line=1)
    for number, line in enumerate(lines, start=1):
        if line.endswith(b"\r"):
            raise VariantError("crlf", "ends with a carriage return; convert the file to Unix line ends", line=number)
        try:
            line.decode("utf-8")
        except UnicodeDecodeError as error:
            raise VariantError("not_utf8", "is not UTF-8", line=number) from error


def _fields(line: bytes) -> dict[bytes, bytes]:
    inside = line[line.index(b"<") + 1 :].rstrip(b">")
    return {match[1]: match[2] for match in FIELD.finditer(inside)}


def _contig(line: bytes, number: int) -> tuple[bytes, int | None]:
    fields = _fields(line)
    name, length = fields.get(b"ID", b""), fields.get(b"length", b"")
    if not CONTIG.fullmatch(name):
        raise VariantError("bad_header", "declares a contig without a valid name", line=number)
    if length and not (length.isdigit() and len(length) <= 12):
        raise VariantError("bad_header", "declares a contig length that is not a whole number", line=number)
    return name, int(length) if length else None


def _identifier(line: bytes, number: int) -> bytes:
    name = _fields(line).get(b"ID", b"")
    if not FILTER_NAME.fullmatch(name):
        raise VariantError("bad_header", "declares a field without a valid ID", line=number)
    return name


def _samples(line: bytes, number: int) -> tuple[str, ...]:
    columns = line.split(b"\t")
    if tuple(columns[:8]) != FIXED or columns[8:9] not in ([], [b"FORMAT"]):
        raise VariantError("bad_header", "is not the #CHROM line the VCF specification asks for", line=number)
    samples = tuple(column.decode("utf-8") for column in columns[9:])
    if len(set(samples)) != len(samples):
        raise VariantError("duplicate_sample", "names a sample twice", line=number)
    if "" in samples:
        raise VariantError("bad_header", "has a sample without a name", line=number)
    return samples


def format_kept(plan: VariantPlan, source: SourceHeader) -> tuple[str, ...]:
    """The FORMAT keys that are written: those of the plan that the source declares; GT always."""
    return tuple(key for key in plan.format if key == "GT" or key in source.formats)


def info_kept(plan: VariantPlan, source: SourceHeader) -> tuple[str, ...]:
    """The INFO keys that are written; DP only where the sample depths it sums are written."""
    return tuple(key for key in plan.info if key != "DP" or "DP" in format_kept(plan, source))


def write_header(plan: VariantPlan, source: SourceHeader, names: Iterable[str]) -> bytes:
    """Our header: the sections the plan keeps, in a fixed order, and the columns ``names``."""
    lines = ["##fileformat=VCFv4.2"]
    if plan.keep_filter and "FILTER" in plan.header:
        lines.append('##FILTER=<ID=PASS,Description="All filters passed">')
        lines += [f'##FILTER=<ID={name.decode()},Description="As named by the source">' for name in source.filters]
    if "contig" in plan.header:
        lines += [_contig_line(name.decode(), length) for name, length in source.contigs]
    if "INFO" in plan.header:
        lines += [INFO_LINES[key] for key in info_kept(plan, source)]
    if "FORMAT" in plan.header and not plan.sites_only:
        lines += [FORMAT_LINES[key] for key in format_kept(plan, source)]
    columns = [column.decode() for column in FIXED]
    if not plan.sites_only:
        columns += ["FORMAT", *names]
    return ("\n".join([*lines, "\t".join(columns)]) + "\n").encode()


def _contig_line(name: str, length: int | None) -> str:
    return f"##contig=<ID={name}>" if length is None else f"##contig=<ID={name},length={length}>"


def check_names(names: Iterable[str], *, what: str) -> None:
    """Refuse output names that repeat or that a tool could misread. Raises ``VariantError`` (``bad_name``)."""
    listed = list(names)
    if not all(NAME.fullmatch(name) for name in listed):
        raise VariantError("bad_name", f"{what} must be 1 to 64 letters, digits, '_', '.' or '-'")
    if len(set(listed)) != len(listed):
        raise VariantError("bad_name", f"{what} must not repeat")
