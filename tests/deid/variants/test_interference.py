"""Invariant 10: output is a function of the permitted participants and the listed fields only.

A cohort is made at random, everything that is not permitted or not listed is made anew, and not one byte may change.
The changes are drawn by name, so that a leak says which change it came through.
"""

from __future__ import annotations

import random

import pytest

from deid.variants import plan_from_steps

BASES = "ACGT"
PEOPLE = [f"P{index:02d}" for index in range(12)]
PERMITTED = {name: f"c{(7 * index) % 6}" for index, name in enumerate(PEOPLE[3:9])}
STEPS = (
    {"filter": {"keep": True}},
    {"info": {"keep": ["AC", "AN", "AF", "NS", "DP"]}},
    {"format": {"keep": ["GT", "DP", "GQ", "AD"]}},
    {"mask": {"bed": "m", "except": "approved-panel"}},
    {"minimum-allele-count": {"count": 2, "action": "mask", "except": "approved-panel"}},
)
FILES = {"m": b"1\t2000\t2500\n", "approved-panel": b"1\t2100\t2200\n1\t500\t600\n"}


def cohort(rng: random.Random) -> list[dict[str, object]]:
    """Records with alleles, per-person genotypes over them, and fields nobody asked for."""
    records: list[dict[str, object]] = []
    position = 1
    for _ in range(150):
        position += rng.randrange(1, 40)
        ref = "".join(rng.choice(BASES) for _ in range(rng.choice([1, 1, 1, 3, 5])))
        alts = {ref[:size] for size in range(1, len(ref))} | {"*", "<DEL>", ref + "T"} | set(BASES) - {ref[0], ref}
        chosen = rng.sample(sorted(alts), rng.choice([1, 1, 2, 3]))
        records.append({"at": position, "ref": ref, "alts": chosen, "end": position + 50,
                        "calls": {name: genotype(rng, len(chosen)) for name in PEOPLE},
                        "noise": rng.random()})  # fmt: skip
    return records


def genotype(rng: random.Random, alts: int) -> tuple[list[str], str, int, int, list[int]]:
    ploidy = rng.choice([2, 2, 2, 2, 1])
    alleles = [rng.choice(["0", "0", "0", ".", str(rng.randrange(alts + 1))]) for _ in range(ploidy)]
    return alleles, rng.choice("/|"), rng.randrange(60), rng.randrange(99), [rng.randrange(40) for _ in range(alts + 1)]


def cell(call: tuple[list[str], str, int, int, list[int]]) -> str:
    alleles, separator, depth, quality, depths = call
    return f"{separator.join(alleles)}:{depth}:{quality}:{','.join(map(str, depths))}"


def text(made, records: list[dict[str, object]], people: list[str], header: str | None = None) -> bytes:
    lines = []
    for record in records:
        noise = record["noise"]
        info = record.get("info", f"AC=1;SF={noise};END={record['end']}")
        fixed = [
            1,
            record["at"],
            record.get("id", "."),
            record["ref"],
            ",".join(record["alts"]),
            record.get("qual", 50),
            "PASS",
        ]
        cells = [record.get("cells", {}).get(name) or cell(record["calls"][name]) for name in people]
        lines.append(" ".join(map(str, [*fixed, info, record.get("format", "GT:DP:GQ:AD"), *cells])))
    return made.vcf(lines, people, header or made.HEADER)


def others_genotypes(made, records, rng):
    for record in records:
        for name in set(PEOPLE) - set(PERMITTED):
            record["calls"][name] = genotype(rng, len(record["alts"]))
    return text(made, records, PEOPLE)


def others_cells_of_any_text(made, records, rng):
    for record in records:
        record["cells"] = {
            name: "".join(rng.choices("ab:,/|.09xyz", k=rng.randrange(1, 30))) for name in set(PEOPLE) - set(PERMITTED)
        }
    return text(made, records, PEOPLE)


def sample_order(made, records, rng):
    return text(made, records, rng.sample(PEOPLE, len(PEOPLE)))


def more_and_fewer_people(made, records, rng):
    people = [name for name in PEOPLE if name in PERMITTED] + [f"Q{index}" for index in range(30)]
    for record in records:
        record["calls"] |= {name: genotype(rng, len(record["alts"])) for name in people if name.startswith("Q")}
    return text(made, records, people)


def unlisted_info_id_and_quality(made, records, rng):
    for record in records:
        record |= {
            "info": f"END={record['end']};AC={rng.random()};NS=LiMing;X",
            "id": f"rs{rng.random()}",
            "qual": rng.random(),
        }
    return text(made, records, PEOPLE)


