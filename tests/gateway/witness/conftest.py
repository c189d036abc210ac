"""A log in memory, three witnesses on disk, and a way to show them anything signed with the log's real key."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from gateway.ledger import integrate, sign_checkpoint, verifier_key
from gateway.ledger.log import TreeFiles
from gateway.verifier.policy import Policy, parse_policy
from gateway.witness import Answer, Cosigning, Reply, Witness, format_request
from tests.gateway.ledger.conftest import MemoryFiles, SeededSigner, SetClock


@dataclass
class Log:
    """Everything an insider has: the entries, the tiles and the real key."""

    files: MemoryFiles = field(default_factory=MemoryFiles)
    signer: SeededSigner = field(default_factory=SeededSigner)
    entries: list[bytes] = field(default_factory=list)

    def grow(self, *entries: bytes) -> bytes:
        """Append and sign; the checkpoint."""
        size, root = integrate(self.files, len(self.entries), entries)
        self.entries += entries
        signed = sign_checkpoint(self.signer, size=size, root=root)
        self.files.write("checkpoint", signed)
        return signed

    def rewritten(self, entries: Sequence[bytes]) -> Log:
        """Another history under the same key."""
        other = Log(signer=self.signer)
        other.grow(*entries)
        return other

    def request(self, old: int) -> bytes:
        """What an honest asker sends for the present checkpoint."""
        size = len(self.entries)
        proof = TreeFiles(self.files, size).consistency(old) if 0 < old < size else []
        signed = self.files.read("checkpoint")
        assert signed is not None
        return format_request(old=old, proof=proof, signed_checkpoint=signed)


@dataclass
class Witnesses:
    """Three of them, each with a folder and a key of its own; ``down`` ones cannot be reached."""

    root: Path
    log: Log
    clock: SetClock = field(default_factory=SetClock)
    down: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.each: dict[str, Witness] = {}
        for number in range(3):
            self.start(f"w{number}")

    def start(self, name: str) -> Witness:
        """Start it, or start it again over what its folder holds."""
        signer = SeededSigner(f"witness.example/{name}", bytes([int(name[1:]) + 1]) * 32)
        keys = [verifier_key(self.log.signer)]
        self.each[name] = Witness(signer, keys, root=self.root / name, clock=self.clock)
        return self.each[name]

    def policy(self, needed: int = 2) -> Policy:
        lines = [f"log {verifier_key(self.log.signer)}"]
        lines += [f"witness {name} {witness.key}" for name, witness in self.each.items()]
        return parse_policy("\n".join([*lines, f"group G {needed} {' '.join(self.each)}", "quorum G"]))

    def post(self, name: str) -> Callable[[bytes], Reply | None]:
        def post(body: bytes) -> Reply | None:
            if name in self.down:
                return None
            answer: Answer = self.each[name].add_checkpoint(body)
            return Reply(status=answer.status, body=answer.body)

        return post

    def cosigning(self, needed: int = 2, log: Log | None = None) -> Cosigning:
        posts = {name: self.post(name) for name in self.each}
        return Cosigning((log or self.log).files, self.policy(needed), posts, clock=self.clock)


def entries(count: int, word: str = "event") -> list[bytes]:
    return [f"{word} {number}".encode() for number in range(count)]


@pytest.fixture
def witnesses(tmp_path: Path) -> Witnesses:
    made = Witnesses(tmp_path, Log())
    made.log.grow(*entries(10))
    return made
