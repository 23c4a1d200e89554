# SPDX-License-Identifier: MIT
"""`bootseal keys rotate|revoke|export|audit`: what comes after making keys."""

# Heavy modules are imported inside commands, and typer reads annotations at run time.

from __future__ import annotations

import dataclasses
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bootseal.cli import ui
from bootseal.cli.keys_impact import print_trace
from bootseal.cli.keys_options import PinFile, pairs, secret_source
from bootseal.errors import ExitCode, UsageError
from bootseal.events import Severity

if TYPE_CHECKING:
    from bootseal.keys.directory.rotate import Rotation
    from bootseal.keys.manifest import Entry

_Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
_Directory = Annotated[
    Path, typer.Argument(metavar="DIR", help="A directory made by `keys generate`.")
]


def rotate(
    directory: _Directory,
    *,
    algorithm: Annotated[
        str | None, typer.Option(help="Of the new key; by default that of the key before it.")
    ] = None,
    token: Annotated[
        str, typer.Option(help="The new key lies here: pkcs11:... or awskms:///...")
    ] = "",
    pin_file: PinFile = None,
    as_json: _Json = False,
) -> None:
    """Let the next FIT key take over, and make the one after it.

    The key that signed so far is retired: it may still sign for devices that know no other.
    """
    from bootseal.keys.directory import rotate as lifecycle

    rotation = lifecycle.rotate(
        directory,
        algorithm=algorithm,
        token=token,
        secret=secret_source(pin_file),
        progress=ui.TerminalProgress(),
    )
    if as_json:
        ui.emit_json({"schema": "bootseal.key-rotation/1"} | _named(rotation))
    _explain(rotation, directory)


def revoke(
    directory: _Directory,
    key: Annotated[str, typer.Argument(metavar="KEY", help="Name or fingerprint.")],
    tree: Annotated[
        list[Path] | None,
        typer.Argument(metavar="TREE", help="Where to look for what still trusts the key."),
    ] = None,
    *,
    reason: Annotated[str, typer.Option(help="Told to whoever tries to sign with it.")] = "",
    as_json: _Json = False,
) -> None:
    """Mark a key as revoked: it signs nothing any more. Devices are not changed by this.

    Ends with exit code 3 when something in the trees still trusts the key.
    """
    from bootseal.fit.key_usage import Relation, trace
    from bootseal.keys import certificate, public
    from bootseal.keys.directory import rotate as lifecycle

    revoked = lifecycle.revoke(directory, key, reason=reason)
    public_key = public.from_crypto(
        certificate.read(directory / f"{revoked.name}.crt").public_key()
    )
    ui.status(f"{ui.untrusted(revoked.name)} is revoked: {revoked.fingerprint}")
    if not tree:
        ui.status(f"See what still trusts it: bootseal keys impact {revoked.fingerprint} TREE...")
        return
    found = trace(revoked.fingerprint, tree, key=public_key)
    print_trace(found, as_json=as_json)
    if any(use.relation is Relation.TRUSTS for use in found.uses):
        ui.status("REVOKED, and still trusted: replace the boot loaders above.")
        raise typer.Exit(ExitCode.REFUSED)


def export(
    directory: _Directory,
    output: Annotated[Path, typer.Argument(metavar="OUTPUT", help="The directory to make.")],
    *,
    form: Annotated[str, typer.Option("--for", help="Who shall read it: mkimage.")] = "mkimage",
    signer: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=SOURCE", help="The private key of NAME lies here, not in a file."
        ),
    ] = None,
) -> None:
    """Write the FIT keys as `mkimage -k` and OE's UBOOT_SIGN_KEYDIR expect them.

    Example: bootseal keys export keys oe-keys --signer "fit-1=pkcs11:token=release;object=fit-1"
    """
    from bootseal.keys.directory.export import for_mkimage

    if form != "mkimage":
        raise UsageError(f"--for {form!r}: expected mkimage")
    signers = pairs("--signer", signer, "NAME")
    names = for_mkimage(directory, output, signers=signers)
    listed = ", ".join(ui.untrusted(name) for name in names)
    ui.status(f"OK: {ui.untrusted(str(output))} holds {listed}")


def audit(
    directory: Annotated[
        Path, typer.Argument(metavar="DIR", help="Any directory of keys and certificates.")
    ],
    *,
    max_age: Annotated[
        int, typer.Option(help="Days after which a signing key should have been rotated.")
    ] = 1825,
    as_json: _Json = False,
) -> None:
    """Look for open permissions, old, weak, revoked and published keys, and files that disagree.

    Ends with exit code 3 when there is anything to report.
    """
    from bootseal.keys.directory.audit import audit as examine

    found = examine(directory, max_age=timedelta(days=max_age))
    if as_json:
        ui.emit_json({"schema": "bootseal.key-audit/1"} | dataclasses.asdict(found))
    elif found.findings:
        ui.table(
            ("severity", "finding", "where", "what"),
            [
                (f.severity.value, f.id, ui.untrusted(f.where), ui.untrusted(f.message))
                for f in found.findings
            ],
        )
    if found.findings:
        errors = sum(f.severity is Severity.ERROR for f in found.findings)
        ui.status(f"REFUSED: {errors} errors, {len(found.findings) - errors} warnings")
        raise typer.Exit(ExitCode.REFUSED)
    ui.status(f"OK: nothing to report about {len(found.files)} files")


def _named(rotation: Rotation) -> dict[str, str | None]:
    def name(entry: Entry | None) -> str | None:
        return entry.name if entry else None

    return {
        "retired": name(rotation.retired),
        "current": name(rotation.current),
        "coming": name(rotation.coming),
    }


def _explain(rotation: Rotation, directory: Path) -> None:
    now, new = ui.untrusted(rotation.current.name), ui.untrusted(rotation.coming.name)
    dtb = f"bootseal fit sign FIT ... --dtb u-boot.bin with {new}"
    if rotation.retired is None:
        ui.status(f"{now} goes on signing; {new} is its successor.")
        ui.status(f"Put {new} into the control device tree of the next U-Boot: {dtb}.")
        ui.status("When every device runs that U-Boot, rotate again to let it take over.")
        return
    old = ui.untrusted(rotation.retired.name)
    where = ui.untrusted(str(directory))
    ui.status(f"{now} signs from now on; {old} is retired; {new} is the next.")
    ui.status(f"1. Sign FITs by {now}, and by {old} too while devices know only that.")
    ui.status(f"2. Put {new} into the control device tree of the next U-Boot, and leave {old} out.")
    ui.status(f"3. When every device runs it: bootseal keys revoke {where} {old}")
