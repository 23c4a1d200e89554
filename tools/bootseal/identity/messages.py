# SPDX-License-Identifier: MIT
"""What a device sends to prove its identity key: one JSON document, strictly read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bootseal import documents
from bootseal.attest.messages import Evidence
from bootseal.formats.tpm import eventlog, structures
from bootseal.keys.tpm import identity as tpm_identity

if TYPE_CHECKING:
    from bootseal.formats.tpm.structures import Public, Signature, Statement
    from bootseal.keys.tpm.identity import CertificateRequest

_MAX_SIZE: Final = 1 << 18


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityAnswer:
    """An answer to a challenge, as sent.

    Attributes:
        schema: Always `bootseal.identity-key/1`.
        key: The identity key, TPMT_PUBLIC.
        certification: TPMS_ATTEST of TPM2_CertifyCreation.
        certification_signature: TPMT_SIGNATURE over it.
        csr: Certification request, DER.
        quote: TPMS_ATTEST of TPM2_Quote.
        signature: TPMT_SIGNATURE over it.
        event_log: The firmware's event log.
    """

    schema: str = "bootseal.identity-key/1"
    key: bytes
    certification: bytes
    certification_signature: bytes
    csr: bytes
    quote: bytes
    signature: bytes
    event_log: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """An answer to a challenge, read.

    Attributes:
        area: The identity key as sent.
        key: The same, read.
        attested: The statement about it, as signed.
        statement: The same, read.
        signature: The signature over it.
        request: The certification request.
        evidence: The quote and the log that say what booted.
    """

    area: bytes
    key: Public
    attested: bytes
    statement: Statement
    signature: Signature
    request: CertificateRequest
    evidence: Evidence


def parse(data: bytes) -> Proof:
    """Read a `bootseal.identity-key/1` document, and the structures in it.

    Raises:
        FormatError: It is none, or one of its structures is truncated or malformed.
    """
    answer = documents.read(IdentityAnswer, data, "the proof", limit=_MAX_SIZE)
    return Proof(
        area=answer.key,
        key=structures.parse_public(answer.key, "identity key"),
        attested=answer.certification,
        statement=structures.parse_statement(answer.certification),
        signature=structures.parse_signature(answer.certification_signature),
        request=tpm_identity.read_request(answer.csr),
        evidence=Evidence(
            attested=answer.quote,
            quote=structures.parse_quote(answer.quote),
            signature=structures.parse_signature(answer.signature),
            log=eventlog.parse(answer.event_log),
        ),
    )
