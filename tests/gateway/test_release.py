"""The one path of a release: what kills it, what stops it, what it must never do."""

from __future__ import annotations

import signal
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from gateway import applications, filings, handover, revocation
from gateway.errors import Conflict, Gone, LedgerUnavailable, NotAllowed, Unavailable
from gateway.ledger.files import DiskLogFiles
from gateway.release import advance, request_release
from gateway.revocation import shred_leftovers
from gateway.transform import view_identity
from policies.consent import set_digest
from tests.world import World, make_world, reopened

POINTS = [
    f"{side}-{state}"
    for state in ("requested", "decided", "prepared", "sealed", "recorded")
    for side in ("before", "after")
]
BARRIER = "between-seal-and-record"


def ask(world: World, who: str = "researcher") -> str:
    row = request_release(world.env, world.people[who], item_id=world.ids["item"], view_id=world.views["variants"])
    return str(row["id"])


def rules(row: dict[str, Any]) -> set[str]:
    return {reason["rule"] for reason in row["decision"]["reasons"]}


def test_inv01_nothing_leaves_unrecorded(any_world: World) -> None:
    """Invariant 1: the event is in the published log before the copy is available."""
    released = any_world.release(any_world.ids["item"])
    assert released["state"] == "available"
    opened = any_world.entries("release.open")
    assert len(opened) == 1
    assert opened[0]["position"] is not None
    assert opened[0]["position"] < any_world.env.ledger.facts().size
    assert opened[0]["entry_id"] == released["opened_entry"]


SLOW_POINTS = [pytest.param(point, marks=pytest.mark.slow) for point in POINTS if point.startswith("after")]
"""Nearly the same instants as the next state's "before"; left to the slow tier."""


@pytest.mark.parametrize("point", [*(p for p in POINTS if p.startswith("before")), BARRIER, "core-made", *SLOW_POINTS])
def test_killed_at_any_point_it_ends_once_with_one_event(any_world: World, point: str) -> None:
    world = any_world
    if point == "core-made":
        core = world.env.uow.read(lambda tx: tx.find("core_view"))[0]
        world.env.uow.run(lambda tx: tx.update("core_view", core["id"], state="shredded"))
    release_id = ask(world)
    arguments = [str(world.settings.home), world.settings.database_url, release_id, point]
    died = subprocess.run([sys.executable, "-m", "tests.gateway.crash_child", *arguments], check=False, timeout=100)
    assert died.returncode == -signal.SIGKILL
    between = world.row("release", release_id)
    assert between["state"] != "available" or point == "after-recorded"
    after = reopened(world)
    shred_leftovers(after.env)
    row = advance(after.env, release_id)
    assert (row["state"], row["outcome"]) == ("available", "permit")
    assert len(after.entries("release.open")) == 1
    assert after.opened(dict(row)).startswith(b"\x1f\x8b")


def withdraw(world: World) -> None:
    revocation.withdraw_participant(
        world.env, world.people["custodian"], dataset_id=world.ids["dataset"], source_id="HOSP0003"
    )


def revoke(world: World) -> None:
    revocation.revoke_grant(world.env, world.people["steward"], world.ids[f"grant:{world.ids['item']}"])


def expire(world: World) -> None:
    world.clock.moved = timedelta(days=400)


def unfile(world: World) -> None:
    filings.withdraw_filing(world.env, world.people["filer"], world.ids["filing:prior-report:researcher"])


@pytest.mark.parametrize(
    ("act", "end"),
    [(withdraw, "available"), (revoke, "refused"), (expire, "refused"), (unfile, "refused")],
    ids=["withdraw", "revoke", "expire", "change a filing"],
)
def test_inv02_a_change_between_seal_and_record_leaves_no_event_and_no_byte(
    any_world: World, act: Any, end: str
) -> None:
    """Invariant 2: the decision holds at the instant of recording."""
    done: list[str] = []
    seen: list[int] = []

    def reached(point: str) -> None:
        if point == BARRIER and not done:
            done.append(point)
            act(world)
            seen.append(len(world.entries("release.open")))

    world = reopened(any_world, reached=reached)
    first = ask(world)
    copies_before = {row["id"] for row in world.env.uow.read(lambda tx: tx.find("copy"))}
    row = advance(world.env, first)
    assert seen == [0]
    assert row["state"] == end
    sealed_then = [r for r in world.env.uow.read(lambda tx: tx.find("copy")) if r["id"] not in copies_before]
    killed = [copy for copy in sealed_then if copy["state"] == "killed"]
    assert killed, "the copy sealed before the change must be dead"
    for copy in killed:
        for entry in copy["files"]:
            assert not list((world.settings.home / "copies").glob(f"{entry['stored']}*"))
    if end == "refused":
        assert not world.entries("release.open")
        with pytest.raises((Conflict, NotAllowed)):
            handover.list_files(world.env, world.people["researcher"], first)
    else:
        members = world.env.uow.read(lambda tx: tx.find("core_member", core_view_id=row["core_view_id"]))
        assert len(members) == 39, "started again without the person who withdrew"


