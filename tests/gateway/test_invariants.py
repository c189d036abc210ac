"""Invariants of the house that need a whole house to be seen: 5, 6, 13 and 20."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from deid.recipe import load_recipe
from gateway import accounts, datasets, labels
from gateway.accounts import NewPerson
from gateway.demo.people import HOSPITAL
from gateway.env import Actor
from gateway.errors import NotAllowed
from gateway.evidence import gather
from gateway.record import put_fact
from gateway.risk_signing import sign_risk
from tests.plugins.house import copied
from tests.world import MANIFEST, PASSWORD, PEOPLE, World, make_world, write_source

TABLE = """
recipe: {name}
version: 1
kind: table
tier: controlled
columns:
  participant_id: {{role: identifier, transform: pseudonym}}
  {quasi}: {{role: quasi, transform: keep}}
  diagnosis: {{role: sensitive, transform: keep}}
models: [{{k-anonymity: {{k: 6}}}}]
suppression-limit: 0
search: {{method: full-domain, budget-nodes: 1000}}
copy: {{names: per-project}}
"""
VIEWS = {"by-sex": "sex", "by-district": "district"}


@pytest.fixture
def tables(tables_house: World, tmp_path: Path) -> World:
    """A copy of that house."""
    return copied(tables_house, tmp_path, "")


@pytest.fixture(scope="session")
def tables_house(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A house whose dataset has two table views: each is 6-anonymous, together they are not. Not to be changed."""
    tmp_path = tmp_path_factory.mktemp("tables")
    source = write_source(tmp_path / "source")
    rows = [
        {"participant_id": f"HOSP{n:04d}", "sex": "FM"[n % 2], "district": f"D{n // 8}", "diagnosis": f"I4{n % 3}"}
        for n in range(PEOPLE)
    ]
    with (source / "phenotype.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    text = MANIFEST.replace("kind: vcf}\nviews:", "kind: vcf}\n  - {path: phenotype.csv, kind: table}\nviews:")
    for name in VIEWS:
        view = f"name: {name}, kind: table, recipe: phenotype-controlled, tier: controlled, files: [phenotype.csv]"
        text += f"  - {{{view}}}\n"
    (source / "manifest.yaml").write_text(text, "utf-8")
    with (source / "samples.csv").open("a", encoding="utf-8", newline="") as file:
        file.writelines(f"{row['participant_id']},{row['participant_id']},phenotype.csv\n" for row in rows)
    world = make_world(tmp_path, source=source)
    for name, quasi in VIEWS.items():
        _give_recipe(world, name, TABLE.format(name=name, quasi=quasi))
    world.env.ledger.sync()
    return world


def _give_recipe(world: World, view: str, text: str) -> None:
    recipe = load_recipe(text.encode(), files=lambda _: b"")
    columns = {"recipe": json.dumps({"text": text, "files": {}}), "recipe_digest": recipe.digest}
    world.env.uow.run(lambda tx: put_fact(tx, world.env, "view", world.views[view], columns=columns))


def rules(row: dict[str, Any]) -> set[str]:
    return {reason["rule"] for reason in row["decision"]["reasons"]}


def test_inv05_every_refusal_names_every_rule_with_its_law_and_remedy_in_three_languages(world: World) -> None:
    """Invariant 5."""
    item = world.apply("rival")
    refused = world.release(item, who="rival")
    assert {"GW-08", "GW-10", "HGR-10", "PI-05", "XB-02"} <= rules(refused)
    for reason in refused["decision"]["reasons"]:
        assert reason["cite"] or reason["rule"].startswith("GW-"), reason["rule"]
        for words in (reason["title"], reason["remedy"]):
            assert all(words[language].strip() for language in ("en", "zh-Hans", "zh-Hant"))


