# SPDX-License-Identifier: MIT
"""What commands share that sign with keys on another machine: two steps, the signing in between."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, TypeAlias

import typer

from bootseal.cli import console
from bootseal.cli.inputs import read
from bootseal.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bootseal.keys.profile import Role
    from bootseal.keys.public import PublicKey
    from bootseal.keys.signers.base import Signer
    from bootseal.keys.signers.offline import Recorder

PANEL: Final = "Keys on another machine"
TIME: Final = "signing-time.txt"
"""Next to the requests: the time in what is signed, which both steps have to agree on."""
_MAX_TIME: Final = 32
_MOST_DIGITS: Final = 11
"""Of a time in seconds: the year 5138."""

ExportRequests: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        help="Step 1: write the digests to be signed on another machine.",
        rich_help_panel=PANEL,
    ),
]
ImportSignatures: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        help="Step 2: finish with the signatures made there.",
        rich_help_panel=PANEL,
    ),
]


def demand_one_step(key: str | None, requests: Path | None, signatures: Path | None) -> None:
    """Refuse a key here together with a step of signing elsewhere, and both steps at once.

    Raises:
        UsageError: More than one of them is named.
    """
    if sum(each is not None for each in (key, requests, signatures)) > 1:
        raise UsageError(
            "expected one of --key, --export-requests and --import-signatures: one step at a time"
        )


def stand_ins(
    public_keys: Mapping[str, Path], signatures: Path | None
) -> tuple[dict[str, Signer], list[Recorder]]:
    """Return what acts as the signers of keys that are elsewhere, by role.

    Args:
        public_keys: Files with their public halves, by role.
        signatures: Where the signatures are, in step 2; None in step 1.

    Returns:
        The signers, and in step 1 the same ones: they only note what they are asked to sign.
    """
    from bootseal.formats.kinds.kind import PUBLIC_KEY
    from bootseal.keys.public import from_pem
    from bootseal.keys.signers.offline import Answers, Recorder

    halves = {role: from_pem(read(file, PUBLIC_KEY)) for role, file in public_keys.items()}
    if signatures is not None:
        return {
            role: Answers(public_key=half, role=role, directory=signatures)
            for role, half in halves.items()
        }, []
    recorders = {role: Recorder(public_key=half, role=role) for role, half in halves.items()}
    return {**recorders}, list(recorders.values())


def stand_in(
    key: PublicKey, role: Role, requests: Path | None, signatures: Path | None
) -> tuple[Signer | None, Recorder | None]:
    """Return what acts as the signer of one key that is elsewhere.

    Args:
        key: Its public half.
        role: Its role.
        requests: Where the requests go, in step 1; else None.
        signatures: Where the signatures are, in step 2; else None.

    Returns:
        The signer, and in step 1 the same one, which only notes what it is asked to sign; None and
        None where the key is here.
    """
    from bootseal.keys.signers.offline import Answers, Recorder

    if requests is not None:
        recorder = Recorder(public_key=key, role=role)
        return recorder, recorder
    if signatures is not None:
        return Answers(public_key=key, role=role, directory=signatures), None
    return None, None


def of_directory(keys: Path | None, role: Role, option: str, end: str) -> Path:
    """Return the file of a role's key that no option names.

    Args:
        keys: The key directory.
        role: The role.
        option: What would name the file, for messages.
        end: How its name ends: `.key` or `.crt`.

    Raises:
        UsageError: There is no key directory either, or none with a key of that role.
    """
    from bootseal.keys.directory import directory

    if keys is None:
        raise UsageError(f"{option} is missing, and so is --keys, which would provide it")
    return keys / f"{directory.find(keys, role).name}{end}"


def export(directory: Path, recorders: list[Recorder], subject: Path | str) -> None:
    """Write what is to be signed elsewhere, and say what to do next."""
    from bootseal.keys.signers import offline

    wanted = offline.export(directory, recorders, str(subject))
    console.status("OK: {} digests in {}", len(wanted), directory)
    console.status(
        "next: sign them as {} there says, then run again with --import-signatures", offline.SUMMARY
    )


def write_time(directory: Path, when: int) -> None:
    """Write the time in what is signed next to the requests, in seconds since 1970."""
    from bootseal.files import write_file

    write_file(directory / TIME, f"{when}\n".encode())


def read_time(directory: Path, subject: str, command: str) -> int:
    """Return the time that the first step wrote.

    Args:
        directory: The requests.
        subject: What they are for, for messages.
        command: What makes them.

    Raises:
        UsageError: There is none, or it is not a time.
    """
    from bootseal.files import read_bounded

    path = directory / TIME
    try:
        text = read_bounded(path, limit=_MAX_TIME).decode("ascii", "replace").strip()
    except FileNotFoundError:
        raise UsageError(
            f"there is no {path}: these are not requests for {subject}", hint=command
        ) from None
    if not text.isascii() or not text.isdecimal() or len(text) > _MOST_DIGITS:
        raise UsageError(f"{path} holds {text!r}: expected seconds since 1970")
    return int(text)
