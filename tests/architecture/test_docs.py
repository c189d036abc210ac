"""What the documents say is there: links, commands, decisions; and nothing of the machine they were written on."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.architecture.sizes import sources

LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")
OF_ONE_MACHINE = re.compile(r"(?<![\w.}>])/(?:work|root)/")


def pages(repository: Path) -> list[Path]:
    """Every document a person reads."""
    return sorted([*repository.glob("*.md"), *(repository / "docs").rglob("*.md")])


def test_every_link_between_documents_leads_somewhere(repository: Path) -> None:
    lost = [
        f"{page.relative_to(repository)}: {target}"
        for page in pages(repository)
        for target in LINK.findall(page.read_text("utf-8"))
        if "://" not in target and not (page.parent / target).exists()
    ]
    assert lost == []


def test_every_decision_is_in_the_index_with_its_title(repository: Path) -> None:
    folder = repository / "docs" / "decisions"
    listed = dict(
        re.findall(r"^\d+\. \[(.+)\]\((\d{4}-.+\.md)\)$", (folder / "README.md").read_text("utf-8"), re.MULTILINE)
    )
    titles = {
        page.read_text("utf-8").splitlines()[0].removeprefix("# "): page.name for page in folder.glob("[0-9]*.md")
    }
    assert listed == titles
    # Numbers may have gaps: pages written beside each other take numbers from different tens.
    assert len({name[:4] for name in titles.values()}) == len(titles)


def test_every_decision_says_what_was_chosen_and_what_was_not_on_one_page(repository: Path) -> None:
    for page in (repository / "docs" / "decisions").glob("[0-9]*.md"):
        text = page.read_text("utf-8")
        assert len(text.splitlines()) <= 60, page.name
        if "Dependencies" not in text.splitlines()[0]:
            assert "**Chosen.**" in text, page.name
            assert "**Why" in text, page.name


@pytest.mark.parametrize("verb", ["demo", "test"])
def test_both_readmes_name_the_two_commands(repository: Path, verb: str) -> None:
    for name in ("README.md", "README.zh-CN.md"):
        assert f"./run {verb}" in (repository / name).read_text("utf-8")


def test_every_verb_of_run_that_a_document_names_exists(repository: Path) -> None:
    script = (repository / "run").read_text("utf-8")
    known = set(re.search(r"case \$verb in ([a-z| ]+)\) find_uv", script).group(1).replace("|", " ").split())  # type: ignore[union-attr]
    assert known == {"demo", "test", "check", "bench", "tongguan"}
    named = {verb for page in pages(repository) for verb in re.findall(r"\./run ([a-z]+)", page.read_text("utf-8"))}
    assert named <= known


def test_run_refuses_an_unknown_verb_and_says_what_there_is(repository: Path, tmp_path: Path) -> None:
    done = subprocess.run([repository / "run", "tset"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "./run demo" in done.stderr


@pytest.mark.parametrize(
    ("python", "said"),
    [
        (None, "there is no python3"),
        ('#!/bin/sh\n[ "$1" = -V ] && echo Python 3.9.2\nexit 1\n', "Python 3.9.2"),
        ('#!/bin/sh\n[ "$1" = -m ] && exit 1\nexit 0\n', "pip is missing"),
    ],
)
def test_run_says_what_is_missing(repository: Path, tmp_path: Path, python: str | None, said: str) -> None:
    (tmp_path / "run").write_bytes((repository / "run").read_bytes())
    (tmp_path / "run").chmod(0o755)
    tools = tmp_path / "bin"
    tools.mkdir()
    for tool in ("sh", "dirname", "awk"):
        (tools / tool).symlink_to(
            next(place for place in (Path("/bin") / tool, Path("/usr/bin") / tool) if place.exists())
        )
    if python:
        (tools / "python3").write_text(python)
        (tools / "python3").chmod(0o755)
    done = subprocess.run(
        [tools / "sh", tmp_path / "run", "test"], env={"PATH": str(tools)}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2, done.stderr
    assert said in done.stderr


def test_no_file_of_ours_names_a_folder_of_the_machine_it_was_written_on(repository: Path) -> None:
    texts = [*pages(repository), *sources(repository, ".py", ".c", ".h", ".toml", ".cedar"), repository / "run"]
    found = [str(path.relative_to(repository)) for path in texts if OF_ONE_MACHINE.search(path.read_text("utf-8"))]
    assert len(texts) > 100
    assert found == []
