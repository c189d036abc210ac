"""Logs to examine; ``shared_data`` moves to tests/conftest.py with the foundation."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.ledger import DiskLogFiles, integrate, sign_checkpoint
from gateway.verifier.note import VerifierKey, parse_checkpoint


@dataclass
class SignedLog:
    """A log in a folder that its own key can sign again, as an insider could."""

    folder: Path
    seed: bytes = bytes(range(32))
    origin: str = "gateway.example/provisions"

    @property
    def name(self) -> str:
        return self.origin

    @property
    def public_key(self) -> bytes:
        return self._key.public_key().public_bytes_raw()

    @property
    def vkey(self) -> str:
        return str(VerifierKey(name=self.origin, public_key=self.public_key))

    def sign(self, message: bytes) -> bytes:
        return self._key.sign(message)

    def rewrite(self, entries: Sequence[bytes]) -> None:
        """Write a whole log of these entries and sign it, over whatever is there."""
        if self.folder.exists():
            shutil.rmtree(self.folder)
        files = DiskLogFiles(self.folder)
        size, root = integrate(files, 0, entries)
        files.write("checkpoint", sign_checkpoint(self, size=size, root=root))
        files.write("log.vkey", f"{self.vkey}\n".encode())

    def grow(self, entries: Sequence[bytes]) -> None:
        """Append honestly."""
        files = DiskLogFiles(self.folder)
        old = parse_checkpoint((self.folder / "checkpoint").read_bytes())
        size, root = integrate(files, old.size, entries)
        files.write("checkpoint", sign_checkpoint(self, size=size, root=root))

    def files(self) -> list[Path]:
        return sorted(path for path in self.folder.rglob("*") if path.is_file())

    @property
    def _key(self) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes(self.seed)


def some_entries(count: int, word: str = "provision") -> list[bytes]:
    return [f'{{"event": "{word}", "seq": {n}}}'.encode() for n in range(count)]


@pytest.fixture
def log(tmp_path: Path) -> SignedLog:
    """600 entries: full and partial bundles, three levels of tiles' paths."""
    made = SignedLog(folder=tmp_path / "ledger")
    made.rewrite(some_entries(600))
    return made


@pytest.fixture
def entries() -> Callable[..., list[bytes]]:
    return some_entries
