# SPDX-License-Identifier: MIT
"""A slot's boot partition: the FIT at its start, zeros, and the PCR policy in its last 64 KiB.

The policy is the text of systemd's `tpm2-pcr-signature.json`, padded with NULs. It has a place of
its own because it is neither secret nor measured, and may be replaced without the FIT.

In front of the policy, a release for a device with a boot ROM has the boot loaders that it brings:
4 MiB, a whole bank as the ROM reads it, which is a FIP and zeros. What begins with anything but the
header of a FIP brings none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bootseal.errors import FormatError, UsageError
from bootseal.formats import fip
from bootseal.formats.fdt.read import total_size
from bootseal.units import KIB, MIB, format_size

if TYPE_CHECKING:
    from bootseal.formats.fdt.model import Buffer

POLICY_SIZE: Final = 64 * KIB
"""Bytes of the policy, padding included."""
LOADERS_SIZE: Final = 4 * MIB
"""Bytes of the boot loaders, padding included: those of a bank."""


def room(size: int) -> int:
    """Return how many bytes of a partition of `size` bytes are in front of the policy.

    Raises:
        FormatError: The partition is smaller than a policy.
    """
    if size < POLICY_SIZE:
        raise FormatError(f"a partition of {format_size(size)} has no room for a FIT and a policy")
    return size - POLICY_SIZE


def loaders_place(size: int) -> int:
    """Return where in a partition of `size` bytes the boot loaders are, if it has room for them.

    Raises:
        FormatError: It has none.
    """
    if size < LOADERS_SIZE + POLICY_SIZE:
        raise FormatError(
            f"a partition of {format_size(size)} has no room for boot loaders of "
            f"{format_size(LOADERS_SIZE)}"
        )
    return room(size) - LOADERS_SIZE


def emit(fit: bytes, policy: bytes, size: int, loaders: bytes = b"") -> bytes:
    """Lay out a partition.

    Args:
        fit: The signed FIT.
        policy: The text of the policy.
        size: Size of the partition in bytes.
        loaders: The FIP that the release brings; empty for none.

    Raises:
        UsageError: They do not fit.
        FormatError: The partition is smaller than a policy.
    """
    if len(loaders) > LOADERS_SIZE:
        raise UsageError(f"the boot loaders have {len(loaders)} bytes: a bank has {LOADERS_SIZE}")
    place = loaders_place(size) if loaders else room(size)
    if len(fit) > place:
        raise UsageError(
            f"a FIT of {format_size(len(fit))} does not fit a boot partition of"
            f" {format_size(size)}, of which the last {format_size(size - place)} are for the "
            f"policy{' and the boot loaders' if loaders else ''}"
        )
    padded = loaders.ljust(room(size) - place, b"\0")
    return fit.ljust(place, b"\0") + padded + pad_policy(policy)


def find_fit(partition: memoryview) -> memoryview:
    """Return the FIT at the start of a partition, exactly.

    Raises:
        FormatError: There is none, or it says that it is larger than the room for it.
    """
    front = partition[: room(len(partition))]
    return front[: total_size(front)]


def find_loaders(partition: memoryview) -> memoryview:
    """Return the boot loaders in a partition, with the zeros behind; empty if it brings none."""
    if len(partition) < LOADERS_SIZE + POLICY_SIZE:
        return partition[:0]
    found = partition[loaders_place(len(partition)) : room(len(partition))]
    return found if found[: len(fip.HEADER)] == fip.HEADER else partition[:0]


def pad_policy(text: bytes) -> bytes:
    """Pad the text of a policy with NULs to the size of its place.

    Raises:
        UsageError: It does not fit.
    """
    if len(text) > POLICY_SIZE:
        raise UsageError(
            f"the PCR policy has {len(text)} bytes: expected at most {POLICY_SIZE}, "
            "the room behind the FIT",
            hint="revoke old releases, and sign again with --keep and --approved",
        )
    return text.ljust(POLICY_SIZE, b"\0")


def parse_policy(tail: Buffer) -> bytes:
    """Return the text of the policy in the last bytes of a partition.

    Raises:
        FormatError: The tail has another size, is empty, or holds more behind the text.
    """
    if len(tail) != POLICY_SIZE:
        raise FormatError(f"the boot partition's tail has {len(tail)} bytes: not {POLICY_SIZE}")
    text = bytes(tail).rstrip(b"\0")
    if not text:
        raise FormatError("the boot partition's tail holds no PCR policy, only NULs")
    if b"\0" in text:
        raise FormatError("the boot partition's tail holds more than one text")
    return text
