"""Logs to examine, and a second opinion on every one of them.

Whatever a test of this folder asks ``verify_log`` or ``verify_line``, the file for a regulator is asked too: it shares
no line with the package, so the two are oracles of each other. What they answer must be the same but for the words.
"""

from __future__ import annotations

import importlib.util
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.ledger import DiskLogFiles, integrate, sign_checkpoint
from gateway.verifier.note import VerifierKey, parse_checkpoint
from gateway.verifier.succession import verify_line
from gateway.verifier.verify import Verdict


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


@pytest.fixture(scope="session")
def script(repository: Path) -> ModuleType:
    """``docs/verify_ledger.py``."""
    spec = importlib.util.spec_from_file_location("verify_ledger", repository / "docs/verify_ledger.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["verify_ledger"] = module
    spec.loader.exec_module(module)
    return module


def both(script: ModuleType, folders: Path | Sequence[Path], **given: Any) -> Verdict:
    """What the package says; the script has been seen to say the same."""
    line = [folders] if isinstance(folders, Path) else folders
    ours = verify_line(line, **given)
    state, signed, place, _ = script.verify(line, **given)
    assert (state, *signed, place) == (ours.state, ours.size, ours.root_b64, ours.place), ours.detail
    return ours


@pytest.fixture(autouse=True)
def _a_second_opinion(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, script: ModuleType) -> None:
    for name in ("verify_log", "verify_line"):
        # The side root is the one thing the script does not look at.
        if hasattr(request.module, name) and not request.module.__name__.endswith("test_side"):
            monkeypatch.setattr(request.module, name, partial(both, script))
