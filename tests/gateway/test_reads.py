"""Reads go the whole path, in the registered tier and as the exception of the controlled one; samtools and bcftools judge."""

from __future__ import annotations

import gzip
import shutil
import signal
import subprocess
import sys
from collections import Counter
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pysam
import pytest

from gateway import revocation, risk_signing, sealed_copies
from gateway.assessing import worst_of
from gateway.errors import BadInput
from gateway.measured import _is_substituted
from gateway.release import advance, request_release
from gateway.revocation import shred_leftovers
from tests.gateway.reads_source import AS_CRAM, HOSPITAL, LENGTH, RARE, TOGETHER, add_reads, changed, reference_bases
from tests.world import World, make_world, reopened, write_source

peers = pytest.mark.skipif(
    not shutil.which("bcftools") or not shutil.which("samtools"), reason="needs samtools and bcftools"
)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    folder = Path(tmp_path_factory.mktemp("reads"))
    source = add_reads(write_source(folder / "source", changes={0: {"provision": "no"}}))
    world = make_world(folder, source=source)
    world.ids["source"] = str(source)
    return world


@pytest.fixture(scope="module")
def depth(world: World) -> dict[str, Any]:
    """The released substituted reads."""
    world.ids["item:depth"] = world.granted(views=("depth",))
    return world.release(world.ids["item:depth"], "depth")


def files_of(world: World, released: dict[str, Any], folder: Path, who: str = "researcher") -> list[Path]:
    """The opened files of a release, by the names they left under."""
    folder.mkdir(exist_ok=True)
    made = []
    for number, entry in enumerate(world.row("copy", released["copy_id"])["files"]):
        path = folder / entry["name"].removesuffix(".c4gh")
        path.write_bytes(world.opened(released, who, number))
        made.append(path)
    return made


def reads_of(path: Path) -> list[pysam.AlignedSegment]:
    with pysam.AlignmentFile(str(path), check_sq=False) as reads:
        return list(reads.fetch(until_eof=True))


def rules(row: dict[str, Any]) -> set[str]:
    return {reason["rule"] for reason in row["decision"]["reasons"]}


def called(path: Path, source: Path, folder: Path) -> list[str]:
    """What bcftools calls on reads; the reference is copied beside an index of samtools' own."""
    reference = folder / "judge.fa"
    shutil.copy(source / "ref.fa", reference)
    subprocess.run(["samtools", "faidx", reference], check=True)
    pile = subprocess.run(["bcftools", "mpileup", "-B", "-Ou", "-f", reference, path], check=True, capture_output=True)
    calls = subprocess.run(["bcftools", "call", "-mv", "-Ov"], input=pile.stdout, check=True, capture_output=True)
    return [line for line in calls.stdout.decode().splitlines() if not line.startswith("#")]


def coverage(reads: list[pysam.AlignedSegment], *, group: str | None = None) -> Any:
    seen = np.zeros(LENGTH)
    for read in reads:
        if not read.is_unmapped and group in (None, read.get_tag("RG")):
            seen[read.reference_start : read.reference_end] += 1
    return seen


@peers
def test_substituted_reads_leave_and_no_variant_is_called_on_them(
    world: World, depth: dict[str, Any], tmp_path: Path
) -> None:
    assert depth["state"] == "available", (depth["trouble"], depth["decision"])
    source, paths = Path(world.ids["source"]), files_of(world, depth, tmp_path)
    assert [path.name for path in paths] == ["depth.1.bam", "depth.2.bam"]
    assert len(called(source / "reads" / "HOSP0001.bam", source, tmp_path)) >= 5, "the judge sees the source's variants"
    for path in paths:
        subprocess.run(["samtools", "quickcheck", path], check=True)
        assert called(path, source, tmp_path) == []
    mine = [("HOSP0001.bam", None), ("together.bam", "FC1.1")]
    for name, group in mine:
        whole = [one for one in reads_of(source / "reads" / name) if group in (None, one.get_tag("RG"))]
        eligible = [one for one in whole if not one.is_unmapped]
        wanted = coverage(eligible)
        found = max((reads_of(path) for path in paths), key=lambda reads: np.corrcoef(coverage(reads), wanted)[0, 1])
        assert len(found) >= 0.95 * len(eligible)
        assert np.corrcoef(coverage(found), wanted)[0, 1] >= 0.95


