# SPDX-License-Identifier: MIT
"""Makes the token, and logs out of it after each test."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pkcs11
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from tests.integration.keys.softhsm import LABEL, MODULE, PIN, SO_PIN, Token, log_out

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def write_key(path: Path, key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> None:
    path.touch(mode=0o600)
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


def softhsm(*args: str | Path) -> None:
    subprocess.run(["softhsm2-util", *map(str, args)], check=True, capture_output=True)


@pytest.fixture(scope="package")
def token(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Token]:
    directory = tmp_path_factory.mktemp("hsm")
    (directory / "tokens").mkdir()
    configuration = directory / "softhsm2.conf"
    configuration.write_text(f"directories.tokendir = {directory}/tokens\nlog.level = ERROR\n")
    pin_file = directory / "pin"
    pin_file.touch(mode=0o600)
    pin_file.write_text(PIN + "\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOFTHSM2_CONF", str(configuration))
        pins = ("--pin", PIN, "--so-pin", SO_PIN)
        softhsm("--init-token", "--free", "--label", "release keys", *pins)
        softhsm("--init-token", "--free", "--label", "other", *pins)
        made: dict[str, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey] = {
            "rsa2048": rsa.generate_private_key(65537, 2048),
            "ecdsa256": ec.generate_private_key(ec.SECP256R1()),
            "ecdsa384": ec.generate_private_key(ec.SECP384R1()),
        }
        for number, (name, key) in enumerate(made.items()):
            write_key(directory / f"{name}.key", key)
            where = ("--token", "release keys", "--pin", PIN)
            named = ("--label", name, "--id", f"0{number + 1}")
            softhsm("--import", directory / f"{name}.key", *where, *named)
        born_in_token()
        yield Token(directory=directory, pin_file=pin_file)
        pkcs11.unload(str(MODULE))


@pytest.fixture(autouse=True)
def logged_out() -> Iterator[None]:
    yield
    log_out()


def born_in_token() -> None:
    """Make a key that never was in a file, and two with the same label."""
    library = pkcs11.lib(str(MODULE))
    with library.get_token(token_label=LABEL).open(rw=True, user_pin=PIN) as session:
        for label, number in (("born here", 16), ("twice", 17), ("twice", 18)):
            session.generate_keypair(
                pkcs11.KeyType.RSA, 2048, id=bytes([number]), label=label, store=True
            )
