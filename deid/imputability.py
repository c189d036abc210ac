"""How well masked genotypes can be guessed from the variants left beside the mask.

For each ALT allele of a masked record that has spread among the permitted: the squared correlation of its copies with
those of the best released allele within the window, and the adjusted R squared of a linear regression on the best few;
the larger one counts. An attacker with a reference panel may do somewhat better, one without it worse. Measured on the
source and on the core view's own rules, since a masked record is in no output.
Not here: whether a mask is wide enough (the gate), and what to do about it (widen the BED).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from deid.dosages import Allele, Dosage, read_dosages
from deid.variants import VariantPlan
from deid.variants.core import open_view
from deid.variants.header import parse_header
from deid.variants.regions import Regions
from deid.variants.stream import Workers, read_text, split_header

WINDOW = 100_000
FEW, PEOPLE_FOR_EACH = 10, 10
GOOD = 0.8
"""The r squared at which imputed genotypes are commonly taken as known."""
Table = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Imputability:
    """r squared of each masked allele with spread, in file order."""

    r2: tuple[float, ...]

    def summary(self) -> dict[str, float]:
        """The report's numbers; without masked alleles only their count."""
        if not self.r2:
            return {"masked_alleles": 0}
        return {
            "masked_alleles": len(self.r2),
            "masked_alleles_imputable": sum(value >= GOOD for value in self.r2),
            "masked_r2_max": max(self.r2),
            "masked_r2_mean": sum(self.r2) / len(self.r2),
        }


def masked_imputability(
    plan: VariantPlan, source: BinaryIO, *, participants: Mapping[str, str], window: int = WINDOW
) -> Imputability:
    """Measure ``plan``'s mask on ``source``, a file that can be read more than once. Raises VariantError, DeidError."""
    contigs = _contigs(source)
    wide = _around(plan.mask, contigs, window)
    if not wide:
        return Imputability(r2=())
    bare = plan.changed(sites_only=False, format=("GT",), info=(), mask=Regions(), rare="keep", private="keep")
    hidden, hidden_copies = _read(bare, source, participants, _around(plan.mask, contigs, 0))
    released = plan.changed(sites_only=False, format=("GT",), info=())
    flanks, flank_copies = _read(released, source, participants, wide)
    kept = set(flanks)
    made = []
    for allele, copies in zip(hidden, hidden_copies, strict=True):
        near = [at for at, flank in enumerate(flanks) if _is_near(flank, allele, window)]
        if allele not in kept and (found := explained(copies, flank_copies[near])) is not None:
            made.append(found)
    return Imputability(r2=tuple(made))


def explained(hidden: Dosage, flanks: Dosage) -> float | None:
    """The larger of the best single r squared and the adjusted R squared of the best few; None without spread."""
    called = hidden >= 0
    wanted = hidden[called].astype(np.float64)
    if len(wanted) < 2 or wanted.var() == 0:
        return None
    wanted -= wanted.mean()
    table = _centred(flanks[:, called])
    spread = (table**2).sum(axis=1)
    table, spread = table[spread > 0], spread[spread > 0]
    if not len(table):
        return 0.0
    single = (table @ wanted) ** 2 / (spread * (wanted @ wanted))
    few = min(FEW, len(wanted) // PEOPLE_FOR_EACH)
    best = np.argsort(-single, kind="stable")[:few]
    several = _adjusted(table[best], wanted) if len(best) > 1 else 0.0
    return min(1.0, float(max(single.max(), several)))  # rounding may pass 1


def _adjusted(table: Table, wanted: Table) -> float:
    solved, _, rank, _ = np.linalg.lstsq(table.T, wanted, rcond=None)
    left = wanted - table.T @ solved
    share = float(left @ left / (wanted @ wanted))
    return 1 - share * (len(wanted) - 1) / (len(wanted) - int(rank) - 1)


def _centred(dosage: Dosage) -> Table:
    """Copies less their mean, nobody's own at cells not called."""
    copies = dosage.astype(np.float64)
    missing = copies < 0
    number = np.maximum((~missing).sum(axis=1, keepdims=True), 1)
    mean = np.where(missing, 0, copies).sum(axis=1, keepdims=True) / number
    centred: Table = np.where(missing, 0, copies - mean)
    return centred


def _is_near(flank: Allele, allele: Allele, window: int) -> bool:
    return flank.contig == allele.contig and abs(flank.position - allele.position) <= window


def _contigs(source: BinaryIO) -> set[bytes]:
    head, _ = split_header(read_text(source, Workers(1)))
    source.seek(0)
    return {name for name, _ in parse_header(head).contigs}


def _around(mask: Regions, contigs: set[bytes], window: int) -> str:
    """The mask's intervals widened, as a region string counts them."""
    return " ".join(
        f"{contig.decode()}:{max(start + 1 - window, 1)}-{end + window}"
        for contig in mask.starts
        if contig in contigs
        for start, end in zip(mask.starts[contig], mask.ends[contig], strict=True)
    )


def _read(
    plan: VariantPlan, source: BinaryIO, participants: Mapping[str, str], region: str
) -> tuple[list[Allele], Dosage]:
    view = open_view(plan, source, Workers(1), participants=participants, region=region)
    next(view.texts)
    found = read_dosages(view.texts, len(participants))
    source.seek(0)
    return found
