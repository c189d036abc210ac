"""Nothing outside the root can be named, whatever the name; trouble with the disk is never called "not found"."""

from __future__ import annotations

import errno
import hashlib
import os
import threading
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors import objects as module
from connectors.errors import ConnectorError
from connectors.objects import LocalObjects

ESCAPES = [
    "../secret", "a/../../secret", "/etc/passwd", "//etc/passwd", "..", "../", "...//..", "a/..", "./../secret",
    "a/./../../secret", "..//secret", "folder/../../secret", "folder/../plain.csv", ".", "./plain.csv", "folder//in.csv",
    "folder/", "/", "//", "", "plain.csv/", "plain.csv/.", "x/../..", "%2e%2e/secret", "..%2fsecret", "%2e%2e%2fsecret",
    "%252e%252e/secret", "..%5csecret", "%00", "plain.csv%00", "%c0%ae%c0%ae/secret", "a\\b", "..\\secret", "C:\\x", "C:/x",
    "\\\\host\\share", "file:///etc/passwd", "file:plain.csv", "http://127.0.0.1/x", "https://h/x", "s3://b/k",
    "gs://b/x", "htsget://h/x", "ftp://h/x", "data:,x", "crypt4gh:x", "preload:x", "mem:x", "plain.csv##idx##/etc/passwd",
    "\0", "plain.csv\0", "plain\0.csv", "a\nb", "a\rb", "a\tb", "plain.csv\n", "\x1b[31m", "a\x7f", "\x85", "\ud800",
    "\udcff/secret", "x" * 5000, "link-out", "folder-out/secret", "link-far", "circle", "proc/self/environ",
    "link-to-root/../secret", "～/secret", "~/secret", "~root/x", "．．/secret", "‥/secret", "|id", "$(id)", "`id`", "*", "?",
    "plain.csv;x", "PLAIN.CSV", "plain.csv ", " plain.csv",
]  # fmt: skip


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "secret").write_text("secret")
    inside = tmp_path / "inside"
    (inside / "folder").mkdir(parents=True)
    (inside / "plain.csv").write_text("a,b\n1,2\n")
    (inside / "folder" / "in.csv").write_text("x,y\n")
    (inside / "link-out").symlink_to("../secret")
    (inside / "link-far").symlink_to("/etc/passwd")
    (inside / "folder-out").symlink_to(tmp_path)
    (inside / "proc").symlink_to("/proc")
    (inside / "circle").symlink_to("circle")
    (inside / "link-to-root").symlink_to(inside)
    (inside / "link-in").symlink_to("folder/in.csv")
    return inside


def test_there_are_enough_names_to_be_refused() -> None:
    assert len(set(ESCAPES)) >= 60


@pytest.mark.parametrize("path", ESCAPES)
def test_no_name_leads_outside(root: Path, path: str) -> None:
    objects = LocalObjects(str(root))
    for act in (objects.open, objects.stat, objects.checksum, lambda name: objects.range(name, 0, 1)):
        with pytest.raises(ConnectorError) as refused:
            act(path)
        assert refused.value.code in {"bad_path", "missing_file"}
        assert str(refused.value).isprintable()
        assert "secret" not in str(refused.value).replace("secret", "", path.count("secret"))


