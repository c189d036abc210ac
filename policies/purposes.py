"""Does a purpose lie inside a permission? GA4GH Data Use Ontology terms, answered match, no or ask, with reasons.

A permission is a list of DUO terms (``HMB``, ``DUO:0000006``, ``GS=mainland,macau``) with diseases for DS. Missing data
use is "no"; a term nobody here knows, or one that needs a person, is "ask". The matching rule is that of the DUO README
and DUOS' DataUseMatchCasesV4, with three differences: unset data use never matches, a certain "no" is not softened by
an "ask" (adding a restriction must never loosen the answer), and modifiers are not reasoned over by is-a (in DUO the
stricter NPUNCU is the parent of NPU and NCU). DUO release 2021-02-23, tables/duo.toml.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from functools import cache
from importlib.resources import files
from typing import Any

from policies.diseases import NO_MONDO, Mondo, within

__all__ = [
    "DataUse",
    "Finding",
    "Purpose",
    "Term",
    "codes",
    "judge",
    "matches",
    "owed",
    "stated_purpose",
    "terms_of",
    "topics",
    "within",
]

MATCH, NO, ASK = "match", "no", "ask"
METHODS = "METHODS"
DUO_ID = re.compile(r"(?:HTTPS?://PURL\.OBOLIBRARY\.ORG/OBO/)?DUO[:_](\d{7,8})")
PLACES = frozenset({"mainland", "hong_kong", "macau", "overseas"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Purpose:
    """What the applicant wants: one main term, diseases for DS, and the plain questions. Unknown is never an answer."""

    term: str
    diseases: tuple[str, ...] = ()
    commercial: bool = False
    not_for_profit: bool = True
    methods_only: bool = False
    topics: tuple[str, ...] = ()
    genetic: str = "unknown"
    collaborates: str = "unknown"
    months: int = 0
    place: str = ""
    person: str = ""
    project: str = ""
    institution: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """One DUO term of a permission: short code (or the word as it stands, when unknown) and its parameter."""

    code: str
    value: str = ""

    @property
    def kind(self) -> str:
        """permission, modifier, obsolete, or unknown."""
        return str(_terms().get(self.code, {}).get("kind", "unknown"))

    def values(self) -> frozenset[str]:
        """The parameter's parts."""
        return frozenset(part.strip() for part in self.value.split(",") if part.strip())


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one term says to the purpose, and why."""

    term: str
    answer: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DataUse:
    """The answer over all terms: match, no or ask; every finding; what a match obliges the recipient to."""

    answer: str
    findings: tuple[Finding, ...]
    obligations: tuple[str, ...]


def matches(permission: Iterable[Any], diseases: Iterable[str], purpose: Purpose, mondo: Mondo = NO_MONDO) -> str:
    """``match``, ``no`` or ``ask``. Any "no" wins over "ask"."""
    return judge(permission, diseases, purpose, mondo).answer


def judge(permission: Iterable[Any], diseases: Iterable[str], purpose: Purpose, mondo: Mondo = NO_MONDO) -> DataUse:
    """The answer with a finding for the permission, each modifier and each delicate topic."""
    terms = terms_of(permission)
    main = frozenset(term.code for term in terms if term.kind == "permission")
    findings = (
        _permission(terms, main, tuple(diseases), purpose, mondo),
        *(_modifier(term, purpose) for term in terms if term.kind != "permission"),
        *(_topic(topic) for topic in purpose.topics),
    )
    answers = {finding.answer for finding in findings}
    answer = NO if NO in answers else ASK if ASK in answers else MATCH
    return DataUse(answer=answer, findings=findings, obligations=owed(terms) if answer == MATCH else ())


def owed(permission: Iterable[Any]) -> tuple[str, ...]:
    """What the permission's terms oblige a recipient to once its purpose lies inside: codes with their parameter."""
    return tuple(_owed(term) for term in terms_of(permission) if term.code in OBLIGES)


def stated_purpose(stated: Mapping[str, Any], **known: str) -> Purpose:
    """The purpose an application states; ``known`` are the facts it cannot state: place, person, project, institution.

    What it leaves out is taken as what opens least: commercial, for profit, genetic and collaborating unknown.
    """
    return Purpose(
        term=str(stated.get("term", "")),
        diseases=tuple(map(str, stated.get("diseases", ()))),
        commercial=stated.get("commercial") is not False,
        not_for_profit=stated.get("not_for_profit") is True,
        methods_only=bool(stated.get("methods_only", False)),
        topics=tuple(map(str, stated.get("topics", ()))),
        genetic=str(stated.get("genetic", "unknown")),
        collaborates=str(stated.get("collaborates", "unknown")),
        months=_whole(stated.get("months")),
        **known,
    )


