# SPDX-License-Identifier: MIT
"""What the commands of `bootseal fit` are given: files, numbers, policies."""

from __future__ import annotations

import os
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from bootseal.errors import FormatError, UsageError, VerificationRefused
from bootseal.units import parse_size

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bootseal.fit.verify.strictness import Policy
    from bootseal.measure.approved import Approved

FitFile: TypeAlias = Annotated[
    Path, typer.Argument(metavar="FIT", help="The FIT; - reads standard input.")
]
ControlTree: TypeAlias = Annotated[
    Path, typer.Option(help="U-Boot's control device tree, u-boot.bin, or U-Boot's ELF file.")
]
Compat: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--compat", help="Judge as a U-Boot with all published fixes does, not as a release gate."
    ),
]
ExternalData: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--external-data",
        help="The target takes data behind the tree, by data-offset (mkimage -E).",
    ),
]
MaxSize: TypeAlias = Annotated[
    str | None,
    typer.Option(help="The target's FIT_SIGNATURE_MAX_SIZE, for example 512M; 256M if left out."),
]


def choose_policy(*, compat: bool, external_data: bool, max_size: str | None) -> Policy:
    """Turn the options into a policy."""
    from dataclasses import replace

    from bootseal.fit.verify.strictness import COMPAT, STRICT

    policy = COMPAT if compat else STRICT
    if external_data:
        policy = replace(policy, external_data=True)
    return policy if max_size is None else replace(policy, max_size=parse_size(max_size))


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Put the file's name in front of what is wrong with its bytes."""
    try:
        yield
    except (FormatError, VerificationRefused) as error:
        raise type(error)(f"{path}: {error.message}", hint=error.hint) from error


@contextmanager
def opened(path: Path, *, writable: bool = False) -> Iterator[memoryview]:
    """Give a view of a file or of standard input; errors in it name the file.

    Args:
        path: The file; `-` is standard input.
        writable: Give a private copy that may be changed.
    """
    from bootseal import files

    with naming(path):
        if str(path) == "-":
            data = sys.stdin.buffer.read()
            yield memoryview(bytearray(data) if writable else data)
        else:
            with (files.private if writable else files.mapped)(path) as view:
                yield view


def address(text: str) -> int:
    """Read an address such as `0x40400000`."""
    try:
        return int(text, 0)
    except ValueError:
        raise UsageError(f"address {text!r}: expected a number such as 0x40400000") from None


def pairs(option: str, values: list[str], what: str) -> dict[str, str]:
    """Read options of the form NAME=VALUE."""
    found: dict[str, str] = {}
    for value in values:
        name, separator, rest = value.partition("=")
        if not separator or not name or not rest:
            raise UsageError(f"{option} {value!r}: expected NAME={what}")
        if name in found:
            raise UsageError(f"{option} {value!r}: {name!r} was given before")
        found[name] = rest
    return found


def now() -> int:
    """Return SOURCE_DATE_EPOCH, or else the time, in seconds since 1970."""
    text = os.environ.get("SOURCE_DATE_EPOCH")
    if text is None:
        return int(time.time())
    if not text.isdecimal():
        raise UsageError(f"SOURCE_DATE_EPOCH is {text!r}: expected seconds since 1970")
    return int(text)


def approved_list(path: Path) -> Approved:
    """Read an approved list; errors name the file."""
    from bootseal.measure import approved as lists

    try:
        with naming(path):
            return lists.parse(path.read_bytes())
    except FileNotFoundError:
        raise UsageError(
            f"there is no approved list at {path}",
            hint=f"bootseal measure approve DIR --name RELEASE --list {path}",
        ) from None
