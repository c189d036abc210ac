"""The demo cohort: made anew byte for byte, nobody in it could exist, and it holds what the story needs."""

from __future__ import annotations

import csv
import gzip
import itertools
import re
from collections import Counter
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pysam
import pytest

from gateway.demo.make_cohort import main

COHORT = Path(__file__).parents[3] / "gateway" / "demo" / "cohort"
MADE = sorted(path.relative_to(COHORT).as_posix() for path in COHORT.rglob("*") if path.is_file())
LEFT_OUT = {4, 10, 12, 18, 24, 32, 41, 53, 62, 78}
LEAST, SUPPRESSED = 6, 0.05


def rows(name: str) -> list[dict[str, str]]:
    with (COHORT / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def records() -> Iterator[list[str]]:
    with gzip.open(COHORT / "cohort.vcf.gz", "rt", encoding="utf-8") as lines:
        yield from (line.rstrip("\n").split("\t") for line in lines if not line.startswith("##"))


def header() -> str:
    with gzip.open(COHORT / "cohort.vcf.gz", "rt", encoding="utf-8") as lines:
        return "".join(itertools.takewhile(lambda line: line.startswith("##"), lines))


def test_the_script_makes_the_committed_bytes(tmp_path: Path) -> None:
    main(tmp_path)
    made = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert made | {"README.md"} == set(MADE)
    for name in sorted(made):
        assert (tmp_path / name).read_bytes() == (COHORT / name).read_bytes(), name
    assert sum((COHORT / name).stat().st_size for name in MADE) < 2_000_000


def test_nobody_in_it_could_exist() -> None:
    people = rows("phenotype.csv")
    assert len({row["id_number"] for row in people}) == len({row["phone"] for row in people}) == 200
    for row in people:
        number = row["id_number"]
        assert number[:6] == "990000", "GB/T 2260 has no 99"
        assert re.fullmatch(r"154\d{8}", row["phone"]), "no operator has 154"
        # ISO 7064 MOD 11-2 by its recurrence, not by the weights the script uses.
        total = 0
        for digit in number[:17]:
            total = (total + int(digit)) * 2 % 11
        assert (total + (10 if number[17] == "X" else int(number[17]))) % 11 == 1
        assert number[6:14] == row["birth_date"].replace("-", "")
        assert (int(number[16]) % 2 == 1) == (row["sex"] == "男")
    told = "".join(row["notes"] for row in people)
    assert set(re.findall(r"\d{11}", re.sub(r"\d{17}[\dX]", "", told))) <= {row["phone"] for row in people}
    assert set(re.findall(r"\d{17}[\dX]", told)) <= {row["id_number"] for row in people}


def test_the_vcf_is_what_the_story_needs() -> None:
    lines = records()
    samples = next(lines)[9:]
    assert samples == [row["sample"] for row in rows("samples.csv") if row["file"] == "cohort.vcf.gz"]
    seen: Counter[str] = Counter()
    for line in lines:
        seen[line[0]] += 1
        seen["multi-allelic"] += "," in line[4]
        seen["insertion"] += len(line[4].split(",")[0]) > len(line[3])
        seen["deletion"] += len(line[3]) > 1
        calls = [cell.split(":")[0] for cell in line[9:]]
        seen["missing"] += any("." in call for call in calls)
        seen["phased"] += any("|" in call for call in calls)
        seen["unphased"] += any("/" in call and "." not in call for call in calls)
        seen["one copy"] += any(len(call) == 1 for call in calls)
        assert all(re.fullmatch(r"\d(?:[|/]\d)?|\.(?:/\.)?", call) for call in calls)
    assert sum(seen[name] for name in ("chr1", "chr7", "chrX")) == 4000
    assert min(seen.values()) > 80, seen


def test_the_counts_of_the_vcf_are_those_of_its_genotypes() -> None:
    for line in itertools.islice(records(), 1, None, 7):
        info = dict(part.split("=") for part in line[7].split(";"))
        calls = [cell.split(":")[0].replace("|", "/").split("/") for cell in line[9:]]
        counts = Counter(allele for call in calls for allele in call if allele != ".")
        alts = range(1, line[4].count(",") + 2)
        assert info["AC"] == ",".join(str(counts[str(n)]) for n in alts)
        assert info["AN"] == str(counts.total())


def test_the_leaks_are_there_to_be_found() -> None:
    text = header()
    people = rows("phenotype.csv")
    for mark in ("##fileDate", "##SAMPLE", "##PEDIGREE", "##bcftools_viewCommand", "##GATKCommandLine", "/data/"):
        assert mark in text
    assert people[2]["name"] in text
    assert "SZH_WGS_0002" in text
    assert any("CARRIER=SZH_WGS_" in line[7] for line in records())
    assert sum(row["name"] in row["notes"] for row in people) > 60
    assert sum(row["phone"] in row["notes"] for row in people) > 60


@pytest.mark.parametrize("number", [1, 2, 3])
def test_the_reads_are_sorted_indexed_and_leak(number: int) -> None:
    path = COHORT / "reads" / f"SZH_WGS_{number:04d}.bam"
    with pysam.AlignmentFile(str(path)) as reads:
        assert reads.check_index()
        assert reads.count("chr1", 1_000_000, 1_002_000) > 4
        assert reads.unmapped == 2
        everything = str(reads.header)
        starts = [read.reference_start for read in reads.fetch()]
    assert starts == sorted(starts)
    assert len(starts) == 118
    for leak in (
        f"SM:SZH_WGS_{number:04d}",
        f"lib-SZH-{number:05d}",
        "bwa mem /data/patients",
        f"patient SZH-{number:05d}",
    ):
        assert leak in everything


def _excluded(row: dict[str, str], on: date) -> set[str]:
    """Why this person is out of the story's application, judged here and not by the policies."""
    born = date.fromisoformat(row["birth_date"])
    tests = {
        "withdrawn": bool(row["withdrawn_on"]) and row["withdrawn_on"] <= on.isoformat(),
        "border": row["cross_border"] != "yes",
        "place": "hong_kong" not in row["places"].split(";"),
        "minor": (on - born).days < 18 * 365.25 and row["guardian"] != "yes",
        "due": bool(row["reconsent_due"]) and row["reconsent_due"] <= on.isoformat(),
        "sensitive": row["sensitive"] != "yes",
        "provision": row["provision"] != "yes",
        "purpose": not {"DS", "HMB", "GRU"} & set(row["purposes"].split(";")) or row["diseases"] != "I",
        "named": "Victoria Harbour University" not in row["named_recipients"].split(";"),
        "kind": "academic" not in row["recipient_kinds"].split(";"),
    }
    return {name for name, out in tests.items() if out}


def test_ten_people_are_left_out_each_for_a_reason_of_its_own() -> None:
    reasons = {n: _excluded(row, date(2026, 6, 1)) for n, row in enumerate(rows("consent.csv"), 1)}
    out = {n: why for n, why in reasons.items() if why}
    assert out.keys() == LEFT_OUT
    assert all(len(why) == 1 for why in out.values())
    assert len(set().union(*out.values())) == 10
    readme = (COHORT / "README.md").read_text("utf-8")
    assert {int(number) for number in re.findall(r"^\| SZH-(\d{5}) \|", readme, re.MULTILINE)} == LEFT_OUT


def test_k_6_is_in_reach_with_at_most_a_twentieth_suppressed() -> None:
    """An exhaustive search of its own over a few sensible generalisations: two attributes at least keep a value."""
    people = [row for n, row in enumerate(rows("phenotype.csv"), 1) if n not in LEFT_OUT]
    ways = {
        "birth_date": {
            "decade": lambda r: r["birth_date"][:3],
            "20 years": lambda r: str(int(r["birth_date"][:4]) // 20),
        },
        "sex": {"as it is": lambda r: r["sex"], "*": lambda r: "*"},
        "district": {"city": lambda r: r["district"][:3], "*": lambda r: "*"},
        "bmi": {"10": lambda r: str(float(r["bmi"] or -10) // 10), "*": lambda r: "*"},
    }
    reached = []
    for choice in itertools.product(*(way.items() for way in ways.values())):
        sizes = Counter(tuple(generalise(row) for _, generalise in choice) for row in people)
        lost = sum(size for size in sizes.values() if size < LEAST) / len(people)
        if lost <= SUPPRESSED and sum(name != "*" for name, _ in choice) >= 2:
            reached.append([name for name, _ in choice])
    assert ["decade", "as it is", "*", "*"] in reached
    assert any(len({"city", "as it is"} & set(choice)) == 2 for choice in reached)


def test_the_manifest_gives_the_checksums_of_the_files() -> None:
    import hashlib

    text = (COHORT / "manifest.yaml").read_text("utf-8")
    given = dict(re.findall(r"- path: (\S+)\n.*\n.*\n    checksum: ([0-9a-f]{64})", text))
    assert given == {name: hashlib.sha256((COHORT / name).read_bytes()).hexdigest() for name in given}
    assert len(given) == 5
