"""Inputs that a library opens by name: links to descriptors, gone afterwards, and never a pipe's."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.sandbox.names import Names


def test_a_name_leads_to_the_descriptor_and_goes_with_the_run(tmp_path: Path) -> None:
    path = tmp_path / "source"
    path.write_bytes(b"ACGT")
    names = Names()
    with path.open("rb") as file:
        links = names.links({"reference.fa": (file.fileno(), "file"), "core": (99, "stream")})
        assert list(links) == ["reference.fa"]
        assert Path(links["reference.fa"]).read_bytes() == b"ACGT"
    names.close()
    names.close()
    assert not Path(links["reference.fa"]).parent.exists()


def test_a_stream_cannot_be_opened_by_name() -> None:
    with pytest.raises(ValueError, match="plain file"):
        Names().links({"reference.fa": (3, "stream")})


def test_without_such_an_input_no_folder_is_made() -> None:
    assert Names().links({"source": (3, "stream")}) == {}
