"""What a connector says when a source cannot be used: the file as the user named it, the place, what to do."""

from __future__ import annotations


class ConnectorError(ValueError):
    """``code`` is stable; the message names file and place and never holds a value of the file."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
