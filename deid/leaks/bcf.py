"""Search BCF: its header as it is stored, every record as htslib decodes it, and the bytes no decoder shows.

The header's text is held to the allow-list of VCF; entries of the dictionary that no record uses stand in it and are
searched like the others. Records are searched as VCF text (where a number is text again) and as bytes.
VCF specification section 6.3.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain

from deid.errors import LeakCheckError
from deid.leakcheck import Search
from deid.leaks.text import header_and_body, search_vcf_block, search_vcf_header

MAX_HEADER = 1 << 26


def search_bcf(search: Search, blocks: Iterable[bytes]) -> None:
    """Search one decompressed BCF. Raises LeakCheckError where it cannot be read to the bottom."""
    from deid.variants.bcf import bcf_to_text
    from deid.variants.errors import VariantError

    flow = iter(blocks)
    held = _with_header(search, flow)
    size = int.from_bytes(held[5:9], "little")
    search_vcf_header(search, held[9 : 9 + size].rstrip(b"\0").splitlines())
    # htslib reads in a thread of its own, which must not write into the list this one writes into.
    raw = Search(name=search.name, needles=search.needles, show_values=search.show_values)
    try:
        _, body = header_and_body(bcf_to_text(scanned(raw, chain([held], flow), "bcf")), b"#", search.name)
        first = 1
        for block in body:
            search_vcf_block(search, block, first)
            first += block.count(b"\n")
    except VariantError:
        raise LeakCheckError(f"{search.name}: a BCF that cannot be read, so it is not called clean") from None
    for finding in raw.findings:
        search.keep(finding)


def _with_header(search: Search, blocks: Iterator[bytes]) -> bytes:
    held = b""
    while len(held) < 9 or len(held) < 9 + int.from_bytes(held[5:9], "little"):
        piece = next(blocks, b"")
        if not piece or len(held) > MAX_HEADER:
            raise LeakCheckError(f"{search.name}: the BCF header is cut short or absurdly long")
        held += piece
    return held


def scanned(search: Search, blocks: Iterable[bytes], what: str) -> Iterator[bytes]:
    """The same bytes, searched as they pass; a hit is named by its place among the decompressed bytes."""
    keep = max(search.needles.longest, 1)
    tail, at = b"", 0
    for block in blocks:
        window = tail + block
        for found in [] if search.full else search.needles.find(window, naming=False):
            search.hit(f"{what}:byte {at + found.start}", found)
        tail = window[-keep:]
        at += len(window) - len(tail)
        yield block
