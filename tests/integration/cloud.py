# SPDX-License-Identifier: MIT
"""A double of AWS: moto's server on this machine, and credentials that are good nowhere else."""

from __future__ import annotations

import base64
import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import boto3
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils
from moto.kms.responses import KmsResponse
from moto.kms.utils import ECDSAPrivateKey, RSAPrivateKey
from moto.server import ThreadedMotoServer

from bootseal.keys.public import HASHES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from moto.kms.models import KmsBackend

REGION: Final = "eu-central-1"
ACCOUNT: Final = "123456789012"


@contextmanager
def credentials() -> Iterator[pytest.MonkeyPatch]:
    """Keep boto3 from this machine's credentials, and from AWS."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", "testing")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
        patch.setenv("AWS_CONFIG_FILE", "/dev/null")
        patch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        patch.setenv("AWS_MAX_ATTEMPTS", "1")
        patch.setenv("NO_PROXY", "127.0.0.1")
        patch.delenv("AWS_REGION", raising=False)
        patch.setenv("AWS_DEFAULT_REGION", REGION)
        yield patch


@contextmanager
def served(patch: pytest.MonkeyPatch) -> Iterator[None]:
    """Run the server, and send boto3 there."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    try:
        yield
    finally:
        server.stop()


@contextmanager
def keys(patch: pytest.MonkeyPatch, kinds: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """Run the server with a key in KMS for each name, which is its alias; yield the ARNs by name.

    Args:
        patch: As `credentials` yields it.
        kinds: What AWS calls the kind of each, such as `RSA_2048`.
    """
    patch.setattr(KmsResponse, "sign", sign_digests)
    with served(patch):
        client = boto3.client("kms")
        made = {}
        for name, spec in kinds.items():
            key = client.create_key(KeyUsage="SIGN_VERIFY", KeySpec=spec)["KeyMetadata"]
            client.create_alias(AliasName=f"alias/{name}", TargetKeyId=key["KeyId"])
            made[name] = key["Arn"]
        yield made


def sign_digests(response: KmsResponse) -> str:
    """Answer Sign as AWS does for MessageType=DIGEST, with the key that moto made.

    moto itself ignores MessageType and hashes whatever it gets (as of 5.2.5).
    """
    request = json.loads(response.body)
    assert request["MessageType"] == "DIGEST"
    backend: KmsBackend = response.kms_backend
    response._validate_key_id(request["KeyId"])
    found = backend.describe_key(request["KeyId"])
    holder = found.private_key
    assert isinstance(holder, RSAPrivateKey | ECDSAPrivateKey)
    private = holder.private_key
    scheme, _, bits = request["SigningAlgorithm"].rpartition("_SHA_")
    chosen = HASHES[f"sha{bits}"]
    prehashed = utils.Prehashed(chosen)
    message = base64.b64decode(request["Message"])
    if isinstance(private, ec.EllipticCurvePrivateKey):
        assert scheme == "ECDSA"
        signature = private.sign(message, ec.ECDSA(prehashed))
    else:
        assert isinstance(private, rsa.RSAPrivateKey)
        pss = padding.PSS(padding.MGF1(chosen), padding.PSS.DIGEST_LENGTH)
        schemes = {"RSASSA_PKCS1_V1_5": padding.PKCS1v15(), "RSASSA_PSS": pss}
        signature = private.sign(message, schemes[scheme], prehashed)
    return json.dumps(
        {
            "KeyId": found.arn,
            "Signature": base64.b64encode(signature).decode(),
            "SigningAlgorithm": request["SigningAlgorithm"],
        }
    )
