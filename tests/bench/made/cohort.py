"""A seeded cohort VCF for the benchmark: haplotypes from a coalescent, with what real files have.

Genealogies: Kingman's coalescent under exponential growth (times rescaled, t = log(1 + g tau) / g), moved along the
contig by pruning and regrafting one lineage between sites (the sequentially Markov coalescent, McVean and Cardin 2005),
one step per site, so that neighbours are in linkage disequilibrium and most sites are rare. Three contigs, one site in
ten an insertion or deletion, one in fifty with two ALT alleles. What the performance notes' data lacked is added; what
they warn of remains: depths and qualities are independent draws.
"""

from __future__ import annotations

from collections.abc import Iterator
from operator import add
from pathlib import Path

import numpy as np
import numpy.typing as npt

from deid.bgzf import EOF_BLOCK, cut_blocks, deflate_blocks

GROWTH = 20.0
CONTIGS = ("1", "2", "X")
FORMAT = {False: {"GT": "String"}, True: {"GT": "String", "DP": "Integer", "GQ": "Integer"}}
CALLS = [f"{a}|{b}" for a in range(3) for b in range(3)] + ["./."]
VALUES = [f":{depth}:{quality}" for depth in range(100) for quality in range(100)]
Row = npt.NDArray[np.uint8]


class Genealogy:
    """One tree over ``leaves`` haplotypes; nodes 0 to leaves-1 are the leaves, the last node is the root."""

    def __init__(self, rng: np.random.Generator, leaves: int) -> None:
        self.rng, self.leaves = rng, leaves
        nodes = 2 * leaves - 1
        self.parent = np.full(nodes, -1, np.int64)
        self.children = np.full((nodes, 2), -1, np.int64)
        # Node times in coalescent units; the root keeps the last number whatever moves.
        lineages = np.arange(leaves, 1, -1)
        self.tau = np.r_[np.zeros(leaves), np.cumsum(rng.exponential(2 / (lineages * (lineages - 1))))]
        self.time = np.log1p(GROWTH * self.tau) / GROWTH
        open_ = list(range(leaves))
        for node in range(leaves, nodes):
            for side in (0, 1):
                at = int(rng.integers(len(open_)))
                open_[at], open_[-1] = open_[-1], open_[at]
                self._join(open_.pop(), node, side)
            open_.append(node)

    def _join(self, child: int, parent: int, side: int) -> None:
        self.parent[child] = parent
        self.children[parent, side] = child

    def branch(self) -> tuple[int, float]:
        """A node drawn by the length of the branch above it, and a time on that branch (years, not coalescent units)."""
        lengths = self.time[self.parent[:-1]] - self.time[:-1]
        heights = np.cumsum(lengths)
        node = int(np.searchsorted(heights, self.rng.random() * heights[-1], "right"))
        return node, float(self.time[node] + self.rng.random() * lengths[node])

    def step(self) -> None:
        """Prune one lineage and graft it where it coalesces anew; a draw above the root leaves the tree as it is."""
        node, time = self.branch()
        parent = int(self.parent[node])
        if parent == len(self.parent) - 1:
            return
        tau = float(np.expm1(GROWTH * time) / GROWTH)
        target, tau = self._coalescence(node, tau)
        if target < 0:
            return
        sibling = int(self.children[parent].sum()) - node
        above = int(self.parent[parent])
        self._join(sibling, above, int(self.children[above, 1] == parent))
        target = sibling if target == parent else target
        onto = int(self.parent[target])
        self._join(parent, onto, int(self.children[onto, 1] == target))
        self._join(node, parent, 0)
        self._join(target, parent, 1)
        self.tau[parent], self.time[parent] = tau, np.log1p(GROWTH * tau) / GROWTH

    def _coalescence(self, node: int, tau: float) -> tuple[int, float]:
        """Where the lineage above ``node`` coalesces after ``tau``: the branch's lower node and the time."""
        merges = np.sort(self.tau[self.leaves :])
        at = int(np.searchsorted(merges, tau, "right"))
        edges = np.r_[tau, merges[at:]]
        # Coalescence comes at a rate of the lineages there are: an exponential draw, spent over the stretches.
        spent = np.cumsum(np.diff(edges) * np.arange(len(edges) - 1, 0, -1))
        drawn = self.rng.exponential()
        if not len(spent) or drawn >= spent[-1]:
            return -1, tau
        stretch = int(np.searchsorted(spent, drawn, "right"))
        tau = float(edges[stretch + 1] - (spent[stretch] - drawn) / (len(edges) - 1 - stretch))
        crossing = np.flatnonzero((self.tau[:-1] <= tau) & (self.tau[self.parent[:-1]] > tau))
        crossing = crossing[crossing != node]
        return (int(self.rng.choice(crossing)), tau) if len(crossing) else (-1, tau)

    def carriers(self, node: int) -> list[int]:
        """The leaves below a node."""
        found, waiting = [], [node]
        while waiting:
            one = waiting.pop()
            if one < self.leaves:
                found.append(one)
            else:
                waiting.extend(self.children[one].tolist())
        return found