def unlisted_format_keys(made, records, rng):
    for record in records:
        record["format"] = "GT:AD:PGT:GQ:PL:DP"
        record["cells"] = {
            name: ":".join(
                [
                    "/|"["|" in c[1]].join(c[0]),
                    ",".join(map(str, c[4])),
                    f"x{rng.random()}",
                    str(c[3]),
                    "1,2,3",
                    str(c[2]),
                ]
            )
            for name, c in record["calls"].items()
        }
    return text(made, records, PEOPLE)


def header_lines(made, records, rng):
    lines = [
        line
        for line in made.HEADER.splitlines()
        if line.split("=")[0] in {"##fileformat", "##contig", "##FILTER", "##FORMAT"}
    ]
    lines = [line.replace("assembly=b37", f"assembly={rng.random()}").replace("LiMing", "somebody") for line in lines]
    lines[1:1] = [
        f"##x{rng.random()}=<ID=y>",
        '##SAMPLE=<ID=P00,Description="a, b">',
        '##INFO=<ID=ZZ,Number=1,Type=Float,Description="?">',
    ]
    return text(made, records, PEOPLE, "\n".join(lines) + "\n")


def sites_of_others(made, records, rng):
    more = []
    for record in records:
        more.append(record)
        calls = {name: (["0", "0"] if name in PERMITTED else ["0", "1"], "/", 1, 1, [1, 1]) for name in PEOPLE}
        more.append({"at": record["at"], "ref": "A", "alts": ["C"], "end": 1, "calls": calls, "noise": rng.random()})
    return text(made, more, PEOPLE)


def alleles_of_others(made, records, rng):
    """An ALT that only others carry, long enough to lengthen REF and every other allele."""
    for record in records:
        spelt = [alt for alt in record["alts"] if alt != "*" and not alt.startswith("<")]
        if not spelt or len(record["alts"]) != len(spelt):
            continue
        tail = "".join(rng.choice(BASES) for _ in range(3))
        record["alts"] = [alt + tail for alt in record["alts"]] + [record["ref"] + tail + "GG"]
        record["ref"] += tail
        last = str(len(record["alts"]))
        for name, call in record["calls"].items():
            call[4].append(rng.randrange(9))
            if name not in PERMITTED:
                call[0][0] = last
    return text(made, records, PEOPLE)


def order_of_alleles(made, records, rng):
    for record in records:
        order = rng.sample(range(len(record["alts"])), len(record["alts"]))
        record["alts"] = [record["alts"][at] for at in order]
        new = {".": ".", "0": "0", **{str(old + 1): str(at + 1) for at, old in enumerate(order)}}
        for call in record["calls"].values():
            call[0][:] = [new[allele] for allele in call[0]]
            call[4][:] = [call[4][0], *(call[4][old + 1] for old in order)]
    return text(made, records, PEOPLE)


CHANGES = [
    others_genotypes,
    others_cells_of_any_text,
    sample_order,
    more_and_fewer_people,
    unlisted_info_id_and_quality,
    unlisted_format_keys,
    header_lines,
    sites_of_others,
    alleles_of_others,
    order_of_alleles,
]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
@pytest.mark.parametrize("seed", range(3))
def test_inv10_what_is_not_permitted_and_not_listed_changes_no_byte(made, change, seed, compiled):
    """Invariant 10."""
    before = text(made, cohort(random.Random(seed)), PEOPLE)
    after = change(made, cohort(random.Random(seed)), random.Random(seed + 1000))
    assert before != after
    _, one = made.run(before, PERMITTED, STEPS, files=FILES, compiled=compiled)
    _, other = made.run(after, PERMITTED, STEPS, files=FILES, compiled=compiled)
    assert len(made.lines_of(one)) > 20
    assert one == other


def test_what_is_permitted_and_listed_does_change_bytes(made):
    """The test above could not fail if nothing mattered."""
    records = cohort(random.Random(1))
    _, before = made.run(text(made, records, PEOPLE), PERMITTED, STEPS, files=FILES)
    for record in records:
        alleles, separator, depth, quality, depths = record["calls"]["P04"]
        record["calls"]["P04"] = (alleles, separator, depth + 1, quality, depths)
    _, after = made.run(text(made, records, PEOPLE), PERMITTED, STEPS, files=FILES)
    assert before != after


def test_the_same_bytes_whatever_the_threads_and_the_blocks_of_the_source(made, monkeypatch):
    """Invariant 11."""
    monkeypatch.setattr("deid.bgzf.GROUP", 5000)
    source = text(made, cohort(random.Random(5)), PEOPLE)
    views = {
        made.run(made.bgzip(source, size), PERMITTED, STEPS, files=FILES, threads=threads)[1]
        for size in (97, 5000)
        for threads in (1, 2, 5)
    }
    assert len(views) == 1


def test_steps_in_any_order_are_the_same_plan():
    assert plan_from_steps(STEPS, FILES) == plan_from_steps(STEPS[::-1], FILES)
