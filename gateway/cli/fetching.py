"""Fetch one sealed file so that a broken connection costs nothing: bytes go to ``NAME.part``, its ETag beside it.

A fetch that is started again asks for the rest under the same ETag (RFC 9110 13.1.5 and 14); when the server's file is
another one it sends the whole, and we begin anew. The file gets its name only when it has all its bytes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gateway.cli.session import Gateway, refuse_trouble
from gateway.errors import BadInput, Unavailable

CHUNK = 1 << 18


def fetch_file(server: Gateway, base: str, entry: dict[str, Any], out: Path, *, resume: bool) -> Path:
    """The finished file. Raises Gone, NotAllowed or Unavailable as the server says; what was fetched is kept."""
    name = str(entry["name"])
    if Path(name).name != name or name.startswith("."):
        raise BadInput("the server named a file that is no plain name; nothing was written")
    target, part, tag = out / name, out / f"{name}.part", out / f"{name}.etag"
    if target.exists():
        return target
    wanted = f'"{entry["etag"]}"'
    if not (resume and part.exists() and tag.exists() and tag.read_text("utf-8") == wanted):
        part.unlink(missing_ok=True)
    have = part.stat().st_size if part.exists() else 0
    if have < entry["size"]:
        tag.write_text(wanted, "utf-8")
        _take(server, f"{base}/{name}", part, have=have, etag=wanted)
    if part.stat().st_size != entry["size"]:
        raise Unavailable(f"{name}: {part.stat().st_size} of {entry['size']} bytes are here; start again to go on")
    part.replace(target)
    tag.unlink(missing_ok=True)
    return target


def _take(server: Gateway, path: str, part: Path, *, have: int, etag: str) -> None:
    headers = {"Range": f"bytes={have}-", "If-Range": etag} if have else {}
    with server.stream(path, headers) as answer:
        refuse_trouble(answer)
        mode = "ab" if answer.status_code == 206 else "wb"
        with part.open(mode) as file:
            for chunk in answer.iter_bytes(CHUNK):
                file.write(chunk)
