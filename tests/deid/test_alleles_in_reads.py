"""Alleles that reads show: against every placement an indel can have, against bcftools' own calls, and by hand."""

from __future__ import annotations

import itertools
import random
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pysam
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deid.alleles_in_reads import wanted_alleles
from deid.dosages import Allele
from deid.other_views import _shortest, given_back_by_reads

MATCH, INSERT, DELETE, SKIPPED, SOFT, EQUAL, OTHER = 0, 1, 2, 3, 4, 7, 8


@dataclass
class Read:
    query_sequence: str
    cigartuples: list[tuple[int, int]]
    reference_start: int = 0


def allele(position: int, ref: str, alt: str) -> Allele:
    """By the place of its first base, counted from 1, as a VCF does."""
    return _shortest(b"1", position, ref.encode(), alt.encode())


def shows(read: Read, *alleles: Allele) -> set[Allele]:
    wanted = wanted_alleles(alleles)
    return wanted["1"].shown(read) if "1" in wanted else set()


def with_insertion(reference: str, place: int, bases: str) -> str:
    return reference[:place] + bases + reference[place:]


def without(reference: str, place: int, length: int) -> str:
    return reference[:place] + reference[place + length :]


REPEATS = st.text("AC", min_size=24, max_size=40)


@settings(max_examples=300, deadline=None)
@given(REPEATS, st.text("AC", min_size=1, max_size=5), st.data())
def test_an_insertion_is_shown_by_the_reads_that_have_its_bases_and_by_no_others(reference, bases, data):
    """Wherever the aligner put it and whatever it is called: the oracle is the sequence that comes of it."""
    place = data.draw(st.integers(1, len(reference) - 1))
    read_bases = data.draw(st.text("AC", min_size=len(bases), max_size=len(bases)))
    laid = data.draw(st.integers(1, len(reference) - 1))
    text = with_insertion(reference, laid, read_bases)
    read = Read(text, [(MATCH, laid), (INSERT, len(bases)), (MATCH, len(reference) - laid)])
    one = allele(place, reference[place - 1], reference[place - 1] + bases)
    assert (one in shows(read, one)) == (with_insertion(reference, place, bases) == text)


def could_be(read_place: int, place: int, length: int, reference: str) -> bool:
    """Whether any bases in place of those that the read lacks make it the deletion at ``place``."""
    taken = reference[place : place + length]
    for guess in itertools.product("AC", repeat=length):
        other = reference[:read_place] + "".join(guess) + reference[read_place + length :]
        if other[place : place + length] == taken and without(other, place, length) == without(
            reference, read_place, length
        ):
            return True
    return False


@settings(max_examples=300, deadline=None)
@given(REPEATS, st.integers(1, 4), st.data())
def test_a_deletion_is_shown_where_no_base_of_the_read_says_that_it_is_another(reference, length, data):
    place, laid = (data.draw(st.integers(1, len(reference) - length - 1)) for _ in range(2))
    text = without(reference, laid, length)
    read = Read(text, [(MATCH, laid), (DELETE, length), (MATCH, len(reference) - laid - length)])
    one = allele(place, reference[place - 1 : place + length], reference[place - 1])
    is_shown = one in shows(read, one)
    assert is_shown == could_be(laid, place, length, reference)
    if text == without(reference, place, length):
        assert is_shown, "the same sequence is never passed over"


@settings(max_examples=200, deadline=None)
@given(REPEATS, st.text("ACGT", min_size=1, max_size=5), st.integers(1, 5), st.data())
def test_any_other_change_is_shown_by_the_sequence_in_its_place(reference, alt, length, data):
    place = data.draw(st.integers(2, len(reference) - length - 2))
    if reference[place : place + length] == alt:
        return
    one = allele(place + 1, reference[place : place + length], alt)
    start, taken, bases = one.position - 1, len(one.ref), one.alt.decode()
    text, rest = reference[:start] + bases + reference[start + taken :], len(reference) - start - taken
    common = min(taken, len(bases))
    change = [(INSERT, len(bases) - common)] if len(bases) > common else [(DELETE, taken - common)] * (taken > common)
    assert one in shows(Read(text, [(MATCH, start + common), *change, (MATCH, rest)]), one)
    at_once = [(MATCH, start), (INSERT, len(bases)), (DELETE, taken), (MATCH, rest)]
    assert one in shows(Read(text, at_once), one) or taken == len(bases) == 1  # no aligner writes one base so
    assert one not in shows(Read(reference, [(MATCH, len(reference))]), one)


