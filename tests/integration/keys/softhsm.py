# SPDX-License-Identifier: MIT
"""A SoftHSM token with keys that were files before."""

from __future__ import annotations

import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from bootseal.keys.signers import pkcs11 as tokens
from bootseal.keys.signers.base import Access
from bootseal.keys.signers.pin import SecretSource

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from cryptography.hazmat.primitives.asymmetric import ec, rsa

MODULE = Path("/usr/lib/softhsm/libsofthsm2.so")
LABEL = "release keys"
PIN = "PIN-that-nobody-may-see-4711"
SO_PIN = "security-officer-1234"


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """A SoftHSM token, and the files its keys came from: `NAME.key` in `directory`."""

    directory: Path
    pin_file: Path

    def uri(self, path: str = "", query: str = "") -> str:
        return f"pkcs11:token=release%20keys;{path}?module-path={MODULE}{query}"

    @property
    def access(self) -> Access:
        return Access(secret=SecretSource(file=self.pin_file))


def run(*args: str | Path) -> None:
    """Run softhsm2-util."""
    subprocess.run(["softhsm2-util", *map(str, args)], check=True, capture_output=True)


@contextmanager
def made(
    directory: Path, keys: Mapping[str, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey]
) -> Iterator[Token]:
    """Import keys into a new token, under their names and with the ids 01, 02 and so on.

    Until the context ends, the environment leads to it: a process that has loaded SoftHSM before
    does not see that.
    """
    (directory / "tokens").mkdir()
    configuration = directory / "softhsm2.conf"
    configuration.write_text(f"directories.tokendir = {directory}/tokens\nlog.level = ERROR\n")
    pin_file = directory / "pin"
    pin_file.touch(mode=0o600)
    pin_file.write_text(PIN + "\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOFTHSM2_CONF", str(configuration))
        run("--init-token", "--free", "--label", LABEL, "--pin", PIN, "--so-pin", SO_PIN)
        for number, (name, key) in enumerate(keys.items(), 1):
            file = directory / f"{name}.key"
            file.touch(mode=0o600)
            file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
            where = ("--token", LABEL, "--pin", PIN, "--label", name, "--id", f"{number:02x}")
            run("--import", file, *where)
        yield Token(directory=directory, pin_file=pin_file)


def log_out() -> None:
    """End the sessions of this process with all tokens; its signers sign no more."""
    while tokens._sessions:
        _, session = tokens._sessions.popitem()
        session.close()
