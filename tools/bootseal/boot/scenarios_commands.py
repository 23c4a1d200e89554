# SPDX-License-Identifier: MIT
"""Scenarios about commands that the boot logic never gives.

They stand for whoever gets a command in after all, by an error nobody knows yet: U-Boot's own text
of commands is changed for them, and nothing else in U-Boot.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bootseal.boot import attacks
from bootseal.boot.outcome import Scenario
from bootseal.boot.scenarios_ends import refused
from bootseal.errors import FormatError

if TYPE_CHECKING:
    from collections.abc import Callable

    from bootseal.boot.outcome import Lab

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


def _given(command: str, slots: str = "") -> Callable[[Lab], None]:
    """Give U-Boot a command; flip a bit of the kernel in these slots."""

    def prepare(lab: Lab) -> None:
        bios = lab.device.artefact(lab.directory, "bios").read_bytes()
        lab.replace_bios(commanded(bios, command))
        attacks.flip(attacks.KERNEL, slots)(lab)

    return prepare


COMMANDS: Final = (
    Scenario(
        id="boot-in-stages",
        title="bootm in stages",
        group="commands",
        about="Between two stages memory can be changed that was verified in the first.",
        base="shipped",
        prepare=_given("bootm start $fit_addr#conf-$slot;bootm loados;bootm go"),
        steps=(refused("boot-refused:only a part of the boot is asked for"),),
    ),
    Scenario(
        id="image-selected",
        title="bootm with a single image",
        group="commands",
        about="Mainline U-Boot checks the image's own hash, which anybody can make fit, and no "
        "signature of a configuration.",
        base="shipped",
        prepare=_given("bootm $fit_addr:kernel-1 - $fit_addr:fdt-a"),
        steps=(refused("boot-refused:no configuration is named"),),
    ),
    Scenario(
        id="default-selected",
        title="bootm without a configuration",
        group="commands",
        about="Which configuration is the default is not signed.",
        base="shipped",
        prepare=_given("bootm $fit_addr"),
        steps=(refused("boot-refused:no configuration is named"),),
    ),
    Scenario(
        id="device-tree-apart",
        title="bootm with a device tree from elsewhere",
        group="commands",
        about="It would hold another command line and another root hash.",
        base="shipped",
        prepare=_given("bootm $fit_addr#conf-$slot - $fdtcontroladdr"),
        steps=(refused("boot-refused:an image is named apart from the configuration"),),
    ),
    Scenario(
        id="verify-off",
        title="verify=no, and a bit flipped in the kernel of both slots",
        group="commands",
        about="Mainline U-Boot checks neither signatures nor hashes when told so.",
        base="shipped",
        prepare=_given("setenv verify no;bootm $fit_addr#conf-$slot", "ab"),
        steps=(refused("bad-hash:kernel-1"),),
    ),
)