def test_nothing_of_the_hospital_nor_of_who_did_not_consent_is_in_the_files(
    world: World, depth: dict[str, Any], tmp_path: Path
) -> None:
    bases, source = reference_bases()["chr1"], Path(world.ids["source"])
    names, people = set(), []
    for path in files_of(world, depth, tmp_path):
        with pysam.AlignmentFile(str(path), check_sq=False) as opened:
            header = opened.header.to_dict()
        assert set(header) == {"HD", "SQ", "RG"}
        assert all(set(group) <= {"ID", "SM", "PL"} for group in header["RG"])
        people += [group["SM"] for group in header["RG"]]
        assert not any(word in str(header) for word in (HOSPITAL, "HOSP", "bwa", "/data"))
        for read in reads_of(path):
            assert [tag for tag, _ in read.get_tags()] == ["RG"]
            assert read.query_sequence == bases[read.reference_start : read.reference_end]
            assert (read.mapping_quality, read.flag & ~16, read.is_unmapped) == (60, 0, False)
            names.add(read.query_name)
    assert len(people) == len(set(people)) == 2, "one file's second person refuses provision"
    old = {read.query_name for name in ("HOSP0001", "together") for read in reads_of(source / "reads" / f"{name}.bam")}
    assert not names & old
    kept = sum(len(reads_of(path)) for path in files_of(world, depth, tmp_path))
    of_refused = sum(read.get_tag("RG") == "FC0.1" for read in reads_of(source / "reads" / "together.bam"))
    assert of_refused > 100
    assert (
        kept
        <= sum(not r.is_unmapped for n in ("HOSP0001", "together") for r in reads_of(source / "reads" / f"{n}.bam"))
        - of_refused
        + 1
    )


def test_the_risk_of_substituted_reads_is_measured_and_says_which_reference(
    world: World, depth: dict[str, Any]
) -> None:
    core = world.row("core_view", depth["core_view_id"])
    found = core["risk"]["reads"]
    assert (found["is_substituted"], found["bases_are_reference"], found["tags"], found["unplaced"]) == (
        True,
        True,
        ["RG"],
        0,
    )
    assert (found["participants"], core["risk"]["clean"]) == (2, True)
    objects = world.env.uow.read(lambda tx: tx.find("data_object", path="ref.fa"))
    assert {report["reference"] for report in core["report"]} == {f"sha256:{objects[0]['checksum']}"}
    members = world.env.uow.read(lambda tx: tx.find("core_member", core_view_id=core["id"]))
    assert len(members) == 2, "only those whose reads are in it: their withdrawal kills it, and they are counted"


def test_two_recipients_share_no_name_no_order_and_a_file_number_says_nothing(
    world: World, depth: dict[str, Any], tmp_path: Path
) -> None:
    again = world.release(world.granted("rival", views=("depth",)), "depth", "rival")
    ours, theirs = files_of(world, depth, tmp_path / "a"), files_of(world, again, tmp_path / "b", "rival")
    names = [{read.query_name for path in paths for read in reads_of(path)} for paths in (ours, theirs)]
    assert names[0]
    assert not names[0] & names[1]
    people = [[_sample(path) for path in paths] for paths in (ours, theirs)]
    assert not set(people[0]) & set(people[1])
    for paths, found in zip((ours, theirs), people, strict=True):
        assert found == sorted(found), "files stand in the order of the new names, which the source's does not decide"
        for path in paths:
            for _, tied in groupby(reads_of(path), key=lambda read: read.reference_start):
                together = [str(read.query_name) for read in tied]
                assert together == sorted(together)


def _sample(path: Path) -> str:
    with pysam.AlignmentFile(str(path), check_sq=False) as opened:
        return str(opened.header.to_dict()["RG"][0]["SM"])


def begins(read: pysam.AlignedSegment) -> int:
    """Where a read would lie were it not clipped and all of it a match, laid from where its sequencing began."""
    clip, length = read.cigartuples[-1 if read.is_reverse else 0], read.infer_read_length()  # type: ignore[index]
    clipped = clip[1] if clip[0] in (4, 5) else 0
    assert length
    return int(read.reference_end + clipped - length if read.is_reverse else read.reference_start - clipped)  # type: ignore[operator]


@pytest.fixture(scope="module")
def as_cram(world: World) -> dict[str, Any]:
    """The release of a view whose source is a CRAM."""
    world.ids["item:cram"] = world.granted(views=("depth-cram",))
    return world.release(world.ids["item:cram"], "depth-cram")


