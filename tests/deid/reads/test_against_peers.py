"""What leaves, judged by others: SAM made by hypothesis and kept or dropped by reading its text, samtools on real files.

The oracle below works on SAM text (SAM specification section 1.4) with nothing of ``deid``; htslib makes the BAM.
"""

from __future__ import annotations

import io
import random
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import pysam
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deid import native
from deid.indexes import index_reads
from deid.reads import ReadsOptions, core_view, plan_from_steps

has_samtools = pytest.mark.skipif(shutil.which("samtools") is None, reason="samtools is not installed")
HEADER = (
    "@HD\tVN:1.6\tSO:unsorted\n@SQ\tSN:1\tLN:5000\n@SQ\tSN:chr:2\tLN:900\n@RG\tID:a.1\tSM:LiMing\tPL:ONT\n"
    "@RG\tID:b\tSM:WangFang\n@RG\tID:c\tSM:LiMing\n@CO\tward 4\n"
)
OURS = {"a.1": "p1.1", "c": "p1.2"}
KEPT = ("NM", "MD", "AS", "MC", "MQ", "NH", "XS")
FLAGS_KEPT = 0x4 | 0x100
DROPPED = 0x200 | 0x400 | 0x800
ENGINES = (True, False) if native.has_reads else (False,)
TAGS = st.one_of(
    st.tuples(st.sampled_from(["NM:i", "AS:i", "NH:i", "ZI:i"]), st.integers(-(2**31), 2**32 - 1)),
    st.tuples(st.just("MD:Z"), st.from_regex(r"[0-9]{1,3}([A-Z][0-9]{1,2}|\^[ACGT]{1,3}0){0,3}", fullmatch=True)),
    st.tuples(st.just("MC:Z"), st.from_regex(r"([1-9][0-9]?[MIDS]){1,3}", fullmatch=True)),
    st.tuples(st.just("XS:A"), st.sampled_from("+-")),
    st.tuples(st.just("ZZ:Z"), st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=9)),
    st.tuples(st.just("ZB:B"), st.sampled_from(["c,-1,2", "S,7", "f,1.5,2", "I,4000000000"])),
    st.tuples(st.just("ZH:H"), st.sampled_from(["1AE3", "00"])),
    st.tuples(st.just("ZF:f"), st.sampled_from(["1.5", "-2"])),
)


@st.composite
def sam_lines(draw: st.DrawFn) -> str:
    """One alignment: any flag, name, place, CIGAR that fits its bases, tags that stand once."""
    length = draw(st.integers(0, 40))
    bases = "".join(draw(st.lists(st.sampled_from("ACGTNRYM="), min_size=length, max_size=length))) or "*"
    quality = "".join(
        draw(st.lists(st.characters(min_codepoint=33, max_codepoint=126), min_size=length, max_size=length))
    )
    if not length or quality == "*" or draw(st.booleans()):
        quality = "*"
    contig = draw(st.sampled_from(["1", "chr:2", "*"]))
    place = draw(st.integers(1, 850)) if contig != "*" else 0
    cigar = draw(cigars(length)) if place else "*"
    flag = draw(st.sampled_from([0, 1, 4, 16, 99, 147, 0x100, 0x200, 0x400, 0x800, 0x905, 5]))
    mate, mate_place = draw(st.sampled_from([("*", 0), ("=", 7), ("1", 800), ("chr:2", 3)]))
    mate, mate_place = ("*", 0) if mate == "=" and contig == "*" else (mate, mate_place)
    tags = draw(st.lists(TAGS, max_size=5, unique_by=lambda tag: tag[0][:2]))
    group = draw(st.sampled_from(["a.1", "b", "c", "none of these", None]))
    texts = [f"{name}:{value}" for name, value in tags] + ([] if group is None else [f"RG:Z:{group}"])
    name = draw(
        st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="@"), min_size=1, max_size=60)
    )
    fields = [
        name,
        flag,
        contig,
        place,
        draw(st.integers(0, 255)),
        cigar,
        mate,
        mate_place,
        draw(st.integers(-999, 999)),
    ]
    return "\t".join(map(str, [*fields, bases, quality, *draw(st.permutations(texts))]))


