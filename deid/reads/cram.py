"""CRAM in and CRAM out by way of BAM, through htslib with the reference supplied.

What is read becomes BAM without a file, since a sandboxed child may write none. htslib's own loop over the records is
called through a kernel, outside the interpreter's lock (docs/decisions/0057-htslib-by-name.md); where it is not built
Python walks over pysam's records, and what is written passes through files in memory: pysam flushes while it holds the
interpreter, so that a pipe could wait for ever.
CRAM 3 is defined in the CRAM specification. Not here: what becomes of a record.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable, Iterator, Sequence
from importlib import import_module
from itertools import chain, islice
from typing import BinaryIO

import pysam

from deid import bgzf, native
from deid.htslib import PIECE, feed, filtered
from deid.reads.blocks import GROUP
from deid.reads.cram_check import check_cram, proven_containers
from deid.reads.cram_start import cleaned_start
from deid.reads.errors import ReadsError
from deid.reads.header import Contig, take_header, write_header
from deid.reads.records import whole
from deid.reads.reference import Reference
from deid.reads.segments import to_bam
from deid.variants.stream import Written

MAGIC = b"CRAM"
BATCH = 5000
ONE_CONTIG = "multi_seq_per_slice=0"
START = 1 << 20
"""More than htslib adds to a header: half its length again in spare room, and the paths, which are cut out."""


has_kernel = native.has_cram and native._cram.connect(str(import_module("pysam.libchtslib").__file__))
"""Whether htslib's functions are called directly: the kernel is built, and pysam's htslib is one that it knows."""
MORE, END, BAD, LONG_CIGAR = range(4)  # and 4: no memory; what the kernel says comes next


def cram_to_bam(source: BinaryIO, reference: Reference, *, compiled: bool | None = None) -> Iterator[bytes]:
    """Decompressed BAM of a CRAM: its header, then whole records. ``compiled`` false walks over pysam's records.

    Raises ``ReadsError``: what ``check_cram`` finds and ``reference_missing`` before a read is decoded, ``bad_cram``
    with the record.
    """
    pysam.set_verbosity(0)
    with _with_descriptor(source) as file:
        check_cram(file)
        os.lseek(file.fileno(), 0, os.SEEK_SET)  # htslib reads the descriptor, whatever Python has buffered
        yield from _decoded(file, reference, compiled)


def stream_to_bam(source: bgzf.Incoming, reference: Reference, *, compiled: bool | None = None) -> Iterator[bytes]:
    """As ``cram_to_bam``, of a CRAM that can be read once: each container is proven before htslib is given it.

    A fault of the walk comes before what htslib makes of it; what was made before it is void.
    """
    pysam.set_verbosity(0)
    pipe, walking = feed(proven_containers(source))
    with pipe:
        try:
            yield from _decoded(pipe, reference, compiled)
            while pipe.read(PIECE):
                pass  # htslib stops at the end-of-file container, the walk at the end of the file
        except ReadsError as error:
            pipe.close()
            walking.finish()
            raise error from None
    walking.finish()


def _decoded(file: BinaryIO, reference: Reference, compiled: bool | None) -> Iterator[bytes]:
    return _by_pieces(file, reference) if has_kernel and compiled is not False else _read_by_read(file, reference)


def _by_pieces(file: BinaryIO, reference: Reference) -> Iterator[bytes]:
    """The records as htslib's own loop gives them, some hundred kilobytes at a time."""
    count, status = 0, MORE
    try:
        reader = native._cram.begin(os.dup(file.fileno()), reference.path)
        try:
            text, listed = native._cram.header(reader)
            contigs = [Contig(name=name, length=length, md5=b"") for name, length in listed]
            reference.must_have(contigs)
            yield write_header(text, contigs)
            while status == MORE:
                piece, records, status = native._cram.read(reader, GROUP)
                count += records
                yield piece
        finally:
            native._cram.close(reader)  # a pipe that is still held here is never seen to be closed
    except (OSError, ValueError) as error:
        raise ReadsError("bad_cram", f"the CRAM cannot be read after record {count}") from error
    if status == LONG_CIGAR:
        raise ReadsError("long_cigar", "a read has more CIGAR operations than BAM holds")
    if status == BAD:
        raise ReadsError("bad_cram", f"the CRAM cannot be read after record {count}")
    if status != END:
        raise MemoryError


