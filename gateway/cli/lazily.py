"""Groups whose verbs are imported when they are asked for: a small verb does not pay for the web and the database.

Help and a mistyped verb look at every verb, so they import all of them; running one verb imports its module alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup
from typer.main import get_command, get_group

Doors = Mapping[str, str | typer.Typer]


def lazy_group(doors: Doors, *, help_: str) -> typer.Typer:
    """A group of verbs in the order given, each a Typer or ``"module:attribute"`` (a Typer or a function)."""

    class LazyGroup(TyperGroup):
        def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002
            return [*doors]

        def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002
            if cmd_name in doors and cmd_name not in self.commands:
                self.commands[cmd_name] = _command(cmd_name, doors[cmd_name])
            return self.commands.get(cmd_name)

        def resolve_command(self, ctx: Any, args: list[str]) -> Any:
            if args[0] not in doors:  # what was meant is sought among the verbs that are loaded
                for name in doors:
                    self.get_command(ctx, name)
            return super().resolve_command(ctx, args)

    group = typer.Typer(cls=LazyGroup, no_args_is_help=True, add_completion=False, help=help_)
    # typer refuses a group without verbs of its own; this does nothing, before the verb.
    group.callback()(_nothing)
    return group


def _command(name: str, door: str | typer.Typer) -> Any:
    if isinstance(door, str):
        module, attribute = door.split(":")
        found = getattr(import_module(module), attribute)
    else:
        found = door
    if isinstance(found, typer.Typer):  # as a group even where it has one verb
        command: Any = get_group(found)
    else:
        alone = typer.Typer(add_completion=False)
        alone.command(name)(found)
        command = get_command(alone)
    command.name = name
    return command


def _nothing() -> None:
    pass
