# SPDX-License-Identifier: MIT
"""Groups of commands that load a command when it is asked for: a run needs one of them."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from inspect import Parameter, Signature, cleandoc, signature
from typing import cast, get_type_hints

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command, get_group


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
            # For an unknown name all are loaded: typer suggests one that is like it.
            for name in (cmd_name,) if cmd_name in places else places:
                if name not in self.commands:
                    self.commands[name] = _load(name, places[name])
            return cast("TyperCommand | TyperGroup | None", self.commands.get(cmd_name))

    return Lazy


def noun(package: str, help_: str, verbs: Sequence[str]) -> typer.Typer:
    """Return the group of commands of a package.

    Args:
        package: Its full name.
        help_: What its commands are about.
        verbs: Modules of the package, each with a function of the same name that is the command;
            an underscore at the end, which keeps a builtin's name free, is not part of the verb.
    """
    places = {v.rstrip("_").replace("_", "-"): f"{package}.{v}:{v}" for v in verbs}
    app = typer.Typer(cls=group(places), no_args_is_help=True, help=help_)
    # With a callback even a single verb stays a verb.
    app.callback()(lambda: None)
    return app


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
    single.command(name)(_ungrouped(found))
    command = cast("TyperCommand", get_command(single))
    command.help = _flowing(command.help)
    return command


def _ungrouped(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command each field of its option groups, which are dataclasses, as an option."""
    hints = get_type_hints(command, include_extras=True)
    groups: dict[str, Callable[..., object]] = {}
    names: dict[str, list[str]] = {}
    parameters: list[Parameter] = []
    for parameter in signature(command).parameters.values():
        hint = hints[parameter.name]
        if is_dataclass(hint):
            kinds = get_type_hints(hint, include_extras=True)
            groups[parameter.name] = hints[parameter.name]
            names[parameter.name] = [each.name for each in fields(hint)]
            parameters += [
                Parameter(
                    f.name, Parameter.KEYWORD_ONLY, default=f.default, annotation=kinds[f.name]
                )
                for f in fields(hint)
            ]
        else:
            parameters.append(parameter.replace(annotation=hint))

    def run(**values: object) -> None:
        for name, group in groups.items():
            values[name] = group(**{field: values.pop(field) for field in names[name]})
        command(**values)

    run.__doc__ = command.__doc__
    run.__annotations__ = {each.name: each.annotation for each in parameters}
    vars(run)["__signature__"] = Signature(parameters)
    return run


def _flowing(text: str | None) -> str:
    """Take the line ends out of paragraphs, which typer would keep: terminals differ in width."""
    return "\n\n".join(" ".join(part.split()) for part in cleandoc(text or "").split("\n\n"))
