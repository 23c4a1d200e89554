# SPDX-License-Identifier: MIT
"""RAUC as the witness: it accepts and refuses the same bundles, and we accept those it makes."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from tests import update_samples as samples
from tests.unit.check.conftest import make_base

from bootseal.errors import FormatError
from bootseal.formats.update import bundle, cms
from bootseal.keys import envelope
from bootseal.keys.profile import Role
from bootseal.keys.signers.file import FileSigner
from bootseal.progress import Silent
from bootseal.update import check as update_check
from bootseal.update import crypt
from bootseal.update.sign import Signing, whole

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.unit.check.conftest import Base

    from bootseal.keys.certificate import CertifiedKey
    from bootseal.keys.envelope import Opener
    from bootseal.update.check import Wanted

pytestmark = [
    pytest.mark.tool("rauc"),
    pytest.mark.tool("mksquashfs"),
    pytest.mark.tool("sqfs2tar"),
]
CONFIGURATION = """[system]
compatible=sample
bootloader=noop
bundle-formats=verity crypt
data-directory={directory}/data
[keyring]
path={directory}/ca.crt
allow-partial-chain=true
check-purpose=codesign
use-bundle-signing-time=true
"""
MANIFEST = """[update]
compatible=sample
version=2.0.0
[bundle]
format=verity
[image.root]
filename=root.img
adaptive=block-hash-index
[image.verity]
filename=verity.img
[image.boot]
filename=boot.img
"""


class World(NamedTuple):
    """A device's configuration of RAUC, and what makes bundles."""

    directory: Path
    base: Base
    sample: samples.Bundle
    keys: samples.Keys

    def rauc(self, *arguments: str | Path, configuration: Path | None = None) -> str:
        """Run RAUC; what it says ends with its exit code."""
        command = ["rauc", "-c", configuration or self.directory / "system.conf", *arguments]
        done = subprocess.run(
            list(map(str, command)), capture_output=True, text=True, check=False, timeout=120
        )
        return f"{done.stdout}{done.stderr}exit {done.returncode}"

    @property
    def wanted(self) -> Wanted:
        return update_check.for_device(
            self.base.target,
            self.keys.authority.certificate,
            lowest=0,
            compatible=samples.COMPATIBLE,
            inside=False,
        )


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    directory = tmp_path_factory.mktemp("rauc") / "keys"
    keys = samples.keys()
    samples.write_keys(keys, directory)
    (directory / "data").mkdir()
    (directory / "system.conf").write_text(CONFIGURATION.format(directory=directory))
    base = make_base(tmp_path_factory.mktemp("disk"))
    sample = samples.Bundle(files=samples.images(base), signer=keys.update, when=keys.when)
    return World(directory, base, sample, keys)


def test_bundle_of_ours_is_accepted_and_extracted_by_rauc(world: World, tmp_path: Path) -> None:
    path = tmp_path / "good.raucb"
    path.write_bytes(world.sample.to_bytes(tmp_path / "files"))

    said = world.rauc("info", path)
    assert said.endswith("exit 0")
    assert "Verified inline signature by 'CN = DEV update'" in said
    assert "block-hash-index" in said
    assert world.rauc("extract", path, tmp_path / "out").endswith("exit 0")
    for name, data in world.sample.files.items():
        assert (tmp_path / "out" / name).read_bytes() == data
    assert not update_check.check(path, world.wanted, Silent()).errors


def test_signature_on_an_elliptic_curve_is_accepted_by_rauc(world: World, tmp_path: Path) -> None:
    update = samples.key(Role.UPDATE, world.keys.authority, kind="ecdsa256")
    path = tmp_path / "good.raucb"
    path.write_bytes(replace(world.sample, signer=update).to_bytes(tmp_path / "files"))

    assert world.rauc("info", path).endswith("exit 0")
    assert not update_check.check(path, world.wanted, Silent()).errors


def by(role: Role, issuer: Callable[[samples.Keys], CertifiedKey]) -> Callable[..., bytes]:
    def change(world: World, data: bytes) -> bytes:
        signer = samples.key(role, issuer(world.keys))
        return samples.resigned(data, signer, world.keys.when)

    return change


