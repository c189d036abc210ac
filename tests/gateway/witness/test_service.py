"""A witness never cosigns two histories, whatever it is asked, in whatever order, and across restarts."""

from __future__ import annotations

import random
import threading

import pytest

from gateway.errors import LedgerUnavailable
from gateway.ledger.checkpoint import sign_checkpoint
from gateway.verifier.note import parse_note
from gateway.verifier.policy import cosigned_at, cosigners
from gateway.witness import Answer, format_request, parse_request
from tests.gateway.ledger.conftest import SeededSigner
from tests.gateway.witness.conftest import Log, Witnesses, entries


def ask(witnesses: Witnesses, log: Log, old: int, name: str = "w0") -> Answer:
    return witnesses.each[name].add_checkpoint(log.request(old))


def test_the_first_and_every_later_checkpoint_is_cosigned_with_the_time(witnesses: Witnesses) -> None:
    first = ask(witnesses, witnesses.log, 0)
    assert first.status == 200
    signed = witnesses.log.grow(*entries(300, "more"))
    second = ask(witnesses, witnesses.log, 10)
    assert second.status == 200
    time = cosigned_at(parse_note(signed + second.body), witnesses.each["w0"].key)
    assert time == int(witnesses.clock.now().timestamp())
    assert ask(witnesses, witnesses.log, 310).status == 200, "the same again is harmless"


def test_every_refusal_has_the_specifications_status(witnesses: Witnesses) -> None:
    log, witness = witnesses.log, witnesses.each["w0"]
    assert ask(witnesses, log, 0).status == 200
    stale = ask(witnesses, log, 0)
    assert (stale.status, stale.body, stale.content_type) == (409, b"10\n", "text/x.tlog.size")
    assert ask(witnesses, log, 11).status == 400
    unknown = Log(signer=SeededSigner("other.example/log"))
    unknown.grow(b"x")
    assert ask(witnesses, unknown, 0).status == 404
    stranger = Log(signer=SeededSigner(seed=bytes(32)))
    stranger.grow(*entries(20))
    assert ask(witnesses, stranger, 10).status == 403
    fork = log.rewritten(entries(20, "other"))
    assert ask(witnesses, fork, 10).status == 422
    same_size = log.rewritten(entries(10, "other"))
    assert ask(witnesses, same_size, 10).status == 422
    assert witness.add_checkpoint(b"old 0\n").status == 400
    empty = format_request(old=0, proof=[], signed_checkpoint=sign_checkpoint(log.signer, size=0, root=bytes(32)))
    assert Witnesses(witnesses.root / "fresh", log).each["w0"].add_checkpoint(empty).status == 422


SHAPES = (
    b"", b"old 1", b"old 01\n\nx", b"old -1\n\nx", b"Old 1\n\nx", b"old 1\nAAAA\n\nx", b"old 1\r\n\nx",
    b"old 0\n" * 70, b"old 0\n\n" + b"x" * 70_000, b"old 0\n" + (b"A" * 43 + b"=\n") * 64 + b"\nx",
)  # fmt: skip


@pytest.mark.parametrize("body", SHAPES)
def test_a_body_of_another_shape_is_a_bad_request(witnesses: Witnesses, body: bytes) -> None:
    assert witnesses.each["w0"].add_checkpoint(body).status == 400


def test_an_old_size_that_is_written_in_another_way_is_refused_whatever_follows(witnesses: Witnesses) -> None:
    good = witnesses.log.request(0)
    assert parse_request(good).old == 0
    for changed in (good.replace(b"old 0", b"old 00"), good.replace(b"old 0", b"old +0"), b" " + good, good + b"x"):
        assert witnesses.each["w0"].add_checkpoint(changed).status in {400, 403}


def test_what_was_cosigned_is_remembered_across_a_restart(witnesses: Witnesses) -> None:
    assert ask(witnesses, witnesses.log, 0).status == 200
    witnesses.start("w0")
    assert ask(witnesses, witnesses.log.rewritten(entries(20, "other")), 0).status == 409
    assert ask(witnesses, witnesses.log.rewritten(entries(20, "other")), 10).status == 422


def test_a_memory_that_somebody_changed_stops_the_witness(witnesses: Witnesses) -> None:
    assert ask(witnesses, witnesses.log, 0).status == 200
    place = next((witnesses.root / "w0").rglob("checkpoint"))
    older = witnesses.log.rewritten(entries(3)).files.read("checkpoint")
    assert older is not None
    place.write_bytes(older)
    witnesses.start("w0")
    with pytest.raises(LedgerUnavailable, match="memory"):
        ask(witnesses, witnesses.log, 3)


def test_of_many_extensions_that_race_one_history_is_cosigned(witnesses: Witnesses) -> None:
    """The race of the specification: the older of two requests must not roll the memory back."""
    assert ask(witnesses, witnesses.log, 0).status == 200
    logs = []
    for number in range(12):
        log = witnesses.log.rewritten(entries(10))
        log.grow(*entries(1 + number, f"branch {number}"))
        logs.append(log)
    barrier, answers = threading.Barrier(12), []

    def run(log: Log) -> None:
        barrier.wait()
        answers.append(ask(witnesses, log, 10).status)

    threads = [threading.Thread(target=run, args=(log,)) for log in logs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers.count(200) == 1


def test_two_hundred_forks_and_rollbacks_are_refused_by_two_of_three(witnesses: Witnesses) -> None:
    """An insider with the log's key shows forged histories to all three, with every old size and proof they like."""
    chance, log, policy = random.Random(200), witnesses.log, witnesses.policy()
    for name in witnesses.each:
        assert ask(witnesses, log, 0, name).status == 200
    known, refused = 10, 0
    for trial in range(200):
        if trial % 20 == 19:
            log.grow(*entries(chance.randrange(1, 40), f"honest {trial}"))
            assert all(ask(witnesses, log, known, name).status == 200 for name in witnesses.each)
            known = len(log.entries)
        if chance.random() < 0.4:
            forged = log.rewritten(log.entries[: chance.randrange(1, known)])
        else:
            changed = log.entries[: chance.randrange(known)]
            forged = log.rewritten([*changed, *entries(chance.randrange(1, 60), f"forged {trial}")])
        signed = forged.files.read("checkpoint")
        assert signed is not None
        for name in witnesses.each:
            for old in {0, known, min(known, len(forged.entries)), chance.randrange(known)}:
                if old <= len(forged.entries):
                    answer = ask(witnesses, forged, old, name)
                    signed += answer.body if answer.status == 200 else b""
        assert not policy.satisfied(cosigners(parse_note(signed), policy)), trial
        refused += 1
    assert refused == 200


def test_of_two_histories_shown_to_different_witnesses_one_at_most_has_a_quorum(witnesses: Witnesses) -> None:
    log, policy = witnesses.log, witnesses.policy()
    other = log.rewritten(entries(10, "other"))
    quorums = 0
    shown = {"w0": log, "w1": other, "w2": log}
    notes = {id(one): one.files.read("checkpoint") or b"" for one in (log, other)}
    for name, first in shown.items():
        for one in (first, other if first is log else log):
            answer = ask(witnesses, one, 0, name)
            notes[id(one)] += answer.body if answer.status == 200 else b""
    for signed in notes.values():
        quorums += policy.satisfied(cosigners(parse_note(signed), policy))
    assert quorums == 1