def test_inv06_a_label_never_falls_without_a_measured_report(world: World) -> None:
    """Invariant 6: no recipe, no fall; and a genome does not become registered by relabelling."""
    steward, raw, variants = world.people["steward"], world.views["raw"], world.views["variants"]
    with pytest.raises(NotAllowed, match="no recipe"):
        labels.propose_label(world.env, steward, raw, grade="G3", level=4, tier="controlled", reason="easier")
    with pytest.raises(NotAllowed, match="never leaves by the registered door"):
        labels.propose_label(world.env, steward, variants, grade="G2", level=2, tier="registered", reason="easier")
    assert world.row("view", raw)["label"]["grade"] == "G4"
    assert world.row("view", raw)["state"] == world.row("view", variants)["state"] == "confirmed"
    assert len(world.entries("act.refuse")) == 2


def test_inv06_a_label_never_falls_by_a_report_of_another_recipe(tables: World) -> None:
    """Invariant 6: the report must be of what the present recipe makes, and within the limits of the new tier."""
    view = tables.views["by-sex"]
    wanted: dict[str, Any] = {"grade": "G2", "level": 2, "tier": "registered", "reason": "k 20 was measured"}
    steward = tables.people["steward"]
    with pytest.raises(NotAllowed, match="has been measured"):
        labels.propose_label(tables.env, steward, view, **wanted)
    tables.granted(views=("by-sex", "by-district"))
    _give_recipe(tables, "by-sex", TABLE.format(name="changed", quasi="sex"))
    with pytest.raises(NotAllowed, match="has been measured"):
        labels.propose_label(tables.env, steward, view, **wanted)
    with pytest.raises(NotAllowed, match="k 8 and l 3; registered wants 11"):
        labels.propose_label(tables.env, steward, tables.views["by-district"], **wanted)


def test_inv06_a_second_person_confirms_and_until_then_nothing_leaves(tables: World) -> None:
    """Invariant 6."""
    item = tables.granted(views=("by-sex",))
    view, steward = tables.views["by-sex"], tables.people["steward"]
    old = tables.row("view", view)["label"]
    assert tables.release(item, "by-sex")["state"] == "available"
    labels.propose_label(tables.env, steward, view, grade="G1", level=1, tier="controlled", reason="measured k 20")
    held = tables.release(item, "by-sex")
    assert (held["state"], held["outcome"]) == ("refused", "hold")
    with pytest.raises(NotAllowed, match="second person"):
        labels.confirm_label(tables.env, steward, view)
    labels.confirm_label(tables.env, tables.people["other.steward"], view)
    assert tables.row("view", view)["label"]["grade"] == "G1" != old["grade"]
    assert tables.release(item, "by-sex")["state"] == "available"


def test_inv13_risk_is_judged_on_all_that_the_audience_holds(tables: World) -> None:
    """Invariant 13: two tables that are 6-anonymous each and not together; the second is held, also in a new project."""
    first = tables.granted(views=("by-sex",))
    assert tables.release(first, "by-sex")["state"] == "available"
    second = tables.granted(views=("by-district",))
    held = tables.release(second, "by-district")
    assert (held["outcome"], rules(held)) == ("hold", {"DEI-10"})
    assert held["copy_id"] is None
    stranger = tables.granted("rival", views=("by-district",))
    assert tables.release(stranger, "by-district", who="rival")["state"] == "available"


def test_inv13_the_other_views_of_one_grant_count_before_they_are_fetched(tables: World) -> None:
    """Invariant 13: what the same package will give is held already."""
    item = tables.granted(views=("by-sex", "by-district"))
    held = tables.release(item, "by-sex")
    assert (held["outcome"], rules(held)) == ("hold", {"DEI-10"})


def test_inv13_the_joint_classes_are_those_of_the_joined_files(tables: World) -> None:
    """Invariant 13: the numbers equal a count over the two files as the recipient would join them."""
    item = tables.granted(views=("by-sex", "by-district"))
    signed = sign_risk(tables.env, tables.people["steward"], tables.release(item, "by-sex")["id"])
    sex = tables.release(item, "by-sex")
    assert sex["state"] == "available", "the signature under exactly this risk lets it go"
    sign_risk(tables.env, tables.people["steward"], tables.release(item, "by-district")["id"])
    district = tables.release(item, "by-district")
    one, two = (pq.read_table(io.BytesIO(tables.opened(row))).to_pylist() for row in (sex, district))
    places = {row["participant_id"]: row["district"] for row in two}
    joint = Counter((row["sex"], places[row["participant_id"]]) for row in one)
    assert signed["k"] == min(joint.values()) == 4
    assert signed["l"] == min(
        len({row["diagnosis"] for row in one if (row["sex"], places[row["participant_id"]]) == cell}) for cell in joint
    )


