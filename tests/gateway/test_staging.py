"""Staging keeps nothing in clear, nothing half-done, and nothing readable once shredded."""

from __future__ import annotations

import errno
import io
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.crypt4gh import generate_keypair, open_sealed, seal
from gateway.errors import Unavailable
from gateway.keys import CannotUnwrapError, FileKeys, KeyName
from gateway.staging import (
    AlreadySealedError,
    SealedStore,
    StagedFileDamagedError,
    StagedFileMissingError,
    StagedWriter,
    Staging,
    StagingError,
    StagingFullError,
)
from gateway.staging.files import NewFile
from gateway.staging.staged import Place, read_card

SEGMENT = 65536
MARK = b"NA12878 \xe5\xbc\xa0\xe4\xb8\x89 chr1:12345 "


class Randomness:
    def token(self, size: int) -> bytes:
        return os.urandom(size)


@pytest.fixture
def keys(tmp_path: Path) -> FileKeys:
    made = FileKeys(tmp_path / "keys", Randomness())
    made.create_all()
    return made


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "staging"


@pytest.fixture
def staging(root: Path, keys: FileKeys) -> Staging:
    return Staging(root, keys, Randomness())


@pytest.fixture
def copies(tmp_path: Path) -> SealedStore:
    return SealedStore(tmp_path / "copies")


def put(staging: Staging, owner: str, name: str, data: bytes, step: int = 1 << 30) -> None:
    with staging.create(owner, name) as sink:
        for at in range(0, len(data), step):
            sink.write(data[at : at + step])


