"""kill -9 of a whole gateway under load: nothing that was acknowledged is lost, nothing is done twice, no byte is free."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from gateway.audit import audit_chain
from gateway.handover import close_expired, close_lost
from gateway.house_logs import begun_logs
from gateway.ledger.line import LineOfLogs
from gateway.verifier.succession import verify_line
from gateway.worker import run_round
from tests.gateway.kills.driver import can_count
from tests.world import PASSWORD, World, reopened

HEADERS = 600
"""More than the head of an answer on the data port has, or a refusal with its body, in bytes."""


def driven(world: World, tmp_path: Path, *, kills: int, firewall: bool, seed: int = 11) -> dict[str, Any]:
    """Run the driver in a process of its own, in a network namespace where the firewall counts."""
    item = world.granted(releases=100_000)
    world.env.ledger.sync()
    task = {
        "home": str(world.settings.home), "password": PASSWORD, "item": item, "view": world.views["variants"],
        "control": free_port(), "data": free_port(), "seed": seed, "kills": kills, "clients": 6, "open": 3,
        "longest": 1.0, "firewall": firewall,
    }  # fmt: skip
    asked, answered = tmp_path / "task.json", tmp_path / "seen.json"
    asked.write_text(json.dumps(task))
    command = [sys.executable, "-m", "tests.gateway.kills.driver", str(asked), str(answered)]
    if firewall:
        command = ["unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh", *command]
    subprocess.run(command, check=True, timeout=90 + 30 * kills)
    seen: dict[str, Any] = json.loads(answered.read_text())
    return seen


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def everything_closed(world: World) -> World:
    """Start once more, let what is on its way arrive, and let every opened event live out its time."""
    again = reopened(world)
    close_lost(again.env)
    while run_round(again.env):
        pass
    assert not again.env.uow.read(lambda tx: tx.find("handover", state="open"))
    again.clock.moved += timedelta(days=400)
    close_expired(again.env)
    again.env.ledger.sync()
    return again


def judged(world: World, seen: dict[str, Any]) -> dict[str, int]:
    """Hold what the clients saw against the proven log."""
    # The clock was set on by 400 days: the year has turned, and there is a second log.
    logs = world.env.uow.read(lambda tx: begun_logs(world.settings, tx))
    verdict = verify_line([files.folder() for _, files in logs], key=None)
    assert verdict.state == "proven", verdict.detail
    entries = sorted(world.entries(), key=lambda row: row["position"])
    assert [row["position"] for row in entries] == list(range(len(entries)))
    assert sum(one.size for one, _ in logs) == len(entries)
    assert verdict.size == logs[-1][0].size
    bodies = [json.loads(row["body"]) for row in entries]
    opened = {body["public"]["release"]: n for n, body in enumerate(bodies) if body["type"] == "release.open"}
    counts = Counter(body["public"]["release"] for body in bodies if body["type"] == "release.open")
    refused = Counter(body["public"]["release"] for body in bodies if body["type"] == "release.refuse")
    ended = Counter(
        body["public"]["release"]
        for body in bodies
        if body["type"] == "release.close" and body["public"]["ended"] != "again"
    )
    charged: Counter[str] = Counter()
    for body in bodies:
        if body["type"] == "release.close":
            charged[body["public"]["release"]] += body["public"]["bytes_charged"]
    assert set(counts.values()) <= {1}, "no release was opened twice"
    assert set(refused.values()) <= {1}
    assert set(ended) == set(opened), "every opened event is closed"
    assert set(ended.values()) <= {1}, "and once"
    for release, told in seen["releases"].items():
        if told["acknowledged"] == "available":
            assert counts[release] == 1, "an acknowledged release is in the log"
        if told["acknowledged"] == "refused":
            assert refused[release] == 1, "an acknowledged refusal is in the log"
        assert told["acknowledged"] != "asked", "what was accepted came to its end"
        if told["bytes"]:
            assert opened[release] < told["signed"], "its event was signed on disk before the first byte came"
        assert told["bytes"] <= charged[release], "nobody has more than was charged"
    return {"charged": sum(charged.values()), "opened": len(opened), "entries": len(entries)}


def audited(world: World) -> None:
    ledger = world.env.ledger
    assert isinstance(ledger, LineOfLogs)
    found = world.env.uow.read(lambda tx: audit_chain(tx, ledger.facts()))
    assert found.wrong == ()


def killed(world: World, tmp_path: Path, *, kills: int, firewall: bool) -> None:
    seen = driven(world, tmp_path, kills=kills, firewall=firewall)
    after = everything_closed(world)
    found = judged(after, seen)
    audited(after)
    in_hand = sum(told["bytes"] for told in seen["releases"].values())
    figures = {"kills": kills, **found, "in_hand": in_hand, "fetches": seen["fetches"], "answers": seen["answers"]}
    figures |= {"firewall": seen["firewall"], "slowest_start_s": round(seen["slowest_start"], 2)}
    sys.stdout.write(json.dumps(figures) + "\n")
    assert in_hand > 0, "there was something to lose"
    assert found["opened"] > 0
    if firewall:
        # Between 40 (a reset) and 60 bytes (a handshake) of each packet are not the gateway's.
        most = seen["firewall"]["bytes"] - 40 * seen["firewall"]["packets"]
        assert in_hand <= most, "the firewall saw what the clients have"
        assert most <= found["charged"] + HEADERS * seen["fetches"], "and no more than was charged left that port"


def test_a_gateway_that_is_killed_a_few_times_under_load_loses_and_doubles_nothing(
    world: World, tmp_path: Path
) -> None:
    killed(world, tmp_path, kills=3, firewall=can_count())


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_five_hundred_kills_under_load_lose_and_double_nothing_and_the_firewall_says_so_too(
    world: World, tmp_path: Path
) -> None:
    if not can_count():
        pytest.skip("no firewall counts in a network namespace here")
    killed(world, tmp_path, kills=500, firewall=True)
