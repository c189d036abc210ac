"""Expression and methylation matrices: features in rows, people in columns, tab-separated text.

The promise: only permitted participants' columns leave, under codes and ordered by them; feature names must be of the
kinds the recipe names; probes that read a genotype (methylation ``rs`` and ``nv`` probes) and listed features never
leave; a feature seen in fewer people than the recipe asks does not leave; numbers are rounded. Everything else in the
file (comments, other columns, number formats) changes no byte.
The order: header, then line by line; nothing but a line is held. Not here: whether expression of released genes gives
back genotypes (eQTL), which the gate judges.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import ROUND_HALF_EVEN, Decimal
from typing import BinaryIO

from deid import bgzf
from deid.matrices.errors import MatrixError
from deid.variants.errors import VariantError
from deid.variants.header import check_names
from deid.variants.stream import MAX_LINE, Workers, Written, write_text

KINDS = {
    # Ensembl gene, transcript and exon ids; HGNC symbols; Illumina methylation probes (cg, ch and the genotype probes).
    "ensembl": re.compile(r"ENS[A-Z]{0,6}[GTE]\d{11}(\.\d{1,3})?"),
    "symbol": re.compile(r"[A-Z][A-Za-z0-9-]{0,23}"),
    "methylation-probe": re.compile(r"(cg|ch|rs|nv|ctl)[A-Za-z0-9._-]{1,40}"),
}
GENOTYPE_PROBE = re.compile(r"(rs\d+|nv[-_a-zA-Z0-9.]*|snv[-_a-zA-Z0-9.]*)")
SEX_FEATURES = frozenset({"XIST", "RPS4Y1", "DDX3Y", "KDM5D", "UTY", "EIF1AY", "USP9Y", "ZFY", "TSIX"})
NUMBER = re.compile(r"[+-]?(\d{1,15}(\.\d{0,20})?|\.\d{1,20})([eE][+-]?\d{1,2})?")
MISSING = frozenset({"", "NA", "NaN", "nan", "."})


@dataclass(frozen=True, slots=True, kw_only=True)
class MatrixPlan:
    """What is kept. ``digits`` after the point; ``least`` people with a value other than zero; ``drop`` by name."""

    features: str = "ensembl"
    digits: int = 0
    least: int = 5
    drop: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class MatrixCounts:
    """What was done; ``digest`` is of the bytes as written."""

    records_in: int
    records_out: int
    removed: Mapping[str, int]
    participants: int
    digest: str
    bytes: int


def plan_from_steps(steps: Sequence[Mapping[str, object]]) -> MatrixPlan:
    """``features: {kind}``, ``round: {digits}``, ``fewest-people: {count}``, ``sex-features: {drop}``; strict."""
    plan, seen = MatrixPlan(), set()
    for number, step in enumerate(steps, start=1):
        if not isinstance(step, Mapping) or len(step) != 1:
            raise MatrixError("bad_step", f"step {number} must be one name with its options")
        ((name, options),) = step.items()
        if name in seen or name not in OPTIONS or not isinstance(options, Mapping) or set(options) != {OPTIONS[name]}:
            raise MatrixError("bad_step", f"step {number} stands twice, is unknown or has other options than it knows")
        seen.add(name)
        plan = _stepped(plan, number, str(name), options[OPTIONS[name]])
    return plan


OPTIONS = {"features": "kind", "round": "digits", "fewest-people": "count", "sex-features": "drop"}


def _stepped(plan: MatrixPlan, number: int, name: str, value: object) -> MatrixPlan:
    if name == "features" and value in KINDS:
        return replace(plan, features=str(value))
    if name == "sex-features" and isinstance(value, bool):
        return replace(plan, drop=SEX_FEATURES if value else frozenset())
    if name == "round" and isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 6:
        return replace(plan, digits=value)
    if name == "fewest-people" and isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 1_000_000:
        return replace(plan, least=value)
    raise MatrixError("bad_step", f"step {number} ({name}): the value is not one it can take")


def core_matrix(
    plan: MatrixPlan, source: BinaryIO, sink: BinaryIO, *, participants: Mapping[str, str], level: int = 6
) -> MatrixCounts:
    """Write the permitted columns of a matrix (plain, gzip or bgzip; first column features) as BGZF text."""
    try:
        check_names(participants.values(), what="internal codes")
    except VariantError as error:
        raise MatrixError(error.code, str(error)) from None
    removed = dict.fromkeys(("kind", "genotype_probe", "listed", "few_people"), 0)
    counts = {"in": 0, "out": 0}
    written, workers = Written(sink), Workers(1)
    try:
        lines = numbered_lines(source)
        write_text(_texts(plan, lines, participants, removed, counts), written, workers, level)
    except bgzf.ContainerError as error:
        raise MatrixError(error.code, str(error)) from error
    finally:
        workers.close()
    return MatrixCounts(
        records_in=counts["in"],
        records_out=counts["out"],
        removed={reason: count for reason, count in removed.items() if count},
        participants=len(participants),
        digest=written.digest(),
        bytes=written.size,
    )


def numbered_lines(source: BinaryIO) -> Iterator[tuple[int, list[str]]]:
    """Line number and cells; comment lines are passed over. Raises ``MatrixError``."""
    rest, number = b"", 0
    for piece in _pieces(source):
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            number += 1
            if not line.startswith(b"#"):
                yield number, _cells(line, number)
        if len(rest) > MAX_LINE:
            raise MatrixError("line_too_long", f"a line has more than {MAX_LINE} bytes")
    if rest:
        raise MatrixError("truncated", "the last line has no line end: the file is cut short")


def _pieces(source: BinaryIO) -> Iterator[bytes]:
    incoming = bgzf.Incoming(source)
    start = incoming.peek(18)
    if bgzf.is_bgzf(start):
        return (bgzf.inflate_blocks(group) for group in bgzf.block_groups(incoming))
    return bgzf.gzip_groups(incoming) if bgzf.is_gzip(start) else bgzf.plain_groups(incoming)


def _cells(line: bytes, number: int) -> list[str]:
    if line.endswith(b"\r"):
        raise MatrixError("crlf", "ends with a carriage return; convert the file to Unix line ends", line=number)
    try:
        return line.decode("utf-8").split("\t")
    except UnicodeDecodeError:
        raise MatrixError("not_utf8", "is not UTF-8", line=number) from None


def _texts(
    plan: MatrixPlan,
    lines: Iterator[tuple[int, list[str]]],
    participants: Mapping[str, str],
    removed: dict[str, int],
    counts: dict[str, int],
) -> Iterator[bytes]:
    number, head = next(lines, (1, []))
    places = {name: at for at, name in enumerate(head) if at}
    if len(places) != len(head) - 1 or not participants or set(participants) - set(places):
        raise MatrixError(
            "bad_header", "repeats a column or lacks a participant's, or nobody is permitted", line=number
        )
    order = sorted(participants, key=lambda name: participants[name])
    yield ("\t".join(["feature", *(participants[name] for name in order)]) + "\n").encode()
    seen: set[str] = set()
    for number, cells in lines:
        counts["in"] += 1
        if len(cells) != len(head):
            raise MatrixError("ragged_line", "has another number of columns than the header", line=number)
        values = [_number(cells[places[name]], plan.digits, number) for name in order]
        reason = _reason(plan, cells[0], values)
        if reason:
            removed[reason] += 1
            continue
        if cells[0] in seen:
            raise MatrixError("duplicate_feature", "names a feature a second time", line=number)
        seen.add(cells[0])
        counts["out"] += 1
        yield ("\t".join([cells[0], *values]) + "\n").encode()


def _number(text: str, digits: int, line: int) -> str:
    if text in MISSING:
        return "NA"
    if not NUMBER.fullmatch(text):
        raise MatrixError("bad_value", "a value is not a number", line=line)
    rounded = Decimal(text).quantize(Decimal(1).scaleb(-digits), ROUND_HALF_EVEN)
    return f"{abs(rounded) if rounded.is_zero() else rounded:f}"


def _reason(plan: MatrixPlan, feature: str, values: Iterable[str]) -> str | None:
    if GENOTYPE_PROBE.fullmatch(feature):
        return "genotype_probe"
    if not KINDS[plan.features].fullmatch(feature):
        return "kind"
    if feature in plan.drop:
        return "listed"
    shown = sum(value != "NA" and not Decimal(value).is_zero() for value in values)
    return "few_people" if shown < plan.least else None
