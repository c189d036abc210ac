"""A recipe's VCF steps, read strictly: an unknown step, key or field is an error and nothing is guessed.

Without a step the strict choice holds: ID, QUAL and FILTER are emptied, INFO is empty, FORMAT is GT:DP:GQ, nothing is
masked and no allele count is asked for. Steps are facts about the output, so their order does not matter; counts are
always recomputed from the genotypes written. Not here: the judgement whether the result is safe (the gate table).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from deid.nouns import TYPE_CHECKING, Noun
from deid.variants.errors import VariantError
from deid.variants.regions import Regions, parse_bed

if TYPE_CHECKING:
    from typing import Literal, TypeAlias

Rarity: TypeAlias = 'Literal["keep", "drop", "mask"]'

HEADER_SECTIONS = ("fileformat", "contig", "FILTER", "INFO", "FORMAT")
INFO_KEYS = ("AC", "AN", "AF", "NS", "DP", "END")
FORMAT_KEYS = ("GT", "DP", "GQ", "AD")
BINNED_KEYS = ("DP", "GQ")
PANEL = "approved-panel"


class VariantPlan(Noun):
    """What is kept of a cohort VCF.

    ``bins`` are widths: a value is written as the lower edge of its bin. ``panel`` exempts spans that lie wholly in it
    from the mask, the allele count or both, as the ``*_except`` flags say. ``minimum`` is in allele copies,
    ``carriers`` in people. ``keep_blocks`` keeps the reference blocks of a gVCF.
    """

    header: tuple[str, ...] = HEADER_SECTIONS
    keep_id: bool = False
    keep_quality: bool = False
    keep_filter: bool = False
    info: tuple[str, ...] = ()
    format: tuple[str, ...] = ("GT", "DP", "GQ")
    bins: Mapping[str, int] = MappingProxyType({})
    sites_only: bool = False
    mask: Regions = Regions()
    mask_except: bool = False
    panel: Regions = Regions()
    minimum: int = 0
    rare: Rarity = "keep"
    rare_except: bool = False
    private: Rarity = "keep"
    private_except: bool = False
    carriers: int = 2
    keep_blocks: bool = False


Files = Mapping[str, bytes]
Step = Mapping[str, object]


def plan_from_steps(steps: Sequence[Mapping[str, object]], files: Files) -> VariantPlan:
    """The plan of a recipe's ``steps``; ``files`` holds, by the name the recipe uses, each BED file.

    ``files["approved-panel"]`` is the purpose's panel; absent means nothing is exempt, the strict reading.
    Raises ``VariantError``: ``bad_step`` with the step's number and name, ``missing_file``, ``bad_bed``.
    """
    panel = parse_bed(files[PANEL], name=PANEL) if PANEL in files else Regions()
    plan = VariantPlan(panel=panel)
    seen: set[str] = set()
    for number, step in enumerate(steps, start=1):
        name, options = _named(number, step)
        if name in seen:
            raise VariantError("bad_step", f"step {number} ({name}) stands twice")
        seen.add(name)
        plan = STEPS[name](plan, options, files)
    if "DP" in plan.info and "DP" not in plan.format:
        raise VariantError("bad_step", "info keeps DP, which is summed from the FORMAT DP written, but format drops DP")
    return plan


class Options:
    """One step's options; every complaint names the step."""

    def __init__(self, place: str, values: Step) -> None:
        self.place = place
        self.values = values

    def fault(self, what: str) -> VariantError:
        """The error to raise about this step."""
        return VariantError("bad_step", f"{self.place}: {what}")

    def only(self, *allowed: str) -> None:
        """Refuse keys that this step does not have."""
        for key in self.values:
            if key not in allowed:
                raise self.fault(f"has a key that it does not know; it knows {', '.join(allowed) or 'none'}")

    def names(self, key: str, allowed: Sequence[str]) -> tuple[str, ...]:
        """A list of distinct names out of ``allowed``."""
        value = self.values.get(key)
        if not isinstance(value, list | tuple) or not all(isinstance(v, str) and v in allowed for v in value):
            raise self.fault(f"{key} must be a list out of {', '.join(allowed)}")
        if len(set(value)) != len(value):
            raise self.fault(f"{key} names a field twice")
        return tuple(value)

    def flag(self, key: str) -> bool:
        """A true or false that must be said."""
        value = self.values.get(key)
        if not isinstance(value, bool):
            raise self.fault(f"{key} must be true or false")
        return value

    def whole(self, key: str, least: int, most: int) -> int:
        """A whole number in a range."""
        value = self.values.get(key)
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise self.fault(f"{key} must be a whole number from {least} to {most}")
        return value

    def action(self) -> Literal["drop", "mask"]:
        """What happens to a rare allele."""
        value = self.values.get("action")
        if value == "drop":
            return "drop"
        if value == "mask":
            return "mask"
        raise self.fault("action must be drop or mask")

    def exemption(self) -> bool:
        """Whether the approved panel is exempt."""
        if "except" in self.values and self.values["except"] != PANEL:
            raise self.fault(f"except can only be {PANEL}")
        return "except" in self.values