@settings(max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(path=st.text(st.sampled_from("./\\%2eE~: \0secrtoudflnkpai-csv"), max_size=30))
def test_whatever_is_opened_lies_inside(root: Path, path: str) -> None:
    try:
        with LocalObjects(str(root)).open(path) as source:
            name = str(Path(f"/proc/self/fd/{source.fileno()}").readlink())
    except ConnectorError:
        return
    assert name.startswith(f"{root}/")


def test_a_link_that_stays_inside_is_followed(root: Path) -> None:
    objects = LocalObjects(str(root))
    with objects.open("link-in") as source:
        assert source.read() == b"x,y\n"
    with objects.open("link-to-root/plain.csv") as source:
        assert source.read() == b"a,b\n1,2\n"


@pytest.mark.parametrize("name", ["50%_sampled.csv", "样本.csv", "a b.csv", "a..b", "...", "-", "x" * 200])
def test_unusual_but_plain_names_open(root: Path, name: str) -> None:
    (root / name).write_text("here")
    with LocalObjects(str(root)).open(name) as source:
        assert source.read() == b"here"


def test_a_folder_exchanged_for_a_link_after_it_was_looked_at_is_not_followed(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolved = LocalObjects._resolved

    def exchanged(self: LocalObjects, path: str) -> str:
        answer = resolved(self, path)
        (root / "folder").rename(root / "was")
        (root / "folder").symlink_to(root.parent)
        return answer

    (root.parent / "in.csv").write_text("secret")
    monkeypatch.setattr(LocalObjects, "_resolved", exchanged)
    with pytest.raises(ConnectorError):
        LocalObjects(str(root)).open("folder/in.csv")


def test_a_file_exchanged_for_a_link_is_not_followed(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    resolved = LocalObjects._resolved

    def exchanged(self: LocalObjects, path: str) -> str:
        answer = resolved(self, path)
        (root / "plain.csv").unlink()
        (root / "plain.csv").symlink_to(root.parent / "secret")
        return answer

    monkeypatch.setattr(LocalObjects, "_resolved", exchanged)
    with pytest.raises(ConnectorError, match="became a link"):
        LocalObjects(str(root)).open("plain.csv")


def test_special_files_are_refused_at_once(root: Path) -> None:
    os.mkfifo(root / "pipe")
    for path in ("pipe", "folder", "link-to-root"):
        done = []

        def ask(path: str = path, done: list[str] = done) -> None:
            with pytest.raises(ConnectorError, match="not a plain file") as refused:
                LocalObjects(str(root)).open(path)
            done.append(refused.value.code)

        worker = threading.Thread(target=ask, daemon=True)
        worker.start()
        worker.join(5)
        assert done == ["not_a_file"]


@pytest.mark.parametrize("number", [errno.EIO, errno.EACCES, errno.ESTALE, errno.EMFILE])
def test_trouble_with_the_disk_is_not_called_missing(root: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def broken(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(module, "_walk", broken)
    with pytest.raises(ConnectorError) as refused:
        LocalObjects(str(root)).open("plain.csv")
    assert refused.value.code == "unreadable_file"
    assert str(refused.value) == f"plain.csv: cannot be read ({os.strerror(number)})"


def test_what_is_not_there_is_missing(root: Path) -> None:
    for path in ("nothing.csv", "folder/nothing", "plain.csv/below"):
        with pytest.raises(ConnectorError) as refused:
            LocalObjects(str(root)).stat(path)
        assert refused.value.code == "missing_file"
        assert str(refused.value).startswith(f"{path}: ")


def test_what_is_opened_is_read_only_and_not_inherited(root: Path) -> None:
    import fcntl

    with LocalObjects(str(root)).open("plain.csv") as source:
        assert fcntl.fcntl(source.fileno(), fcntl.F_GETFL) & (os.O_ACCMODE | os.O_NONBLOCK) == os.O_RDONLY
        assert not os.get_inheritable(source.fileno())


def test_sizes_ranges_and_checksums_are_those_of_the_file(root: Path) -> None:
    data = os.urandom(3 << 20)
    (root / "big").write_bytes(data)
    objects = LocalObjects(str(root))
    assert objects.stat("big").size == len(data)
    assert objects.range("big", 5, 2_000_005) == data[5:2_000_005]
    assert objects.range("big", len(data), len(data)) == b""
    assert objects.checksum("big") == hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize(("start", "end"), [(-1, 2), (3, 2), (0, 9), (9, 9)])
def test_a_range_outside_the_file_is_refused_and_not_cut(root: Path, start: int, end: int) -> None:
    with pytest.raises(ConnectorError) as refused:
        LocalObjects(str(root)).range("plain.csv", start, end)
    assert refused.value.code == "bad_range"


def test_a_range_is_bounded(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LONGEST_RANGE", 4)
    assert LocalObjects(str(root)).range("plain.csv", 0, 4) == b"a,b\n"
    with pytest.raises(ConnectorError) as refused:
        LocalObjects(str(root)).range("plain.csv", 0, 5)
    assert refused.value.code == "range_too_long"


def test_a_file_that_changes_while_it_is_read_has_no_checksum(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = module._stat
    seen = []

    def growing(path: str, source: object) -> object:
        answer = real(path, source)  # type: ignore[arg-type]
        if not seen:
            (root / "plain.csv").write_text("longer than it was before\n")
        seen.append(answer)
        return answer

    monkeypatch.setattr(module, "_stat", growing)
    with pytest.raises(ConnectorError) as refused:
        LocalObjects(str(root)).checksum("plain.csv")
    assert refused.value.code == "changed_file"


def test_the_list_leaves_links_and_hidden_files_out(root: Path) -> None:
    (root / ".hidden").write_text("x")
    (root / ".git").mkdir()
    (root / ".git" / "config").write_text("x")
    os.mkfifo(root / "pipe")
    objects = LocalObjects(str(root))
    assert objects.list() == ["folder/in.csv", "plain.csv"]
    assert objects.list("folder/") == ["folder/in.csv"]
    assert objects.list("../") == []


def test_a_folder_that_cannot_be_read_is_no_shorter_list(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.scandir

    def scandir(path: str) -> object:
        if str(path).endswith("folder"):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(ConnectorError, match=r"^folder: cannot be read"):
        LocalObjects(str(root)).list()


def test_a_name_that_is_not_text_is_said_and_not_passed_on(root: Path) -> None:
    (Path(os.fsdecode(os.fsencode(root) + b"/\xd1\xf9.csv"))).write_text("x")
    with pytest.raises(ConnectorError) as refused:
        LocalObjects(str(root)).list()
    assert refused.value.code == "bad_name"
    assert str(refused.value).isprintable()


@pytest.mark.parametrize("bad", ["s3://bucket", "file:///tmp", "none", "plain.csv", "a\0b"])
def test_a_root_is_a_folder_of_this_machine(root: Path, bad: str) -> None:
    with pytest.raises(ConnectorError) as refused:
        LocalObjects(bad if ":" in bad else str(root / bad))
    assert refused.value.code == "bad_root"
