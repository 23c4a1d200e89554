# SPDX-License-Identifier: MIT
"""Evidence is accepted by verifiers that others wrote, and what they refuse is refused there."""

from __future__ import annotations

import base64
import json
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer._key import SSlibKey
from tests import evidence_samples as samples
from tests.unit.check.conftest import make_base

from bootseal.evidence import envelope

if TYPE_CHECKING:
    from bootseal.keys.signers.base import Signer

pytestmark = pytest.mark.tool("mksquashfs")

KINDS: Final = {
    "rsa2048": "rsa-pkcs1v15-sha256",
    "rsa4096": "rsa-pkcs1v15-sha256",
    "ecdsa256": "ecdsa-sha2-nistp256",
}
SIGSTORE: Final = "BOOTSEAL_SIGSTORE"


@pytest.fixture(scope="module", params=KINDS)
def key(request: pytest.FixtureRequest) -> Signer:
    return samples.signer(request.param)


@pytest.fixture(scope="module")
def release(key: Signer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = make_base(tmp_path_factory.mktemp("disk"))
    directory = samples.device(base, tmp_path_factory.mktemp("release") / "1.0", "1.0")
    return samples.sign(directory, key=key)


def envelopes(release: Path) -> dict[str, bytes]:
    return {n: samples.envelope(release, n).read_bytes() for n in samples.STATEMENTS}


def test_securesystemslib_accepts_every_statement(release: Path, key: Signer) -> None:
    scheme = KINDS[str(key.public_key.kind)]
    known = SSlibKey.from_crypto(
        key.public_key.crypto, keyid=key.public_key.fingerprint(), scheme=scheme
    )
    for data in envelopes(release).values():
        found = Envelope.from_dict(json.loads(data))
        assert found.verify([known], 1).keys() == {key.public_key.fingerprint()}
        changed = Envelope.from_dict(json.loads(data))
        changed.payload = changed.payload[:-1] + b" "
        with pytest.raises(VerificationError):
            changed.verify([known], 1)


@pytest.mark.tool("openssl")
def test_openssl_accepts_every_statement(release: Path, key: Signer, tmp_path: Path) -> None:
    (tmp_path / "key.pub").write_bytes(key.public_key.pem)

    def verdict(signed: bytes, signature: bytes) -> int:
        (tmp_path / "signed").write_bytes(signed)
        (tmp_path / "signature").write_bytes(signature)
        command = ["openssl", "dgst", "-sha256", "-verify", "key.pub", "-signature", "signature"]
        return subprocess.run(
            [*command, "signed"], cwd=tmp_path, capture_output=True, check=False
        ).returncode

    for data in envelopes(release).values():
        [signature] = json.loads(data)["signatures"]
        payload = base64.b64decode(json.loads(data)["payload"])
        signed = b"DSSEv1 28 application/vnd.in-toto+json %d %s" % (len(payload), payload)
        assert verdict(signed, base64.b64decode(signature["sig"])) == 0
        assert verdict(signed + b" ", base64.b64decode(signature["sig"])) != 0


@pytest.mark.skipif(
    SIGSTORE not in os.environ,
    reason=f"{SIGSTORE} names no directory with node_modules/@sigstore/verify",
)
@pytest.mark.tool("node")
def test_sigstore_accepts_every_statement(release: Path, key: Signer, tmp_path: Path) -> None:
    script = Path(__file__).with_name("sigstore.cjs")
    (tmp_path / "key.pub").write_bytes(key.public_key.pem)

    def verdict(data: bytes) -> int:
        (tmp_path / "envelope").write_bytes(data)
        return subprocess.run(
            ["node", script, tmp_path / "key.pub", tmp_path / "envelope"],
            env=os.environ | {"NODE_PATH": f"{os.environ[SIGSTORE]}/node_modules"},
            capture_output=True,
            check=False,
        ).returncode

    for data in envelopes(release).values():
        assert verdict(data) == 0
        found = json.loads(data)
        payload = base64.b64decode(found["payload"])
        found["payload"] = base64.b64encode(payload[:-1] + b" ").decode()
        assert verdict(json.dumps(found).encode()) == 3


def test_the_witness_accepts_other_forms_that_are_refused_here(release: Path, key: Signer) -> None:
    """Why there is one form: others take an envelope with more in it for the same."""
    public = key.public_key
    known = SSlibKey.from_crypto(
        public.crypto, keyid=public.fingerprint(), scheme=KINDS[str(public.kind)]
    )
    found = json.loads(samples.envelope(release, "disk").read_bytes())
    found["signatures"].append({"keyid": "0" * 64, "sig": "AAAA"})
    found["more"] = "unsigned"
    assert Envelope.from_dict(dict(found)).verify([known], 1)
    with pytest.raises(Exception, match="unknown keys: more"):
        envelope.parse(json.dumps(found).encode(), "it")
