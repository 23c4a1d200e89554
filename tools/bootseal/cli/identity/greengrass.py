# SPDX-License-Identifier: MIT
"""`bootseal identity greengrass`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bootseal.cli import console
from bootseal.cli.inputs import read
from bootseal.cli.options import Json


def greengrass(
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[FILE]...",
            help="Check these instead: config.yaml, then the files of config.d.",
        ),
    ] = None,
    *,
    thing: Annotated[str, typer.Option(help="Name of the thing.")] = "",
    region: Annotated[str, typer.Option(help="AWS region.")] = "",
    endpoint: Annotated[
        str, typer.Option(metavar="HOST", help="Data endpoint of the account, ...-ats.iot....")
    ] = "",
    credentials_endpoint: Annotated[
        str, typer.Option(metavar="HOST", help="Credentials endpoint, ....credentials.iot....")
    ] = "",
    role_alias: Annotated[str, typer.Option(metavar="NAME", help="As in identity export.")] = "",
    root_ca: Annotated[
        str, typer.Option(metavar="PATH", help="AWS's root certificates, on the device.")
    ] = "/usr/share/ca-certificates/mozilla/Amazon_Root_CA_1.crt",
    output: Annotated[
        str, typer.Option("--output", "-o", help="File for config.yaml; - is standard output.")
    ] = "-",
    as_json: Json = False,
) -> None:
    """Write or check the configuration of AWS IoT Greengrass nucleus lite.

    It names the key in the TPM and the file with its PIN, and holds no secret. Exits with 3 if a
    configuration is refused.

    Example: bootseal identity greengrass --thing dev-1 --region eu-central-1
    --endpoint a1-ats.iot.eu-central-1.amazonaws.com
    --credentials-endpoint c1.credentials.iot.eu-central-1.amazonaws.com --role-alias gateway
    """
    from bootseal.errors import ExitCode, ToolError, UsageError
    from bootseal.formats.kinds.kind import TEXT

    try:
        from bootseal.identity import greengrass as lite
    except ImportError as error:
        raise ToolError(
            f"the configuration needs the Python package {error.name}, which is not installed",
            hint="pip install 'bootseal[greengrass]'",
        ) from error
    core = lite.Core(
        thing=thing,
        region=region,
        data_endpoint=endpoint,
        credentials_endpoint=credentials_endpoint,
        role_alias=role_alias,
        root_ca=root_ca,
    )
    if files and (
        output != "-" or any((thing, region, endpoint, credentials_endpoint, role_alias))
    ):
        raise UsageError(
            "FILE is checked as it is: expected no options for writing a configuration",
            hint="bootseal identity greengrass FILE...; to write one, leave FILE out",
        )
    if not files:
        made = lite.configuration(core)
        if faults := lite.check([("the options", made)]):
            raise UsageError(
                f"with these options {faults[0]}", hint="bootseal identity greengrass --help"
            )
        console.write(output, made)
        return
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