def test_inv13_a_signature_counts_for_the_risk_that_was_signed_and_no_other(tables: World) -> None:
    """Invariant 13: when the audience comes to hold more, the signed risk is another one."""
    tables.release(tables.granted(views=("by-sex",)), "by-sex")
    second = tables.granted(views=("by-district", "variants"))
    held = tables.release(second, "by-district")
    with pytest.raises(NotAllowed, match="role steward"):
        sign_risk(tables.env, tables.people["researcher"], held["id"])
    sign_risk(tables.env, tables.people["steward"], held["id"])
    assert tables.release(second, "by-district")["state"] == "available"
    _give_recipe(tables, "by-district", TABLE.format(name="other", quasi="district"))
    again = tables.release(second, "by-district")
    assert again["outcome"] == "hold"


def test_inv20_the_answers_of_one_hospital_do_not_depend_on_another(
    sqlite_house: World, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Invariant 20: the same house with and without a second hospital that holds the very same people."""
    alone = copied(sqlite_house, tmp_path_factory.mktemp("alone"), "")
    beside = copied(sqlite_house, tmp_path_factory.mktemp("beside"), "")
    _second_hospital(beside, tmp_path_factory.mktemp("second"))
    answers = [_answers(world) for world in (alone, beside)]
    assert answers[0] == answers[1]


def _answers(world: World) -> dict[str, Any]:
    released = world.release(world.ids["item"])
    refused = world.release(world.apply(commercial=True))
    row = world.row("release", released["id"])
    evidence = world.env.uow.read(lambda tx: gather(tx, world.env, row, measured=True))
    listed = [entry for entry in datasets.catalogue(world.env) if entry["id"] == world.ids["dataset"]]
    return {
        "bytes": world.opened(released),
        "sizes": [entry["size"] for entry in world.row("copy", released["copy_id"])["files"]],
        "core": released["core_view_id"],
        "refused": refused["decision"]["reasons"],
        "facts": evidence.facts.to_json(),
        "listed": listed,
    }


def _second_hospital(world: World, folder: Path) -> None:
    """Hospital B: the same people by name, number and genotype, added, confirmed and asked for."""
    env, first, second = world.env, world.people["operator"], world.people["second.operator"]
    body = {**HOSPITAL, "name": {"en": "Second Harbour Hospital"}}
    hospital = accounts.propose_institution(env, first, **body)
    accounts.confirm(env, second, "institution", hospital)
    roles = (("custodian", "a"), ("steward", "b"), ("steward", "c"), ("report-filer", "d"))
    custodian, steward, other, filer = (_employ(world, hospital, role, unit) for role, unit in roles)
    source = write_source(folder / "source")
    text = MANIFEST.replace("Shenzhen Harbour Hospital", "Second Harbour Hospital")
    (source / "manifest.yaml").write_text(text, "utf-8")
    dataset = datasets.add(env, custodian, str(source))
    datasets.confirm(env, steward, dataset)
    views = {view["name"]: view["id"] for view in datasets.show(env, custodian, dataset)["views"]}
    people = {**world.people, "steward": steward, "other.steward": other, "filer": filer}
    theirs = World(**{**vars(world), "ids": {**world.ids, "dataset": dataset}, "views": views, "people": people})
    assert theirs.release(theirs.granted())["state"] == "available"


def _employ(world: World, hospital: str, role: str, unit: str) -> Actor:
    env, first, second = world.env, world.people["operator"], world.people["second.operator"]
    login = f"b.{role}.{unit}"
    new = NewPerson(login=login, name=login, institution_id=hospital, unit=unit, password=PASSWORD)
    person = accounts.propose_person(env, first, new)
    accounts.confirm(env, second, "person", person)
    given = accounts.propose_role(env, first, person_id=person, role=role, unit=unit)
    accounts.confirm(env, second, "role", given)
    return accounts.actor_of_person(env, person, place_of_access="mainland")
