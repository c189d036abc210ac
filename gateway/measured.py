"""The risk a decision looks at: this core view, judged together with all that its audience already holds.

The audience is the recipient's institution: what it got before in any project, the other views of this grant's package,
and what went through the open door, as far as the same people stand in them (invariant 13). Two tables are judged as
one: their classes are cut by each other. A table beside genotypes of the same people is as linkable as the genotypes.
What was held stays held, also when our own copy of it is shredded; a table whose classes we do not know is unknown
risk, and unknown holds.
"""

from __future__ import annotations

import json
import zlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any

from deid.joint import JointRisk, joint_risk
from gateway.canonical import digest
from gateway.consent_rows import consents_of
from gateway.ports import Row, Tx
from policies.facts import RiskFacts
from policies.gates import table_limits

SIGN_RISK = "sign-risk"
SHOWS_ALLELES = frozenset({"vcf", "reads", "frequencies"})
"""Kinds in which an allele that other variants leave out can stand."""
UNKNOWN = -1
PERSON_LEVEL = frozenset({"vcf", "matrix", "reads", "fastq"})
"""Kinds in which a person's own values stand: whoever has theirs from elsewhere finds them."""
Partition = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """Numbers of one core view for one audience."""

    core_id: str
    k: int
    l: int  # noqa: E741  the model's own name
    linkable: bool
    tables_held: int
    given_back: int = 0

    def digest(self) -> str:
        """What a signature under the risk is bound to: another number, or another view, is another risk."""
        found = {"core": self.core_id, "k": self.k, "l": self.l, "linkable": self.linkable}
        # Nothing given back leaves the digest what it was, so that signatures given before it was measured still stand.
        return digest({**found, "given_back": self.given_back} if self.given_back else found)


def risk_facts(tx: Tx, rows: Mapping[str, Any], row: Row, *, required: bool) -> RiskFacts:
    """The ``risk`` section of the Facts; before the core view exists it says only what is wanted."""
    tier, kind = rows["view"]["tier"], rows["view"]["kind"]
    k, least = table_limits(tier)
    core = None if row["core_view_id"] is None else tx.get("core_view", row["core_view_id"])
    if core is None:
        return RiskFacts(required=required, k_wanted=k, l_wanted=least, linkable=kind in PERSON_LEVEL)
    found = measure(tx, rows, core)
    return RiskFacts(
        measured=core["state"] == "assessed",
        required=required,
        clean=bool((core["risk"] or {}).get("clean")),
        k=found.k,
        l=found.l,
        linkable=found.linkable,
        k_wanted=k,
        l_wanted=least,
        signed=tier == "controlled" and _signed(tx, rows, found),
        signed_apart=tier == "controlled" and _signed(tx, rows, found, apart=True),
        given_back=found.given_back,
        substituted=_is_substituted(core["risk"] or {}),
        **_of_frequencies(core["risk"] or {}),
    )


def _is_substituted(risk: Mapping[str, Any]) -> bool:
    """Whether the reads were measured to have no base, tag, flag or length but the reference's."""
    found = risk.get("reads", {})
    return found.get("is_substituted") is True and found.get("bases_are_reference") is True


def _of_frequencies(risk: Mapping[str, Any]) -> dict[str, Any]:
    """The fewest people behind a count, and the power to tell who was counted at 5 % false positives, rounded up.

    What is released is a frozen core view, held a batch of people apart from the last one: a snapshot.
    """
    if "min_count" not in risk:
        return {}
    power = risk.get("genomic", {}).get("lr_power_at_5pct_fpr", 1.0)
    return {"min_count": int(risk["min_count"]), "lr_power_permille": ceil(power * 1000), "snapshot": True}


def measure(tx: Tx, rows: Mapping[str, Any], core: Row) -> Measured:
    """This core view together with what the audience holds."""
    held = held_cores(tx, rows, core)
    kinds = {core["view_id"]: rows["view"]["kind"]} | {view["id"]: view["kind"] for view in _views(tx, held)}
    # An older state of this view and each other view the audience has; the same core view adds nothing to itself.
    tables = [other for other in held if kinds.get(other["view_id"]) == "table"]
    linkable = any(kinds.get(other["view_id"]) not in {"table", "frequencies"} for other in (core, *held))
    joint = JointRisk(k=0, uniques=0, l=0) if kinds[core["view_id"]] != "table" else _joint(tx, core, tables)
    given_back = _given_back(core, revealing(tx, core, held))
    return Measured(
        core_id=core["id"], k=joint.k, l=joint.l, linkable=linkable, tables_held=len(tables), given_back=given_back
    )