@st.composite
def cigars(draw: st.DrawFn, length: int) -> str:
    """A CIGAR that uses up ``length`` bases, with clips at its ends only."""
    if not length:
        return draw(st.sampled_from(["*", "5H", "9D", "3P4N"]))
    hard, soft = draw(st.sampled_from(["", "4H"])), draw(st.integers(0, min(5, length - 1)))
    inner = length - soft
    first = draw(st.integers(1, inner))
    middle = draw(st.sampled_from(["", "7D", "99N", "2P"])) if first < inner else ""
    rest = f"{inner - first}{draw(st.sampled_from('M=XI'))}" if first < inner else ""
    return f"{hard}{f'{soft}S' if soft else ''}{first}M{middle}{rest}"


def in_bam(lines: list[str]) -> bytes:
    """BAM of the lines, made by htslib."""
    with tempfile.TemporaryDirectory() as folder:
        sam, bam = Path(folder) / "s.sam", Path(folder) / "s.bam"
        sam.write_text(HEADER + "".join(f"{line}\n" for line in lines))
        with pysam.AlignmentFile(str(sam)) as reads, pysam.AlignmentFile(str(bam), "wb", template=reads) as sink:
            for read in reads:
                sink.write(read)
        return bam.read_bytes()


def in_lines(bam: bytes) -> list[list[str]]:
    """The columns of each record, as htslib prints them."""
    with tempfile.NamedTemporaryFile(suffix=".bam") as file:
        Path(file.name).write_bytes(bam)
        with pysam.AlignmentFile(file.name) as reads:
            return [read.to_string().split("\t") for read in reads.fetch(until_eof=True)]


def expected(columns: list[str]) -> list[str] | None:
    """Every column but the name, as it must be written; None where the read must not leave."""
    group = next((tag[5:] for tag in columns[11:] if tag.startswith("RG:Z:")), None)
    if int(columns[1]) & DROPPED or group not in OURS:
        return None
    tags = [f"RG:Z:{OURS[group]}" if tag.startswith("RG") else tag for tag in columns[11:] if tag[:2] in (*KEPT, "RG")]
    return [*columns[1:10], columns[10] if columns[9] == "*" or columns[10] == "*" else four(columns[10]), *tags]


def four(quality: str) -> str:
    """Illumina's four bins: below 3, below 18, below 30, the rest."""
    return "".join("#" if ord(q) < 36 else "-" if ord(q) < 51 else "8" if ord(q) < 63 else "F" for q in quality)


STEPS = (
    {"tags": {"keep": ["RG", *KEPT]}},
    {"quality": {"as": "bins-4"}},
    {"keep": {"also": ["unmapped", "secondary"]}},
)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(lines=st.lists(sam_lines(), max_size=6))
def test_what_leaves_of_any_sam_is_what_its_text_says(lines):
    bam = in_bam(lines)
    views = []
    for compiled in ENGINES:
        sink = io.BytesIO()
        core_view(
            plan_from_steps(STEPS, {}), io.BytesIO(bam), sink, participants={"LiMing": "p1"}, key=bytes(16),
            options=ReadsOptions(level=1, compiled=compiled),
        )  # fmt: skip
        views.append(sink.getvalue())
    assert len(set(views)) == 1
    source, ours = in_lines(bam), in_lines(views[0])
    kept = [(columns[0], wanted) for columns in source if (wanted := expected(columns)) is not None]
    assert [columns[1:] for columns in ours] == [wanted for _, wanted in kept]
    names: dict[str, str] = {}
    assert all(names.setdefault(old, new[0]) == new[0] for (old, _), new in zip(kept, ours, strict=True))
    assert len(set(names.values())) == len(names)
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{14}", name) for name in names.values())


def view_of(made, path: Path, steps, folder: Path, **more) -> Path:
    """A view of a real file with its index."""
    with pysam.AlignmentFile(str(path), check_sq=False) as reads:
        people = {group["SM"]: "p1" for group in reads.header.to_dict()["RG"]}
    out = folder / "view.bam"
    out.write_bytes(made.run(path.read_bytes(), steps, people=people, **more)[1])
    index_reads(out)
    return out


