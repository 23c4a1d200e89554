# SPDX-License-Identifier: MIT
"""Signs with a private key that lives in AWS KMS.

KMS is sent the digest.

Spec: AWS KMS API reference, GetPublicKey and Sign.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bootseal.errors import ToolError, UsageError
from bootseal.keys import public
from bootseal.keys.algorithms import Algorithm, Padding
from bootseal.keys.signers import amazon

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from bootseal.keys.signers.base import Access

SCHEME: Final = "awskms:///"
ARN: Final = "arn:"
_REGION_FIELD: Final = 3
# What to do about an error code of the service; the others need no explanation.
_HINTS: Final = {
    "AccessDeniedException": "the caller needs kms:GetPublicKey and kms:Sign for this key",
    "NotFoundException": "key ids and aliases belong to one region: AWS_REGION",
    "DisabledException": "enable the key, or use the one that replaced it",
    "InvalidKeyUsageException": "the key is for encryption: expected KeyUsage SIGN_VERIFY",
    "KMSInvalidStateException": "the key is disabled, is pending deletion or has no key material",
}


class KmsSigner:
    """Signs with a key in AWS KMS."""

    def __init__(self, client: object, key_id: str) -> None:
        self._client = client
        self._key_id = key_id
        self._where = f"the KMS key {key_id}"
        with _explaining(self._where):
            answer = amazon.call(client, "GetPublicKey", {"KeyId": key_id})
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
            request = {
                "KeyId": self._key_id,
                "Message": digest,
                "MessageType": "DIGEST",
                "SigningAlgorithm": _algorithm(algorithm),
            }
            answer = amazon.call(self._client, "Sign", request)
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
        return KmsSigner(amazon.connect("kms", region), key_id)


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


def _explaining(where: str) -> AbstractContextManager[None]:
    return amazon.explaining(where, _HINTS, {"NotFoundException": UsageError})
