# SPDX-License-Identifier: MIT
"""`bootseal identity greengrass`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from bootseal.cli import console
from bootseal.cli.inputs import extra, read
from bootseal.cli.options import Json
from bootseal.errors import ExitCode, UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class CoreOptions:
    """What a configuration is written from."""

    thing: Annotated[str, typer.Option(help="Name of the thing.")] = ""
    region: Annotated[str, typer.Option(help="AWS region.")] = ""
    endpoint: Annotated[
        str, typer.Option(metavar="HOST", help="Data endpoint of the account, ...-ats.iot....")
    ] = ""
    credentials_endpoint: Annotated[
        str, typer.Option(metavar="HOST", help="Credentials endpoint, ....credentials.iot....")
    ] = ""
    role_alias: Annotated[str, typer.Option(metavar="NAME", help="As in identity export.")] = ""
    root_ca: Annotated[
        str, typer.Option(metavar="PATH", help="AWS's root certificates, on the device.")
    ] = "/usr/share/ca-certificates/mozilla/Amazon_Root_CA_1.crt"
    output: Annotated[
        str, typer.Option("--output", "-o", help="File for config.yaml; - is standard output.")
    ] = "-"


def greengrass(
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[FILE]...",
            help="Check these instead: config.yaml, then the files of config.d.",
        ),
    ] = None,
    *,
    core: CoreOptions,
    as_json: Json = False,
) -> None:
    """Write or check the configuration of AWS IoT Greengrass nucleus lite.

    It names the key in the TPM and the file with its PIN, and holds no secret. Exits with 3 if a
    configuration is refused.

    Example: bootseal identity greengrass --thing dev-1 --region eu-central-1
    --endpoint a1-ats.iot.eu-central-1.amazonaws.com
    --credentials-endpoint c1.credentials.iot.eu-central-1.amazonaws.com --role-alias gateway
    """
    if not files:
        _write(core)
        return
    if core != CoreOptions(root_ca=core.root_ca):
        raise UsageError(
            "FILE is checked as it is: expected no options for writing a configuration",
            hint="bootseal identity greengrass FILE...; to write one, leave FILE out",
        )
    _check(files, as_json=as_json)


def _write(core: CoreOptions) -> None:
    """Write a configuration, once it has passed the checks of those that exist."""
    with extra("greengrass", "the configuration"):
        from bootseal.identity import greengrass as lite

    made = lite.configuration(
        lite.Core(
            thing=core.thing,
            region=core.region,
            data_endpoint=core.endpoint,
            credentials_endpoint=core.credentials_endpoint,
            role_alias=core.role_alias,
            root_ca=core.root_ca,
        )
    )
    if faults := lite.check([("the options", made)]):
        raise UsageError(
            f"with these options {faults[0]}", hint="bootseal identity greengrass --help"
        )
    console.write(core.output, made)


def _check(files: list[Path], *, as_json: bool) -> None:
    """Print what is wrong with a configuration, and exit with 3 if anything is."""
    from bootseal.formats.kinds.kind import TEXT

    with extra("greengrass", "the configuration"):
        from bootseal.identity import greengrass as lite

    faults = lite.check([(str(path), read(path, TEXT)) for path in files])
    verdict = "refused" if faults else "accepted"
    if as_json:
        document = {"schema": "bootseal.greengrass-verdict/1", "verdict": verdict, "faults": faults}
        console.emit_json(document)
    else:
        for fault in faults:
            console.say("{}", fault)
    if faults:
        console.status("REFUSED; to write a correct one: bootseal identity greengrass --thing")
        raise typer.Exit(ExitCode.REFUSED)
    console.status(
        "OK: the key is the token's, and no setting holds a secret. Not checked: whether it works"
    )
