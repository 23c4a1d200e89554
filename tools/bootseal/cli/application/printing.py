# SPDX-License-Identifier: MIT
"""What the commands about applications print: an image in one line, or as a document."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bootseal.cli import console

if TYPE_CHECKING:
    from pathlib import Path

    from bootseal.app.contents import Declared
    from bootseal.app.image import Image

SCHEMA: Final = "bootseal.app/1"


def say(path: Path, what: str, *, as_json: bool) -> None:
    """Print what an image is that was just written."""
    from bootseal.app import image as images

    with images.opened(path) as disk:
        size, (image, _) = disk.size, images.read(disk)
    if image is None:
        return
    if as_json:
        console.emit_json({"schema": SCHEMA, "image": path.name, **facts(image, size)})
    console.status("OK: {}: {}: root hash {}, {} bytes", path, what, image.root_hash.hex(), size)


def facts(image: Image, size: int) -> dict[str, object]:
    """Return what a document says of an image; sizes and offsets are in bytes."""
    signed = image.signed
    return {
        "size": size,
        "disk": image.disk,
        "root_hash": image.root_hash.hex(),
        "salt": image.superblock.salt.hex(),
        "blocks": image.superblock.blocks,
        "certificate": None if signed is None else signed.certificate,
        "partitions": [
            {
                "name": each.name,
                "type": each.type,
                "uuid": each.uuid,
                "offset": each.offset,
                "size": each.size,
            }
            for each in (image.root, image.verity, image.signature)
        ],
    }


def declared(said: Declared | None) -> dict[str, object]:
    """Return what a document says of what an application says of itself."""
    if said is None:
        return {"name": None, "version": None, "entry": None}
    return {"name": said.release.name, "version": said.release.version, "entry": f"/{said.entry}"}
