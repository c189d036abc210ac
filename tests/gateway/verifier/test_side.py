"""The side root: a second tree over SM3, signed with SM2, and held against the entries by whoever has the folder."""

from __future__ import annotations

import base64
import random
import subprocess
import sys
from pathlib import Path
from shutil import copytree

import pytest

from gateway.bootstrap import open_env
from gateway.env import Actor
from gateway.errors import LedgerUnavailable
from gateway.keys.further import sm2_line
from gateway.ledger import DiskLogFiles
from gateway.ledger.side import KEPT, Memory, SideRoot
from gateway.record import record_refused_act
from gateway.verifier import verify_log
from gateway.verifier.further import Sm2Key
from gateway.verifier.side import SIDE, SideTree, read_side, side_text
from tests.gateway.ledger.conftest import SetClock
from tests.gateway.verifier.conftest import SignedLog, some_entries
from tests.world import ENGINES, Random, World

ACTOR = Actor(person_id="0" * 32, institution_id="", unit="", roles=frozenset(), place_of_access="mainland")


def by_definition(entries: list[bytes]) -> bytes:
    """RFC 6962 section 2.1 word for word, with the hash that another program computes."""
    if not entries:
        return openssl(b"")
    if len(entries) == 1:
        return openssl(b"\0" + entries[0])
    split = 1
    while split * 2 < len(entries):
        split *= 2
    return openssl(b"\1" + by_definition(entries[:split]) + by_definition(entries[split:]))


def openssl(data: bytes) -> bytes:
    done = subprocess.run(["openssl", "dgst", "-sm3", "-binary"], input=data, capture_output=True, check=True)
    return done.stdout


def side(log: SignedLog, memory: Memory | None = None, seed: bytes = bytes(32)) -> SideRoot:
    signing = sm2_line(log.origin, seed, Random().token)
    return SideRoot(DiskLogFiles(log.folder), lambda: signing, clock=SetClock(), memory=memory)


@pytest.mark.parametrize("count", [0, 1, 2, 3, 7, 8, 13])
def test_the_root_is_that_of_the_definition_under_another_programs_hash(count: int) -> None:
    entries, tree = some_entries(count), SideTree()
    for entry in entries:
        tree.push(entry)
    assert tree.root() == by_definition(entries)


def test_it_grows_with_the_log_and_the_verifier_confirms_it(log: SignedLog) -> None:
    kept = side(log)
    for more in (0, 1, 255, 256, 3):
        if more:
            log.grow(some_entries(more, "more"))
        head = verify_log(log.folder, key=log.vkey).size
        assert head is not None
        kept.advance(head)
        verdict = verify_log(log.folder, key=log.vkey)
        assert verdict.state == "proven"
        assert f"the SM3 root over {head} entries" in verdict.detail
        assert read_side((log.folder / SIDE).read_bytes())[0].size == head


def test_one_that_lags_is_confirmed_for_what_it_covers(log: SignedLog) -> None:
    side(log).advance(600)
    log.grow(some_entries(300, "more"))
    verdict = verify_log(log.folder, key=log.vkey)
    assert verdict.state == "proven"
    assert "the SM3 root over 600 entries" in verdict.detail


def test_every_byte_of_it_counts(log: SignedLog) -> None:
    side(log).advance(600)
    chance = random.Random(4)
    whole = (log.folder / SIDE).read_bytes()
    for position in {0, len(whole) - 1, *chance.sample(range(len(whole)), 80)}:
        flipped = bytearray(whole)
        flipped[position] ^= 1 << chance.randrange(8)
        (log.folder / SIDE).write_bytes(bytes(flipped))
        verdict = verify_log(log.folder, key=log.vkey)
        assert (verdict.state, verdict.place) == ("tampered", SIDE), position
    for changed in (whole + b"\n", whole + whole.splitlines(keepends=True)[-1], b""):
        (log.folder / SIDE).write_bytes(changed)
        assert verify_log(log.folder, key=log.vkey).place == SIDE, changed


def test_a_root_that_the_key_signed_over_other_entries_is_refused(log: SignedLog) -> None:
    side(log).advance(600)
    key, line = sm2_line(log.origin, bytes(32), Random().token)
    other = Sm2Key(name="another.example/log", public_key=key.public_key)
    tree = SideTree()
    for entry in some_entries(600):
        tree.push(entry)
    for named, size, value in ((key, 600, bytes(32)), (key, 601, tree.root()), (other, 600, tree.root())):
        text = side_text(named, size=size, root=value)
        signature = base64.b64decode(line(text, SetClock().now()).split(b" ")[2])[4:]
        (log.folder / SIDE).write_bytes(text + b"\n" + named.line(signature))
        verdict = verify_log(log.folder, key=log.vkey)
        assert (verdict.state, verdict.place) == ("tampered", SIDE)


def test_no_sm3_root_is_signed_over_a_bundle_that_was_changed_on_disk(log: SignedLog) -> None:
    bundle = log.folder / "tile/entries/000"
    bundle.write_bytes(bundle.read_bytes().replace(b"provision", b"provisioN", 1))
    with pytest.raises(LedgerUnavailable, match="no SM3 root"):
        side(log).advance(600)
    assert not (log.folder / SIDE).exists()


def test_what_was_kept_saves_reading_and_what_does_not_open_is_not_believed(log: SignedLog, tmp_path: Path) -> None:
    log.grow(some_entries(KEPT, "more"))
    files = DiskLogFiles(tmp_path / "facts")
    context: list[str] = []

    def seal(named: str, body: bytes) -> bytes:
        context.append(named)
        return bytes(255 - byte for byte in body)

    def unseal(named: str, body: bytes) -> bytes:
        return seal(named, body)

    memory = Memory(files, log.origin, seal=seal, unseal=unseal)
    side(log, memory).advance(600 + KEPT)
    assert set(context) == {f"{log.origin}/sm3"}
    log.grow(some_entries(2, "last"))
    (log.folder / "tile/entries/000").rename(tmp_path / "aside")  # not read again
    side(log, memory).advance(602 + KEPT)
    (tmp_path / "aside").rename(log.folder / "tile/entries/000")
    assert verify_log(log.folder, key=log.vkey).state == "proven"
    files.write("sm3", b"nonsense")
    side(log, memory).advance(602 + KEPT)
    assert verify_log(log.folder, key=log.vkey).state == "proven"


def test_a_house_that_wants_it_has_it_and_another_has_not(world: World, tmp_path: Path) -> None:
    folder = world.settings.home / "ledger"
    assert not (folder / SIDE).exists()
    wanting = world.settings.model_copy(update={"sm3_root": True})
    env, engine = open_env(wanting, clock=world.clock)
    ENGINES.append(engine)
    for number in range(3):
        env.uow.run(lambda tx, n=number: record_refused_act(tx, env, ACTOR, act=f"{n}", about="x", rules=()))  # type: ignore[misc]
        size = env.ledger.confirm()
    assert f"the SM3 root over {size} entries" in verify_log(folder, key=None).detail
    copy = copytree(folder, tmp_path / "copy")
    script = Path(__file__).parents[3] / "docs" / "verify_ledger.py"
    done = subprocess.run([sys.executable, str(script), str(copy)], capture_output=True, text=True, check=False)
    assert (done.returncode, "checkpoint.sm3 was not looked at" in done.stdout) == (0, True), done.stdout
