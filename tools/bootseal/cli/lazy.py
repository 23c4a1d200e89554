# SPDX-License-Identifier: MIT
"""Groups of commands that load a command when it is asked for: a run needs one of them."""

from __future__ import annotations

import importlib
from inspect import cleandoc
from typing import TYPE_CHECKING, cast

import typer
from typer.core import TyperGroup
from typer.main import get_command, get_group

if TYPE_CHECKING:
    from collections.abc import Mapping

    from typer.core import TyperCommand


def group(places: Mapping[str, str]) -> type[TyperGroup]:
    """Return a class of groups, for `typer.Typer(cls=...)`.

    Args:
        places: Where each command is, by its name: `module:attribute`, a function or a `Typer`.
    """

    class Lazy(TyperGroup):
        def list_commands(self, ctx: object) -> list[str]:
            del ctx
            return [*places]

        def get_command(self, ctx: object, cmd_name: str) -> TyperCommand | TyperGroup | None:
            del ctx
            # For a name that is unknown all are loaded: typer suggests one that is like it.
            for name in (cmd_name,) if cmd_name in places else places:
                if name not in self.commands:
                    self.commands[name] = _load(name, places[name])
            return cast("TyperCommand | TyperGroup | None", self.commands.get(cmd_name))

    return Lazy


def _load(name: str, place: str) -> TyperCommand | TyperGroup:
    module, _, attribute = place.partition(":")
    found = getattr(importlib.import_module(module), attribute)
    if isinstance(found, typer.Typer):
        loaded = get_group(found)
        loaded.name = name
        for command in loaded.commands.values():
            command.help = _flowing(command.help)
        return loaded
    single = typer.Typer(add_completion=False)
    single.command(name)(found)
    command = cast("TyperCommand", get_command(single))
    command.help = _flowing(command.help)
    return command


def _flowing(text: str | None) -> str:
    """Take the line ends out of paragraphs, which typer would keep: terminals differ in width."""
    return "\n\n".join(" ".join(part.split()) for part in cleandoc(text or "").split("\n\n"))
