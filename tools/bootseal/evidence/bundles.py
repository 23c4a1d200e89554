# SPDX-License-Identifier: MIT
"""Whether an update bundle brings what a device's disk starts: by the digests of its images."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from bootseal.check import expected
from bootseal.disk import image
from bootseal.errors import VerificationRefused
from bootseal.update import release, sign

if TYPE_CHECKING:
    from pathlib import Path


def refuse_other(directory: Path, bundle: Path) -> None:
    """Refuse a bundle with another release than a device has.

    Every block of the bundle is compared with its manifest; who signed it is not asked.

    Args:
        directory: The built device.
        bundle: The bundle.

    Raises:
        UsageError: The device has no slots.
        FormatError: The bundle or the disk is malformed.
        VerificationRefused: The bundle brings other images, or is not what its manifest says.
    """
    from bootseal.formats.update import manifest as manifests  # noqa: PLC0415 - with bundles alone

    named = {each.slot: each.sha256 for each in manifests.parse(sign.whole(bundle)).images}
    target = expected.of_device(directory)
    with image.opened(target.image) as disk:
        for piece in release.of_disk(disk, target).pieces:
            digest = hashlib.sha256()
            for chunk in piece.chunks(disk):
                digest.update(chunk)
            if named.get(piece.slot) != digest.hexdigest():
                raise VerificationRefused(
                    f"{bundle} brings another {piece.slot} than the disk has: it is not of this "
                    "release",
                    hint=f"bootseal update bundle {directory}",
                )
