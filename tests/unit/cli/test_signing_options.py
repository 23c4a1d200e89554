# SPDX-License-Identifier: MIT
"""Every command that signs offers the same options, and none takes a secret."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest
from typer.core import TyperGroup, TyperOption
from typer.main import get_command

from bootseal.cli.app import app

if TYPE_CHECKING:
    from collections.abc import Iterator

    from typer._click import Command

SIGNING = (
    "app build",
    "app sign",
    "disk sign",
    "update bundle",
    "update encrypt",
    "update sign",
    "disk sign-requests",
    "evidence make",
    "firmware sign",
    "fit sign",
    "identity crl",
    "identity issue",
    "keys generate",
    "keys rotate",
    "modules sign",
    "measure sign",
)
DECRYPTING = ("update check",)
"""Opens the key of a recipient, which is a file."""
NEEDS_NO_KEY = ("keys export",)
"""Writes a key URI into a file, and opens no key."""


def commands(group: Command, name: str = "") -> Iterator[tuple[str, Command]]:
    """Every command below a group, by its whole name."""
    if not isinstance(group, TyperGroup):
        yield name, group
        return
    context = group.make_context(name or "bootseal", [], resilient_parsing=True)
    for each in group.list_commands(context):
        found = group.get_command(context, each)
        assert found is not None
        yield from commands(found, f"{name} {each}".strip())


def options(command: Command) -> dict[str, tuple[str, str, object]]:
    """Help, metavar and environment variable of each option."""
    return {
        name: (each.help or "", each.metavar or "", each.envvar)
        for each in command.params
        if isinstance(each, TyperOption)
        for name in each.opts
        if name.startswith("--")
    }


ALL = {name: options(command) for name, command in commands(get_command(app))}


def test_commands_that_take_the_uri_of_a_private_key_are_those_that_sign() -> None:
    takes_uri = {
        name
        for name, found in ALL.items()
        if any(metavar.endswith("URI") for _, metavar, _ in found.values())
    }

    assert sorted(takes_uri - {*NEEDS_NO_KEY}) == sorted(SIGNING)


@pytest.mark.parametrize(
    ("option", "commands"), [("--pin-file", (*SIGNING, *DECRYPTING)), ("--module", SIGNING)]
)
def test_option_of_signing_is_the_same_wherever_something_is_signed(
    option: str, commands: tuple[str, ...]
) -> None:
    offered = {name: found[option] for name, found in ALL.items() if option in found}

    assert sorted(offered) == sorted(commands)
    assert len(set(offered.values())) == 1


def test_no_option_takes_a_secret() -> None:
    names = set(itertools.chain.from_iterable(ALL.values()))

    assert {name for name in names if "pin" in name or "pass" in name} == {"--pin-file"}
