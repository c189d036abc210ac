"""The writer: what a crash, a second writer, a restored backup or a changed file must not be able to do."""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import LedgerUnavailable
from gateway.ledger import TreeFiles, integrate, make_receipt
from gateway.verifier import merkle, verify_log
from gateway.verifier.note import VerifierKey, parse_checkpoint, parse_vkey
from gateway.verifier.proof import verify_proof
from gateway.verifier.tiles import promised_tiles

World = Any  # tests/gateway/ledger/conftest.py: LedgerWorld


def entries(count: int, start: int = 0) -> list[bytes]:
    return [json.dumps({"event": "provision", "seq": n}).encode() for n in range(start, start + count)]


def head(world: World) -> Any:
    return parse_checkpoint(world.files.read("checkpoint"))


@pytest.mark.parametrize("steps", [[1], [1, 1, 1], [255, 1, 1], [256], [257, 300], [600, 70, 1, 185]])
def test_a_log_grown_in_steps_is_the_log_of_its_entries(memory: World, tmp_path: Path, steps: list[int]) -> None:
    done = 0
    for step in steps:
        memory.append(*entries(step, start=done))
        done += step
        assert head(memory).size == done == memory.outbox.size
        assert head(memory).root == merkle.root([merkle.leaf_hash(entry) for entry in entries(done)])
    verdict = verify_log(memory.write_out(tmp_path), key=memory.vkey)
    assert (verdict.state, verdict.size) == ("proven", done), verdict


def test_the_first_run_signs_the_empty_log(memory: World, tmp_path: Path) -> None:
    assert memory.sequencer.run_once() == 0
    assert head(memory).size == 0
    verdict = verify_log(memory.write_out(tmp_path), key=None)
    assert (verdict.state, verdict.size, verdict.key_on_trust) == ("proven", 0, True)


def test_the_published_log_of_70000_entries(memory: World, tmp_path: Path) -> None:
    """Its root and key were accepted by two verifiers that are not ours."""
    memory.append(*entries(70_000))
    assert memory.vkey == "gateway.example/provisions+9ced732d+AQOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4"
    assert base64.b64encode(head(memory).root) == b"k0rP+RjmHm5rTfmJ0WoD+28ap7DVZk0lUb+5AL1/Ojk="
    promised = {tile.path for tile in promised_tiles(70_000)}
    assert len(promised | {"checkpoint", "log.vkey"}) == 553
    assert memory.files.files.keys() >= promised
    verdict = verify_log(memory.write_out(tmp_path), key=memory.vkey)
    assert (verdict.state, verdict.size) == ("proven", 70_000)


def test_integrating_reads_the_right_edge_only(memory: World) -> None:
    memory.append(*entries(5_000))
    memory.files.reads.clear()
    integrate(memory.files, 5_000, entries(1, start=5_000))
    assert set(memory.files.reads) <= {"tile/entries/019.p/136", "tile/0/019.p/136", "tile/1/000.p/19"}


def test_integrating_twice_writes_the_same_bytes(memory: World) -> None:
    memory.append(*entries(300))
    first = integrate(memory.files, 300, entries(500, start=300))
    kept = dict(memory.files.files)
    assert integrate(memory.files, 300, entries(500, start=300)) == first
    assert memory.files.files == kept


