"""Search zip and tar: names, owners, comments, extra fields, and what each member holds."""

from __future__ import annotations

import io
import tarfile
import zipfile

from deid.containers import pieces
from deid.errors import LeakCheckError
from deid.leakcheck import Search, open_layers

MAX_MEMBERS = 10_000
MAX_MEMBER_BYTES = 1 << 31


def search_archive(search: Search, content: bytes) -> None:
    """Search one archive held in memory; members are opened in turn, archives inside archives too."""
    try:
        if content.startswith(b"PK"):
            _zip(search, content)
        else:
            _tar(search, content)
    except (zipfile.BadZipFile, tarfile.TarError, RuntimeError, NotImplementedError, EOFError):
        raise LeakCheckError(f"{search.name}: an archive that cannot be read, so it is not called clean") from None


def _zip(search: Search, content: bytes) -> None:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        search.text("zip:comment", archive.comment, names=True)
        for number, member in enumerate(archive.infolist(), start=1):
            _refuse_absurd(search, number, member.file_size)
            about = b"\n".join((member.filename.encode(errors="replace"), member.comment, member.extra))
            search.text(f"zip:member {number}", about, names=True)
            if not member.is_dir():
                with archive.open(member) as inside:
                    open_layers(search, pieces(inside))


def _tar(search: Search, content: bytes) -> None:
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        for number, member in enumerate(archive, start=1):
            _refuse_absurd(search, number, member.size)
            more = map(str, member.pax_headers.values())
            about = "\n".join((member.name, member.linkname, member.uname, member.gname, *more))
            search.text(f"tar:member {number}", about.encode(errors="replace"), names=True)
            inside = archive.extractfile(member) if member.isfile() else None
            if inside is not None:
                open_layers(search, pieces(inside))


def _refuse_absurd(search: Search, number: int, size: int) -> None:
    if number > MAX_MEMBERS or size > MAX_MEMBER_BYTES:
        raise LeakCheckError(f"{search.name}: an archive with too many or too large members, so it is not called clean")
