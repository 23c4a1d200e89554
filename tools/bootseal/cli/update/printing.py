# SPDX-License-Identifier: MIT
"""What the commands about bundles print: a bundle in one line, or as a document."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from bootseal.cli import console

if TYPE_CHECKING:
    from pathlib import Path

    from bootseal.formats.update.cms import SignedData
    from bootseal.formats.update.manifest import Manifest

SCHEMA: Final = "bootseal.bundle/1"


def say(path: Path, what: str, *, as_json: bool) -> None:
    """Print what a bundle is that was just written."""
    from bootseal.files import mapped
    from bootseal.formats.update import bundle, cms
    from bootseal.formats.update import manifest as manifests

    with mapped(path) as view:
        size, signed = len(view), cms.parse(bundle.parse(view).message)
    if signed is None or signed.content is None:
        return
    manifest = manifests.parse(signed.content)
    if as_json:
        console.emit_json({"schema": SCHEMA, "bundle": path.name, **facts(manifest, signed, size)})
    console.status(
        "OK: {}: {}: {} for {}, {} bytes", path, what, manifest.version, manifest.compatible, size
    )


def facts(manifest: Manifest, signed: SignedData, size: int) -> dict[str, object]:
    """Return what a document says of a bundle; sizes are in bytes, times since 1970."""
    return {
        "compatible": manifest.compatible,
        "version": manifest.version,
        "build": manifest.build,
        "size": size,
        "manifest_sha256": hashlib.sha256(signed.content or b"").hexdigest(),
        "signing_time": signed.signing_time,
        "images": [
            {"slot": each.slot, "name": each.filename, "size": each.size, "sha256": each.sha256}
            for each in manifest.images
        ],
    }
