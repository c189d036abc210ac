"""A child's time grows with what it is given to read, and a small file is given no more than a small file's."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from gateway.bootstrap import BYTES_A_SECOND, longer
from gateway.env import Env
from gateway.hashing import HashingReader, size_of
from gateway.sandbox.port import Limits
from tests.world import World

GENOME = 60 << 30


def test_a_whole_genome_is_given_hours_and_a_table_no_more_than_before() -> None:
    fixed = Limits()
    assert longer(fixed, 100_000) == fixed
    genome = longer(fixed, GENOME)
    assert genome.cpu_seconds == fixed.cpu_seconds + GENOME // BYTES_A_SECOND > 4 * 3600
    assert genome.wall_seconds >= 2 * (genome.cpu_seconds - fixed.cpu_seconds)
    assert genome.memory_bytes == fixed.memory_bytes


def test_the_size_is_that_of_the_source_however_it_is_wrapped_and_nothing_is_read_for_it(tmp_path: Path) -> None:
    path = tmp_path / "reads.bam"
    path.write_bytes(bytes(5000))
    with path.open("rb") as file:
        assert size_of(file) == size_of(file.fileno()) == size_of(HashingReader(file)) == 5000
        assert file.tell() == 0
    assert size_of(io.BytesIO(bytes(7))) == 7


def test_a_staged_file_tells_its_size_and_is_read_from_its_beginning(world: World) -> None:
    env: Env = world.env
    with env.staging.create("owner", "name") as sink:
        sink.write(b"x" * 3000)
    with env.staging.open("owner", "name") as staged:
        assert size_of(staged) == 3000
        assert staged.read() == b"x" * 3000


def test_time_is_given_to_the_child_that_reads_the_large_file(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[int] = []
    monkeypatch.setattr("gateway.bootstrap.BYTES_A_SECOND", 1)

    def run(*_args: object, limits: Limits, **_named: object) -> None:
        given.append(limits.cpu_seconds)

    monkeypatch.setattr("gateway.sandbox.runner.ProcessSandbox.run_bounded", run)
    world.env.sandbox("connectors.sniff", {"path": "a"}, inputs={"file": io.BytesIO(bytes(500))}, outputs={})
    assert given == [Limits().cpu_seconds + 500]


def test_a_stream_that_cannot_say_how_long_it_is_has_the_fixed_share() -> None:
    class Pipe(io.RawIOBase):
        def readable(self) -> bool:
            return True

    assert size_of(Pipe()) == size_of(HashingReader(Pipe())) == 0  # type: ignore[arg-type]
