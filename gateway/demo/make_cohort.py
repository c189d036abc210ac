"""Make the demo cohort: 200 people who do not exist, from one seed, the same bytes every time.

Run as ``python -m gateway.demo.make_cohort FOLDER``. Everything a careless hospital leaves in its files is here on
purpose: sample names, command lines, paths, run dates, identity numbers, telephone numbers and free text.
Identity numbers carry the valid check digit of GB 11643 under the area code 990000, which no place has (GB/T 2260);
telephone numbers begin with 154, which no operator has been given. What is in it is told in ``cohort/README.md``.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import random
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import deflate
import numpy as np
import pysam
from numpy.typing import NDArray

Row = dict[str, str]
Alleles = NDArray[np.int64]
SEED = 20261121
PEOPLE, READERS, READS = 200, 3, 120
CONTIGS = {"chr1": 248956422, "chr7": 159345973, "chrX": 156040895}
SITES = {"chr1": 2200, "chr7": 1500, "chrX": 300}
PSEUDOAUTOSOMAL_END = 2_781_479  # PAR1 of GRCh38: men have two copies up to here
SURNAMES, GIVEN = (
    "王李张刘陈杨黄赵吴周徐孙马朱胡林郭何高罗",
    "伟芳娜敏静丽强磊军洋勇艳杰娟涛明超秀霞平刚桂华飞玉梅建国志红晓文婷宇",
)
DISTRICTS = {
    "深圳市南山区": 5, "深圳市福田区": 4, "深圳市罗湖区": 2, "深圳市宝安区": 3, "深圳市龙岗区": 1,
    "广州市天河区": 4, "广州市越秀区": 3,
}  # fmt: skip
DIAGNOSES = {"I45.8": 5, "I45.6": 2, "I47.2": 4, "I47.1": 2, "I49.8": 6, "I42.1": 3, "I10": 2}
NOTES = (
    "患者{name}，电话{phone}，门诊随访，心电图示异常，建议家系筛查。",
    "家属来电（{phone}）代诉：{name}昨夜晕厥一次，已嘱急诊就诊。",
    "{name}，身份证{id_number}，{visit_date}行24小时动态心电图，QTc延长。",
    "转自{district}社区医院，随访良好，无不适。",
    "其兄{surname}先生40岁猝死，家族史阳性；联系人电话{phone}。",
    "Pt {name} seen on {visit_date}, tel {phone}; ECG repeated.",
    "",
)
PHENOTYPE = (
    "participant_id", "name", "id_number", "phone", "birth_date", "sex", "district", "diagnosis", "bmi", "visit_date",
    "notes",
)  # fmt: skip
BLOCK = 65280
EOF_BLOCK = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")


def main(folder: Path) -> None:
    """Write the cohort into ``folder``: five files and a folder ``reads``; the README is written by hand."""
    (folder / "reads").mkdir(parents=True, exist_ok=True)
    people = _people(random.Random(SEED))  # noqa: S311  a seeded generator is the point
    (folder / "cohort.vcf.gz").write_bytes(_bgzip(_vcf(people, np.random.default_rng(SEED))))
    _table(folder / "phenotype.csv", [{column: person[column] for column in PHENOTYPE} for person in people])
    _table(folder / "consent.csv", _consents(people))
    _table(folder / "samples.csv", _samples(people))
    for person in people[:READERS]:
        _reads(folder / "reads" / f"{person['sample']}.bam", person)
    (folder / "manifest.yaml").write_text(_manifest(folder, people[:READERS]), "utf-8", newline="\n")


def _people(dice: random.Random) -> list[Row]:
    people = []
    for n in range(PEOPLE):
        sex = dice.choice(("女", "男"))
        born = date(2012, 5, 4) if n == 17 else date(1950, 1, 1) + timedelta(days=dice.randrange(365 * 50))
        surname = dice.choice(SURNAMES)
        person = {
            "participant_id": f"SZH-{n + 1:05d}",
            "sample": f"SZH_WGS_{n + 1:04d}",
            "surname": surname,
            "name": surname + "".join(dice.sample(GIVEN, dice.choice((1, 2, 2)))),
            "id_number": _identity(born, dice, sex),
            "phone": f"154{dice.randrange(10**8):08d}",
            "birth_date": born.isoformat(),
            "sex": sex,
            "district": dice.choices(list(DISTRICTS), weights=list(DISTRICTS.values()))[0],
            "diagnosis": dice.choices(list(DIAGNOSES), weights=list(DIAGNOSES.values()))[0],
            "bmi": "" if dice.random() < 0.02 else f"{dice.gauss(23.5, 3.2):.1f}",
            "visit_date": (date(2025, 1, 6) + timedelta(days=dice.randrange(400))).isoformat(),
        }
        people.append({**person, "notes": dice.choice(NOTES).format(**person)})
    return people


def _identity(born: date, dice: random.Random, sex: str) -> str:
    """GB 11643: area, birth date, order number (odd for men), check digit by ISO 7064 MOD 11-2."""
    order = dice.randrange(1, 499) * 2 + (sex == "男")
    body = f"990000{born:%Y%m%d}{order:03d}"
    weights = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
    return body + "10X98765432"[sum(int(c) * w for c, w in zip(body, weights, strict=True)) % 11]


def _samples(people: list[Row]) -> list[Row]:
    files = [("cohort.vcf.gz", p) for p in people] + [(f"reads/{p['sample']}.bam", p) for p in people[:READERS]]
    return [{"sample": p["sample"], "participant": p["participant_id"], "file": file} for file, p in files]


def _consents(people: list[Row]) -> list[Row]:
    plain = {
        "version": "2025-1", "notice": "N-2025-3", "signed_on": "2025-01-02", "purposes": "DS;NCU", "diseases": "I",
        "places": "mainland;hong_kong;macau", "recipient_kinds": "academic;hospital",
        "named_recipients": "Victoria Harbour University", "sensitive": "yes", "provision": "yes",
        "cross_border": "yes",
        "return_of_results": "no", "guardian": "no", "reconsent_due": "", "withdrawn_on": "",
    }  # fmt: skip
    # Each keeps one person out of the story for a reason of its own; person 17 is a minor without a guardian.
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
        {"participant": p["participant_id"], "birth_date": p["birth_date"], **plain}
        | (also_company if n < 120 else {})
        | changes.get(n, {})
        for n, p in enumerate(people)
    ]


def _vcf(people: list[Row], dice: np.random.Generator) -> bytes:
    one, two, three = people[:3]
    head = [
        "##fileformat=VCFv4.2", "##fileDate=20250418", "##source=HospitalPipeline/3.1 user=zhangwei",
        "##reference=file:///data/ref/hg38.fa",
        '##FILTER=<ID=PASS,Description="All filters passed">', '##FILTER=<ID=LowQual,Description="Low quality">',
        *[f"##contig=<ID={name},length={length},URL=file:///data/ref/hg38.fa>" for name, length in CONTIGS.items()],
        '##INFO=<ID=AC,Number=A,Type=Integer,Description="Allele count">',
        '##INFO=<ID=AN,Number=1,Type=Integer,Description="Allele number">',
        '##INFO=<ID=AF,Number=A,Type=Float,Description="Allele frequency">',
        '##INFO=<ID=DP,Number=1,Type=Integer,Description="Depth">',
        '##INFO=<ID=MQ,Number=1,Type=Float,Description="Root mean square mapping quality">',
        '##INFO=<ID=CARRIER,Number=1,Type=String,Description="First carrier, from /data/lims/export.csv">',
        '##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">',
        '##FORMAT=<ID=DP,Number=1,Type=Integer,Description="Depth">',
        '##FORMAT=<ID=GQ,Number=1,Type=Integer,Description="Quality">',
        f"##SAMPLE=<ID={one['sample']},Description={one['participant_id']}>",
        f"##PEDIGREE=<ID={two['sample']},Father={three['sample']}>",
        f"##bcftools_viewCommand=view -s {two['sample']} /data/{two['participant_id']}.vcf.gz; Date=Fri Apr 18 2025",
        f"##GATKCommandLine=<ID=HaplotypeCaller,CommandLine=\"-I /data/patients/{three['name']}.bam\">",
        "##hospital_batch=B20250418-07",
        "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\t" + "\t".join(p["sample"] for p in people),
    ]  # fmt: skip
    lines = [line for name in CONTIGS for line in _sites(name, people, dice)]
    return ("\n".join([*head, *lines]) + "\n").encode()


@dataclass(frozen=True, slots=True)
class _Site:
    contig: str
    position: int
    ref: str
    alts: list[str]
    alleles: Alleles  # people x 2; the second is not there for a man on chrX
    haploid: NDArray[np.bool_]


def _sites(contig: str, people: list[Row], dice: np.random.Generator) -> Iterator[str]:
    men = np.array([p["sex"] == "男" for p in people])
    for position in np.sort(dice.choice(20_000_000, SITES[contig], replace=False)) + 1_000_000:
        frequency = min(0.5, float(dice.exponential(0.09)) + 0.002)
        alleles = (dice.random((len(people), 2)) < frequency).astype(np.int64)
        ref, alts = _bases(dice)
        if len(alts) > 1:
            alleles[(alleles == 1) & (dice.random(alleles.shape) < 0.3)] = 2
        haploid = men & (contig == "chrX") & (position > PSEUDOAUTOSOMAL_END)
        yield _line(_Site(contig, int(position), ref, alts, alleles, haploid), [p["sample"] for p in people], dice)


def _bases(dice: np.random.Generator) -> tuple[str, list[str]]:
    """REF and the ALTs: nine in ten one base for another, the rest two ALTs, an insertion or a deletion."""
    first, second, third = map(str, dice.permutation(list("ACGT"))[:3])
    kind = dice.random()
    if kind < 0.03:
        return first, [second, third]
    if kind < 0.06:
        return first + "ACG"[: dice.integers(1, 4)], [first]
    if kind < 0.10:
        return first, [f"{first}TG"]
    return first, [second]


def _line(site: _Site, names: Sequence[str], dice: np.random.Generator) -> str:
    depth = dice.poisson(31, len(names))
    quality = np.clip((depth - dice.integers(0, 4, len(names))) * 3, 0, 99)
    missing = dice.random(len(names)) < 0.004
    mark = "|" if dice.random() < 0.4 else "/"
    calls, seen, carrier = [], Counter[int](), ""
    for n, pair in enumerate(site.alleles.tolist()):
        copies = pair[:1] if site.haploid[n] else pair
        if missing[n]:
            calls.append("/".join("." * len(copies)) + ":.:.")
            continue
        seen.update(copies)
        carrier = carrier or (names[n] if any(copies) else "")
        calls.append(f"{mark.join(map(str, copies))}:{depth[n]}:{quality[n]}")
    info = _info(site, seen, int(depth.sum()), carrier, dice)
    verdict = "LowQual" if dice.random() < 0.02 else "PASS"
    score = f"{dice.integers(300, 6000) / 10:.1f}"
    start = [site.contig, str(site.position), f"szh{site.position}", site.ref, ",".join(site.alts), score, verdict]
    return "\t".join([*start, info, "GT:DP:GQ", *calls])


def _info(site: _Site, seen: Counter[int], depth: int, carrier: str, dice: np.random.Generator) -> str:
    counts, total = [seen[n] for n in range(1, len(site.alts) + 1)], seen.total()
    rates = ",".join(f"{count / total:.4g}" for count in counts)
    named = f";CARRIER={carrier}" if 0 < sum(counts) <= 3 else ""
    return f"AC={','.join(map(str, counts))};AN={total};AF={rates};DP={depth};MQ={dice.integers(570, 601) / 10}{named}"


def _bgzip(data: bytes) -> bytes:
    return b"".join(_block(data[i : i + BLOCK]) for i in range(0, len(data), BLOCK)) + EOF_BLOCK


def _block(chunk: bytes) -> bytes:
    body = bytes(deflate.deflate_compress(chunk, 6))
    size = len(body) + 25
    head = bytes.fromhex("1f8b08040000000000ff060042430200") + size.to_bytes(2, "little")
    return head + body + deflate.crc32(chunk).to_bytes(4, "little") + len(chunk).to_bytes(4, "little")


def _reads(path: Path, person: Row) -> None:
    """A coordinate-sorted, indexed BAM. Its blocks are ours, so that only one compressor decides the bytes."""
    dice = random.Random(person["sample"])  # noqa: S311  seeded on purpose
    group = {"ID": "FC123.1", "SM": person["sample"], "LB": f"lib-{person['participant_id']}", "PU": "FC123.1.ACGTACGT"}
    header = {
        "HD": {"VN": "1.6", "SO": "coordinate"},
        "SQ": [{"SN": name, "LN": length, "UR": "file:/data/ref/hg38.fa"} for name, length in CONTIGS.items()],
        "RG": [{**group, "PL": "ILLUMINA", "CN": "SZH core lab", "DT": "2025-04-18"}],
        "PG": [{"ID": "bwa", "PN": "bwa", "CL": f"bwa mem /data/patients/{person['participant_id']}_R1.fq.gz"}],
        "CO": [f"patient {person['participant_id']} {person['name']}"],
    }
    with pysam.AlignmentFile(str(path), "wbu", header=header) as out:
        for n in range(READS):
            out.write(_read(out.header, n, dice))
    path.write_bytes(_bgzip(gzip.decompress(path.read_bytes())))
    pysam.index(str(path))


def _read(header: pysam.AlignmentHeader, n: int, dice: random.Random) -> pysam.AlignedSegment:
    read, step = pysam.AlignedSegment(header), n // 2
    read.query_name = f"A00123:45:FC123:1:1101:{1000 + step}:{2000 + step}"
    read.query_sequence = "".join(dice.choice("ACGT") for _ in range(100))
    read.query_qualities = pysam.qualitystring_to_array("F" * 100)
    read.set_tag("RG", "FC123.1")
    read.set_tag("BC", "ACGTACGT")
    if step == READS // 2 - 1:  # the last pair lies nowhere
        read.flag = 77 if n % 2 == 0 else 141
        return read
    start = 1_000_000 + step * 400
    read.reference_id = read.next_reference_id = 0
    read.flag = 99 if n % 2 == 0 else 147
    read.reference_start, read.next_reference_start = (start, start + 200) if n % 2 == 0 else (start + 200, start)
    read.template_length = 300 if n % 2 == 0 else -300
    read.mapping_quality, read.cigarstring = 60, "100M" if dice.random() < 0.9 else "5S95M"
    return read


def _table(path: Path, rows: list[Row]) -> None:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    path.write_text(text.getvalue(), "utf-8", newline="\n")


def _manifest(folder: Path, readers: list[Row]) -> str:
    bams = [f"reads/{person['sample']}.bam" for person in readers]
    kinds = {"cohort.vcf.gz": ("vcf", PEOPLE), "phenotype.csv": ("table", PEOPLE), **dict.fromkeys(bams, ("reads", 1))}
    files = "".join(
        f"  - path: {path}\n    kind: {kind}\n    participants: {people}\n"
        f"    checksum: {hashlib.sha256((folder / path).read_bytes()).hexdigest()}\n"
        for path, (kind, people) in kinds.items()
    )
    return MANIFEST.format(files=files, bams=", ".join(bams), people=PEOPLE)


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
  laboratory: SZH core lab
  platform: short read
  kit: PCR-free
  pipeline: Pipeline 3.1
  reference_build: GRCh38
hgr: {{category: WGS, subtype: C1.3}}
population: {{participants: {people}, region_flag: 'no', pedigree_flag: 'no', reviewer_flag: 'no', minors: true}}
secret: 'no'
important: 'no'
synthetic: true
samples: samples.csv
data_use: [DS, NCU]
diseases: [I]
consent: consent.csv
identifiers:
  {{file: phenotype.csv, participant: participant_id, columns: [name, id_number, phone], strongest: id_number}}
files:
{files}views:
  - {{name: cohort-variants, kind: vcf, recipe: cohort-vcf-controlled, tier: controlled, files: [cohort.vcf.gz]}}
  - {{name: phenotypes, kind: table, recipe: phenotype-controlled, tier: controlled, files: [phenotype.csv]}}
  - {{name: raw-reads, kind: reads, recipe: none, tier: enclave, files: [{bams}]}}
"""


if __name__ == "__main__":
    main(Path(sys.argv[1]))
