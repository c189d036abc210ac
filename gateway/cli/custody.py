"""Commands of those who hold data: datasets, labels, consents, applications, grants, filings, institutions, people.

Each is one request to the gateway that ``tongguan login`` named, and so enters at the same functions as the API. A file
given to a command is YAML or JSON; ids are the ones that the lists print.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from gateway.cli.session import gateway
from gateway.cli.show import AsJson, decision_lines, read_yaml, show, table


def _group(help_: str) -> typer.Typer:
    return typer.Typer(no_args_is_help=True, help=help_)


dataset = _group("Point at a folder, see what it is, store it, label it.")
consent = _group("What participants permit.")
application = _group("What researchers ask for, and the answers of stewards.")
grant = _group("Who may fetch what, until when.")
filing = _group("Filings with the authorities.")


@dataset.command("scan")
def scan(folder: Path, as_json: AsJson = False) -> None:
    """What the files of a folder are, with checksums, proposed labels, tiers and recipes. Stores nothing."""
    found = gateway().post("/datasets/scan", {"root": str(folder.absolute())})
    proposals = {entry["path"]: entry for entry in found["proposals"]}
    rows = [
        {**entry, **proposals[entry["path"]], "grade": proposals[entry["path"]]["label"]["grade"]}
        for entry in found["files"]
    ]
    columns = ("path", "form", "samples", "grade", "tier", "recipe", "checksum")
    show(found, table(rows, columns), as_json=as_json)


@dataset.command("add")
def add(folder: Path, as_json: AsJson = False) -> None:
    """Store the dataset that the folder's manifest.yaml describes; a steward then confirms it."""
    added = gateway().post("/datasets", {"root": str(folder.absolute())})
    lines = [f"dataset {added['id']} is a draft; a steward confirms it: tongguan dataset confirm {added['id']}"]
    show(added, [*lines, *_views(added)], as_json=as_json)


@dataset.command("list")
def datasets(as_json: AsJson = False) -> None:
    """The datasets of my institution."""
    rows = gateway().get("/datasets")
    show(rows, table(rows, ("id", "slug", "state", "participants", "title")), as_json=as_json)


@dataset.command("show")
def dataset_show(dataset_id: str, as_json: AsJson = False) -> None:
    """One dataset with its views and their labels."""
    found = gateway().get(f"/datasets/{dataset_id}")
    lines = [f"{found['slug']}: {found['title']['en']}, {found['state']}, {found['people']} people", *_views(found)]
    show(found, lines, as_json=as_json)


@dataset.command("confirm")
def dataset_confirm(dataset_id: str) -> None:
    """Confirm a draft and the labels of its views; not by who added it."""
    gateway().post(f"/datasets/{dataset_id}/confirmation")
    print("confirmed")


@dataset.command("label")
def label(
    view_id: str,
    grade: Annotated[str | None, typer.Option(help="GB/T 43697 grade: G1 to G4, important, core.")] = None,
    level: Annotated[int | None, typer.Option(help="GB/T 39725 level, 1 to 5.")] = None,
    tier: Annotated[str | None, typer.Option(help="open, registered, controlled or enclave.")] = None,
    reason: Annotated[str, typer.Option(help="Why, in a sentence.")] = "",
    confirm: Annotated[bool, typer.Option("--confirm", help="Confirm what another person proposed.")] = False,
    as_json: AsJson = False,
) -> None:
    """Propose another label for a view, or confirm one. A fall needs a recipe and its measured report."""
    if confirm:
        found = gateway().post(f"/views/{view_id}/label/confirmation")
    else:
        body = {"grade": grade or "", "level": level or 0, "tier": tier or "", "reason": reason}
        found = gateway().post(f"/views/{view_id}/label", body)
    label_ = found["label"]
    line = f"{found['name']}: {label_['grade']}, level {label_['level']}, {found['tier']}, {found['state']}"
    show(found, [line], as_json=as_json)


