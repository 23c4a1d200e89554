# SPDX-License-Identifier: MIT
"""Is this key in the TPM of that device, may it only sign, and what does the device run?

One nonce answers all of it: TPM2_CertifyCreation by the certified attestation key says that the TPM
made the key, a quote by the same key says what booted, and a certification request shows that the
device can use the key. TPM2_Certify is not enough: a TPM certifies keys that were imported, too.

Finding ids: those of `attest.verify`, and `identity.signature`, `identity.statement`,
`identity.nonce`, `identity.boot`, `identity.name`, `identity.attributes`, `identity.form`,
`identity.csr`.

Spec: TCG TPM 2.0 Library, part 3, 18.3 (CertifyCreation).
"""

from __future__ import annotations

import dataclasses
import hmac
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bootseal.attest import verify as attest
from bootseal.errors import VerificationRefused
from bootseal.findings.catalogue import finding
from bootseal.formats.tpm.structures import Attested, parse_public
from bootseal.keys.tpm import credential as tpm_keys
from bootseal.keys.tpm import identity as tpm_identity

if TYPE_CHECKING:
    from bootseal.attest.store import Challenge, Record
    from bootseal.findings.model import Finding
    from bootseal.identity.messages import Proof
    from bootseal.measure.approved import Approved


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityVerdict:
    """What came of one proof.

    Attributes:
        boot: What came of the quote in it.
        findings: What speaks against the proof, the quote's findings first; empty means accepted.
        key: Name of the identity key, lower-case hex.
    """

    boot: attest.AttestVerdict
    findings: tuple[Finding, ...]
    key: str

    @property
    def accepted(self) -> bool:
        """Whether nothing speaks against it."""
        return not self.findings


class Verifier:
    """Verifies proofs against one approved list.

    Args:
        approved: The list.
    """

    def __init__(self, approved: Approved) -> None:
        self._boots = attest.Verifier(approved)

    def inspect(
        self, proof: Proof, record: Record, challenge: Challenge, now: int
    ) -> IdentityVerdict:
        """Return what speaks against a proof.

        Args:
            proof: What the device sent.
            record: What is known of the device.
            challenge: What it was asked.
            now: Seconds since 1970.
        """
        boot = self._boots.inspect(proof.evidence, record, challenge, now)
        found = (*boot.findings, *_statement(proof, record, challenge), *_key(proof))
        # Of an answer that is refused, nothing is reported as if it were known.
        shown = dataclasses.replace(boot, release="", slot="", rollback_index=0) if found else boot
        return IdentityVerdict(boot=shown, findings=found, key=proof.key.name.hex())


def unasked(proof: Proof, refusal: VerificationRefused) -> IdentityVerdict:
    """Return the verdict on a proof whose challenge is not open: used, expired or unknown."""
    boot = attest.unasked(proof.evidence, refusal)
    return IdentityVerdict(boot=boot, findings=boot.findings, key=proof.key.name.hex())


def _statement(proof: Proof, record: Record, challenge: Challenge) -> Iterator[Finding]:
    """Yield why the statement does not say that the TPM made this key, now asked."""
    ak = parse_public(bytes.fromhex(record.ak), "attestation key")
    try:
        tpm_keys.verify(ak, tpm_keys.public_key(ak.key), proof.attested, proof.signature)
    except VerificationRefused as error:
        # Nothing in it means anything.
        yield finding("identity.signature", "statement", error.message)
        return
    said, quote = proof.statement, proof.evidence.quote
    if said.kind is not Attested.CREATION:
        message = f"the statement is from TPM2_{said.kind.name.title()}, which a TPM also makes"
        yield finding(
            "identity.statement",
            "statement",
            f"{message} for keys that were imported: expected TPM2_CertifyCreation",
        )
    if not hmac.compare_digest(said.nonce, bytes.fromhex(challenge.nonce)):
        message = f"the statement answers {said.nonce.hex() or 'no nonce'}: expected"
        yield finding("identity.nonce", "statement", f"{message} {challenge.nonce}")
    made, quoted = ((each.reset_count, each.restart_count) for each in (said, quote))
    if made != quoted:
        message = f"the statement was made at reset and restart {made}, the quote at {quoted}"
        yield finding("identity.boot", "statement", message)
    if said.name != proof.key.name:
        message = f"the statement is about the key {said.name.hex()}: the proof has"
        yield finding("identity.name", "statement", f"{message} {proof.key.name.hex()}")


def _key(proof: Proof) -> Iterator[Finding]:
    """Yield why the key is not an identity key, or not that of the request."""
    if wrong := tpm_identity.wrong_attributes(proof.key):
        message = f"the key has the attributes {proof.key.attributes:#010x}: it {wrong}"
        expected = f"{int(tpm_identity.ATTRIBUTES):#010x}"
        yield finding("identity.attributes", "key", f"{message}; expected are {expected}")
    if wrong := tpm_identity.wrong_form(proof.key):
        yield finding("identity.form", "key", f"the key {wrong}")
    if not proof.request.signed:
        message = "the certification request is not signed with its own key and SHA-256 or better"
        yield finding("identity.csr", "csr", message)
    key = tpm_keys.public_key(proof.key.key)
    if proof.request.public_key != key:
        asked = proof.request.public_key.fingerprint()
        message = f"the certification request is for the key {asked}: the key in the TPM is"
        yield finding("identity.csr", "csr", f"{message} {key.fingerprint()}")
