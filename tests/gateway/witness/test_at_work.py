"""Witnesses as they stand in the house: real servers, a real release that waits for them, files for the air-gapped."""

from __future__ import annotations

import base64
import json
import shutil
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from hashlib import sha256
from pathlib import Path

import httpx2
import pytest
from typer.testing import CliRunner

from gateway.bootstrap import open_env
from gateway.cli.app import app
from gateway.errors import LedgerUnavailable
from gateway.house_logs import begun_logs
from gateway.receipts import outcome_entry, outcome_receipt
from gateway.record import record_refused_act
from gateway.release import advance, request_release
from gateway.verifier import verify_log
from gateway.verifier.note import VerifierKey, parse_note, parse_vkey
from gateway.verifier.policy import cosigners, parse_policy
from gateway.verifier.receipt import check_receipt
from gateway.verifier.succession import verify_line
from gateway.witness import Reply, Witness
from gateway.witness_http import HttpPost, witness_server
from tests.gateway.ledger.conftest import SeededSigner
from tests.gateway.test_line import to_next_year
from tests.gateway.witness.conftest import Witnesses
from tests.world import ENGINES, World


@contextmanager
def served(witnesses: Witnesses, name: str) -> Iterator[str]:
    server = witness_server(witnesses.each[name], host="127.0.0.1", port=0)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_a_served_witness_answers_as_the_specification_says(witnesses: Witnesses) -> None:
    with served(witnesses, "w0") as address:
        first = httpx2.post(f"{address}/add-checkpoint", content=witnesses.log.request(0))
        assert first.status_code == 200
        assert first.text.startswith("\u2014 witness.example/w0 ")
        stale = httpx2.post(f"{address}/add-checkpoint", content=witnesses.log.request(0))
        assert (stale.status_code, stale.text, stale.headers["content-type"]) == (409, "10\n", "text/x.tlog.size")
        folder = sha256(witnesses.log.signer.name.encode()).hexdigest()
        assert httpx2.get(f"{address}/{folder}/checkpoint").text.endswith(first.text)
        assert httpx2.get(f"{address}/{'0' * 64}/checkpoint").status_code == 404
        assert httpx2.post(f"{address}/add-checkpoint", content=b"x" * 70_000).status_code == 413
        assert httpx2.post(f"{address}/other", content=b"").status_code == 404
        assert HttpPost(address)(witnesses.log.request(10)) == Reply(status=200, body=first.content)
    assert HttpPost(address)(witnesses.log.request(10)) is None


def house_witnesses(world: World, folder: Path) -> Witnesses:
    """Three witnesses that trust this house's log."""
    made = Witnesses.__new__(Witnesses)
    made.root, made.clock, made.down, made.each = folder, world.clock, set(), {}  # type: ignore[assignment]
    key = log_key(world)
    for number in range(3):
        signer = SeededSigner(f"witness.example/w{number}", bytes([number + 1]) * 32)
        made.each[f"w{number}"] = Witness(signer, [key], root=folder / f"w{number}", clock=world.clock)
    return made


def served_policy(stack: ExitStack, witnesses: Witnesses, policy: Path) -> None:
    """All three are reached over the network, and two must cosign."""
    lines = [
        f"witness {name} {one.key} {stack.enter_context(served(witnesses, name))}"
        for name, one in witnesses.each.items()
    ]
    policy.write_text("\n".join([*lines, "group G 2 w0 w1 w2", "quorum G"]), "utf-8")


def test_inv01_in_witnessed_mode_nothing_is_available_before_two_of_three_have_cosigned(
    world: World, tmp_path: Path
) -> None:
    witnesses = house_witnesses(world, tmp_path / "witnesses")
    policy = tmp_path / "policy"
    with ExitStack() as first, ExitStack() as second:
        addresses = {"w0": first.enter_context(served(witnesses, "w0"))}
        addresses |= {name: second.enter_context(served(witnesses, name)) for name in ("w1", "w2")}
        lines = [f"witness {name} {witnesses.each[name].key} {address}" for name, address in addresses.items()]
        policy.write_text("\n".join([*lines, "group G 2 w0 w1 w2", "quorum G"]), "utf-8")
        settings = world.settings.model_copy(update={"witness_policy": str(policy)})
        env, engine = open_env(settings, clock=world.clock)
        ENGINES.append(engine)
        me = world.people["researcher"]
        env.uow.run(lambda tx: record_refused_act(tx, env, me, act="test", about="x", rules=()))
        env.ledger.sync()
        second.close()
        row = request_release(env, me, item_id=world.ids["item"], view_id=world.views["variants"])
        with pytest.raises(LedgerUnavailable, match="not enough"):
            advance(env, row["id"])
        assert env.uow.read(lambda tx: tx.get("release", row["id"]))["state"] == "recorded"  # type: ignore[index]
        with served(witnesses, "w1") as again:
            text = policy.read_text("utf-8").replace(addresses["w1"], again)
            policy.write_text(text, "utf-8")
            env, engine = open_env(settings, clock=world.clock)
            ENGINES.append(engine)
            assert advance(env, row["id"])["state"] == "available"
            receipt, kept = outcome_receipt(env, me, row["id"]), outcome_entry(env, me, row["id"])
    checked = check_receipt(
        receipt, entry=base64.b64decode(kept["entry"]), key=log_key(world), policy=parse_policy(text)
    )
    assert checked.witnessed
    assert checked.witnesses == ("w0", "w1")
    assert verify_log(world.settings.home / "ledger", key=None).state == "proven"


