# SPDX-License-Identifier: MIT
"""Arguments and options that several commands share, and groups of options about FITs.

A command takes a group as one parameter, `keys: KeyOptions`; `bootseal.cli.lazy` shows typer each
field as an option of the command. An option of a single command is declared in that command.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, TypeAlias

import typer

from bootseal.errors import UsageError

if TYPE_CHECKING:
    from bootseal.fit.verify.strictness import Strictness
    from bootseal.keys.profile import Role
    from bootseal.target import Target

Json: TypeAlias = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
KeysDir: TypeAlias = Annotated[
    Path, typer.Argument(metavar="DIR", help="Key directory, made by `keys generate`.")
]
DeviceDir: TypeAlias = Annotated[
    Path, typer.Argument(metavar="DIR", help="Build directory with a device.json.")
]
FitFile: TypeAlias = Annotated[
    Path, typer.Argument(metavar="FIT", help="The FIT; - reads standard input.")
]
FipFile: TypeAlias = Annotated[
    Path, typer.Argument(metavar="FIP", help="The FIP; - reads standard input.")
]
DiskImage: TypeAlias = Annotated[
    Path,
    typer.Argument(
        metavar="IMAGE|DIR",
        help="Build directory, or a disk image: raw, .gz, .zst, or its .bmap file.",
    ),
]
PolicyKey: TypeAlias = Annotated[
    Path | None,
    typer.Option(metavar="PEM", help="Public key that must have signed the PCR policy."),
]
MeasuredInput: TypeAlias = Annotated[
    Path,
    typer.Argument(metavar="DIR|DISK|FIT", help="Build directory, disk image or FIT."),
]
UBootBinary: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--u-boot",
        metavar="FILE",
        help="U-Boot's binary, or the FIP that contains it, for PCR 0; a build directory has its "
        "own.",
    ),
]
Configurations: TypeAlias = Annotated[
    list[str] | None,
    typer.Option("--configuration", "-c", help="Use only this configuration; may be repeated."),
]
ApprovedList: TypeAlias = Annotated[
    Path, typer.Option("--list", "-l", metavar="LIST", help="The approved list.")
]

ApprovedBy: TypeAlias = Annotated[
    Path, typer.Option("--approved", metavar="LIST", help="The approved list.")
]
StoreDir: TypeAlias = Annotated[
    Path,
    typer.Option("--store", metavar="DIR", help="The verifier's directory; created if missing."),
]
DeviceName: TypeAlias = Annotated[str, typer.Argument(metavar="DEVICE", help="Name of the device.")]

_STRICTNESS: Final = "Strictness"
_log: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryOptions:
    """What the memory of the device that boots a FIT is like."""

    bootm_len: Annotated[
        str | None,
        typer.Option(
            metavar="SIZE",
            help="The device's SYS_BOOTM_LEN, for example 64M; U-Boot's default for the "
            "architecture if left out.",
        ),
    ] = None
    fit_address: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="Address to which the device reads the FIT: no image may be loaded over it.",
        ),
    ] = None

    def target(self) -> Target:
        """Return what the options say.

        Raises:
            UsageError: A size or an address is malformed.
        """
        from bootseal.target import Target
        from bootseal.units import parse_size

        return Target(
            bootm_len=None if self.bootm_len is None else parse_size(self.bootm_len),
            fit_address=None if self.fit_address is None else address(self.fit_address),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class StrictnessOptions(MemoryOptions):
    """How strictly a FIT is verified."""

    compat: Annotated[
        bool,
        typer.Option(
            "--compat",
            help="Accept what a U-Boot with all published fixes accepts; not for a release gate.",
            rich_help_panel=_STRICTNESS,
        ),
    ] = False
    external_data: Annotated[
        bool,
        typer.Option(
            "--external-data",
            help="The device accepts external data after the tree, by data-offset (mkimage -E).",
            rich_help_panel=_STRICTNESS,
        ),
    ] = False
    max_size: Annotated[
        str | None,
        typer.Option(
            metavar="SIZE",
            help="The device's FIT_SIGNATURE_MAX_SIZE, for example 512M; 256M if left out.",
            rich_help_panel=_STRICTNESS,
        ),
    ] = None

    def chosen(self) -> Strictness:
        """Return what the options choose.

        Raises:
            UsageError: A size or an address is malformed.
        """
        from bootseal.fit.verify.strictness import COMPAT, STRICT
        from bootseal.units import parse_size

        strictness = COMPAT if self.compat else STRICT
        if self.external_data:
            strictness = strictness._replace(external_data=True)
        if self.max_size is not None:
            strictness = strictness._replace(max_size=parse_size(self.max_size))
        strictness = strictness._replace(target=self.target())
        _log.info(
            "strictness: %s, external data %s, up to %s bytes",
            strictness.name,
            "accepted" if strictness.external_data else "refused",
            strictness.max_size,
        )
        return strictness


def address(text: str) -> int:
    """Read an address such as `0x40400000`.

    Raises:
        UsageError: It is not a number.
    """
    try:
        return int(text, 0)
    except ValueError:
        raise UsageError(f"address {text!r}: expected a number such as 0x40400000") from None


def key_role(name: str) -> Role:
    """Return the role of a key by its name.

    Raises:
        UsageError: There is none of this name.
    """
    from bootseal.keys.profile import Role

    try:
        return Role(name)
    except ValueError:
        raise UsageError(f"unknown role {name!r}: expected one of {', '.join(Role)}") from None


def pairs(option: str, values: list[str] | None, form: str) -> dict[str, str]:
    """Split the values of an option of the form `NAME=VALUE`.

    Args:
        option: Its name, for errors, which never repeat a value: it may hold a secret.
        values: What was given.
        form: What is expected, such as `ROLE=URI`.

    Raises:
        UsageError: One is malformed, or a name is given twice.
    """
    found: dict[str, str] = {}
    for text in values or []:
        name, separator, value = text.partition("=")
        if not separator or not name or not value:
            raise UsageError(f"{option}: expected {form}")
        if name in found:
            raise UsageError(f"{option}: {name!r} is given twice")
        found[name] = value
    return found