DEL, INS, MNP = allele(10, "ACG", "A"), allele(10, "A", "ATT"), allele(10, "ACG", "TCT")


@pytest.mark.parametrize(
    ("start", "cigar", "bases", "expected"),
    [
        (5, [(MATCH, 5), (DELETE, 2), (MATCH, 4)], "GGGGATTTT", {DEL}),
        (5, [(SOFT, 3), (MATCH, 5), (DELETE, 2), (MATCH, 4)], "NNNGGGGATTTT", {DEL}),
        (5, [(EQUAL, 3), (OTHER, 2), (DELETE, 2), (EQUAL, 1), (OTHER, 3)], "GGGGATTTT", {DEL}),
        (5, [(MATCH, 5), (SKIPPED, 2), (MATCH, 4)], "GGGGATTTT", set()),
        (5, [(MATCH, 5), (DELETE, 3), (MATCH, 4)], "GGGGATTTT", set()),
        (5, [(MATCH, 5), (INSERT, 2), (MATCH, 4)], "GGGGATTCCCC", {INS}),
        (5, [(MATCH, 5), (INSERT, 2), (MATCH, 4)], "GGGGATACCCC", set()),
        (5, [(MATCH, 5), (INSERT, 2)], "GGGGATT", set()),  # it may go on where the read ends
        (10, [(SOFT, 2), (MATCH, 4)], "TTCCCC", set()),
        (5, [(MATCH, 9)], "GGGGTCTAA", {MNP}),
        (5, [(MATCH, 4), (MATCH, 5)], "GGGGTCTAA", {MNP}),
        (5, [(MATCH, 5), (SKIPPED, 50), (MATCH, 4)], "GGGGTCTAA", set()),
        (5, [(MATCH, 6)], "GGGGTC", set()),  # not to its end
        (11, [(MATCH, 6)], "TCTCTC", set()),
    ],
)
def test_by_hand(start, cigar, bases, expected):
    assert shows(Read(bases, cigar, start), DEL, INS, MNP) == expected


def test_symbolic_alleles_and_breakends_are_shown_by_no_read():
    odd = {Allele(contig=b"1", position=9, ref=b"A", alt=alt) for alt in (b"<DEL>", b"A[2:5[", b"*")}
    assert wanted_alleles(odd) == {}


def genome(dice: random.Random) -> str:
    """Random bases with a repeat of one to four bases every two hundred."""
    parts = []
    for _ in range(20):
        parts += [*dice.choices("ACGT", k=170), "".join(dice.choices("ACGT", k=dice.randrange(1, 5))) * 8]
    return "".join(parts)


def write_bam(path: Path, reference: str, laid: list[tuple[int, str, list[tuple[int, int]]]]) -> None:
    with pysam.AlignmentFile(str(path), "wb", header={"HD": {"VN": "1.6", "SO": "coordinate"}, "SQ": [{"SN": "1", "LN": len(reference)}], "RG": [{"ID": "g", "SM": "s"}]}) as sink:  # fmt: skip
        for number, (start, text, cigar) in enumerate(sorted(laid, key=lambda one: one[0])):
            read = pysam.AlignedSegment(sink.header)
            read.query_name, read.flag, read.reference_id, read.reference_start = f"r{number}", 0, 0, start
            read.query_sequence, read.cigartuples, read.mapping_quality = text, cigar, 60
            read.query_qualities = pysam.qualitystring_to_array("I" * len(text))
            read.set_tags([("RG", "g")])
            sink.write(read)


