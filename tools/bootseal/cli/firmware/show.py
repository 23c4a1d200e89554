# SPDX-License-Identifier: MIT
"""`bootseal firmware show`."""

from __future__ import annotations

import hashlib

from bootseal.cli import console
from bootseal.cli.inputs import opened
from bootseal.cli.options import FipFile, Json


def show(fip: FipFile, *, as_json: Json = False) -> None:
    """Show the contents of a FIP, without verifying it.

    Every byte outside of the images is compared with its only valid value.

    Example: bootseal firmware show fip.bin
    """
    from bootseal.formats import fip as fips
    from bootseal.formats.kinds.kind import FIP

    with opened(fip, FIP) as data:
        found = fips.parse(data)
        images = [
            {
                "name": entry.name,
                "title": fips.IMAGES[entry.name].title,
                "uuid": fips.IMAGES[entry.name].uuid,
                "offset": entry.offset,
                "size": entry.size,
                "sha256": hashlib.sha256(data[entry.offset : entry.end]).hexdigest(),
            }
            for entry in found.entries
        ]
        size = len(data)
    if as_json:
        console.emit_json(
            {
                "schema": "bootseal.firmware/1",
                "size": size,
                "alignment": found.alignment,
                "images": images,
            }
        )
        return
    console.say("FIP, {} bytes", size)
    for each in images:
        line = f"{each['title']}, {each['size']} bytes at {each['offset']:#x}"
        console.say("  [bold]{}[/]: {}", each["name"], line)
        console.say("    sha256 {}", each["sha256"])
