"""BAM core view against samtools: the same task, the same DEFLATE level, every field but names compared.

The task (performance notes, section 5): tags NM MD AS RG MC, one sample renamed, our header, reads in ten BED intervals
dropped, BAM. We also replace every name under a key and drop the mates of masked reads, which samtools cannot: so the
comparison of bodies leaves out names and those mates, and the peer is spared both.
Reads of the registered tier (bases from the reference) have no peer: the row stands against the nearest that samtools does,
the same reads with the same tag and their own bases; compared is where each read stands and how long it is. samtools must be Debian's, built
with libdeflate: ``-l 6`` is then libdeflate 7 and ``-l 1`` libdeflate 1. CPU is user and system time of all that is started.

Run: python -m tests.bench.reads [--json] [--pairs N] [--runs N]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.bench.vcf import measure

LEVELS = ((1, 1), (7, 6))
SEED = 11
CONTIGS = (("1", 3_000_000), ("2", 2_000_000))
OURS = """
import json, sys
from deid.reads import ReadsOptions, core_view, plan_from_steps
task = json.load(open(sys.argv[1]))
steps = [{"tags": {"keep": ["NM", "MD", "AS", "RG", "MC"]}}, {"quality": {"as": "keep"}},
         {"keep": {"also": ["unmapped", "secondary", "supplementary", "duplicate", "qc-fail"]}}]
if task["mask"]:
    steps.append({"mask": {"bed": "mask"}})
plan = plan_from_steps(steps, {"mask": open(task["bed"], "rb").read()})
with open(task["source"], "rb") as source, open(task["ours"], "wb") as sink:
    core_view(plan, source, sink, participants={"LiMing": "p1"}, key=bytes(range(16)),
              options=ReadsOptions(level=task["level"], threads=task["threads"]))
"""

SUBSTITUTED = """
import json, sys
from pathlib import Path
from deid.reads import ReadsOptions, Reference, core_view, plan_from_steps
task = json.load(open(sys.argv[1]))
with open(task["source"], "rb") as source, open(task["ours"], "wb") as sink:
    core_view(plan_from_steps([{"reference-substituted": {}}], {}), source, sink, participants={"LiMing": "p1"},
              key=bytes(range(16)), options=ReadsOptions(level=task["level"], threads=task["threads"],
                                                         reference=Reference(Path(task["reference"]))))
