# SPDX-License-Identifier: MIT
"""`bootseal keys list`."""

from __future__ import annotations

from bootseal.cli.keys import printing
from bootseal.cli.options import Json, KeysDir


def list_(
    directory: KeysDir,
    *,
    as_json: Json = False,
) -> None:
    """List the keys of a directory."""
    from bootseal.keys.directory import directory as key_directory

    printing.print_directory(key_directory.list_keys(directory), as_json=as_json)
