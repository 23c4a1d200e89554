# SPDX-License-Identifier: MIT
"""Kernel modules signed as sign-file does: with a detached CMS message without attributes."""

from __future__ import annotations

import lzma
import subprocess
from typing import TYPE_CHECKING

import pytest

from bootseal.check.rootfs import programs as rootfs_programs
from bootseal.check.rootfs.allowlist import Allowlist
from bootseal.disk.filesystems.node import Content, Node
from bootseal.errors import FormatError
from bootseal.formats import module_signature
from bootseal.keys.public import from_pem

if TYPE_CHECKING:
    from pathlib import Path

    from bootseal.keys.public import PublicKey

pytestmark = pytest.mark.tool("openssl")
KINDS = {"rsa": ["rsa:2048"], "ec": ["ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]}


def make_key(directory: Path, kind: str, name: str = "key") -> PublicKey:
    key, cert = directory / f"{name}.pem", directory / f"{name}.crt"
    subprocess.run(
        ["openssl", "req", "-x509", "-nodes", "-newkey", *KINDS[kind], "-keyout", key, "-out", cert,
         "-subj", "/CN=modules"],
        check=True, capture_output=True,
    )  # fmt: skip
    public = subprocess.run(
        ["openssl", "pkey", "-in", key, "-pubout"], check=True, capture_output=True
    )
    return from_pem(public.stdout)


def signed(directory: Path, module: bytes) -> bytes:
    (directory / "module").write_bytes(module)
    message = subprocess.run(
        ["openssl", "cms", "-sign", "-binary", "-noattr", "-nocerts", "-nosmimecap", "-md",
         "sha256", "-outform", "DER", "-in", directory / "module", "-signer",
         directory / "key.crt", "-inkey", directory / "key.pem"],
        check=True, capture_output=True,
    ).stdout  # fmt: skip
    trailer = bytes([0, 0, 2, 0, 0, 0, 0, 0]) + len(message).to_bytes(4)
    return module + message + trailer + module_signature.MARK


def findings_of(
    directory: Path, data: bytes, key: PublicKey | None, name: str = "m.ko"
) -> list[str]:
    (directory / name).write_bytes(data)
    content = Content(path=directory / name, offset=0, size=len(data))
    node = Node(path=name, mode=0o100644, uid=0, gid=0, size=len(data), content=content)
    policy = Allowlist(module_key=key)
    return [finding.id for finding in rootfs_programs.check([node], policy, "root-a")]


@pytest.mark.parametrize("kind", KINDS)
def test_signed_module_passes_and_a_changed_one_does_not(tmp_path: Path, kind: str) -> None:
    key = make_key(tmp_path, kind)
    module = signed(tmp_path, b"\x7fELF module" * 100)

    assert findings_of(tmp_path, module, key) == []
    assert findings_of(tmp_path, lzma.compress(module), key, "m.ko.xz") == []
    changed = bytearray(module)
    changed[5] ^= 1
    assert findings_of(tmp_path, bytes(changed), key) == ["disk.module-signature"]


def test_module_by_another_key_is_refused(tmp_path: Path) -> None:
    make_key(tmp_path, "rsa")
    module = signed(tmp_path, b"module" * 100)

    assert findings_of(tmp_path, module, make_key(tmp_path, "rsa", "other")) == [
        "disk.module-signature"
    ]
    assert findings_of(tmp_path, module, None) == []
    assert findings_of(tmp_path, b"module" * 100, None) == ["disk.module-unsigned"]


@pytest.mark.parametrize("end", [28, 40, 60, 200, 300])
def test_damaged_signature_is_a_format_error(tmp_path: Path, end: int) -> None:
    make_key(tmp_path, "rsa")
    module = signed(tmp_path, b"module" * 100)
    cut = module[-end - 28 :]

    with pytest.raises(FormatError, match="module signature"):
        module_signature.parse(cut)