def count(*words: str) -> int:
    done = subprocess.run(["samtools", "view", "--no-PG", "-c", *words], capture_output=True, check=True, text=True)
    return int(done.stdout)


@has_samtools
@pytest.mark.parametrize("number", [1, 2, 3])
def test_samtools_finds_no_read_of_a_view_in_its_mask_nor_a_mate_or_clip_of_one(made, real, tmp_path, number):
    rng, bed = random.Random(number), tmp_path / "m.bed"
    bed.write_text("".join(f"17\t{at}\t{at + 40}\n" for at in sorted(rng.sample(range(100, 4100), 3))))
    source = real / f"mpileup.{number}.bam"
    keep = {"keep": {"also": ["unmapped", "secondary", "supplementary", "duplicate", "qc-fail"]}}
    out = view_of(made, source, ({"mask": {"bed": "m"}}, keep), tmp_path, files={"m": bed.read_bytes()})
    assert count("-L", str(bed), str(out)) == 0
    assert count("-L", str(bed), str(source)) > 0
    spans = [tuple(map(int, line.split()[1:])) for line in bed.read_text().splitlines()]
    with pysam.AlignmentFile(str(source)) as reads:
        listed = list(reads)
    hidden = {read.query_name for read in listed if any(reaches(read, *span) for span in spans)}
    assert count(str(out)) == sum(read.query_name not in hidden for read in listed)
    assert len(hidden) > 3


def reaches(read: pysam.AlignedSegment, start: int, end: int) -> bool:
    """Whether the read would touch the stretch were its clipped bases laid beside it."""
    if read.reference_start < 0:
        return False
    clips = [size if operation in (4, 5) else 0 for operation, size in read.cigartuples or [(0, 0)]]
    stop = read.reference_end if read.reference_end is not None and not read.is_unmapped else read.reference_start + 1
    return read.reference_start - clips[0] < end and stop + (clips[-1] if len(clips) > 1 else 0) > start


@has_samtools
@pytest.mark.parametrize("region", ["17:1000-1200", "17:1-10", "17:4100-4200", "17"])
def test_samtools_selects_as_many_reads_of_a_region_as_we_write(made, real, tmp_path, region):
    source = real / "mpileup.1.bam"
    out = view_of(made, source, ({"quality": {"as": "keep"}},), tmp_path, region=region)
    assert count(str(out)) == count("-F", "0xF04", str(source), region)


@has_samtools
def test_flags_keep_out_what_samtools_leaves_out(made, real, tmp_path):
    source, bits = (
        real / "mpileup.1.bam",
        {"unmapped": 4, "secondary": 256, "qc-fail": 512, "duplicate": 1024, "supplementary": 2048},
    )
    for name, bit in bits.items():
        also = [other for other in bits if other != name]
        assert count(str(view_of(made, source, ({"keep": {"also": also}},), tmp_path))) == count(
            "-F", str(bit), str(source)
        )


@has_samtools
@pytest.mark.parametrize("form", ["bam", "cram"])
def test_samtools_reads_what_is_written_and_finds_it_whole(made, real, real_reference, tmp_path, form):
    out = tmp_path / f"v.{form}"
    with pysam.AlignmentFile(str(real / "mpileup.1.bam")) as reads:
        people = {group["SM"]: "p1" for group in reads.header.to_dict()["RG"]}
    made_of = made.run((real / "mpileup.1.cram").read_bytes(), people=people, reference=real_reference, form=form)
    out.write_bytes(made_of[1])
    subprocess.run(["samtools", "quickcheck", "-v", str(out)], check=True)
    index = index_reads(out)
    assert index.suffix == {"bam": ".bai", "cram": ".crai"}[form]
    assert count("-T", str(real_reference.path), str(out)) == made_of[0].records_out > 200
    assert count("-T", str(real_reference.path), str(out), "17:1000-1500") == count(
        "-F", "0xF04", str(real / "mpileup.1.bam"), "17:1000-1500"
    )
