# SPDX-License-Identifier: MIT
"""`bootseal keys generate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bootseal.cli import console
from bootseal.cli.keys import printing
from bootseal.cli.options import Json, PinFile, pairs, role, secret_source


def generate(
    directory: Annotated[
        Path, typer.Argument(metavar="DIR", help="Where the keys go; created when missing.")
    ],
    *,
    profile: Annotated[
        str, typer.Option(help="Key profile: dev, production or a TOML file.")
    ] = "dev",
    only: Annotated[
        list[str] | None, typer.Option(help="Make only this role; may be repeated.")
    ] = None,
    insecure_file_keys: Annotated[
        bool,
        typer.Option(
            "--insecure-file-keys", help="Write keys that belong in a token to files all the same."
        ),
    ] = False,
    token: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ROLE=SOURCE",
            help="The key of this role lies in a token already: pkcs11:... or awskms:///...",
        ),
    ] = None,
    pin_file: PinFile = None,
    as_json: Json = False,
) -> None:
    """Make the keys and certificates of a profile; nothing is ever overwritten.

    Keys in tokens are made with the tools of the token; here they get their certificates.
    """
    from bootseal.keys import profile as profiles
    from bootseal.keys.directory import directory as store

    loaded = profiles.load(profiles.find(profile))
    made = store.generate(
        loaded,
        directory,
        only=[role(name) for name in only or []],
        insecure_file_keys=insecure_file_keys,
        tokens={role(name): source for name, source in pairs("--token", token, "ROLE").items()},
        secret=secret_source(pin_file),
        progress=console.TerminalProgress(),
    )
    printing.print_directory(made, as_json=as_json)
    if loaded.development:
        console.status("Development keys: a device that trusts them protects nothing.")
    elif insecure_file_keys:
        console.status("Unencrypted file keys of a production profile: for rehearsals only.")
