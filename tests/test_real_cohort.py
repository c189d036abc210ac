"""Steps 2 to 5 and 8 of the story over the 1000 Genomes files, as a pretend hospital cohort of 1,126 people.

The recipient's side uses tools that are not ours: the crypt4gh package's command opens the files, bcftools (through
pysam) reads them; samples, sites, alleles and counts are compared with a computation of its own over the source text.
"""

from __future__ import annotations

import gzip
import shutil
import subprocess
import sys
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

import pysam
import pysam.bcftools
import pytest

from gateway import applications, filings, revocation
from gateway.crypt4gh import write_private_key
from gateway.verifier.verify import verify_log
from tests.world import CONSENT, MANIFEST, Random, World, _csv, make_world

LEAST = 5
CHROMOSOMES = [*(str(n) for n in range(1, 23)), "X"]


def source_of(shared: Path, folder: Path, names: list[str]) -> Path:
    """A hospital's folder: the 23 files, everybody consenting but every tenth person."""
    folder.mkdir()
    paths = [f"1KG_phase3_subset_chr{name}.vcf.gz" for name in CHROMOSOMES]
    for path in paths:
        shutil.copy(shared / "deid" / "vcf" / path, folder / path)
    _csv(folder / "samples.csv", [{"sample": n, "participant": f"P-{n}", "file": p} for p in paths for n in names])
    no = {"provision": "no"}
    consents = [
        {"participant": f"P-{n}", "birth_date": "1970-01-01", **CONSENT, **(no if i % 10 == 0 else {})}
        for i, n in enumerate(names)
    ]
    _csv(folder / "consent.csv", consents)
    head = MANIFEST.split("files:")[0].replace("dataset: tiny", "dataset: pretend")
    files = "\n".join(f"  - {{path: {path}, kind: vcf}}" for path in paths)
    view = f"  - {{name: variants, kind: vcf, recipe: cohort-vcf-controlled, tier: controlled, files: [{', '.join(paths)}]}}"
    (folder / "manifest.yaml").write_text(f"{head}files:\n{files}\nviews:\n{view}\n", "utf-8")
    return folder


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
def test_the_real_cohort_leaves_by_law_and_is_what_it_should_be(
    shared_data: Path, names: list[str], tmp_path: Path
) -> None:
    world = make_world(tmp_path, source=source_of(shared_data, tmp_path / "source", names))
    item = world.apply()
    for steward in ("steward", "other.steward"):
        applications.approve(world.env, world.people[steward], item)
    package = applications.freeze_package(world.env, world.people["steward"], item)
    permitted = {name for i, name in enumerate(names) if i % 10}
    assert package["people"] == len(permitted) == 1013
    world.file("researcher", package)
    _grant(world, item)
    held = world.release(item)
    assert held["outcome"] == "hold"
    assert [reason["rule"] for reason in held["decision"]["reasons"]] == ["HGR-17"], "more than 500 people"
    review = filings.NewFiling(
        kind="security-review",
        number="SR-1",
        dataset_id=world.ids["dataset"],
        terms={"accepted_on": "2026-02-01", "outcome": "passed"},
    )
    filings.record_filing(world.env, world.people["filer"], review)
    released = world.release(item)
    assert released["state"] == "available"
    _compare(world, released, shared_data, permitted, tmp_path)
    answer = revocation.withdraw_participant(
        world.env, world.people["custodian"], dataset_id=world.ids["dataset"], source_id=f"P-{names[1]}"
    )
    assert answer["contained_in"] == [released["id"]]
    world.env.ledger.sync()
    assert verify_log(world.settings.home / "ledger", key=None).state == "proven"


def _grant(world: World, item: str) -> None:
    now = world.clock.now()
    terms = applications.GrantTerms(
        valid_from=now - timedelta(minutes=1),
        valid_to=now + timedelta(days=30),
        releases=5,
        encryption_key_id=world.ids["key:researcher"],
        signing_key_id=world.ids["signing:researcher"],
    )
    applications.grant(world.env, world.people["steward"], item, terms)


def _compare(world: World, released: dict[str, Any], shared: Path, permitted: set[str], room: Path) -> None:
    key = room / "researcher.sec"
    key.write_bytes(write_private_key(world.private["researcher"], random=Random()))
    key.chmod(0o600)
    files = world.row("copy", released["copy_id"])["files"]
    assert len(files) == 23
    samples: set[tuple[str, ...]] = set()
    for entry, chromosome in zip(files, CHROMOSOMES, strict=True):
        plain = room / f"got.{chromosome}.vcf.gz"
        _opened_by_the_package(world, entry["stored"], key, plain)
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