def topics() -> tuple[str, ...]:
    """Topics of a purpose that a person reads: the application form asks for each."""
    return tuple(_table()["topics"])


def codes(terms: Iterable[Any]) -> list[str]:
    """Short codes of DUO ids or short codes, without parameters; an unknown term stays as it is."""
    return [term.code for term in terms_of(terms)]


def terms_of(permission: Iterable[Any]) -> tuple[Term, ...]:
    """Terms from ``CODE``, ``CODE=value``, a DUO id or address, or ``{"term": ..., "value": ...}``."""
    return tuple(term for term in map(_term, permission) if term.code)


def _term(written: Any) -> Term:
    if isinstance(written, Term):
        return written
    if isinstance(written, Mapping):
        word, value = str(written.get("term", "")), str(written.get("value", ""))
    else:
        word, _, value = str(written).partition("=")
    plain = word.strip().upper()
    if found := DUO_ID.fullmatch(plain):
        # In duo.owl the address of NPOA has eight digits, in duo.csv its id has seven: the number is what counts.
        plain = _by_id().get(f"DUO:{int(found[1]):07}", plain)
    return Term(code=plain, value=value.strip())


def _whole(number: Any) -> int:
    return number if type(number) is int else 0


def _topic(topic: str) -> Finding:
    known = topic in topics()
    return Finding(term=topic, answer=ASK, why="a person reads this topic" if known else "this topic is not known")


def _kind(purpose: Purpose) -> str:
    return METHODS if purpose.methods_only else _term(purpose.term).code


def _permission(
    terms: tuple[Term, ...], main: frozenset[str], diseases: tuple[str, ...], purpose: Purpose, mondo: Mondo
) -> Finding:
    """What the permissions say; where a narrower one stands beside a broader one, only a person can tell."""
    kind = _kind(purpose)
    named = "+".join(sorted(main))
    if not main:
        return Finding(term="", answer=NO, why="no data use permission is recorded, and what is missing is not given")
    if kind not in KINDS:
        return Finding(term=named, answer=ASK, why="the purpose is of no known kind")
    allowed = diseases + tuple(value for term in terms if term.code == "DS" for value in sorted(term.values()))
    care = any(term.code == "CC" for term in terms)
    covering = {code for code in main if _covers(code, kind, care=care, sick=_sick(purpose, allowed, mondo))}
    narrowest = {code for code in main if not main & BELOW[code]}
    if covering & narrowest:
        return Finding(term=named, answer=MATCH, why=f"{'+'.join(sorted(covering & narrowest))} covers {kind}")
    if covering:
        return Finding(term=named, answer=ASK, why="a broad and a narrow permission stand side by side")
    return Finding(term=named, answer=NO, why=f"{named} does not cover {kind}")


BELOW = {
    "NRES": frozenset({"GRU", "HMB", "DS", "POA"}),
    "GRU": frozenset({"HMB", "DS", "POA"}),
    "HMB": frozenset({"DS"}),
    "DS": frozenset(),
    "POA": frozenset(),
}
"""What is narrower than each permission. POA is no child of GRU in DUO, yet GRU permits it and is broader."""

COVERS = {
    "NRES": frozenset({"NRES", "GRU", "HMB", "DS", "POA", METHODS, "CC"}),
    "GRU": frozenset({"GRU", "HMB", "DS", "POA", METHODS}),
    "HMB": frozenset({"HMB", "DS", METHODS}),
    "DS": frozenset(),
    "POA": frozenset({"POA", METHODS}),
}
KINDS = COVERS["NRES"]


def _covers(code: str, kind: str, *, care: bool, sick: bool) -> bool:
    if kind == "CC":
        return code == "NRES" or (care and (code in {"GRU", "HMB"} or (code == "DS" and sick)))
    return kind in COVERS[code] or (code == "DS" and kind in {"DS", METHODS} and sick)


def _sick(purpose: Purpose, allowed: tuple[str, ...], mondo: Mondo) -> bool:
    """Every disease of the purpose lies in the permitted ones; a purpose that names none has none that does."""
    return bool(purpose.diseases) and all(within(code, allowed, mondo) for code in purpose.diseases)


