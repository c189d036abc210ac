"""BCF in and BCF out, by way of VCF text: the kernels know one form, htslib knows the other.

The promise: what is read from BCF is rewritten exactly as the same records in VCF are, and what is written as BCF holds
what the VCF would. BCF 2.2 is defined in the VCF specification section 6. Not here: compression (``deid.bgzf``).
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import BinaryIO

import pysam
import pysam.bcftools

from deid import bgzf
from deid.bgzf import Text
from deid.htslib import filtered
from deid.variants.errors import VariantError
from deid.variants.stream import MAX_HEADER, Workers, Written, read_text, split_header, whole_lines, write_text

MAGIC = b"BCF\x02"
LENGTHS = struct.Struct("<2I")
MAX_RECORD = 1 << 25
"""Longest BCF record read, in bytes: twice a VCF line's bound."""
BATCH = 256
AT_ONCE = 1 << 22
"""Bytes of text given to htslib together."""


def bcf_to_text(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """VCF text of decompressed BCF. Raises ``VariantError`` (``bad_bcf``) with the number of the record."""
    return filtered(bounded(pieces), _decode)


def bounded(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes; raises ``VariantError`` where a length they state is absurd, before htslib makes room for it."""
    head, skip, records = b"", 0, -1  # the header counts as the record before the first
    for piece in pieces:
        at = 0
        while at < len(piece):
            if skip:
                step = min(skip, len(piece) - at)
                skip, at = skip - step, at + step
                continue
            want = (9 if records < 0 else 8) - len(head)
            head, at = head + piece[at : at + want], at + want
            if len(head) == (9 if records < 0 else 8):
                skip = int.from_bytes(head[5:], "little") if records < 0 else sum(LENGTHS.unpack(head))
                if skip > (MAX_HEADER if records < 0 else MAX_RECORD):
                    raise VariantError("bad_bcf", f"the BCF states an absurd length after record {max(records, 0)}")
                head, records = b"", records + 1
        yield piece


def text_to_bcf(pieces: Iterable[Text]) -> Iterator[bytes]:
    """Uncompressed BCF of VCF text that this room wrote: the header first, then pieces of whole lines."""
    flow = iter(pieces)
    header = bytes(next(flow))
    head = _encode(header)
    yield head
    held: list[Text] = [header]
    size = 0
    for piece in chain(flow, (None,)):
        if piece:
            held.append(piece)
            size += len(piece)
        if size >= AT_ONCE or (piece is None and size):
            # Each group is encoded under the same header, whose bytes come out the same and are cut off again.
            yield _encode(b"".join(held))[len(head) :]
            held, size = [header], 0


def _decode(source: BinaryIO, sink: BinaryIO) -> None:
    pysam.set_verbosity(0)
    count = 0
    try:
        with pysam.VariantFile(source, "rb") as records:
            sink.write(str(records.header).encode())
            batch: list[str] = []
            for record in records:
                batch.append(str(record))
                if len(batch) == BATCH:
                    sink.write("".join(batch).encode())
                    count += len(batch)
                    batch = []
            sink.write("".join(batch).encode())
    except BrokenPipeError:
        raise
    except (OSError, ValueError) as error:
        raise VariantError("bad_bcf", f"the BCF cannot be read after record {count}") from error


def _encode(text: bytes) -> bytes:
    # Files in memory and not pipes: htslib flushes while it holds the interpreter, and a full pipe would wait for ever.
    pysam.set_verbosity(0)
    with os.fdopen(os.memfd_create("vcf"), "w+b") as source, os.fdopen(os.memfd_create("bcf"), "w+b") as sink:
        source.write(text)
        source.flush()
        # bcftools and not pysam's records, which add an INFO END of their own to symbolic alleles.
        names = [f"/dev/fd/{file.fileno()}" for file in (sink, source)]
        pysam.bcftools.view("--no-version", "-Ou", "-o", *names, catch_stdout=False)
        sink.seek(0)
        return b"".join(bgzf.inflate_blocks(group) for group in bgzf.block_groups(bgzf.Incoming(sink)))


def convert_vcf(source: BinaryIO, sink: BinaryIO, *, level: int = 6) -> tuple[str, int]:
    """Our own bgzip VCF (never one from outside) as BCF: digest and size of what is written."""
    workers, written = Workers(1), Written(sink)
    pieces = read_text(source, workers)
    head, rest = split_header(pieces)
    write_text(text_to_bcf(chain((head,), whole_lines(rest, pieces))), written, workers, level)
    return written.digest(), written.size
