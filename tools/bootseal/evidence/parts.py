# SPDX-License-Identifier: MIT
"""What a bill of materials says of a device's files: purpose, what is inside of what, whose key.

bitbake reads this module as well: it imports nothing outside of Python.

Spec: SPDX 3.0.1, SoftwarePurpose and RelationshipType.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection

PURPOSES: Final = {
    "disk": "diskImage",
    "bios": "firmware",
    "rom": "firmware",
    "firmware": "firmware",
    "bl2": "firmware",
    "bl31": "firmware",
    "root": "filesystemImage",
    "initramfs": "filesystemImage",
    "kernel": "operatingSystem",
    "null-cipher": "module",
    "uboot-config": "configuration",
}
"""Of artefacts, by role; of any other it is `file`."""
DESCRIPTION: Final = "device"
"""The role of `device.json` itself, which is not among the artefacts that it lists."""
DESCRIPTION_PURPOSE: Final = "manifest"
KEY_PURPOSE: Final = "data"

UBOOT: Final = ("bios", "control-dtb", "uboot-config")
TRUSTED_FIRMWARE: Final = ("rom", "bl2", "bl31")
MBED_TLS: Final = ("rom", "bl2")
KERNEL: Final = ("kernel", "null-cipher")
"""Roles of what is made from a component."""

_HOLDS: Final = {
    "disk": ("firmware", "fit", "policy", "root", "root-verity", "bootstate"),
    "fit": ("kernel", "initramfs", "fdt-a", "fdt-b"),
    "firmware": ("bl2", "bl31", "bios"),
    "bios": ("control-dtb",),
}
"""Which artefacts are inside of which, by role."""
_SIGNED: Final = {"fit": "fit", "policy": "policy", "firmware": "mrk"}
"""Whose key signed an artefact, by role."""
_TRUSTS: Final = {"control-dtb": "fit", "rom": "mrk"}
"""Which artefact verifies with whose key, by role."""


class Relation(NamedTuple):
    """A relationship between files of a device.

    Attributes:
        source: Role of an artefact, or DESCRIPTION.
        kind: RelationshipType.
        to: Roles of artefacts; with a comment, roles of keys.
        comment: What the kind does not say: SPDX 3.0.1 has none for signatures.
    """

    source: str
    kind: str
    to: tuple[str, ...]
    comment: str = ""


def relations(artefacts: Collection[str], keys: Collection[str]) -> list[Relation]:
    """Return what is inside of what, whose key signed and verifies, and what device.json describes.

    Args:
        artefacts: Roles of the artefacts that there are.
        keys: Roles of the keys that there are.

    >>> relations(["disk", "fit"], ["fit"])[0]
    Relation(source='disk', kind='contains', to=('fit',), comment='')
    """
    found = [
        Relation(role, "contains", inside)
        for role, held in _HOLDS.items()
        if role in artefacts and (inside := tuple(each for each in held if each in artefacts))
    ]
    for table, comment in ((_SIGNED, "signed by this key"), (_TRUSTS, "verifies with this key")):
        found += [
            Relation(role, "other", (key,), comment)
            for role, key in table.items()
            if role in artefacts and key in keys
        ]
    if "disk" in artefacts:
        found.append(Relation(DESCRIPTION, "describes", ("disk",)))
    return found


def key_name(role: str) -> str:
    """Return the name of a public key's file; its digest is the key's fingerprint."""
    return f"public key of the role {role}, SubjectPublicKeyInfo in DER form"
