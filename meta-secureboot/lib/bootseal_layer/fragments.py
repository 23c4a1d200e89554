# SPDX-License-Identifier: MIT
"""Which Kconfig fragments a recipe merges besides the layer's."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


def others(merged: Iterable[str], required: str, directory: str) -> list[str]:
    """Return the fragments that are not the layer's, relative to where they are unpacked.

    Args:
        merged: Paths of all fragments of the recipe, as `find_cfgs` lists them.
        required: Names of the layer's.
        directory: `UNPACKDIR`.
    """
    names = [os.path.relpath(path, directory) for path in merged]
    return [name for name in names if name not in required.split()]
