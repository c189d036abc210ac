"""Whatever is changed in a copy of the log is found, and the place is named."""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.ledger.files import DiskLogFiles
from gateway.ledger.sequencer import Sequencer
from gateway.ports import PendingEntry
from gateway.verifier.verify import verify_log

ROOT = Path(__file__).parents[3]


class Key:
    """A signer over a raw key."""

    name = "test.example/provisions"

    def __init__(self, seed: bytes = bytes(32)) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self.public_key = self._key.public_key().public_bytes_raw()

    def sign(self, message: bytes) -> bytes:
        return self._key.sign(message)


class ListOutbox:
    """An outbox in memory."""

    def __init__(self, entries: list[bytes]) -> None:
        self.entries, self.size, self.root = entries, 0, b""

    def assign_positions(self, limit: int) -> int:
        return 0

    def positioned_from(self, position: int, limit: int) -> list[PendingEntry]:
        found = list(enumerate(self.entries))[position : position + limit]
        return [PendingEntry(entry_id=str(n), body=body, position=n) for n, body in found]

    def published_size(self) -> int:
        return self.size

    def publish(self, *, size: int, root: bytes, expected_size: int) -> bool:
        if expected_size != self.size:
            return False
        self.size, self.root = size, root
        return True


def write_log(folder: Path, entries: list[bytes]) -> Sequencer:
    sequencer = Sequencer(outbox=ListOutbox(entries), files=DiskLogFiles(folder), signer=Key())
    sequencer.run_once()
    return sequencer


@pytest.fixture
def log(tmp_path: Path) -> Path:
    write_log(tmp_path / "log", [b"entry %d %s" % (n, b"x" * (n % 50)) for n in range(300)])
    return tmp_path / "log"


def flips(log: Path, count: int, seed: int) -> None:
    assert verify_log(log).state == "proven"
    dice = random.Random(seed)
    files = sorted(p for p in log.rglob("*") if p.is_file())
    unseen = []
    for _ in range(count):
        path = dice.choices(files, weights=[p.stat().st_size for p in files])[0]
        clean = path.read_bytes()
        at = dice.randrange(len(clean))
        path.write_bytes(clean[:at] + bytes([clean[at] ^ (1 << dice.randrange(8))]) + clean[at + 1 :])
        verdict = verify_log(log)
        if verdict.state == "proven" or not verdict.place:
            unseen.append((path.name, at))
        path.write_bytes(clean)
    assert not unseen


def test_200_random_one_bit_changes_are_all_found_with_their_place(log: Path) -> None:
    flips(log, 200, seed=1)


@pytest.mark.slow
def test_2000_random_one_bit_changes_are_all_found_with_their_place(log: Path) -> None:
    flips(log, 2000, seed=2)


def test_a_log_rewritten_and_signed_with_the_real_key_passes_alone_and_fails_by_a_receipt(
    log: Path, tmp_path: Path
) -> None:
    sequencer = write_log(tmp_path / "again", [b"entry %d %s" % (n, b"x" * (n % 50)) for n in range(300)])
    receipt = sequencer.receipt(7)
    since = (log / "checkpoint").read_bytes()
    entries = [b"entry %d %s" % (n, b"x" * (n % 50)) for n in range(300)]
    entries[3] = b"nothing happened here"
    write_log(tmp_path / "other", entries)
    assert verify_log(tmp_path / "other").state == "proven"
    assert verify_log(tmp_path / "other", receipts=[receipt]).place == "receipt 1"
    assert verify_log(tmp_path / "other", since=since).place == "kept checkpoint"
    assert verify_log(log, receipts=[receipt], since=since).state == "proven"


def test_a_log_cut_short_is_found_by_a_receipt(tmp_path: Path) -> None:
    long = write_log(tmp_path / "long", [b"%d" % n for n in range(20)])
    write_log(tmp_path / "short", [b"%d" % n for n in range(10)])
    verdict = verify_log(tmp_path / "short", receipts=[long.receipt(15)])
    assert (verdict.state, verdict.place) == ("tampered", "receipt 1")


@pytest.mark.parametrize("name", ["notes.txt", "tile/0/999", "tile/entries/000.bak"])
def test_a_stray_file_is_refused(log: Path, name: str) -> None:
    (log / name).write_bytes(b"hello")
    verdict = verify_log(log)
    assert (verdict.state, verdict.place) == ("tampered", name)


def test_a_removed_bundle_is_tampering_and_a_missing_folder_could_not_tell(log: Path, tmp_path: Path) -> None:
    (log / "tile/entries/000").unlink()
    assert verify_log(log).place == "tile/entries/000"
    assert verify_log(tmp_path / "nowhere").state == "unknown"


def test_a_checkpoint_of_another_key_is_refused(log: Path) -> None:
    other = Sequencer(outbox=ListOutbox([]), files=DiskLogFiles(log), signer=Key(bytes([1]) * 32)).key.text()
    verdict = verify_log(log, key=other)
    assert (verdict.state, verdict.place) == ("tampered", "checkpoint")


def test_inv17_a_copy_a_key_and_a_receipt_are_enough_in_a_process_without_us(log: Path, tmp_path: Path) -> None:
    """Invariant 17: the verifier's package alone, copied away, with nothing else of the project importable."""
    package = tmp_path / "alone" / "gateway"
    shutil.copytree(ROOT / "gateway" / "verifier", package / "verifier", ignore=shutil.ignore_patterns("__pycache__"))
    (package / "__init__.py").write_text("")
    code = f"import sys; sys.path.insert(0, {str(package.parent)!r}); sys.argv[0] = 'v'\n"
    code += (
        "import gateway.verifier.__main__ as m; assert 'alone' in m.__file__; raise SystemExit(m.main(sys.argv[1:]))"
    )
    done = subprocess.run([sys.executable, "-I", "-c", code, str(log)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "on trust" in done.stdout
    (log / "tile/0/000").write_bytes(b"\0" * 8192)
    done = subprocess.run([sys.executable, "-I", "-c", code, str(log)], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "tile" in done.stdout


class FailingFiles:
    """Fails at the n-th write, like a crash between two files."""

    def __init__(self, folder: Path, fail_at: int) -> None:
        self._files, self._left = DiskLogFiles(folder), fail_at

    def read(self, path: str) -> bytes | None:
        return self._files.read(path)

    def write(self, path: str, data: bytes) -> None:
        self._left -= 1
        if self._left < 0:
            raise OSError("the power went")
        self._files.write(path, data)


def test_a_crash_at_any_write_is_mended_by_running_again(tmp_path: Path) -> None:
    entries = [b"%d" % n for n in range(600)]
    write_log(tmp_path / "whole", entries)
    expected = {
        p.relative_to(tmp_path / "whole"): p.read_bytes() for p in (tmp_path / "whole").rglob("*") if p.is_file()
    }
    for fail_at in range(12):
        folder = tmp_path / f"crash{fail_at}"
        outbox = ListOutbox(entries[:100])
        Sequencer(outbox=outbox, files=DiskLogFiles(folder), signer=Key()).run_once()
        outbox.entries = entries
        try:
            Sequencer(outbox=outbox, files=FailingFiles(folder, fail_at), signer=Key()).run_once()
        except OSError:
            Sequencer(outbox=outbox, files=DiskLogFiles(folder), signer=Key()).run_once()
        assert verify_log(folder).state == "proven"
        assert all((folder / path).read_bytes() == data for path, data in expected.items())
