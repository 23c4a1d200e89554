# SPDX-License-Identifier: MIT
"""A declared layout, with the sizes that wic decided as the disk has them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bootseal.disk import image, partitions
from bootseal.disk.layout import parse_wks

if TYPE_CHECKING:
    from pathlib import Path

    from bootseal.disk.layout import Layout


def of_disk(text: str, name: str, path: Path) -> Layout:
    """Read a kickstart file for a finished disk.

    Args:
        text: The kickstart file.
        name: Its name for messages.
        path: The disk image, raw or compressed, which is read only where a size is not declared.

    Raises:
        FormatError: The layout is malformed, or the image is not one.
        UsageError: There is no such image.
        ToolError: The image does not fit the host's disk.
    """
    layout = parse_wks(text, name)
    if not layout.open:
        return layout
    with image.opened(path) as disk:
        table = partitions.read(disk, disk.size)
    sizes = {e.name: e.size for e in table.entries if e.name in layout.open}
    return parse_wks(text, name, sizes)