TAMPERED = [
    ("access_grant", "update access_grant set valid_to='2099-01-01T00:00:00.000000Z'"),
    ("approval", "update approval set unit='invented'"),
    ("consent", "update consent set terms=replace(cast(terms as text), '2025-01-02', '2024-01-02')"),
    ("view", "update view set tier='registered'"),
    ("filing", "update filing set number='R-999'"),
    ("role", "update role set role='steward' where role='researcher'"),
    ("institution", "update institution set place='mainland'"),
    ("item", "update item set state='granted '"),
]


@pytest.mark.parametrize(("table", "statement"), TAMPERED, ids=[table for table, _ in TAMPERED])
def test_inv15_a_row_changed_behind_the_gateway_refuses_and_is_named(
    any_world: World, table: str, statement: str
) -> None:
    """Invariant 15: facts that decisions rely on equal their ledger leaves."""
    world = any_world
    if world.settings.database_url and table == "consent":
        statement = "update consent set terms=replace(terms::text, '2025-01-02', '2024-01-02')::json"
    if world.settings.database_url:
        statement = statement.replace("update view ", 'update "view" ').replace("update role ", 'update "role" ')
    engine = world.env.uow.engine  # type: ignore[attr-defined]
    with engine.connect() as connection, connection.begin():
        connection.execute(text(statement))
    row = world.release(world.ids["item"])
    assert (row["state"], row["outcome"]) == ("refused", "deny")
    assert "GW-02" in rules(row)
    assert f"{table}:" in row["trouble"]
    assert not world.entries("release.open")
    assert len(world.entries("release.refuse")) == 1


def test_inv15_a_row_put_back_to_an_older_version_is_found(world: World) -> None:
    grant_id = world.ids[f"grant:{world.ids['item']}"]
    old = world.row("access_grant", grant_id)
    revoke(world)
    world.env.ledger.sync()
    world.env.uow.run(lambda tx: tx.update("access_grant", grant_id, **{k: old[k] for k in old if k != "id"}))
    row = world.release(world.ids["item"])
    assert "GW-02" in rules(row)
    assert f"access_grant:{grant_id}" in row["trouble"]


def test_inv15_a_deleted_row_is_missed(world: World) -> None:
    engine = world.env.uow.engine  # type: ignore[attr-defined]
    filing = world.ids["filing:pia:researcher"]
    with engine.connect() as connection, connection.begin():
        connection.execute(text("delete from filing where id = :id"), {"id": filing})
    row = world.release(world.ids["item"])
    assert "GW-02" in rules(row)
    assert f"filing:{filing}" in row["trouble"]


def test_inv12_two_recipients_share_nothing(world: World) -> None:
    """Invariant 12: names, order, ids, ETags and bytes are disjoint between recipients of the same view."""
    first = world.release(world.ids["item"])
    second = world.release(world.granted("rival"), who="rival")
    plain = [world.opened(first), world.opened(second, who="rival")]
    import gzip

    names = [_header(gzip.decompress(data).decode()) for data in plain]
    assert first["core_view_id"] == second["core_view_id"]
    assert not set(names[0]) & set(names[1])
    assert len(names[0]) == len(names[1]) == 40
    copies = [world.row("copy", row["copy_id"]) for row in (first, second)]
    assert copies[0]["id"] != copies[1]["id"]
    assert copies[0]["files"][0]["etag"] != copies[1]["files"][0]["etag"]
    rank = [_columns_by_genotype(gzip.decompress(data).decode()) for data in plain]
    assert sorted(rank[0]) == sorted(rank[1])
    assert rank[0] != rank[1], "the order of people must differ between recipients"


def test_inv11_the_same_project_gets_the_same_bytes_before_sealing(world: World) -> None:
    """Invariant 11."""
    one, two = world.release(world.ids["item"]), world.release(world.ids["item"])
    assert world.opened(one) == world.opened(two)
    assert (
        world.row("copy", one["copy_id"])["files"][0]["etag"] != world.row("copy", two["copy_id"])["files"][0]["etag"]
    )


@pytest.mark.parametrize("part", ["dataset", "content", "view", "recipe", "permitted"])
def test_every_part_of_a_view_counts_in_its_identity(part: str) -> None:
    whole = dict.fromkeys(("dataset", "content", "view", "recipe", "permitted"), "same")
    assert view_identity(whole) != view_identity({**whole, part: "other"})