def test_a_cram_is_read_as_it_streams_and_leaves_as_a_cram_of_the_reads_its_bam_would_give(
    world: World, as_cram: dict[str, Any], tmp_path: Path
) -> None:
    assert as_cram["state"] == "available", (as_cram["trouble"], rules(as_cram))
    path, index = files_of(world, as_cram, tmp_path)
    assert (path.name, index.name) == ("depth-cram.1.cram", "depth-cram.1.cram.crai")
    source, reference = Path(world.ids["source"]), tmp_path / "judge.fa"
    shutil.copy(source / "ref.fa", reference)  # beside the source's lies an index that lies
    with pysam.AlignmentFile(str(source / "reads" / "five.cram"), reference_filename=str(reference)) as cram:
        own = [read for read in cram.fetch(until_eof=True) if not read.is_unmapped]
    assert len(own) > 300
    assert changed(reference_bases()["chr1"], AS_CRAM)[1]
    with pysam.AlignmentFile(
        str(path), reference_filename=str(reference), format_options=[b"decode_md=0"], index_filename=str(index)
    ) as cram:
        made = list(cram.fetch(until_eof=True))
        near = [read.query_name for read in cram.fetch("chr1", 1200, 1300)]
    assert Counter(read.reference_start for read in made) == Counter(map(begins, own))
    assert near == [r.query_name for r in made if r.reference_start < 1300 and r.reference_end > 1200]  # type: ignore[operator]
    assert len(near) > 20
    bases = reference_bases()["chr1"]
    assert all(read.query_sequence == bases[read.reference_start : read.reference_end] for read in made)


@peers
def test_a_copy_as_cram_carries_nothing_of_the_source_and_its_index_is_its_own(
    world: World, as_cram: dict[str, Any], tmp_path: Path
) -> None:
    path, index = files_of(world, as_cram, tmp_path)
    source, reference = Path(world.ids["source"]), tmp_path / "judge.fa"
    shutil.copy(source / "ref.fa", reference)
    assert path.read_bytes()[6:26] == bytes(20), "htslib writes a file's name here"
    words = ["samtools", "view", "--no-PG", "-h", "--input-fmt-option", "decode_md=0", "-T", str(reference), str(path)]
    said = subprocess.run(words, check=True, capture_output=True).stdout
    head = b"".join(line for line in said.splitlines(keepends=True) if line.startswith(b"@"))
    assert {line.split(b"\t")[0] for line in head.splitlines()} == {b"@HD", b"@SQ", b"@RG"}
    # Names of reads and packed bytes are as good as drawn: a word of three letters stands in them by chance.
    assert not [word for word in ("bwa", "/data", "UR:", "PU:") if word.encode() in head]
    for text in (said, path.read_bytes(), gzip.decompress(index.read_bytes())):
        for word in (HOSPITAL, AS_CRAM, "A00123:45", "bwa mem", "/data/ref.fa", "tongguan-names", str(tmp_path)):
            assert word.encode() not in text
    given = gzip.decompress(index.read_bytes())
    index.unlink()
    subprocess.run(["samtools", "index", path], check=True)
    assert given == gzip.decompress(index.read_bytes())
    stored = [entry["stored"] for entry in world.row("copy", as_cram["copy_id"])["files"]]
    assert len(set(stored)) == 2


def test_the_copy_of_a_cram_is_not_made_without_the_registered_reference(world: World, as_cram: dict[str, Any]) -> None:
    """The core view is there already; what the copy is written against is proven again."""
    path = Path(world.ids["source"]) / "ref.fa"
    before = path.read_bytes()
    path.write_bytes(before.replace(b"ACGT", b"ACGA", 1))
    try:
        held = world.release(world.ids["item:cram"], "depth-cram")
    finally:
        path.write_bytes(before)
    assert as_cram["state"] == "available"
    assert (held["state"], held["copy_id"]) == ("refused", None), (held["state"], held["trouble"])
    assert "ref.fa" in held["trouble"]


def test_a_reference_of_another_build_is_refused_with_the_remedy(world: World) -> None:
    with pytest.raises(BadInput, match=r"not the one the reads were aligned to; .*kind: reference") as refused:
        world.granted(views=("depth-other-build",))
    assert refused.value.code == "reference_differs"


