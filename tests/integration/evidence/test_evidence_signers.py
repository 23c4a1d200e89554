# SPDX-License-Identifier: MIT
"""Evidence signed by keys that are not files: in a SoftHSM token, and in moto's KMS."""

from __future__ import annotations

from typing import TYPE_CHECKING

import boto3
import pytest
from tests import evidence_samples as samples
from tests import samples as files
from tests.integration.keys import vaults
from tests.unit.check.conftest import make_base

from bootseal.keys import public

if TYPE_CHECKING:
    from pathlib import Path

    from bootseal.keys.public import PublicKey

pytestmark = [pytest.mark.tool("mksquashfs"), pytest.mark.tool("softhsm2-util")]

KINDS = {"rsa": "rsa3072", "p256": "ecdsa256"}


def token_key(name: str) -> PublicKey:
    """Return the public half of a key that was imported into the token."""
    return files.signer(KINDS[name], [*KINDS].index(name)).public_key


@pytest.mark.parametrize("backend", vaults.BACKENDS)
def test_evidence_by_a_key_that_is_not_a_file_verifies(backend: str, tmp_path: Path) -> None:
    release = samples.device(make_base(tmp_path), tmp_path / "1.0", "1.0")
    (tmp_path / "kas.json").write_bytes(samples.kas())
    options = ("--release", "1.0", "--builder", samples.BUILDER, "--kas", tmp_path / "kas.json")
    with vaults.opened(backend, KINDS, tmp_path) as vault:
        for name, uri in vault.uris.items():
            vaults.bootseal("evidence", "make", release, "--key", uri, *options)
            half = tmp_path / f"{name}.pub"
            if backend == "kms":
                der = boto3.client("kms").get_public_key(KeyId=uri)["PublicKey"]
                key = public.from_der(der)
            else:
                key = token_key(name)
            assert key.fingerprint() == vault.hashes[name]
            half.write_bytes(key.pem)
            vaults.bootseal("evidence", "verify", release, "--key", half, "--release", "1.0")
            other = samples.signer(KINDS[name]).public_key.pem
            half.write_bytes(other)
            said = vaults.bootseal("evidence", "verify", release, "--key", half, good=False)
            assert "evidence.key" in said
