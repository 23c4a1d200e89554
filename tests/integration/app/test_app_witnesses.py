# SPDX-License-Identifier: MIT
"""Witnesses of application images: cryptsetup, erofs-utils, OpenSSL, and systemd of Debian 13.

systemd verifies a signature only when it starts an image. That is not tried here: its dissection
with the policy of the unit is, and OpenSSL's verification in the way systemd calls it.
"""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from tests import app_samples as samples

from bootseal import proc
from bootseal.app import stage
from bootseal.errors import ToolError
from bootseal.formats.app.release import Release

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.tool("mkfs.erofs", "fsck.erofs")
POLICY = "--image-policy=root=signed"
SYSTEMD = 256
"""The first version whose systemd-repart makes portable images without a loop device and a root."""


@pytest.fixture
def image(tmp_path: Path) -> Path:
    return samples.build(samples.tree(tmp_path / "root"), tmp_path / "hello.raw")


def parts(image: Path) -> tuple[Path, Path, str]:
    """Write root and hash tree to files of their own; return them, and the root hash."""
    data = image.read_bytes()
    root, tree, _ = samples.entries(data)
    files = image.with_name("root.part"), image.with_name("tree.part")
    for file, entry in zip(files, (root, tree), strict=True):
        file.write_bytes(data[entry.offset : entry.end])
    return *files, samples.signed(data).root_hash


@pytest.mark.tool("veritysetup")
def test_veritysetup_verifies_the_tree_and_refuses_a_changed_block(image: Path) -> None:
    root, tree, root_hash = parts(image)
    arguments = ["verify", str(root), str(tree), root_hash]

    proc.run("veritysetup", arguments, timeout=60)
    said = proc.run("veritysetup", ["dump", tree], timeout=60).stdout.decode()
    assert re.search(r"Data blocks:\s+(\d+)", said)
    root.write_bytes(samples.changed(root.read_bytes(), 5 * 4096))
    with pytest.raises(ToolError, match="Verification failed at position 20480"):
        proc.run("veritysetup", arguments, timeout=60)


def test_fsck_accepts_the_file_system(image: Path) -> None:
    root, _, _ = parts(image)
    proc.run("fsck.erofs", [root], timeout=60)


@pytest.mark.tool("sfdisk")
def test_sfdisk_finds_nothing_wrong_with_the_tables(image: Path) -> None:
    said = proc.run("sfdisk", ["--verify", image], timeout=60)
    assert b"No errors detected" in said.stdout


@pytest.mark.tool("openssl")
@pytest.mark.parametrize("kind", ["rsa2048", "ecdsa256"])
@pytest.mark.parametrize("command", ["cms", "smime"])
def test_openssl_verifies_the_signature_as_systemd_does(
    tmp_path: Path, kind: str, command: str
) -> None:
    """PKCS7_NOINTERN and PKCS7_NOVERIFY, with the certificates of /etc/verity.d."""
    by, other = samples.key(1, kind), samples.key(2, kind)
    image = samples.build(samples.tree(tmp_path / "root"), tmp_path / "image", by)
    signed = samples.signed(image.read_bytes())
    (tmp_path / "message").write_bytes(signed.message)
    for name, each in (("right", by), ("wrong", other)):
        pem = each.certificate.public_bytes(Encoding.PEM)
        (tmp_path / f"{name}.crt").write_bytes(pem)

    def verify(root_hash: str, name: str) -> int:
        (tmp_path / "content").write_text(root_hash)
        options = ["-verify", "-binary", "-inform", "DER", "-in", str(tmp_path / "message")]
        options += ["-content", str(tmp_path / "content"), "-out", "/dev/null"]
        options += ["-certfile", str(tmp_path / f"{name}.crt"), "-nointern", "-noverify"]
        done = subprocess.run(["openssl", command, *options], capture_output=True, check=False)
        return done.returncode

    assert verify(signed.root_hash, "right") == 0
    assert verify(signed.root_hash, "wrong") != 0
    assert verify("0" + signed.root_hash[1:], "right") != 0 or signed.root_hash[0] == "0"
    assert verify(signed.root_hash.upper(), "right") != 0


@pytest.fixture
def systemd() -> None:
    """Skip a test where systemd is too old for images."""
    said = proc.run("systemd-repart", ["--version"], timeout=60).stdout.decode()
    found = re.match(r"systemd (\d+)", said)
    assert found
    if int(found[1]) < SYSTEMD:
        pytest.skip(f"systemd {found[1]}: expected {SYSTEMD}, as Debian 13 has it")


def dissects(image: Path, policy: str = POLICY) -> bool:
    try:
        proc.run("systemd-dissect", ["--validate", policy, image], timeout=60)
    except ToolError:
        return False
    return True


@pytest.mark.tool("systemd-dissect", "systemd-repart")
@pytest.mark.usefixtures("systemd")
def test_systemd_takes_the_image_for_a_signed_one(image: Path) -> None:
    good = image.read_bytes()
    root, tree, _ = samples.entries(good)

    assert dissects(image)
    assert not dissects(image, "--image-policy=root=encrypted")
    image.write_bytes(samples.retabled(good, [root, tree]))
    assert not dissects(image)


@pytest.mark.tool("systemd-dissect", "systemd-repart")
@pytest.mark.usefixtures("systemd")
def test_image_by_systemd_repart_is_accepted_and_its_twins_refused(tmp_path: Path) -> None:
    source, image = samples.tree(tmp_path / "root"), tmp_path / "image.raw"
    stage.complete(source, Release(name=samples.NAME, version="2"), samples.ENTRY)
    key, certificate = tmp_path / "app.key", tmp_path / "app.crt"
    by = samples.key()
    key.write_bytes(by.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    certificate.write_bytes(by.certificate.public_bytes(Encoding.PEM))
    options = ["--empty=create", "--size=auto", "--offline=yes", "--architecture=arm64"]
    options += ["--make-ddi=portable", f"--copy-source={source}", f"--private-key={key}"]
    options += [f"--certificate={certificate}", "--seed=0b5e8e4e-8a2b-4a5b-9d0c-3f6f7d8e9a10"]
    proc.run("systemd-repart", [*options, image], timeout=120)

    verdict = samples.check(image)

    assert not verdict.errors
    assert verdict.declared
    assert verdict.declared.release == Release(name=samples.NAME, version="2")
    assert {each.id for each in samples.check(image, samples.key(2)).errors} == {"app.certificate"}
    good = image.read_bytes()
    image.write_bytes(samples.changed(good, samples.entries(good)[0].offset + 100))
    assert {each.id for each in samples.check(image).errors} == {"app.block"}
    image.write_bytes(samples.changed(good, samples.entries(good)[0].end - 1))
    assert {each.id for each in samples.check(image).errors} <= {"app.block", "app.hidden-data"}
    assert samples.check(image).errors
