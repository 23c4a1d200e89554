# SPDX-License-Identifier: MIT
"""Attacks through every place other than the FIT from which U-Boot could read settings.

Anyone who holds the device can write all of it, and none of it is signed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from bootseal.boot.attacks import fit as fit_attacks
from bootseal.boot.attacks import forge, forge_fit
from bootseal.errors import UsageError
from bootseal.formats.fdt import model as fdt
from bootseal.formats.fdt.model import Node
from bootseal.formats.uboot import slot_state
from bootseal.formats.uboot.environment import emit_environment
from bootseal.units import KIB, MIB

if TYPE_CHECKING:
    from bootseal.boot.scenario.workspace import Workspace

BOOTSTATE: Final = "bootstate"
_STATE: Final = {"BOOT_ORDER": "A B", "BOOT_A_LEFT": "3", "BOOT_B_LEFT": "3"}
_TORN: Final = 30
_SECTOR: Final = 512
_RUN: Final = f"bootm {forge_fit.FIT_ADDRESS:#x}"

OFFERS: Final = {
    "verify": "no",
    "bootcmd": _RUN,
    "bootargs": "init=/bin/sh bootseal.slot=a",
    "bootdelay": "10",
    "preboot": "setenv verify no",
    "altbootcmd": _RUN,
    "fdtcontroladdr": "0",
    "loadaddr": f"{forge_fit.FIT_ADDRESS:#x}",
    "bootseal": f"setenv verify no; {_RUN}",
    "slot_start": f"setenv verify no; {_RUN}",
    "fit_addr": "0",
    "stdin": "serial",
}
"""Variables that would start an unsigned FIT, open a prompt or change the signed command line."""

# Shell text in the three variables that are imported; U-Boot must never parse it.
_INJECTED: Final = {
    "BOOT_ORDER": 'B A"; setenv verify no; bootm 0x50000000; test "',
    "BOOT_A_LEFT": "3; setenv verify no; bootm 0x50000000",
    "BOOT_B_LEFT": "$(setenv verify no)${bootm 0x50000000}`bootm 0x50000000`",
}

UNSIGNED: Final = forge_fit.carrying(forge_fit.replace_and_strip, "unsigned")
"""The FIT that the settings would start: the attacker's kernel, and no signatures."""

_FLASH_SIZE: Final = 64 * MIB
_FLASH_ENVIRONMENT: Final = 256 * KIB
# Where boards keep an environment in front of the first partition.
_GAPS: Final = tuple(kib * KIB for kib in (32, 64, 128, 256, 384, 512, 544, 768, 896, 1000))
_GAP_SIZE: Final = 8 * KIB


def offer_configuration(dtb: bytes, options: Mapping[str, str]) -> bytes:
    """Make a control device tree that asks U-Boot for other settings and holds no keys.

    Args:
        dtb: A device tree of the machine.
        options: Properties of `/config`, such as `bootcmd`.
    """

    def change(root: Node) -> None:
        root.children = [node for node in root.children if not node.name.startswith("signature")]
        properties = {name: value.encode() + b"\0" for name, value in options.items()}
        root.children.insert(0, Node("config", properties, []))

    return fdt.rewrite(dtb, change)


def noise(workspace: Workspace) -> None:
    """Fill the slot state with bytes that look random."""
    workspace.disk.write(BOOTSTATE, 0, forge.noise(workspace.disk.size(BOOTSTATE), seed=1))


def smuggle(workspace: Workspace) -> None:
    """Add settings to a slot state with a valid checksum."""
    workspace.disk.write(BOOTSTATE, 0, emit_environment(_STATE | OFFERS))


def tear(workspace: Workspace) -> None:
    """Leave the first copy as a write does that ends in its first sector."""
    workspace.disk.write(BOOTSTATE, _TORN, forge.noise(_SECTOR - _TORN, seed=2))


def torn(workspace: Workspace) -> None:
    """Tear the first copy, and have slot b first in the second one, with the settings of `smuggle`.

    Raises:
        UsageError: The partition has no room for a second copy.
    """
    places = slot_state.places(workspace.disk.size(BOOTSTATE))
    if len(places) == 1:
        raise UsageError(f"the partition {BOOTSTATE} has no room for a second copy of the state")
    tear(workspace)
    whole = emit_environment(_STATE | OFFERS | {"BOOT_ORDER": "B A"})
    workspace.disk.write(BOOTSTATE, places[1], whole)


def inject(workspace: Workspace) -> None:
    """Put shell text into the variables that are imported, and an unsigned FIT for it to start."""
    fit_attacks.changed(UNSIGNED)(workspace)
    workspace.disk.write(BOOTSTATE, 0, emit_environment(_INJECTED))


def offer_everywhere(workspace: Workspace) -> None:
    """Offer settings in every place there is, and an unsigned FIT for them to start.

    The slot state, the second flash where QEMU's U-Boot keeps its environment, the gap in front of
    the first partition, QEMU's device tree and QEMU's firmware configuration.
    """
    fit_attacks.changed(UNSIGNED)(workspace)
    smuggle(workspace)
    first = min(partition.offset for partition in workspace.device.partitions)
    block = emit_environment(OFFERS, size=_GAP_SIZE)
    for offset in _GAPS:
        if offset + _GAP_SIZE <= first:
            workspace.disk.write("", offset, block)
    _offer_flash(workspace)
    _offer_qemu(workspace)


def _offer_flash(workspace: Workspace) -> None:
    flash = workspace.work / "flash.img"
    with flash.open("wb") as file:
        file.write(emit_environment(OFFERS, size=_FLASH_ENVIRONMENT))
        file.truncate(_FLASH_SIZE)
    workspace.add_qemu("-drive", f"if=pflash,unit=1,format=raw,file={flash}")


def _offer_qemu(workspace: Workspace) -> None:
    control = workspace.device.artefact(workspace.directory, "control-dtb").read_bytes()
    tree, kernel = workspace.work / "offer.dtb", workspace.work / "offer.kernel"
    config = {"bootcmd": _RUN, "bootdelay": "10", "bootsecure": "no"}
    tree.write_bytes(offer_configuration(control, config))
    kernel.write_bytes(forge.attacker_kernel("qemu-kernel"))
    text = " ".join(f"{name}={value.replace(' ', '_')}" for name, value in OFFERS.items())
    workspace.add_qemu("-dtb", str(tree), "-kernel", str(kernel), "-append", text)
    workspace.add_qemu("-fw_cfg", f"name=opt/u-boot/bootcmd,string={_RUN}")
