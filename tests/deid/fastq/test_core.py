"""FASTQ: what of a record leaves, pairs, broken files and mutants; pysam is the independent reader."""

from __future__ import annotations

import gzip
import io
import random
import shutil
import subprocess
import time

import pysam
import pytest

from deid import native
from deid.bgzf import EOF_BLOCK, deflate_block
from deid.fastq import FastqError, FastqOptions, copy_pair, core_pair, core_view, plan_from_steps
from deid.fastq.core import Writing
from deid.indexes import index_fastq
from tests.memory import forget_peak, peak_mb

KEY = bytes(range(16))
ENGINES = (True, False) if native.has_fastq else (False,)
KEEP = ({"quality": {"as": "keep"}},)
ONE = b"@NB551106:8:H3:1:11:2:3 1:N:0:ACGT+TTAG LiMing\nACGTN\n+NB551106:8:H3:1:11:2:3\n!#AIJ\n"


@pytest.fixture(params=ENGINES, ids=lambda compiled: "compiled" if compiled else "python")
def compiled(request: pytest.FixtureRequest) -> bool:
    """Each engine in turn."""
    return bool(request.param)


def run(source: bytes, steps=KEEP, **options) -> bytes:
    sink = io.BytesIO()
    core_view(
        plan_from_steps(steps), io.BytesIO(source), sink, key=KEY, options=FastqOptions(**{"level": 1, **options})
    )
    return sink.getvalue()


def refusal(source: bytes, compiled: bool | None) -> FastqError:
    with pytest.raises(FastqError) as caught:
        run(source, compiled=compiled)
    assert "LiMing" not in str(caught.value)
    return caught.value


def test_of_a_record_only_bases_and_qualities_leave(compiled):
    out = gzip.decompress(run(ONE, compiled=compiled))
    name, bases, plus, quality = out.split(b"\n")[:4]
    assert (bases, plus, quality) == (b"ACGTN", b"+", b"!#AIJ")
    assert len(name) == 15
    assert not [needle for needle in (b"NB55", b"H3", b"1:N", b"TTAG", b"LiMing") if needle in out]


@pytest.mark.parametrize("pack", [bytes, gzip.compress, lambda t: deflate_block(t, 6) + EOF_BLOCK])
def test_plain_gzip_and_bgzip_give_the_same_bytes_and_no_file_name(compiled, pack):
    out = run(pack(ONE * 3), compiled=compiled)
    assert out == run(ONE * 3)
    assert out[3] == 4  # FLG: the BGZF field and nothing else, so no FNAME
    assert out[4:8] == bytes(4)  # MTIME


def test_real_reads_keep_bases_qualities_and_order_and_pairs_stay_pairs(shared_data, compiled, tmp_path):
    paths = [shared_data / "deid" / "fastq" / f"fastp_R{n}.fq" for n in (1, 2)]
    sinks = io.BytesIO(), io.BytesIO()
    with paths[0].open("rb") as one, paths[1].open("rb") as two:
        core_pair(plan_from_steps(KEEP), (one, two), sinks, key=KEY, options=FastqOptions(compiled=compiled))
    names = []
    for path, sink in zip(paths, sinks, strict=True):
        made = tmp_path / "out.fq.gz"
        made.write_bytes(sink.getvalue())
        with pysam.FastxFile(str(path)) as source, pysam.FastxFile(str(made)) as written:
            theirs, ours = [(r.name, r.sequence, r.quality) for r in source], list(written)
            assert [r[1:] for r in theirs] == [(r.sequence, r.quality) for r in ours]
            assert not any(r.comment for r in ours)
            assert not {r[0] for r in theirs} & {r.name for r in ours}
        names.append([r.name for r in ours])
    assert names[0] == names[1]
    assert len(set(names[0])) == len({r[0] for r in theirs}) == 2  # the file repeats its two names
    assert len(names[0]) == 9


def test_mates_by_slash_share_a_name(compiled):
    one, two = (gzip.decompress(run(b"@a/%d\nA\n+\nI\n" % n, compiled=compiled)) for n in (1, 2))
    assert one == two


@pytest.mark.skipif(shutil.which("samtools") is None, reason="samtools is not installed")
def test_an_index_of_the_output_finds_a_read_for_samtools(tmp_path):
    path = tmp_path / "out.fq.gz"
    path.write_bytes(run(b"".join(b"@r%d\n%b\n+\n%b\n" % (n, b"ACGT" * n, b"IIII" * n) for n in range(1, 90))))
    index = index_fastq(path)
    names = [line.split("\t")[0] for line in index.read_text().splitlines()]
    assert len(set(names)) == 89
    found = subprocess.run(["samtools", "fqidx", str(path), names[76]], capture_output=True, check=True).stdout
    assert found.replace(b"\n", b"") == b"@" + names[76].encode() + b"ACGT" * 77 + b"+" + b"IIII" * 77


