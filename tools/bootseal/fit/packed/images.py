# SPDX-License-Identifier: MIT
"""Replaces the data of one image of a FIT, with its hashes.

Data in the tree makes the tree larger. Data behind it moves what follows it, whose place in the
tree is corrected; the alignment of what moves is kept.

Spec: U-Boot boot/image-fit.c, fit_image_get_data().
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bootseal.errors import FormatError, UsageError
from bootseal.fit.relayout import FileLayout
from bootseal.fit.verify.digest import STRONG, WEAK, digest
from bootseal.formats.fdt.edit import Editor
from bootseal.units import align_up

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bootseal.formats.fit.model import Fit, Image

_ALIGNMENTS: Final = (4096, 2048, 1024, 512, 256, 128, 64, 32, 16, 8, 4, 1)
_END: Final = 4


def check_hashes(image: Image) -> None:
    """Compare an image with its hashes.

    Raises:
        FormatError: One is wrong, so that no SPL starts it, or of an unknown algorithm.
    """
    for found in image.hashes:
        if found.algorithm not in STRONG | WEAK:
            raise FormatError(f"{found.path}: unknown algorithm {found.algorithm!r}")
        if digest(found.algorithm, image.payload) != found.value:
            raise FormatError(f"{found.path}: the data of the image does not have this hash")


def replace(fit: Fit, image: Image, data: bytes) -> bytes:
    """Return a FIT with other data in one image.

    Args:
        fit: The FIT, which nothing follows.
        image: One of its images, with hashes of known algorithms.
        data: The new data.

    Raises:
        UsageError: Another image has the same data, or data that cannot move is in the way.
    """
    if image.behind:
        return _replace_external(fit, image, data)
    editor = Editor(fit.data, lenient=True)
    layout = FileLayout(fit, editor.size)
    editor.set_property(image.path, "data", data)
    for found in image.hashes:
        editor.set_property(found.path, "value", digest(found.algorithm, data))
    return b"".join(layout.parts(editor))


def _replace_external(fit: Fit, image: Image, data: bytes) -> bytes:
    end = image.offset + len(image.payload)
    external = [other for other in fit.images if other.behind and other is not image]
    if any(i.offset < end and image.offset < i.offset + len(i.payload) for i in external):
        raise UsageError(
            f"{image.path} shares its data with another image: it cannot be changed",
            hint="build the FIT with separate data for each image",
        )
    behind = [each for each in external if each.offset >= end]
    room = min((each.offset for each in behind), default=len(fit.data)) - image.offset
    step = next(s for s in _ALIGNMENTS if all(each.offset % s == 0 for each in behind))
    shift = align_up(max(len(data) - room, 0), step if behind else _END)
    changed = bytearray(fit.data)
    for offset, value in _changes(image, data, behind, shift):
        changed[offset : offset + len(value)] = value
    filled = data.ljust(room + shift, b"\0")
    return bytes(changed[: image.offset]) + filled + bytes(changed[image.offset + room :])


def _changes(
    image: Image, data: bytes, behind: list[Image], shift: int
) -> Iterator[tuple[int, bytes]]:
    """Yield the changes to the tree, all of the same size: offset and new bytes."""
    for each in behind:
        old = each.node.properties[each.place]
        yield old.offset, (int.from_bytes(old.value) + shift).to_bytes(len(old.value))
    size = image.node.properties["data-size"]
    yield size.offset, len(data).to_bytes(len(size.value))
    for child in image.node.children:
        for found in image.hashes:
            if found.path == child.path and "value" in child.properties:
                yield child.properties["value"].offset, digest(found.algorithm, data)
