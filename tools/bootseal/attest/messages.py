# SPDX-License-Identifier: MIT
"""What a device sends to its verifier: small JSON documents with base64 fields, strictly read."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bootseal.errors import FormatError
from bootseal.formats.tpm import eventlog, structures

if TYPE_CHECKING:
    from bootseal.formats.tpm.eventlog import EventLog
    from bootseal.formats.tpm.structures import Public, Quote, Signature

IDENTITY: Final = "bootseal.identity/1"
ACTIVATION: Final = "bootseal.activation/1"
EVIDENCE: Final = "bootseal.evidence/1"
# A log of 64 KiB, the memory it has, is far below this in base64.
_MAX_SIZE: Final = 1 << 18


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who a device says it is.

    Attributes:
        ek_certificate: Endorsement certificate, DER.
        ak: Attestation key, TPMT_PUBLIC.
    """

    ek_certificate: bytes
    ak: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """An answer to a challenge.

    Attributes:
        attested: The TPMS_ATTEST as signed.
        quote: The same, read.
        signature: The signature over it.
        log: The firmware's event log.
    """

    attested: bytes
    quote: Quote
    signature: Signature
    log: EventLog


def parse_identity(data: bytes) -> Identity:
    """Read a `bootseal.identity/1` document.

    Raises:
        FormatError: It is none.
    """
    fields = _fields(data, IDENTITY, "ek_certificate", "ak")
    return Identity(ek_certificate=fields["ek_certificate"], ak=fields["ak"])


def parse_activation(data: bytes) -> bytes:
    """Return the secret of a `bootseal.activation/1` document.

    Raises:
        FormatError: It is none.
    """
    return _fields(data, ACTIVATION, "secret")["secret"]


def parse_evidence(data: bytes) -> Evidence:
    """Read a `bootseal.evidence/1` document, and the structures in it.

    Raises:
        FormatError: It is none, or one of its structures is truncated or malformed.
    """
    fields = _fields(data, EVIDENCE, "quote", "signature", "event_log")
    return Evidence(
        attested=fields["quote"],
        quote=structures.parse_quote(fields["quote"]),
        signature=structures.parse_signature(fields["signature"]),
        log=eventlog.parse(fields["event_log"]),
    )


def emit(schema: str, **fields: bytes) -> bytes:
    """Write a document."""
    texts = {name: base64.b64encode(value).decode() for name, value in fields.items()}
    return json.dumps({"schema": schema, **texts}).encode() + b"\n"


def parse_public(data: bytes) -> Public:
    """Read an attestation key's TPMT_PUBLIC.

    Raises:
        FormatError: It is none.
    """
    return structures.parse_public(data, "attestation key")


def _fields(data: bytes, schema: str, *names: str) -> dict[str, bytes]:
    what = schema.removeprefix("bootseal.").removesuffix("/1")
    if len(data) > _MAX_SIZE:
        raise FormatError(f"the {what} has {len(data)} bytes: expected at most {_MAX_SIZE}")
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise FormatError(f"the {what} is not JSON: {error}") from error
    found = document.pop("schema", None) if isinstance(document, dict) else None
    if found != schema:
        raise FormatError(f"the {what} has schema {found!r:.60}: expected {schema!r}")
    if document.keys() != set(names):
        listed = ", ".join(sorted(map(repr, document)))[:200]
        raise FormatError(f"the {what} has the fields {listed}: expected {', '.join(names)}")
    return {name: _decode(document[name], f"{what}, {name}") for name in names}


def _decode(value: object, where: str) -> bytes:
    if not isinstance(value, str):
        raise FormatError(f"{where} is {type(value).__name__}: expected text")
    try:
        return base64.b64decode(value, validate=True)
    except ValueError as error:
        raise FormatError(f"{where} is not base64: {error}") from error
