# SPDX-License-Identifier: MIT
"""The options of `bootseal disk sign`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

Keys: TypeAlias = Annotated[
    Path | None, typer.Option(metavar="DIR", help="Key directory: its FIT key signs.")
]
Policy: TypeAlias = Annotated[
    bool, typer.Option("--policy", help="With --keys: its policy key signs the PCR policies.")
]
Key: TypeAlias = Annotated[
    str | None,
    typer.Option(help="FIT key: a PEM file, pkcs11:... or awskms:///..., with --hint."),
]
Hint: TypeAlias = Annotated[str, typer.Option(help="The FIT key's name in FIT and U-Boot.")]
AlgorithmName: TypeAlias = Annotated[
    str, typer.Option(help="For example sha384,rsa4096; sha256 if left out.")
]
Padding: TypeAlias = Annotated[str, typer.Option(help="RSA padding: pkcs-1.5 or pss.")]
PolicyKey: TypeAlias = Annotated[
    str | None, typer.Option(help="Key that signs the PCR policies anew; else they stay.")
]
PublicKey: TypeAlias = Annotated[
    Path | None, typer.Option(metavar="PEM", help="Public half of a FIT key that is elsewhere.")
]
PolicyPublicKey: TypeAlias = Annotated[
    Path | None, typer.Option(metavar="PEM", help="Public half of such a policy key.")
]
Exports: TypeAlias = Annotated[
    Path | None, typer.Option(metavar="DIR", help="Write what is to be signed elsewhere.")
]
Imports: TypeAlias = Annotated[
    Path | None, typer.Option(metavar="DIR", help="Finish with the signatures made there.")
]
Trust: TypeAlias = Annotated[
    bool, typer.Option("--trust", help="U-Boot shall require this key, and no other.")
]
Profile: TypeAlias = Annotated[
    str, typer.Option(help="Key profile the device has then; else that of --keys.")
]
Output: TypeAlias = Annotated[
    Path | None, typer.Option("--output", "-o", help="Write there, not over the original.")
]
DtbOutput: TypeAlias = Annotated[
    Path | None, typer.Option(help="With an IMAGE and --trust: where U-Boot is written.")
]
Module: TypeAlias = Annotated[
    Path | None, typer.Option(help="PKCS#11 library, unless the URI names one.")
]
Who: TypeAlias = Annotated[str, typer.Option(help="Who signs, for the record.")]
