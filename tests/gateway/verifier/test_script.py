"""The single file for a regulator says what the package says, case by case, and needs nothing of ours.

Every other test of this folder asks it too: see ``conftest.py``.
"""

from __future__ import annotations

import ast
import json
import os
import random
import shutil
import subprocess
import sys
from base64 import b64encode
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from hashlib import sha256
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from gateway.keys.further import ml_dsa_line
from gateway.ledger import DiskLogFiles, make_receipt
from gateway.verifier import verify_log
from gateway.verifier.note import parse_note, parse_vkey, read_checkpoint_text, signature_line
from gateway.verifier.policy import parse_policy, parse_witness_key
from gateway.verifier.proof import parse_proof
from gateway.verifier.tiles import parse_path
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


def bent(receipt: bytes, number: int, line: str) -> bytes:
    lines = receipt.decode().split("\n")
    lines[number] = line
    return "\n".join(lines).encode()


def test_both_take_a_receipt_in_its_one_spelling_and_with_its_own_path(script: ModuleType, log: Log) -> None:
    one = make_receipt(DiskLogFiles(log.folder), 5)
    _, place, path, *_ = one.decode().split("\n")
    assert place == "index 5"
    assert agree(script, log.folder, key=log.vkey, receipts=[one]) == "proven"
    for number, line in [
        (1, "index 05"), (1, "index  5"), (1, "index 6"), (1, "index 600"), (1, "index 99999999999"), (1, "index -1"),
        (1, "extra \nindex 5"), (2, b64encode(bytes(32)).decode()), (2, b64encode(bytes(31)).decode()), (2, path + " "),
    ]:  # fmt: skip
        said = both(script, log.folder, key=log.vkey, receipts=[bent(one, number, line)])
        assert (said.state, said.place) == ("unknown", "receipt 1"), line


def test_both_let_an_entry_speak_of_an_end_without_being_one(script: ModuleType, log: Log) -> None:
    entries = [b'{"said":{"type":"log.end"},"type":"other"}', b'{"type":"log.end"', b"after"]
    log.rewrite(entries)
    assert agree(script, log.folder, key=log.vkey) == "proven"
    log.rewrite([*entries[:2], b'{"type":"log.end"}', b"after"])
    assert agree(script, log.folder, key=log.vkey) == "tampered"


def test_both_refuse_a_policy_in_which_one_party_counts_twice(script: ModuleType, log: Log, tmp_path: Path) -> None:
    witnesses = Witnesses(tmp_path / "witnesses", WitnessedLog())
    line = f"witness one {witnesses.each['w0'].key} http://w0\n"
    pair = line + f"witness two {witnesses.each['w1'].key} http://w1\n"
    groups = ["0 one two", "3 one two", "2 one one", "all one three", "any"]
    for policy in (
        line + line.replace("one", "two") + "quorum one\n", line, "quorum none\nquorum none\n",
        *(f"{pair}group G {group}\nquorum G\n" for group in groups),
    ):  # fmt: skip
        said = both(script, log.folder, key=log.vkey, policy=policy)
        assert (said.state, said.place) == ("unknown", "policy"), policy


