"""Every way de-identification can fail, in one tree.

    DeidError
    ├── RecipeError      the recipe cannot be understood or is not safe; names the place in it
    ├── TableError       the table cannot be used; names the file, the column and the data row
    ├── ModelError      no allowed generalisation satisfies the models within the suppression limit
    ├── NamesError       a map of names is not usable: collision, missing name, unsafe characters
    └── LeakCheckError   a file cannot be opened to the bottom, so it cannot be called clean

Messages never carry a value of the data: a row number, a column name and a remedy are enough to find it.
"""

from __future__ import annotations


class DeidError(Exception):
    """The base: ``code`` is stable and documented, ``str()`` is one sentence for a person."""

    code = "deid_error"

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message)
        if code is not None:
            self.code = code


class RecipeError(DeidError):
    """The recipe cannot be used; ``place`` is the path of keys to the fault."""

    code = "recipe_invalid"

    def __init__(self, place: str, message: str, *, code: str | None = None) -> None:
        super().__init__(f"recipe, {place}: {message}", code=code)
        self.place = place


class TableError(DeidError):
    """The table cannot be used as it is."""

    code = "table_invalid"


class ModelError(DeidError):
    """Nothing within the suppression limit satisfies the models."""

    code = "model_not_met"


class NamesError(DeidError):
    """A map from codes to names would mix, lose or expose people."""

    code = "names_invalid"


class LeakCheckError(DeidError):
    """The file cannot be read to the bottom; unknown is never called clean."""

    code = "leakcheck_unreadable"
