"""Masking: all but the first characters are hidden.

GB/T 37964-2019, Annex A: suppression, masking (屏蔽).
"""

from __future__ import annotations


def mask(value: str, keep: int, character: str) -> str:
    """The first ``keep`` characters, then three of the mask: the length of a name or a number tells people apart."""
    return value[:keep] + character * 3
