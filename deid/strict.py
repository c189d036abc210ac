"""Read settings a person wrote, and refuse whatever was not meant.

YAML is narrowed first: no duplicate keys, no aliases, no dates or yes/no guessed from text (YAML 1.1 would read
``no`` as false). Then every mapping is read key by key through ``Fields``, which knows its place and refuses
leftovers.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable, Mapping
from typing import Any

import yaml

from deid.errors import RecipeError

MAX_BYTES = 1 << 20


class _Loader(yaml.SafeLoader):
    """YAML narrowed to what has one reading."""

    yaml_implicit_resolvers = {  # noqa: RUF012 -- PyYAML keeps its resolvers on the class
        first: [(tag, pattern) for tag, pattern in found if not tag.endswith((":timestamp", ":bool", ":int", ":float"))]
        for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            mark: Any = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise RecipeError(f"line {mark.line + 1}", "aliases are not allowed; write the value out")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise RecipeError(f"line {key.start_mark.line + 1}", "a key must be plain text")
            if key.value in seen:
                raise RecipeError(f"line {key.start_mark.line + 1}", f"key {key.value!r} stands twice")
            seen.add(key.value)
        return super().construct_mapping(node, deep=deep)


# YAML 1.2 core: only these spellings are booleans and numbers.
_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(?:true|false)$"), list("tf"))
_Loader.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"^-?(?:0|[1-9][0-9]*)$"), list("-0123456789"))
_Loader.add_implicit_resolver("tag:yaml.org,2002:float", re.compile(r"^-?[0-9]+\.[0-9]+$"), list("-0123456789"))


def read_yaml(text: bytes) -> Mapping[str, Any]:
    """The top mapping of a UTF-8 YAML (or JSON) document of at most 1 MiB."""
    if len(text) > MAX_BYTES:
        raise RecipeError("document", f"longer than {MAX_BYTES} bytes")
    try:
        loaded = yaml.load(text.decode("utf-8-sig"), Loader=_Loader)  # noqa: S506 -- a narrowed SafeLoader
    except UnicodeDecodeError as error:
        raise RecipeError(f"byte {error.start}", "not UTF-8; save it as UTF-8") from None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise RecipeError(f"line {line}", f"not YAML: {error.problem}") from None
    except (yaml.YAMLError, RecursionError) as error:
        raise RecipeError("document", f"not YAML: {type(error).__name__}") from None
    if not isinstance(loaded, dict):
        raise RecipeError("document", "a mapping of keys is expected")
    return loaded


class Fields:
    """One mapping being read: each key once, by type, and nothing left over."""

    def __init__(self, value: object, place: str) -> None:
        if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
            raise RecipeError(place, "a mapping of keys is expected")
        self.place = place
        self._left: dict[str, Any] = dict(value)

    def at(self, key: str) -> str:
        """The place of a key, as it is named to a person."""
        return f"{self.place}.{key}" if self.place else key

    def keys(self) -> list[str]:
        """Keys not read yet, as written."""
        return list(self._left)

    def take(self, key: str, default: object = ...) -> Any:
        """The raw value of ``key``; refused when absent and no default is given."""
        if key in self._left:
            return self._left.pop(key)
        if default is ...:
            raise RecipeError(self.at(key), "is missing")
        return default

    def text(self, key: str, default: object = ...) -> str:
        """Non-empty text."""
        value = self.take(key, default)
        if not isinstance(value, str) or not value:
            raise RecipeError(self.at(key), "text is expected")
        return value

    def choice(self, key: str, allowed: Iterable[str], default: object = ...) -> str:
        """One of a closed list of words."""
        value = self.text(key, default)
        known = tuple(allowed)
        if value not in known:
            raise RecipeError(self.at(key), f"{value!r} is not one of {', '.join(known)}")
        return value

    def whole(self, key: str, *, least: int, default: object = ...) -> int:
        """A whole number of at least ``least``; true and 1.0 are not whole numbers."""
        value = self.take(key, default)
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise RecipeError(self.at(key), f"a whole number of at least {least} is expected")
        return value

    def number(self, key: str, *, least: float, most: float, default: object = ...) -> float:
        """A number in [least, most]."""
        value = self.take(key, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
            raise RecipeError(self.at(key), f"a number from {least} to {most} is expected")
        return float(value)

    def done(self) -> None:
        """Refuse what nobody asked for: a mistyped key must not be silently without effect."""
        for key in self._left:
            raise RecipeError(self.at(key), "unknown key", code="recipe_unknown_key")


def one_key(value: object, place: str) -> tuple[str, Any]:
    """The single ``key: value`` of a mapping such as one step or one model."""
    if not isinstance(value, Mapping) or len(value) != 1:
        raise RecipeError(place, "exactly one key with its settings is expected")
    (key, settings) = next(iter(value.items()))
    return str(key), settings