def test_a_reference_that_changed_since_it_was_registered_holds_and_leaves_nothing(
    world: World, depth: dict[str, Any]
) -> None:
    path = Path(world.ids["source"]) / "ref.fa"
    before = path.read_bytes()
    _forget(world, depth["core_view_id"])
    path.write_bytes(before.replace(b"ACGT", b"ACGA", 1))
    try:
        held = world.release(world.ids["item:depth"], "depth")
    finally:
        path.write_bytes(before)
    assert (held["state"], held["outcome"], held["copy_id"]) == ("refused", "hold", None)
    assert held["trouble"].startswith("source_changed: ref.fa")
    assert "GW-03" in rules(held)
    anew = world.release(world.ids["item:depth"], "depth")
    assert anew["state"] == "available", "with the registered one it is made again"
    assert world.row("core_view", anew["core_view_id"])["parts"] != []


def _forget(world: World, core_id: str) -> None:
    world.env.uow.run(lambda tx: tx.update("core_view", core_id, state="shredded"))
    world.env.staging.shred(core_id)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_core_view_made_anew_is_the_same_to_the_byte(world: World, depth: dict[str, Any]) -> None:
    before = [part["digest"] for part in world.row("core_view", depth["core_view_id"])["parts"]]
    _forget(world, depth["core_view_id"])
    anew = world.release(world.ids["item:depth"], "depth")
    assert anew["core_view_id"] == depth["core_view_id"]
    assert [part["digest"] for part in world.row("core_view", anew["core_view_id"])["parts"]] == before


def test_reads_with_their_own_bases_wait_for_a_third_signer_and_what_they_give_back_is_signed_with_them(
    world: World, tmp_path: Path
) -> None:
    """The gate table's exception: small n, a named purpose, a third signer; the variants of the same people, whose floor
    leaves a rare allele out, are given back by reads that carry it (invariant 13)."""
    item = world.granted(views=("variants", "reads"))
    assert world.release(item, "variants")["outcome"] == "hold"
    held = world.release(item, "reads")
    assert (held["state"], held["outcome"]) == ("refused", "hold")
    assert rules(held) == {"GW-44", "GW-45"}
    beside = world.row("core_view", held["core_view_id"])["risk"]["beside"]
    assert 1 in beside.values(), "the allele one person alone carries stands in their reads"
    for approver in ("steward", "other.steward"):
        signed = risk_signing.sign_risk(world.env, world.people[approver], held["id"])
        assert signed["given_back"] == 1
    again = world.release(item, "reads")
    assert rules(again) == {"GW-44"}, "who approved does not sign for the third"
    risk_signing.sign_risk(world.env, world.people["same.unit"], again["id"])
    released = world.release(item, "reads")
    assert released["state"] == "available", (released["trouble"], rules(released))
    paths = files_of(world, released, tmp_path)
    own, places = changed(reference_bases()["chr1"], "HOSP0001")
    shown = [read for path in paths for read in reads_of(path) if _covers(read, RARE - 1)]
    assert any(read.query_sequence[RARE - 1 - read.reference_start] == own[RARE - 1] == "C" for read in shown)
    assert {tag for path in paths for read in reads_of(path) for tag, _ in read.get_tags()} == {"RG"}
    assert places
    assert not any(word in path.read_bytes() for path in paths for word in (b"HOSP00", HOSPITAL.encode()))


def _covers(read: pysam.AlignedSegment, place: int) -> bool:
    return read.cigarstring == "100M" and read.reference_start <= place < read.reference_start + 100


def test_fastq_leaves_by_no_door_and_the_refusal_names_rule_law_and_remedy(world: World) -> None:
    row = world.release(world.apply(views=("raw-fastq",)), "raw-fastq")
    assert row["outcome"] == "deny"
    reason = next(reason for reason in row["decision"]["reasons"] if reason["rule"] == "GW-17")
    assert reason["cite"]
    assert "enclave" in reason["remedy"]["en"]


def test_reads_without_a_reference_in_the_dataset_say_how_to_name_it(world: World) -> None:
    hidden = world.env.uow.read(lambda tx: tx.find("data_object", path="ref.fa"))[0]
    item = world.apply(views=("depth-cram",))
    world.env.uow.run(lambda tx: tx.update("data_object", hidden["id"], kind="table"))
    try:
        _forget_all(world, "depth-cram")
        with pytest.raises(BadInput, match="this view needs a reference; add the FASTA") as refused:
            _prepare(world, item)
    finally:
        world.env.uow.run(lambda tx: tx.update("data_object", hidden["id"], kind="reference"))
    assert refused.value.code == "no_reference"


