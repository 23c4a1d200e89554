# SPDX-License-Identifier: MIT
"""Signing with AWS KMS: boto3 against moto's server, and a server that only refuses.

Nothing of this ran against AWS itself.
"""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, ClassVar

import pytest
from tests import app_samples
from tests.integration import cloud
from tests.integration.keys.boot_loaders import check_chain

from bootseal import documents
from bootseal.errors import ToolError, UsageError, VerificationRefused
from bootseal.formats.fdt import model as fdt
from bootseal.formats.fit import model as fit_format
from bootseal.keys.algorithms import Algorithm
from bootseal.keys.public import verify_digest
from bootseal.keys.signers import base as signers
from bootseal.measure import pcr_policy
from bootseal.measure.predict import predict

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def credentials() -> Iterator[pytest.MonkeyPatch]:
    with cloud.credentials() as patch:
        yield patch


@pytest.fixture(scope="module")
def keys(credentials: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """Run the server; return the ARN of a key of each kind."""
    kinds = {"rsa2048": "RSA_2048", "ecdsa256": "ECC_NIST_P256", "ecdsa384": "ECC_NIST_P384"}
    with cloud.keys(credentials, kinds) as made:
        yield made


@pytest.mark.usefixtures("keys")
@pytest.mark.parametrize(
    "text",
    [
        "sha256,rsa2048 pkcs-1.5",
        "sha384,rsa2048 pkcs-1.5",
        "sha512,rsa2048 pss",
        "sha256,rsa2048 pss",
        "sha256,ecdsa256 pkcs-1.5",
        "sha384,ecdsa384 pkcs-1.5",
    ],
)
def test_signature_verifies_and_its_tampered_twin_is_refused(
    text: str,
) -> None:
    algorithm = Algorithm.parse(*text.split())
    signer = signers.open(f"awskms:///alias/{algorithm.kind}")
    digest = algorithm.digest([b"payload"])

    signature = signer.sign_digest(digest, algorithm)

    verify_digest(signer.public_key, digest, signature, algorithm)
    changed = bytes([signature[0] ^ 1]) + signature[1:]
    with pytest.raises(VerificationRefused, match="is not by key"):
        verify_digest(signer.public_key, digest, changed, algorithm)


@pytest.mark.parametrize("kind", ["rsa2048", "ecdsa256"])
def test_boot_loaders_with_their_root_in_the_service_are_good(
    keys: dict[str, str], kind: str
) -> None:
    check_chain(signers.open(keys[kind]))


@pytest.mark.tool("mkfs.erofs", "fsck.erofs")
@pytest.mark.parametrize("kind", ["rsa2048", "ecdsa256"])
def test_application_signed_by_the_service_is_accepted(
    keys: dict[str, str], kind: str, tmp_path: Path
) -> None:
    app_samples.check_signer(signers.open(keys[kind]), tmp_path)


def test_alias_key_id_and_arn_name_the_same_key(
    keys: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    arn = keys["rsa2048"]
    expected = signers.open("awskms:///alias/rsa2048").public_key
    assert signers.open(f"awskms:///{arn.rpartition('/')[2]}").public_key == expected
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    assert signers.open(arn).public_key == expected
    assert signers.open(f"awskms:///{arn}").public_key == expected


def test_pcr_policy_signed_by_the_service_is_verified(keys: dict[str, str]) -> None:
    images = [
        fdt.Node("kernel-1", {"data": b"KERNEL"}),
        fdt.Node("fdt-1", {"data": fdt.emit(fdt.Node("", {}, []))}),
    ]
    conf = fdt.Node("conf-1", {"kernel": b"kernel-1\0", "fdt": b"fdt-1\0"})
    children = [fdt.Node("images", {}, images), fdt.Node("configurations", {}, [conf])]
    prediction = predict(
        fit_format.parse(fdt.emit(fdt.Node("", {"description": b"d\0"}, children))), "conf-1"
    )
    images[0].properties["data"] = b"OTHER KERNEL"
    other = predict(
        fit_format.parse(fdt.emit(fdt.Node("", {"description": b"d\0"}, children))), "conf-1"
    )
    signer = signers.open(keys["rsa2048"])

    data = documents.dump(pcr_policy.sign([prediction], signer))

    pcr_policy.verify(data, signer.public_key, [prediction])
    with pytest.raises(VerificationRefused, match="no valid entry approves its state"):
        pcr_policy.verify(data, signer.public_key, [other])


def test_hash_that_aws_has_not_for_the_curve_is_refused(keys: dict[str, str]) -> None:
    signer = signers.open(keys["ecdsa256"])
    with pytest.raises(UsageError, match="cannot sign sha512,ecdsa256") as refusal:
        signer.sign_digest(bytes(64), Algorithm.parse("sha512,ecdsa256"))
    assert refusal.value.hint == "use the algorithm sha256,ecdsa256"


@pytest.mark.usefixtures("keys")
def test_key_that_is_not_there_is_refused() -> None:
    with pytest.raises(UsageError, match="NotFoundException") as refusal:
        signers.open("awskms:///alias/nothing")
    assert "AWS_REGION" in refusal.value.hint
    with pytest.raises(UsageError, match="does not name a key"):
        signers.open("awskms:///")


def test_without_credentials_or_region_nothing_is_asked(
    keys: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    with pytest.raises(ToolError, match="cannot be reached: You must specify a region"):
        signers.open("awskms:///alias/rsa2048")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    with pytest.raises(ToolError, match="Unable to locate credentials") as refusal:
        signers.open(keys["rsa2048"])
    assert "get-caller-identity" in refusal.value.hint


class Refusing(BaseHTTPRequestHandler):
    """Answers every request with one error."""

    code: ClassVar[str]

    def do_POST(self) -> None:
        body = json.dumps({"__type": self.code, "message": "no"}).encode()
        self.send_response(400)
        self.send_header("Content-Type", "application/x-amz-json-1.1")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's
        del format, args


@pytest.mark.usefixtures("credentials")
@pytest.mark.parametrize(
    ("code", "hint"),
    [
        ("AccessDeniedException", "kms:Sign"),
        ("ThrottlingException", "too many requests"),
        ("DisabledException", "enable the key"),
        ("SomethingNew", ""),
    ],
)
def test_refusal_of_the_service_is_told_with_its_remedy(
    monkeypatch: pytest.MonkeyPatch, code: str, hint: str
) -> None:
    handler = type("Handler", (Refusing,), {"code": code})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
        with pytest.raises(ToolError, match=f"AWS answered {code}: .*no") as refusal:
            signers.open("awskms:///alias/x")
        server.shutdown()
    assert hint in refusal.value.hint


@pytest.mark.usefixtures("credentials")
def test_service_that_is_not_there_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(ToolError, match="cannot be reached"):
        signers.open("awskms:///alias/x")