def _read_by_read(file: BinaryIO, reference: Reference) -> Iterator[bytes]:
    """The kernel's twin."""
    count = 0
    try:
        with pysam.AlignmentFile(file, "rc", reference_filename=str(reference.path), check_sq=False) as reads:
            contigs = [
                Contig(name=name.encode("ascii"), length=length, md5=b"")
                for name, length in zip(reads.references, reads.lengths, strict=True)
            ]
            reference.must_have(contigs)
            yield write_header(str(reads.header).encode(), contigs)
            flow = iter(reads)
            while batch := list(islice(flow, BATCH)):
                yield b"".join(map(to_bam, batch))
                count += len(batch)
    except (OSError, ValueError, KeyError, struct.error) as error:
        raise ReadsError("bad_cram", f"the CRAM cannot be read after record {count}") from error


def _with_descriptor(source: BinaryIO) -> BinaryIO:
    """The source as a file of its own; one that is only in memory is spooled."""
    try:
        descriptor = os.dup(source.fileno())
    except (OSError, AttributeError):
        spooled = os.fdopen(os.memfd_create("cram"), "w+b")
        while piece := source.read(1 << 20):
            spooled.write(piece)
        spooled.seek(0)
        return spooled
    return os.fdopen(descriptor, "rb", buffering=0)


def bam_to_cram(
    pieces: Iterable[bytes], reference: Reference, *, compiled: bool | None = None, by_contig: bool = False
) -> Iterator[bytes]:
    """A CRAM 3 of decompressed BAM whose first piece is the header and whose pieces are whole records.

    ``by_contig``: no slice holds reads of two contigs, which an index made on the way needs.
    """
    pysam.set_verbosity(0)
    flow = iter(pieces)
    head = next(flow)
    found = take_header(head)
    if found is None:
        raise ReadsError("bad_header", "the header to write is not whole")
    size = int.from_bytes(head[4:8], "little")
    contigs = reference.with_sums(found[0].contigs)
    reference.must_have(contigs)
    option = ONE_CONTIG if by_contig else None
    made = (
        _written_by_htslib(chain((head,), flow), reference, option)
        if has_kernel and compiled is not False
        else _written_by_pysam((head[8 : 8 + size].decode("ascii"), contigs), flow, reference, option)
    )
    start, least = bytearray(), 2 * len(head) + len(contigs) * len(str(reference.path)) * 2 + START
    for piece in made:
        start += piece
        if len(start) >= least:
            break
    yield cleaned_start(bytes(start))
    yield from made


def _written_by_htslib(pieces: Iterable[bytes], reference: Reference, option: str | None) -> Iterator[bytes]:
    def convert(source: BinaryIO, sink: BinaryIO) -> None:
        if not native._cram.write(os.dup(source.fileno()), os.dup(sink.fileno()), reference.path, option):
            raise ReadsError("bad_cram", "the reads cannot be written as CRAM")

    return filtered(pieces, convert)


def _written_by_pysam(
    head: tuple[str, Sequence[Contig]], pieces: Iterable[bytes], reference: Reference, option: str | None
) -> Iterator[bytes]:
    """The kernel's twin."""
    header, empty = pysam.AlignmentHeader.from_text(head[0]), write_header(b"", head[1])
    options = [] if option is None else [option]
    with os.fdopen(os.memfd_create("cram"), "w+b") as sink:
        with pysam.AlignmentFile(
            sink, "wc", header=header, reference_filename=str(reference.path), format_options=options
        ) as written:
            for piece in pieces:
                _pour(empty + piece, written)
        sink.seek(0)
        while made := sink.read(1 << 20):
            yield made


def _pour(text: bytes, written: pysam.AlignmentFile) -> None:
    with os.fdopen(os.memfd_create("bam"), "w+b") as source:
        source.write(text)
        source.seek(0)
        with pysam.AlignmentFile(source, "rb", check_sq=False) as reads:
            for read in reads:
                written.write(read)


def convert_bam(source: BinaryIO, sink: BinaryIO, reference: Reference) -> tuple[str, int]:
    """Our own BAM (never one from outside) as CRAM: digest and size of what is written."""
    written = Written(sink)
    for piece in bam_to_cram(_by_records(source), reference):
        written.write(piece)
    return written.digest(), written.size


def _by_records(source: BinaryIO) -> Iterator[bytes]:
    """Header, then whole records, of BGZF that this room wrote."""
    rest, found = b"", None
    for group in bgzf.block_groups(bgzf.Incoming(source)):
        rest += bgzf.inflate_blocks(group)
        if found is None and (found := take_header(rest)):
            yield rest[: found[1]]
            rest = rest[found[1] :]
        if found is not None:
            end, _ = whole(rest)
            yield rest[:end]
            rest = rest[end:]