def _forget_all(world: World, view: str) -> None:
    for core in world.env.uow.read(lambda tx: tx.find("core_view", view_id=world.views[view])):
        _forget(world, core["id"])


def _prepare(world: World, item: str) -> None:
    from gateway import applications, packages

    for steward in ("steward", "other.steward"):
        applications.approve(world.env, world.people[steward], item)
    packages.freeze_package(world.env, world.people["steward"], item)


def test_a_copy_that_holds_a_name_of_the_house_is_not_sealed(
    world: World, depth: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sealed_copies, "pseudonym", lambda key, secret: f"HOSP0001-{secret.hex()[:6]}")
    held = world.release(world.ids["item:depth"], "depth")
    assert (held["outcome"], held["copy_id"]) == ("hold", None)
    assert held["trouble"].startswith("copy_not_clean: depth.")


def test_files_of_a_copy_stand_in_the_order_of_the_new_names() -> None:
    parts: list[dict[str, Any]] = [
        {"name": f"depth.{n}.bam", "people": [person]} for n, person in ((1, "a"), (2, "b"), (3, "c"))
    ]
    parts[1]["form"] = "cram"
    core = sealed_copies._Core(
        id="x", kind="reads", view="depth", parts=parts, key_version=1, names={"a": "N3", "b": "N1", "c": "N2"}, root="", reference=None, name_key="", identifiers=()
    )  # fmt: skip
    assert [(part["people"], name) for part, name in sealed_copies._in_order(core)] == [
        (["b"], "depth.1.cram"), (["c"], "depth.2.bam"), (["a"], "depth.3.bam"),
    ]  # fmt: skip


FOUND = {
    "records": 2, "participants": 1, "tags": ["RG"], "quality_levels": 1, "flags": 16, "operations": 1, "unplaced": 0,
    "with_mates": 0, "is_substituted": True, "bases_are_reference": True,
}  # fmt: skip


@pytest.mark.parametrize("missing", ["is_substituted", "bases_are_reference"])
def test_a_view_is_substituted_only_where_every_file_is_shown_to_be(missing: str) -> None:
    assert _is_substituted(worst_of([{"reads": FOUND}, {"reads": FOUND}]))
    for other in ({**FOUND, missing: False}, {key: value for key, value in FOUND.items() if key != missing}):
        for parts in ([FOUND, other], [other, FOUND], [other]):
            assert not _is_substituted(worst_of([{"reads": part} for part in parts]))
    assert worst_of([{"reads": FOUND}, {"reads": {**FOUND, "tags": ["NM"], "flags": 4}}])["reads"]["tags"] == [
        "NM",
        "RG",
    ]


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "point",
    ["before-decided", "core-made", "before-prepared", "before-sealed", "between-seal-and-record", "before-recorded"],
)
def test_killed_at_any_point_reads_leave_once_with_one_event(world: World, depth: dict[str, Any], point: str) -> None:
    if point == "core-made":
        _forget(world, depth["core_view_id"])
    asked = request_release(
        world.env, world.people["researcher"], item_id=world.ids["item:depth"], view_id=world.views["depth"]
    )
    opened = len(world.entries("release.open"))
    arguments = [str(world.settings.home), world.settings.database_url, asked["id"], point]
    died = subprocess.run([sys.executable, "-m", "tests.gateway.crash_child", *arguments], check=False, timeout=200)
    assert died.returncode == -signal.SIGKILL
    after = reopened(world)
    shred_leftovers(after.env)
    row = advance(after.env, asked["id"])
    assert (row["state"], row["outcome"]) == ("available", "permit")
    assert len(after.entries("release.open")) == opened + 1
    assert after.opened(dict(row)).startswith(b"\x1f\x8b")


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_persons_withdrawal_takes_their_file_away_and_the_next_copy_is_without_them(
    world: World, depth: dict[str, Any], tmp_path: Path
) -> None:
    before = world.release(world.ids["item:depth"], "depth")
    revocation.withdraw_participant(
        world.env, world.people["custodian"], dataset_id=world.ids["dataset"], source_id=TOGETHER[1]
    )
    assert world.row("copy", before["copy_id"])["state"] == "killed"
    after = world.release(world.ids["item:depth"], "depth")
    assert [path.name for path in files_of(world, after, tmp_path)] == ["depth.1.bam"]
