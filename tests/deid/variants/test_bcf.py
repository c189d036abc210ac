"""BCF core views: copied to a recipient, measured and refused as VCF core views are."""

from __future__ import annotations

import io
import random
import struct

import pysam
import pytest

from deid.bgzf import EOF_BLOCK, deflate_blocks
from deid.genomic import assess_variants
from deid.variants import VariantError, copy_view, core_view, plan_from_steps
from deid.variants.bcf import bounded
from deid.variants.bcf_copy import reordered_bcf

PEOPLE = ["LiMing", "WangFang", "P3", "P4"]
CODES = {"LiMing": "c1", "P3": "c2", "P4": "c3"}
NAMES = {"c1": "Z", "c2": "A", "c3": "M"}
STEPS = (
    {"filter": {"keep": True}},
    {"info": {"keep": ["AC", "AN", "AF", "NS", "DP", "END"]}},
    {"format": {"keep": ["GT", "DP", "GQ", "AD"]}},
)


def source(made, count: int = 300) -> bytes:
    rng = random.Random(3)
    records = []
    for at in range(1, count):
        alts = rng.choice(["C", "C,ACG", "<DEL>", "C,G,*"])
        alleles = ["0", "0", ".", *map(str, range(1, alts.count(",") + 2))]
        cells = []
        for _ in PEOPLE:
            called = rng.choice("/|").join(rng.choices(alleles, k=rng.choice([1, 2, 2, 3])))
            depths = ",".join(rng.choices(["0", "300", "70000", "."], k=alts.count(",") + 2))
            cells.append(f"{called}:{rng.randrange(400)}:{rng.randrange(99)}:{depths}")
        records.append(f"1 {at} . A {alts} . PASS END={at + 9} GT:DP:GQ:AD {' '.join(cells)}")
    return made.vcf(records, PEOPLE)


def views(made, steps=STEPS) -> dict[str, bytes]:
    plan, whole = plan_from_steps(steps, {}), {}
    for form in ("vcf", "bcf"):
        sink = io.BytesIO()
        core_view(plan, io.BytesIO(source(made)), sink, participants=CODES, form=form, level=1)
        whole[form] = sink.getvalue()
    return whole


def copied(core: bytes, names=NAMES, **options) -> bytes:
    sink = io.BytesIO()
    counts = copy_view(io.BytesIO(core), sink, names=names, **options)
    assert counts.bytes == len(sink.getvalue())
    return sink.getvalue()


def records(data: bytes, folder) -> list[str]:
    path = folder / "x"
    path.write_bytes(data)
    with pysam.VariantFile(str(path)) as file:
        return [",".join(file.header.samples), *map(str, file)]


def test_a_bcf_is_copied_to_the_records_the_vcf_is_copied_to(made, tmp_path):
    both = views(made)
    copies = {form: copied(core) for form, core in both.items()}
    assert copies["bcf"] != copies["vcf"]
    listed = records(copies["bcf"], tmp_path)
    assert listed == records(copies["vcf"], tmp_path)
    assert listed[0] == "A,M,Z"
    assert len(listed) > 200


def test_a_copied_bcf_has_no_internal_code_left_and_the_same_bytes_each_time(made):
    core = views(made)["bcf"]
    whole = copied(core)
    assert whole == copied(core, threads=2)
    text = b"".join(_inflated(whole))
    assert not any(code.encode() + b"\t" in text or b"\t" + code.encode() in text for code in NAMES)


def _inflated(data: bytes):
    from deid import bgzf

    return [bgzf.inflate_blocks(group) for group in bgzf.block_groups(bgzf.Incoming(io.BytesIO(data)))]


def test_a_bcf_of_sites_only_is_copied_as_it_is(made, tmp_path):
    core = views(made, (*STEPS[:2], {"format": {"keep": ["GT", "DP"]}}, {"sites-only": {}}))["bcf"]
    assert records(copied(core, {}), tmp_path) == records(core, tmp_path)