def everything(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*"))


@pytest.mark.parametrize("size", [0, 1, SEGMENT - 1, SEGMENT, 16 * SEGMENT, 16 * SEGMENT + 1, 50 * SEGMENT + 3])
@pytest.mark.parametrize("step", [1 << 30, 100_003])
def test_what_goes_in_comes_out_and_any_part_of_it(staging: Staging, size: int, step: int) -> None:
    data = os.urandom(size)
    put(staging, "r1", "core.vcf", data, step)
    assert staging.size("r1", "core.vcf") == size
    with staging.open("r1", "core.vcf") as source:
        assert source.read() == data
        for at in {0, size // 2, max(0, size - 5), size, size + 10}:
            source.seek(at)
            assert source.read(70_000) == data[at : at + 70_000]
        assert source.seek(0, io.SEEK_END) == size


def test_nothing_on_the_disk_is_in_clear_and_all_is_private(staging: Staging, root: Path) -> None:
    old = os.umask(0)
    try:
        put(staging, "r1", "core.vcf", MARK * 10_000)
    finally:
        os.umask(old)
    for path in root.rglob("*"):
        mode = stat.S_IMODE(path.stat().st_mode)
        assert mode == (0o700 if path.is_dir() else 0o600)
        assert path.is_dir() or MARK[:7] not in path.read_bytes()
    assert stat.S_IMODE(root.stat().st_mode) == 0o700


def test_the_same_data_never_makes_the_same_file(staging: Staging, root: Path) -> None:
    for owner, name in (("r1", "a"), ("r1", "b"), ("r2", "a")):
        put(staging, owner, name, MARK * 5000)
    files = [path.read_bytes() for path in root.rglob("*") if path.name in "ab"]
    assert len({file[-1000:] for file in files}) == 3


def test_a_shredded_owner_opens_to_nobody_and_the_others_stay(staging: Staging, root: Path) -> None:
    put(staging, "r1", "a", MARK)
    put(staging, "r2", "a", MARK)
    staging.shred("r1")
    assert everything(root) == ["r2", "r2/a", "r2/key"]
    with pytest.raises(StagedFileMissingError, match="nothing is kept for r1"):
        staging.open("r1", "a")
    assert staging.open("r2", "a").read() == MARK
    staging.shred("r1")
    assert staging.names("r1") == []


def test_a_backup_of_the_files_without_the_key_file_opens_to_nobody(staging: Staging, root: Path) -> None:
    put(staging, "r1", "a", MARK)
    saved = (root / "r1/a").read_bytes()
    staging.shred("r1")
    put(staging, "r1", "b", b"new life of the same owner")
    (root / "r1/a").write_bytes(saved)
    with pytest.raises(StagedFileDamagedError):
        staging.open("r1", "a")


def test_the_key_goes_before_the_files(staging: Staging, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A shredding broken off after its first act has already ended every reading, and can be finished."""
    put(staging, "r1", "a", MARK)

    def broken(path: Path) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr("gateway.staging.store.shutil.rmtree", broken)
        with pytest.raises(StagingError, match="Input/output"):
            staging.shred("r1")
    assert everything(root) == ["r1", "r1/a"]
    with pytest.raises(StagedFileMissingError, match="shredded"):
        staging.open("r1", "a")
    put(staging, "r1", "b", b"again")
    assert everything(root) == ["r1", "r1/b", "r1/key"]


def test_the_key_is_overwritten_before_it_is_removed(
    staging: Staging, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(staging, "r1", "a", MARK)
    kept = root / "kept"
    os.link(root / "r1/key", kept)
    staging.shred("r1")
    assert set(kept.read_bytes()) == {0}


def test_one_owners_key_or_file_does_not_serve_another(staging: Staging, root: Path) -> None:
    """Invariant 12: no shared data keys."""
    put(staging, "r1", "a", MARK)
    put(staging, "r1", "b", b"other")
    put(staging, "r2", "a", b"other")
    (root / "r1/b").write_bytes((root / "r1/a").read_bytes())
    with pytest.raises(StagedFileDamagedError, match="b of r1"):
        staging.open("r1", "b")
    (root / "r2/a").write_bytes((root / "r1/a").read_bytes())
    with pytest.raises(StagedFileDamagedError, match="a of r2"):
        staging.open("r2", "a")
    (root / "r2/key").write_bytes((root / "r1/key").read_bytes())
    with pytest.raises(CannotUnwrapError, match="staging/r2"):
        staging.open("r2", "a")


def test_a_card_is_bound_to_owner_and_name_even_under_one_key(staging: Staging, root: Path) -> None:
    put(staging, "r1", "a", MARK)
    key = bytes(32)
    for owner, name in (("r1", "a"), ("r2", "a"), ("r1", "b")):
        file = NewFile(root, "x", what="staging", replace=True)
        with StagedWriter(file, Place(owner="r1", name="a", key=key), Randomness()) as sink:
            sink.write(MARK)
        with (root / "x").open("rb") as source:
            if (owner, name) == ("r1", "a"):
                assert read_card(source, Place(owner=owner, name=name, key=key)).size == len(MARK)
                continue
            with pytest.raises(StagedFileDamagedError):
                read_card(source, Place(owner=owner, name=name, key=key))


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda data: b"",
    "cut card": lambda data: data[:50],
    "card byte": lambda data: data[:40] + bytes([data[40] ^ 1]) + data[41:],
    "cut at a segment": lambda data: data[: 88 + 65564],
    "cut inside": lambda data: data[:-1],
    "longer": lambda data: data + bytes(100),
    "segments swapped": lambda data: data[:88] + data[88 + 65564 : 88 + 2 * 65564] + data[88 : 88 + 65564] + data[88 + 2 * 65564 :],
    "data byte": lambda data: data[:1000] + bytes([data[1000] ^ 1]) + data[1001:],
}  # fmt: skip


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_staged_file_is_unavailable_and_never_read_as_whole(staging: Staging, root: Path, kind: str) -> None:
    put(staging, "r1", "a", os.urandom(3 * SEGMENT + 5))
    path = root / "r1/a"
    path.write_bytes(DAMAGE[kind](path.read_bytes()))
    with pytest.raises(StagedFileDamagedError, match="a of r1") as caught, staging.open("r1", "a") as source:
        source.read()
    assert isinstance(caught.value, Unavailable)


def test_work_that_fails_leaves_nothing_and_keeps_the_old(staging: Staging, root: Path) -> None:
    put(staging, "r1", "a", b"old")
    with pytest.raises(RuntimeError, match="halfway"):
        fail_halfway(staging)
    assert everything(root) == ["r1", "r1/a", "r1/key"]
    assert staging.open("r1", "a").read() == b"old"
    put(staging, "r1", "a", b"new")
    assert staging.open("r1", "a").read() == b"new"


def fail_halfway(staging: Staging) -> None:
    with staging.create("r1", "a") as sink:
        sink.write(os.urandom(3 << 20))
        raise RuntimeError("halfway")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
@pytest.mark.parametrize("call", ["write", "pwrite", "fsync"])
def test_a_full_disk_is_named_and_leaves_nothing(
    staging: Staging, copies: SealedStore, root: Path, monkeypatch: pytest.MonkeyPatch, call: str, number: int
) -> None:
    put(staging, "r1", "kept", b"kept")

    def full(*arguments: Any) -> int:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(f"gateway.staging.files.os.{call}", full)
        with pytest.raises(StagingFullError, match="staging: no room left"):
            put(staging, "r1", "a", os.urandom(3 << 20))
        if call != "pwrite":
            with pytest.raises(StagingFullError, match="sealed copies: no room"), copies.create("c1") as sink:
                sink.write(b"x")
    assert everything(root) == ["r1", "r1/kept", "r1/key"]
    assert copies.clean([]) == []
    assert staging.open("r1", "kept").read() == b"kept"


FILL = """
import os, resource, signal, sys
from pathlib import Path
from gateway.keys import FileKeys
from gateway.staging import Staging, StagingFullError
class Randomness:
    def token(self, size): return os.urandom(size)
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
root = Path(sys.argv[1])
keys = FileKeys(root / "keys", Randomness())
keys.create_all()
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
try:
    with Staging(root / "staging", keys, Randomness()).create("r1", "a") as sink:
        for _ in range(100):
            sink.write(os.urandom(1 << 16))
except StagingFullError:
    sys.exit(7)
"""


def test_a_real_size_limit_of_the_system_is_met_and_leaves_nothing(tmp_path: Path, root: Path) -> None:
    done = subprocess.run([sys.executable, "-c", FILL, str(tmp_path)], check=False)
    assert done.returncode == 7
    assert everything(root) == ["r1", "r1/key"]


KILLED = """
import os, signal, sys
from pathlib import Path
from gateway.keys import FileKeys
from gateway.staging import SealedStore, Staging
class Randomness:
    def token(self, size): return os.urandom(size)
root = Path(sys.argv[1])
keys = FileKeys(root / "keys", Randomness())
keys.create_all()
copy = SealedStore(root / "copies").create("c1")
copy.write(bytes(5 << 20))
sink = Staging(root / "staging", keys, Randomness()).create("r1", "a")
sink.write(bytes(5 << 20))
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_writer_leaves_no_file_and_the_start_cleans_up(
    tmp_path: Path, keys: FileKeys, staging: Staging, copies: SealedStore, root: Path
) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert staging.names("r1") == []
    with pytest.raises(StagedFileMissingError):
        staging.open("r1", "a")
    with pytest.raises(StagedFileMissingError):
        copies.open("c1")
    assert len(everything(root)) == 3
    assert staging.clean(["r1"]) == []
    assert copies.clean(["c1"]) == []
    assert everything(root) == ["r1", "r1/key"]
    assert everything(tmp_path / "copies") == []


def test_the_start_keeps_what_is_known_and_shreds_the_rest(staging: Staging, root: Path) -> None:
    for owner in ("r1", "r2", "r3"):
        put(staging, owner, "a", MARK)
    (root / "stray file").write_text("x")
    (root / ".hidden").mkdir()
    assert sorted(staging.clean({"r2", "unknown"})) == [".hidden", "r1", "r3", "stray file"]
    assert everything(root) == ["r2", "r2/a", "r2/key"]
    assert staging.open("r2", "a").read() == MARK


def test_a_rotated_kek_opens_what_was_staged_before(staging: Staging, keys: FileKeys) -> None:
    put(staging, "r1", "a", MARK)
    keys.rotate(KeyName.KEK)
    assert staging.open("r1", "a").read() == MARK


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "a/b", ".new-1", "key", "a b", "x" * 201, "a\n"])
def test_a_name_is_never_a_path_nor_the_key(staging: Staging, copies: SealedStore, root: Path, name: str) -> None:
    with pytest.raises(StagingError):
        staging.create("r1", name)
    if name != "key":
        with pytest.raises(StagingError):
            staging.create(name, "a")
        with pytest.raises(StagingError):
            staging.shred(name)
        with pytest.raises(StagingError):
            copies.create(name)


def test_folders_open_to_others_and_links_are_refused(staging: Staging, root: Path, tmp_path: Path) -> None:
    put(staging, "r1", "a", MARK)
    (root / "r1").chmod(0o755)
    with pytest.raises(StagingError, match="open to others"):
        staging.open("r1", "a")
    (root / "r1").chmod(0o700)
    (root / "r1/b").symlink_to(root / "r1/a")
    with pytest.raises(StagingError):
        staging.open("r1", "b")


def test_a_sealed_copy_is_the_file_that_is_served(copies: SealedStore, tmp_path: Path) -> None:
    """Sealed once, opened by its recipient, served by ranges of its own bytes."""
    private, public = generate_keypair(Randomness())
    plain = os.urandom(200_000)
    with copies.create("c1") as sink:
        size = seal(io.BytesIO(plain), sink, readers=[public], session_key=os.urandom(32), random=Randomness())
    assert copies.size("c1") == size.cipher
    with copies.open("c1") as file:
        assert open_sealed(file, private, sealed=size).read() == plain
        whole = os.pread(file.fileno(), size.cipher, 0)
        assert os.pread(file.fileno(), 1000, 70_000) == whole[70_000:71_000]
    assert stat.S_IMODE((tmp_path / "copies/c1").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "copies").stat().st_mode) == 0o700


