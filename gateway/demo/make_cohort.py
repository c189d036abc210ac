"""Make the demo cohort: 200 people who do not exist, from one seed, the same bytes every time.

Run as ``python -m gateway.demo.make_cohort FOLDER``. Everything a careless hospital leaves in its files is here on
purpose: sample names, command lines, paths, run dates, identity numbers, telephone numbers and free text.
Identity numbers carry the valid check digit of GB 11643 under the area code 990000, which no place has.
"""

from __future__ import annotations

import csv
import io
import random
import sys
from datetime import date, timedelta
from pathlib import Path

import deflate
import numpy as np
import pysam

SEED = 20261121
PEOPLE, READERS = 200, 3
CONTIGS = {"chr1": 248956422, "chr7": 159345973, "chrX": 156040895}
SITES = {"chr1": 2200, "chr7": 1400, "chrX": 300}
SURNAMES, GIVEN = (
    "王李张刘陈杨黄赵吴周徐孙马朱胡林郭何高罗",
    "伟芳娜敏静丽强磊军洋勇艳杰娟涛明超秀霞平刚桂华飞玉梅建国志红晓文婷宇",
)
DISTRICTS = ("深圳市南山区", "深圳市福田区", "深圳市罗湖区", "深圳市宝安区", "广州市天河区", "广州市越秀区")
DIAGNOSES = (("I45.8", 5), ("I47.2", 4), ("I49.8", 6), ("I42.1", 3), ("I10", 2))
BLOCK = 65280
EOF_BLOCK = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")


def main(folder: Path) -> None:
    """Write the cohort into ``folder``."""
    (folder / "reads").mkdir(parents=True, exist_ok=True)
    people = _people(random.Random(SEED))  # noqa: S311  a seeded generator is the point
    (folder / "cohort.vcf.gz").write_bytes(_bgzip(_vcf(people, np.random.default_rng(SEED))))
    _table(folder / "phenotype.csv", _phenotypes(people))
    _table(folder / "consent.csv", _consents(people))
    _table(folder / "samples.csv", _samples(people))
    for person in people[:READERS]:
        _reads(folder / "reads" / f"{person['sample']}.bam", person)
    (folder / "manifest.yaml").write_text(MANIFEST, "utf-8")
    (folder / "README.md").write_text(README, "utf-8")


def _people(dice: random.Random) -> list[dict[str, str]]:
    people = []
    for n in range(PEOPLE):
        sex = dice.choice(("female", "male"))
        born = date(1948, 1, 1) + timedelta(days=dice.randrange(365 * 54))
        if n == 17:
            born = date(2012, 5, 4)
        people.append(
            {
                "participant_id": f"SZH-{n + 1:05d}",
                "sample": f"SZH_WGS_{n + 1:04d}",
                "name": dice.choice(SURNAMES) + "".join(dice.sample(GIVEN, 2)),
                "id_number": _identity(born, dice, sex),
                "phone": f"100{dice.randrange(10**8):08d}",
                "birth_date": born.isoformat(),
                "sex": sex,
                "district": dice.choices(DISTRICTS, weights=(5, 4, 2, 3, 4, 2))[0],
                "diagnosis": dice.choices([d for d, _ in DIAGNOSES], weights=[w for _, w in DIAGNOSES])[0],
                "bmi": f"{dice.gauss(23.5, 3.2):.1f}",
                "visit_date": (date(2025, 1, 6) + timedelta(days=dice.randrange(400))).isoformat(),
            }
        )
    return people


def _identity(born: date, dice: random.Random, sex: str) -> str:
    order = dice.randrange(1, 499) * 2 + (sex == "male")
    body = f"990000{born:%Y%m%d}{order:03d}"
    weights = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
    return body + "10X98765432"[sum(int(c) * w for c, w in zip(body, weights, strict=True)) % 11]


def _phenotypes(people: list[dict[str, str]]) -> list[dict[str, str]]:
    columns = (
        "participant_id",
        "name",
        "id_number",
        "phone",
        "birth_date",
        "sex",
        "district",
        "diagnosis",
        "bmi",
        "visit_date",
    )
    notes = "患者{name}，电话{phone}，门诊随访，心电图示异常，建议家系筛查。"
    return [{**{c: person[c] for c in columns}, "notes": notes.format(**person)} for person in people]


def _samples(people: list[dict[str, str]]) -> list[dict[str, str]]:
    rows = [{"sample": p["sample"], "participant": p["participant_id"], "file": "cohort.vcf.gz"} for p in people]
    reads = [
        {"sample": p["sample"], "participant": p["participant_id"], "file": f"reads/{p['sample']}.bam"}
        for p in people[:READERS]
    ]
    return rows + reads


