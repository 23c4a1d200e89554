# SPDX-License-Identifier: MIT
"""The boot ROM with the hash of the master root key, and the FIP that it starts, signed."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from bootseal.firmware import banks, chain, places, rom, sign
from bootseal.formats import fip
from bootseal.keys import tbbr
from bootseal.reference import cache

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from bootseal.reference.tfa import Tfa

COUNTER: Final = 1
"""Security version of the boot loader."""
_FIP: Final = "firmware.fip"


def write(built: Tfa, keys: Path, paths: Mapping[str, Path]) -> None:
    """Write `rom`, `bl2`, `bl31` and `firmware`; U-Boot is there.

    The signatures have random salts, so a FIP that was signed before for the same images, keys and
    counter is used again: equal inputs give an equal device.

    Args:
        built: TF-A as compiled.
        keys: Key directory to sign with.
        paths: The artefacts by role.

    Raises:
        UsageError: A key is missing.
        VerificationRefused: TF-A does not take the hash of the master root key.
        ToolError: A token fails.
    """
    signers = places.signers(keys)
    root_hash = signers[chain.Key.MRK].public_key.fingerprint()
    for role, name, what in (("rom", "bl1.bin", "BL1"), ("bl2", "bl2.bin", "BL2")):
        image = (built.directory / name).read_bytes()
        paths[role].write_bytes(rom.with_root_key(image, root_hash, what))
    paths["bl31"].write_bytes((built.directory / "bl31.bin").read_bytes())
    images = {name: paths[role].read_bytes() for role, name in banks.IMAGES.items()}
    inputs = {
        "images": {name: hashlib.sha256(image).hexdigest() for name, image in images.items()},
        "keys": {key: signer.public_key.fingerprint() for key, signer in signers.items()},
        "counter": COUNTER,
    }

    def fill(directory: Path) -> None:
        unsigned = fip.parse(fip.emit(images))
        counters = dict.fromkeys(chain.Counter, COUNTER)
        (directory / _FIP).write_bytes(sign.sign(unsigned, signers, counters))

    code = (__file__, sign.__file__, chain.__file__, fip.__file__, tbbr.__file__)
    signed, _ = cache.entry("firmware", cache.key(inputs, *code), fill)
    paths["firmware"].write_bytes((signed / _FIP).read_bytes())