"""
DROPPED = 0xF04


def genome_of(rng: random.Random) -> dict[str, str]:
    """The contigs, by a generator that was not used yet."""
    return {name: "".join(rng.choices("ACGT", k=length)) for name, length in CONTIGS}


def write_reference(path: Path) -> None:
    """The genome that ``write_source`` takes its reads from, with its index."""
    with path.open("w") as sink:
        for name, bases in genome_of(random.Random(SEED)).items():
            sink.write(f">{name}\n" + "".join(f"{bases[at : at + 60]}\n" for at in range(0, len(bases), 60)))
    subprocess.run(["samtools", "faidx", str(path)], check=True)


def write_source(path: Path, pairs: int) -> int:
    """A seeded coordinate-sorted BAM: pairs of 150 bases, 0.5 % errors, some indels and clips, Illumina names."""
    rng = random.Random(SEED)
    genome = genome_of(rng)
    header = "@HD\tVN:1.6\tSO:unsorted\n" + "".join(f"@SQ\tSN:{n}\tLN:{size}\n" for n, size in CONTIGS)
    header += "@RG\tID:H3.1\tSM:LiMing\tLB:lib\tPU:H3.1.ACGT\tPL:ILLUMINA\n@PG\tID:bwa\tCL:bwa mem /home/pat/x.fq\n@CO\tnote\n"
    with path.with_suffix(".sam").open("w") as sink:
        sink.write(header)
        for number in range(pairs):
            contig, size = CONTIGS[rng.random() < 0.4]
            start = rng.randrange(size - 600)
            other = start + rng.randrange(150, 440)
            name = (
                f"A00551:88:H3CNJDSXY:{rng.randrange(1, 5)}:{rng.randrange(1101, 2678)}:{number}:{rng.randrange(36000)}"
            )
            for flag, at, mate in ((99, start, other), (147, other, start)):
                sink.write(_read(rng, genome[contig], (name, flag, contig, at, mate)))
    with path.open("wb") as packed:
        sam = subprocess.Popen(["samtools", "sort", "--no-PG", "-l", "6", str(path.with_suffix(".sam"))], stdout=packed)
        if sam.wait():
            raise SystemExit("samtools sort failed")
    raw = subprocess.run(["bgzip", "-dc", str(path)], capture_output=True, check=True).stdout
    path.with_suffix(".sam").unlink()
    return len(raw)


def _read(rng: random.Random, genome: str, place: tuple[str, int, str, int, int]) -> str:
    name, flag, contig, at, mate = place
    bases = list(genome[at : at + 150])
    edits = 0
    for _ in range(rng.choice((0, 0, 1, 1, 2))):
        bases[rng.randrange(150)] = rng.choice("ACGT")
        edits += 1
    cigar = rng.choice(("150M",) * 18 + ("12S138M", "70M2D78M2S"))
    quality = "".join(rng.choices("F:,#", (90, 6, 3, 1), k=150))
    tags = f"NM:i:{edits}\tMD:Z:{rng.randrange(70)}A{rng.randrange(70)}\tMC:Z:150M\tAS:i:{150 - 5 * edits}\tXS:i:19\tRG:Z:H3.1\tBC:Z:ACGTACGT"
    pnext = abs(mate - at) + 150
    return f"{name}\t{flag}\t{contig}\t{at + 1}\t60\t{cigar}\t=\t{mate + 1}\t{pnext if mate > at else -pnext}\t{''.join(bases)}\t{quality}\t{tags}\n"


def peer_command(task: dict[str, object], folder: Path, level: int) -> str:
    """samtools: mask, tags, header, in uncompressed BAM between processes; ``task["threads"]`` in the last."""
    mask = f"samtools view --no-PG -u -L {task['bed']} -U - -o /dev/null {task['source']} | " if task["mask"] else ""
    first = "-" if task["mask"] else str(task["source"])
    extra = f" -@ {int(str(task['threads'])) - 1}" if int(str(task["threads"])) > 1 else ""
    return (
        f"{mask}samtools view --no-PG -u --keep-tag NM,MD,AS,RG,MC {first} | "
        f"samtools reheader --no-PG {folder / 'header.sam'} - | "
        f"samtools view --no-PG -b{extra} --output-fmt-option level={level} -o {task['peer']} -"
    )


def bodies(path: Path) -> list[tuple[str, list[str]]]:
    """For each record every field but the name, tags in order without RG's value."""
    text = subprocess.run(["samtools", "view", "--no-PG", str(path)], capture_output=True, text=True, check=True).stdout
    found = []
    for line in text.splitlines():
        columns = line.split("\t")
        found.append((columns[0], [*columns[1:11], *(tag for tag in columns[11:] if not tag.startswith("RG:"))]))
    return found


def is_equal(task: dict[str, object]) -> bool:
    """Whether ours is the peer's, but for names and (where there is a mask) reads whose mate is masked."""
    ours, peer = (bodies(Path(str(task[key]))) for key in ("ours", "peer"))
    counts: dict[str, int] = {}
    for name, _ in peer:
        counts[name] = counts.get(name, 0) + 1
    return [body for _, body in ours] == [body for name, body in peer if counts[name] == 2]


