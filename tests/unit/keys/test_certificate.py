# SPDX-License-Identifier: MIT
"""Certificates that the library refuses in its own ways, or reads and only warns of."""

from __future__ import annotations

import base64
import textwrap
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from tests import update_samples as samples

from bootseal.errors import FormatError
from bootseal.keys import certificate, identity
from bootseal.keys.directory import audit
from bootseal.keys.tpm import endorsement

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

GENUINE = samples.keys().authority.certificate
VERSION = bytes.fromhex("a003020102")


def of_version_4(der: bytes) -> bytes:
    return der.replace(VERSION, VERSION[:-1] + b"\3", 1)


def with_negative_number(der: bytes) -> bytes:
    number = GENUINE.serial_number
    serial = number.to_bytes(number.bit_length() // 8 + 1)
    return der.replace(serial, bytes([serial[0] | 0x80]) + serial[1:], 1)


def with_an_extension_twice(der: bytes) -> bytes:
    return der.replace(b"\x06\x03\x55\x1d\x0e", b"\x06\x03\x55\x1d\x23", 1)


def pem(der: bytes) -> bytes:
    text = "\n".join(textwrap.wrap(base64.b64encode(der).decode(), 64))
    return f"-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n".encode()


@pytest.fixture(params=[of_version_4, with_negative_number])
def der(request: pytest.FixtureRequest) -> bytes:
    change: Callable[[bytes], bytes] = request.param
    genuine = GENUINE.public_bytes(Encoding.DER)
    changed = change(genuine)
    assert changed != genuine
    return changed


def test_genuine_certificate_is_read(tmp_path: Path) -> None:
    (tmp_path / "crt").write_bytes(pem(GENUINE.public_bytes(Encoding.DER)))

    assert certificate.read(tmp_path / "crt") == GENUINE


def test_certificate_of_another_form_is_malformed_wherever_it_is_read(
    der: bytes, tmp_path: Path
) -> None:
    (tmp_path / "crt").write_bytes(pem(der))

    with pytest.raises(FormatError, match=f"{tmp_path}/crt is not a certificate in PEM form"):
        certificate.read(tmp_path / "crt")
    with pytest.raises(FormatError, match="in the registry is malformed"):
        identity.pem(der)


def test_certificate_with_an_extension_twice_is_malformed(tmp_path: Path) -> None:
    genuine = GENUINE.public_bytes(Encoding.DER)
    changed = with_an_extension_twice(genuine)
    assert changed != genuine
    (tmp_path / "crt").write_bytes(pem(changed))

    with pytest.raises(FormatError, match="Duplicate"):
        certificate.read(tmp_path / "crt")


def test_audit_survives_a_certificate_of_an_unknown_version(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    genuine = GENUINE.public_bytes(Encoding.DER)
    (tmp_path / "a.crt").write_bytes(pem(of_version_4(genuine)))
    (tmp_path / "b.crt").write_bytes(pem(genuine))

    found = audit.audit(tmp_path, max_age=timedelta(days=1))

    assert "keys.weak" not in {each.id for each in found.findings}


def test_authority_of_tpms_of_an_unknown_version_is_malformed() -> None:
    text = pem(of_version_4(GENUINE.public_bytes(Encoding.DER)))
    with pytest.raises(FormatError, match="makers does not hold certificates"):
        endorsement.authorities(text, "makers")
