# SPDX-License-Identifier: MIT
"""What a recipe says of its image before the image is made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

# Of image.bbclass, and the old name for several of them.
_FEATURES: Final = frozenset({
    "allow-empty-password", "allow-root-login", "debug-tweaks", "empty-root-password",
    "serial-autologin-root",
})  # fmt: skip
_PACKAGES: Final = frozenset({"bootseal-device-development"})


def logins(features: Iterable[str], packages: Iterable[str]) -> list[str]:
    """Return what of an image's features and packages lets anyone log in."""
    return sorted((_FEATURES & set(features)) | (_PACKAGES & set(packages)))
