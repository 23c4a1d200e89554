# SPDX-License-Identifier: MIT
"""The disk layouts of the layer's boards, filled in as bitbake does it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

LAYER: Final = Path(__file__).parents[2] / "meta-secureboot"
FIRMWARE: Final = {
    "raspberrypi4-64": ("firmware", "firmware.vfat"),
    "imx8mp-lpddr4-evk": ("imx-boot", "imx-boot"),
}
"""What the ROM of each board reads: its name in the layout, and its file."""


def text(machine: str, **changes: str) -> str:
    """Return a board's layout, with other values for some of its variables."""
    template = (LAYER / "files/wic/bootseal-ab.wks.in").read_text()
    values: dict[str, str] = {}
    machines = f"conf/machine/include/bootseal-{machine}.inc"
    for name in ("classes-recipe/bootseal_disk.bbclass", machines):
        lines = (LAYER / name).read_text()
        values |= dict(re.findall(r'^(BOOTSEAL_\w+) \?= "(.*)"$', lines, re.MULTILINE))
    for name, value in (values | changes).items():
        template = template.replace(f"${{{name}}}", value)
    return template
