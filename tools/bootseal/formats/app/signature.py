# SPDX-License-Identifier: MIT
"""The signature partition of an application image: a JSON document, then zeros.

Spec: UAPI Discoverable Partitions Specification, "root-verity-sig"; systemd's `dissect-image.c`.
"""

from __future__ import annotations

import base64
import json
import re
from dataclasses import dataclass
from typing import Final

from bootseal import documents
from bootseal.errors import FormatError
from bootseal.formats.app.layout import SIGNATURE_SIZE

_WHAT: Final = "the signature partition"
_DIGEST: Final = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """The contents of the partition.

    Attributes:
        root_hash: SHA-256 at the root of the hash tree; its 64 hexadecimal characters, lower case,
            are what is signed.
        certificate: SHA-256 of the signer's certificate in DER, lower-case hex.
        message: The detached CMS message, in DER.
    """

    root_hash: str
    certificate: str
    message: bytes

    @property
    def signed(self) -> bytes:
        """What the message is over."""
        return self.root_hash.encode()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Document:
    rootHash: str  # noqa: N815 - systemd's name, as are the others
    certificateFingerprint: str  # noqa: N815
    signature: bytes


def emit(signature: Signature) -> bytes:
    """Write the partition: 16 KiB.

    Raises:
        FormatError: The message is too long for it.
    """
    text = _text(signature)
    if len(text) >= SIGNATURE_SIZE:
        raise FormatError(f"the signature takes {len(text)} bytes: expected fewer than 16 KiB")
    return text.ljust(SIGNATURE_SIZE, b"\0")


def parse(partition: bytes) -> Signature | None:
    """Read the partition; only one encoding of its contents is accepted.

    Returns:
        None for a partition of zeros, which says nothing.

    Raises:
        FormatError: It is malformed, or holds more than that.
    """
    text, _, rest = partition.partition(b"\0")
    if rest.strip(b"\0"):
        raise FormatError(f"{_WHAT} goes on behind its document")
    if not text:
        return None
    found = documents.read(_Document, text, _WHAT, limit=SIGNATURE_SIZE)
    for name in ("rootHash", "certificateFingerprint"):
        value = getattr(found, name)
        if _DIGEST.fullmatch(value) is None:
            raise FormatError(f"{_WHAT}: {name} is {value[:80]!r}: expected 64 hexadecimal digits")
    said = Signature(
        root_hash=found.rootHash, certificate=found.certificateFingerprint, message=found.signature
    )
    if _text(said) != text:
        raise FormatError(f"{_WHAT} has spaces, escapes or another order, which nothing signs")
    return said


def _text(signature: Signature) -> bytes:
    document = {
        "rootHash": signature.root_hash,
        "certificateFingerprint": signature.certificate,
        "signature": base64.b64encode(signature.message).decode(),
    }
    return json.dumps(document, separators=(",", ":")).encode()
