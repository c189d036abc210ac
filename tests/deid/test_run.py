"""The tasks of the sandbox on the demo cohort: core, copy, assess, leak check; the reports fit their schema."""

from __future__ import annotations

import base64
import csv
import gzip
import io
import json
from pathlib import Path
from typing import Any, BinaryIO, cast

import jsonschema
import pyarrow.parquet as pq
import pytest

from deid import defaults
from deid.errors import DeidError
from deid.run import assess, copy, core, leakcheck

COHORT = Path(__file__).parents[2] / "gateway" / "demo" / "cohort"
SCHEMA = json.loads((Path(defaults.__file__).parent / "schemas" / "report.json").read_text("utf-8"))


class Pipe(io.RawIOBase):
    """A sink that can only be written, as a child's output is."""

    def __init__(self) -> None:
        super().__init__()
        self.held = io.BytesIO()

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int:
        return self.held.write(data)


def spec_of(name: str, **more: Any) -> dict[str, Any]:
    recipe = defaults.default_recipe(name)
    files = {path: base64.b64encode(content).decode() for path, content in recipe.files.items()}
    return {"recipe": defaults.default_text(name).decode(), "files": files, "kind": recipe.kind} | more


def run_core(name: str, source: bytes, people: dict[str, str]) -> tuple[dict[str, Any], bytes]:
    sink = Pipe()
    spec = json.loads(json.dumps(spec_of(name, participants=people)))
    report = core(spec, {"source": io.BytesIO(source)}, {"core": cast("BinaryIO", sink)})
    json.dumps(report, allow_nan=False)
    jsonschema.Draft202012Validator(SCHEMA).validate(report)
    return report, sink.held.getvalue()


def table_people() -> tuple[list[dict[str, str]], dict[str, str]]:
    rows = list(csv.DictReader((COHORT / "phenotype.csv").read_text("utf-8").splitlines()))
    return rows, {row["participant_id"]: f"{n * 7919 % 100003:032x}" for n, row in enumerate(rows[:180])}


def test_the_table_goes_the_whole_way_and_no_identifier_goes_with_it() -> None:
    rows, people = table_people()
    identifiers = [row[name] for row in rows for name in ("participant_id", "name", "id_number", "phone")]
    report, made = run_core("phenotype-controlled", (COHORT / "phenotype.csv").read_bytes(), people)
    risk = assess(spec_of("phenotype-controlled"), {"core": io.BytesIO(made)}, {})
    assert risk["k"] == report["models"]["k-anonymity"]["reached"] >= 6
    assert risk["l"] >= 2
    codes = pq.read_table(io.BytesIO(made)).column(0).to_pylist()
    names = {code: f"P{n:05d}" for n, code in enumerate(sorted(people.values(), reverse=True))}
    sink = Pipe()
    copied = copy({"kind": "table", "names": names}, {"core": io.BytesIO(made)}, {"copy": cast("BinaryIO", sink)})
    assert copied["records"] == len(codes)
    for content in (made, sink.held.getvalue()):
        spec = {"name": "phenotype.parquet", "identifiers": identifiers}
        assert leakcheck(spec, {"file": io.BytesIO(content)}, {}) == {"findings": []}


def test_the_source_itself_is_full_of_findings() -> None:
    rows, _ = table_people()
    for column in ("participant_id", "name", "id_number", "phone"):
        spec = {"name": "phenotype.csv", "identifiers": [row[column] for row in rows]}
        found = leakcheck(spec, {"file": io.BytesIO((COHORT / "phenotype.csv").read_bytes())}, {})["findings"]
        places = {finding["where"] for finding in found if finding["kind"] == "source-identifier"}
        assert len(places) == len(rows), column


