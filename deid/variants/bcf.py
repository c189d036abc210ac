"""BCF in and BCF out, by way of VCF text: the kernels know one form, htslib knows the other.

The promise: what is read from BCF is rewritten exactly as the same records in VCF are, and what is written as BCF holds
what the VCF would. BCF 2.2 is defined in the VCF specification section 6. Not here: compression (``deid.bgzf``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import BinaryIO

import pysam

from deid.htslib import filtered
from deid.variants.errors import VariantError

MAGIC = b"BCF\x02"
BATCH = 256


def bcf_to_text(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """VCF text of decompressed BCF. Raises ``VariantError`` (``bad_bcf``) with the number of the record."""
    return filtered(pieces, _decode)


def text_to_bcf(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Uncompressed BCF of VCF text that this room wrote."""
    return filtered(pieces, _encode)


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


def _encode(source: BinaryIO, sink: BinaryIO) -> None:
    pysam.set_verbosity(0)
    with pysam.VariantFile(source, "r") as records, pysam.VariantFile(sink, "wu", header=records.header) as written:
        for record in records:
            written.write(record)
