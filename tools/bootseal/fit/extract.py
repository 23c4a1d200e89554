# SPDX-License-Identifier: MIT
"""Extracts the data of an image from a FIT, if it matches its hashes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bootseal.errors import UsageError, VerificationRefused
from bootseal.findings.model import refuse
from bootseal.fit.verify import payloads
from bootseal.fit.verify.digest import PayloadCache
from bootseal.fit.verify.strictness import COMPAT
from bootseal.formats.fit import model as fit_format

if TYPE_CHECKING:
    from bootseal.formats.fdt.model import Buffer


def extract(data: Buffer, name: str) -> memoryview:
    """Return the data of an image as stored, compressed or not; it is not copied.

    Integrity only: hashes are compared, signatures are not checked.

    Args:
        data: A FIT; it must not change while the result is in use.
        name: Name of the image.

    Raises:
        FormatError: `data` is not a FIT.
        UsageError: It has no such image.
        VerificationRefused: The data does not match a hash, has none, or is not in the file.
    """
    fit = fit_format.parse(data, lenient=True)
    known = [each.name for each in fit.images]
    if name not in known:
        raise UsageError(f"the FIT has no image {name!r}: it has {', '.join(known) or 'none'}")
    image = fit.image(name)
    refuse(payloads.check(fit, [image], COMPAT, PayloadCache()), f"the data of {name!r} is refused")
    if all(found.ignored for found in image.hashes):
        raise VerificationRefused(
            f"the data of {name!r} is refused: all its hashes are marked to be ignored"
        )
    return image.payload