@pytest.mark.parametrize("size", [1, 2, 3, 255, 256, 257, 700])
def test_proofs_from_tiles_equal_the_proofs_from_leaves(memory: World, size: int) -> None:
    memory.append(*entries(size))
    hashes = [merkle.leaf_hash(entry) for entry in entries(size)]
    tree = TreeFiles(memory.files, size)
    for index in {0, 1, size // 2, size - 1} - {size}:
        if index < size:
            assert tree.inclusion(index) == merkle.inclusion_path(hashes, index)
    for old in {1, 2, size // 2, size - 1, size} - {0}:
        if old <= size:
            roots = (merkle.root(hashes[:old]), merkle.root(hashes))
            merkle.verify_consistency(sizes=(old, size), roots=roots, proof=tree.consistency(old))


@pytest.mark.parametrize("fail_after", [False, True])
def test_killed_at_every_write_and_run_again_it_is_the_same_log(
    new_memory: Callable[[], World], fail_after: bool, tmp_path: Path
) -> None:
    """Invariant 1, the ledger's part: what was positioned is in the log once, whatever was killed."""
    whole = new_memory()
    _grow(whole)
    count = len(whole.files.writes)
    assert count >= 15
    for number in range(1, count + 1):
        world = new_memory()
        world.files.fail_at, world.files.fail_after = number, fail_after
        killed = 0
        while True:
            try:
                _grow(world)
                break
            except KeyboardInterrupt:
                killed += 1
                world.files.fail_at = None
        assert killed == 1
        assert head(world) == head(whole)
        missing = whole.files.files.keys() - world.files.files.keys()
        assert not missing
        assert verify_log(world.write_out(tmp_path / str(number)), key=world.vkey).state == "proven"


def _grow(world: World) -> None:
    """Three commits of entries, sequenced after each; goes on where it stopped."""
    for target in (3, 260, 520):
        world.outbox.bodies = entries(max(target, len(world.outbox.bodies)))
        while world.sequencer.run_once():
            pass


@pytest.mark.parametrize("fail_after", [False, True])
def test_the_copy_that_a_killed_writer_leaves_is_never_called_tampered(
    new_memory: Callable[[], World], fail_after: bool, tmp_path: Path
) -> None:
    whole = new_memory()
    _grow(whole)
    for number in range(3, len(whole.files.writes) + 1):
        world = new_memory()
        world.files.fail_at, world.files.fail_after = number, fail_after
        with pytest.raises(KeyboardInterrupt):
            _grow(world)
        verdict = verify_log(world.write_out(tmp_path / str(number)), key=world.vkey)
        assert verdict.state == "proven", (number, verdict)


def test_a_crash_between_the_size_row_and_the_checkpoint_is_mended(memory: World) -> None:
    memory.append(*entries(3))
    memory.outbox.bodies.extend(entries(2, start=3))
    memory.outbox.assign_positions(10)
    size, root = integrate(memory.files, 3, entries(2, start=3))
    assert memory.outbox.publish(size=size, root=root, expected_size=3)
    assert head(memory).size == 3
    assert memory.sequencer.run_once() == 2
    assert (head(memory).size, head(memory).root) == (5, root)


def test_a_second_writer_that_loses_the_size_row_signs_nothing(memory: World) -> None:
    memory.append(*entries(3))
    memory.outbox.bodies.extend(entries(2, start=3))
    other = memory.sequencer
    signed = len(memory.signer.signed)

    def overtake() -> None:
        memory.outbox.before_publish = lambda: None
        assert memory.sequencer.run_once() == 2

    memory.outbox.before_publish = overtake
    assert other.run_once() == 0
    assert head(memory).size == 5
    assert len(memory.signer.signed) == signed + 1  # the winner's only


def test_a_writer_that_stalls_after_the_size_row_does_not_turn_the_checkpoint_back(memory: World) -> None:
    memory.append(*entries(3))
    memory.outbox.bodies.extend(entries(2, start=3))
    stalled, publish = memory.sequencer, memory.outbox.publish

    def publish_and_stall(**size_row: Any) -> bool:
        memory.outbox.publish = publish
        assert publish(**size_row)
        memory.append(*entries(4, start=5))
        return True

    memory.outbox.publish = publish_and_stall
    stalled.run_once()
    assert head(memory).size == 9


def test_a_disk_that_keeps_other_bytes_than_were_written_is_noticed_before_signing(memory: World) -> None:
    write = memory.files.write
    memory.files.write = lambda path, data: write(path, data[:-1] + b"x" if path.startswith("tile/0") else data)
    memory.outbox.bodies.extend(entries(3))
    with pytest.raises(LedgerUnavailable, match="do not give the root"):
        memory.sequencer.run_once()
    assert head(memory).size == 0


def test_two_writers_in_turn_leave_no_gap(memory: World, tmp_path: Path) -> None:
    one, two = memory.sequencer, memory.sequencer
    for number in range(40):
        memory.outbox.bodies.extend(entries(7, start=7 * number))
        (one, two)[number % 2].run_once()
    assert head(memory).size == 280
    assert verify_log(memory.write_out(tmp_path), key=memory.vkey).state == "proven"


def test_a_gap_in_the_outbox_stops_the_writer(memory: World) -> None:
    memory.append(*entries(3))
    memory.outbox.bodies.extend(entries(3, start=3))
    real = memory.outbox.positioned_from
    memory.outbox.positioned_from = lambda position, limit: [row for row in real(position, limit) if row.position != 4]
    with pytest.raises(LedgerUnavailable, match="gap"):
        memory.sequencer.run_once()
    assert head(memory).size == 3


def test_an_outbox_that_lost_published_rows_stops_the_writer(memory: World) -> None:
    memory.append(*entries(3))
    memory.outbox.size = 5
    with pytest.raises(LedgerUnavailable, match="no longer holds"):
        memory.sequencer.run_once()


def test_a_database_older_than_the_checkpoint_stops_the_writer(memory: World) -> None:
    memory.append(*entries(5))
    memory.outbox.size = memory.outbox.positioned = 3
    with pytest.raises(LedgerUnavailable, match="restored backup"):
        memory.sequencer.run_once()
    assert head(memory).size == 5


def test_a_log_whose_tiles_were_changed_is_not_signed(new_memory: Callable[[], World]) -> None:
    for path in ("tile/0/000.p/5", "tile/entries/000.p/5"):
        world = new_memory()
        world.append(*entries(5))
        data = bytearray(world.files.files[path])
        data[0 if "entries" not in path else 10] ^= 1
        world.files.files[path] = bytes(data)
        world.outbox.bodies.extend(entries(1, start=5))
        signed = len(world.signer.signed)
        if "entries" in path:
            # The writer continues from hashes; a changed entry is for the audit and for the fact index to find.
            world.sequencer.run_once()
            continue
        with pytest.raises(LedgerUnavailable, match="nothing is signed"):
            world.sequencer.run_once()
        assert len(world.signer.signed) == signed


def test_a_checkpoint_by_another_key_or_none_stops_the_writer(memory: World) -> None:
    memory.append(*entries(5))
    kept = memory.files.files["checkpoint"]
    memory.files.files["checkpoint"] = kept[:-4] + b"AAA\n"
    with pytest.raises(LedgerUnavailable, match="cannot be trusted"):
        memory.sequencer.run_once()
    del memory.files.files["checkpoint"]
    with pytest.raises(LedgerUnavailable, match="gone"):
        memory.sequencer.run_once()
    memory.files.files["checkpoint"] = kept
    memory.files.files["log.vkey"] = b"another\n"
    with pytest.raises(LedgerUnavailable, match="cannot be read"):
        memory.sequencer.run_once()
    other = VerifierKey(name=memory.signer.name, public_key=bytes(32))
    memory.files.files["log.vkey"] = f"{other}\n".encode()
    with pytest.raises(LedgerUnavailable, match="public half"):
        memory.sequencer.run_once()


def test_a_key_that_signs_nonsense_publishes_nothing(memory: World) -> None:
    memory.append(*entries(5))
    memory.signer.sign = lambda message: bytes(64)
    memory.outbox.bodies.extend(entries(1, start=5))
    with pytest.raises(LedgerUnavailable, match="does not verify"):
        memory.sequencer.run_once()
    assert head(memory).size == 5


def test_a_key_of_another_origin_is_refused(memory: World) -> None:
    memory.signer.name = "other.example"
    sequencer = memory.sequencer
    assert sequencer.origin == "other.example"
    with pytest.raises(LedgerUnavailable, match="another log origin"):
        type(sequencer)(
            outbox=memory.outbox, files=memory.files, signer=memory.signer, clock=memory.clock, origin="log.example"
        )


def test_a_clock_before_the_last_entry_stops_the_writer(memory: World) -> None:
    at = memory.clock.time.isoformat()
    memory.append(json.dumps({"at": at}).encode())
    memory.outbox.bodies.append(b"{}")
    memory.clock.time -= timedelta(days=1)
    with pytest.raises(LedgerUnavailable, match="clock"):
        memory.sequencer.run_once()
    memory.clock.time += timedelta(days=1)
    assert memory.sequencer.run_once() == 1


def test_small_batches_end_in_the_same_log(new_memory: Callable[[], World]) -> None:
    one, other = new_memory(), new_memory()
    other.batch = 7
    one.append(*entries(300))
    other.append(*entries(300))
    assert head(one) == head(other)


def test_superseded_partial_tiles_are_removed(memory: World) -> None:
    for number in range(257):
        memory.append(*entries(1, start=number))
    assert [path for path in memory.files.files if path.startswith("tile/0/000.p")] == []
    assert "tile/0/000" in memory.files.files
    assert "tile/0/001.p/1" in memory.files.files


def test_an_entry_too_long_for_a_bundle_is_refused(memory: World) -> None:
    with pytest.raises(LedgerUnavailable, match="longer"):
        memory.append(bytes(65_536))


@pytest.mark.parametrize("size", [1, 5, 256, 300])
def test_every_receipt_proves_its_entry(memory: World, size: int) -> None:
    """Invariant 17, the receipt's part."""
    memory.append(*entries(size))
    for index in range(size):
        receipt = make_receipt(memory.files, index, extra=b"salt")
        proof = verify_proof(receipt, key=parse_vkey(memory.vkey), leaf=merkle.leaf_hash(entries(size)[index]))
        assert (proof.index, proof.extra) == (index, b"salt")


def test_no_receipt_is_given_for_what_is_not_signed(memory: World) -> None:
    with pytest.raises(LedgerUnavailable, match="no checkpoint"):
        make_receipt(memory.files, 0)
    memory.append(*entries(3))
    with pytest.raises(LedgerUnavailable, match="not under a signed checkpoint"):
        make_receipt(memory.files, 3)


def test_no_receipt_is_given_from_damaged_tiles(memory: World) -> None:
    memory.append(*entries(300))
    data = bytearray(memory.files.files["tile/0/000"])
    data[40] ^= 1
    memory.files.files["tile/0/000"] = bytes(data)
    with pytest.raises(LedgerUnavailable, match="do not prove"):
        make_receipt(memory.files, 0)


def test_random_growth_keeps_every_old_checkpoint_consistent(memory: World) -> None:
    chance, done, heads = random.Random(7), 0, []
    while done < 1_500:
        step = chance.randint(1, 200)
        memory.append(*entries(step, start=done))
        done += step
        heads.append(head(memory))
    tree = TreeFiles(memory.files, done)
    for old in heads:
        roots = (old.root, heads[-1].root)
        merkle.verify_consistency(sizes=(old.size, done), roots=roots, proof=tree.consistency(old.size))