def row(task: dict[str, object], folder: Path, levels: tuple[int, int], runs: int) -> dict[str, object]:
    """One paired comparison."""
    task = {**task, "level": levels[0]}
    size = int(str(task["size"]))
    (folder / "task.json").write_text(json.dumps(task))
    ours, peer = [], []
    measure([sys.executable, "-c", OURS, str(folder / "task.json")], size)  # byte code, files in memory; not counted
    for _ in range(runs):
        ours.append(measure([sys.executable, "-c", OURS, str(folder / "task.json")], size))
        peer.append(measure(["sh", "-c", peer_command(task, folder, levels[1])], size))
    middle = [{key: round(statistics.median(run[key] for run in some), 3) for key in some[0]} for some in (ours, peer)]
    ratios = {
        key: round(statistics.median(a[f"{key}_s"] / b[f"{key}_s"] for a, b in zip(ours, peer, strict=True)), 3)
        for key in ("cpu", "wall")
    }
    what = "with ten masked intervals" if task["mask"] else "no mask"
    return {
        "task": f"BAM {what}, libdeflate {levels[0]} (htslib {levels[1]}), threads {task['threads']}",
        "ours": middle[0],
        "peer": {"name": "samtools", "version": version(), **middle[1]},
        "ratio_cpu": ratios["cpu"],
        "ratio_wall": ratios["wall"],
        "runs": runs,
        "equal_output": is_equal(task),
    }


def substituted_row(task: dict[str, object], levels: tuple[int, int], runs: int) -> dict[str, object]:
    """Reads whose bases are the reference's, against samtools writing the same reads as they are."""
    file, size = Path(str(task["ours"])).with_name("task.json"), int(str(task["size"]))
    file.write_text(json.dumps({**task, "level": levels[0]}))
    ours_command = [sys.executable, "-c", SUBSTITUTED, str(file)]
    peer_command = ["samtools", "view", "--no-PG", "-b", "-F", str(DROPPED), "--keep-tag", "RG", "--output-fmt-option"]
    peer_command += [f"level={levels[1]}", "-o", str(task["peer"]), str(task["source"])]
    measure(ours_command, size)
    pairs = [(measure(ours_command, size), measure(peer_command, size)) for _ in range(runs)]
    ours, peer = (
        {key: round(statistics.median(pair[side][key] for pair in pairs), 3) for key in pairs[0][side]}
        for side in (0, 1)
    )
    ours["reads_per_cpu_s"] = round(int(str(task["reads"])) / ours["cpu_s"])
    return {
        "task": f"BAM, bases from the reference, libdeflate {levels[0]} (htslib {levels[1]}), threads {task['threads']}",
        "ours": ours,
        "peer": {"name": "samtools view -F 0xF04 --keep-tag RG, its own bases", "version": version(), **peer},
        "ratio_cpu": round(statistics.median(a["cpu_s"] / b["cpu_s"] for a, b in pairs), 3),
        "ratio_wall": round(statistics.median(a["wall_s"] / b["wall_s"] for a, b in pairs), 3),
        "runs": runs,
        "equal_output": sorted(standing(Path(str(task["ours"])))) == sorted(standing(Path(str(task["peer"])))),
    }


def standing(path: Path) -> list[tuple[str, int, int, str]]:
    """Contig, first base, length and strand of each read, by what samtools shows of it: as it would lie were it one match,
    unclipped, from where its sequencing began."""
    text = subprocess.run(["samtools", "view", "--no-PG", str(path)], capture_output=True, text=True, check=True).stdout
    sizes, found = dict(CONTIGS), []
    for line in text.splitlines():
        _, flag, contig, at, _, cigar, *rest = line.split("\t")
        start, length, reverse = int(at), len(rest[3]), str(int(flag) & 16)
        pieces = [(int(size), kind) for size, kind in re.findall("([0-9]+)([A-Z=])", cigar)]
        if reverse != "0":
            behind = pieces[-1][0] if pieces[-1][1] == "S" else 0
            start += sum(size for size, kind in pieces if kind in "MD=X") + behind - length
        elif pieces[0][1] == "S":
            start -= pieces[0][0]
        found.append((contig, max(1, min(start, sizes[contig] - length + 1)), length, reverse))
    return found


