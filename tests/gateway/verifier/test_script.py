"""The single file for a regulator says what the package says, case by case, and needs nothing of ours.

Every other test of this folder asks it too: see ``conftest.py``.
"""

from __future__ import annotations

import ast
import json
import random
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from gateway.ledger import DiskLogFiles, make_receipt
from gateway.verifier import verify_log
from tests.gateway.verifier.conftest import both
from tests.gateway.witness.conftest import Log as WitnessedLog
from tests.gateway.witness.conftest import Witnesses

Log = Any  # tests/gateway/verifier/conftest.py: SignedLog
NAME = "docs/verify_ledger.py"


def test_it_imports_the_standard_library_and_cryptography_alone(repository: Path) -> None:
    imported = set()
    for node in ast.walk(ast.parse((repository / NAME).read_text("utf-8"))):
        if isinstance(node, ast.Import):
            imported |= {one.name.split(".")[0] for one in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            imported.add((node.module or "").split(".")[0])
    assert imported - set(sys.stdlib_module_names) == {"cryptography"}


def agree(script: ModuleType, folder: Path, **given: Any) -> str:
    return both(script, folder, **given).state


def test_both_say_the_same_of_every_kind_of_evidence(script: ModuleType, log: Log, entries: Any) -> None:
    since = (log.folder / "checkpoint").read_bytes()
    receipts = [make_receipt(DiskLogFiles(log.folder), index) for index in (0, 255, 599)]
    log.grow(entries(500))
    assert agree(script, log.folder, key=log.vkey, receipts=receipts, since=since) == "proven"
    assert agree(script, log.folder, key=None) == "proven"
    assert agree(script, log.folder, key=log.vkey, receipts=[receipts[0][:-3]]) == "unknown"
    assert agree(script, log.folder / "nothing", key=None) == "unknown"
    log.rewrite(entries(1100, "other"))
    assert agree(script, log.folder, key=log.vkey, receipts=receipts) == "tampered"
    assert agree(script, log.folder, key=log.vkey, since=since) == "tampered"


def test_both_say_the_same_of_every_changed_byte(script: ModuleType, log: Log) -> None:
    chance = random.Random(5)
    for path in log.files():
        whole = path.read_bytes()
        for position in (0, len(whole) - 1, *(chance.randrange(len(whole)) for _ in range(4))):
            changed = bytearray(whole)
            changed[position] ^= chance.randrange(1, 256)
            path.write_bytes(changed)
            assert agree(script, log.folder, key=log.vkey) == "tampered"
        path.write_bytes(whole)
    (log.folder / "tile" / "stray").write_bytes(b"")
    assert agree(script, log.folder, key=log.vkey) == "tampered"


def test_an_insider_who_rewrites_the_whole_log_is_caught_by_the_witnesses(
    script: ModuleType, log: Log, entries: Any, tmp_path: Path
) -> None:
    """Root, database and the log's real key: everything but the witnesses' keys."""
    witnesses = Witnesses(tmp_path / "witnesses", WitnessedLog())
    lines = [f"witness {name} {witness.key}" for name, witness in witnesses.each.items()]
    policy = "\n".join([*lines, "group G 2 w0 w1 w2", "quorum G"])
    signed = (log.folder / "checkpoint").read_bytes()
    request = b"old 0\n\n" + signed
    assert agree(script, log.folder, key=log.vkey, policy=policy) == "unknown", "not cosigned yet"
    lines_of = {name: witnesses.each[name].add_checkpoint(request).body for name in ("w0", "w2")}
    (log.folder / "checkpoint").write_bytes(signed + b"".join(lines_of.values()))
    assert agree(script, log.folder, key=log.vkey, policy=policy) == "proven"
    assert "cosigned by w0, w2" in verify_log(log.folder, key=log.vkey, policy=policy).detail
    log.rewrite(entries(600, "forged"))
    forged = (log.folder / "checkpoint").read_bytes()
    assert agree(script, log.folder, key=log.vkey) == "proven", "without witnesses and receipts it looks the same"
    assert agree(script, log.folder, key=log.vkey, policy=policy) == "unknown", "no witness stands behind it"
    (log.folder / "checkpoint").write_bytes(forged + lines_of["w0"] + lines_of["w2"])
    assert agree(script, log.folder, key=log.vkey, policy=policy) == "tampered", "cosignatures of the true log"
    for name in ("w0", "w1", "w2"):
        answer = witnesses.each[name].add_checkpoint(b"old 0\n\n" + forged)
        assert answer.status == (200 if name == "w1" else 409)
    assert agree(script, log.folder, key=log.vkey, policy="quorum nobody") == "unknown"


def test_it_runs_alone_in_an_empty_folder_and_exits_0_1_2(repository: Path, log: Log, tmp_path: Path) -> None:
    alone = tmp_path / "alone"
    alone.mkdir()
    shutil.copy(repository / NAME, alone / "verify_ledger.py")

    def run(*arguments: str) -> tuple[int, dict[str, Any]]:
        command = [sys.executable, "-I", "verify_ledger.py", *arguments, "--json"]
        done = subprocess.run(command, cwd=alone, capture_output=True, text=True, check=False, timeout=60)
        return done.returncode, json.loads(done.stdout)

    assert run(str(log.folder), "--key", log.vkey)[0] == 0
    bundle = log.folder / "tile/entries/001"
    bundle.write_bytes(bundle.read_bytes().replace(b'"seq": 300', b'"seq": 301'))
    code, verdict = run(str(log.folder), "--key", log.vkey)
    assert (code, verdict["place"]) == (1, "tile/entries/001")
    assert run(str(tmp_path / "nothing"))[0] == 2
