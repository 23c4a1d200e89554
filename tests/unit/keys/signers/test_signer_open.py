# SPDX-License-Identifier: MIT
from __future__ import annotations

import dataclasses
import sys
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)

from bootseal.errors import ToolError, UsageError
from bootseal.keys import published
from bootseal.keys.directory import directory as key_directory
from bootseal.keys.directory import rotate as rotation
from bootseal.keys.directory.create import write_all
from bootseal.keys.manifest import read_manifest
from bootseal.keys.profile import Role
from bootseal.keys.signers import base as signers
from bootseal.keys.signers.pin import SecretSource

if TYPE_CHECKING:
    from pathlib import Path

    from bootseal.keys.profile import Profile


@pytest.fixture(scope="module")
def private() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def write_key(
    path: Path, key: rsa.RSAPrivateKey, encryption: KeySerializationEncryption | None = None
) -> Path:
    path.touch(mode=0o600)
    path.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption or NoEncryption())
    )
    return path


def test_plain_file_needs_no_secret(
    private: rsa.RSAPrivateKey, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_key(tmp_path / "fit.key", private)
    monkeypatch.setenv("BOOTSEAL_PASSPHRASE", "for another file")

    assert signers.open(str(path)).public_key.bits == 2048


def test_encrypted_file_takes_its_passphrase_from_file_environment_or_question(
    private: rsa.RSAPrivateKey, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = str(write_key(tmp_path / "fit.key", private, BestAvailableEncryption(b"open")))
    words = tmp_path / "words"
    words.touch(mode=0o600)
    words.write_text("open\n")

    for secret in (SecretSource(file=words), SecretSource(ask=lambda _: "open")):
        assert signers.open(path, signers.Access(secret=secret)).public_key.bits == 2048
    with pytest.raises(UsageError, match=r"passphrase of .* is needed, and there is no terminal"):
        signers.open(path)
    monkeypatch.setenv("BOOTSEAL_PASSPHRASE", "open")
    assert signers.open(path).public_key.bits == 2048
    monkeypatch.setenv("BOOTSEAL_PASSPHRASE", "shut-in")
    with pytest.raises(UsageError, match="passphrase is wrong") as refusal:
        signers.open(path)
    assert "shut-in" not in str(refusal.value)


def test_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no private key at"):
        signers.open(str(tmp_path / "none.key"))


def test_reference_leads_to_tokens_and_services_only(tmp_path: Path) -> None:
    path = tmp_path / "fit.key"
    path.write_text("bootseal-signer: /etc/other.key\n")
    with pytest.raises(UsageError, match=r"expected pkcs11:\.\.\. or awskms"):
        signers.open(str(path))
    with pytest.raises(UsageError, match="is not a token or service"):
        signers.write_reference("/etc/other.key")
    with pytest.raises(UsageError, match="contains a PIN"):
        signers.write_reference("pkcs11:token=x?pin-value=1")
    source = "awskms:///alias/x"
    path.write_bytes(signers.write_reference(source))
    assert signers.read_reference(path) == source


@pytest.mark.parametrize(
    ("source", "package"), [("pkcs11:token=x", "pkcs11"), ("awskms:///alias/x", "boto3")]
)
def test_missing_package_is_named(
    monkeypatch: pytest.MonkeyPatch, source: str, package: str
) -> None:
    for name in ("pkcs11", "kms", "amazon"):
        monkeypatch.delitem(sys.modules, f"bootseal.keys.signers.{name}", raising=False)
        # An earlier test may have left the module on the package, where `from` finds it.
        monkeypatch.delattr(f"bootseal.keys.signers.{name}", raising=False)
    monkeypatch.setitem(sys.modules, package, None)

    with pytest.raises(ToolError, match="which is not installed") as refusal:
        signers.open(source)
    assert "pip install 'bootseal[" in refusal.value.hint


def test_published_key_signs_in_a_development_directory_only(
    small: Profile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key_directory.generate(small, tmp_path / "keys")
    key = key_directory.find(tmp_path / "keys", Role.FIT)
    path = tmp_path / "keys" / f"{key.name}.key"
    copy = tmp_path / "copy.key"
    copy.touch(mode=0o600)
    copy.write_bytes(path.read_bytes())
    signers.open(str(copy))

    fingerprint = key.public_key.fingerprint()
    monkeypatch.setattr(published, "_origins", lambda: {fingerprint: "Project, root.pem"})

    signers.open(str(path))
    with pytest.raises(UsageError, match=r"published test key \(Project, root.pem\)"):
        signers.open(str(copy))
    manifest = read_manifest(tmp_path / "keys")
    production = dataclasses.replace(manifest, development=False)
    write_all(tmp_path / "keys", {}, production)
    with pytest.raises(UsageError, match="published test key"):
        key_directory.signer(tmp_path / "keys", Role.FIT)


def test_list_of_published_keys_is_well_formed() -> None:
    origins = published._origins()

    assert len(origins) > 80
    assert all(rotation.is_fingerprint(fingerprint) for fingerprint in origins)
    assert (
        published.origin("a14bcb1bf9bb821146ba32838217e476f5412621320534ffe490a1890c994660")
        == "MCUboot, root-rsa-2048.pem"
    )
    assert published.origin("0" * 64) == ""
