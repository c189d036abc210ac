"""The recipes that come with the package: a start for a custodian, who confirms or replaces each.

``incidental.bed`` holds a few genes whose findings a participant may not wish to learn of, in GRCh38 coordinates with
and without ``chr``; it is an example to be replaced by the committee's own list, not a clinical standard.
"""

from __future__ import annotations

from importlib.resources import files

from deid.recipe import CODE_VERSION, Recipe, load_recipe

NAMES = (
    "cohort-vcf-controlled",
    "phenotype-controlled",
    "expression-controlled",
    "frequencies-controlled",
    "reads-registered",
    "reads-controlled",
)
_ROOT = files("deid") / "recipes"


def default_text(name: str) -> bytes:
    """The YAML of one default recipe; LookupError for a name that is not one."""
    if name not in NAMES:
        raise LookupError(f"no default recipe {name!r}; there are {', '.join(NAMES)}")
    return (_ROOT / f"{name}.yaml").read_bytes()


def default_file(name: str) -> bytes:
    """A file a default recipe names; ``approved-panel`` is empty: nothing is exempt until a purpose brings a panel."""
    return b"" if name == "approved-panel" else (_ROOT / name).read_bytes()


def default_recipe(name: str, *, code_version: str = CODE_VERSION) -> Recipe:
    """One default recipe, loaded with its closure."""
    return load_recipe(default_text(name), files=default_file, code_version=code_version)
