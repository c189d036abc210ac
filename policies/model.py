"""Nouns of the law that more than one rule speaks about. Frozen, keyword-only; no rule is in here.

Institutions, datasets and grants live as rows of the gateway until a pure rule needs one of them as a noun.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """What a view, an object or a column is, and why.

    ``grade``: GB/T 43697 (G1 to G4, important, core); ``candidate``: may be important data, a question for the
    data-security officer; ``level``: GB/T 39725 (1 to 5); ``identifiability``: GB/T 42460 (L1 identifies most);
    ``hgr``: sub-types of HGR information, none where it is none. Legal sense: 数据分类分级, 敏感个人信息.
    """

    grade: str
    level: int
    identifiability: str
    tier: str
    sensitive: bool
    hgr: tuple[str, ...] = ()
    candidate: bool = False
    reasons: tuple[str, ...] = ()

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> Label:
        """From what ``to_json`` wrote. Raises KeyError where a part is missing."""
        return cls(
            grade=kept["grade"],
            level=kept["level"],
            identifiability=kept["identifiability"],
            tier=kept["tier"],
            sensitive=kept["sensitive"],
            hgr=tuple(code for code in kept["hgr"].split(";") if code),
            candidate=kept["candidate"],
            reasons=tuple(reason for reason in kept["reason"].split("; ") if reason),
        )

    def to_json(self) -> dict[str, Any]:
        """As the gateway keeps a label: one text each for HGR sub-types and for the reasons."""
        return {
            "grade": self.grade,
            "level": self.level,
            "identifiability": self.identifiability,
            "tier": self.tier,
            "sensitive": self.sensitive,
            "hgr": ";".join(self.hgr),
            "candidate": self.candidate,
            "reason": "; ".join(self.reasons),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """One account with its roles. Accounts of one natural person share ``natural_person``; None means nobody checked.

    ``institution`` and ``unit`` are where the person works. Legal sense: 自然人.
    """

    account: str
    institution: str
    unit: str
    roles: frozenset[str] = frozenset()
    natural_person: str | None = None

    def same_as(self, other: Person) -> bool:
        """Whether both accounts are known to be one natural person."""
        same_body = self.natural_person is not None and self.natural_person == other.natural_person
        return self.account == other.account or same_body


@dataclass(frozen=True, slots=True, kw_only=True)
class Delegation:
    """One person's role lent to a substitute, from a day to a day, both included. Legal sense: 委托, 代理人."""

    giver: Person
    to: Person
    role: str
    first_day: date
    last_day: date
    revoked: bool = False

    def holds(self, on: date) -> bool:
        """True on the first and on the last day, unless revoked."""
        return not self.revoked and self.first_day <= on <= self.last_day
