# SPDX-License-Identifier: MIT
"""The signature of a bundle of format plain, as the boot matrix makes it, is a good one."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from tests import update_samples as samples

from bootseal.boot.attacks import bundles
from bootseal.formats.update import cms
from bootseal.keys import cms as messages
from bootseal.keys.signers.file import FileSigner

pytestmark = pytest.mark.tool("openssl")
CONTENT = b"a file system" * 100


def verify(directory: Path, content: bytes) -> subprocess.CompletedProcess[bytes]:
    """Hold a detached signature in a directory against content, as RAUC does by OpenSSL."""
    (directory / "content").write_bytes(content)
    options = ["-inform", "DER", "-binary", "-partial_chain", "-purpose", "any", "-no_check_time"]
    files = ["-in", "message", "-content", "content", "-CAfile", "ca.pem", "-out", "out"]
    return subprocess.run(
        ["openssl", "cms", "-verify", *options, *files],
        cwd=directory,
        capture_output=True,
        check=False,
        timeout=60,
    )


def test_signature_without_its_content_holds_for_that_content_alone(tmp_path: Path) -> None:
    keys = samples.keys()
    update = keys.update
    message = messages.sign(CONTENT, update.certificate, FileSigner(update.private), keys.when)
    detached = bundles.without_content(message)
    signed = cms.parse(detached)
    assert signed is not None
    assert signed.content is None
    (tmp_path / "message").write_bytes(detached)
    (tmp_path / "ca.pem").write_bytes(keys.authority.certificate.public_bytes(Encoding.PEM))
    done = verify(tmp_path, CONTENT)
    assert done.returncode == 0, done.stderr
    assert verify(tmp_path, CONTENT + b"!").returncode != 0
