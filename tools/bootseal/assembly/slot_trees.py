# SPDX-License-Identifier: MIT
"""Device trees out of the layer's board description: U-Boot's own, and one for each slot."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from bootseal import files, proc
from bootseal.errors import UsageError
from bootseal.formats.kinds.kind import BOARD_SOURCE
from bootseal.formats.kinds.recognise import check

if TYPE_CHECKING:
    from pathlib import Path

    from bootseal.assembly.verity import Verity

# Neither quotes nor backslashes, which mean something in a device tree source.
_BOOTARGS: Final = re.compile(r"[ !#-\[\]-~]+")
# COMMAND_LINE_SIZE of arm64, at which Linux cuts the line off without a word.
_BOOTARGS_MAX: Final = 2048
ROLLBACK_INDICES: Final = 64
"""One bit for each in the TPM's NV index, TPM 2.0 Library part 2, 13.2: a bit field of 64."""


def compile_dts(source: str, include: Path) -> bytes:
    """Compile a device tree source.

    Args:
        source: The text.
        include: Directory for `/include/`.

    Raises:
        ToolError: It has errors.
    """
    args: list[str | Path] = ["--quiet", "-I", "dts", "-O", "dtb", "-i", include, "-"]
    return proc.run("dtc", args, stdin=source.encode(), timeout=60).stdout


def read_source(board: Path) -> str:
    """Return the source of a board's device tree, which may be compiled (`.dtb`).

    Raises:
        UsageError: There is no such file, or it is of another kind.
        ToolError: It is not a device tree.
    """
    if not board.is_file():
        raise UsageError(f"there is no device tree {board}")
    source = files.read_bounded(board)
    if check(source, BOARD_SOURCE, str(board)) in BOARD_SOURCE.kinds:
        args: list[str | Path] = ["--quiet", "-I", "dtb", "-O", "dts", "-"]
        return proc.run("dtc", args, stdin=source, timeout=60).stdout.decode(
            errors="surrogateescape"
        )
    return source.decode(errors="surrogateescape")


def bootargs(base: str, slot: str, verity: Verity) -> str:
    """Complete the layer's kernel parameters with what names and opens a slot's root.

    Everything that `veritysetup` needs is here, in the signed device tree; the superblock on the
    disk is not signed and not read.

    Raises:
        UsageError: The result cannot be put into a device tree or is too long for the kernel.
    """
    text = (
        f"{base.strip()} bootseal.slot={slot} bootseal.roothash={verity.root_hash}"
        f" bootseal.salt={verity.salt} bootseal.blocks={verity.blocks}"
    )
    if _BOOTARGS.fullmatch(text) is None or len(text) >= _BOOTARGS_MAX:
        raise UsageError(
            f"the kernel parameters {text!r} hold a quote, a backslash or a control character,"
            f" or are not shorter than {_BOOTARGS_MAX} bytes"
        )
    return text


def for_slot(
    board: str, parameters: str, rollback_index: int, firmware_version: int | None = None
) -> str:
    """Return the board's source with a slot's `/chosen` properties.

    Args:
        board: Source of the board.
        parameters: Kernel parameters.
        rollback_index: Security version of the system, written as one 32-bit cell.
        firmware_version: The lowest security version of the boot loaders that the release is
            approved with, likewise; None for a device without a boot ROM.

    Raises:
        UsageError: One of them is not the number of a bit in the TPM's index.
    """
    cells = {"rollback index": rollback_index}
    if firmware_version is not None:
        cells["firmware version"] = firmware_version
    for name, value in cells.items():
        if value not in range(ROLLBACK_INDICES):
            raise UsageError(
                f"the {name} is {value}: expected 0 to {ROLLBACK_INDICES - 1}",
                hint="the TPM remembers them as the bits of one number",
            )
    lines = "".join(f"\t\tbootseal,{n.replace(' ', '-')} = <{v}>;\n" for n, v in cells.items())
    return f'{board}\n/ {{\n\tchosen {{\n\t\tbootargs = "{parameters}";\n{lines}\t}};\n}};\n'
