# SPDX-License-Identifier: MIT
"""Test keys whose private half anyone can download.

Boot loaders and layers ship such keys so that their tests and first steps work, and products have
left factories with them. `published.toml` lists their fingerprints; they sign in development
profiles and nowhere else.
"""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bootseal.errors import UsageError

if TYPE_CHECKING:
    from bootseal.keys.public import PublicKey

_DATA: Final = Path(__file__).with_name("published.toml")


def origin(fingerprint: str) -> str:
    """Return where a key was published, empty when it is not known to be.

    Args:
        fingerprint: SHA-256 of its SubjectPublicKeyInfo, lower-case hex.
    """
    return _origins().get(fingerprint, "")


def refuse(public_key: PublicKey, where: str) -> None:
    """Refuse a published key.

    Raises:
        UsageError: It is one.
    """
    if known := origin(public_key.fingerprint()):
        raise UsageError(
            f"{where} is a published test key ({known}): anyone can sign with it",
            hint="make your own: bootseal keys generate DIR",
        )


@cache
def _origins() -> dict[str, str]:
    document = tomllib.loads(_DATA.read_text(encoding="utf-8"))
    return {
        fingerprint: f"{project}, {name}"
        for project, keys in document.items()
        for name, fingerprint in keys.items()
    }
