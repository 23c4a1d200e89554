# SPDX-License-Identifier: MIT
"""Puts the certificates of the chain into a FIP."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING

from bootseal.errors import UsageError
from bootseal.firmware import chain, places
from bootseal.formats import fip
from bootseal.keys import tbbr

if TYPE_CHECKING:
    from bootseal.firmware.chain import Certificate, Counter, Key
    from bootseal.formats.fip import Fip
    from bootseal.keys.signers.base import Signer


def sign(found: Fip, signers: Mapping[Key, Signer], counters: Mapping[Counter, int]) -> bytes:
    """Sign a FIP; certificates that it has are replaced.

    Args:
        found: The FIP; images and alignment are kept.
        signers: A signer for every key of the chain.
        counters: The values of both counters.

    Returns:
        The signed FIP. `verify.check` says whether it is good.

    Raises:
        UsageError: An image is missing, or one is there that no certificate covers; one key is to
            sign at two places; or a counter is too large.
        ToolError: A token or service fails.
    """
    if lacking := chain.missing(found):
        raise UsageError(
            f"the FIP has no {lacking[0]}: expected {', '.join(chain.REQUIRED)}",
            hint=f"bootseal firmware build --image {lacking[0]}=FILE ...",
        )
    if others := chain.strangers(found):
        raise UsageError(f"the FIP has {others[0]}, which no certificate of the chain covers")
    places.refuse_one_for_two(signers)
    for counter, value in counters.items():
        if not 0 <= value <= tbbr.MAX_COUNTER:
            raise UsageError(
                f"the {counter.name.lower()} counter is {value}: expected 0 to {tbbr.MAX_COUNTER}"
            )
    images = {
        entry.name: bytes(found.data[entry.offset : entry.end])
        for entry in found.entries
        if entry.name not in chain.CERTIFICATES
    }
    certificates = {
        row.image: tbbr.issue(
            row.common_name, signers[row.signer], _extensions(row, images, signers, counters)
        )
        for row in chain.CHAIN
    }
    return fip.emit(images | certificates, alignment=found.alignment)


def _extensions(
    row: Certificate,
    images: Mapping[str, bytes],
    signers: Mapping[Key, Signer],
    counters: Mapping[Counter, int],
) -> dict[int, bytes]:
    """Return the extensions of a certificate; the hash of an absent image is zero."""
    found = {int(row.counter): tbbr.counter(counters[row.counter])}
    for number, key in row.keys.items():
        found[number] = signers[key].public_key.spki_der
    for number, name in row.hashes.items():
        image = images.get(name)
        absent = bytes(hashlib.new(tbbr.HASH).digest_size)
        digest = absent if image is None else hashlib.new(tbbr.HASH, image).digest()
        found[number] = tbbr.digest_info(tbbr.HASH, digest)
    return found
