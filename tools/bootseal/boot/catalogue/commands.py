# SPDX-License-Identifier: MIT
"""Scenarios about commands that the boot logic never gives.

They simulate an attacker who gets U-Boot to run a command after all, through an unknown bug: only
the text of commands in U-Boot is changed for them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bootseal.boot.attacks import firmware as firmware_attacks
from bootseal.boot.attacks import fit as fit_attacks
from bootseal.boot.attacks import forge_bits
from bootseal.boot.catalogue.steps import refused
from bootseal.boot.scenario.model import Scenario
from bootseal.errors import FormatError

if TYPE_CHECKING:
    from bootseal.boot.scenario.workspace import Workspace

_VARIABLE: Final = b"slot_start="
_BEFORE: Final = (
    'echo "bootseal: trying slot $slot";part start virtio 0 boot-$slot fit_first;'
    "virtio read $fit_addr $fit_first $fit_blocks;"
)
_AFTER: Final = ';echo "bootseal: slot $slot refused"'


def commanded(bios: bytes, command: str) -> bytes:
    """Replace the `bootm` of the boot logic by another command.

    Raises:
        FormatError: This U-Boot does not have the variable, or has no room for the command.
    """
    start = bios.find(_VARIABLE)
    end = bios.find(b"\0", start)
    text = _VARIABLE + f"{_BEFORE}{command}{_AFTER}".encode()
    if start < 0 or len(text) > end - start:
        raise FormatError(f"U-Boot has no room for {command!r} in its variable slot_start")
    return bios[:start] + text.ljust(end - start) + bios[end:]


def _refused(
    id_: str, title: str, command: str, why: str, *, slots: str = "", about: str
) -> Scenario:
    """Give U-Boot a command, with a bit of the kernel flipped in these slots."""

    def prepare(workspace: Workspace) -> None:
        bios = workspace.device.artefact(workspace.directory, "bios").read_bytes()
        firmware_attacks.replace_uboot(workspace, commanded(bios, command))
        fit_attacks.changed(forge_bits.flip(forge_bits.KERNEL), slots)(workspace)

    return Scenario(
        id=id_,
        title=title,
        group="commands",
        about=about,
        base="shipped",
        prepare=prepare,
        steps=(refused(why),),
    )


COMMANDS: Final = (
    _refused(
        "boot-in-stages",
        "bootm in stages",
        "bootm start $fit_addr#conf-$slot;bootm loados;bootm go",
        "boot-refused:only a part of the boot is asked for",
        about="`bootm start`, `bootm loados`, `bootm go`: memory that the first stage verified "
        "could be changed before the last. The layer's bootm only does whole boots.",
    ),
    _refused(
        "image-selected",
        "bootm with single images",
        "bootm $fit_addr:kernel-1 - $fit_addr:fdt-a",
        "boot-refused:no configuration is named",
        about="`bootm ADDR:kernel-1 - ADDR:fdt-a`: mainline U-Boot checks only the hash in the "
        "image node, which anyone can recompute, and no configuration signature. The layer's "
        "bootm requires a configuration.",
    ),
    _refused(
        "default-selected",
        "bootm without a configuration",
        "bootm $fit_addr",
        "boot-refused:no configuration is named",
        about="The choice of the default configuration is not signed.",
    ),
    _refused(
        "device-tree-apart",
        "bootm with a device tree from elsewhere",
        "bootm $fit_addr#conf-$slot - $fdtcontroladdr",
        "boot-refused:an image is named apart from the configuration",
        about="It could contain another command line and another root hash. The layer's bootm "
        "takes every image from the configuration.",
    ),
    _refused(
        "verify-off",
        "verify=no, and one bit flipped in the kernel of both slots",
        "setenv verify no;bootm $fit_addr#conf-$slot",
        "bad-hash:kernel-1",
        slots="ab",
        about="With verify=no mainline U-Boot checks neither signatures nor hashes. The layer's "
        "bootm ignores the variable.",
    ),
)
