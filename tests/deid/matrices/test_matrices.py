"""Matrices and frequencies: whose columns and which rows leave, small numbers, snapshots; numpy-free oracles."""

from __future__ import annotations

import gzip
import io
import math
import random
import re

import pytest

from deid.bgzf import deflate_block
from deid.dosages import dosage_of
from deid.matrices import (
    MatrixError,
    check_snapshot,
    core_frequencies,
    core_matrix,
    frequency_plan,
    plan_from_steps,
)
from deid.matrices.frequencies import assess_frequencies

PEOPLE = [f"P{n}" for n in range(8)]
PERMITTED = {f"P{n}": f"c{7 - n}" for n in range(6)}
GENE = "ENSG00000000001"


def matrix(rows: list[list[object]], people: list[str] = PEOPLE) -> bytes:
    return "".join("\t".join(map(str, row)) + "\n" for row in [["gene_id", *people], *rows]).encode()


def run(source: bytes, *steps: dict[str, object], people=PERMITTED) -> tuple[dict[str, int], list[list[str]]]:
    sink = io.BytesIO()
    counts = core_matrix(plan_from_steps(steps), io.BytesIO(source), sink, participants=people)
    lines = gzip.decompress(sink.getvalue()).decode().splitlines()
    return dict(counts.removed), [line.split("\t") for line in lines]


def test_only_permitted_columns_leave_under_codes_in_their_order():
    _, lines = run(matrix([[GENE, *range(1, 9)]]))
    assert lines == [["feature", "c2", "c3", "c4", "c5", "c6", "c7"], [GENE, "6", "5", "4", "3", "2", "1"]]


@pytest.mark.parametrize("probe", ["rs10796216", "rs1", "nv-GRCh38-chr1", "snv_x"])
def test_probes_that_read_a_genotype_never_leave(probe):
    removed, lines = run(
        matrix([[probe, *[0.5] * 8]]), {"features": {"kind": "methylation-probe"}}, {"round": {"digits": 2}}
    )
    assert removed == {"genotype_probe": 1}
    assert len(lines) == 1


@pytest.mark.parametrize(("carriers", "leaves"), [(4, False), (5, True), (6, True)])
def test_a_feature_seen_in_few_permitted_people_does_not_leave(carriers, leaves):
    row = [GENE, *[7] * carriers, *[0] * (6 - carriers), 9, 9]
    assert (len(run(matrix([row]))[1]) == 2) is leaves


def test_a_value_that_rounds_to_nothing_does_not_count_as_seen():
    assert run(matrix([[GENE, 1, 1, 1, 1, 0.4, 0, 0, 0]]))[0] == {"few_people": 1}


def test_values_are_rounded_and_their_spelling_does_not_survive():
    _, lines = run(
        matrix([[GENE, "1.26", "1.260000001", "+1.3", "1.3e0", "NA", "nan", 0, 0]]),
        {"round": {"digits": 1}},
        {"fewest-people": {"count": 1}},
    )
    assert lines[1][1:] == ["NA", "NA", "1.3", "1.3", "1.3", "1.3"]


def test_genes_that_tell_the_sex_leave_only_where_asked():
    source = matrix([["XIST", *[5] * 8], ["TP53", *[5] * 8]])
    symbol = {"features": {"kind": "symbol"}}
    assert [line[0] for line in run(source, symbol, {"sex-features": {"drop": True}})[1]] == ["feature", "TP53"]
    assert len(run(source, symbol)[1]) == 3


def test_a_feature_of_another_kind_is_no_room_for_a_note():
    assert run(matrix([["LiMing bed 4", *[5] * 8]]))[0] == {"kind": 1}


