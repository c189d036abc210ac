"""BCF in and out, regions, reference blocks and indexes; bcftools and pysam are the independent readers."""

from __future__ import annotations

import gzip
import io
import random
import shutil
import subprocess
from pathlib import Path

import pysam
import pytest

from deid.indexes import index_variants
from deid.variants import VariantError, core_view, plan_from_steps

PEOPLE = ["P1", "P2", "P3", "P4"]
CODES = {"P1": "a", "P3": "b"}
has_bcftools = pytest.mark.skipif(shutil.which("bcftools") is None, reason="bcftools is not installed")


@pytest.fixture
def source(made) -> bytes:
    rng = random.Random(3)
    lines = []
    for at in range(10, 4000, 7):
        ref, alt = rng.choice([("A", "C"), ("ACG", "A"), ("T", "G,TA"), ("C", "<DEL>")])
        most = alt.count(",") + 1
        cells = [
            f"{rng.randint(0, most)}|{rng.randint(0, most)}:{rng.randint(0, 40)}:{rng.randint(0, 99)}" for _ in PEOPLE
        ]
        info = f"END={at + 60};SF=x" if alt == "<DEL>" else "SF=x"
        contig = "1" if at < 2500 else "X"
        lines.append(" ".join([contig, str(at), f"rs{at}", ref, alt, "50", "PASS", info, "GT:DP:GQ", *cells]))
    return made.vcf(lines, PEOPLE)


def as_bcf(source: bytes, folder: Path) -> bytes:
    (folder / "in.vcf").write_bytes(source)
    made = folder / "in.bcf"
    subprocess.run(["bcftools", "view", "--no-version", "-Ob", "-o", made, folder / "in.vcf"], check=True)
    return made.read_bytes()


@has_bcftools
def test_bcf_gives_the_same_bytes_as_the_same_records_in_vcf(made, source, compiled, tmp_path):
    _, from_vcf = made.run(source, CODES, compiled=compiled)
    _, from_bcf = made.run(as_bcf(source, tmp_path), CODES, compiled=compiled)
    assert from_bcf == from_vcf
    assert len(made.lines_of(from_vcf)) > 300


@has_bcftools
def test_bcf_written_holds_what_the_vcf_would_for_another_reader(made, source, tmp_path):
    _, text = made.run(source, CODES)
    sink = io.BytesIO()
    core_view(plan_from_steps(made.KEEP_ALL, {}), io.BytesIO(source), sink, participants=CODES, form="bcf")
    (tmp_path / "out.bcf").write_bytes(sink.getvalue())
    read = subprocess.run(
        ["bcftools", "view", "--no-version", "-H", tmp_path / "out.bcf"], capture_output=True, text=True, check=True
    )
    assert [line.split("\t") for line in read.stdout.splitlines()] == made.lines_of(text)
    assert b"rs10" not in gzip.decompress(sink.getvalue())
    assert index_variants(tmp_path / "out.bcf").suffix == ".csi"


@has_bcftools
@pytest.mark.parametrize("cut", [0.3, 0.6, 0.95])
def test_a_cut_or_damaged_bcf_is_refused(made, source, tmp_path, cut):
    raw = gzip.decompress(as_bcf(source, tmp_path))
    whole = bytearray(raw[: int(len(raw) * cut)])
    with pytest.raises(VariantError) as caught:
        made.run(made.bgzip(bytes(whole), 9000), CODES)
    assert caught.value.code in {"bad_bcf", "truncated"}
    assert "P2" not in str(caught.value)


@has_bcftools
@pytest.mark.parametrize("region", ["1:500-700", "X", "1:1,000-1,001 X:2607", "1:2411", "1:2400-"])
def test_a_region_is_what_bcftools_says_touches_it_and_every_record_is_rewritten(
    made, source, compiled, tmp_path, region
):
    _, whole = made.run(source, CODES, compiled=compiled)
    sink = io.BytesIO()
    plan = plan_from_steps([*made.KEEP_ALL[:1], {"info": {"keep": ["AC", "AN", "END"]}}, *made.KEEP_ALL[2:]], {})
    core_view(plan, io.BytesIO(source), sink, participants=CODES, region=region, compiled=compiled)
    full = io.BytesIO()
    core_view(plan, io.BytesIO(source), full, participants=CODES, compiled=compiled)
    (tmp_path / "full.vcf.gz").write_bytes(full.getvalue())
    assert index_variants(tmp_path / "full.vcf.gz").suffix == ".tbi"
    asked = ",".join(part.replace(",", "") for part in region.split())
    # --regions-overlap 1 counts every record whose REF or END span touches the region, as we do.
    command = ["bcftools", "view", "--no-version", "-H", "--regions-overlap", "1", "-r", asked]
    peer = subprocess.run([*command, tmp_path / "full.vcf.gz"], capture_output=True, text=True, check=True).stdout
    ours = ["\t".join(line) for line in made.lines_of(sink.getvalue())]
    assert sorted(set(ours)) == sorted(set(peer.splitlines()))
    assert 0 < len(ours) < len(made.lines_of(whole))


