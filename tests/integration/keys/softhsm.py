# SPDX-License-Identifier: MIT
"""A SoftHSM token with keys of every kind."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bootseal.keys.signers import pkcs11 as tokens
from bootseal.keys.signers.base import Access
from bootseal.keys.signers.pin import SecretSource

MODULE = Path("/usr/lib/softhsm/libsofthsm2.so")
LABEL = "release keys"
PIN = "PIN-that-nobody-may-see-4711"
SO_PIN = "security-officer-1234"


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """A SoftHSM token with keys of every kind, and the file keys two of them came from."""

    directory: Path
    pin_file: Path

    def uri(self, path: str = "", query: str = "") -> str:
        return f"pkcs11:token=release%20keys;{path}?module-path={MODULE}{query}"

    @property
    def access(self) -> Access:
        return Access(secret=SecretSource(file=self.pin_file))


def log_out() -> None:
    """End the sessions of this process with all tokens; its signers sign no more."""
    while tokens._sessions:
        _, session = tokens._sessions.popitem()
        session.close()
