"""Prove the demo's ledger from outside: a copy of the folder, the key, one receipt, another process."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from gateway.demo.errors import StoryError
from gateway.env import Env
from gateway.home import read_home
from gateway.keys import FileKeys
from gateway.ledger.checkpoint import sign_checkpoint, verifier_key
from gateway.ledger.files import DiskLogFiles
from gateway.ledger.log import integrate, read_entries
from gateway.machine import SystemRandomness
from gateway.settings import Settings
from gateway.verifier.tiles import WIDTH, Tile


def prove(env: Env, settings: Settings, receipt: bytes) -> tuple[dict[str, Any], str]:
    """The summary's ledger part, and what the story says. Raises StoryError when a tampering goes unseen."""
    env.ledger.sync()
    home = read_home(settings)
    with tempfile.TemporaryDirectory() as folder:
        room = Path(folder)
        kept, key = room / "kept.tlog-proof", room / "log.vkey"
        kept.write_bytes(receipt)
        shutil.copy(home.ledger / "log.vkey", key)
        clean = _copied(home.ledger, room / "clean")
        proven = _verify(clean, key, kept, expect=0)
        flipped = _copied(home.ledger, room / "flipped")
        bundle = sorted((flipped / "tile" / "entries").rglob("*"))[-1]
        data = bytearray(bundle.read_bytes())
        data[len(data) // 2] ^= 1
        bundle.write_bytes(bytes(data))
        place = _verify(flipped, key, kept, expect=1)["place"]
        rewritten = _rewritten(settings, home.ledger, room / "rewritten")
        _verify(rewritten, key, None, expect=0)
        found = _verify(rewritten, key, kept, expect=1)["place"]
        _verify(room / "nothing", key, kept, expect=2)
    ledger = {"size": proven["size"], "root": proven["root_b64"], "verified": True}
    said = f"{proven['size']} entries proven; flipped byte found in {place}; rewritten log found by {found}"
    return ledger, said


def _copied(source: Path, target: Path) -> Path:
    shutil.copytree(source, target)
    return target


def _verify(folder: Path, key: Path, receipt: Path | None, *, expect: int) -> dict[str, Any]:
    arguments = [sys.executable, "-m", "gateway.verifier", str(folder), "--key", str(key), "--json"]
    if receipt is not None:
        arguments += ["--receipt", str(receipt)]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False, timeout=60)
    if done.returncode != expect:
        raise StoryError(f"the verifier answered {done.returncode}, not {expect}: {done.stdout} {done.stderr[-300:]}")
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def _rewritten(settings: Settings, source: Path, target: Path) -> Path:
    """What an insider with the real key could do: change an old entry and sign a whole new log."""
    home = read_home(settings)
    signer = FileKeys(settings.home / "keys", SystemRandomness()).ledger_signer(home.origin)
    old = DiskLogFiles(source)
    size = int((source / "checkpoint").read_text("utf-8").split("\n")[1])
    bundles = [Tile(level=None, index=n // WIDTH, width=min(WIDTH, size - n)) for n in range(0, size, WIDTH)]
    entries = [entry for bundle in bundles for entry in read_entries(old, bundle)]
    entries[1] = entries[1].replace(b'"v":1', b'"v":2')
    target.mkdir(mode=0o700)
    files = DiskLogFiles(target)
    _, root = integrate(files, 0, entries)
    files.write("checkpoint", sign_checkpoint(signer, size=size, root=root))
    files.write("log.vkey", f"{verifier_key(signer)}\n".encode())
    return target
