# SPDX-License-Identifier: MIT
"""Checks of a scenario's disk and files once the device is off again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from bootseal.boot.attacks import data_volume, tpm_bus
from bootseal.boot.attacks.state import BOOTSTATE
from bootseal.boot.machine import escrow
from bootseal.boot.scenario.runner import FIRST_BOOT
from bootseal.boot.scenario.workspace import Overlay, Workspace
from bootseal.errors import FormatError, VerificationRefused
from bootseal.formats.uboot import slot_state
from bootseal.formats.uboot.environment import parse_environment


def nothing_more_handed_out(workspace: Workspace) -> None:
    """Check that the first boot's recovery key opens the volume and was the only one handed out.

    Raises:
        VerificationRefused: It does not, another one was, or a wrong key opens it too.
    """
    key = data_volume.recovery_key(workspace, _first_boot(workspace))
    if found := escrow.handed_out(_log(workspace)):
        raise VerificationRefused(f"{len(found)} recovery keys were handed out: expected none")
    header = data_volume.header(workspace)
    if not data_volume.opens(header, key):
        raise VerificationRefused("the recovery key that was handed out does not open the volume")
    if data_volume.opens(header, key[:-1] + bytes([key[-1] ^ 1])):
        raise VerificationRefused("a wrong recovery key opens the volume")


def bus_is_silent(workspace: Workspace) -> None:
    """Check that no key went over the TPM's bus in the first boot and in this one.

    Raises:
        VerificationRefused: One did.
        Inconclusive: The recordings prove nothing.
    """
    tpm_bus.silent(workspace, _first_boot(workspace))


def rotated(workspace: Workspace) -> None:
    """Check that the TPM's key slot holds another sealed object, and that all else is as before.

    Raises:
        VerificationRefused: The old object is still there, or the recovery key no longer opens it.
    """
    first = _first_boot(workspace)
    header = data_volume.header(workspace)
    before = data_volume.header(workspace, Overlay(first.parent / "disk.qcow2"))
    if data_volume.sealed(header) == data_volume.sealed(before):
        raise VerificationRefused("the TPM's key slot was not replaced")
    if not data_volume.opens(header, data_volume.recovery_key(workspace, first)):
        raise VerificationRefused("the recovery key no longer opens the volume")


def wiped(workspace: Workspace) -> None:
    """Check that nothing of the first boot's volume is left and a new one was made.

    Raises:
        VerificationRefused: The old recovery key opens the volume, or the new one does not.
    """
    header = data_volume.header(workspace)
    if data_volume.opens(header, data_volume.recovery_key(workspace, _first_boot(workspace))):
        raise VerificationRefused("the old recovery key opens the volume that was wiped")
    if not data_volume.opens(
        header, data_volume.recovery_key(workspace, workspace.work / "step-2.log")
    ):
        raise VerificationRefused("the recovery key of the new volume does not open it")


def _log(workspace: Workspace) -> Path:
    return workspace.work / "step-1.log"


def _first_boot(workspace: Workspace) -> Path:
    """Return the serial log of the boot that all provisioned scenarios start from."""
    return workspace.work.parent / FIRST_BOOT.id / "step-1.log"


def slot_state_is(order: str, *, a: int, b: int) -> Callable[[Workspace], None]:
    """Return what checks that every copy of the slot state says this, and nothing else.

    The check raises VerificationRefused when one does not, or has anything but zeros behind it.
    """
    wanted = {"BOOT_ORDER": order, "BOOT_A_LEFT": str(a), "BOOT_B_LEFT": str(b)}

    def check(workspace: Workspace) -> None:
        for place in slot_state.places(workspace.disk.size(BOOTSTATE)):
            block = workspace.disk.read(BOOTSTATE, place, slot_state.SIZE)
            try:
                told = parse_environment(block)
            except FormatError as error:
                raise VerificationRefused(
                    f"the slot state at {place:#x} is damaged: {error.message}"
                ) from error
            if told != wanted:
                raise VerificationRefused(
                    f"the slot state at {place:#x} is {told!r}: expected {wanted!r}"
                )

    return check