def revealing(tx: Tx, core: Row, held: Sequence[Row]) -> list[Row]:
    """Those of ``held`` that, beside this core view, may show what one of the two leaves out: variants and any view of
    alleles of the same people. An older state of the same view was made by the same rules, and is none."""
    kinds = {view["id"]: view["kind"] for view in _views(tx, [core, *held])}
    if kinds[core["view_id"]] not in SHOWS_ALLELES:
        return []
    mine = _natural_people(tx, core)
    return [
        other
        for other in held
        if other["view_id"] != core["view_id"]
        and kinds[other["view_id"]] in SHOWS_ALLELES
        and "vcf" in {kinds[other["view_id"]], kinds[core["view_id"]]}
        and mine & _natural_people(tx, other)
    ]


def _natural_people(tx: Tx, core: Row) -> set[str]:
    members = {row["participant_id"] for row in tx.find("core_member", core_view_id=core["id"])}
    linkage = consents_of(tx, core["dataset_id"]).linkage
    return {linkage[person] for person in members if person in linkage}


def _given_back(core: Row, others: Sequence[Row]) -> int:
    """Alleles given back over all pairs; unknown where one pair was not looked at or could not be."""
    known = (core["risk"] or {}).get("beside", {})
    found = [int(known.get(other["id"], UNKNOWN)) for other in others]
    return UNKNOWN if UNKNOWN in found else sum(found)


def held_cores(tx: Tx, rows: Mapping[str, Any], core: Row) -> list[Row]:
    """Every other core view of this custodian that the audience has, will have with this package, or can fetch."""
    institution, custodian = rows["application"]["institution_id"], core["custodian_id"]
    asked = [row["id"] for row in tx.find("application", institution_id=institution)]
    items = {row["id"] for row in tx.find("item", application_id=asked, custodian_id=custodian)}
    released = tx.find("release", custodian_id=custodian, outcome="permit")
    open_views = {row["id"] for row in tx.find("view", custodian_id=custodian, tier="open")}
    ids = {row["core_view_id"] for row in released if row["item_id"] in items or row["view_id"] in open_views}
    ids |= {part["core"] for part in (rows["package"] or {}).get("parts", ())}
    return list(tx.find("core_view", id=sorted(ids - {core["id"], None})))


def _joint(tx: Tx, core: Row, tables: Sequence[Row]) -> JointRisk:
    own = read_partition(core)
    if own is None:
        return JointRisk(k=0, uniques=0, l=0)
    held = []
    for other in tables:
        partition = read_partition(other)
        if partition is None:
            return JointRisk(k=0, uniques=0, l=0)
        held.append(partition if other["dataset_id"] == core["dataset_id"] else _renamed(tx, core, other, partition))
    return joint_risk(own, held)


def _renamed(tx: Tx, core: Row, other: Row, partition: Partition) -> Partition:
    """The other dataset's people under the names they have here, by linkage key; strangers drop out."""
    here = defaultdict(list)
    for person, linkage in consents_of(tx, core["dataset_id"]).linkage.items():
        here[linkage].append(person)
    there = consents_of(tx, other["dataset_id"]).linkage
    return {name: cells for person, cells in partition.items() for name in here.get(there.get(person, ""), ())}


def pack_partition(parts: Sequence[Mapping[str, Sequence[int]]]) -> bytes | None:
    """For the database: participants to class numbers. None when the view has no table."""
    if not parts:
        return None
    joined = {person: cells for part in parts for person, cells in part.items()}
    return zlib.compress(json.dumps(joined, separators=(",", ":")).encode())


def read_partition(core: Row) -> Partition | None:
    """What ``pack_partition`` wrote; None when nothing is known."""
    packed = core["partition"]
    if packed is None:
        return None
    return {person: tuple(cells) for person, cells in json.loads(zlib.decompress(packed)).items()}


def _views(tx: Tx, cores: Sequence[Row]) -> list[Row]:
    return list(tx.find("view", id=sorted({core["view_id"] for core in cores})))


def _signed(tx: Tx, rows: Mapping[str, Any], found: Measured, *, apart: bool = False) -> bool:
    """Whether somebody signed these numbers; ``apart``: somebody who is none of those who approved the item."""
    wanted = found.digest()
    given = tx.find("approval", item_id=rows["item"]["id"], act=SIGN_RISK, state="given")
    approvers = {approval["person_id"] for approval in rows["approvals"]} if apart else set()
    return any(approval["digest"] == wanted and approval["person_id"] not in approvers for approval in given)