def test_the_cohort_goes_the_whole_way_and_no_sample_name_goes_with_it() -> None:
    with (COHORT / "samples.csv").open(encoding="utf-8") as lines:
        samples = [row["sample"] for row in csv.DictReader(lines) if row["file"].endswith(".vcf.gz")]
    people = {sample: f"{n * 7919 % 100003:032x}" for n, sample in enumerate(samples[:150])}
    source = (COHORT / "cohort.vcf.gz").read_bytes()
    report, made = run_core("cohort-vcf-controlled", source, people)
    assert report["output"]["participants"] == 150
    risk = assess(spec_of("cohort-vcf-controlled"), {"core": io.BytesIO(made)}, {})
    assert risk["linkable"] is True
    assert risk["genomic"]["singletons_per_participant_max"] == report["genomic"]["singletons_per_participant_max"] == 0
    assert risk["genomic"]["participants"] == 150
    names = {code: f"P{n:05d}" for n, code in enumerate(sorted(people.values()))}
    sink = Pipe()
    copy({"kind": "vcf", "names": names}, {"core": io.BytesIO(made)}, {"copy": cast("BinaryIO", sink)})
    spec = {"name": "cohort.vcf.gz", "identifiers": samples}
    for content in (made, sink.held.getvalue()):
        assert leakcheck(spec, {"file": io.BytesIO(content)}, {}) == {"findings": []}
    dirty = leakcheck(spec, {"file": io.BytesIO(source)}, {})["findings"]
    assert {"header-line", "source-identifier"} <= {finding["kind"] for finding in dirty}


def test_the_report_says_how_well_masked_genotypes_are_guessed_where_asked() -> None:
    source = (COHORT / "cohort.vcf.gz").read_bytes()
    head = gzip.decompress(source).partition(b"\n#CHROM")[2].partition(b"\n")[0]
    first = next(line for line in gzip.decompress(source).splitlines() if not line.startswith(b"#")).split(b"\t")
    people = {name: f"c{number}" for number, name in enumerate(head.decode().split("\t")[9:])}
    bed = b"%s\t%d\t%d\n" % (first[0], int(first[1]) - 1, int(first[1]) + 20_000)
    text = "recipe: r\nversion: 1\nkind: vcf\ntier: controlled\nsteps: [{mask: {bed: m}}]\n"
    spec = {"recipe": text, "files": {"m": base64.b64encode(bed).decode()}, "participants": people}
    plain = core(spec, {"source": io.BytesIO(source)}, {"core": io.BytesIO()})
    spec["options"] = {"measure_masks": True}
    told = core(spec, {"source": io.BytesIO(source)}, {"core": io.BytesIO()})
    jsonschema.Draft202012Validator(SCHEMA).validate(told)
    assert "masked_alleles" not in plain["genomic"]
    assert told["genomic"]["masked_alleles"] > 0
    assert 0 <= told["genomic"]["masked_r2_max"] <= 1
    assert told["output"] == plain["output"]


def test_released_frequencies_are_reported_and_assessed_with_their_membership_power() -> None:
    source = (COHORT / "cohort.vcf.gz").read_bytes()
    names = gzip.decompress(source).partition(b"\n#CHROM")[2].partition(b"\n")[0].decode().split("\t")[9:]
    text = "recipe: f\nversion: 1\nkind: frequencies\ntier: controlled\nsteps: []\n"
    spec = {"recipe": text, "files": {}, "participants": {name: f"c{number}" for number, name in enumerate(names)}}
    sink = io.BytesIO()
    report = core(spec, {"source": io.BytesIO(source)}, {"core": sink})
    jsonschema.Draft202012Validator(SCHEMA).validate(report)
    told = report["genomic"]
    assert told["lr_sites"] > 100
    assert 0.05 < told["lr_power_at_5pct_fpr"] <= told["lr_power_at_5pct_fpr_person_max"] <= 1
    assert told["lr_power_at_0_1pct_fpr"] < told["lr_power_at_5pct_fpr"]
    bounded = assess(spec, {"core": io.BytesIO(sink.getvalue())}, {})["genomic"]
    assert bounded["lr_sites"] >= told["lr_sites"]
    assert bounded["lr_power_at_5pct_fpr"] >= told["lr_power_at_5pct_fpr"] - 0.05


def test_names_that_would_collide_or_need_quoting_never_reach_a_copy() -> None:
    with pytest.raises(DeidError) as caught:
        copy({"kind": "vcf", "names": {"a": "P1", "b": "p1"}}, {"core": io.BytesIO()}, {"copy": io.BytesIO()})
    assert caught.value.code == "names_collide"


def test_a_kind_that_is_not_built_is_refused_by_name() -> None:
    with pytest.raises(DeidError, match="pictures") as caught:
        copy({"kind": "pictures", "names": {}}, {"core": io.BytesIO()}, {"copy": io.BytesIO()})
    assert caught.value.code == "kind_unknown"


def test_a_file_that_is_not_base64_is_refused_without_showing_it() -> None:
    with pytest.raises(DeidError, match="base64"):
        core(
            {"recipe": "", "files": {"x": "%%%"}, "participants": {}}, {"source": io.BytesIO()}, {"core": io.BytesIO()}
        )
