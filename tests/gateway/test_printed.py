"""Reports on paper, one release followed, and an auditor who counts people without us."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from gateway import report_pdf
from gateway.cli.app import app
from gateway.errors import BadInput, LedgerUnavailable, NotFound, Rewritten
from gateway.ledger import DiskLogFiles
from gateway.ledger.log import read_entries
from gateway.revocation import withdraw_participant
from gateway.verifier.opening import check_opening
from gateway.verifier.tiles import level_tiles
from tests.world import World

FONT = next((path for path in report_pdf.FONTS if path.is_file()), None)


@pytest.fixture
def released(world: World, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """One release to the university, one to the second one; commands speak of this home."""
    monkeypatch.setenv("TONGGUAN_HOME", str(world.settings.home))
    done = world.release(world.ids["item"])
    world.release(world.granted("rival"), who="rival")
    world.env.ledger.sync()
    return done


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def told(*arguments: str) -> Any:
    done = run(*arguments)
    assert done.exit_code == 0, done.output or done.exception
    return json.loads(done.stdout)


def text_of(path: Path) -> str:
    """What another program reads in the PDF, without the places where a line may break."""
    made = subprocess.run(["pdftotext", "-raw", str(path), "-"], check=True, capture_output=True, text=True)
    return re.sub(r"\s", "", made.stdout.replace("\u200b", ""))


def need_pdf() -> None:
    if FONT is None:
        pytest.skip("no font with Chinese characters")
    if shutil.which("pdftotext") is None:
        pytest.skip("pdftotext is not installed")


def test_the_quarterly_report_is_a_pdf_whose_chinese_text_can_be_read_and_whose_font_is_embedded(
    world: World, released: dict[str, Any], tmp_path: Path
) -> None:
    need_pdf()
    now, out = world.clock.now(), tmp_path / "quarter.pdf"
    quarter = str((now.month + 2) // 3)
    assert run("report", "quarterly", str(now.year), quarter, "--out", str(out)).exit_code == 0
    said = text_of(out)
    for words in ("季度数据使用、最终用途与流向报告", "最终用途", "目的地", "VictoriaHarbourUniversity", "香港hongkong",
                  "Modifiersofpenetranceininheritedarrhythmia", world.env.ledger.origin, released["id"],
                  "单位负责人（签字）", "填报单位（盖章）"):  # fmt: skip
        assert re.sub(r"\s", "", words) in said, words
    fonts = subprocess.run(["pdffonts", str(out)], check=True, capture_output=True, text=True).stdout.splitlines()[2:]
    assert fonts
    assert all(re.search(r"\byes\s+yes\s+yes\b", line) for line in fonts), "embedded, cut down, with its characters"


def test_a_quarterly_report_can_be_of_one_recipient(world: World, released: dict[str, Any]) -> None:
    now = world.clock.now()
    quarter = str((now.month + 2) // 3)
    every = told("report", "quarterly", str(now.year), quarter, "--json")
    own = told("report", "quarterly", str(now.year), quarter, "--recipient", world.ids["second"], "--json")
    assert (len(every), len(own)) == (2, 1)
    assert own[0]["recipient"] == "Second University"
    assert told("report", "quarterly", str(now.year - 1), quarter, "--json") == []


def test_the_annual_report_counts_what_is_held_left_and_was_provided(
    world: World, released: dict[str, Any], tmp_path: Path
) -> None:
    withdraw_participant(world.env, world.people["custodian"], dataset_id=world.ids["dataset"], source_id="HOSP0003")
    world.env.ledger.sync()
    year = world.clock.now().year
    [row] = told("report", "annual", str(year), "--json")
    assert (row["people"], row["withdrawn"], row["provisions"]) == (39, 1, 2)
    assert row["recipients"] == ["Second University", "Victoria Harbour University"]
    assert (row["category"], row["origin"]) == ("WGS C1.3", "mainland")
    assert told("report", "annual", str(year - 1), "--json") == [], "it was not held then"
    [later] = told("report", "annual", str(year + 1), "--json")
    assert (later["withdrawn"], later["provisions"]) == (0, 0)
    for ending in ("xlsx", "csv", "pdf") if FONT else ("xlsx", "csv"):
        assert run("report", "annual", str(year), "--out", str(tmp_path / f"a.{ending}")).exit_code == 0
    need_pdf()
    assert "年度人类遗传资源保藏情况报告" in text_of(tmp_path / "a.pdf")


def test_without_a_font_or_a_place_to_write_it_says_what_to_do(
    released: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report_pdf, "FONTS", ())
    out = str(tmp_path / "a.pdf")
    failed = run("report", "annual", "2026", "--out", out)
    assert isinstance(failed.exception, BadInput)
    assert "fonts-noto-cjk" in str(failed.exception)
    wrong = tmp_path / "font.ttf"
    wrong.write_bytes(b"no font")
    assert isinstance(run("report", "annual", "2026", "--out", out, "--font", str(wrong)).exception, BadInput)
    assert not (tmp_path / "a.pdf").exists()


def test_a_release_is_followed_from_the_facts_it_rested_on_to_its_end(world: World, released: dict[str, Any]) -> None:
    lines = told("ledger", "follow", released["id"], "--json")
    kinds = [line["type"] for line in lines]
    opened = kinds.index("release.open")
    assert {"dataset", "view", "access_grant", "approval", "consent_set", "filing", "item"} <= set(kinds[:opened])
    assert [line["position"] for line in lines] == sorted(line["position"] for line in lines)
    rows = {line["said"]["fact"]["row"] for line in lines if "fact" in line["said"]}
    assert world.ids["grant:" + world.ids["item"]] in rows
    by_entry = told("ledger", "follow", lines[opened]["entry"], "--json")
    assert by_entry == lines
    assert isinstance(run("ledger", "follow", "0" * 32).exception, NotFound)


@pytest.fixture
def opening(world: World, released: dict[str, Any], tmp_path: Path) -> Path:
    out = tmp_path / "opening.json"
    arguments = ("--custodian", world.ids["hospital"], "--recipient", world.ids["university"])
    done = run("ledger", "open-counts", str(out), *arguments)
    assert done.exit_code == 0, done.exception
    return out


def test_an_auditor_counts_distinct_people_from_a_copy_of_the_log_without_us(
    world: World, opening: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(world.settings.home / "ledger", copy)
    shutil.rmtree(world.settings.home)
    found = told("ledger", "check-counts", str(opening), str(copy), "--json")
    assert found == {"releases": 1, "ids": 40, "linked": 40, "largest": 40}
    assert opening.stat().st_mode & 0o077 == 0
    assert "HOSP00" not in opening.read_text("utf-8")


def tamperings() -> dict[str, Any]:
    def drop_one(body: dict[str, Any]) -> None:
        body["releases"].pop()

    def twice(body: dict[str, Any]) -> None:
        body["releases"].append(body["releases"][0])

    def another_recipient(body: dict[str, Any]) -> None:
        first = next(one for one in body["releases"] if "participants" in one)
        first["recipient"]["value"] = "0" * 32

    def fewer_people(body: dict[str, Any]) -> None:
        next(one for one in body["releases"] if "participants" in one)["participants"].pop()

    def another_person(body: dict[str, Any]) -> None:
        next(one for one in body["releases"] if "participants" in one)["participants"][0]["id"] = "0" * 32

    def a_person_twice(body: dict[str, Any]) -> None:
        people = next(one for one in body["releases"] if "participants" in one)["participants"]
        people[0] = people[1]

    return {f.__name__: f for f in (drop_one, twice, another_recipient, fewer_people, another_person, a_person_twice)}


@pytest.mark.parametrize("how", tamperings())
def test_an_opening_that_leaves_out_or_changes_anything_is_found(world: World, opening: Path, how: str) -> None:
    files = DiskLogFiles(world.settings.home / "ledger")
    size = world.env.ledger.sync()
    entries = [body for bundle in level_tiles(None, size) for body in read_entries(files, bundle)]
    body = json.loads(opening.read_text("utf-8"))
    assert check_opening(body, entries).ids == 40
    tamperings()[how](body)
    with pytest.raises(ValueError, match=r"entry|every release"):
        check_opening(body, entries)
    opening.write_text(json.dumps(body))
    folder = str(world.settings.home / "ledger")
    assert isinstance(run("ledger", "check-counts", str(opening), folder).exception, Rewritten)


def test_nothing_is_counted_over_a_log_that_is_not_proven(world: World, opening: Path) -> None:
    folder = world.settings.home / "ledger"
    (folder / "stray").write_bytes(b"x")
    assert isinstance(run("ledger", "check-counts", str(opening), str(folder)).exception, LedgerUnavailable)
