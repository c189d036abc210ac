"""What is drawn for a person comes from that person's secret alone, differs between views, and never is nothing."""

from __future__ import annotations

import io
import json
from datetime import date
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from deid.recipe import Recipe, load_recipe
from deid.shifts import LONGEST_SHIFT
from gateway.draws import drawn_for
from gateway.item_life import found_item, next_release
from gateway.ports import Row, Tx
from gateway.record import put_fact
from gateway.transform import prepare_core_view
from gateway.vault import open_vault
from tests.world import World, make_world, write_source

SECRETS = {f"c{n}": {"secret": f"{n:064x}"} for n in range(2_000)}
HEAD = "recipe: drawn\nversion: 1\nkind: table\ntier: controlled\ncolumns:\n"
PERSON = "  participant: {role: identifier, transform: pseudonym}\n"
SHIFTED = "  visit: {role: insensitive, transform: date-shift}\n"
SEX = "  sex: {role: quasi}\n"
NOISY = "  dose: {role: insensitive, transform: {noise: {scale: 4, round: 0.5}}}\n"


def recipe(columns: str = SHIFTED + NOISY) -> Recipe:
    return load_recipe((HEAD + PERSON + columns).encode(), files={}.__getitem__)


def drawn(which: Recipe, *, dataset: str = "d", view: str = "v", people: int = 2_000):
    return drawn_for(which, list(SECRETS)[:people], SECRETS, dataset=dataset, view=view)


def test_only_what_the_recipe_asks_for_is_drawn() -> None:
    assert drawn(recipe("  dose: {role: insensitive}\n")) == {}
    assert drawn(recipe(SHIFTED)).keys() == {"shifts"}
    assert drawn(recipe(NOISY)).keys() == {"seeds"}


def test_everybody_moves_and_nobody_further_than_half_a_year() -> None:
    days = drawn(recipe())["shifts"].values()
    assert set(days) <= set(range(-LONGEST_SHIFT, LONGEST_SHIFT + 1)) - {0}
    assert len(set(days)) > 300


def test_a_draw_is_the_persons_own_and_the_views_own() -> None:
    whole = drawn(recipe())
    fewer = drawn(recipe(), people=10)
    assert all(fewer["seeds"][code] == whole["seeds"][code] for code in fewer["seeds"])
    assert len(set(whole["seeds"].values())) == len(SECRETS)
    for other in (drawn(recipe(), view="w"), drawn(recipe(), dataset="e")):
        assert not set(other["seeds"].values()) & set(whole["seeds"].values())
        assert other["shifts"] != whole["shifts"]


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A house with a table of two visits and a dose, under a recipe that shifts and draws."""
    source = write_source(tmp_path / "source")
    rows = [f"HOSP{n:04d},2024-03-{1 + n % 28:02d},2024-04-{1 + n % 28:02d},{n},{'MF'[n % 2]}" for n in range(40)]
    (source / "visits.csv").write_text("participant,first,second,dose,sex\n" + "\n".join(rows) + "\n", "utf-8")
    manifest = (source / "manifest.yaml").read_text("utf-8")
    manifest = manifest.replace("views:\n", "  - {path: visits.csv, kind: table}\nviews:\n" + VIEW)
    (source / "manifest.yaml").write_text(manifest, "utf-8")
    world = make_world(tmp_path, source=source)
    made = recipe("".join(SHIFTED.replace("visit", name) for name in ("first", "second")) + NOISY + SEX)
    text = HEAD + PERSON + "".join(SHIFTED.replace("visit", name) for name in ("first", "second")) + NOISY + SEX
    columns = {"recipe": json.dumps({"text": text, "files": {}}), "recipe_digest": made.digest}
    world.env.uow.run(lambda tx: put_fact(tx, world.env, "view", world.views["visits"], columns=columns))
    return world


VIEW = "  - {name: visits, kind: table, recipe: phenotype-controlled, tier: controlled, files: [visits.csv]}\n"


def released(world: World) -> dict[str, tuple[date, date, str]]:
    """Who has which visits and dose in a core view made anew."""
    item = world.apply(views=("visits",))

    def row(tx: Tx) -> Row:
        found, application = found_item(tx, item)
        return next_release(found, application, world.views["visits"], "hong_kong")

    core_id = prepare_core_view(world.env, world.env.uow.read(row))
    part = world.row("core_view", core_id)["parts"][0]
    with world.env.staging.open(core_id, part["name"]) as stored:
        table = pq.read_table(io.BytesIO(stored.read())).to_pylist()
    return {one["participant"]: (one["first"], one["second"], one["dose"]) for one in table}


def test_in_a_release_dates_move_together_values_are_drawn_and_a_view_made_anew_is_the_same(world: World) -> None:
    first = released(world)
    assert len(first) == 40
    vault = world.env.uow.read(lambda tx: open_vault(tx, world.env, world.ids["dataset"]))["people"]
    moved = set()
    for code, (one, two, dose) in first.items():
        number = int(vault[code]["source"][4:])
        was = date(2024, 3, 1 + number % 28)
        moved.add((_day(one) - was).days)
        assert (_day(two) - _day(one)).days == 31, "intervals stay"
        assert (_day(one) - was).days != 0
        assert abs(float(dose) - number) < 100
    assert len(moved) > 10
    assert any(float(dose) != int(vault[code]["source"][4:]) for code, (_, _, dose) in first.items())
    core = world.env.uow.read(lambda tx: tx.find("core_view"))[0]
    world.env.uow.run(lambda tx: tx.update("core_view", core["id"], state="shredded"))
    assert released(world) == first


def _day(value: object) -> date:
    return value if isinstance(value, date) else date.fromisoformat(str(value))