@pytest.mark.parametrize(
    ("change", "refusal", "ours"),
    [
        pytest.param(
            by(Role.UPDATE, lambda keys: samples.key(Role.UPDATE_CA, keys.root)),
            "certificate verify|signature failure|unable to get",
            "update.issuer",
            id="another authority",
        ),
        pytest.param(
            by(Role.UPDATE, lambda keys: keys.device_ca),
            "unable to get local issuer certificate",
            "update.issuer",
            id="device-ca",
        ),
        pytest.param(
            by(Role.FIT, lambda keys: keys.authority),
            "unsuitable certificate purpose",
            "update.purpose",
            id="no purpose",
        ),
        pytest.param(
            lambda world, data: samples.resigned(
                data, world.keys.update, world.keys.when + 40 * 86400
            ),
            "certificate has expired",
            "update.validity",
            id="after the certificate",
        ),
    ],
)
def test_twin_is_refused_by_rauc_too(
    world: World, tmp_path: Path, change: Callable[..., bytes], refusal: str, ours: str
) -> None:
    path = tmp_path / "twin.raucb"
    path.write_bytes(change(world, world.sample.to_bytes(tmp_path / "files")))

    said = world.rauc("info", path)
    assert said.endswith("exit 1")
    assert any(words in said for words in refusal.split("|")), said
    assert {e.id for e in update_check.check(path, world.wanted, Silent()).errors} == {ours}


def test_message_that_names_another_hash_is_refused_by_rauc_too(
    world: World, tmp_path: Path
) -> None:
    body, message = samples.parts(world.sample.to_bytes(tmp_path / "files"))
    named = bytes.fromhex("310d300b0609608648016503040201")
    assert message.count(named) == 1
    path = tmp_path / "twin.raucb"
    path.write_bytes(body + bundle.trailer(message.replace(named, named[:-1] + b"\2")))

    assert "no matching digest" in world.rauc("info", path)
    with pytest.raises(FormatError, match="names other hashes"):
        update_check.check(path, world.wanted, Silent())


def test_changed_block_is_refused_by_rauc_when_it_extracts(world: World, tmp_path: Path) -> None:
    data = bytearray(world.sample.to_bytes(tmp_path / "files"))
    data[4096 + 5] ^= 1
    path = tmp_path / "twin.raucb"
    path.write_bytes(data)

    assert world.rauc("info", path).endswith("exit 0")
    assert "bundle payload is corrupted" in world.rauc("extract", path, tmp_path / "out")
    found = update_check.check(path, world.wanted, Silent()).errors
    assert [each.id for each in found] == ["update.payload"]


def test_bundle_that_rauc_made_is_accepted(world: World, tmp_path: Path) -> None:
    content = tmp_path / "content"
    content.mkdir()
    for name, data in world.sample.files.items():
        (content / name).write_bytes(data)
    (content / "manifest.raucm").write_text(MANIFEST)
    path = tmp_path / "theirs.raucb"
    key, certificate = world.directory / "update.key", world.directory / "update.crt"
    said = world.rauc("bundle", f"--cert={certificate}", f"--key={key}", content, path)
    assert said.endswith("exit 0"), said

    verdict = update_check.check(path, world.wanted, Silent())

    assert not verdict.errors
    assert verdict.manifest is not None
    assert [each.slot for each in verdict.manifest.images] == ["root", "verity", "boot"]


