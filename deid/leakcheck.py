"""Look for what must not be there, in the very bytes that would leave (INTERFACES, "Leak check").

Two questions. Does any value of a direct identifier of the source stand anywhere: in the file's name, in text, in a
container's own fields, in pages no reader shows, in the raw bytes? And is there anything whose kind is never
allowed: a header line off the list, a name or a time in a gzip member, statistics or unused dictionary values in
Parquet, a cell that is no genotype, a number that is somebody's identity number by its check digit? The second needs
no list of values.

A file that cannot be read to the bottom raises ``LeakCheckError``: unknown is never called clean. Arrow IPC and CRAM
before version 3 are such files for now. The value found is not part of a finding unless asked for. At most 1,000
findings are listed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO

from deid.containers import inflate, pieces
from deid.errors import LeakCheckError
from deid.needles import Hit, Needles
from deid.patterns import find_patterns

MOST_FINDINGS = 1000
_CLOSED = {
    b"ARROW1": "Arrow IPC",
    b"FEA1": "Feather",
    b"\xfd7zXZ": "xz",
    b"BZh": "bzip2",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"7z\xbc\xaf": "7z",
    b"crypt4gh": "Crypt4GH",
}
_HINTS = {
    "source-identifier": "a direct identifier of the source stands here",
    "hashed-identifier": "an unsalted hash of a direct identifier is that identifier",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that must not leave: where, of what kind, how grave, and what to do; ``value`` only when asked for."""

    path: str
    where: str
    kind: str
    severity: str = "high"
    hint: str = ""
    value: str | None = None


@dataclass(slots=True, kw_only=True)
class Search:
    """One file being searched: what is looked for and what was found."""

    name: str
    needles: Needles
    show_values: bool
    findings: list[Finding] = field(default_factory=list)

    @property
    def full(self) -> bool:
        """True when as many findings are held as are listed."""
        return len(self.findings) >= MOST_FINDINGS

    def add(self, where: str, kind: str, severity: str, hint: str, value: str | None = None) -> None:
        """Keep one finding, once."""
        shown = value if self.show_values else None
        self.keep(Finding(path=self.name, where=where, kind=kind, severity=severity, hint=hint, value=shown))

    def keep(self, made: Finding) -> None:
        """Keep a finding as it is, once."""
        if not self.full and made not in self.findings[-64:]:
            self.findings.append(made)

    def hit(self, where: str, found: Hit) -> None:
        """Keep one value found."""
        kind = found.form.kind
        self.add(where, kind, "high", _HINTS[kind], self.needles.values[found.form.value])

    def text(self, where: str, data: bytes, *, names: bool = False) -> None:
        """Search a short piece of text: source values and personal numbers."""
        for found in self.needles.find(data, naming=True, names=names):
            self.hit(where, found)
        for match in find_patterns(decode(data)):
            self.add(where, match.kind, match.severity, "a personal number by its form", match.text)


def decode(data: bytes) -> str:
    """Text for the search of patterns: UTF-8 if it is, else GB18030 with replacements."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("gb18030", errors="replace")


def check(
    path_or_stream: str | Path | BinaryIO,
    *,
    name: str,
    source_identifiers: Iterable[str],
    show_values: bool = False,
) -> list[Finding]:
    """Findings in one file, empty when it is clean. ``name`` is the name under which it would leave.

    Raises LeakCheckError when the file cannot be read to the bottom.
    """
    search = Search(name=name, needles=Needles(source_identifiers), show_values=show_values)
    search.text("name", name.encode(), names=True)
    with ExitStack() as stack:
        if isinstance(path_or_stream, str | Path):
            try:
                stream: BinaryIO = stack.enter_context(Path(path_or_stream).open("rb"))
            except OSError as error:
                raise LeakCheckError(f"{name}: {error.strerror or 'cannot be opened'}") from None
        else:
            stream = path_or_stream
        open_layers(search, pieces(stream))
    return search.findings


def as_json(findings: Iterable[Finding]) -> list[dict[str, Any]]:
    """Plain JSON objects; ``value`` is absent unless it is shown."""
    return [{key: value for key, value in asdict(found).items() if value is not None} for found in findings]


def open_layers(search: Search, blocks: Iterator[bytes]) -> None:
    """Sniff by content and search what is inside; a gzip layer is searched outside and inside."""
    head = b""
    while len(head) < 512 and (piece := next(blocks, b"")):
        head += piece
    whole = chain([head], blocks)
    for magic, kind in _CLOSED.items():
        if head.startswith(magic):
            raise LeakCheckError(f"{search.name}: {kind} cannot be opened to the bottom, so it is not called clean")
    if head.startswith(b"\x1f\x8b"):
        inside = inflate(raw_bytes(search, whole), _noted(search), search.name)
        open_layers(search, inside)
    elif head.startswith(b"PAR1"):
        from deid.leaks.parquet import search_parquet

        search_parquet(search, b"".join(raw_bytes(search, whole)))
    elif head.startswith(b"CRAM"):
        from deid.leaks.cram import search_cram

        search_cram(search, whole)
    elif head.startswith(b"PK\3\4") or head[257:262] == b"ustar":
        from deid.leaks.archives import search_archive

        search_archive(search, b"".join(raw_bytes(search, whole)))
    else:
        from deid.leaks.text import search_lines

        search_lines(search, head, whole)


def _noted(search: Search) -> Any:
    """What to do with each field of a gzip member header."""

    def note(field_name: str, value: bytes) -> None:
        where = f"gzip:{field_name}"
        if field_name == "MTIME":
            search.add(where, "container-time", "low", "write the time as zero")
            return
        search.add(where, "container-field", "medium", "write gzip without a name, comment or extra bytes")
        search.text(where, value, names=True)

    return note


def raw_bytes(search: Search, blocks: Iterable[bytes]) -> Iterator[bytes]:
    """Pass compressed bytes on, searched as they are: a value may lie where no reader looks."""
    keep = max(search.needles.longest, 1)
    tail, at = b"", 0
    for block in blocks:
        window = tail + block
        if not search.full:
            for found in search.needles.find_compressed(window):
                search.hit(f"raw:byte {at + found.start}", found)
        tail = window[-keep:]
        at += len(window) - len(tail)
        yield block
