"""Indexes made anew from a finished file of ours; nothing of the source's index is ever shipped.

The promise: the index holds positions in the released file and its contig names, and nothing else (SAM specification
section 5.2, tabix and CSI specifications). A contig too long for the classic form (2^29 bases) gets CSI.
Not here: who may read the file.
"""

from __future__ import annotations

from pathlib import Path

import pysam
import pysam.bcftools
import pysam.samtools
from pysam.utils import SamtoolsError

from deid.errors import DeidError

LONGEST_CLASSIC = 1 << 29


def index_variants(path: Path) -> Path:
    """Write ``.tbi`` (or ``.csi``) beside a bgzip VCF, ``.csi`` beside a BCF. Raises DeidError: ``not_sorted``."""
    pysam.set_verbosity(0)  # htslib's own words name files and places on standard error
    with pysam.VariantFile(str(_local(path))) as records:
        is_bcf = records.format == "BCF"
        long = any((contig.length or 0) > LONGEST_CLASSIC for contig in records.header.contigs.values())
    csi = is_bcf or long
    try:
        if is_bcf:
            pysam.bcftools.index("-f", "-c", str(path), catch_stdout=False)
        else:
            pysam.tabix_index(str(path), preset="vcf", force=True, keep_original=True, csi=csi)
    except (OSError, SamtoolsError):
        raise _not_indexed(path) from None
    return Path(f"{path}.csi" if csi else f"{path}.tbi")


def _not_indexed(path: Path) -> DeidError:
    """Why htslib would not: the first record that is out of order, looked for only now."""
    ended: set[str] = set()
    last, reached = "", 0
    with pysam.VariantFile(str(path)) as records:
        for number, record in enumerate(records, start=1):
            ended |= {last} - {record.chrom}
            if record.chrom in ended or (record.chrom == last and record.pos < reached):
                what = f"record {number} of the output is not sorted by contig and position, so it cannot be indexed"
                return DeidError(what, code="not_sorted")
            last, reached = record.chrom, record.pos
    return DeidError("the output cannot be indexed", code="not_indexed")


def index_reads(path: Path) -> Path:
    """Write ``.bai`` (or ``.csi``) beside a coordinate-sorted BAM, ``.crai`` beside a CRAM."""
    with pysam.AlignmentFile(str(_local(path)), check_sq=False) as reads:
        is_cram, long = reads.is_cram, max(reads.lengths, default=0) > LONGEST_CLASSIC
    suffix = "crai" if is_cram else "csi" if long else "bai"
    made = Path(f"{path}.{suffix}")
    pysam.index(*(["-c"] if long and not is_cram else []), str(path), "-o", str(made))
    return made


def index_fastq(path: Path) -> Path:
    """Write ``.fai`` and ``.gzi`` beside a bgzip FASTQ: the names, lengths and places of its reads."""
    made = Path(f"{path}.fai")
    pysam.samtools.fqidx(str(_local(path)), "--fai-idx", str(made), "--gzi-idx", f"{path}.gzi")
    return made


def _local(path: Path) -> Path:
    """htslib would open an address as one; what is indexed is a file that is there."""
    if not path.is_file():
        raise FileNotFoundError(f"there is no file to index: {path.name}")
    return path
