"""Nothing leaves before enough witnesses have cosigned, and a witness that saw another history stops everything."""

from __future__ import annotations

from datetime import timedelta

import pytest

from gateway.errors import LedgerUnavailable
from gateway.ledger import make_receipt
from gateway.ledger.checkpoint import verifier_key
from gateway.verifier.merkle import leaf_hash
from gateway.verifier.note import parse_note
from gateway.verifier.policy import cosigners, parse_policy, parse_witness_key
from gateway.verifier.proof import verify_proof
from gateway.witness import Cosigning, Reply
from tests.gateway.ledger.conftest import SetClock
from tests.gateway.witness.conftest import Log, Witnesses, entries


def test_enough_cosignatures_are_published_with_the_checkpoint_and_travel_in_receipts(witnesses: Witnesses) -> None:
    cosigning = witnesses.cosigning()
    assert cosigning.confirm() == 10
    for more in (1, 300, 7):
        witnesses.log.grow(*entries(more, "more"))
        assert cosigning.confirm() == len(witnesses.log.entries)
    receipt = make_receipt(witnesses.log.files, 17)
    proof = verify_proof(receipt, key=verifier_key(witnesses.log.signer), leaf=leaf_hash(witnesses.log.entries[17]))
    assert witnesses.policy(3).satisfied(cosigners(parse_note(proof.signed_checkpoint), witnesses.policy(3)))


@pytest.mark.parametrize(("down", "enough"), [(set(), True), ({"w1"}, True), ({"w0", "w2"}, False)])
def test_two_of_three_are_enough_and_one_is_not(witnesses: Witnesses, down: set[str], enough: bool) -> None:
    witnesses.down = down
    if enough:
        assert witnesses.cosigning().confirm() == 10
        return
    with pytest.raises(LedgerUnavailable, match="not enough"):
        witnesses.cosigning().confirm()
    witnesses.down = set()
    assert witnesses.cosigning().confirm() == 10


def test_an_asker_that_was_started_again_learns_where_the_witnesses_are(witnesses: Witnesses) -> None:
    witnesses.cosigning().confirm()
    witnesses.log.grow(*entries(20, "more"))
    assert witnesses.cosigning().confirm() == 30


def test_one_witness_that_saw_another_history_stops_hand_over_though_two_agree(witnesses: Witnesses) -> None:
    witnesses.down = {"w0", "w1"}
    with pytest.raises(LedgerUnavailable):
        witnesses.cosigning(log=witnesses.log.rewritten(entries(10, "other"))).confirm()
    witnesses.down = set()
    with pytest.raises(LedgerUnavailable, match="another history"):
        witnesses.cosigning().confirm()


def test_a_restored_backup_is_refused_and_its_floor_is_known_before_anything_is_signed(witnesses: Witnesses) -> None:
    witnesses.log.grow(*entries(20, "today"))
    witnesses.cosigning().confirm()
    yesterday = witnesses.log.rewritten(witnesses.log.entries[:10])
    restored = witnesses.cosigning(log=yesterday)
    assert restored.floor() == 30
    with pytest.raises(LedgerUnavailable, match="a restored backup"):
        restored.confirm()


def test_the_floor_is_unknown_while_those_out_of_reach_could_have_been_a_quorum(witnesses: Witnesses) -> None:
    witnesses.cosigning().confirm()
    witnesses.down = {"w1"}
    assert witnesses.cosigning().floor() == 10
    witnesses.down = {"w1", "w2"}
    with pytest.raises(LedgerUnavailable, match="too few"):
        witnesses.cosigning().floor()


def test_a_clock_more_than_two_minutes_from_a_witness_stops_hand_over(witnesses: Witnesses) -> None:
    ours = SetClock(witnesses.clock.time + timedelta(seconds=121))
    posts = {name: witnesses.post(name) for name in witnesses.each}
    with pytest.raises(LedgerUnavailable, match="clock"):
        Cosigning(witnesses.log.files, witnesses.policy(), posts, clock=ours).confirm()


@pytest.mark.parametrize("lie", ["nothing", "another witness's", "another checkpoint's", "garbage", "an error page"])
def test_an_answer_that_is_no_good_cosignature_does_not_count(witnesses: Witnesses, lie: str) -> None:
    other = Log(signer=witnesses.log.signer)
    other.grow(b"x")
    fresh = Witnesses(witnesses.root / "elsewhere", witnesses.log)
    bodies = {
        "nothing": b"",
        "another witness's": witnesses.each["w1"].add_checkpoint(witnesses.log.request(0)).body,
        "another checkpoint's": fresh.each["w0"].add_checkpoint(other.request(0)).body,
        "garbage": b"\xff\xfe\n",
        "an error page": b"<html>\n\n</html>\n",
    }
    posts = {"w0": lambda _body: Reply(status=200, body=bodies[lie])}
    cosigning = Cosigning(witnesses.log.files, witnesses.policy(1), posts, clock=witnesses.clock)
    before = witnesses.log.files.read("checkpoint")
    with pytest.raises(LedgerUnavailable, match="not enough"):
        cosigning.confirm()
    assert witnesses.log.files.read("checkpoint") == before, "nothing of it is published"


def test_an_air_gapped_witness_answers_by_file(witnesses: Witnesses) -> None:
    cosigning = Cosigning(witnesses.log.files, witnesses.policy(1), {}, clock=witnesses.clock)
    with pytest.raises(LedgerUnavailable):
        cosigning.confirm()
    answer = witnesses.each["w2"].add_checkpoint(witnesses.log.request(0))
    assert cosigning.collect(answer.body) == 10
    with pytest.raises(LedgerUnavailable, match="no new cosignature"):
        cosigning.collect(answer.body)


def test_a_policy_says_who_counts_and_nobody_counts_twice(witnesses: Witnesses) -> None:
    keys = {name: witness.key for name, witness in witnesses.each.items()}
    lines = [f"witness {name} {key}" for name, key in keys.items()]
    nested = parse_policy("\n".join([*lines, "group A all w0 w1", "group B any A w2", "quorum B"]))
    assert nested.satisfied({"w2"})
    assert nested.satisfied({"w0", "w1"})
    assert not nested.satisfied({"w0"})
    assert parse_policy("quorum none").satisfied(())
    for bad in (
        [*lines, "group G 4 w0 w1 w2", "quorum G"],
        [*lines, "group G 0 w0", "quorum G"],
        [*lines, "group G 2 w0 w0", "quorum G"],
        [*lines, "group G 1 H", "group H 1 w0", "quorum G"],
        [*lines, lines[0], "quorum w0"],
        [*lines, f"witness again {keys['w0']}", "quorum w0"],
        [*lines, "quorum w9"],
        [*lines, "quorum w0", "quorum w1"],
        lines,
        ["witness w0 x+y+z", "quorum w0"],
        ["something else", "quorum none"],
    ):
        with pytest.raises(ValueError):
            parse_policy("\n".join(bad))
    text = str(keys["w0"])
    assert parse_witness_key(text) == keys["w0"]
    with pytest.raises(ValueError):
        parse_witness_key(text.replace("+", "+0", 1))