def test_inv10_other_people_comments_and_number_formats_change_no_byte():
    """Invariant 10."""
    views = set()
    for seed in range(4):
        rng, fixed = random.Random(seed), random.Random(1)
        people = [*PERMITTED, *[f"Q{rng.random()}" for _ in range(rng.randrange(5))]]
        rng.shuffle(people)
        rows = []
        for n in range(50):
            value = {name: fixed.randrange(4) for name in PERMITTED}
            cells = [
                rng.choice([f"{value[p]}", f"{value[p]}.00", f"{value[p]}e0"]) if p in value else rng.random()
                for p in people
            ]
            rows.append([f"ENSG{n:011d}", *cells])
        sink = io.BytesIO()
        source = f"#made {rng.random()}\n".encode() + matrix(rows, people)
        core_matrix(plan_from_steps([]), io.BytesIO(gzip.compress(source)), sink, participants=PERMITTED)
        views.add(sink.getvalue())
    assert len(views) == 1


BAD = {
    "a column too few": (matrix([[GENE, 1]]), "ragged_line"),
    "a value that is text": (matrix([[GENE, *["LiMing"] * 8]]), "bad_value"),
    "infinity": (matrix([[GENE, *["inf"] * 8]]), "bad_value"),
    "an absurd exponent": (matrix([[GENE, *["1e999999"] * 8]]), "bad_value"),
    "a carriage return": (matrix([[GENE, *[1] * 8]]).replace(b"\n", b"\r\n"), "crlf"),
    "bytes that are no UTF-8": (matrix([[GENE, *[1] * 8]]) + b"\xff\n", "not_utf8"),
    "a person twice": (matrix([], [*PEOPLE, "P0"]), "bad_header"),
    "nobody": (b"", "bad_header"),
    "a feature twice": (matrix([[GENE, *[1] * 8]] * 2), "duplicate_feature"),
    "no last line end": (matrix([[GENE, *[1] * 8]])[:-1], "truncated"),
    "BGZF without an end": (deflate_block(matrix([]), 6), "truncated"),
    "gzip cut short": (gzip.compress(matrix([]))[:-5], "truncated"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_broken_matrix_is_refused(case):
    source, code = BAD[case]
    with pytest.raises(MatrixError) as caught:
        run(source)
    assert caught.value.code == code
    assert "LiMing" not in str(caught.value)


@pytest.mark.parametrize(
    "step", [{"x": {}}, {"round": {"digits": 9}}, {"features": {"kind": "any"}}, {"round": {"to": 1}}]
)
def test_an_unknown_step_is_refused(step):
    with pytest.raises(MatrixError) as caught:
        plan_from_steps([step])
    assert caught.value.code == "bad_step"


VCF = """##fileformat=VCFv4.2
##contig=<ID=1,length=9999>
##FORMAT=<ID=GT,Number=1,Type=String,Description="x">
#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT"""


def cohort(rows: list[list[str]], people: int = 40) -> bytes:
    head = "\t".join([VCF, *[f"S{n}" for n in range(people)]])
    lines = ["\t".join(["1", str(10 + n), ".", "A", "C", ".", ".", "AC=99", "GT", *row]) for n, row in enumerate(rows)]
    return "\n".join([head, *lines, ""]).encode()


def test_frequencies_of_few_carriers_or_few_others_do_not_stand():
    def row(carriers: int, gt: str = "0/1") -> list[str]:
        return [gt] * carriers + ["0/0"] * (30 - carriers) + ["1/1"] * 10

    rows = [row(9), row(10), row(11, "1/1"), row(29, "1/1"), row(21, "1/1"), row(20, "1/1")]
    sink = io.BytesIO()
    people = {f"S{n}": f"c{n:02d}" for n in range(30)}
    counts = core_frequencies(frequency_plan([], "open"), io.BytesIO(cohort(rows)), sink, participants=people)
    text = gzip.decompress(sink.getvalue()).decode()
    found = re.findall(r"^1\t(\d+)\t.*\tAC=(\d+);AN=(\d+);AF=(\S+)$", text, re.M)
    assert found == [("11", "10", "60", "0.166667"), ("12", "22", "60", "0.366667"), ("15", "40", "60", "0.666667")]
    assert counts.records_out == 3
    assert dict(counts.removed) == {"private_allele": 1, "few_reference": 2}
    assert "FORMAT" not in text


def test_two_snapshots_never_tell_one_person():
    plan = frequency_plan([], "open")
    check_snapshot(plan, PEOPLE, PEOPLE)
    check_snapshot(plan, PEOPLE, [f"Q{n}" for n in range(8)])
    with pytest.raises(MatrixError) as caught:
        check_snapshot(plan, PEOPLE, PEOPLE[1:])
    assert caught.value.code == "snapshot_too_near"


@pytest.mark.parametrize(("steps", "tier"), [([{"fewest-carriers": {"count": 9}}], "open"), ([], "enclave"), ([{"snapshot": {"batch": 1}}], "controlled"), ([{"x": {}}], "open")])  # fmt: skip
def test_a_floor_of_the_tier_cannot_be_undercut(steps, tier):
    with pytest.raises(MatrixError) as caught:
        frequency_plan(steps, tier)
    assert caught.value.code == "bad_step"


def test_too_few_people_have_no_frequencies():
    with pytest.raises(MatrixError) as caught:
        core_frequencies(
            frequency_plan([], "open"),
            io.BytesIO(cohort([])),
            io.BytesIO(),
            participants={f"S{n}": f"c{n}" for n in range(19)},
        )
    assert caught.value.code == "too_few_people"


def test_the_report_of_frequencies_says_how_well_they_tell_a_member():
    """Against the sum by its definition over the released sites; a lone carrier of much that is rare is told best."""
    rng = random.Random(4)
    names = [f"P{index:02d}" for index in range(60)]
    calls = [[(rng.random() < 0.3) + (rng.random() < 0.3) for _ in names] for _ in range(40)]
    rows = [
        f"1 {at} . A C . . . GT " + " ".join(["0|0", "0|1", "1|1"][copies] for copies in row)
        for at, row in enumerate(calls, 1)
    ]
    text = "##fileformat=VCFv4.2\n##contig=<ID=1>\n##FORMAT=<ID=GT,Number=1,Type=String,Description='x'>\n"
    text += "\t".join(["#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT", *names]) + "\n"
    text += "".join("\t".join(row.split()) + "\n" for row in rows)
    sink, people = io.BytesIO(), {name: name.lower() for name in names}
    counts = core_frequencies(frequency_plan([], "open"), io.BytesIO(text.encode()), sink, participants=people)
    released = [line for line in gzip.decompress(sink.getvalue()).decode().splitlines() if line[0] != "#"]
    kept = [calls[int(line.split("\t")[1]) - 1] for line in released]
    assert len(kept) == counts.records_out == counts.membership["lr_sites"] > 20
    shifts = []
    for person in range(len(names)):
        total = 0.0
        for row in kept:
            p = sum(row) / 120
            total += (row[person] - 2 * p) ** 2 / (2 * p * (1 - p))
        shifts.append(total / math.sqrt(len(kept) * 60))
    told = [0.5 * math.erfc((1.6448536269514722 - shift) / math.sqrt(2)) for shift in shifts]
    assert counts.membership["lr_power_at_5pct_fpr"] == pytest.approx(sum(told) / 60)
    assert counts.membership["lr_power_at_5pct_fpr_person_max"] == pytest.approx(max(told))
    bounded = assess_frequencies(io.BytesIO(sink.getvalue()))["genomic"]
    assert bounded["lr_power_at_5pct_fpr"] == pytest.approx(
        0.5 * math.erfc((1.6448536269514722 - math.sqrt(len(kept) / 60)) / math.sqrt(2))
    )


@pytest.mark.parametrize(
    ("cells", "allele", "copies"),
    [
        ("0|1\t1/1\t.|1", 1, [1, 2, -1]),
        ("0|1\t2/1\t2|2", 2, [0, 1, 2]),
        ("0\t1/1\t0|1|1", 1, [-1, 2, -1]),
        ("0\t1\t1\t0|1", 1, [-1, -1, -1, 1]),
        ("0|12\t12|12\t1|2", 12, [1, 2, 0]),
    ],
)
def test_copies_of_an_allele_are_counted_in_diploid_calls_only(cells, allele, copies):
    assert dosage_of(cells.encode(), allele, len(copies)).tolist() == copies
