"""FASTQ: what of a record leaves, pairs, broken files and mutants; pysam is the independent reader."""

from __future__ import annotations

import gzip
import io
import random
import resource

import pysam
import pytest

from deid import native
from deid.bgzf import EOF_BLOCK, deflate_block
from deid.fastq import FastqError, FastqOptions, core_pair, core_view, plan_from_steps

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


@pytest.mark.parametrize("change", [b"@x\nA\n+\nI\n@y\nA\n+\nI\n", b"@y\nA\n+\nI\n@x\nA\n+\nI\n@z\nA\n+\nI\n", b""])
def test_files_that_are_no_pair_are_refused(compiled, change):
    sources = io.BytesIO(b"@y\nA\n+\nI\n@x\nA\n+\nI\n"), io.BytesIO(change)
    with pytest.raises(FastqError) as caught:
        core_pair(plan_from_steps(()), sources, (io.BytesIO(), io.BytesIO()), key=KEY)
    assert caught.value.code == "pairs_differ"


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


def fuzz(count: int, seed: int, engines: tuple[bool, ...]) -> int:
    rng, accepted = random.Random(seed), 0
    good = b"".join(b"@r%d/1 x\nACGTN\n+r%d\n!#AIJ\n" % (n, n) for n in range(6))
    for _ in range(count):
        out = bytearray(good)
        for _ in range(rng.randrange(1, 4)):
            at = rng.randrange(len(out))
            choice = rng.randrange(3)
            if choice == 0:
                out[at] = rng.choice(b"@+\n\r/12 \t\0\xff~") if rng.random() < 0.7 else rng.randrange(256)
            elif choice == 1:
                del out[at : at + rng.randrange(1, 5)]
            else:
                out[at:at] = rng.choice([b"\n", b"@", b"+\n", b"/2", b"\r\n"])
        answers = set()
        for engine in engines:
            try:
                answers.add(("", run(bytes(out), compiled=engine)))
            except FastqError as error:
                answers.add((str(error), b""))
        assert len(answers) == 1
        accepted += answers.pop()[0] == ""
    return accepted


@pytest.mark.skipif(not native.has_fastq, reason="no compiler")
def test_mutants_are_refused_or_written_alike_by_kernel_and_twin():
    assert 20 < fuzz(600, 1, (True, False)) < 580


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.skipif(not native.has_fastq, reason="no compiler")
def test_twenty_thousand_mutants_neither_crash_nor_fill_the_memory():
    fuzz(20_000, 2, (True, False))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < 512 * 1024