def _named(number: int, step: Step) -> tuple[str, Options]:
    if not isinstance(step, Mapping) or len(step) != 1:
        raise VariantError("bad_step", f"step {number} must be one name with its options")
    ((name, values),) = step.items()
    if name not in STEPS:
        raise VariantError("bad_step", f"step {number} is none of {', '.join(STEPS)}")
    if values is None:
        values = {}
    if not isinstance(values, Mapping):
        raise VariantError("bad_step", f"step {number} ({name}) must have options by name")
    return name, Options(f"step {number} ({name})", values)


def _header(plan: VariantPlan, options: Options, _: Files) -> VariantPlan:
    options.only("keep")
    kept = options.names("keep", HEADER_SECTIONS)
    if "fileformat" not in kept:
        raise options.fault("keep must have fileformat, without which a file is no VCF")
    return plan.changed(header=kept)


def _info(plan: VariantPlan, options: Options, _: Files) -> VariantPlan:
    options.only("keep")
    return plan.changed(info=options.names("keep", INFO_KEYS))


def _format(plan: VariantPlan, options: Options, _: Files) -> VariantPlan:
    options.only("keep")
    kept = options.names("keep", FORMAT_KEYS)
    if kept[:1] != ("GT",):
        raise options.fault("keep must begin with GT; the step sites-only leaves genotypes out")
    return plan.changed(format=kept)


def _bin(plan: VariantPlan, options: Options, _: Files) -> VariantPlan:
    options.only(*BINNED_KEYS)
    return plan.changed(bins={key: options.whole(key, 1, 1_000_000) for key in options.values})


def _filter(plan: VariantPlan, options: Options, _: Files) -> VariantPlan:
    options.only("keep")
    return plan.changed(keep_filter=options.flag("keep"))


def _quality(plan: VariantPlan, options: Options, _: Files) -> VariantPlan:
    options.only("keep")
    return plan.changed(keep_quality=options.flag("keep"))


def _id(plan: VariantPlan, options: Options, _: Files) -> VariantPlan:
    options.only("keep")
    return plan.changed(keep_id=options.flag("keep"))


def _sites_only(plan: VariantPlan, options: Options, _: Files) -> VariantPlan:
    options.only()
    return plan.changed(sites_only=True)


def _mask(plan: VariantPlan, options: Options, files: Files) -> VariantPlan:
    options.only("bed", "except")
    bed = options.values.get("bed")
    if not isinstance(bed, str):
        raise options.fault("bed must name a file")
    if bed not in files:
        raise VariantError("missing_file", f"{options.place}: the BED file it names was not given")
    return plan.changed(mask=parse_bed(files[bed], name=f"{options.place} bed"), mask_except=options.exemption())


def _minimum_allele_count(plan: VariantPlan, options: Options, _: Files) -> VariantPlan:
    options.only("count", "action", "except")
    count = options.whole("count", 1, 1_000_000_000)
    return plan.changed(minimum=count, rare=options.action(), rare_except=options.exemption())


def _private_alleles(plan: VariantPlan, options: Options, _: Files) -> VariantPlan:
    """``carriers``: fewer people than this make an allele private (2 where it is not said: one person's alone)."""
    options.only("action", "except", "carriers")
    fewest = options.whole("carriers", 2, 1_000_000_000) if "carriers" in options.values else 2
    return plan.changed(private=options.action(), private_except=options.exemption(), carriers=fewest)


def _reference_blocks(plan: VariantPlan, options: Options, _: Files) -> VariantPlan:
    options.only("keep")
    return plan.changed(keep_blocks=options.flag("keep"))


STEPS: Mapping[str, Callable[[VariantPlan, Options, Files], VariantPlan]] = {
    "header": _header,
    "id": _id,
    "quality": _quality,
    "filter": _filter,
    "info": _info,
    "format": _format,
    "bin": _bin,
    "sites-only": _sites_only,
    "mask": _mask,
    "minimum-allele-count": _minimum_allele_count,
    "private-alleles": _private_alleles,
    "reference-blocks": _reference_blocks,
}
