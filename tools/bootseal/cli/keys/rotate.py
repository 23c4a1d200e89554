# SPDX-License-Identifier: MIT
"""`bootseal keys rotate`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bootseal.cli import console
from bootseal.cli.key_options import KeyOptions
from bootseal.cli.options import Json, KeysDir, key_role
from bootseal.keys.signers.schemes import EXAMPLES

if TYPE_CHECKING:
    from bootseal.keys.directory.rotate import Rotation
    from bootseal.keys.manifest import KeyEntry
    from bootseal.keys.profile import Role


def rotate(
    directory: KeysDir,
    *,
    role: Annotated[
        str,
        typer.Option(
            help="Role of the key: fit, update, app, modules, fw-trusted, fw-nontrusted, fw-soc or "
            "fw-boot."
        ),
    ] = "fit",
    algorithm: Annotated[
        str | None,
        typer.Option(help="Algorithm of the new key; that of the previous key if left out."),
    ] = None,
    token: Annotated[
        str,
        typer.Option(metavar="URI", help=f"URI of the new key, if it already exists ({EXAMPLES})."),
    ] = "",
    keys: KeyOptions,
    as_json: Json = False,
) -> None:
    """Let the next FIT key take over, and generate its successor; or replace another kind of key.

    The key that has signed so far is retired: it may still sign for devices that know only it.
    """
    from bootseal.keys.directory.rotate import rotate as rotate_keys

    rotation = rotate_keys(
        directory,
        key_role(role),
        algorithm=algorithm,
        uri=token,
        access=keys.access(),
        progress=console.TerminalProgress(),
    )
    if as_json:
        console.emit_json({"schema": "bootseal.key-rotation/1"} | _named(rotation))
    _explain(rotation, key_role(role), directory)


def _named(rotation: Rotation) -> dict[str, str | None]:
    def name(entry: KeyEntry | None) -> str | None:
        return entry.name if entry else None

    return {
        "retired": name(rotation.retired),
        "current": name(rotation.current),
        "coming": name(rotation.coming),
    }


def _explain(rotation: Rotation, role: Role, directory: Path) -> None:
    from bootseal.keys.profile import Role

    if rotation.coming is None:
        explains = {
            Role.UPDATE: _explain_update,
            Role.APP: _explain_app,
            Role.MODULES: _explain_modules,
        }
        explains.get(role, _explain_firmware)(rotation, directory)
        return
    now, new = rotation.current.name, rotation.coming.name
    dtb = f"bootseal fit sign FIT ... --dtb u-boot.bin with {new}"
    if rotation.retired is None:
        console.status("{} remains the signing key; {} is its successor.", now, new)
        console.status("Put {} into the control device tree of the next U-Boot: {}.", new, dtb)
        console.status("Once every device runs that U-Boot, rotate again to let it take over.")
        return
    old = rotation.retired.name
    console.status("{} signs from now on; {} is retired; {} is the next.", now, old, new)
    console.status(
        "1. Sign FITs with {}, and with {} as well while any device knows only that.", now, old
    )
    console.status(
        "2. Put {} into the control device tree of the next U-Boot, and leave {} out.", new, old
    )
    console.status("3. Once every device runs it: bootseal keys revoke {} {}", directory, old)


def _explain_firmware(rotation: Rotation, directory: Path) -> None:
    now, old = rotation.current.name, rotation.retired.name if rotation.retired else ""
    console.status("{} signs from now on; {} is retired. The ROM stays as it is.", now, old)
    console.status(
        "1. Sign the firmware again, with a higher counter: bootseal firmware sign FIP --keys {} "
        "--counter N --nt-counter N",
        directory,
    )
    console.status(
        "2. Until a device has raised its lowest counter, it also starts firmware with the "
        "certificates of {}.",
        old,
    )
    console.status("3. Once every device has: bootseal keys revoke {} {}", directory, old)


def _explain_update(rotation: Rotation, directory: Path) -> None:
    now, old = rotation.current.name, rotation.retired.name if rotation.retired else ""
    console.status("{} signs from now on; {} is retired. Devices stay as they are.", now, old)
    console.status("1. Sign bundles again: bootseal update sign BUNDLE --keys {}", directory)
    console.status(
        "2. Devices also accept bundles signed with {} until a release brings another update-ca.",
        old,
    )


def _explain_app(rotation: Rotation, directory: Path) -> None:
    now, old = rotation.current.name, rotation.retired.name if rotation.retired else ""
    console.status("{} signs from now on; {} is retired.", now, old)
    console.status("1. Put {}.crt next to {}.crt into /etc/verity.d of the next release.", now, old)
    console.status(
        "2. Once every device runs it, sign applications again: bootseal app sign IMAGE --keys {}",
        directory,
    )
    console.status(
        "3. Leave {}.crt out of the release after that: bootseal keys revoke {} {}",
        old,
        directory,
        old,
    )


def _explain_modules(rotation: Rotation, directory: Path) -> None:
    now, old = rotation.current.name, rotation.retired.name if rotation.retired else ""
    console.status("{} signs from now on; {} is retired. Devices stay as they are.", now, old)
    console.status(
        "1. Build the kernel of the next release with {}.crt, and sign its modules with {}.",
        now,
        now,
    )
    console.status(
        "2. Older releases load modules signed with {} until their rollback index is refused.",
        old,
    )
    console.status("3. Once none is: bootseal keys revoke {} {}", directory, old)