def test_inv03_unknown_holds_and_a_purpose_outside_consent_is_denied(world: World) -> None:
    """Invariants 3 and 5: every missing thing is named, with its law and remedy in three languages."""
    held = world.release(world.apply())
    assert held["outcome"] == "hold"
    assert rules(held) == {"GW-08", "GW-10", "HGR-10"}, (
        "filings of the granted item stand, the report is for its package"
    )
    for reason in held["decision"]["reasons"]:
        assert reason["cite"]
        assert set(reason["title"]) == set(reason["remedy"]) == {"en", "zh-Hans", "zh-Hant"}
    denied = world.release(world.apply(commercial=True))
    assert denied["outcome"] == "deny"
    assert "PI-09" in rules(denied)
    assert len(world.entries("release.refuse")) == 2


def test_raw_data_through_the_controlled_door_is_denied_by_tier(world: World) -> None:
    row = world.release(world.apply(views=("raw",)), view="raw")
    assert row["outcome"] == "deny"
    assert "DEI-01" in rules(row)


def test_a_foreign_controlled_company_without_a_report_is_held(world: World) -> None:
    row = world.release(world.apply("firm"), who="firm")
    assert row["outcome"] == "hold"
    assert {"HGR-10"} <= rules(row)


def test_inv08_who_asks_never_approves_and_units_differ(world: World) -> None:
    """Invariant 8; each refused act is a recorded fact of the workflow."""
    item = world.apply()
    for who, rule in (("researcher", "GW-20"), ("filer", "GW-23")):
        with pytest.raises(NotAllowed) as refused:
            applications.approve(world.env, world.people[who], item)
        assert refused.value.rules[0] == rule
    applications.approve(world.env, world.people["steward"], item)
    for who, rule in (("steward", "GW-21"), ("same.unit", "GW-22")):
        with pytest.raises(NotAllowed) as refused:
            applications.approve(world.env, world.people[who], item)
        assert refused.value.rules == (rule,)
    assert len(world.entries("act.refuse")) == 4
    assert world.row("item", item)["state"] == "submitted"


def test_inv08_an_investigator_of_the_dataset_does_not_approve(world: World) -> None:
    item, dataset = world.apply(), world.ids["dataset"]
    manifest = {**world.row("dataset", dataset)["manifest"], "investigators": ["steward", "no.account"]}
    world.env.uow.run(lambda tx: tx.update("dataset", dataset, manifest=manifest))
    with pytest.raises(NotAllowed) as refused:
        applications.approve(world.env, world.people["steward"], item)
    assert refused.value.rules == ("GW-26",)


def test_inv09_withdrawal_kills_every_artefact_that_holds_the_person(world: World) -> None:
    """Invariant 9: resume answers gone with the successor, which leaves the person out; the past is listed."""
    released = world.release(world.ids["item"])
    name = handover.list_files(world.env, world.people["researcher"], released["id"])[0]["name"]
    answer = revocation.withdraw_participant(
        world.env, world.people["custodian"], dataset_id=world.ids["dataset"], source_id="HOSP0003"
    )
    assert answer["contained_in"] == [released["id"]]
    with pytest.raises(Gone) as gone:
        handover.open_file(world.env, world.people["researcher"], released["id"], name)
    row = advance(world.env, gone.value.successor or "")
    members = world.env.uow.read(lambda tx: tx.find("core_member", core_view_id=row["core_view_id"]))
    assert row["state"] == "available"
    assert answer["participant"] not in {member["participant_id"] for member in members}
    assert not list((world.settings.home / "copies").glob(f"{released['copy_id']}*"))
    assert not (world.settings.home / "staging" / released["core_view_id"]).exists()


def test_inv16_every_opened_event_closes(world: World) -> None:
    """Invariant 16: complete, revoked, superseded and expired each write one closing entry."""
    ends = []
    first = world.release(world.ids["item"])
    entry = handover.list_files(world.env, world.people["researcher"], first["id"])[0]
    opened = handover.open_file(world.env, world.people["researcher"], first["id"], entry["name"])
    handover.charge(world.env, opened, start=0, end=entry["size"])
    handover.settle(world.env, opened, sent=(0, entry["size"]))
    ends.append(world.row("release", first["id"])["state"])
    second = world.release(world.ids["item"])
    world.clock.moved = timedelta(days=20)
    assert handover.close_expired(world.env) == 2
    ends.append(world.row("release", second["id"])["state"])
    assert ends == ["closed", "closed"]
    assert len(world.entries("release.close")) == 2
    assert len(world.entries("release.open")) == 2


