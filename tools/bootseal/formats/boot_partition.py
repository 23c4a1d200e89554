# SPDX-License-Identifier: MIT
"""A slot's boot partition: the FIT at its start, zeros, and the PCR policy in its last 64 KiB.

The policy is the text of systemd's `tpm2-pcr-signature.json`, padded with NULs. It has a place of
its own because it is neither secret nor measured, and may be replaced without the FIT.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bootseal.errors import FormatError, UsageError
from bootseal.formats.fdt.read import total_size
from bootseal.units import KIB, format_size

if TYPE_CHECKING:
    from bootseal.formats.fdt.model import Buffer

POLICY_SIZE: Final = 64 * KIB
"""Bytes of the policy, padding included."""


def room(size: int) -> int:
    """Return how many bytes of a partition of `size` bytes are in front of the policy.

    Raises:
        FormatError: The partition is smaller than a policy.
    """
    if size < POLICY_SIZE:
        raise FormatError(f"a partition of {format_size(size)} has no room for a FIT and a policy")
    return size - POLICY_SIZE


def emit(fit: bytes, policy: bytes, size: int) -> bytes:
    """Lay out a partition.

    Args:
        fit: The signed FIT.
        policy: The text of the policy.
        size: Size of the partition in bytes.

    Raises:
        UsageError: They do not fit.
        FormatError: The partition is smaller than a policy.
    """
    if len(fit) > room(size):
        raise UsageError(
            f"a FIT of {format_size(len(fit))} does not fit a boot partition of"
            f" {format_size(size)}, of which the last {format_size(POLICY_SIZE)} are the policy's"
        )
    return fit.ljust(room(size), b"\0") + pad_policy(policy)


def find_fit(partition: memoryview) -> memoryview:
    """Return the FIT at the start of a partition, exactly.

    Raises:
        FormatError: There is none, or it says that it is larger than the room for it.
    """
    front = partition[: room(len(partition))]
    return front[: total_size(front)]


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
