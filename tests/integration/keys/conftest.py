# SPDX-License-Identifier: MIT
"""Makes the token, and logs out of it after each test."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pkcs11
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from tests.integration.keys import softhsm
from tests.integration.keys.softhsm import LABEL, MODULE, PIN, SO_PIN, Token, log_out

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def token(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Token]:
    keys: dict[str, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey] = {
        "rsa2048": rsa.generate_private_key(65537, 2048),
        "ecdsa256": ec.generate_private_key(ec.SECP256R1()),
        "ecdsa384": ec.generate_private_key(ec.SECP384R1()),
    }
    with softhsm.made(tmp_path_factory.mktemp("hsm"), keys) as token:
        softhsm.run("--init-token", "--free", "--label", "other", "--pin", PIN, "--so-pin", SO_PIN)
        born_in_token()
        yield token


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
