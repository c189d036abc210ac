"""A small hospital's reads with everything a careless sequencing room leaves in them, and what is really in them.

One reference of two contigs; a BAM per person, one of two people together, a CRAM. Every person carries single-base
changes, an insertion and a deletion of their own; some reads are clipped, unmapped or duplicates.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pysam

LENGTH = 6000
SPAN, DEPTH, READ = 1600, 24, 100
RARE = 1700
"""Where one person alone carries an allele of the cohort's VCF: below its floor, so the variants leave it out."""
HOSPITAL = "Shenzhen Harbour Hospital ward 7"
ALONE = ("HOSP0001",)
TOGETHER = ("HOSP0000", "HOSP0004")
AS_CRAM = "HOSP0005"
OTHER_BUILD = "HOSP0006"


def reference_bases(seed: int = 11) -> dict[str, str]:
    """chr1 has an A wherever the tiny cohort's VCF says that the reference has."""
    dice = random.Random(seed)
    made = {name: dice.choices("ACGT", k=LENGTH) for name in ("chr1", "chr2")}
    for site in [*range(1000, 1600, 10), RARE]:
        made["chr1"][site - 1] = "A"
    return {name: "".join(bases) for name, bases in made.items()}


def write_reference(path: Path, bases: dict[str, str]) -> None:
    lines = [
        f">{name} of the house\n" + "".join(f"{text[i : i + 60]}\n" for i in range(0, len(text), 60))
        for name, text in bases.items()
    ]
    path.write_text("".join(lines), "ascii")


def changed(bases: str, person: str) -> tuple[str, list[int]]:
    """A person's own chr1 over the span, and where its bases differ from the reference (from 0); no indels."""
    dice = random.Random(person)
    own = list(bases)
    places = sorted(dice.sample(range(900, 900 + SPAN, 7), 9))
    places = [place for place in places if place % 10 != 9]
    for place in places:
        own[place] = dice.choice([base for base in "ACGT" if base != own[place]])
    if person == "HOSP0001":
        own[RARE - 1] = "C"
        places = sorted({*places, RARE - 1})
    return "".join(own), places


def write_bam(path: Path, people: Sequence[str], bases: dict[str, str], *, build: str = "") -> None:
    groups = [
        {
            "ID": f"FC{n}.1",
            "SM": f"S_{person}",
            "LB": f"lib-{person}",
            "PU": "FC1.1.ACGT",
            "PL": "ILLUMINA",
            "CN": HOSPITAL,
            "DT": "2025-04-18",
            "DS": HOSPITAL,
        }
        for n, person in enumerate(people)
    ]
    header = {
        "HD": {"VN": "1.6", "SO": "coordinate"},
        "SQ": [
            {"SN": name, "LN": len(text), "UR": "file:/data/ref.fa", **({"M5": build} if build else {})}
            for name, text in bases.items()
        ],
        "RG": groups,
        "PG": [{"ID": "bwa", "CL": f"bwa mem /data/{people[0]}_R1.fq.gz"}],
        "CO": [HOSPITAL],
    }
    with pysam.AlignmentFile(str(path), "wb", header=header) as sink:
        reads = [
            one for n, person in enumerate(people) for one in _reads(sink.header, person, f"FC{n}.1", bases["chr1"])
        ]
        for read in sorted(reads, key=lambda one: (one.reference_id < 0, one.reference_start)):
            sink.write(read)