@dataset.command("regrade")
def regrade(
    view_id: str,
    what: Annotated[str, typer.Option(help="growth, fusion, linkage, incident, authority-notice, ... (GB/T 43697).")],
    note: Annotated[str, typer.Option(help="Why; the one who confirms it reads this.")],
    with_view: Annotated[list[str] | None, typer.Option(help="fusion: another view of the same audience.")] = None,
    people_now: Annotated[int, typer.Option(help="growth: how many people it holds now.")] = 0,
    notified: Annotated[str, typer.Option(help="authority-notice: important or core.")] = "",
    as_json: AsJson = False,
) -> None:
    """Report what makes a label be looked at again; releases hold until a second person has confirmed it."""
    body = {"what": what, "note": note, "with_views": with_view or [], "people_now": people_now, "notified": notified}
    found = gateway().post(f"/views/{view_id}/regrading", body)
    show(found, [f"{found['name']}: {found['label']['grade']} is proposed; releases hold"], as_json=as_json)


@consent.command("withdraw")
def withdraw(dataset_id: str, participant: str, as_json: AsJson = False) -> None:
    """Take a participant out, by the hospital's own number; every copy that holds them dies."""
    gone = gateway().post(f"/datasets/{dataset_id}/withdrawals", {"participant": participant})
    lines = [
        f"withdrawn; {len(gone['stopped'])} releases stopped, {len(gone['contained_in'])} past releases hold the person"
    ]
    lines += [f"  stopped {each['release']}, its successor is {each['successor']}" for each in gone["stopped"]]
    lines += [f"  held in {each}" for each in gone["contained_in"]]
    show(gone, lines, as_json=as_json)


Under = Annotated[str | None, typer.Option(help="The delegation you act under, as a substitute.")]


@application.command("list")
def applications(as_json: AsJson = False) -> None:
    """Items I asked for, and items that ask for my institution's data."""
    rows = gateway().get("/applications")
    show(rows, table(rows, ("number", "id", "application_id", "state", "submitted_at")), as_json=as_json)


@application.command("show")
def application_show(application_id: str, as_json: AsJson = False) -> None:
    """One application, and for each item and view what the law says of it now."""
    server = gateway()
    found = server.get(f"/applications/{application_id}")
    found["decisions"] = {item["id"]: server.get(f"/items/{item['id']}/decision") for item in found["items"]}
    show(found, application_lines(found), as_json=as_json)


@application.command("approve")
def approve(item_id: str, under: Under = None, as_json: AsJson = False) -> None:
    """Approve an item to file; two people of different units, never the applicant."""
    item = gateway().post(f"/items/{item_id}/approvals", {"under": under})
    show(item, [f"the item is {item['state']}"], as_json=as_json)


ACTS = {
    "ask": "Ask the applicant something; the item goes back to them.",
    "hold": "Keep an item in review and say why.",
    "refuse": "Refuse an item and say why; it is closed.",
    "suspend": "Stop everything under an item at once; one person is enough.",
    "resume": "Let a suspended item go on; two people of different units, and what the law asks for stands.",
    "read-data-use": "Answer for what a rule cannot read of the data use permission; the note is the reason.",
    "submit": "Hand an item in again that was asked about.",
    "withdraw": "Take back one's own item before it is granted.",
    "close": "Close an item that is revoked or expired.",
}


def _add_act(name: str, says: str) -> None:
    def run(
        item_id: str,
        note: Annotated[str, typer.Option(help="What the other side is told, or the reason.")] = "",
        under: Under = None,
    ) -> None:
        done = gateway().post(f"/items/{item_id}/acts/{name}", {"note": note, "under": under})
        print(f"the item is {done['state']}")

    application.command(name, help=says)(run)


for _name, _says in ACTS.items():
    _add_act(_name, _says)


@application.command("delegate")
def delegate(
    item_id: str,
    to: Annotated[str, typer.Option(help="Login of the substitute: another person of your house.")],
    first_day: Annotated[datetime, typer.Option("--from", formats=["%Y-%m-%d"], help="First day.")],
    last_day: Annotated[datetime, typer.Option("--to-day", formats=["%Y-%m-%d"], help="Last day, included.")],
    role: Annotated[str, typer.Option(help="The role that is lent.")] = "steward",
    as_json: AsJson = False,
) -> None:
    """Lend your role for one item to a substitute, from a day to a day."""
    days = {"first_day": first_day.date().isoformat(), "last_day": last_day.date().isoformat()}
    found = gateway().post(f"/items/{item_id}/delegations", {"to": to, "role": role, **days})
    show(found, [f"delegation {found['id']}: {found['role']} until {found['last_day']}"], as_json=as_json)


