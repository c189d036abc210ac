"""Steps 2 to 5 and 8 of the story over the 1000 Genomes files, as a pretend hospital cohort of 1,126 people.

The recipient's side uses tools that are not ours: the crypt4gh package's command opens the files, bcftools (through
pysam) reads the variants and DuckDB the table; samples, sites, alleles, counts, columns and every row are compared with
a computation of its own over the source text. The genomes are real; what the table says of the people is made up.
"""

from __future__ import annotations

import gzip
import re
import shutil
import subprocess
import sys
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import pysam
import pysam.bcftools
import pytest

from gateway import applications, filings, grants, packages, revocation
from gateway.crypt4gh import write_private_key
from gateway.errors import NotAllowed
from gateway.verifier.verify import verify_log
from tests.world import CONSENT, MANIFEST, Random, World, _csv, make_world

LEAST = 5
DISTRICTS = ["深圳市南山区", "深圳市福田区", "广州市天河区", "珠海市香洲区"]
CHROMOSOMES = [*(str(n) for n in range(1, 23)), "X"]
SOME = ["21", "X", "6"]
"""For every run: a sex chromosome, one large and one small, in an order that is not the alphabet's. All 23 are slow."""


def source_of(shared: Path, folder: Path, names: list[str], chromosomes: list[str]) -> Path:
    """A hospital's folder: a file for each chromosome, everybody consenting but every tenth person."""
    folder.mkdir()
    paths = [f"1KG_phase3_subset_chr{name}.vcf.gz" for name in chromosomes]
    for path in paths:
        shutil.copy(shared / "deid" / "vcf" / path, folder / path)
    _csv(folder / "samples.csv", [{"sample": n, "participant": f"P-{n}", "file": p} for p in paths for n in names])
    no = {"provision": "no"}
    consents = [
        {"participant": f"P-{n}", "birth_date": "1970-01-01", **CONSENT, **(no if i % 10 == 0 else {})}
        for i, n in enumerate(names)
    ]
    _csv(folder / "consent.csv", consents)
    _csv(folder / "phenotype.csv", [made_up(i, name) for i, name in enumerate(names)])
    head = MANIFEST.split("files:")[0].replace("dataset: tiny", "dataset: pretend")
    files = "\n".join(f"  - {{path: {path}, kind: vcf}}" for path in paths)
    text = f"{head}files:\n{files}\n  - {{path: phenotype.csv, kind: table}}\nviews:\n"
    for view, kind, recipe, held in (
        ("variants", "vcf", "cohort-vcf-controlled", ", ".join(paths)),
        ("phenotypes", "table", "phenotype-controlled", "phenotype.csv"),
    ):
        text += f"  - {{name: {view}, kind: {kind}, recipe: {recipe}, tier: controlled, files: [{held}]}}\n"
    (folder / "manifest.yaml").write_text(text, "utf-8")
    return folder


