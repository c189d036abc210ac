"""Groups whose verbs are imported when they run: a small verb does not pay for the web and the database.

Each verb's line of help stands beside its place, so that help imports no verb at all; a test holds every line to the
verb's own docstring. A mistyped verb is compared with the names alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command, get_group

Doors = Mapping[str, tuple[str | typer.Typer, str]]


def lazy_group(doors: Doors, *, help_: str) -> typer.Typer:
    """A group of verbs in the order given.

    Each is a Typer or ``"module:attribute"`` (a Typer or a function), and its line of help: the first paragraph of the
    verb's own.
    """

    class LazyGroup(TyperGroup):
        def __init__(self, **settings: Any) -> None:
            super().__init__(**settings)
            self.commands = {name: TyperCommand(name, help=line) for name, (_, line) in doors.items()}
            self.opened: dict[str, Any] = {}
            self.listing = False

        def get_command(self, ctx: Any, cmd_name: str) -> Any:
            if self.listing or cmd_name not in doors:
                return super().get_command(ctx, cmd_name)
            if cmd_name not in self.opened:
                self.opened[cmd_name] = _command(cmd_name, doors[cmd_name][0])
            return self.opened[cmd_name]

        def format_help(self, ctx: Any, formatter: Any) -> None:
            self.listing = True
            try:
                super().format_help(ctx, formatter)
            finally:
                self.listing = False

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
