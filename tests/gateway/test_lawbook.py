"""Which rules judge: activated by two people, signed for by name, recorded, and seen by the next decision."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import text

from gateway import applications, lawbook, lawbook_changes
from gateway.env import Env
from gateway.errors import BadInput, Conflict, NotAllowed
from gateway.record import put_fact
from gateway.verifier.verify import verify_log
from policies.decide import load_policy
from tests.world import World, make_world


@pytest.fixture
def world(tmp_path: Path) -> World:
    return make_world(tmp_path)


def real(world: World) -> World:
    """The same house as a real home: no demo's leave to judge by rules that nobody activated."""
    world.env = replace(world.env, demo=False)
    return world


def reasons(world: World, item: str) -> set[str]:
    (answer,) = applications.preview(world.env, world.people["researcher"], item).values()
    return {reason["rule"] for reason in answer["reasons"]}


def activate(world: World, *packs: str) -> str:
    row = lawbook.propose_activation(world.env, world.people["operator"], packs)
    lawbook.confirm_activation(world.env, world.people["steward"], row["id"])
    world.env.ledger.sync()
    return str(row["id"])


def sign_all(world: World, *packs: str) -> None:
    for rule in load_policy(frozenset(packs)).unread():
        lawbook.sign_off(world.env, world.people["steward"], rule.rule, reason="read by counsel, 2026-03", packs=packs)


def test_a_real_home_holds_everything_until_two_people_activated_its_rules(world: World) -> None:
    item = real(world).apply()
    assert "GW-40" in reasons(world, item)
    sign_all(world)
    activate(world)
    assert "GW-40" not in reasons(world, item)


def test_nobody_activates_alone_and_researchers_not_at_all(world: World) -> None:
    row = lawbook.propose_activation(world.env, world.people["operator"], ())
    with pytest.raises(NotAllowed, match="second person"):
        lawbook.confirm_activation(world.env, world.people["operator"], row["id"])
    for act in (lambda: lawbook.propose_activation(world.env, world.people["researcher"], ()),
                lambda: lawbook.confirm_activation(world.env, world.people["researcher"], row["id"]),
                lambda: lawbook.sign_off(world.env, world.people["operator"], "HGR-17", reason="mine")):  # fmt: skip
        with pytest.raises(NotAllowed):
            act()
    lawbook.confirm_activation(world.env, world.people["steward"], row["id"])
    with pytest.raises(Conflict, match="active, not proposed"):
        lawbook.confirm_activation(world.env, world.people["other.steward"], row["id"])


def test_a_real_home_activates_nothing_while_an_unread_rule_has_no_name(world: World) -> None:
    row = lawbook.propose_activation(real(world).env, world.people["operator"], ())
    unread = [rule.rule for rule in load_policy().unread()]
    for left, rule in zip(range(len(unread), 0, -1), unread, strict=True):
        with pytest.raises(NotAllowed, match=f"for {left} unread rules"):
            lawbook.confirm_activation(world.env, world.people["steward"], row["id"])
        lawbook.sign_off(world.env, world.people["steward"], rule, reason="read by counsel")
    assert lawbook.confirm_activation(world.env, world.people["steward"], row["id"])["state"] == "active"


def test_a_sign_off_is_for_one_wording_of_an_unread_rule(world: World) -> None:
    read = next(rule.rule for rule in load_policy().rules.values() if rule.text_read)
    with pytest.raises(Conflict, match="was read"):
        lawbook.sign_off(world.env, world.people["steward"], read, reason="why not")
    unread = load_policy().unread()[0].rule
    with pytest.raises(BadInput, match="rests on"):
        lawbook.sign_off(world.env, world.people["steward"], unread, reason="  ")
    lawbook.sign_off(world.env, world.people["steward"], unread, reason="read")

    def missing(digest: str) -> bool:
        rows = world.env.uow.read(lambda tx: tx.find("policy_sign_off"))
        assert len(rows) == 1
        world.env.uow.run(lambda tx: tx.update("policy_sign_off", rows[0]["id"], digest=digest))
        return unread in world.env.uow.read(lambda tx: lawbook.unsigned(tx, load_policy()))

    assert not missing(load_policy().rules[unread].digest)
    assert missing("another wording")


