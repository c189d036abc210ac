"""Where a log keeps what (C2SP tlog-tiles): paths, widths, and entry bundles."""

from __future__ import annotations

WIDTH = 256
HASH = 32
LARGEST_ENTRY = 65535


class BundleError(ValueError):
    """An entry bundle has trailing or missing bytes."""


def number(n: int) -> str:
    """1234067 -> x001/x234/067."""
    groups = [f"{n % 1000:03d}"]
    while n >= 1000:
        n //= 1000
        groups.insert(0, f"x{n % 1000:03d}")
    return "/".join(groups)


def tile_path(level: int, n: int, width: int = WIDTH) -> str:
    """Path of a hash tile; a partial one names its width."""
    return f"tile/{level}/{number(n)}" + (f".p/{width}" if width < WIDTH else "")


def bundle_path(n: int, width: int = WIDTH) -> str:
    """Path of an entry bundle."""
    return f"tile/entries/{number(n)}" + (f".p/{width}" if width < WIDTH else "")


def layout(size: int) -> dict[str, tuple[int, int, int]]:
    """Every hash tile a tree of that size has: path -> (level, number, width)."""
    found = {}
    level, count = 0, size
    while count:
        for n in range(count // WIDTH):
            found[tile_path(level, n)] = (level, n, WIDTH)
        if count % WIDTH:
            found[tile_path(level, count // WIDTH, count % WIDTH)] = (level, count // WIDTH, count % WIDTH)
        level, count = level + 1, count // WIDTH
    return found


def bundles(size: int) -> dict[str, tuple[int, int]]:
    """Every entry bundle of that size: path -> (number, width)."""
    found = {bundle_path(n): (n, WIDTH) for n in range(size // WIDTH)}
    if size % WIDTH:
        found[bundle_path(size // WIDTH, size % WIDTH)] = (size // WIDTH, size % WIDTH)
    return found


def pack(entries: list[bytes]) -> bytes:
    """Bundle bytes: for each entry a big-endian 16-bit length and the entry."""
    for entry in entries:
        if len(entry) > LARGEST_ENTRY:
            raise BundleError("an entry is longer than 65,535 bytes")
    return b"".join(len(entry).to_bytes(2, "big") + entry for entry in entries)


def unpack(data: bytes, count: int) -> list[bytes]:
    """The ``count`` entries of a bundle; anything before or after them is refused."""
    entries, at = [], 0
    for _ in range(count):
        end = at + 2 + int.from_bytes(data[at : at + 2], "big")
        if at + 2 > len(data) or end > len(data):
            raise BundleError("the bundle ends inside an entry")
        entries.append(data[at + 2 : end])
        at = end
    if at != len(data):
        raise BundleError("bytes follow the last entry of the bundle")
    return entries
