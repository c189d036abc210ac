"""What another view of the same people gives back: alleles left out here that stand there, and who is alone in both.

ARCHITECTURE section 4, 13: risk is judged on all that the audience already holds. A record that a mask or an allele
count took out of the variants is given back by reads that carry its bases, or by variants made with another recipe.
Not here: the judgement, and which views an audience holds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from hashlib import blake2b
from typing import BinaryIO

import pysam

from deid.alleles_in_reads import wanted_alleles
from deid.bgzf import Text
from deid.dosages import Allele
from deid.errors import DeidError
from deid.variants import VariantPlan
from deid.variants.core import open_view
from deid.variants.regions import Regions
from deid.variants.stream import Workers, read_text, split_header, whole_lines

LEAST_READS = 2
"""Reads that show an allele before it counts as given back: one may be an error of the machine."""


def hidden_alleles(plan: VariantPlan, source: BinaryIO, *, participants: Mapping[str, str]) -> set[Allele]:
    """ALT alleles somebody permitted carries and ``plan`` leaves out; ``source`` can be read more than once."""
    bare = plan.changed(sites_only=True, info=(), mask=Regions(), rare="keep", private="keep", minimum=0)
    found = []
    for rules in (bare, plan.changed(sites_only=True, info=())):
        view = open_view(rules, source, Workers(1), participants=participants)
        next(view.texts)
        found.append(_alleles(view.texts))
        source.seek(0)
    return found[0] - found[1]


def given_back_by_variants(hidden: Collection[Allele], other: BinaryIO) -> set[Allele]:
    """Those of ``hidden`` that stand in another VCF or BCF of ours."""
    pieces = read_text(other, Workers(1))
    _, rest = split_header(pieces)
    return _alleles(whole_lines(rest, pieces)) & set(hidden)


def given_back_by_reads(hidden: Collection[Allele], other: BinaryIO, *, least: int = LEAST_READS) -> set[Allele]:
    """Those of ``hidden`` that at least ``least`` reads of a BAM show: what ``deid.alleles_in_reads`` calls shown.

    Raises DeidError (``reads_unreadable``).
    """
    wanted = wanted_alleles(hidden)
    seen: Counter[Allele] = Counter()
    try:
        with pysam.AlignmentFile(other, "rb", check_sq=False) as reads:
            for read in reads:
                if not read.is_unmapped and read.reference_name in wanted:
                    seen.update(wanted[read.reference_name].shown(read))
    except (OSError, ValueError):
        raise DeidError(
            "released reads: cannot be read, so what they give back is unknown", code="reads_unreadable"
        ) from None
    return {allele for allele, reads_of_it in seen.items() if reads_of_it >= least}


def genotype_partition(released: BinaryIO) -> dict[str, list[int]]:
    """For ``deid.joint.joint_risk``: each person's class, people with equal genotypes at every site being one class.

    Phase is set aside: it is rarely known beforehand. Numbers are by first appearance and say nothing of the genotypes.
    """
    pieces = read_text(released, Workers(1))
    head, rest = split_header(pieces)
    people = head.splitlines()[-1].decode().split("\t")[9:]
    told = [blake2b(digest_size=16) for _ in people]
    for chunk in whole_lines(rest, pieces):
        for line in bytes(chunk).splitlines():
            cells = line.split(b"\t")[9:]
            for person, cell in zip(told, cells, strict=True):
                alleles = cell.partition(b":")[0].replace(b"|", b"/").split(b"/")
                person.update(b"/".join(sorted(alleles)) + b";")
    known: dict[bytes, int] = {}
    return {name: [known.setdefault(person.digest(), len(known))] for name, person in zip(people, told, strict=True)}


def _alleles(texts: Iterable[Text]) -> set[Allele]:
    found = set()
    for text in texts:
        for line in bytes(text).splitlines():
            contig, position, _, ref, alts = line.split(b"\t", 5)[:5]
            found |= {_shortest(contig, int(position), ref, alt) for alt in alts.split(b",")}
    return found


def _shortest(contig: bytes, position: int, ref: bytes, alt: bytes) -> Allele:
    """One allele without the bases REF and ALT share, so that it is the same beside other alleles and alone."""
    spelt = alt.isalpha()
    while spelt and len(ref) > 1 and len(alt) > 1 and ref[-1] == alt[-1]:
        ref, alt = ref[:-1], alt[:-1]
    while spelt and len(ref) > 1 and len(alt) > 1 and ref[0] == alt[0]:
        ref, alt, position = ref[1:], alt[1:], position + 1
    return Allele(contig=contig, position=position, ref=ref, alt=alt)
