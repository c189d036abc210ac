"""Running one piece of work on outside data in a child that holds nothing worth stealing.

The gateway names a task; what runs is looked up in a closed table that ``bootstrap`` gives. Data goes in and comes
out through file descriptors, the answer is JSON. The work's own refusals keep their code and sentence; whatever else
goes wrong becomes one sentence of ours, because a foreign exception may quote a genotype.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from gateway.crypt4gh.streams import Sink, Source
from gateway.errors import GatewayError

JSON: TypeAlias = "Mapping[str, JSON] | Sequence[JSON] | str | int | float | bool | None"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one run may use. ``output_bytes`` holds for each output; files cannot be written at all."""

    memory_bytes: int = 4 << 30
    cpu_seconds: int = 900
    wall_seconds: float = 1800
    output_bytes: int = 1 << 42
    open_files: int = 128
    threads: int = 2


class SandboxError(GatewayError):
    """The work did not end well; ``code`` says how.

    ``from_task`` is True where the work itself refused (its own code and sentence: the data is at fault), else one of
    time_exceeded, memory_exceeded, output_exceeded, result_too_large, task_crashed, task_killed, task_failed,
    unknown_task, sandbox_not_in_force.
    """

    def __init__(self, code: str, message: str, *, from_task: bool = False) -> None:
        super().__init__(message)
        self.code = code
        self.from_task = from_task


class Sandbox(Protocol):
    """The port the use cases know."""

    def run_bounded(
        self,
        task: str,
        spec: Mapping[str, JSON],
        *,
        inputs: Mapping[str, Source | int],
        outputs: Mapping[str, Sink],
        limits: Limits,
    ) -> JSON:
        """The task's answer. Raises SandboxError, or what an input or output stream raised.

        An input that is an ``int`` or a plain open file is handed over as a read-only, seekable file, read from its
        first byte; any other is pumped through a pipe. One with a dot in its name must be a plain file, and has that
        name in the child (``gateway.sandbox.names``). On any error the outputs hold an unusable beginning: discard.
        """