def _reads(header: pysam.AlignmentHeader, person: str, group: str, bases: str) -> list[pysam.AlignedSegment]:
    dice = random.Random(person + "reads")
    own, _ = changed(bases, person)
    made = []
    for number in range(SPAN * DEPTH // READ):
        start = 900 + dice.randrange(SPAN - READ)
        cigar, text = _shaped(dice, own, start, number)
        made.append(_read(header, f"A00123:45:{person}:1:{number}", group, (start, cigar, text), dice))
    lost = _read(header, f"A00123:45:{person}:2:0", group, (0, None, own[2000:2100]), dice)
    lost.flag, lost.reference_id, lost.reference_start = 4, -1, -1
    return [*made, lost]


def _shaped(dice: random.Random, own: str, start: int, number: int) -> tuple[str, str]:
    """Most reads match; where one covers the person's indel it has it; some are clipped."""
    at = 1850 - start
    if 10 <= at <= READ - 14:
        return f"{at}M2D{READ - at}M", own[start : start + at] + own[start + at + 2 : start + READ + 2]
    if number % 9 == 0:
        return "8S92M", "".join(dice.choices("ACGT", k=8)) + own[start : start + 92]
    return "100M", own[start : start + READ]


def _read(
    header: pysam.AlignmentHeader, name: str, group: str, shape: tuple[int, str | None, str], dice: random.Random
) -> pysam.AlignedSegment:
    read = pysam.AlignedSegment(header)
    read.query_name, read.flag = name, dice.choice((0, 16))
    read.reference_id, read.reference_start, read.mapping_quality = 0, shape[0], 60
    read.cigarstring, read.query_sequence = shape[1], shape[2]
    read.query_qualities = pysam.qualitystring_to_array("F" * len(shape[2]))
    tags: list[tuple[str, Any]] = [("RG", group), ("BC", "ACGTACGT"), ("XH", HOSPITAL), ("CB", name)]
    read.set_tags(tags)
    return read


def write_cram(path: Path, bam: Path, reference: Path) -> None:
    pysam.view("-C", "-T", str(reference), "-o", str(path), str(bam), catch_stdout=False)


def add_reads(source: Path) -> Path:
    """Add reference and reads to the tiny cohort, with a view of each tier; the folder."""
    bases = reference_bases()
    write_reference(source / "ref.fa", bases)
    (source / "reads").mkdir()
    for person in ALONE:
        write_bam(source / "reads" / f"{person}.bam", (person,), bases)
    write_bam(source / "reads" / "together.bam", TOGETHER, bases)
    write_bam(source / "five.bam", (AS_CRAM,), bases)
    write_cram(source / "reads" / "five.cram", source / "five.bam", source / "ref.fa")
    (source / "five.bam").unlink()
    for left in source.glob("ref.fa.fai"):
        left.write_text("chr1\t1\t0\t1\t2\n")  # an index that lies must not be believed
    _rare_site(source / "cohort.vcf")
    write_bam(source / "reads" / "other_build.bam", (OTHER_BUILD,), bases, build="0" * 32)
    (source / "reads" / "one.fastq").write_text("@A00123:45:1\nACGT\n+\nFFFF\n", "ascii")
    held = {
        **{f"reads/{person}.bam": (person,) for person in ALONE},
        "reads/together.bam": TOGETHER,
        "reads/five.cram": (AS_CRAM,),
        "reads/other_build.bam": (OTHER_BUILD,),
    }
    sheet = (source / "samples.csv").read_text("utf-8")
    sheet += "".join(f"S_{person},{person},{path}\n" for path, people in held.items() for person in people)
    (source / "samples.csv").write_text(sheet, "utf-8")
    files = (
        "".join(f"  - {{path: {path}, kind: reads}}\n" for path in held)
        + "  - {path: reads/one.fastq, kind: fastq}\n  - {path: ref.fa, kind: reference}\n"
    )
    bams = ", ".join([f"reads/{person}.bam" for person in ALONE] + ["reads/together.bam"])
    views = f"""\
  - {{name: depth, recipe: reads-registered, tier: registered, files: [{bams}]}}
  - {{name: depth-cram, recipe: reads-registered, tier: registered, files: [reads/five.cram]}}
  - {{name: depth-other-build, recipe: reads-registered, tier: registered, files: [reads/other_build.bam]}}
  - {{name: raw-fastq, recipe: none, tier: controlled, files: [reads/one.fastq]}}
  - {{name: reads, recipe: reads-controlled, tier: controlled, files: [{bams}]}}
  - {{name: raw-reads, recipe: none, tier: enclave, files: [{bams}]}}
"""
    manifest = (source / "manifest.yaml").read_text("utf-8")
    (source / "manifest.yaml").write_text(manifest.replace("views:\n", files + "views:\n" + views), "utf-8")
    return source


def _rare_site(path: Path) -> None:
    lines = path.read_text("utf-8").splitlines()
    people = lines[7].split("\t")[9:]
    cells = ["0/1:30:60" if name == "S_HOSP0001" else "0/0:30:60" for name in people]
    path.write_text(
        "\n".join([*lines, "\t".join(["chr1", str(RARE), ".", "A", "C", "50", "PASS", "AC=1", "GT:DP:GQ", *cells])])
        + "\n",
        "utf-8",
    )
