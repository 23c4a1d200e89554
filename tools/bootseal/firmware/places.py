# SPDX-License-Identifier: MIT
"""Which key signs at which place of the chain: each at its own, and at no other.

A boot loader verifies the same with one key everywhere. But then the key that signs U-Boot every
week can also replace BL2, and has to be kept like the master root key.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING

from bootseal.errors import UsageError
from bootseal.files import resolved
from bootseal.firmware.chain import Key
from bootseal.keys import manifest as manifests
from bootseal.keys.directory import directory as key_directory
from bootseal.keys.profile import Role

if TYPE_CHECKING:
    from pathlib import Path

    from bootseal.keys.signers.base import Access, Signer


def signers(
    directory: Path, access: Access | None = None, *, wanted: Collection[Key] = tuple(Key)
) -> dict[Key, Signer]:
    """Return the signers of a key directory for places of the chain.

    Args:
        directory: A key directory.
        access: What opening keys in tokens needs, such as a PIN.
        wanted: The places; all of them if left out.

    Raises:
        UsageError: It has no key for a place, or that key cannot be used.
        ToolError: A token fails.
    """
    found = manifests.read_manifest(directory)
    if lacking := [key for key in wanted if Role(key) not in found.keys]:
        only = " ".join(f"--only {key}" for key in lacking)
        raise UsageError(
            f"{directory} has no key with the role {', '.join(lacking)}",
            hint=f"bootseal keys generate {directory} --profile {found.profile} {only}",
        )
    return {key: key_directory.signer(directory, Role(key), access) for key in wanted}


def refuse_one_for_two(signers: Mapping[Key, Signer]) -> None:
    """Refuse one key for two places.

    Raises:
        UsageError: There is one.
    """
    places: dict[str, Key] = {}
    for key, signer in signers.items():
        first = places.setdefault(signer.public_key.fingerprint(), key)
        if first is not key:
            raise UsageError(
                f"{first} and {key} are the same key: expected a different one for each",
                hint="bootseal keys generate DIR makes one for each",
            )


def refuse_others(signers: Mapping[Key, Signer], files: Iterable[Path]) -> None:
    """Refuse a key that a key directory lists for something else than its place here.

    Args:
        signers: The keys, by place.
        files: Files of theirs. The key directories in which they are say what each key is for,
            also of copies and of keys in tokens.

    Raises:
        UsageError: There is one.
        FormatError: A `keys.json` is not valid.
    """
    known = {resolved(file).parent: manifests.containing(file) for file in files}
    for key, signer in signers.items():
        fingerprint = signer.public_key.fingerprint()
        for directory, manifest in known.items():
            for role, entry in manifest.entries() if manifest else ():
                if entry.fingerprint == fingerprint and role != Role(key):
                    raise UsageError(
                        f"the key for {key} is {entry.name}, the {role} key of {directory}: it "
                        f"may not sign as {key}",
                        hint=f"bootseal firmware sign FIP --keys {directory}",
                    )
