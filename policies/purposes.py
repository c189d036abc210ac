"""Does a purpose lie inside a permission? GA4GH Data Use Ontology terms, answered match, no or ask.

A permission is a list of DUO terms with diseases (ICD-10) for DS. Missing data use is "no"; a term nobody here
knows, or a
modifier that needs a person (collaboration, user or time limits), is "ask". DUO release 2021-02-23.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

IDS = {
    "DUO:0000004": "NRES", "DUO:0000042": "GRU", "DUO:0000006": "HMB", "DUO:0000007": "DS", "DUO:0000011": "POA",
    "DUO:0000045": "NPU", "DUO:0000046": "NCU", "DUO:0000018": "NPUNCU", "DUO:0000015": "NMDS", "DUO:0000016": "GSO",
    "DUO:0000019": "PUB", "DUO:0000020": "COL", "DUO:0000021": "IRB", "DUO:0000022": "GS", "DUO:0000024": "MOR",
    "DUO:0000025": "TS", "DUO:0000026": "US", "DUO:0000027": "PS", "DUO:0000028": "IS", "DUO:0000029": "RTN",
}  # fmt: skip
MAIN = frozenset({"NRES", "GRU", "HMB", "DS", "POA"})
ASK = frozenset({"COL", "GS", "TS", "US", "PS", "IS"})
NO_COMMERCE = frozenset({"NPU", "NCU", "NPUNCU"})
UNDERTAKEN = frozenset({"PUB", "IRB", "MOR", "RTN", "GSO"})
"""Modifiers met by what every agreement and application here already contains: publication, ethics, genetic study."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Purpose:
    """What the applicant wants: one main term, diseases for DS, and the plain questions."""

    term: str
    diseases: tuple[str, ...] = ()
    commercial: bool = False
    not_for_profit: bool = True
    methods_only: bool = False


def codes(terms: Iterable[str]) -> list[str]:
    """Short codes of DUO ids or short codes; an unknown term stays as it is."""
    return [IDS.get(term.strip(), term.strip().upper()) for term in terms if term.strip()]


def within(code: str, roots: Iterable[str]) -> bool:
    """Whether an ICD-10 code is one of the roots or lies below one (I45.8 lies below I45, I45 below I)."""
    plain = code.replace(".", "").upper()
    return bool(plain) and any(root and plain.startswith(root.replace(".", "").upper()) for root in roots)


def matches(permission: Iterable[str], diseases: Iterable[str], purpose: Purpose) -> str:
    """``match``, ``no`` or ``ask``. Any "no" wins over "ask"."""
    terms = codes(permission)
    answers = [
        _main(terms, tuple(diseases), purpose),
        *(_modifier(term, purpose) for term in terms if term not in MAIN),
    ]
    return "no" if "no" in answers else "ask" if "ask" in answers else "match"


def _main(terms: list[str], diseases: tuple[str, ...], purpose: Purpose) -> str:
    main = [term for term in terms if term in MAIN]
    if not main:
        return "no"
    return "match" if any(_covers(term, diseases, purpose) for term in main) else "no"


def _covers(term: str, diseases: tuple[str, ...], purpose: Purpose) -> bool:
    wanted = codes([purpose.term])[0] if purpose.term.strip() else ""
    if wanted not in MAIN:
        return False
    if term == "NRES" or term == wanted != "DS":
        return True
    if term == "GRU":
        return wanted in {"HMB", "DS", "POA"}
    if term == "HMB":
        return wanted == "DS"
    if term == "DS":
        return wanted == "DS" and bool(purpose.diseases) and all(within(code, diseases) for code in purpose.diseases)
    return False


def _modifier(term: str, purpose: Purpose) -> str:
    if term in NO_COMMERCE:
        if term != "NPU" and purpose.commercial:
            return "no"
        return "match" if term == "NCU" or purpose.not_for_profit else "no"
    if term == "NMDS":
        return "no" if purpose.methods_only else "match"
    return "match" if term in UNDERTAKEN else "ask"
