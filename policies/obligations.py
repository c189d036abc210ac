"""What recipient, owner and holder owe after a permit: tracked, not gated (policies/tables/obligations.toml).

Each row has a rule id, what is owed, when it is due, and the name of the condition under which it is owed.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from policies.facts import Facts
from policies.vocabulary import INSIDE_MAINLAND, Action

OUT = frozenset({Action.RECEIVE_RELEASE, Action.EXPORT_MEDIA})
LEAVES = OUT | {Action.PUBLISH}


def _always(_facts: Facts) -> bool:
    return True


def _hgr(facts: Facts) -> bool:
    return facts.dataset.hgr != "no"


def _joint(facts: Facts) -> bool:
    return _hgr(facts) and facts.purpose.joint_research == "yes"


def _continuous(facts: Facts) -> bool:
    return _hgr(facts) and facts.view.flow != "single"


def _important(facts: Facts) -> bool:
    return facts.dataset.important != "no"


def _outside(facts: Facts) -> bool:
    return facts.recipient.party_class not in INSIDE_MAINLAND or facts.person.place_of_access != "mainland"


def _standard_contract(facts: Facts) -> bool:
    return _outside(facts) and facts.filings.mechanism == "standard-contract"


def _gba_contract(facts: Facts) -> bool:
    return _outside(facts) and facts.filings.mechanism == "gba-contract"


def _assessed(facts: Facts) -> bool:
    return _outside(facts) and facts.filings.mechanism in {"cac-assessment", "certification"}


def _hong_kong(facts: Facts) -> bool:
    return facts.recipient.place == "hong_kong"


def _macau(facts: Facts) -> bool:
    return facts.recipient.place == "macau"


def _processor(facts: Facts) -> bool:
    return facts.recipient.role not in {"independent", "joint"}


def _trusted(facts: Facts) -> bool:
    return facts.trust.claimed == "yes"


def _owes(code: str) -> Callable[[Facts], bool]:
    def owed(facts: Facts) -> bool:
        return code in {each.partition("=")[0] for each in facts.purpose.owed.split(";")}

    return owed


CONDITIONS: Mapping[str, Callable[[Facts], bool]] = {
    "always": _always,
    "hgr": _hgr,
    "joint-research": _joint,
    "continuous": _continuous,
    "important": _important,
    "standard-contract": _standard_contract,
    "gba-contract": _gba_contract,
    "assessed": _assessed,
    "hong-kong": _hong_kong,
    "macau": _macau,
    "processor": _processor,
    "trusted": _trusted,
    **{f"duo-{code.lower()}": _owes(code) for code in ("PUB", "RTN", "MOR", "COL", "IRB", "TS")},
}


@cache
def obligation_rows() -> tuple[Mapping[str, Any], ...]:
    """The table's rows."""
    text = (files("policies") / "tables" / "obligations.toml").read_text("utf-8")
    return tuple(tomllib.loads(text)["obligation"])


def obligations(action: Action, facts: Facts) -> tuple[dict[str, Any], ...]:
    """What is owed after this permit; nothing after an approval, which releases nothing."""
    if action not in LEAVES:
        return ()
    owed = (row for row in obligation_rows() if CONDITIONS[row["when"]](facts))
    return tuple({"rule": row["rule"], "what": dict(row["what"]), "due": _due(row, facts)} for row in owed)


def _due(row: Mapping[str, Any], facts: Facts) -> str:
    """When it is due; a data use term may say so itself (``MOR=2027-01-01``, ``TS=24`` months)."""
    said = dict(each.partition("=")[::2] for each in facts.purpose.owed.split(";"))
    return str(row["due"]).replace("{parameter}", said.get(row["rule"].removeprefix("DUO-"), ""))