@pytest.mark.parametrize("region", ["", "2:1-5", "1:5-4", "1:0-4", "nowhere"])
def test_a_region_that_is_none_is_refused(made, source, region):
    with pytest.raises(VariantError) as caught:
        core_view(plan_from_steps([], {}), io.BytesIO(source), io.BytesIO(), participants=CODES, region=region)
    assert caught.value.code == "bad_region"


def test_a_contig_whose_name_holds_a_colon_is_found(made, compiled):
    source = made.vcf(["HLA*01:01 5 . A C . . . GT 0/1", "1 5 . A C . . . GT 0/1"], ["P1"])
    sink = io.BytesIO()
    core_view(
        plan_from_steps([], {}), io.BytesIO(source), sink, participants={"P1": "a"}, region="HLA*01:01",
        compiled=compiled,
    )  # fmt: skip
    assert [line[0] for line in made.lines_of(sink.getvalue())] == ["HLA*01:01"]


BLOCKS = [
    "1 1 . ACG <NON_REF> . . END=100;MIN_DP=9 GT:DP:GQ:PL 0/0:12:33:0,1,2",
    "1 101 . A C,<NON_REF> 50 . DP=9 GT:DP:GQ 0/1:12:33",
    "1 102 . A C,<NON_REF> 50 . DP=9 GT:DP:GQ 0/0:12:33",
    "1 103 . A <*> . . END=300 GT:DP:GQ ./.:0:0",
]
GVCF_STEPS = ({"info": {"keep": ["AC", "AN", "AF", "END"]}}, {"reference-blocks": {"keep": True}})


def test_reference_blocks_of_a_gvcf_stay_with_their_end_and_no_base_but_the_first(made, compiled):
    _, out = made.run(made.vcf(BLOCKS, ["P1"]), {"P1": "a"}, GVCF_STEPS, compiled=compiled)
    assert [(line[1], line[3], line[4], line[7], line[9]) for line in made.lines_of(out)] == [
        ("1", "A", "<NON_REF>", "AC=0;AN=2;AF=0;END=100", "0/0:12:33"),
        ("101", "A", "C", "AC=1;AN=2;AF=0.5", "0/1:12:33"),
        ("102", "A", "<NON_REF>", "AC=0;AN=2;AF=0", "0/0:12:33"),
        ("103", "A", "<*>", "AC=0;AN=0;AF=.;END=300", "./.:0:0"),
    ]


def test_a_block_that_touches_the_mask_anywhere_does_not_leave(made, compiled):
    steps = (*GVCF_STEPS, {"mask": {"bed": "m"}}, {"minimum-allele-count": {"count": 2, "action": "drop"}})
    _, out = made.run(made.vcf(BLOCKS, ["P1"]), {"P1": "a"}, steps, files={"m": b"1\t250\t251\n"}, compiled=compiled)
    assert [line[1] for line in made.lines_of(out)] == ["1", "102"]


def test_blocks_are_refused_where_somebody_in_the_file_is_not_permitted(made, compiled):
    lines = [f"{line} 0/0" for line in BLOCKS]
    with pytest.raises(VariantError) as caught:
        made.run(made.vcf(lines, ["P1", "P2"]), {"P1": "a"}, GVCF_STEPS, compiled=compiled)
    assert caught.value.code == "blocks_of_others"


@pytest.mark.parametrize(("fewest", "kept"), [(2, ["20", "30"]), (3, ["30"]), (4, [])])
def test_fewest_carriers_counts_people_and_not_copies(made, compiled, fewest, kept):
    lines = [
        "1 10 . A C . . . GT 1/1 0/0 0/0 0/0",
        "1 20 . A C . . . GT 1/1 1/1 0/0 0/0",
        "1 30 . A C . . . GT 0/1 0/1 0/1 ./.",
    ]
    steps = ({"sites-only": {}}, {"private-alleles": {"action": "drop", "carriers": fewest}})
    _, out = made.run(made.vcf(lines, PEOPLE), {p: p.lower() for p in PEOPLE}, steps, compiled=compiled)
    assert [line[1] for line in made.lines_of(out)] == kept
    assert all(len(line) == 8 for line in made.lines_of(out))


def test_an_index_answers_as_a_scan_does(made, source, tmp_path):
    _, out = made.run(source, CODES)
    path = tmp_path / "v.vcf.gz"
    path.write_bytes(out)
    index_variants(path)
    with pysam.VariantFile(str(path)) as records:
        found = [record.pos for record in records.fetch("1", 1000, 1400)]
    assert found == [int(line[1]) for line in made.lines_of(out) if line[0] == "1" and 1000 < int(line[1]) <= 1400]
