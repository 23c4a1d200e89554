# SPDX-License-Identifier: MIT
"""Scenarios about commands that the boot logic never gives.

They stand for whoever gets a command in after all, by an error nobody knows yet: U-Boot's own text
of commands is changed for them, and nothing else in U-Boot.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bootseal.boot.attacks import fit as fit_attacks
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
    """Put a command in the place of the `bootm` of the boot logic.

    Raises:
        FormatError: This U-Boot has no such variable, or no room for the command.
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
        workspace.replace_bios(commanded(bios, command))
        fit_attacks.flip(fit_attacks.KERNEL, slots)(workspace)

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
        about="Between two stages memory can be changed that was verified in the first.",
    ),
    _refused(
        "image-selected",
        "bootm with a single image",
        "bootm $fit_addr:kernel-1 - $fit_addr:fdt-a",
        "boot-refused:no configuration is named",
        about="Mainline U-Boot checks the image's own hash, which anybody can make fit, and no "
        "signature of a configuration.",
    ),
    _refused(
        "default-selected",
        "bootm without a configuration",
        "bootm $fit_addr",
        "boot-refused:no configuration is named",
        about="Which configuration is the default is not signed.",
    ),
    _refused(
        "device-tree-apart",
        "bootm with a device tree from elsewhere",
        "bootm $fit_addr#conf-$slot - $fdtcontroladdr",
        "boot-refused:an image is named apart from the configuration",
        about="It would hold another command line and another root hash.",
    ),
    _refused(
        "verify-off",
        "verify=no, and a bit flipped in the kernel of both slots",
        "setenv verify no;bootm $fit_addr#conf-$slot",
        "bad-hash:kernel-1",
        slots="ab",
        about="Mainline U-Boot checks neither signatures nor hashes when told so.",
    ),
)
