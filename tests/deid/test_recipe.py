"""A recipe says everything or is refused with the place; its digest stands for all of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from deid import defaults
from deid.errors import RecipeError
from deid.recipe import Recipe, load_recipe

SCHEMAS = Path(defaults.__file__).parent / "schemas"
TABLE: dict[str, Any] = {
    "recipe": "r",
    "version": 1,
    "kind": "table",
    "tier": "controlled",
    "columns": {
        "id": {"role": "identifier", "transform": "pseudonym"},
        "age": {"role": "quasi", "transform": {"generalise": "age.csv"}},
        "dx": {"role": "sensitive"},
    },
    "models": [{"k-anonymity": {"k": 6}}],
}
FILES = {"age.csv": b"1;*\n", "m.bed": b"", "approved-panel": b""}


def load(body: object, files: dict[str, bytes] = FILES, **more: Any) -> Recipe:
    return load_recipe(json.dumps(body).encode(), files=files.__getitem__, **more)


def changed(**more: Any) -> dict[str, Any]:
    return TABLE | more


def column(**rule: Any) -> dict[str, Any]:
    return changed(columns=TABLE["columns"] | {"x": rule})


def schema(name: str) -> jsonschema.Draft202012Validator:
    read = json.loads((SCHEMAS / f"{name}.json").read_text("utf-8"))
    jsonschema.Draft202012Validator.check_schema(read)
    return jsonschema.Draft202012Validator(read)


def test_the_default_recipes_load_with_their_closure_and_fit_the_schema() -> None:
    for name in defaults.NAMES:
        recipe = defaults.default_recipe(name)
        assert recipe.name == name
        with_files = {"cohort-vcf-controlled", "phenotype-controlled", "reads-controlled"}
        assert bool(recipe.files) == (name in with_files), "masks and hierarchies come along"
        schema("recipe").validate(yaml.safe_load(defaults.default_text(name)))


@pytest.mark.parametrize(
    ("body", "place"),
    [
        (changed(colour=1), "colour"),
        (changed(steps=[]), "steps"),
        (changed(search={"method": "full-domain", "budget": 3}), "search.budget"),
        (changed(copy={"names": "per-project", "x": 1}), "copy.x"),
        (changed(input={"quote": "'"}), "input.quote"),
        (changed(models=[{"k-anonymity": {"k": 6, "l": 2}}]), "models[0].k-anonymity.l"),
        (changed(models=[{"km": {"k": 6}}]), "models[0].km"),
        (column(role="quasi", transform="keep", wieght=2), "columns.x.wieght"),
        (column(role="quasi", transform={"blur": 1}), "columns.x.transform.blur"),
        (column(role="quasi", transform="hash"), "columns.x.transform"),
        (column(role="quasi", transform={"interval": {"width": 5, "top": 3}}), "columns.x.transform.interval.top"),
        (
            column(role="quasi", transform={"generalise": {"intervals": [5], "top": 3}}),
            "columns.x.transform.generalise.top",
        ),
    ],
)
def test_an_unknown_key_is_refused_with_its_place_and_by_the_schema_too(body: dict[str, Any], place: str) -> None:
    with pytest.raises(RecipeError) as caught:
        load(body)
    assert caught.value.code == "recipe_unknown_key"
    assert caught.value.place == place
    if "steps" not in body:
        assert not schema("recipe").is_valid(body)


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ([], "document"),
        ({}, "recipe"),
        (changed(version=True), "version"),
        (changed(version=1.5), "version"),
        (changed(kind="excel"), "kind"),
        (changed(tier="secret"), "tier"),
        (changed(columns={}), "columns"),
        (changed(columns=[1]), "columns"),
        (changed(models={"k": 1}), "models"),
        (changed(models=[{"k-anonymity": {"k": 0}}]), "models[0].k-anonymity.k"),
        (changed(models=[{"l-diversity": {"l": 2, "column": "age"}}]), "models[0].l-diversity.column"),
        (changed(models=[{"k-anonymity": {"k": 2}, "l-diversity": {}}]), "models[0]"),
        (changed(models=[{"k-anonymity": {"k": 2}}, {"k-anonymity": {"k": 3}}]), "models[1].k-anonymity"),
        (changed(**{"suppression-limit": 1.01}), "suppression-limit"),
        (changed(search={"method": "local-recoding", "objective": "loss"}), "search.objective"),
        (changed(search={"first": ["nobody"]}), "search.first"),
        (changed(search={"budget-nodes": 0}), "search.budget-nodes"),
        (changed(input={"delimiter": "\n"}), "input.delimiter"),
        (column(role="quasi", transform=[]), "columns.x.transform"),
        (column(role="quasi", transform=[{"generalise": "age.csv"}, {"round": 1}]), "columns.x.transform[1]"),
        (column(role="quasi", transform={"round": 0}), "columns.x.transform.round"),
        (
            column(role="quasi", transform={"generalise": {"intervals": [5, 7]}}),
            "columns.x.transform.generalise.intervals",
        ),
        (column(role="quasi", transform={"generalise": {"prefix": [2, 3]}}), "columns.x.transform.generalise.prefix"),
        (column(role="quasi", transform={"generalise": {"dates": ["week"]}}), "columns.x.transform.generalise.dates"),
        (column(role="quasi", transform={"generalise": {"level": 1}}), "columns.x.transform.generalise"),
        (column(role="quasi", transform={"generalise": "../age.csv"}), "columns.x.transform.generalise"),
        (column(role="quasi", transform={"generalise": "/etc/passwd"}), "columns.x.transform.generalise"),
        (column(role="quasi", transform={"generalise": "https://x/y"}), "columns.x.transform.generalise"),
        (column(role="quasi", transform={"generalise": "other.csv"}), "columns.x.transform.generalise"),
        (column(role="quasi", transform={"generalise": "age.csv"}, type="number"), "columns.x"),
        (changed(search={"method": "as-written"}), "columns.age"),
    ],
)
def test_what_has_no_reading_is_refused_with_its_place(body: object, place: str) -> None:
    with pytest.raises(RecipeError) as caught:
        load(body)
    assert caught.value.place == place


@pytest.mark.parametrize(
    "rule",
    [
        {"role": "identifier"},
        {"role": "identifier", "transform": {"mask": {"keep": 3}}},
        {"role": "text"},
        {"role": "text", "transform": {"prefix": 10}},
        {"role": "quasi", "transform": "pseudonym"},
        {"role": "identifier", "transform": ["pseudonym", {"prefix": 2}]},
        {"role": "sensitive", "transform": {"generalise": "age.csv"}},
    ],
)
def test_a_direct_identifier_or_free_text_can_never_be_let_through(rule: dict[str, Any]) -> None:
    with pytest.raises(RecipeError) as caught:
        load(column(**rule))
    assert caught.value.code == "recipe_unsafe"


def test_a_table_has_exactly_one_pseudonym_column() -> None:
    with pytest.raises(RecipeError, match="exactly one column"):
        load(changed(columns={"age": {"role": "quasi"}}))
    with pytest.raises(RecipeError, match="exactly one column"):
        load(column(role="identifier", transform="pseudonym"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"recipe: a\nrecipe: b\n", "line 2: key 'recipe' stands twice"),
        (b"a: &x [1]\nb: *x\n", "line 2: aliases are not allowed"),
        (b"a: [1\n", "not YAML"),
        (b"a: \xff\n", "not UTF-8"),
        (b"? [1]\n: 2\n", "a key must be plain text"),
        (b"a: !!python/object:os.system x\n", "not YAML"),
        (b"x" * (1 << 20) + b"x", "longer"),
    ],
)
def test_yaml_is_narrowed_to_what_has_one_reading(text: bytes, words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        load_recipe(text, files=FILES.__getitem__)


def test_a_word_that_yaml_1_1_reads_as_false_or_a_date_stays_a_word() -> None:
    text = (
        b"recipe: no\nversion: 1\nkind: table\ntier: open\ncolumns:\n"
        b"  off: {role: identifier, transform: pseudonym}\n  2024-01-01: {role: quasi}\n"
    )
    recipe = load_recipe(text, files=FILES.__getitem__)
    assert (recipe.name, [rule.name for rule in recipe.columns]) == ("no", ["off", "2024-01-01"])


def test_the_digest_changes_with_each_part_of_the_closure_and_with_nothing_else() -> None:
    first = load(TABLE).digest
    assert load(json.loads(json.dumps(TABLE))).digest == first
    assert load_recipe(yaml.safe_dump(TABLE, sort_keys=False).encode(), files=FILES.__getitem__).digest == first
    others = [
        load(changed(version=2)).digest,
        load(changed(**{"suppression-limit": 0.05})).digest,
        load(TABLE, {"age.csv": b"1;**\n"}).digest,
        load(TABLE, code_version="other").digest,
        load(changed(columns=dict(reversed(TABLE["columns"].items())))).digest,
    ]
    assert len({first, *others}) == len(others) + 1


def test_a_vcf_recipe_carries_its_steps_and_the_files_they_name() -> None:
    body = {
        "recipe": "v",
        "version": 1,
        "kind": "vcf",
        "tier": "controlled",
        "steps": [{"mask": {"bed": "m.bed", "except": "approved-panel"}}],
    }
    recipe = load(body)
    assert set(recipe.files) == {"m.bed", "approved-panel"}
    assert load(body, FILES | {"approved-panel": b"chr1\t0\t5\n"}).digest != recipe.digest
    with pytest.raises(RecipeError, match="was not given"):
        load(body, {"m.bed": b""})


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda x: st.lists(x) | st.dictionaries(st.text(max_size=5), x),
    ),
    st.sampled_from(sorted(TABLE)),
)
def test_any_value_at_any_key_is_read_or_refused_never_anything_else(value: object, key: str) -> None:
    try:
        load(changed(**{key: value}))
    except RecipeError:
        return


@pytest.mark.parametrize(
    ("transform", "more", "draws", "shifts"),
    [
        ("keep", "", False, False),
        ("keep", "sample: 0.5\n", True, False),
        ("{noise: {scale: 1, round: 1}}", "", True, False),
        ("{pram: {stay: 0.9}}", "", True, False),
        ("{swap: {share: 0.5}}", "", True, False),
        ("{micro-aggregate: {size: 3}}", "", False, False),
        ("date-shift", "", False, True),
    ],
)
def test_a_recipe_says_whether_people_need_seeds_or_days(transform: str, more: str, draws: bool, shifts: bool) -> None:
    text = (
        "recipe: r\nversion: 1\nkind: table\ntier: open\ncolumns:\n  id: {role: identifier, transform: pseudonym}\n"
        f"  x: {{role: insensitive, transform: {transform}}}\n{more}"
    )
    recipe = load_recipe(text.encode(), files={}.__getitem__)
    assert (recipe.draws, recipe.shifts) == (draws, shifts)