@application.command("delegations")
def delegations(as_json: AsJson = False) -> None:
    """Delegations you gave, and those given to you."""
    rows = gateway().get("/delegations")
    show(rows, table(rows, ("id", "item_id", "role", "first_day", "last_day", "state")), as_json=as_json)


@application.command("end-delegation")
def end_delegation(delegation_id: str) -> None:
    """Take a delegation back, at once."""
    gateway().delete(f"/delegations/{delegation_id}")
    print("ended")


@application.command("package")
def package(item_id: str, as_json: AsJson = False) -> None:
    """Prepare, measure and freeze what would leave, so that exactly this is filed."""
    frozen = gateway().post(f"/items/{item_id}/package")
    lines = [f"package {frozen['digest']}: {frozen['people']} people"]
    lines += [f"  {file['name']}  {file['bytes']} bytes" for part in frozen["parts"] for file in part["files"]]
    show(frozen, lines, as_json=as_json)


@application.command("grant")
def issue(
    item_id: str,
    valid_from: Annotated[datetime, typer.Option("--from", help="First instant.")],
    valid_to: Annotated[datetime, typer.Option("--to", help="Last instant.")],
    releases: Annotated[int, typer.Option(help="How many releases.")],
    encryption_key: Annotated[str, typer.Option(help="Id of the applicant's encryption key.")],
    signing_key: Annotated[str, typer.Option(help="Id of the applicant's signing key.")],
    as_json: AsJson = False,
) -> None:
    """Issue the grant once the package is filed. Times without a zone are this machine's."""
    body = {
        "valid_from": valid_from.astimezone().isoformat(),
        "valid_to": valid_to.astimezone().isoformat(),
        "releases": releases,
        "encryption_key_id": encryption_key,
        "signing_key_id": signing_key,
    }
    found = gateway().post(f"/items/{item_id}/grant", body)
    show(found, [f"grant {found['id']} until {found['valid_to']}"], as_json=as_json)


@grant.command("list")
def grants(as_json: AsJson = False) -> None:
    """Grants to me, or over my institution's data."""
    rows = gateway().get("/grants")
    show(rows, table(rows, ("id", "item_id", "state", "valid_from", "valid_to")), as_json=as_json)


@grant.command("revoke")
def revoke(grant_id: str, as_json: AsJson = False) -> None:
    """End a grant; every copy under it dies within a second."""
    found = gateway().post(f"/grants/{grant_id}/revocation")
    show(found, [f"revoked; {len(found['stopped'])} releases stopped"], as_json=as_json)


@filing.command("add")
def filing_add(file: Path, as_json: AsJson = False) -> None:
    """Record a filing: {kind, number, dataset_id, recipient_id, terms: {accepted_on, ...}}."""
    found = gateway().post("/filings", read_yaml(file))
    show(found, [f"filing {found['id']}"], as_json=as_json)


@filing.command("list")
def filings(as_json: AsJson = False) -> None:
    """The filings of my institution."""
    rows = gateway().get("/filings")
    show(rows, table(rows, ("id", "kind", "number", "state", "dataset_id")), as_json=as_json)


@filing.command("reassign")
def reassign(holder: str, to: str) -> None:
    """Hand every backup of one holder to another report filer of the house (委托调整)."""
    done = gateway().post("/filings/reassignments", {"holder_id": holder, "to_id": to})
    print(f"{len(done['filings'])} backups handed on")


@filing.command("withdraw")
def filing_withdraw(filing_id: str) -> None:
    """Mark a filing as no longer standing."""
    gateway().delete(f"/filings/{filing_id}")
    print("withdrawn")


def application_lines(found: dict[str, Any]) -> list[str]:
    """An application as a person reads it."""
    shown = found["application"]
    lines = [f"application {shown['number']} ({shown['id']})"]
    for item in found["items"]:
        lines.append(f"item {item['id']}: {item['state']}, {len(item['approvals'])} approvals")
        for view_id, decision in found["decisions"].get(item["id"], {}).items():
            first, *rest = decision_lines(decision)
            lines += [f"view {view_id}: {first}", *rest]
    return lines


def _views(found: dict[str, Any]) -> list[str]:
    rows = [{**view, "grade": view["label"]["grade"], "level": view["label"]["level"]} for view in found["views"]]
    return table(rows, ("id", "name", "kind", "tier", "grade", "level", "state"))
