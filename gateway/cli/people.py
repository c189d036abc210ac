"""Commands of operators: institutions, who controls them, people and their roles."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from gateway.cli.session import gateway
from gateway.cli.show import AsJson, ask_password, read_yaml, show, table

institution = typer.Typer(no_args_is_help=True, help="Institutions, proposed by one operator and confirmed by another.")
person = typer.Typer(
    no_args_is_help=True, help="People and their roles, proposed by one operator and confirmed by another."
)


@institution.command("add")
def institution_add(file: Path, as_json: AsJson = False) -> None:
    """Propose an institution: {name, place, city, kind, control}."""
    _proposed("institution", gateway().post("/institutions", read_yaml(file)), as_json=as_json)


@institution.command("list")
def institutions(as_json: AsJson = False) -> None:
    """The institutions known here."""
    rows = gateway().get("/institutions")
    show(rows, table(rows, ("id", "name", "place", "city", "kind", "state")), as_json=as_json)


@institution.command("confirm")
def institution_confirm(row_id: str) -> None:
    """Confirm an institution that another operator proposed."""
    _confirm("institution", row_id)


@institution.command("changed")
def institution_changed(institution_id: str) -> None:
    """Report that an institution changed hands: every release to it holds at once."""
    gateway().post(f"/institutions/{institution_id}/control-change")
    print("held until its control is stated anew and confirmed")


@institution.command("control")
def institution_control(institution_id: str, file: Path) -> None:
    """State from a file who controls an institution now: {owners: [{share, place}], restricted}."""
    gateway().ask("PUT", f"/institutions/{institution_id}/control", read_yaml(file))
    print(f"a second operator confirms: tongguan institution confirm {institution_id}")


@person.command("add")
def person_add(
    login: str,
    institution_id: Annotated[str, typer.Option("--institution", help="Id of the institution.")],
    unit: Annotated[str, typer.Option(help="The unit they work in.")],
    name: Annotated[str, typer.Option(help="Their name; it stays in this home.")],
    foreign: Annotated[str, typer.Option(help="Foreign individual: yes, no or unknown.")] = "unknown",
    identity_document: Annotated[str | None, typer.Option(help="Hashed under a key; never stored.")] = None,
    as_json: AsJson = False,
) -> None:
    """Propose a person with a local account; their first password is asked for."""
    password = ask_password(login, twice=True)
    body = {"login": login, "name": name, "institution_id": institution_id, "unit": unit, "password": password}
    more = {"foreign_individual": foreign, "identity_document": identity_document}
    _proposed("person", gateway().post("/people", {**body, **more}), as_json=as_json)


@person.command("role")
def role_add(person_id: str, role: str, unit: Annotated[str, typer.Option()], as_json: AsJson = False) -> None:
    """Propose a role for a person: researcher, steward, report-filer, custodian, auditor or operator."""
    _proposed("role", gateway().post("/roles", {"person_id": person_id, "role": role, "unit": unit}), as_json=as_json)


@person.command("list")
def people(as_json: AsJson = False) -> None:
    """People and their roles."""
    rows = gateway().get("/people")
    flat = [{**row, "roles": [role["role"] for role in row["roles"]]} for row in rows]
    show(rows, table(flat, ("id", "login", "unit", "roles", "state")), as_json=as_json)


@person.command("confirm")
def person_confirm(
    row_id: str, role: Annotated[bool, typer.Option("--role", help="The id is a role's.")] = False
) -> None:
    """Confirm a person, or a role, that another operator proposed."""
    _confirm("role" if role else "person", row_id)


@person.command("end-role")
def end_role(role_id: str) -> None:
    """Take a role away; one operator is enough to restrict."""
    gateway().delete(f"/roles/{role_id}")
    print("ended")


def _proposed(kind: str, found: dict[str, Any], *, as_json: bool) -> None:
    show(found, [f"{kind} {found['id']} is proposed; another operator confirms it"], as_json=as_json)


def _confirm(kind: str, row_id: str) -> None:
    gateway().post(f"/confirmations/{kind}/{row_id}")
    print("confirmed")