def made_up(number: int, name: str) -> dict[str, str]:
    """What the pretend hospital knows of a person; identity numbers of no region, telephones of no range."""
    return {
        "participant_id": f"P-{name}",
        "name": "李王张刘陈"[number % 5] + "娜伟芳敏静"[number // 5 % 5],
        "id_number": f"990000{1950 + number % 30}0101{number:04d}",
        "phone": f"154{number:08d}",
        "birth_date": f"{1950 + number * 7 % 30}-{number % 12 + 1:02d}-{number % 28 + 1:02d}",
        "sex": "男女"[number * 3 % 7 % 2],
        "district": DISTRICTS[number * 5 % 11 % 4],
        "diagnosis": ["I45.6", "I45.8", "I47.2", "I49.0"][number * 11 % 13 % 4],
        "bmi": f"{18 + number * 37 % 150 / 10:.1f}",
        "visit_date": f"2024-{number % 12 + 1:02d}-11",
        "notes": f"复诊，电话154{number:08d}",
    }


def expected(path: Path, permitted: set[str], mask: list[tuple[str, int, int]]) -> dict[tuple[str, int], Counter[str]]:
    """Site -> how often each allele string stands among the permitted, for sites the recipe keeps; from the text alone."""
    kept = {}
    with gzip.open(path, "rt") as lines:
        for line in lines:
            if line.startswith("##"):
                continue
            cells = line.rstrip("\n").split("\t")
            if line.startswith("#"):
                columns = [n for n, name in enumerate(cells) if n > 8 and name in permitted]
                continue
            start = int(cells[1]) - 1
            if any(c == cells[0] and a < start + len(cells[3]) and start < b for c, a, b in mask):
                continue
            bases = [cells[3], *cells[4].split(",")]
            calls = [cells[n].split(":")[0].replace("|", "/").split("/") for n in columns]
            counts = Counter(bases[int(a)] for call in calls for a in call if a != ".")
            carried = [bases[0], *(base for base in bases[1:] if counts[base])]
            # What is left of REF and ALT loses the end bases they share: they told of an allele that nobody here has.
            cut = 0
            while len({base[len(base) - cut - 1] for base in carried}) == 1 and min(map(len, carried)) > cut + 1:
                cut += 1
            if len(carried) > 1 and min(counts[base] for base in carried[1:]) >= LEAST:
                short = {base: base[: len(base) - cut] for base in carried}
                kept[cells[0], int(cells[1])] = Counter({short[base]: n for base, n in counts.items()})
    return kept


def masked() -> list[tuple[str, int, int]]:
    text = (Path(__file__).parents[1] / "deid" / "recipes" / "masks" / "incidental.bed").read_text("utf-8")
    rows = [line.split("\t") for line in text.splitlines() if line and not line.startswith("#")]
    return [(row[0], int(row[1]), int(row[2])) for row in rows]


@pytest.fixture(scope="module")
def names(shared_data: Path) -> list[str]:
    with gzip.open(shared_data / "deid" / "vcf" / "1KG_phase3_subset_chr22.vcf.gz", "rt") as lines:
        return next(line for line in lines if line.startswith("#CHROM")).rstrip("\n").split("\t")[9:]


@pytest.mark.timeout(400)
@pytest.mark.parametrize("chromosomes", [SOME, pytest.param(CHROMOSOMES, marks=pytest.mark.slow)], ids=["some", "all"])
def test_the_real_cohort_leaves_by_law_and_is_what_it_should_be(
    shared_data: Path, names: list[str], chromosomes: list[str], tmp_path: Path
) -> None:
    world = make_world(tmp_path, source=source_of(shared_data, tmp_path / "source", names, chromosomes))
    item = world.apply(views=("variants", "phenotypes"))
    for steward in ("steward", "other.steward"):
        applications.approve(world.env, world.people[steward], item)
    package = packages.freeze_package(world.env, world.people["steward"], item)
    permitted = {name for i, name in enumerate(names) if i % 10}
    assert package["people"] == len(permitted) == 1013
    sources = [made_up(i, name) for i, name in enumerate(names) if name in permitted]
    world.file("researcher", package)
    with pytest.raises(NotAllowed) as early:
        _grant(world, item)
    assert early.value.rules == ("HGR-17",), "more than 500 people"
    held = world.release(item)
    assert held["outcome"] == "hold"
    assert {reason["rule"] for reason in held["decision"]["reasons"]} == {"HGR-17", "GW-10"}
    review = filings.NewFiling(
        kind="security-review",
        number="SR-1",
        dataset_id=world.ids["dataset"],
        terms={"accepted_on": "2026-02-01", "outcome": "passed"},
    )
    filings.record_filing(world.env, world.people["filer"], review)
    _grant(world, item)
    released = world.release(item)
    assert released["state"] == "available"
    opened = _opened(world, released, chromosomes, tmp_path)
    _compare(opened, shared_data, permitted)
    table = world.release(item, "phenotypes")
    assert table["state"] == "available"
    _compare_table(world, table, sources, tmp_path)
    answer = revocation.withdraw_participant(
        world.env, world.people["custodian"], dataset_id=world.ids["dataset"], source_id=f"P-{names[1]}"
    )
    assert sorted(answer["contained_in"]) == sorted([released["id"], table["id"]])
    world.env.ledger.sync()
    assert verify_log(world.settings.home / "ledger", key=None).state == "proven"


def _grant(world: World, item: str) -> None:
    now = world.clock.now()
    terms = grants.GrantTerms(
        valid_from=now - timedelta(minutes=1),
        valid_to=now + timedelta(days=30),
        releases=5,
        encryption_key_id=world.ids["key:researcher"],
        signing_key_id=world.ids["signing:researcher"],
    )
    grants.grant(world.env, world.people["steward"], item, terms)


def _compare_table(world: World, released: dict[str, Any], sources: list[dict[str, str]], room: Path) -> None:
    (entry,) = world.row("copy", released["copy_id"])["files"]
    plain = room / "got.parquet"
    _opened_by_the_package(world, entry["stored"], _key(world, room), plain)
    duck = duckdb.connect(config={"threads": 1})
    got = duck.read_parquet(str(plain))
    assert got.columns == ["participant_id", "birth_date", "sex", "district", "diagnosis", "bmi"]
    rows = got.fetchall()
    assert len({row[0] for row in rows}) == len(rows)
    assert all(re.fullmatch("P[0-9A-Z]{20}", row[0]) for row in rows)
    decade, width = rows[0][1], rows[0][5]
    assert (decade[-4:], decade[-5]) == (f"{int(decade[:4]) + 9}", "-"), "the level the search chose: decades of birth"
    assert int(width[4:6]) - int(width[1:3]) == 5, "and intervals of 5 of the body mass index"
    _csv(room / "permitted.csv", sources)
    assert Counter(row[1:] for row in rows) == Counter(duck.execute(CLASSES, [str(room / "permitted.csv")]).fetchall())
    assert len(sources) * 0.95 <= len(rows) < len(sources), "suppressed: at most one in twenty, here at least one"


CLASSES = """
    with source as (
        select (birth_date[:3] || '0-' || birth_date[:3] || '9') as birth_date, sex, district,
            diagnosis[:3] as diagnosis, floor(round_even(cast(bmi as decimal(4, 1)), 0) / 5)::int * 5 as low
        from read_csv(?, all_varchar = true)
    )
    select birth_date, sex, district, diagnosis, '[' || low || ',' || low + 5 || ')' from source
    window wide as (partition by birth_date, sex, district, low)
    qualify count(*) over wide >= 6 and list_unique(list(diagnosis) over wide) >= 2
"""
"""What may stand in the released table: classes of at least 6 people with at least 2 diagnoses (the recipe's models)."""


def _key(world: World, room: Path) -> Path:
    key = room / "researcher.sec"
    if not key.exists():
        key.write_bytes(write_private_key(world.private["researcher"], random=Random()))
        key.chmod(0o600)
    return key


def _opened(world: World, released: dict[str, Any], chromosomes: list[str], room: Path) -> dict[str, Path]:
    """Chromosome -> what the recipient holds after opening its file."""
    files = world.row("copy", released["copy_id"])["files"]
    opened = {chromosome: room / f"got.{chromosome}.vcf.gz" for chromosome in chromosomes}
    for entry, plain in zip(files, opened.values(), strict=True):
        _opened_by_the_package(world, entry["stored"], _key(world, room), plain)
    return opened


def _compare(opened: dict[str, Path], shared: Path, permitted: set[str]) -> None:
    samples: set[tuple[str, ...]] = set()
    for chromosome, plain in opened.items():
        path = shared / "deid" / "vcf" / f"1KG_phase3_subset_chr{chromosome}.vcf.gz"
        wanted = expected(path, permitted, masked())
        with pysam.VariantFile(str(plain)) as variants:
            samples.add(tuple(variants.header.samples))
            got = {(r.contig, r.pos): Counter(_alleles(r)) for r in variants}
        assert {site: dict(c) for site, c in got.items()} == {site: dict(c) for site, c in wanted.items()}
        recount = pysam.bcftools.query("-f", "%POS\t%AN\t%AC\n", str(plain))
        assert len(recount.splitlines()) == len(wanted)
    assert len(samples) == 1
    people = samples.pop()
    assert len(people) == len(permitted)
    assert not set(people) & permitted


def _alleles(record: Any) -> list[str]:
    return [allele for sample in record.samples.values() for allele in sample.alleles if allele is not None]


def _opened_by_the_package(world: World, stored: str, key: Path, plain: Path) -> None:
    command = [str(Path(sys.executable).parent / "crypt4gh"), "decrypt", "--sk", str(key)]
    with world.env.copies.open(stored) as sealed, plain.open("wb") as out:
        subprocess.run(command, input=sealed.read(), stdout=out, stderr=subprocess.DEVNULL, check=True)