def _modifier(term: Term, purpose: Purpose) -> Finding:
    answer, why = RULES.get(term.code, _unknown)(term, purpose)
    return Finding(term=term.code, answer=answer, why=why)


Said = tuple[str, str]


def _unknown(term: Term, _purpose: Purpose) -> Said:
    return ASK, "this term is obsolete" if term.kind == "obsolete" else "this term is not known"


def _profit(term: Term, purpose: Purpose) -> Said:
    if term.code in {"NCU", "NPUNCU"} and purpose.commercial:
        return NO, "commercial use is not permitted"
    if term.code in {"NPU", "NPUNCU"} and not purpose.not_for_profit:
        return NO, "only organisations not for profit may use it"
    if term.code == "NPU" and purpose.commercial:
        # DUO binds the organisation alone, DUOS denies the for-profit purpose: where sources part, a person decides.
        return ASK, "commercial use by an organisation not for profit is read by a person"
    return MATCH, "the use is as permitted"


def _methods(_term: Term, purpose: Purpose) -> Said:
    return (NO, "methods development is not permitted") if _kind(purpose) == METHODS else (MATCH, "no methods study")


def _ancestry(_term: Term, purpose: Purpose) -> Said:
    return (NO, "ancestry research is not permitted") if _kind(purpose) == "POA" else (MATCH, "no ancestry research")


def _stated(question: str, answer: str) -> Said:
    said = {"yes": MATCH, "no": NO}.get(answer, ASK)
    return said, {MATCH: f"{question}: yes", NO: f"{question}: no"}.get(said, f"{question}: not stated")


def _place(term: Term, purpose: Purpose) -> Said:
    if purpose.place and purpose.place in term.values():
        return MATCH, "the place of use is permitted"
    if purpose.place in PLACES and term.values() and term.values() <= PLACES:
        return NO, "the place of use is not permitted"
    return ASK, "the permitted places or the place of use are not certain"


def _months(term: Term, purpose: Purpose) -> Said:
    if not term.value.isdecimal() or purpose.months <= 0:
        return ASK, "the time limit or the time wanted is not stated in months"
    return (MATCH, "within the time") if purpose.months <= int(term.value) else (NO, "longer than permitted")


def _moratorium(term: Term, _purpose: Purpose) -> Said:
    try:
        date.fromisoformat(term.value)
    except ValueError:
        return ASK, "the end of the moratorium is not stated as a date"
    return MATCH, "publication waits for the stated day"


def _named_only(field: str) -> Callable[[Term, Purpose], Said]:
    def rule(term: Term, purpose: Purpose) -> Said:
        wanted = str(getattr(purpose, field))
        if not wanted or not term.values():
            return ASK, f"the permitted {field} or the one who asks is not stated"
        return (MATCH, f"the {field} is named") if wanted in term.values() else (NO, f"another {field} is named")

    return rule


RULES: Mapping[str, Callable[[Term, Purpose], Said]] = {
    "NPU": _profit,
    "NCU": _profit,
    "NPUNCU": _profit,
    "NMDS": _methods,
    "NPOA": _ancestry,
    "GSO": lambda _term, purpose: _stated("the study is a genetic one", purpose.genetic),
    "COL": lambda _term, purpose: _stated("collaboration with the primary investigators", purpose.collaborates),
    "GS": _place,
    "TS": _months,
    "MOR": _moratorium,
    "US": _named_only("person"),
    "PS": _named_only("project"),
    "IS": _named_only("institution"),
    "PUB": lambda _term, _purpose: (MATCH, "results are to be published"),
    "RTN": lambda _term, _purpose: (MATCH, "results are to be returned"),
    "IRB": lambda _term, _purpose: (MATCH, "HGR-07 holds every release without ethics approval"),
    "CC": lambda _term, _purpose: (MATCH, "clinical care is permitted besides"),
    "RS": lambda _term, _purpose: (ASK, "a restriction in words is read by a person"),
}
OBLIGES = frozenset({"PUB", "RTN", "MOR", "COL", "IRB", "TS"})


def _owed(term: Term) -> str:
    return f"{term.code}={term.value}" if term.value else term.code


@cache
def _table() -> dict[str, Any]:
    return tomllib.loads((files("policies") / "tables" / "duo.toml").read_text("utf-8"))


def _terms() -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = _table()["terms"]
    return found


@cache
def _by_id() -> dict[str, str]:
    return {row["id"]: code for code, row in _terms().items()}
