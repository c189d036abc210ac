"""Facts of what is asked for: the dataset as a named person confirmed it, the view and its label, the purpose.

A dataset's data use permission is matched by rule; what a rule cannot read (a restriction in words, an obsolete term, a
delicate topic) a person reads and answers for by name, bound to exactly this application, dataset and views.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.ports import Row
from policies.facts import DatasetFacts, PurposeFacts, RiskFacts, ViewFacts
from policies.labels import identifies
from policies.purposes import ASK, MATCH, DataUse, Purpose, judge, owed, stated_purpose

READ = "read-data-use"
"""The act of a person who has read what the rules cannot, and says that the purpose lies within it."""
PERSONAL = frozenset({"vcf", "table", "reads", "fastq", "matrix"})


def dataset_facts(dataset: Row, holder: Row | None) -> DatasetFacts:
    """What its manifest says and somebody confirmed; what it does not say is unknown. Where it says nothing of the
    store, the data lies where its holder is."""
    home = None if holder is None else holder["place"]
    manifest = dataset["manifest"]
    population = manifest.get("population", {})
    source = manifest.get("provenance", {})
    return DatasetFacts(
        confirmed=dataset["state"] == "confirmed",
        hgr="yes" if manifest.get("hgr", {}).get("subtype") else "unknown",
        secret=manifest.get("secret", "unknown"),
        important=manifest.get("important", "unknown"),
        region_flag=population.get("region_flag", "unknown"),
        pedigree_flag=population.get("pedigree_flag", "unknown"),
        reviewer_flag=population.get("reviewer_flag", "unknown"),
        provenance=all(source.get(key) for key in ("laboratory", "platform", "pipeline", "reference_build")),
        responsible_person=bool(dataset["responsible_person"]),
        public=manifest.get("public", "unknown"),
        public_accession=bool(manifest.get("public_accession")),
        participants=int(population.get("participants", -1)),
        collection_permit=bool(manifest.get("collection_permit")),
        stored_in=manifest.get("stored_in") or home or "unknown",
    )


def view_facts(rows: Mapping[str, Any], risk: RiskFacts) -> ViewFacts:
    """The view, its label, and what was measured on it; people's rows stay personal whatever the recipe did."""
    view = rows["view"]
    assay = rows["dataset"]["manifest"].get("hgr", {}).get("category")
    return ViewFacts(
        kind=view["kind"] or "unknown",
        tier=view["tier"] or "unknown",
        label_confirmed=view["state"] == "confirmed",
        in_item=view["id"] in rows["item"]["views"],
        exome_or_genome={"WGS": "yes", "WES": "yes", "array": "no", "panel": "no"}.get(assay, "unknown"),
        grade=view["label"].get("grade") or "unknown",
        level=int(view["label"].get("level") or -1),
        identifiability=identifies(
            view["label"].get("identifiability") or "unknown",
            linkable=risk.linkable,
            found=risk.measured and not risk.clean,
        ),
        # PI-01, PI-02.
        personal="yes" if view["kind"] in PERSONAL else "unknown",
        sensitive="yes" if view["kind"] in PERSONAL else "unknown",
        # Every release is of one frozen package, unless the project asks for the same again and again (FAQ-5.7a).
        flow=str(rows["application"]["purpose"].get("flow", "single")),
    )


def stated(rows: Mapping[str, Any]) -> Purpose:
    """The purpose an application states, with what it cannot state: place, person, project, institution."""
    application, recipient = rows["application"], rows["recipient"]
    return stated_purpose(
        application["purpose"],
        place=recipient["place"] or "",
        person=application["applicant_id"],
        project=application["project_id"],
        institution=(recipient["name"] or {}).get("en", ""),
    )


def data_use(rows: Mapping[str, Any], purpose: Purpose) -> DataUse:
    """What the dataset's permission says to the purpose, term by term."""
    manifest = rows["dataset"]["manifest"]
    return judge(manifest.get("data_use", ()), manifest.get("diseases", ()), purpose)


def purpose_facts(rows: Mapping[str, Any], purpose: Purpose, wanted: str) -> PurposeFacts:
    """``wanted``: the digest that a reading must be bound to. A reading answers an "ask", never a "no"."""
    said = data_use(rows, purpose)
    read = any(reading["digest"] == wanted for reading in rows["readings"])
    answer = MATCH if said.answer == ASK and read else said.answer
    stated_words = rows["application"]["purpose"]
    return PurposeFacts(
        joint_research=stated_words.get("joint_research", "unknown"),
        data_use=answer,
        stated=bool(purpose.term),
        fee=stated_words.get("fee", "unknown"),
        owed=";".join(owed(rows["dataset"]["manifest"].get("data_use", ()))) if answer == MATCH else "",
    )
