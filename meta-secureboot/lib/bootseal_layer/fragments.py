# SPDX-License-Identifier: MIT
"""Which Kconfig fragments a recipe merges besides the layer's."""

from __future__ import annotations

from pathlib import PurePosixPath


def others(sources: str, required: str) -> list[str]:
    """Return the fragments that are not the layer's, relative to where they are unpacked.

    Args:
        sources: `SRC_URI`.
        required: Names of the layer's fragments.
    """
    names = [
        str(_unpacked(url)) for url in sources.split() if url.partition(";")[0].endswith(".cfg")
    ]
    return [name for name in names if name not in required.split()]


def _unpacked(url: str) -> PurePosixPath:
    place, *parameters = url.removeprefix("file://").split(";")
    path = PurePosixPath(place)
    subdirectory = dict(p.partition("=")[::2] for p in parameters).get("subdir", "")
    # bitbake unpacks what is named by an absolute path without its directories.
    return PurePosixPath(subdirectory, path.name if path.is_absolute() else path)
