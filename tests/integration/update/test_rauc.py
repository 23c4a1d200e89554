# SPDX-License-Identifier: MIT
"""RAUC as the witness: it accepts and refuses the same bundles, and we accept those it makes."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import pytest
from tests import update_samples as samples
from tests.unit.check.conftest import make_base

from bootseal.errors import FormatError
from bootseal.formats.update import bundle
from bootseal.keys.profile import Role
from bootseal.progress import Silent
from bootseal.update import check as update_check

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.unit.check.conftest import Base

    from bootseal.keys.certificate import CertifiedKey
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

    def rauc(self, *arguments: str | Path) -> str:
        """Run RAUC; what it says ends with its exit code."""
        command = ["rauc", "-c", self.directory / "system.conf", *arguments]
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
