# SPDX-License-Identifier: MIT
"""What goes into the FIT, where the machine says it in a way of its own."""

from __future__ import annotations

from pathlib import PurePath


def device_tree(names: str | None) -> str:
    """Return the file name of the first device tree of `KERNEL_DEVICETREE`, overlays left out.

    Empty when the machine names none.
    """
    trees = (PurePath(name).name for name in (names or "").split())
    return next((tree for tree in trees if tree.endswith(".dtb")), "")