def test_a_pack_binds_from_its_activation_on_and_the_version_is_in_the_event(world: World) -> None:
    item = world.granted()
    before = world.release(item)
    activate(world, "trusted-institutions")
    after = world.release(item)
    versions = [row["decision"]["policy_version"] for row in (before, after)]
    assert versions == [load_policy().version, load_policy(frozenset({"trusted-institutions"})).version]
    assert {row["state"] for row in world.env.uow.read(lambda tx: tx.find("policy_activation"))} == {"active"}
    activate(world)
    assert world.release(item)["decision"]["policy_version"] == versions[0]
    assert verify_log(world.settings.home / "ledger", key=None).state == "proven"


def test_an_unknown_pack_is_refused_and_one_that_the_software_lost_holds(world: World) -> None:
    with pytest.raises(BadInput, match="no pack made-up"):
        lawbook.propose_activation(world.env, world.people["operator"], ("made-up",))
    activate(world, "trusted-institutions")
    item = world.apply()
    assert "GW-40" not in reasons(world, item)
    world.env = replace(world.env, policies=_without_packs)
    assert "GW-40" in reasons(world, item)


def _without_packs(packs: frozenset[str]) -> object:
    """The same software with its optional packs taken out."""
    if packs:
        load_policy(frozenset({"gone"}))
    return load_policy()


def test_new_software_holds_until_its_rules_are_activated(world: World) -> None:
    activate(world)
    item = world.apply()
    assert "GW-40" not in reasons(world, item)
    newer = load_policy(frozenset({"trusted-institutions"}))
    world.env = replace(world.env, policies=lambda _packs: newer)
    assert "GW-40" in reasons(world, item)
    with pytest.raises(Conflict, match="changed since"):
        _confirm_stale(world)


def _confirm_stale(world: World) -> None:
    env: Env = replace(world.env, policies=load_policy)
    row = lawbook.propose_activation(env, world.people["operator"], ())
    lawbook.confirm_activation(world.env, world.people["steward"], row["id"])


def test_an_activation_changed_behind_the_gateways_back_is_found(world: World) -> None:
    item = world.granted()
    activate(world)
    assert world.release(item)["state"] == "available"
    engine = world.env.uow.engine  # type: ignore[attr-defined]
    with engine.connect() as connection, connection.begin():
        connection.execute(text("update policy_activation set confirmed_by='somebody'"))
    refused = world.release(item)
    assert refused["outcome"] == "deny"
    assert "GW-02" in {reason["rule"] for reason in refused["decision"]["reasons"]}


def test_what_an_activation_would_change_is_seen_before_it_is_confirmed(world: World) -> None:
    world.granted()
    steward = world.people["steward"]
    same = lawbook.propose_activation(world.env, world.people["operator"], ())
    assert lawbook_changes.live_changes(world.env, steward, same["id"]) == []
    stricter = lawbook.propose_activation(world.env, world.people["operator"], ("trusted-institutions",))
    found = lawbook_changes.live_changes(world.env, steward, stricter["id"])
    assert all(row["turn"] == "other reasons" or row["newly_failing"] for row in found)
    newer = _with_a_limit(0)
    world.env = replace(world.env, policies=lambda packs: newer if packs else load_policy())
    (row,) = lawbook_changes.live_changes(world.env, steward, stricter["id"])
    assert (row["turn"], row["newly_failing"]) == ("loses", ("HGR-17",))


def _with_a_limit(people: int) -> object:
    """The same rules with another number of people before a security review."""
    policy = load_policy.__wrapped__(frozenset())
    policy.limits = {**policy.limits, "security_review_people": people}
    return policy


def test_a_sign_off_that_is_gone_holds_again(world: World) -> None:
    """Not only the act of activating asks for names: every decision does."""
    item = real(world).apply()
    sign_all(world)
    activate(world)
    assert "GW-40" not in reasons(world, item)
    (gone, *_) = world.env.uow.read(lambda tx: tx.find("policy_sign_off"))
    world.env.uow.run(lambda tx: put_fact(tx, world.env, "policy_sign_off", gone["id"], columns={"state": "withdrawn"}))
    assert "GW-40" in reasons(world, item)


def test_two_activations_that_both_judge_let_nothing_leave(world: World) -> None:
    activate(world)
    item = world.apply()
    assert "GW-40" not in reasons(world, item)
    (row,) = world.env.uow.read(lambda tx: tx.find("policy_activation"))
    columns = {key: row[key] for key in ("policy_version", "packs", "proposed_by", "confirmed_by", "state")}
    world.env.uow.run(
        lambda tx: put_fact(tx, world.env, "policy_activation", "another", scope=lawbook.SCOPE, columns=columns)
    )
    assert "GW-40" in reasons(world, item)
