# SPDX-License-Identifier: MIT
"""`bootseal modules sign`."""

from __future__ import annotations

from typing import Annotated

import typer

from bootseal.cli import console
from bootseal.cli.key_options import CertifiedKeyOptions, KeyOptions
from bootseal.cli.modules import keys
from bootseal.cli.modules.keys import Modules, counted


def sign(
    modules: Modules,
    *,
    who: CertifiedKeyOptions,
    opening: KeyOptions,
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace the signature of modules that have one.")
    ] = False,
) -> None:
    """Sign kernel modules in their place, for a kernel that has the key's certificate.

    The signature is appended as the kernel's scripts/sign-file does. Strip modules before, and
    compress them after. All of them are looked at first: if one is not a module, is compressed, or
    is signed already, none is changed. In a key directory, the key with the role modules signs.

    Example: bootseal modules sign root/usr/lib/modules --keys keys

    With the key on another machine: add --export-requests DIR, sign there as DIR/SUMMARY.txt says,
    then run the same with --import-signatures DIR.
    """
    from bootseal.modules import find
    from bootseal.modules import sign as signing_

    found = find.find(modules)
    signing, recorder = keys.signing(who, opening.access())
    signing_.sign(found, signing, replace=replace, progress=console.TerminalProgress())
    if recorder is not None:
        who.finish(recorder, counted(found))
        return
    subject = signing.certificate.subject.rfc4514_string()
    console.status("OK: {} signed with the key of {}", counted(found), subject)