def _consents(people: list[dict[str, str]]) -> list[dict[str, str]]:
    plain = {
        "version": "2025-1", "notice": "N-2025-3", "signed_on": "2025-01-02", "purposes": "DS;NCU", "diseases": "I",
        "places": "mainland;hong_kong;macau", "recipient_kinds": "academic;hospital",
        "named_recipients": "Victoria Harbour University", "sensitive": "yes", "provision": "yes",
        "cross_border": "yes",
        "return_of_results": "no", "guardian": "no", "reconsent_due": "", "withdrawn_on": "",
    }  # fmt: skip
    changes = {
        3: {"withdrawn_on": "2025-11-03"}, 9: {"cross_border": "no"}, 11: {"places": "mainland"},
        23: {"reconsent_due": "2026-01-31"}, 31: {"sensitive": "no"}, 40: {"provision": "no"},
        52: {"diseases": "C"}, 61: {"named_recipients": "Another Institute"}, 77: {"recipient_kinds": "hospital"},
    }  # fmt: skip
    also_company = {
        "recipient_kinds": "academic;hospital;company",
        "named_recipients": "Victoria Harbour University;Delta Genomics (Shenzhen) Ltd",
    }
    return [
        {
            "participant": p["participant_id"],
            "birth_date": p["birth_date"],
            **plain,
            **(also_company if n < 120 else {}),
            **changes.get(n, {}),
        }
        for n, p in enumerate(people)
    ]


def _vcf(people: list[dict[str, str]], dice: np.random.Generator) -> bytes:
    head = [
        "##fileformat=VCFv4.2", "##fileDate=20250418", "##source=HospitalPipeline/3.1 user=zhangwei",
        '##FILTER=<ID=PASS,Description="All filters passed">', '##FILTER=<ID=LowQual,Description="Low quality">',
        *[f"##contig=<ID={name},length={length},URL=file:///data/ref/hg38.fa>" for name, length in CONTIGS.items()],
        '##INFO=<ID=AC,Number=A,Type=Integer,Description="Allele count">',
        '##INFO=<ID=AN,Number=1,Type=Integer,Description="Allele number">',
        '##INFO=<ID=AF,Number=A,Type=Float,Description="Allele frequency">',
        '##INFO=<ID=DP,Number=1,Type=Integer,Description="Depth">',
        '##INFO=<ID=CARRIER,Number=1,Type=String,Description="First carrier, from /data/lims/export.csv">',
        '##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">',
        '##FORMAT=<ID=DP,Number=1,Type=Integer,Description="Depth">',
        '##FORMAT=<ID=GQ,Number=1,Type=Integer,Description="Quality">',
        f"##SAMPLE=<ID={people[0]['sample']},Description={people[0]['participant_id']}>",
        f"##bcftools_viewCommand=view -s {people[1]['sample']} /data/{people[1]['participant_id']}.vcf.gz; Date=Fri",
        "##hospital_batch=B20250418-07",
        "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\t" + "\t".join(p["sample"] for p in people),
    ]  # fmt: skip
    lines = [line for name in CONTIGS for line in _sites(name, people, dice)]
    return ("\n".join([*head, *lines]) + "\n").encode()


def _sites(contig: str, people: list[dict[str, str]], dice: np.random.Generator) -> list[str]:
    positions = np.sort(dice.choice(20_000_000, SITES[contig], replace=False)) + 1_000_000
    males = np.array([p["sex"] == "male" for p in people])
    lines = []
    for position in positions:
        frequency = min(0.5, float(dice.exponential(0.09)) + 0.002)
        multi = dice.random() < 0.03
        alleles = (dice.random((len(people), 2)) < frequency).astype(int)
        if multi:
            alleles[(alleles == 1) & (dice.random(alleles.shape) < 0.3)] = 2
        ref, alt = _bases(dice, multi=multi)
        lines.append(_line(contig, int(position), (ref, alt), alleles, males, dice))
    return lines


def _bases(dice: np.random.Generator, *, multi: bool) -> tuple[str, str]:
    first, second, third = dice.permutation(list("ACGT"))[:3]
    if multi:
        return str(first), f"{second},{third}"
    if dice.random() < 0.08:
        return (
            (str(first) + "ACG"[: dice.integers(1, 4)], str(first))
            if dice.random() < 0.5
            else (str(first), f"{first}TG")
        )
    return str(first), str(second)


def _line(
    contig: str,
    position: int,
    bases: tuple[str, str],
    alleles: np.ndarray,
    males: np.ndarray,
    dice: np.random.Generator,
) -> str:
    depth = dice.poisson(31, len(alleles))
    quality = np.clip(depth * 3 - dice.integers(0, 12, len(alleles)), 0, 99)
    missing = dice.random(len(alleles)) < 0.004
    mark = "|" if dice.random() < 0.4 else "/"
    calls = []
    for n, (one, two) in enumerate(alleles):
        haploid = contig == "chrX" and males[n]
        call = str(one) if haploid else f"{one}{mark}{two}"
        calls.append(("." if haploid else "./.") + ":.:." if missing[n] else f"{call}:{depth[n]}:{quality[n]}")
    known = alleles[~missing]
    counts = ",".join(str(int((known == a).sum())) for a in range(1, bases[1].count(",") + 2))
    info = f"AC={counts};AN={known.size};DP={int(depth.sum())}"
    verdict = "LowQual" if dice.random() < 0.02 else "PASS"
    return "\t".join([contig, str(position), f"szh{position}", *bases, "60", verdict, info, "GT:DP:GQ", *calls])


