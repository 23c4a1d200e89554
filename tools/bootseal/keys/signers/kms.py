# SPDX-License-Identifier: MIT
"""Signs with a private key that lives in AWS KMS.

Credentials, region and endpoint come from where every AWS tool takes them: environment
variables, shared configuration files, or the role of the machine. KMS is sent the digest.

Spec: AWS KMS API reference, GetPublicKey and Sign.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, Protocol

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from bootseal.errors import ToolError, UsageError
from bootseal.keys import public
from bootseal.keys.algorithms import Algorithm, Padding

if TYPE_CHECKING:
    from bootseal.keys.signers.base import Access

SCHEME: Final = "awskms:///"
ARN: Final = "arn:"
_REGION_FIELD: Final = 3
_TIMEOUT: Final = 20
# What to do about an error code of the service; the others need no explanation.
_HINTS: Final = {
    "AccessDeniedException": "the caller needs kms:GetPublicKey and kms:Sign for this key",
    "UnrecognizedClientException": "AWS does not know the credentials: aws sts get-caller-identity",
    "ExpiredTokenException": "the credentials have expired: log in again",
    "NotFoundException": "key ids and aliases belong to one region: AWS_REGION",
    "DisabledException": "enable the key, or use the one that replaced it",
    "InvalidKeyUsageException": "the key is for encryption: expected KeyUsage SIGN_VERIFY",
    "KMSInvalidStateException": "the key is disabled, is pending deletion or has no key material",
    "ThrottlingException": "too many requests: try again later",
    "LimitExceededException": "too many requests: try again later",
}


class _Client(Protocol):
    """The two calls of boto3's client that are used."""

    def get_public_key(self, *, KeyId: str) -> Mapping[str, object]: ...  # noqa: N803 - AWS's

    def sign(
        self,
        *,
        KeyId: str,  # noqa: N803
        Message: bytes,  # noqa: N803
        MessageType: str,  # noqa: N803
        SigningAlgorithm: str,  # noqa: N803
    ) -> Mapping[str, object]: ...


class KmsSigner:
    """Signs with a key in AWS KMS."""

    def __init__(self, client: _Client, key_id: str) -> None:
        self._client = client
        self._key_id = key_id
        self._where = f"the KMS key {key_id}"
        with _explaining(self._where):
            answer = client.get_public_key(KeyId=key_id)
        self.public_key = public.from_der(_bytes(answer["PublicKey"]))
        """The public half, fetched from the service."""

    def sign_digest(self, digest: bytes, algorithm: Algorithm) -> bytes:
        """Have a digest signed.

        Raises:
            UsageError: The key or the digest does not fit the algorithm.
            ToolError: The service refuses, or what it returns is not a signature by this key.
        """
        public.check_request(self.public_key, digest, algorithm)
        with _explaining(self._where):
            answer = self._client.sign(
                KeyId=self._key_id,
                Message=digest,
                MessageType="DIGEST",
                SigningAlgorithm=_algorithm(algorithm),
            )
        signature = _bytes(answer["Signature"])
        if not algorithm.kind.is_rsa:
            signature = public.der_to_raw(signature, algorithm)
        return public.accept_answer(self.public_key, digest, signature, algorithm, self._where)


def open_uri(uri: str, access: Access) -> KmsSigner:
    """Find the key of `awskms:///alias/NAME`, `awskms:///KEY-ID` or an ARN.

    Raises:
        UsageError: The URI does not name a key, or there is no such signing key.
        ToolError: The service cannot be used.
    """
    del access  # credentials are AWS's own affair
    key_id = uri.removeprefix(SCHEME)
    if not key_id or (key_id == uri and not uri.startswith(ARN)):
        raise UsageError(f"{uri!r} does not name a key: expected {SCHEME}alias/NAME or an ARN")
    region = key_id.split(":")[_REGION_FIELD] if key_id.startswith("arn:aws") else None
    with _explaining("AWS KMS"):
        return KmsSigner(_connect(region), key_id)


def _connect(region: str | None) -> _Client:
    config = Config(connect_timeout=_TIMEOUT, read_timeout=_TIMEOUT, user_agent_extra="bootseal")
    client: _Client = boto3.session.Session().client("kms", region_name=region, config=config)
    return client


def _algorithm(algorithm: Algorithm) -> str:
    """Return AWS's name; its curves go with one hash each."""
    bits = algorithm.hash_name.removeprefix("sha")
    if not algorithm.kind.is_rsa:
        if algorithm.bits != int(bits):
            raise UsageError(
                f"AWS KMS cannot sign {algorithm.name}",
                hint=f"use the algorithm sha{algorithm.bits},{algorithm.kind}",
            )
        return f"ECDSA_SHA_{bits}"
    scheme = "PSS" if algorithm.padding is Padding.PSS else "PKCS1_V1_5"
    return f"RSASSA_{scheme}_SHA_{bits}"


def _bytes(value: object) -> bytes:
    if not isinstance(value, bytes):
        raise ToolError(f"AWS KMS answered with {type(value).__name__}: expected bytes")
    return value


@contextmanager
def _explaining(where: str) -> Iterator[None]:
    """Turn boto3's exceptions into ours."""
    try:
        yield
    except ClientError as error:
        code = str(error.response.get("Error", {}).get("Code", "unknown error"))
        said = str(error.response.get("Error", {}).get("Message", ""))
        kind = UsageError if code == "NotFoundException" else ToolError
        raise kind(
            f"{where}: AWS answered {code}: {said}".rstrip(": "), hint=_HINTS.get(code, "")
        ) from error
    except BotoCoreError as error:
        raise ToolError(
            f"{where} cannot be reached: {public.first_line(error)}",
            hint="check credentials, AWS_REGION and the network: aws sts get-caller-identity",
        ) from error