def threads_row(script: str, task: dict[str, object], folder: Path, runs: int) -> dict[str, object]:
    """Two threads against one, the same program: ``ratio_wall`` of at most 0.625 is 1.6 times as fast."""
    size, file, sides = int(str(task["size"])), folder / "task.json", (("ours", 2), ("peer", 1))
    measured: dict[str, list[dict[str, float]]] = {"ours": [], "peer": []}
    for _ in range(runs):
        for side, threads in sides:
            file.write_text(json.dumps({**task, "threads": threads, "ours": task[side]}))
            measured[side].append(measure([sys.executable, "-c", script, str(file)], size))
    middle = {
        side: {key: round(statistics.median(run[key] for run in some), 3) for key in some[0]}
        for side, some in measured.items()
    }
    pairs = list(zip(measured["ours"], measured["peer"], strict=True))
    return {
        "task": f"{task['what']}, libdeflate {task['level']}, two threads against one",
        "ours": middle["ours"],
        "peer": {"name": "tongguan with one thread", "version": "same code", **middle["peer"]},
        "ratio_cpu": round(statistics.median(a["cpu_s"] / b["cpu_s"] for a, b in pairs), 3),
        "ratio_wall": round(statistics.median(a["wall_s"] / b["wall_s"] for a, b in pairs), 3),
        "runs": runs,
        "equal_output": Path(str(task["ours"])).read_bytes() == Path(str(task["peer"])).read_bytes(),
    }


def version() -> str:
    """What samtools says it is; a row against one without libdeflate is void."""
    said = subprocess.run(
        ["samtools", "--version"], capture_output=True, text=True, errors="replace", check=True
    ).stdout
    if "libdeflate=yes" not in said:
        raise SystemExit("this samtools does not report libdeflate: its rows would be void")
    return said.split("\n")[0].split()[-1]


def run(pairs: int, runs: int) -> dict[str, object]:
    """All rows, in the shape INTERFACES asks for."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        with_byte_code(folder)
        source, bed = folder / "source.bam", folder / "mask.bed"
        size = write_source(source, pairs)
        bed.write_text("".join(f"1\t{at}\t{at + 2000}\n" for at in range(100_000, 3_000_000, 290_000)))
        lines = "".join(f"@SQ\tSN:{n}\tLN:{length}\n" for n, length in CONTIGS)
        (folder / "header.sam").write_text(f"@HD\tVN:1.6\tSO:coordinate\n{lines}@RG\tID:p1.1\tSM:p1\tPL:ILLUMINA\n")
        task: dict[str, object] = {
            "source": str(source), "bed": str(bed), "ours": str(folder / "ours.bam"), "peer": str(folder / "peer.bam"),
            "threads": 1, "size": size, "mask": True, "reads": 2 * pairs, "reference": str(folder / "reference.fa"),
        }  # fmt: skip
        write_reference(folder / "reference.fa")
        rows = [row(task, folder, levels, runs) for levels in LEVELS]
        rows.append(row({**task, "mask": False}, folder, LEVELS[0], runs))
        rows.append(row({**task, "threads": 2}, folder, LEVELS[0], runs))
        rows += [threads_row(OURS, {**task, "what": "BAM", "level": level}, folder, runs) for level in (1, 6)]
        rows += [substituted_row(task, levels, runs) for levels in ((1, 1), (6, 5))]
        what = "BAM, bases from the reference"
        rows.append(threads_row(SUBSTITUTED, {**task, "what": what, "level": 6}, folder, runs))
    machine = {"cores": os.cpu_count(), "python": platform.python_version(), "versions": {}}
    return {"bench": "reads", "machine": machine, "rows": rows}


def with_byte_code(folder: Path) -> None:
    """Let what is started keep its byte code in ``folder``, as an installed package has it, whatever our own setting."""
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ["PYTHONPYCACHEPREFIX"] = str(folder / "byte-code")


def main() -> int:
    """Run and print; 2 where samtools is not there."""
    parser = argparse.ArgumentParser(prog="bench reads")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--pairs", type=int, default=300_000)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    if any(shutil.which(tool) is None for tool in ("samtools", "bgzip")):
        sys.stderr.write("bench reads needs samtools and bgzip on PATH\n")
        return 2
    result = run(options.pairs, options.runs)
    if options.json:
        sys.stdout.write(json.dumps(result) + "\n")
        return 0
    for one in result["rows"]:
        sys.stdout.write(
            f"{one['task']}: cpu {one['ratio_cpu']}, wall {one['ratio_wall']}, equal {one['equal_output']}\n"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