def log_key(world: World) -> VerifierKey:
    return parse_vkey((world.settings.home / "ledger" / "log.vkey").read_text("ascii").strip())


def test_a_restored_home_signs_nothing_below_what_its_witnesses_saw(world: World, tmp_path: Path) -> None:
    witnesses = house_witnesses(world, tmp_path / "witnesses")
    policy = tmp_path / "policy"
    with ExitStack() as stack:
        served_policy(stack, witnesses, policy)
        settings = world.settings.model_copy(update={"witness_policy": str(policy)})
        yesterday = tmp_path / "yesterday"
        shutil.copytree(settings.home, yesterday)
        env, engine = open_env(settings, clock=world.clock)
        world.env = env
        world.release(world.ids["item"])
        engine.dispose()
        restored, engine = open_env(settings.model_copy(update={"home": yesterday}), clock=world.clock)
        ENGINES.append(engine)
        before = (yesterday / "ledger" / "checkpoint").read_bytes()
        me = world.people["researcher"]
        row = request_release(restored, me, item_id=world.ids["item"], view_id=world.views["variants"])
        with pytest.raises(LedgerUnavailable, match="restored backup"):
            advance(restored, row["id"])
        assert (yesterday / "ledger" / "checkpoint").read_bytes() == before


def test_a_witness_without_a_network_is_asked_and_answers_by_file(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, home = CliRunner(), world.settings.home
    made = run.invoke(app, ["witness", "init", str(tmp_path / "w"), "--name", "ethics.example/w1"])
    assert made.exit_code == 0, made.output
    policy = tmp_path / "policy"
    policy.write_text(f"witness ethics {made.output.strip()}\nquorum ethics\n", "utf-8")
    monkeypatch.setenv("TONGGUAN_HOME", str(home))
    monkeypatch.setenv("TONGGUAN_WITNESS_POLICY", str(policy))
    ask, answer = tmp_path / "ask", tmp_path / "answer"
    assert run.invoke(app, ["witness", "request", str(ask)]).exit_code == 0
    sign = [
        "witness",
        "sign",
        str(ask),
        str(answer),
        "--folder",
        str(tmp_path / "w"),
        "--log",
        str(home / "ledger/log.vkey"),
    ]
    assert run.invoke(app, sign).exit_code == 0
    taken = run.invoke(app, ["witness", "collect", str(answer)])
    assert taken.exit_code == 0, taken.output
    assert "cosigned by enough" in taken.output
    assert verify_log(home / "ledger", key=None).state == "proven"
    refused = run.invoke(app, sign)
    assert refused.exit_code == 1
    assert "ask again with --old" in refused.output
    assert run.invoke(app, ["witness", "init", str(tmp_path / "w"), "--name", "x"]).exit_code != 0


def next_key(world: World, monkeypatch: pytest.MonkeyPatch) -> VerifierKey:
    """What ``tongguan ledger next-key`` prints for whoever runs a witness."""
    monkeypatch.setenv("TONGGUAN_HOME", str(world.settings.home))
    done = CliRunner().invoke(app, ["ledger", "next-key", "--json"])
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    key = parse_vkey(said["vkey"])
    assert key.name == said["origin"]
    return key


@pytest.mark.parametrize("told", [2, 1], ids=["two witnesses were told the next key", "one was told"])
def test_the_year_turns_for_witnesses_that_were_told_the_next_key_and_else_nothing_leaves(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: int
) -> None:
    keys = [log_key(world), next_key(world, monkeypatch)]
    witnesses = house_witnesses(world, tmp_path / "witnesses")
    for name in list(witnesses.each)[:told]:
        signer = SeededSigner(f"witness.example/{name}", bytes([int(name[1:]) + 1]) * 32)
        witnesses.each[name] = Witness(signer, keys, root=tmp_path / "witnesses" / name, clock=world.clock)
    policy = tmp_path / "policy"
    with ExitStack() as stack:
        served_policy(stack, witnesses, policy)
        env, engine = open_env(world.settings.model_copy(update={"witness_policy": str(policy)}), clock=world.clock)
        ENGINES.append(engine)
        me = world.people["researcher"]
        if told == 2:
            before = request_release(env, me, item_id=world.ids["item"], view_id=world.views["variants"])
            assert advance(env, before["id"])["state"] == "available"
        to_next_year(world)
        if told < 2:
            with pytest.raises(LedgerUnavailable, match=r"w1, w2: give them this log's log\.vkey"):
                env.ledger.confirm()
            return
        world.env = env
        row = request_release(env, me, item_id=world.granted(), view_id=world.views["variants"])
        assert advance(env, row["id"])["state"] == "available"
        receipt, kept = outcome_receipt(env, me, row["id"]), outcome_entry(env, me, row["id"])
        old = outcome_receipt(env, me, before["id"])
    text = policy.read_text("utf-8")
    checked = check_receipt(receipt, entry=base64.b64decode(kept["entry"]), key=keys[1], policy=parse_policy(text))
    assert checked.witnesses == ("w0", "w1")
    folders = [files.folder() for _, files in world.env.uow.read(lambda tx: begun_logs(world.settings, tx))]
    for receipts in ([receipt], [old], [old, receipt]):
        verdict = verify_line(folders, key=str(keys[0]), receipts=receipts, policy=text)
        assert verdict.state == "proven", verdict
    assert "cosigned by w0, w1" in verdict.detail
    ended = (folders[0] / "checkpoint").read_bytes()
    assert len(cosigners(parse_note(ended), parse_policy(text))) >= 2, "the old log too, to its last entry"
