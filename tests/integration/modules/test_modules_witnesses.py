# SPDX-License-Identifier: MIT
"""Signatures of modules by each kind of key, which OpenSSL takes; what a kernel takes is booted."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest
from tests.integration.keys import vaults
from tests.unit.modules import module_samples as samples

from bootseal.formats import module_signature

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.tool("openssl"), pytest.mark.tool("softhsm2-util")]


def openssl(certificate: Path, module: bytes, directory: Path) -> str:
    """Return what OpenSSL says of a signature; empty if it verifies."""
    found = module_signature.split(module)
    assert found
    (directory / "message").write_bytes(found.message)
    (directory / "content").write_bytes(module[: found.content])
    done = subprocess.run(
        [
            *("openssl", "cms", "-verify", "-binary", "-inform", "DER", "-noverify", "-nointern"),
            *("-in", directory / "message", "-content", directory / "content"),
            *("-certfile", certificate, "-out", "/dev/null"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ("successful" in done.stderr) is (done.returncode == 0)
    return "" if done.returncode == 0 else done.stderr


def test_openssl_takes_what_a_file_signed_and_makes_the_same_bytes(tmp_path: Path) -> None:
    content = samples.module()
    certificate, key = samples.write_key(samples.key(), tmp_path, "modules")
    (tmp_path / "content").write_bytes(content)
    made = subprocess.run(
        [
            *("openssl", "cms", "-sign", "-binary", "-noattr", "-nocerts", "-md", "sha256"),
            *("-outform", "DER", "-in", tmp_path / "content"),
            *("-signer", certificate, "-inkey", key),
        ],
        check=True,
        capture_output=True,
    ).stdout

    module = samples.signed(content)

    assert module == content + samples.trailer(made)
    assert openssl(certificate, module, tmp_path) == ""
    changed = module.replace(b"license=GPL", b"license=BSD")
    assert "bad signature" in openssl(certificate, changed, tmp_path)


@pytest.mark.parametrize("backend", vaults.BACKENDS)
def test_key_that_is_not_a_file_signs_modules(backend: str, tmp_path: Path) -> None:
    keys, path = tmp_path / "keys", tmp_path / "a.ko"
    path.write_bytes(samples.module())
    other, _ = samples.write_key(samples.key(), tmp_path, "other")
    with vaults.opened(backend, {"modules": "rsa4096"}, tmp_path) as vault:
        only = ("--profile", "dev", "--only", "root", "--only", "modules")
        token = f"modules={vault.uris['modules']}"
        vaults.bootseal("keys", "generate", keys, *only, "--token", token)
        vaults.bootseal("modules", "sign", path, "--keys", keys)

    vaults.bootseal("modules", "check", path, "--keys", keys)
    said = vaults.bootseal("modules", "check", path, "--certificate", other, good=False)
    assert "module.certificate" in said
    assert openssl(keys / "DEV-modules-1.crt", path.read_bytes(), tmp_path) == ""
