"""Nouns for the modules that a short task loads before it can begin (docs/decisions/0043-nouns-without-dataclasses.md).

The promise: to a type checker a ``Noun`` is a frozen dataclass whose fields are given by name. At run time its methods
are those below, shared by all; ``dataclasses`` loads ``inspect`` and compiles each class's own in each process anew.
Not here: nouns of modules that load more than that anyway.
"""

from __future__ import annotations

TYPE_CHECKING = False  # of ``typing``, which takes four milliseconds to load and which type checkers alone need here
if TYPE_CHECKING:
    from typing import Any, ClassVar, Self, dataclass_transform
else:

    def dataclass_transform(**_):
        """What type checkers read; nothing when it runs."""
        return lambda noun: noun


@dataclass_transform(kw_only_default=True, frozen_default=True)
class Noun:
    """Fields are the annotations of the class, each given by name or standing in the class with what it is else.

    Equal are two of one class with equal fields; a field that is written raises ``AttributeError``. A default is shared
    by all, so it is something that nobody can change.
    """

    _names: ClassVar[tuple[str, ...]] = ()
    _needed: ClassVar[frozenset[str]] = frozenset()

    def __init_subclass__(cls) -> None:
        cls._names = tuple(dict.fromkeys((*cls._names, *cls.__annotations__)))
        cls._needed = frozenset(name for name in cls._names if not hasattr(cls, name))

    def __init__(self, **values: object) -> None:
        if not self._needed <= values.keys() <= frozenset(self._names):
            wrong = sorted(self._needed - values.keys() or values.keys() - frozenset(self._names))
            raise TypeError(f"{type(self).__name__}: missing or unknown: {', '.join(wrong)}")
        self.__dict__.update(values)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{type(self).__name__} is not changed once it is made")

    __delattr__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        return self.as_dict() == other.as_dict() if isinstance(other, Noun) and type(self) is type(other) else False

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(self._names)})"

    def as_dict(self) -> dict[str, Any]:
        """Every field by name, in the order of the class."""
        return {name: getattr(self, name) for name in self._names}

    def changed(self, **values: object) -> Self:
        """The same with other values for some fields."""
        return type(self)(**{**self.as_dict(), **values})
