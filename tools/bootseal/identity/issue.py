# SPDX-License-Identifier: MIT
"""Certificates for identity keys that were proven, and the list of those that were revoked."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from bootseal.errors import UsageError, VerificationRefused
from bootseal.formats.tpm.structures import parse_public
from bootseal.keys import identity as certificates
from bootseal.keys.identity import Issued, Revoked, Subject
from bootseal.keys.tpm import credential as tpm_keys

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bootseal.attest.store import Record
    from bootseal.identity.registry import Entry
    from bootseal.keys.identity import Authority
    from bootseal.keys.signers.base import Signer


def issue(
    record: Record, entry: Entry, authority: Authority, signer: Signer, days: int
) -> tuple[Entry, Issued]:
    """Make the certificate of a proven key; it is not verified.

    Args:
        record: The device.
        entry: Its proof.
        authority: What certifies it.
        signer: The key of that.
        days: Days from the proof on that the certificate is valid.

    Returns:
        The entry with the certificate, and the certificate.

    Raises:
        UsageError: The device was enrolled by an older version, the certificate would outlive its
            issuer, or the signer is not that of the authority.
    """
    if not record.chip:
        raise UsageError(
            f"the record of {record.name} has an older version, which does not name the TPM",
            hint="bootseal attest enrol --again",
        )
    key = tpm_keys.public_key(parse_public(entry.key, "identity key").key)
    subject = Subject(
        name=record.name,
        public_key=key,
        serial=int(entry.serial, 16),
        chip=record.chip,
        ek_certificate=record.ek_certificate,
        proven=entry.proven,
        days=days,
    )
    made = certificates.issue(subject, authority, signer)
    changed = dataclasses.replace(
        entry,
        authority=signer.public_key.fingerprint(),
        certificate=made.der,
        not_after=made.not_after,
    )
    return changed, made


def revoked(entries: Sequence[Entry], authority: Authority) -> list[Revoked]:
    """Return what the revocation list of an authority holds.

    What was proven and never issued is not in it: there is no certificate that it could be about.
    """
    key = certificates.authority_key(authority).fingerprint()
    return [
        Revoked(serial=int(entry.serial, 16), when=entry.revoked, reason=entry.reason)
        for entry in entries
        if entry.revoked and entry.authority == key
    ]


def check_again(entry: Entry, authority: Authority) -> None:
    """Refuse to show a certificate as one of an authority that did not issue it.

    Raises:
        VerificationRefused: It was issued by another one.
    """
    if entry.authority != certificates.authority_key(authority).fingerprint():
        raise VerificationRefused(
            f"the certificate {entry.serial} of {entry.device} was issued by another CA",
            hint="bootseal identity challenge, for a new one",
        )