def test_a_ledger_that_cannot_write_lets_nothing_leave_and_later_the_same_request_succeeds_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    release_id = ask(world)
    real = DiskLogFiles.write

    def broken(self: DiskLogFiles, path: str, data: bytes) -> None:
        if path == "checkpoint" and world.row("release", release_id)["state"] == "recorded":
            raise Unavailable("the disk is full")
        real(self, path, data)

    monkeypatch.setattr(DiskLogFiles, "write", broken)
    with pytest.raises(Unavailable):
        advance(world.env, release_id)
    assert world.row("release", release_id)["state"] == "recorded"
    with pytest.raises(Conflict):
        handover.list_files(world.env, world.people["researcher"], release_id)
    monkeypatch.setattr(DiskLogFiles, "write", real)
    assert advance(world.env, release_id)["state"] == "available"
    assert len(world.entries("release.open")) == 1


def test_inv01_a_ledger_that_is_behind_lets_nothing_leave(world: World) -> None:
    """Invariant 1: a sequencer that answers without having published our entry is no confirmation."""

    class Behind:
        def __init__(self, ledger: Any) -> None:
            self._ledger, self.size = ledger, ledger.sync()

        def __getattr__(self, name: str) -> Any:
            return getattr(self._ledger, name)

        def sync(self) -> int:
            self._ledger.sync()
            return int(self.size)

        confirm = sync

    release = ask(world)
    behind = replace(world.env, ledger=Behind(world.env.ledger))
    with pytest.raises(LedgerUnavailable):
        advance(behind, release)
    assert world.row("release", release)["state"] == "recorded"
    assert advance(world.env, release)["state"] == "available"


def test_a_clock_before_the_last_entry_refuses(world: World) -> None:
    world.clock.moved = -timedelta(days=1)
    with pytest.raises(Unavailable, match="clock"):
        world.release(world.ids["item"])


def test_a_quota_of_one_is_spent_once(world: World) -> None:
    item = world.granted(releases=1)
    assert world.release(item)["state"] == "available"
    second = world.release(item)
    assert second["outcome"] == "hold"
    assert "GW-14" in rules(second)


def test_a_source_that_changed_since_registration_holds_and_leaves_nothing(world: World, sqlite_house: World) -> None:
    source = sqlite_house.settings.home.parent / "source" / "cohort.vcf"
    before = source.read_bytes()
    core = world.env.uow.read(lambda tx: tx.find("core_view"))[0]
    world.env.uow.run(lambda tx: tx.update("core_view", core["id"], state="shredded"))
    try:
        source.write_bytes(before.replace(b"0/1", b"1/1", 1))
        row = world.release(world.ids["item"])
    finally:
        source.write_bytes(before)
    assert row["outcome"] == "hold"
    assert rules(row) == {"GW-03"}
    assert "cohort.vcf" in row["trouble"]


def test_inv18_no_identifier_stands_in_ledger_or_payloads(world: World) -> None:
    """Invariant 18, for the ledger: no hospital number, sample name or purpose text in clear."""
    world.release(world.ids["item"])
    for entry in world.entries():
        body = bytes(entry["body"])
        assert b"HOSP00" not in body
        assert b"Victoria" not in body
        assert b"penetrance" not in body
        assert len(body) in {1024 << n for n in range(6)}


def test_the_permitted_set_is_what_the_consents_say(world: World) -> None:
    row = world.release(world.ids["item"])
    members = world.env.uow.read(lambda tx: tx.find("core_member", core_view_id=row["core_view_id"]))
    people = world.env.uow.read(lambda tx: tx.find("participant", dataset_id=world.ids["dataset"]))
    assert {m["participant_id"] for m in members} == {p["id"] for p in people}
    assert set_digest([p["id"] for p in people]) == set_digest([m["participant_id"] for m in members])


def _header(plain: str) -> list[str]:
    return next(line for line in plain.splitlines() if line.startswith("#CHROM")).split("\t")[9:]


def _columns_by_genotype(plain: str) -> list[str]:
    rows = [line.split("\t")[9:] for line in plain.splitlines() if not line.startswith("#")]
    return ["|".join(column) for column in zip(*rows, strict=True)]


def test_an_event_names_the_filings_of_its_own_recipient_and_of_no_other(tmp_path: Path) -> None:
    world = make_world(tmp_path)
    for who in ("researcher", "rival"):
        released = world.release(world.granted(who), who=who)
        told = world.env.uow.read(
            lambda tx, released=released: tx.find("disclosure", entry_id=released["opened_entry"], field="filings")
        )
        rows = world.env.uow.read(lambda tx: tx.find("filing", state="recorded"))
        own = [row for row in rows if row["recipient_id"] in (None, world.people[who].institution_id)]
        named = [(filing["kind"], filing["number"]) for filing in told[0]["value"]]
        assert sorted(named) == sorted((row["kind"], row["number"]) for row in own)
    agreements = world.env.uow.read(lambda tx: tx.find("filing", kind="dua", state="recorded"))
    assert len(agreements) == 2, "each recipient has an agreement of its own"
