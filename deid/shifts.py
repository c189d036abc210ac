"""Days of a date shift from drawn bytes: one rule for the gateway and for a table de-identified on its own."""

from __future__ import annotations

LONGEST_SHIFT = 182
"""Days, either way; 0 is never drawn: everybody's dates move."""


def days_of(drawn: bytes) -> int:
    """-182 to 182 without 0 from at least eight secret bytes; the bias of the remainder is below 2**-54."""
    number = int.from_bytes(drawn[:8], "big") % (2 * LONGEST_SHIFT)
    return number - LONGEST_SHIFT + (number >= LONGEST_SHIFT)
