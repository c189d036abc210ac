"""A recipe: what is done to one kind of data, and the digest that stands for exactly that.

``load_recipe`` reads the YAML, refuses every key it does not know (with the place), fetches every file the recipe
names through the caller's function, and keeps their bytes: the closure. ``digest`` covers the recipe, those files
and the version of the code, so that two runs with the same digest and input give the same bytes. Limits are not in a
recipe: the gate table judges the result. Steps of sequencing kinds are carried as written; the room that does them
checks each one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import rfc8785

from deid.columns import DRAWN, WHOLE, ColumnRule, read_column
from deid.errors import RecipeError
from deid.models import Model, read_models
from deid.strict import Fields, one_key, read_yaml

CODE_VERSION = "deid-2"
KINDS = ("table", "vcf", "reads", "fastq", "matrix", "frequencies")
TIERS = ("open", "registered", "controlled", "enclave")
METHODS = ("full-domain", "local-recoding", "as-written")
OBJECTIVES = ("ncp", "loss")
FILE_KEYS = ("bed", "except")  # settings of a step whose value names a file
DEFAULT_BUDGET = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """How the heights of the hierarchies are found; the budget counts lattice nodes, never seconds.

    ``objective`` is the loss made small (``ncp`` or ARX's ``loss``); ``first`` names the columns wanted most.
    """

    method: str = "full-domain"
    budget_nodes: int = DEFAULT_BUDGET
    objective: str = "ncp"
    first: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class InputForm:
    """How a CSV is written: encoding ``auto`` means UTF-8 if it is, else GB18030 if it is, else refused."""

    delimiter: str = ","
    encoding: str = "auto"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """A recipe with its closure; equal digests mean equal work."""

    name: str
    version: int
    kind: str
    tier: str
    steps: tuple[Mapping[str, Any], ...]
    columns: tuple[ColumnRule, ...]
    models: tuple[Model, ...]
    suppression_limit: float
    search: Search
    input: InputForm
    sample: float
    population_size: int | None
    copy: Mapping[str, Any]
    files: Mapping[str, bytes] = field(repr=False)
    digest: str

    @property
    def summary(self) -> dict[str, Any]:
        """The ``recipe`` part of a report."""
        return {"name": self.name, "version": self.version, "digest": self.digest}

    @property
    def draws(self) -> bool:
        """True where a seed is needed for each person: values are drawn, or the people who leave."""
        return self.sample < 1 or any(step.name in DRAWN for rule in self.columns for step in rule.steps)

    @property
    def shifts(self) -> bool:
        """True where a number of days is needed for each person."""
        return any(step.name == "date-shift" for rule in self.columns for step in rule.steps)

    def leaving(self, role: str) -> list[str]:
        """Names of the columns of this role that leave, in the recipe's order."""
        return [rule.name for rule in self.columns if rule.role == role and rule.leaves]


def load_recipe(text: bytes, *, files: Callable[[str], bytes], code_version: str = CODE_VERSION) -> Recipe:
    """The recipe written in ``text`` (YAML or JSON); ``files`` gives the bytes of a file the recipe names.

    A file in ``except`` (an approved panel) may be given as empty bytes: nothing is exempt. Raises RecipeError.
    """
    body = read_yaml(text)
    fields = Fields(body, "")
    name = fields.text("recipe")
    version = fields.whole("version", least=1)
    kind = fields.choice("kind", KINDS)
    tier = fields.choice("tier", TIERS)
    copy = _read_copy(fields.take("copy", {}))
    table = kind == "table"
    steps = () if table else _read_list(fields, "steps")
    columns = _read_columns(fields.take("columns")) if table else ()
    sensitive = [rule.name for rule in columns if rule.role == "sensitive" and rule.leaves]
    models = read_models(_read_list(fields, "models", ()), sensitive) if table else ()
    limit = fields.number("suppression-limit", least=0, most=1, default=0) if table else 0.0
    sample = fields.number("sample", least=1e-6, most=1, default=1) if table else 1.0
    people = fields.whole("population-size", least=1) if table and "population-size" in body else None
    search = _read_search(fields.take("search", {}), columns) if table else Search()
    form = _read_input(fields.take("input", {})) if table else InputForm()
    fields.done()
    if table:
        _refuse_half_said(columns, models, search)
    closure = {named: _fetch(named, place, files) for named, place in _named_files(steps, columns, models)}
    return Recipe(
        name=name,
        version=version,
        kind=kind,
        tier=tier,
        steps=steps,
        columns=columns,
        models=models,
        suppression_limit=limit,
        search=search,
        input=form,
        sample=sample,
        population_size=people,
        copy=copy,
        files=closure,
        digest=_digest(body, closure, code_version),
    )


def _digest(body: Mapping[str, Any], closure: Mapping[str, bytes], code_version: str) -> str:
    """SHA-256 over RFC 8785 canonical JSON: the order of *columns* is kept, since it is the order of the output."""
    order = list(body.get("columns", {}))
    sums = {name: hashlib.sha256(content).hexdigest() for name, content in closure.items()}
    whole: Any = {"recipe": dict(body), "order": order, "files": sums, "code": code_version}
    try:
        return "sha256:" + hashlib.sha256(rfc8785.dumps(whole)).hexdigest()
    except rfc8785.CanonicalizationError:
        raise RecipeError("document", "a number is too large to be written exactly") from None


def _read_list(fields: Fields, key: str, default: object = ...) -> tuple[Mapping[str, Any], ...]:
    listed = fields.take(key, default)
    if not isinstance(listed, Sequence) or isinstance(listed, str):
        raise RecipeError(key, "a list is expected")
    for number, item in enumerate(listed):
        one_key(item, f"{key}[{number}]")
    return tuple(listed)


def _read_columns(value: object) -> tuple[ColumnRule, ...]:
    fields = Fields(value, "columns")
    rules = tuple(read_column(name, fields.take(name), fields.at(name)) for name in fields.keys())  # noqa: SIM118
    if not rules:
        raise RecipeError("columns", "at least one column is expected")
    return rules


def _read_search(value: object, columns: Sequence[ColumnRule]) -> Search:
    fields = Fields(value, "search")
    method = fields.choice("method", METHODS, "full-domain")
    budget = fields.whole("budget-nodes", least=1, default=DEFAULT_BUDGET)
    objective = fields.choice("objective", OBJECTIVES, "ncp")
    first = fields.take("first", [])
    fields.done()
    quasi = [rule.name for rule in columns if rule.role == "quasi" and rule.leaves]
    if not isinstance(first, list) or any(name not in quasi for name in first):
        raise RecipeError("search.first", "a list of quasi-identifiers that leave is expected")
    if method == "local-recoding" and objective != "ncp":
        raise RecipeError("search.objective", "local recoding makes NCP small; loss belongs to full-domain")
    return Search(method=method, budget_nodes=budget, objective=objective, first=tuple(first))


def _read_input(value: object) -> InputForm:
    fields = Fields(value, "input")
    delimiter = fields.text("delimiter", ",")
    encoding = fields.choice("encoding", ("auto", "utf-8", "gb18030"), "auto")
    fields.done()
    if len(delimiter) != 1 or not delimiter.isascii() or delimiter in '"\r\n':
        raise RecipeError("input.delimiter", "one ASCII character is expected")
    return InputForm(delimiter=delimiter, encoding=encoding)


def _read_copy(value: object) -> Mapping[str, Any]:
    fields = Fields(value, "copy")
    read = {"names": fields.choice("names", ("per-project",), "per-project")}
    fields.done()
    return read


def _refuse_half_said(columns: Sequence[ColumnRule], models: Sequence[Model], search: Search) -> None:
    pseudonyms = [rule.name for rule in columns if any(step.name == "pseudonym" for step in rule.steps)]
    if len(pseudonyms) != 1:
        raise RecipeError("columns", "exactly one column has the transform pseudonym: the participant's")
    if models and not any(rule.role == "quasi" and rule.leaves for rule in columns):
        raise RecipeError("models", "a model needs at least one quasi-identifier that leaves")
    if search.method == "local-recoding" and any(model.least > 0 for model in models):
        raise RecipeError("search.method", "delta-presence with a least presence needs full-domain")
    if any(model.of_population for model in models):
        for rule in columns:
            if rule.role == "quasi" and any(step.name in (*WHOLE, "date-shift") for step in rule.steps):
                raise RecipeError(f"columns.{rule.name}", "a column with random values has no like in a population")
    if search.method == "as-written":
        for rule in columns:
            if rule.generalise and rule.generalise.level is None:
                raise RecipeError(f"columns.{rule.name}", "as-written needs a level for every hierarchy")


def _named_files(
    steps: Sequence[Mapping[str, Any]], columns: Sequence[ColumnRule], models: Sequence[Model]
) -> list[tuple[str, str]]:
    named = []
    for number, step in enumerate(steps):
        name, settings = one_key(step, f"steps[{number}]")
        if isinstance(settings, Mapping):
            named += [(settings[key], f"steps[{number}].{name}.{key}") for key in FILE_KEYS if key in settings]
    for rule in columns:
        if rule.generalise and rule.generalise.builder == "file":
            named.append((rule.generalise.settings, f"columns.{rule.name}.transform.generalise"))
    named += [(model.file, f"models.{model.name}") for model in models if model.file is not None]
    return named


def _fetch(name: object, place: str, files: Callable[[str], bytes]) -> bytes:
    if not isinstance(name, str) or not name or name.startswith("/") or "\\" in name or ":" in name or "\0" in name:
        raise RecipeError(place, "a relative file name is expected")
    if ".." in name.split("/"):
        raise RecipeError(place, "a file name must stay inside the recipe's folder")
    try:
        return files(name)
    except (OSError, LookupError):
        raise RecipeError(place, f"file {name!r} was not given", code="recipe_file_missing") from None