Y, X, Z = (b"@%c\nA\n+\nI\n" % name for name in b"yxz")
NO_PAIRS = {
    "the same reads in another order": (Y + X, X + Y, 1),
    "another read": (Y + X, Y + Z, 5),
    "one read too many": (Y + X, Y + X + Z, 9),
    "one read too few": (Y + X, Y, 5),
    "nothing": (Y + X, b"", 1),
    "a mate that was dropped far in front": (b"".join(b"@r%d\nA\n+\nI\n" % n for n in range(20_000)), Y, 1),
}


@pytest.mark.parametrize("case", NO_PAIRS)
@pytest.mark.parametrize("turned", [False, True])
def test_files_that_are_no_pair_are_refused_with_the_line(compiled, case, turned):
    one, other, line = NO_PAIRS[case]
    sources = [io.BytesIO(one), io.BytesIO(other)]
    if turned:
        sources.reverse()
    with pytest.raises(FastqError) as caught:
        core_pair(
            plan_from_steps(()), tuple(sources), (io.BytesIO(), io.BytesIO()), key=KEY,
            options=FastqOptions(compiled=compiled, level=1),
        )  # fmt: skip
    assert caught.value.code == "pairs_differ"
    assert caught.value.line == line


def test_a_pair_is_compared_without_being_held(monkeypatch):
    """However the blocks of the two files fall: what is remembered lies between the two and no more."""
    monkeypatch.setattr("deid.reads.blocks.GROUP", 700)
    text = b"".join(b"@r%d\nACGTACGT\n+\nIIIIIIII\n" % n for n in range(30_000))
    long = b"".join(b"@r%d\n%b\n+\n%b\n" % (n, b"A" * 90, b"I" * 90) for n in range(30_000))
    sinks = io.BytesIO(), io.BytesIO()
    held = []
    taken = Writing.step
    monkeypatch.setattr(Writing, "step", lambda self: (taken(self), held.append(len(self.words)))[0])
    sources = tuple(io.BytesIO(deflated(part)) for part in (text, long))
    made = core_pair(plan_from_steps(KEEP), sources, sinks, key=KEY, options=FastqOptions(level=1))
    assert [one.records for one in made] == [30_000, 30_000]
    assert max(held) < 8 * 20_000
    assert (
        gzip.decompress(sinks[0].getvalue()).split(b"\n")[:-1:4]
        == gzip.decompress(sinks[1].getvalue()).split(b"\n")[:-1:4]
    )


def deflated(text: bytes) -> bytes:
    return b"".join(deflate_block(text[at : at + 60000], 1) for at in range(0, len(text), 60000)) + EOF_BLOCK


def test_the_file_of_the_pair_that_is_broken_is_named():
    with pytest.raises(FastqError) as caught:
        core_pair(
            plan_from_steps(()), (io.BytesIO(Y), io.BytesIO(b"@y\nA\n+\nII\n")), (io.BytesIO(), io.BytesIO()), key=KEY
        )
    assert str(caught.value).startswith("file 2 of the pair: line 1")


def test_a_recipients_copy_changes_names_and_nothing_else_and_pairs_stay_pairs(compiled, shared_data, tmp_path):
    paths = [shared_data / "deid" / "fastq" / f"fastp_R{n}.fq" for n in (1, 2)]
    cores, options = (io.BytesIO(), io.BytesIO()), FastqOptions(compiled=compiled)
    with paths[0].open("rb") as one, paths[1].open("rb") as two:
        core_pair(plan_from_steps(()), (one, two), cores, key=KEY, options=options)
    seen = []
    for key in (b"a" * 16, b"b" * 16):
        sinks = io.BytesIO(), io.BytesIO()
        for core in cores:
            core.seek(0)
        copy_pair(cores, sinks, key=key, options=options)
        lines = [gzip.decompress(sink.getvalue()).split(b"\n") for sink in sinks]
        assert lines[0][:-1:4] == lines[1][:-1:4]
        kept = [[part for at, part in enumerate(text) if at % 4] for text in lines]
        original = [gzip.decompress(core.getvalue()).split(b"\n") for core in cores]
        assert kept == [[part for at, part in enumerate(text) if at % 4] for text in original]
        seen.append(set(lines[0][:-1:4]) | set(original[0][:-1:4]))
    assert len(seen[0] & seen[1]) == 2  # the core view's own two names, which neither copy holds