def reader(world: World, name: str, by: Opener) -> Path:
    """Write the configuration of a device that has a key to decrypt with."""
    place = world.directory / name
    place.mkdir(exist_ok=True)
    key, certificate = place / "key.pem", place / "certificate.pem"
    form = (Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    key.write_bytes(by.private.private_bytes(*form))
    certificate.write_bytes(by.certificate.public_bytes(Encoding.PEM))
    text = CONFIGURATION.format(directory=world.directory)
    path = place / "system.conf"
    path.write_text(f"{text}[encryption]\nkey={key}\ncert={certificate}\n")
    return path


def encrypted(world: World, data: bytes, place: Path, *recipients: Opener) -> Path:
    path, output = place / "good.raucb", place / "crypt.raucb"
    path.write_bytes(data)
    signing = Signing(
        signer=FileSigner(world.keys.update.private),
        certificate=world.keys.update.certificate,
        authority=world.keys.authority.certificate,
        when=world.keys.when,
    )
    certificates = [each.certificate for each in recipients]
    crypt.encrypt(path, whole(path), signing, certificates, output, Silent())
    return output


def test_encrypted_bundle_of_ours_is_opened_by_each_recipient_and_by_nobody_else(
    world: World, tmp_path: Path
) -> None:
    one, two, other = (samples.recipient(name) for name in ("dev-1", "dev-2", "dev-3"))
    path = encrypted(world, world.sample.to_bytes(tmp_path / "files"), tmp_path, one, two)

    for name, by in (("one", one), ("two", two)):
        configuration = reader(world, name, by)
        said = world.rauc("info", path, configuration=configuration)
        assert said.endswith("exit 0"), said
        assert "Verified inline signature by 'CN = DEV update'" in said
        out = tmp_path / name
        assert world.rauc("extract", path, out, configuration=configuration).endswith("exit 0")
        for file, data in world.sample.files.items():
            assert (out / file).read_bytes() == data

    said = world.rauc("info", path, configuration=reader(world, "other", other))
    assert said.endswith("exit 1")
    assert "Failed to decrypt bundle: Failed to decrypt CMS EnvelopedData" in said
    assert "no decryption key given" in world.rauc("info", path)


def test_changed_block_of_an_encrypted_bundle_is_refused_by_rauc_when_it_extracts(
    world: World, tmp_path: Path
) -> None:
    one = samples.recipient()
    path = encrypted(world, world.sample.to_bytes(tmp_path / "files"), tmp_path, one)
    data = bytearray(path.read_bytes())
    data[4096 + 5] ^= 1
    path.write_bytes(data)

    configuration = reader(world, "changed", one)
    said = world.rauc("extract", path, tmp_path / "out", configuration=configuration)
    assert "bundle payload is corrupted" in said
    found = update_check.check(path, world.wanted, Silent(), one).errors
    assert [each.id for each in found] == ["update.payload"]


def test_encrypted_bundle_signed_by_another_authority_is_refused_by_rauc_too(
    world: World, tmp_path: Path
) -> None:
    one = samples.recipient()
    path = encrypted(world, world.sample.to_bytes(tmp_path / "files"), tmp_path, one)
    body, message = samples.parts(path.read_bytes())
    stranger = samples.key(Role.UPDATE, samples.key(Role.UPDATE_CA, world.keys.root))
    signed = cms.parse(envelope.unseal(message, one))
    assert signed
    assert signed.content
    again = samples.signed(signed.content, stranger, world.keys.when)
    path.write_bytes(body + bundle.trailer(envelope.seal(again, [one.certificate])))

    said = world.rauc("info", path, configuration=reader(world, "stranger", one))
    assert said.endswith("exit 1")
    assert "unable to get local issuer certificate" in said
    found = update_check.check(path, world.wanted, Silent(), one).errors
    assert [each.id for each in found] == ["update.issuer"]


def test_encrypted_bundle_that_rauc_made_is_accepted(world: World, tmp_path: Path) -> None:
    content = tmp_path / "content"
    content.mkdir()
    for name, data in world.sample.files.items():
        (content / name).write_bytes(data)
    (content / "manifest.raucm").write_text(MANIFEST.replace("format=verity", "format=crypt"))
    one = samples.recipient()
    readable, path = tmp_path / "readable.raucb", tmp_path / "theirs.raucb"
    key, certificate = world.directory / "update.key", world.directory / "update.crt"
    said = world.rauc("bundle", f"--cert={certificate}", f"--key={key}", content, readable)
    assert said.endswith("exit 0"), said
    recipient = tmp_path / "one.crt"
    recipient.write_bytes(one.certificate.public_bytes(Encoding.PEM))
    said = world.rauc("encrypt", f"--to={recipient}", readable, path)
    assert said.endswith("exit 0"), said

    verdict = update_check.check(path, world.wanted, Silent(), one)

    assert not verdict.errors
    assert verdict.manifest is not None
    assert [each.slot for each in verdict.manifest.images] == ["root", "verity", "boot"]
    found = update_check.check(readable, world.wanted, Silent()).errors
    assert [each.id for each in found] == ["update.format"]
