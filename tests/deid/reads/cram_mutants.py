"""Makes mutants of one CRAM and reads each; a program of its own, because what it looks for would end the tests.

Run: python cram_mutants.py CRAM REFERENCE FIRST COUNT. Prints a line before each mutant and one with the figures last, so
that whoever started it knows where it ended. Two mutants of three have their checksums made right again: they reach
htslib's decoders.
"""

from __future__ import annotations

import io
import random
import resource
import struct
import sys
import time
import zlib
from pathlib import Path

from deid.reads import ReadsError, ReadsOptions, Reference, core_view, plan_from_steps

STEPS = ({"tags": {"keep": ["RG", "NM", "MD", "AS"]}}, {"keep": {"also": ["unmapped", "secondary", "duplicate"]}})
ADDRESSES = 1 << 30


def number(data: bytes, at: int) -> int:
    """Where the ITF-8 number at ``at`` ends."""
    first = data[at]
    return at + (1 if first < 0x80 else 2 if first < 0xC0 else 3 if first < 0xE0 else 4 if first < 0xF0 else 5)


def value(data: bytes, at: int) -> int:
    """A non-negative ITF-8 number of at most 28 bits."""
    size = number(data, at) - at
    return int.from_bytes(data[at : at + size], "big") & ((1 << 7 * size) - 1) if size < 5 else 0


def sums(data: bytes) -> list[tuple[int, int]]:
    """Begin and end of every stretch that a checksum of four bytes follows: container headers and blocks."""
    return [stretch for head, blocks in containers(data) for stretch in (head, *blocks)]


def containers(data: bytes) -> list[tuple[tuple[int, int], list[tuple[int, int]]]]:
    """Of every container its header's and its blocks' begin and end."""
    found, at = [], 26
    while at < len(data):
        begin, end = at, at + 4
        for _ in range(4):
            end = number(data, end)
        for _ in range(2):  # LTF-8: small in these files, so that ITF-8 reads them alike
            end = number(data, end)
        blocks_at = end
        end = number(data, number(data, end))
        for _ in range(value(data, number(data, blocks_at))):
            end = number(data, end)
        blocks: list[tuple[int, int]] = []
        found.append(((begin, end), blocks))
        block = end + 4
        at = block + struct.unpack_from("<i", data, begin)[0]
        for _ in range(value(data, blocks_at)):
            sizes = number(data, block + 2)
            stop = number(data, number(data, sizes)) + value(data, sizes)
            blocks.append((block, stop))
            block = stop + 4
    return found


def mutate(rng: random.Random, data: bytes, stretches: list[tuple[int, int]]) -> bytes:
    """One to three bytes of one stretch changed, its checksum right two times of three; or a stretch cut or doubled."""
    out = bytearray(data)
    begin, end = rng.choice(stretches)
    for _ in range(rng.randrange(1, 4)):
        at = rng.randrange(begin, end)
        out[at] = rng.choice([0, 1, 127, 128, 255, out[at] ^ 1 << rng.randrange(8), rng.randrange(256)])
    if rng.random() < 0.67:
        out[end : end + 4] = struct.pack("<I", zlib.crc32(out[begin:end]))
    elif rng.random() < 0.3:
        del out[begin : begin + rng.randrange(1, 50)]
    elif rng.random() < 0.3:
        out[begin:begin] = out[begin : begin + rng.randrange(1, 50)]
    return bytes(out)


def outcome(mutant: bytes, reference: Reference) -> str:
    """Empty where the mutant was written, else the error's code; any other exception comes out."""
    try:
        core_view(
            plan_from_steps(STEPS, {}), io.BytesIO(mutant), io.BytesIO(), participants={"LiMing": "p"},
            key=bytes(16), options=ReadsOptions(level=1, reference=reference),
        )  # fmt: skip
    except ReadsError as error:
        return error.code
    return ""


def largest() -> int:
    """The most memory this process ever held, in KiB; its parent's does not count, as it does in ``getrusage``."""
    status = Path("/proc/self/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1])


def main(cram: str, fasta: str, first: int, count: int) -> None:
    """Read ``count`` mutants from number ``first`` on."""
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESSES, ADDRESSES))
    data, reference, seen, slowest = Path(cram).read_bytes(), Reference(Path(fasta)), {}, 0.0
    stretches = sums(data)
    for index in range(first, first + count):
        sys.stdout.write(f"{index}\n")
        sys.stdout.flush()
        began = time.process_time()
        code = outcome(mutate(random.Random(index), data, stretches), reference)
        slowest = max(slowest, time.process_time() - began)
        seen[code] = seen.get(code, 0) + 1
    most = largest() // 1024
    sys.stdout.write(f"read {count} slowest {slowest:.2f} megabytes {most} {sorted(seen.items())}\n")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
