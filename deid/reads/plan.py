"""A recipe's steps for reads, read strictly: an unknown step, key or tag is an error and nothing is guessed.

Without a step the strict choice holds: no tag but the new read group, qualities in four bins, nothing but mapped
primary reads, no mask. Names are always replaced. Not here: the judgement whether the result is safe (the gate table).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from deid.reads.errors import ReadsError
from deid.variants.errors import VariantError
from deid.variants.regions import Regions, parse_bed

TAGS = ("RG", "NM", "MD", "AS", "XS", "NH", "HI", "MC", "MQ")
"""Tags a recipe may keep. SA, OA and XA are not among them: they place bases elsewhere, past every mask and region."""
FLAGS = {"unmapped": 0x4, "secondary": 0x100, "qc-fail": 0x200, "duplicate": 0x400, "supplementary": 0x800}
QUALITIES = ("keep", "bins-8", "bins-4", "drop")
EDGES: Mapping[str, tuple[tuple[int, int], ...]] = {
    # Illumina's published tables: from this quality up, this value is written.
    "bins-8": ((0, 0), (1, 1), (2, 6), (10, 15), (20, 22), (25, 27), (30, 33), (35, 37), (40, 40)),
    "bins-4": ((0, 2), (3, 12), (18, 23), (30, 37)),
}
PANEL = "approved-panel"
MOST_QUALITY = 93
BAD, ABSENT = 0xFE, 0xFF


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadsPlan:
    """What is kept of reads. ``drop_flags`` are SAM FLAG bits (SAM specification section 1.4.2); ``ties_by_name`` puts
    reads of one place in the order of their new names, for a copy."""

    tags: tuple[str, ...] = ("RG",)
    quality: str = "bins-4"
    drop_flags: int = sum(FLAGS.values())
    mask: Regions = field(default_factory=Regions)
    panel: Regions = field(default_factory=Regions)
    mask_except: bool = False
    substituted: bool = False
    ties_by_name: bool = False


Options = Mapping[str, object]
Files = Mapping[str, bytes]


def plan_from_steps(steps: Sequence[Options], files: Files) -> ReadsPlan:
    """The plan of a recipe's ``steps``; ``files`` holds each BED file, ``files["approved-panel"]`` the purpose's panel.

    Raises ``ReadsError``: ``bad_step`` with the step's number and name, ``missing_file``, ``bad_bed``.
    """
    plan = ReadsPlan(panel=_bed(files[PANEL], PANEL) if PANEL in files else Regions())
    seen: set[str] = set()
    for number, step in enumerate(steps, start=1):
        if not isinstance(step, Mapping) or len(step) != 1 or next(iter(step)) not in STEPS:
            raise ReadsError("bad_step", f"step {number} is none of {', '.join(STEPS)}")
        ((name, options),) = step.items()
        place = f"step {number} ({name})"
        if name in seen or not isinstance(options if options is not None else {}, Mapping):
            raise ReadsError("bad_step", f"{place}: stands twice or has no options by name")
        seen.add(name)
        plan = STEPS[name](plan, place, options or {}, files)  # type: ignore[arg-type]
    return plan


def quality_table(name: str) -> bytes:
    """256 bytes: what is written for each quality; ``BAD`` for what no file may hold, ``ABSENT`` for no quality."""
    if name == "drop":
        return bytes([ABSENT] * (MOST_QUALITY + 1) + [BAD] * (ABSENT - MOST_QUALITY - 1) + [ABSENT])
    edges = EDGES.get(name, tuple((value, value) for value in range(MOST_QUALITY + 1)))
    kept = [next(to for least, to in reversed(edges) if value >= least) for value in range(MOST_QUALITY + 1)]
    return bytes(kept + [BAD] * (ABSENT - MOST_QUALITY - 1) + [ABSENT])


def _only(place: str, options: Options, *allowed: str) -> None:
    if not set(options) <= set(allowed):
        raise ReadsError("bad_step", f"{place}: knows only {', '.join(allowed) or 'no key'}")


def _listed(place: str, value: object, allowed: Sequence[str]) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or len(set(map(str, value))) != len(value):
        raise ReadsError("bad_step", f"{place}: must be a list without repeats")
    if not all(isinstance(item, str) and item in allowed for item in value):
        raise ReadsError("bad_step", f"{place}: must be out of {', '.join(allowed)}")
    return tuple(value)


def _tags(plan: ReadsPlan, place: str, options: Options, _: Files) -> ReadsPlan:
    _only(place, options, "keep")
    return replace(plan, tags=_listed(place, options.get("keep"), TAGS))


def _quality(plan: ReadsPlan, place: str, options: Options, _: Files) -> ReadsPlan:
    _only(place, options, "as")
    if options.get("as") not in QUALITIES:
        raise ReadsError("bad_step", f"{place}: as must be one of {', '.join(QUALITIES)}")
    return replace(plan, quality=str(options["as"]))


def _keep(plan: ReadsPlan, place: str, options: Options, _: Files) -> ReadsPlan:
    """Kinds of reads that stay besides mapped primary ones."""
    _only(place, options, "also")
    kept = _listed(place, options.get("also"), tuple(FLAGS))
    return replace(plan, drop_flags=sum(bit for name, bit in FLAGS.items() if name not in kept))


def _mask(plan: ReadsPlan, place: str, options: Options, files: Files) -> ReadsPlan:
    _only(place, options, "bed", "except")
    bed = options.get("bed")
    if not isinstance(bed, str) or options.get("except", PANEL) != PANEL:
        raise ReadsError("bad_step", f"{place}: bed must name a file, and except can only be {PANEL}")
    if bed not in files:
        raise ReadsError("missing_file", f"{place}: the BED file it names was not given")
    return replace(plan, mask=_bed(files[bed], f"{place} bed"), mask_except="except" in options)


def _substituted(plan: ReadsPlan, place: str, options: Options, _: Files) -> ReadsPlan:
    _only(place, options)
    return replace(plan, substituted=True)


def _bed(text: bytes, name: str) -> Regions:
    try:
        return parse_bed(text, name=name)
    except VariantError as error:
        raise ReadsError(error.code, str(error)) from None


STEPS: Mapping[str, Callable[[ReadsPlan, str, Options, Files], ReadsPlan]] = {
    "tags": _tags,
    "quality": _quality,
    "keep": _keep,
    "mask": _mask,
    "reference-substituted": _substituted,
}
