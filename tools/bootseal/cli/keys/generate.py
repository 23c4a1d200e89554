# SPDX-License-Identifier: MIT
"""`bootseal keys generate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bootseal.cli import console
from bootseal.cli.key_options import KeyOptions
from bootseal.cli.keys import printing
from bootseal.cli.options import Json, key_role, pairs
from bootseal.keys.signers.schemes import EXAMPLES


def generate(
    directory: Annotated[
        Path, typer.Argument(metavar="DIR", help="Directory for the keys; created if missing.")
    ],
    *,
    profile: Annotated[
        str, typer.Option(help="Key profile: dev, production or a TOML file.")
    ] = "dev",
    only: Annotated[
        list[str] | None, typer.Option(help="Generate only this role; may be repeated.")
    ] = None,
    insecure_file_keys: Annotated[
        bool,
        typer.Option(
            "--insecure-file-keys", help="Write keys that belong in a token to files anyway."
        ),
    ] = False,
    token: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ROLE=URI",
            help=f"URI of an existing key ({EXAMPLES}); may be repeated.",
        ),
    ] = None,
    keys: KeyOptions,
    as_json: Json = False,
) -> None:
    """Generate the keys and certificates of a profile; existing files are never overwritten.

    Generate keys in tokens with the token's own tools; this command certifies them.
    """
    from bootseal.keys import profile as profiles
    from bootseal.keys.directory import directory as key_directory

    loaded = profiles.load(profiles.find(profile))
    made = key_directory.generate(
        loaded,
        directory,
        only=[key_role(name) for name in only or []],
        insecure_file_keys=insecure_file_keys,
        tokens={key_role(name): uri for name, uri in pairs("--token", token, "ROLE=URI").items()},
        access=keys.access(),
        progress=console.TerminalProgress(),
    )
    printing.print_directory(made, as_json=as_json)
    if loaded.development:
        console.status("Development keys: a device that trusts them protects nothing.")
    elif insecure_file_keys:
        console.status("Unencrypted file keys of a production profile: for rehearsals only.")
