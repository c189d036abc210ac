"""Kill a gateway under load, again and again, and write down what its clients saw.

    python -m tests.gateway.kills.driver TASK.json OUT.json

Clients are threads with connections of their own: they ask for releases, watch them, fetch files whole, in part, or
break off. Files come over a port of their own, so that a firewall rule on that port counts nothing but hand-over. What
a client counts is what it read from the socket as a body. Nothing here knows the gateway's own figures.
"""

from __future__ import annotations

import http.client
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

BROKEN = (OSError, http.client.HTTPException)
TABLE = "tongguan_kills"


class Seen:
    """What clients know of one release."""

    def __init__(self) -> None:
        self.acknowledged = ""
        self.bytes = 0
        self.signed_at_first_byte: int | None = None


class Load:
    """The clients and what they saw."""

    def __init__(self, task: dict[str, Any]) -> None:
        self.task = task
        self.dice = random.Random(task["seed"])
        self.seen: dict[str, Seen] = {}
        self.lock = threading.Lock()
        self.token = ""
        self.stop = threading.Event()
        self.fetches = self.answers = 0

    def call(self, method: str, path: str, body: Any = None, *, data: bool = False) -> http.client.HTTPResponse:
        """One request over a connection of its own; the answer's body is still to be read."""
        port = self.task["data" if data else "control"]
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        headers = {"Content-Type": "application/json", "Connection": "close"}
        headers |= {"Authorization": f"Bearer {self.token}"} if self.token else {}
        headers |= {"Range": f"bytes={body['from']}-"} if data and body else {}
        connection.request(method, path, None if data or body is None else json.dumps(body), headers)
        answer = connection.getresponse()
        self.answers += 1
        return answer

    def sign_in(self) -> None:
        """Until the server answers."""
        while not self.token and not self.stop.is_set():
            with suppress(*BROKEN, KeyError, ValueError):
                body = {"login": "researcher", "password": self.task["password"], "place_of_access": "hong_kong"}
                self.token = json.loads(self.call("POST", "/tokens", body).read())["token"]

    def client(self, number: int) -> None:
        """Work until told to stop; a broken connection is what is to be expected."""
        dice = random.Random(self.task["seed"] * 1000 + number)
        while not self.stop.is_set():
            try:
                self.step(dice)
            except BROKEN:
                time.sleep(0.02)
            except ValueError:
                continue  # half an answer is no answer

    def step(self, dice: random.Random) -> None:
        """One act of one client."""
        with self.lock:
            open_ones = [one for one, seen in self.seen.items() if seen.acknowledged in ("", "asked")]
            ready = [one for one, seen in self.seen.items() if seen.acknowledged == "available"]
        if len(open_ones) < self.task["open"]:
            self.ask(f"{dice.getrandbits(128):032x}")
        elif ready and dice.random() < 0.6:
            self.fetch(dice.choice(ready[-8:]), dice)
        elif open_ones:
            self.watch(dice.choice(open_ones))
            time.sleep(0.01)
        else:
            time.sleep(0.05)

    def ask(self, release: str) -> None:
        """The id is the idempotency key: asking again after a broken answer is the same request."""
        with self.lock:
            self.seen[release] = Seen()
        self.watch(release)

    def watch(self, release: str) -> None:
        """Ask again where the request was not acknowledged, else look."""
        if not self.seen[release].acknowledged:
            body = {"id": release, "item_id": self.task["item"], "view_id": self.task["view"]}
            answer = self.call("POST", "/releases", body)
            answer.read()
            if answer.status == 202:
                self.seen[release].acknowledged = "asked"
            return
        answer = self.call("GET", f"/releases/{release}")
        told = json.loads(answer.read())
        if answer.status == 200 and told["state"] in ("available", "closed", "refused", "failed"):
            self.seen[release].acknowledged = "available" if told["state"] == "closed" else told["state"]

    def fetch(self, release: str, dice: random.Random) -> None:
        """A file, whole, from somewhere in it, or broken off; every body byte that arrives is counted."""
        listed = self.call("GET", f"/releases/{release}/files")
        files = json.loads(listed.read())
        if listed.status != 200:
            return
        chosen = dice.choice(files)
        part = {"from": dice.randrange(chosen["size"])} if dice.random() < 0.4 else None
        with self.lock:
            self.fetches += 1
        answer = self.call("GET", f"/releases/{release}/files/{chosen['name']}", part, data=True)
        broken_off = dice.random() < 0.3
        while chunk := answer.read1(dice.choice((1, 1000, 65536))):
            if answer.status in (200, 206):
                self.count(release, len(chunk))
            if broken_off and dice.random() < 0.2:
                answer.close()
                return

    def count(self, release: str, size: int) -> None:
        """Bytes in hand, and what was signed on disk when the first of them was."""
        seen = self.seen[release]
        if seen.signed_at_first_byte is None:
            seen.signed_at_first_byte = signed_size(Path(self.task["home"]))
        with self.lock:
            seen.bytes += size


