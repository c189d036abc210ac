"""Reads go the whole path: reference-substituted in the registered tier, with samtools and bcftools as the judges."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pysam
import pytest

from tests.gateway.reads_source import ALONE, HOSPITAL, TOGETHER, add_reads
from tests.world import World, make_world, write_source


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    folder = Path(tmp_path_factory.mktemp("reads"))
    source = add_reads(write_source(folder / "source", changes={0: {"provision": "no"}}))
    world = make_world(folder, source=source)
    world.ids["source"] = str(source)
    return world


def files_of(world: World, released: dict[str, Any], folder: Path, who: str = "researcher") -> list[Path]:
    """The opened files of a release, by the names they left under."""
    folder.mkdir(exist_ok=True)
    made = []
    for number, entry in enumerate(world.row("copy", released["copy_id"])["files"]):
        path = folder / entry["name"].removesuffix(".c4gh")
        path.write_bytes(world.opened(released, who, number))
        made.append(path)
    return made


def test_substituted_reads_leave_and_no_variant_is_called_on_them(world: World, tmp_path: Path) -> None:
    item = world.granted(views=("depth",))
    released = world.release(item, "depth")
    assert released["state"] == "available", (released["trouble"], [r["rule"] for r in released["decision"]["reasons"]])
    paths = files_of(world, released, tmp_path)
    assert [path.name for path in paths] == [f"depth.{n}.bam" for n in (1, 2, 3, 4)]
