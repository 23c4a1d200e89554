# SPDX-License-Identifier: MIT
"""A FIP whose master root key is wherever its signer says, and the check of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests import samples

from bootseal.firmware.chain import Counter, Key
from bootseal.firmware.sign import sign
from bootseal.firmware.verify import check
from bootseal.formats import fip

if TYPE_CHECKING:
    from bootseal.keys.signers.base import Signer


def check_chain(root: Signer) -> None:
    """Sign with the root and check; a tampered twin is refused for its own reason."""
    keys: dict[Key, Signer] = {
        key: samples.signer("ecdsa256", number) for number, key in enumerate(Key)
    }
    unsigned = fip.emit({"tb-fw": b"BL2", "soc-fw": b"BL31", "nt-fw": b"U-Boot"})
    counters = {Counter.TRUSTED: 1, Counter.NONTRUSTED: 1}

    data = sign(fip.parse(unsigned), keys | {Key.MRK: root}, counters)

    assert check(fip.parse(data), root.public_key.fingerprint()).findings == ()
    changed = data.replace(b"BL31", b"BL32")
    (found,) = check(fip.parse(changed), root.public_key.fingerprint()).findings
    assert (found.id, found.where) == ("firmware.hash", "soc-fw")