def signed_size(home: Path) -> int:
    """The size in the checkpoint as it lies on disk."""
    return int((home / "ledger" / "checkpoint").read_bytes().split(b"\n")[1])


class Servers:
    """The gateway's starts and ends."""

    def __init__(self, task: dict[str, Any]) -> None:
        arguments = (task["home"], str(task["control"]), str(task["data"]))
        command = [sys.executable, "-m", "tests.gateway.kills.server", *arguments]
        self.port = task["control"]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def start(self) -> int:
        """The process id of a new server, which may not listen yet."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("start\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())

    def wait_ready(self, pid: int, limit: float) -> float:
        """Seconds until it accepts a connection."""
        began = time.monotonic()
        while time.monotonic() - began < limit:
            with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
                return time.monotonic() - began
            os.kill(pid, 0)
            time.sleep(0.01)
        raise SystemExit("the server did not listen again after a kill")

    def kill(self, pid: int) -> None:
        """The whole group at once, as a machine that falls over; returns when it is gone."""
        os.killpg(pid, signal.SIGKILL)
        for _ in range(1000):
            try:
                os.kill(pid, 0)
            except ProcessLookupError:
                return
            time.sleep(0.01)


def run(task: dict[str, Any]) -> dict[str, Any]:
    """As many kills as the task wants; what was seen."""
    load, servers = Load(task), Servers(task)
    firewall = task["firewall"] and _firewall(task["data"])
    pid = servers.start()
    slowest = servers.wait_ready(pid, 60)
    threads = [threading.Thread(target=load.client, args=(number,), daemon=True) for number in range(task["clients"])]
    load.sign_in()
    for thread in threads:
        thread.start()
    for _ in range(task["kills"]):
        if load.dice.random() < 0.9:
            slowest = max(slowest, servers.wait_ready(pid, 60))
            time.sleep(load.dice.uniform(0, task["longest"]))
        else:
            time.sleep(load.dice.uniform(0, 0.4))  # while it is still coming up
        servers.kill(pid)
        pid = servers.start()
    slowest = max(slowest, servers.wait_ready(pid, 60))
    _settle(load)
    load.stop.set()
    for thread in threads:
        thread.join(30)
    servers.kill(pid)
    counted = _counted(task["data"]) if firewall else None
    assert servers.process.stdin is not None
    servers.process.stdin.close()
    servers.process.wait(30)
    releases = {
        one: {"acknowledged": seen.acknowledged, "bytes": seen.bytes, "signed": seen.signed_at_first_byte}
        for one, seen in load.seen.items()
    }
    told = {"releases": releases, "fetches": load.fetches, "answers": load.answers, "firewall": counted}
    return told | {"slowest_start": slowest}


def _settle(load: Load) -> None:
    """Give what was asked for time to end, so that lost and late can be told apart."""
    load.task["open"] = 0
    until = time.monotonic() + 60
    while time.monotonic() < until and any(seen.acknowledged in ("", "asked") for seen in load.seen.values()):
        time.sleep(0.2)


def can_count() -> bool:
    """Whether this machine counts packets in a network namespace of its own."""
    if not all(map(shutil.which, ("unshare", "nft", "ip"))):
        return False
    probe = ["unshare", "--net", "sh", "-c", f"ip link set lo up && nft add table inet {TABLE}"]
    return subprocess.run(probe, capture_output=True, check=False).returncode == 0


def _firewall(port: int) -> bool:
    """Count what leaves the data port; inside a namespace of its own, so nothing else is touched."""
    lines = (
        f"add table inet {TABLE}",
        f"add chain inet {TABLE} out {{ type filter hook output priority 0; }}",
        f"add rule inet {TABLE} out tcp sport {port} counter",
    )
    for line in lines:
        subprocess.run(["nft", *line.split(" ", 5)] if "{" in line else ["nft", *line.split()], check=True)
    return True


def _counted(port: int) -> dict[str, int]:
    listed = json.loads(subprocess.check_output(["nft", "-j", "list", "table", "inet", TABLE]))
    rules = [one["rule"]["expr"] for one in listed["nftables"] if "rule" in one]
    (counter,) = [part["counter"] for rule in rules for part in rule if "counter" in part]
    del port
    return {"packets": counter["packets"], "bytes": counter["bytes"]}


if __name__ == "__main__":
    given = json.loads(Path(sys.argv[1]).read_text("utf-8"))
    Path(sys.argv[2]).write_text(json.dumps(run(given)), "utf-8")
