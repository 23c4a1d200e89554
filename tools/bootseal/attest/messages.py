# SPDX-License-Identifier: MIT
"""What a device sends to its verifier: small JSON documents with base64 fields, strictly read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bootseal import documents
from bootseal.formats.tpm import eventlog, structures

if TYPE_CHECKING:
    from bootseal.formats.tpm.eventlog import EventLog
    from bootseal.formats.tpm.structures import Quote, Signature

# A log of 64 KiB, the memory it has, is far below this in base64.
_MAX_SIZE: Final = 1 << 18


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who a device says it is.

    Attributes:
        schema: Always `bootseal.identity/1`.
        ek_certificate: Endorsement certificate, DER.
        ak: Attestation key, TPMT_PUBLIC.
    """

    schema: str = "bootseal.identity/1"
    ek_certificate: bytes
    ak: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Activation:
    """What a device's TPM told: the secret of a credential, which only that TPM could open."""

    schema: str = "bootseal.activation/1"
    secret: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An answer to a challenge, as sent.

    Attributes:
        schema: Always `bootseal.evidence/1`.
        quote: TPMS_ATTEST.
        signature: TPMT_SIGNATURE over it.
        event_log: The firmware's event log.
    """

    schema: str = "bootseal.evidence/1"
    quote: bytes
    signature: bytes
    event_log: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """An answer to a challenge, read.

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
    return documents.read(Identity, data, "the identity", limit=_MAX_SIZE)


def parse_activation(data: bytes) -> bytes:
    """Return the secret of a `bootseal.activation/1` document.

    Raises:
        FormatError: It is none.
    """
    return documents.read(Activation, data, "the activation", limit=_MAX_SIZE).secret


def parse_evidence(data: bytes) -> Evidence:
    """Read a `bootseal.evidence/1` document, and the structures in it.

    Raises:
        FormatError: It is none, or one of its structures is truncated or malformed.
    """
    answer = documents.read(Answer, data, "the evidence", limit=_MAX_SIZE)
    return Evidence(
        attested=answer.quote,
        quote=structures.parse_quote(answer.quote),
        signature=structures.parse_signature(answer.signature),
        log=eventlog.parse(answer.event_log),
    )