def test_a_bcf_is_measured_as_the_vcf_is(made):
    both = views(made)
    assert assess_variants(io.BytesIO(both["bcf"])) == assess_variants(io.BytesIO(both["vcf"]))


def test_a_bcf_that_is_no_core_view_is_not_copied(made, tmp_path):
    plain = tmp_path / "s.vcf"
    plain.write_bytes(source(made))
    with (
        pysam.VariantFile(str(plain)) as given,
        pysam.VariantFile(str(tmp_path / "s.bcf"), "wb", header=given.header) as out,
    ):
        for record in given:
            out.write(record)
    with pytest.raises(VariantError) as caught:
        copied((tmp_path / "s.bcf").read_bytes(), {name: "x" + name for name in PEOPLE})
    assert caught.value.code == "not_a_core_view"


@pytest.mark.parametrize("names", [{"c1": "A", "c2": "B"}, {**NAMES, "c4": "B"}])
def test_names_that_do_not_cover_a_bcf_are_refused(made, names):
    with pytest.raises(VariantError) as caught:
        copied(views(made)["bcf"], names)
    assert caught.value.code == "names_differ"


def test_no_mutant_of_a_bcf_core_view_does_more_than_be_refused(made):
    """Lengths are proven before they are used: a named error with the record, or a whole copy."""
    rng, core = random.Random(8), views(made)["bcf"]
    text = bytearray(b"".join(_inflated(core)))
    codes, said = set(), ""
    for _ in range(300):
        mutant = bytearray(text)
        for _ in range(rng.randrange(1, 4)):
            at = rng.randrange(len(mutant))
            if rng.random() < 0.7:
                mutant[at] = rng.randrange(256)
            else:
                del mutant[at : at + rng.randrange(1, 40)]
        blocks = [bytes(mutant[at : at + 60_000]) for at in range(0, len(mutant), 60_000)]
        try:
            copied(deflate_blocks(blocks, 1) + EOF_BLOCK)
        except VariantError as error:
            codes.add(error.code)
            said += str(error)
    assert {"bad_bcf", "truncated"} <= codes
    assert not any(code in said for code in NAMES)


def one_record(samples: int, individual: bytes) -> bytes:
    shared = struct.pack("<iiifII", 0, 9, 1, 0.0, 1 << 16, 1 << 24 | samples) + b"\x07\x17A\x00"
    return struct.pack("<2I", len(shared), len(individual)) + shared + individual


def test_a_record_of_other_samples_or_of_other_length_is_not_copied():
    field = b"\x11\x01\x11"  # key 1, one 8-bit number for each sample
    whole = one_record(2, field + b"\x05\x07")
    assert list(reordered_bcf(whole, [], [1, 0])) == [(one_record(2, field + b"\x07\x05"), 1)]
    for record, order in ((whole, [0]), (whole, [1, 0, 2]), (one_record(2, field + b"\x05\x07\x09"), [1, 0]),
                          (one_record(2, field + b"\x05"), [1, 0]), (one_record(2, b"\x21\x01\x11\x05\x07"), [1, 0]),
                          (one_record(2, b"\x11\x01\x1f\x05\x07"), [1, 0])):  # fmt: skip
        with pytest.raises(VariantError, match="record 1"):
            list(reordered_bcf(record, [], order))


@pytest.mark.parametrize("cut", [1, 3, 1000])
def test_an_absurd_length_is_refused_before_htslib_makes_room_for_it(cut):
    head = b"BCF\x02\x02" + struct.pack("<I", 4) + b"abc\0"
    whole = head + one_record(1, b"\x11\x01\x11\x05")
    for data, record in (
        (b"BCF\x02\x02" + struct.pack("<I", 1 << 30) + bytes(99), 0),
        (head + struct.pack("<2I", 1 << 30, 0) + bytes(99), 0),
        (whole + struct.pack("<2I", 24, 1 << 30) + bytes(99), 1),
    ):
        with pytest.raises(VariantError, match=f"absurd length after record {record}$"):
            list(bounded(data[at : at + cut] for at in range(0, len(data), cut)))
    assert list(bounded([whole])) == [whole]