def test_a_link_or_a_pipe_in_place_of_a_sealed_copy_is_not_served(copies: SealedStore, tmp_path: Path) -> None:
    put_copy(copies, "c1", b"first")
    (tmp_path / "elsewhere").write_bytes(b"not for anybody")
    (tmp_path / "copies/c2").symlink_to(tmp_path / "elsewhere")
    os.mkfifo(tmp_path / "copies/c3")
    for name in ("c2", "c3"):
        with pytest.raises(StagingError):
            copies.open(name)


def test_a_sealed_copy_is_never_replaced(copies: SealedStore, tmp_path: Path) -> None:
    put_copy(copies, "c1", b"first")
    with pytest.raises(AlreadySealedError, match="c1 is there already"):
        put_copy(copies, "c1", b"second")
    assert get_copy(copies, "c1") == b"first"
    assert everything(tmp_path / "copies") == ["c1"]
    copies.shred("c1")
    copies.shred("c1")
    put_copy(copies, "c1", b"third")
    put_copy(copies, "c2", b"other")
    assert copies.clean(["c1"]) == ["c2"]
    assert get_copy(copies, "c1") == b"third"


def put_copy(copies: SealedStore, copy_id: str, data: bytes) -> None:
    with copies.create(copy_id) as sink:
        sink.write(data)


def get_copy(copies: SealedStore, copy_id: str) -> bytes:
    with copies.open(copy_id) as file:
        return file.read()


def test_a_file_is_on_the_disk_before_its_name_is(copies: SealedStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Durable before recorded: the bytes, then the name, then the folder."""
    acts: list[str] = []
    real = {name: getattr(os, name) for name in ("fsync", "link")}

    def noted(name: str) -> Callable[..., Any]:
        def act(*arguments: Any, **more: Any) -> Any:
            folder = name == "fsync" and stat.S_ISDIR(os.fstat(arguments[0]).st_mode)
            acts.append("folder" if folder else name)
            return real[name](*arguments, **more)

        return act

    for name in real:
        monkeypatch.setattr(f"gateway.staging.files.os.{name}", noted(name))
    put_copy(copies, "c1", b"x")
    assert acts == ["fsync", "link", "folder"]