def test_both_cannot_tell_where_the_installation_knows_no_such_signature(
    script: ModuleType, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, line = ml_dsa_line(log.origin, bytes(32))
    signed = (log.folder / "checkpoint").read_bytes()
    (log.folder / "checkpoint").write_bytes(signed + line(signed.split(b"\n\n")[0] + b"\n", datetime.now(UTC)))
    policy = f"witness later {key}\nquorum later\n"
    assert agree(script, log.folder, key=log.vkey, policy=policy) == "proven"
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.asymmetric.mldsa", None)
    said = both(script, log.folder, key=log.vkey, policy=policy)
    assert (said.state, said.place) == ("unknown", "checkpoint")
    assert agree(script, log.folder, key=log.vkey) == "proven"


def test_both_find_what_is_neither_file_nor_folder(script: ModuleType, log: Log) -> None:
    os.mkfifo(log.folder / "tile" / "pipe")
    said = both(script, log.folder, key=log.vkey)
    assert (said.state, said.place) == ("tampered", "tile/pipe")


def test_both_need_a_key_and_a_head_of_this_very_log(script: ModuleType, log: Log) -> None:
    signed = (log.folder / "checkpoint").read_bytes()
    text = signed.split(b"\n\n")[0].replace(log.origin.encode(), b"another.example/log", 1) + b"\n"
    (log.folder / "checkpoint").write_bytes(text + b"\n" + signature_line(parse_vkey(log.vkey), log.sign(text)))
    assert agree(script, log.folder, key=log.vkey) == "tampered", "signed by this log's key, for another log"
    (log.folder / "checkpoint").write_bytes(signed)
    (log.folder / "log.vkey").unlink()
    assert agree(script, log.folder, key=log.vkey) == "proven", "a key that was given is enough"
    assert agree(script, log.folder, key=None) == "unknown"
    for given in ("nonsense", log.vkey[:-2], ""):
        assert agree(script, log.folder, key=given) == "unknown"
    (log.folder / "checkpoint").unlink()
    assert agree(script, log.folder, key=log.vkey) == "unknown"


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


WITNESS = (b"\x04", b"\x06")
PIECES = (
    "",
    " ",
    "  ",
    "\n",
    "\n\n",
    "\r",
    "\t",
    "\u2014",
    "\u00a0",
    "\x7f",
    "+",
    "=",
    "/",
    ".",
    "-",
    "0",
    "1",
    "00",
    "=\n",
    "none",
    "x",
)
"""What an edit puts in: everything that these formats give a meaning to, or must not."""


def edited(chance: random.Random, text: str) -> str:
    """One to three small edits: a piece put in, a stretch left out, doubled or swapped with another."""
    for _ in range(chance.randint(1, 3)):
        start = chance.randrange(len(text) + 1)
        end = min(len(text), start + chance.choice((0, 1, 1, 2, 5, 20)))
        put = chance.choice((*PIECES, text[start:end] * 2, chr(chance.randrange(32, 127))))
        text = text[:start] + put + text[end:]
    lines = text.split("\n")
    if chance.random() < 0.2:
        first, second = chance.randrange(len(lines)), chance.randrange(len(lines))
        lines[first], lines[second] = lines[second], lines[first]
    return "\n".join(lines)


def answered(read: Callable[[Any], object], given: Any) -> tuple[bool, str]:
    """Whether it was read, and why not."""
    try:
        read(given)
    except (ValueError, KeyError) as error:
        return False, str(error)
    return True, ""


def readers(script: ModuleType, log: Log, witnesses: Witnesses) -> Iterator[tuple[str, list[str], Any, Any]]:
    """Each format: a good text or more, the package's reader and the script's."""
    signed = (log.folder / "checkpoint").read_text("utf-8")
    receipts = [make_receipt(DiskLogFiles(log.folder), index).decode() for index in (0, 599)]
    lines = [f"witness {name} {witness.key} http://{name}" for name, witness in witnesses.each.items()]
    groups = ["# ours", "group G 2 w0 w1 w2", "group H any w0 w1", "group I all G H", "quorum I", ""]
    policies = ["\n".join([f"log {log.vkey}", *lines, *groups]), "\n".join([*lines, "quorum none"])]
    extra = receipts[1].replace("\n", "\nextra AAAA\n", 1)
    yield "note", [signed, signed + signed.split("\n\n")[1]], parse_note, script.read_note
    yield "head", [signed.split("\n\n")[0] + "\n"], read_checkpoint_text, script.read_head
    yield "receipt", [*receipts, extra], parse_proof, script.read_receipt
    yield "key", [log.vkey], parse_vkey, script.read_key
    witness = str(witnesses.each["w0"].key)
    yield "witness key", [witness], parse_witness_key, partial(script.read_key, kinds=WITNESS)
    yield "policy", policies, parse_policy, script.read_policy
    paths = ["tile/0/x001/234", "tile/entries/000.p/17", "tile/63/999"]
    yield "path", paths, parse_path, partial(path_read, script)


def path_read(script: ModuleType, path: str) -> None:
    if script.read_path(path) is None:
        raise ValueError("no path")


SEEDS = [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 16))]


@pytest.mark.parametrize("seed", SEEDS)
def test_both_read_the_same_texts_and_refuse_the_same(script: ModuleType, log: Log, tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    accepted, refused = Counter[str](), Counter[str]()
    for name, texts, ours, theirs in readers(script, log, Witnesses(tmp_path / "witnesses", WitnessedLog())):
        in_bytes = name in ("note", "head", "receipt")
        for _ in range(1000):
            text = edited(chance, chance.choice(texts))
            given = text.encode() if in_bytes else text
            (one, why), (other, otherwise) = answered(ours, given), answered(theirs, given)
            assert one == other, f"{name}: {given!r}: {why!r} and {otherwise!r}"
            (accepted if one else refused)[name] += 1
        for text in texts:
            assert answered(theirs, text.encode() if in_bytes else text)[0], name
    assert min(refused.values()) > 100, "most edits are refused"
    assert set(accepted) >= {"policy", "receipt", "head", "path"}, "and some are not"


def keys_made_wrong() -> Iterator[str]:
    """Each bears the id of what it is, so nothing but its name, kind or length speaks against it."""
    for name, kind, size in (
        *((name, b"\x01", 32) for name in ("", "a b", "a+b", "a\u00a0b", "a\tb")),
        *(("log", kind, size) for kind, size in ((b"\x01", 31), (b"\x01", 33), (b"\x01", 0), (b"\x02", 32), (b"", 32))),
        *(("witness", kind, size) for kind, size in ((b"\x04", 31), (b"\x06", 32), (b"\x06", 1313), (b"\x05", 32))),
    ):
        body = kind + bytes(size)
        key_id = sha256(name.encode() + b"\n" + body).hexdigest()[:8]
        yield f"{name}+{key_id}+{b64encode(body).decode()}"


def test_both_refuse_what_is_well_made_and_still_not_allowed(script: ModuleType, log: Log) -> None:
    for text in keys_made_wrong():
        for ours, theirs in (
            (parse_vkey, script.read_key),
            (parse_witness_key, partial(script.read_key, kinds=WITNESS)),
        ):
            assert not answered(ours, text)[0], text
            assert not answered(theirs, text)[0], text
    signed = (log.folder / "checkpoint").read_bytes()
    text, line = signed.split(b"\n\n")
    long = text + b"\nextension " + b"x" * 1_000_000 + b"\n\n" + line
    for note, good in (
        (signed, True),
        (line, False),
        (signed + 99 * line, True),
        (signed + 100 * line, False),
        (long, False),
    ):
        assert (answered(parse_note, note)[0], answered(script.read_note, note)[0]) == (good, good), len(note)


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