def changes_of(dice: random.Random, reference: str) -> list[tuple[int, str, str]]:
    """Place from 0, REF and ALT of a change in every second repeat and some between."""
    made = []
    for number in range(1, 19):
        place = number * 190 + dice.choice((60, -12))
        kind, size = dice.choice(("ins", "del", "snv")), dice.randrange(1, 6)
        anchor = reference[place - 1]
        if kind == "ins":
            made.append((place - 1, anchor, anchor + "".join(dice.choices("ACGT", k=size))))
        elif kind == "del":
            made.append((place - 1, reference[place - 1 : place + size], anchor))
        else:
            made.append((place, reference[place], dice.choice("ACGT".replace(reference[place], ""))))
    return made


def reads_of(reference: str, changes: list[tuple[int, str, str]]) -> list[tuple[int, str, list[tuple[int, int]]]]:
    """Reads of a person who has every change twice, each laid as the change is written."""
    laid = []
    for place, ref, alt in changes:
        for start in range(place - 60, place - 30, 2):
            before, after = place + 1 - start, 40
            text = reference[start:place] + alt
            text += reference[place + len(ref) : place + len(ref) + after]
            middle = [(INSERT, len(alt) - 1)] if len(alt) > 1 else [(DELETE, len(ref) - 1)] if len(ref) > 1 else []
            laid.append((start, text, [(MATCH, before), *middle, (MATCH, after)]))
    return laid


def vcf_text(reference: str, changes: list[tuple[int, str, str]]) -> str:
    head = f"##fileformat=VCFv4.2\n##contig=<ID=1,length={len(reference)}>\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
    return head + "".join(f"1\t{place + 1}\t.\t{ref}\t{alt}\t.\t.\t.\n" for place, ref, alt in changes)


def listed(text: str) -> set[Allele]:
    rows = [line.split("\t")[:5] for line in text.splitlines() if line and not line.startswith("#")]
    return {allele(int(position), ref, one) for _, position, _, ref, alts in rows for one in alts.split(",")}


@pytest.mark.skipif(not shutil.which("bcftools") or not shutil.which("samtools"), reason="needs samtools and bcftools")
@pytest.mark.parametrize("seed", range(6))
def test_what_bcftools_calls_on_the_reads_is_given_back_and_what_nobody_has_is_not(tmp_path, seed):
    """Hidden alleles as bcftools norm writes them; the reads' are laid as they were made, repeats or not."""
    dice = random.Random(seed)
    reference = genome(dice)
    (tmp_path / "r.fa").write_text(f">1\n{reference}\n")
    subprocess.run(["samtools", "faidx", str(tmp_path / "r.fa")], check=True)
    changes = changes_of(dice, reference)
    write_bam(tmp_path / "r.bam", reference, reads_of(reference, changes))
    pile = subprocess.run(["bcftools", "mpileup", "-Ou", "-f", str(tmp_path / "r.fa"), str(tmp_path / "r.bam")], check=True, capture_output=True).stdout  # fmt: skip
    called = subprocess.run(["bcftools", "call", "-mv", "-Ou"], input=pile, check=True, capture_output=True).stdout
    norm = ["bcftools", "norm", "-m-", "-f", str(tmp_path / "r.fa")]
    of_judge = listed(subprocess.run(norm, input=called, check=True, capture_output=True).stdout.decode())
    (tmp_path / "truth.vcf").write_text(vcf_text(reference, changes))
    truth = listed(
        subprocess.run([*norm, str(tmp_path / "truth.vcf")], check=True, capture_output=True).stdout.decode()
    )
    assert len(of_judge & truth) >= 12
    nobody = {allele(place + 90, reference[place + 89 : place + 91], reference[place + 89]) for place, _, _ in changes}
    nobody |= {allele(place + 1, ref, alt + "GATTACA") for place, ref, alt in changes if len(ref) == 1}
    with (tmp_path / "r.bam").open("rb") as reads:
        found = given_back_by_reads(truth | of_judge | nobody, reads)
    assert found >= (of_judge & truth)
    assert found >= truth, "every read has its person's change"
    assert not found & nobody