def sites(rng: np.random.Generator, samples: int, count: int) -> Iterator[tuple[str, Row, int]]:
    """Contig, allele of each haplotype and number of ALT alleles, site after site."""
    for number, contig in enumerate(CONTIGS):
        tree = Genealogy(rng, 2 * samples)
        for _ in range(count * number // len(CONTIGS), count * (number + 1) // len(CONTIGS)):
            tree.step()
            alts = 2 if rng.random() < 0.02 else 1
            row = np.zeros(2 * samples, np.uint8)
            for alt in range(1, alts + 1):
                row[tree.carriers(tree.branch()[0])] = alt
            yield contig, row, alts


def write_source(path: Path, *, samples: int, count: int, rich: bool) -> list[str]:
    """Write the VCF; the names of its samples. ``rich`` adds DP and GQ and 0.3 % missing genotypes."""
    rng = np.random.default_rng(7)
    names = [f"HOSP{index:05d}" for index in range(samples)]

    def lines() -> Iterator[bytes]:
        yield _header(names, rich)
        for at, (contig, row, alts) in enumerate(sites(rng, samples, count)):
            ref, alt = _alleles(rng, alts)
            copies = ",".join(str(int((row == number).sum())) for number in range(1, alts + 1))
            fixed = (
                f"{contig}\t{1000 + 37 * at}\t.\t{ref}\t{alt}\t.\tPASS\tAC={copies};MQ=60\t{':'.join(FORMAT[rich])}\t"
            )
            yield fixed.encode() + (_rich_cells(rng, row) if rich else _cells(row)) + b"\n"

    with path.open("wb") as sink:
        for group in cut_blocks(lines()):
            sink.write(deflate_blocks(group, 6))
        sink.write(EOF_BLOCK)
    return names


def _header(names: list[str], rich: bool) -> bytes:
    head = ["##fileformat=VCFv4.2", "##source=bench", '##FILTER=<ID=PASS,Description="ok">']
    head += [f"##contig=<ID={contig},length=100000000>" for contig in CONTIGS]
    head += [
        '##INFO=<ID=AC,Number=A,Type=Integer,Description="x">',
        '##INFO=<ID=MQ,Number=1,Type=Integer,Description="x">',
    ]
    head += [f'##FORMAT=<ID={key},Number=1,Type={kind},Description="x">' for key, kind in FORMAT[rich].items()]
    head.append("\t".join(["#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT", *names]))
    return ("\n".join(head) + "\n").encode()


def _alleles(rng: np.random.Generator, alts: int) -> tuple[str, str]:
    """REF and ALT, ALT in byte order; with two, REF is one base, so that dropping one leaves nothing to trim."""
    ref = "ACGT"[int(rng.integers(4))]
    other = "CGTA"["ACGT".index(ref)]
    tail = "".join("ACGT"[int(base)] for base in rng.integers(0, 4, int(rng.integers(1, 12))))
    if alts == 2:
        return ref, ",".join(sorted([other, ref + tail]))
    if rng.random() < 0.1:
        return (ref + tail, ref) if rng.random() < 0.5 else (ref, ref + tail)
    return ref, other


def _cells(row: Row) -> bytes:
    cells = np.empty((len(row) // 2, 4), np.uint8)
    cells[:, 0], cells[:, 2] = row[::2] + 48, row[1::2] + 48
    cells[:, 1], cells[:, 3] = ord("|"), ord("\t")
    return cells.tobytes()[:-1]


def _rich_cells(rng: np.random.Generator, row: Row) -> bytes:
    count = len(row) // 2
    values = np.minimum(99, rng.poisson(30, count)) * 100 + np.minimum(99, rng.poisson(60, count))
    calls = row[::2] * 3 + row[1::2]
    calls[rng.random(count) < 0.003] = len(CALLS) - 1
    return "\t".join(
        map(add, map(CALLS.__getitem__, calls.tolist()), map(VALUES.__getitem__, values.tolist()))
    ).encode()