@pytest.mark.parametrize(("how", "shown"), [("bins-4", b"##-8F"), ("bins-8", b"!''<I"), ("drop", b"?????")])
def test_qualities_are_written_in_few_levels(compiled, how, shown):
    source = b"@a\nACGTA\n+\n" + {"bins-4": b"!#(:I", "bins-8": b"!#(:K", "drop": b"!#(:K"}[how] + b"\n"
    assert gzip.decompress(run(source, ({"quality": {"as": how}},), compiled=compiled)).split(b"\n")[3] == shown


def test_inv10_names_comments_and_plus_lines_change_no_byte_but_names(compiled):
    """Invariant 10: with the names as they are, nothing else of the name lines matters."""
    views = set()
    for seed in range(4):
        rng = random.Random(seed)
        text = b"".join(
            b"@r%d c%d\nACGT\n+%d\nIIII\n" % (n, rng.randrange(999), rng.randrange(999)) for n in range(300)
        )
        views.add(run(text, compiled=compiled))
    assert len(views) == 1


def test_the_same_bytes_whatever_the_threads(monkeypatch):
    monkeypatch.setattr("deid.bgzf.GROUP", 700)
    text = b"".join(b"@r%d\nACGT\n+\nIIII\n" % n for n in range(500))
    assert len({run(text, threads=threads) for threads in (1, 2, 5)}) == 1


BAD = {
    "a carriage return": (b"@a\r\nA\r\n+\r\nI\r\n", "crlf"),
    "no at sign": (b"@a\nA\n+\nI\nb\nA\n+\nI\n", "bad_name"),
    "no name": (b"@\nA\n+\nI\n", "bad_name"),
    "a name outside ASCII": ("@李\nA\n+\nI\n".encode(), "bad_name"),
    "a sequence that is text": (b"@a\nLiMing\n+\nIIIIII\n", "bad_base"),
    "no plus": (b"@a\nA\nI\nI\n", "bad_plus"),
    "fewer qualities": (b"@a\nAC\n+\nI\n", "ragged"),
    "a quality that is a space": (b"@a\nAC\n+\nI \n", "bad_quality"),
    "a record cut short": (b"@a\nA\n+\nI\n@b\nA\n", "ragged"),
    "another format": (b">a\nACGT\n", "not_fastq"),
    "gzip cut short": (gzip.compress(ONE * 9)[:-9], "truncated"),
    "BGZF without an end": (deflate_block(ONE, 6), "truncated"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_broken_file_is_refused(compiled, case):
    source, code = BAD[case]
    assert refusal(source, compiled).code == code


def test_the_line_of_the_broken_record_is_named(compiled):
    assert refusal(b"@a\nA\n+\nI\n" * 7 + b"@b\nA\n+\nII\n", compiled).line == 29


def test_an_empty_file_gives_an_empty_file(compiled):
    assert run(b"", compiled=compiled) == EOF_BLOCK


def mutate(rng: random.Random, data: bytes) -> bytes:
    """One to three places changed, cut out or filled in."""
    out = bytearray(data)
    for _ in range(rng.randrange(1, 4)):
        at = rng.randrange(len(out))
        choice = rng.randrange(3)
        if choice == 0:
            out[at] = rng.choice(b"@+\n\r/12 \t\0\xff~") if rng.random() < 0.7 else rng.randrange(256)
        elif choice == 1:
            del out[at : at + rng.randrange(1, 5)]
        else:
            out[at:at] = rng.choice([b"\n", b"@", b"+\n", b"/2", b"\r\n"])
    return bytes(out)


def fuzz(count: int, seed: int, engines: tuple[bool, ...]) -> int:
    """Mutants of the text, plain and packed, and of what it is packed into; how many were accepted."""
    rng, accepted = random.Random(seed), 0
    good = b"".join(b"@r%d/1 x\nACGTN\n+r%d\n!#AIJ\n" % (n, n) for n in range(6))
    for number in range(count):
        pack = (bytes, gzip.compress, deflated)[number % 3]
        mutant = mutate(rng, pack(good)) if number % 5 == 0 else pack(mutate(rng, good))
        began, answers = time.monotonic(), set()
        for engine in engines:
            try:
                answers.add(("", run(mutant, compiled=engine)))
            except FastqError as error:
                answers.add((str(error), b""))
        assert len(answers) == 1, f"mutant {number} of seed {seed}: the engines differ"
        assert time.monotonic() - began < 5
        accepted += answers.pop()[0] == ""
    return accepted


@pytest.mark.skipif(not native.has_fastq, reason="no compiler")
def test_mutants_are_refused_or_written_alike_by_kernel_and_twin():
    assert 20 < fuzz(600, 1, (True, False)) < 580


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.skipif(not native.has_fastq, reason="no compiler")
def test_twenty_thousand_mutants_neither_crash_nor_fill_the_memory():
    before = forget_peak()
    fuzz(20_000, 2, (True, False))
    assert peak_mb() - before < 448, "with the interpreter and our modules 512 MB"
