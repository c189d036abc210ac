"""The one way this room fails: a stable code and one sentence that names the line or column and never a value."""

from __future__ import annotations


class MatrixError(Exception):
    """A matrix, a table of frequencies or its recipe cannot be used; ``code`` is stable."""

    def __init__(self, code: str, message: str, *, line: int | None = None) -> None:
        super().__init__(message if line is None else f"line {line}: {message}")
        self.code = code
        self.line = line
