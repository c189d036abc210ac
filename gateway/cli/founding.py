"""The first people of a home: one institution and two operators, vouched for by whoever holds the machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gateway import accounts
from gateway.bootstrap import open_env
from gateway.cli.show import ask_password
from gateway.errors import BadInput
from gateway.settings import Settings

INSTITUTION = {"name", "place", "city", "kind", "control"}
OPERATOR = {"login", "name", "unit"}


def found_house(settings: Settings, path: Path | None, body: dict[str, Any]) -> str:
    """Enter them and record it; a home that has people stays as it is. Passwords are asked for, never in the file."""
    institution, operators = body.get("institution"), body.get("operators")
    if not isinstance(institution, dict) or set(institution) != INSTITUTION:
        raise BadInput(f"{path}: institution needs exactly {', '.join(sorted(INSTITUTION))}")
    if not isinstance(operators, list) or len(operators) < 2 or any(set(one) != OPERATOR for one in operators):
        raise BadInput(f"{path}: operators needs two people or more, each with {', '.join(sorted(OPERATOR))}")
    env, engine = open_env(settings)
    try:
        if env.uow.read(lambda tx: bool(tx.find("person"))):
            return "this home has its people already"
        founders = [
            accounts.NewPerson(**one, institution_id="", password=ask_password(one["login"], twice=True))
            for one in operators
        ]
        institution_id, people = accounts.found(env, institution=institution, founders=founders)
        env.ledger.sync()
    finally:
        engine.dispose()
    return f"institution {institution_id} with {len(people)} operators, recorded"
