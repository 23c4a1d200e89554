# SPDX-License-Identifier: MIT
"""Attacks on what a slot's boot partition holds, written to a scenario's disk.

Each `Callable[[Workspace], None]` here is something that anyone with write access to the whole disk
can do. The FITs come from pure functions of the device's own FIT, in `forge_fit`, `forge_bits` and
`forge_signed`; only those that its maker would have to sign use the keys in DIR/keys.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from bootseal.errors import UsageError
from bootseal.formats import boot_partition
from bootseal.keys.directory import directory as key_directory
from bootseal.keys.profile import Role

if TYPE_CHECKING:
    from bootseal.boot.scenario.workspace import Workspace
    from bootseal.keys.signers.base import Signer


def original(workspace: Workspace) -> bytes:
    """Return the FIT that was built for the device."""
    return workspace.device.artefact(workspace.directory, "fit").read_bytes()


def install(workspace: Workspace, content: bytes, slots: str = "ab") -> None:
    """Write content to the start of the boot partitions, in front of the PCR policy.

    Raises:
        UsageError: It does not fit.
    """
    for slot in (slot for slot in workspace.device.slots if slot.name in slots):
        room = boot_partition.room(workspace.disk.size(slot.boot))
        if len(content) > room:
            raise UsageError(f"{len(content)} bytes do not fit {slot.boot}: there are {room}")
        workspace.disk.write(slot.boot, 0, content)


def changed(change: Callable[[bytes], bytes], slots: str = "ab") -> Callable[[Workspace], None]:
    """Write the device's FIT, as changed by `change`, to these slots."""

    def prepare(workspace: Workspace) -> None:
        install(workspace, change(original(workspace)), slots)

    return prepare


def signed_by_maker(make: Callable[[bytes, Signer], bytes]) -> Callable[[Workspace], None]:
    """Put into both slots what `make` makes with the device's FIT and its signing key."""

    def prepare(workspace: Workspace) -> None:
        install(
            workspace, make(original(workspace), key_directory.signer(workspace.keys, Role.FIT))
        )

    return prepare