def _bgzip(data: bytes) -> bytes:
    return b"".join(_block(data[i : i + BLOCK]) for i in range(0, len(data), BLOCK)) + EOF_BLOCK


def _block(chunk: bytes) -> bytes:
    body = bytes(deflate.deflate_compress(chunk, 6))
    size = len(body) + 25
    head = bytes.fromhex("1f8b08040000000000ff060042430200") + size.to_bytes(2, "little")
    return head + body + deflate.crc32(chunk).to_bytes(4, "little") + len(chunk).to_bytes(4, "little")


def _reads(path: Path, person: dict[str, str]) -> None:
    dice = random.Random(person["sample"])  # noqa: S311  seeded on purpose
    header = {
        "HD": {"VN": "1.6", "SO": "coordinate"},
        "SQ": [{"SN": name, "LN": length, "UR": "file:/data/ref/hg38.fa"} for name, length in CONTIGS.items()],
        "RG": [
            {"ID": "FC123.1", "SM": person["sample"], "LB": f"lib-{person['participant_id']}", "PU": "FC123.1.ACGT"}
        ],
        "PG": [{"ID": "bwa", "PN": "bwa", "CL": f"bwa mem /data/patients/{person['participant_id']}_R1.fq.gz"}],
        "CO": [f"patient {person['participant_id']}"],
    }
    with pysam.AlignmentFile(str(path), "wb", header=header) as out:
        for n in range(120):
            read = pysam.AlignedSegment(out.header)
            read.query_name = f"A00123:45:FC123:1:1101:{1000 + n}:{2000 + n}"
            read.query_sequence = "".join(dice.choice("ACGT") for _ in range(100))
            read.flag, read.reference_id, read.reference_start = 0, 0, 1_000_000 + n * 37
            read.mapping_quality, read.cigarstring = 60, "100M"
            read.query_qualities = pysam.qualitystring_to_array("F" * 100)
            read.set_tag("RG", "FC123.1")
            out.write(read)


def _table(path: Path, rows: list[dict[str, str]]) -> None:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    path.write_text(text.getvalue(), "utf-8", newline="\n")


README = """# Demo cohort

Made by `python -m gateway.demo.make_cohort` from one seed. Nobody in it exists: names are drawn from syllables,
identity numbers use an area code that no place has, telephone numbers a range that is not assigned.
"""

MANIFEST = """\
dataset: hereditary-arrhythmia-shenzhen
title:
  en: Hereditary arrhythmia cohort, Shenzhen (synthetic)
  zh-Hans: 深圳遗传性心律失常队列（合成数据）
  zh-Hant: 深圳遺傳性心律失常隊列（合成數據）
owner: Shenzhen Harbour Hospital
holder: Shenzhen Harbour Hospital
responsible_person: data steward on duty
origin_of_material: mainland
provenance:
  {laboratory: SZH core lab, platform: short read, kit: PCR-free, pipeline: Pipeline 3.1, reference_build: GRCh38}
hgr: {category: WGS, subtype: C1.3}
population: {participants: 200, region_flag: 'no', pedigree_flag: 'no', reviewer_flag: 'no', minors: true}
secret: 'no'
important: 'no'
samples: samples.csv
data_use: [DS, NCU]
diseases: [I]
consent: consent.csv
identifiers: {file: phenotype.csv, participant: participant_id, columns: [name, id_number, phone], strongest: id_number}
files:
  - {path: cohort.vcf.gz, kind: vcf}
  - {path: phenotype.csv, kind: table}
  - {path: reads/SZH_WGS_0001.bam, kind: reads}
  - {path: reads/SZH_WGS_0002.bam, kind: reads}
  - {path: reads/SZH_WGS_0003.bam, kind: reads}
views:
  - {name: cohort-variants, kind: vcf, recipe: cohort-vcf-controlled, tier: controlled, files: [cohort.vcf.gz]}
  - {name: phenotypes, kind: table, recipe: phenotype-controlled, tier: controlled, files: [phenotype.csv]}
  - {name: raw-reads, kind: reads, recipe: none, tier: enclave, files: [
      reads/SZH_WGS_0001.bam, reads/SZH_WGS_0002.bam, reads/SZH_WGS_0003.bam]}
"""


if __name__ == "__main__":
    main(Path(sys.argv[1]))
