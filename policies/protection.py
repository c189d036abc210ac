"""Which of two labels protects more: grade (GB/T 43697), health level (GB/T 39725), tier and recipe kind.

A label falls when any of its parts protects less than before, whatever the others do; an unknown word protects most, so
that leaving it for a known one is a fall and going to it never is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

GRADES = ("G1", "G2", "G3", "G4", "important", "core")
TIERS = ("open", "registered", "controlled", "enclave")
LEVELS = (1, 2, 3, 4, 5)
NEVER_WIDER = frozenset({"vcf", "reads", "fastq", "matrix"})
"""Kinds whose rows are people's genomes: never through the open or registered door (ARCHITECTURE section 6)."""

_PARTS: Mapping[str, Sequence[object]] = {"grade": GRADES, "level": LEVELS, "tier": TIERS}


def falls(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[str, ...]:
    """The parts of the label that would protect less."""
    return tuple(part for part, order in _PARTS.items() if _rank(order, new.get(part)) < _rank(order, old.get(part)))


def _rank(order: Sequence[object], word: object) -> int:
    return order.index(word) if word in order else len(order)
