"""What a table's recipe draws for each person: days of a date shift, a seed for noise, swaps and sampling.

Drawn from the person's own secret (never from a counter or a clock), so that a core view made anew is the same to the
byte and who lacks the custodian's vault knows none of it. One draw per dataset and view: two views of one person are
shifted apart, so that their dates do not join what was kept apart.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Mapping
from typing import Any

from deid.recipe import Recipe
from deid.shifts import days_of


def drawn_for(
    recipe: Recipe, permitted: Iterable[str], people: Mapping[str, Any], *, dataset: str, view: str
) -> dict[str, Any]:
    """``shifts`` (internal code -> days) and ``seeds`` (code -> hexadecimal) as far as the recipe asks for them."""
    secrets = {code: bytes.fromhex(people[code]["secret"]) for code in permitted} if _asks(recipe) else {}
    found: dict[str, Any] = {}
    if recipe.shifts:
        found["shifts"] = {code: days_of(_drawn(one, "days", dataset, view)) for code, one in secrets.items()}
    if recipe.draws:
        found["seeds"] = {code: _drawn(one, "seed", dataset, view).hex() for code, one in secrets.items()}
    return found


def _asks(recipe: Recipe) -> bool:
    return recipe.kind == "table" and (recipe.shifts or recipe.draws)


def _drawn(secret: bytes, what: str, dataset: str, view: str) -> bytes:
    return hmac.digest(secret, f"tongguan {what}\0{dataset}\0{view}".encode(), "sha256")
