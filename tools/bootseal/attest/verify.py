# SPDX-License-Identifier: MIT
"""Remote attestation: is this device, now, in an approved state?

A device is enrolled once: the maker of its TPM vouches for the endorsement key, and a credential
that only this TPM can open proves that the attestation key is in the same TPM. From then on a quote
over a fresh nonce, by that key, says what the PCRs hold, and the event log says why.

Finding ids: `attest.key-not-certified`, `attest.key`, `attest.signature`, `attest.nonce`,
`attest.selection`, `attest.log`, `attest.release`, `attest.not-capped`, `attest.counter`.

Spec: TCG TPM 2.0 Library, part 3, 12.5 (ActivateCredential) and 18.4 (Quote).
"""

from __future__ import annotations

import dataclasses
import hashlib
import hmac
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bootseal.attest.store import Challenge, Record
from bootseal.errors import UsageError, VerificationRefused
from bootseal.findings.catalogue import finding
from bootseal.formats.tpm import eventlog
from bootseal.formats.tpm import policy as tpm
from bootseal.formats.tpm.structures import parse_public
from bootseal.keys.tpm import credential as tpm_keys
from bootseal.keys.tpm import endorsement
from bootseal.measure import approved as lists
from bootseal.measure.explain import Match, closest

if TYPE_CHECKING:
    from datetime import datetime

    from bootseal.attest.messages import Evidence, Identity
    from bootseal.findings.model import Finding
    from bootseal.formats.tpm.eventlog import Event
    from bootseal.keys.tpm.endorsement import Authority
    from bootseal.measure.approved import Approved, Boot, Extension, Release

_log: Final = logging.getLogger(__name__)

_BANK: Final = "sha256"
_KEY: Final = "attestation key"
_SHOWN: Final = 4
# With one of these the log says nothing about the device.
_UNPROVEN: Final = frozenset({"attest.log", "attest.selection"})


@dataclass(frozen=True, slots=True, kw_only=True)
class AttestVerdict:
    """What came of one answer.

    Attributes:
        device: The device that was asked, "" when none was.
        nonce: The challenge, lower-case hex.
        findings: What speaks against it; empty means accepted.
        release: The approved release it runs, "" when it runs none.
        slot: The slot it runs from, likewise.
        rollback_index: Security version of the release, 0 when it runs none.
        reset_count: How often its TPM was reset.
        clock: Milliseconds its TPM has been powered.
    """

    device: str
    nonce: str
    findings: tuple[Finding, ...]
    release: str = ""
    slot: str = ""
    rollback_index: int = 0
    reset_count: int = 0
    clock: int = 0

    @property
    def accepted(self) -> bool:
        """Whether nothing speaks against it."""
        return not self.findings


def enrol(
    identity: Identity, trusted: Sequence[Authority], name: str, when: datetime
) -> tuple[Record, bytes]:
    """Check a device's endorsement, and make the credential that certifies its key.

    Returns:
        The record, not certified yet, and the credential for the device.

    Raises:
        VerificationRefused: The endorsement certificate leads to none of the authorities, or the
            key is not an attestation key.
        FormatError: A structure is malformed.
        UsageError: The endorsement key is of no standard template.
    """
    vouched = endorsement.check(identity.ek_certificate, trusted, when)
    key = parse_public(identity.ak, _KEY)
    tpm_keys.check_attestation_key(key)
    tpm_keys.public_key(key.key)
    secret = os.urandom(tpm_keys.SECRET_SIZE)
    credential = tpm_keys.make_credential(vouched.public_key, key.name, secret)
    record = Record(
        name=name,
        ek_certificate=vouched.fingerprint,
        ek_issuer=vouched.issuer,
        ek_key=vouched.public_key.fingerprint(),
        chip=vouched.chip,
        ak=identity.ak.hex(),
        ak_name=key.name.hex(),
        secret_sha256=hashlib.sha256(secret).hexdigest(),
    )
    return record, credential


def certify(record: Record, secret: bytes, now: int) -> Record:
    """Take a device's answer to its credential.

    Raises:
        UsageError: The key is certified already.
        VerificationRefused: It is not what the credential holds, so the key is not in the TPM
            that the endorsement certificate is for.
    """
    if record.certified:
        raise UsageError(f"the key of device {record.name} is certified already")
    if not hmac.compare_digest(hashlib.sha256(secret).hexdigest(), record.secret_sha256):
        raise VerificationRefused(
            f"device {record.name} did not open its credential: its attestation key is not proven "
            "to be in the TPM of the endorsement certificate"
        )
    return dataclasses.replace(record, certified=now, secret_sha256="")


class Verifier:
    """Verifies answers against one approved list.

    Args:
        approved: The list.
    """

    def __init__(self, approved: Approved) -> None:
        self._boots: dict[tuple[object, ...], tuple[Release, Boot]] = {}
        for release in approved.releases:
            for boot in release.boots:
                self._boots.setdefault(_key(lists.events(boot)), (release, boot))
        self._logs = lists.boots(approved)
        self._runtimes: list[tuple[Extension, ...]] = []
        for release in approved.releases:
            if release.runtime not in self._runtimes:
                self._runtimes.append(release.runtime)

    def inspect(
        self, evidence: Evidence, record: Record, challenge: Challenge, now: int
    ) -> AttestVerdict:
        """Return what speaks against an answer.

        Args:
            evidence: What the device sent.
            record: What is known of the device.
            challenge: What it was asked.
            now: Seconds since 1970.
        """
        verdict = AttestVerdict(device=record.name, nonce=challenge.nonce, findings=())
        # Nothing in a quote means anything before its signature is checked.
        if problem := next(_untrusted(evidence, record), None):
            return dataclasses.replace(verdict, findings=(problem,))
        findings = [*_off_the_point(evidence, record, challenge, now)]
        found = self._boots.get(_key(evidence.log.events))
        findings += self._state(evidence, challenge, found)
        verdict = dataclasses.replace(
            verdict,
            findings=tuple(findings),
            reset_count=evidence.quote.reset_count,
            clock=evidence.quote.clock,
        )
        if found is None or not _UNPROVEN.isdisjoint(finding.id for finding in findings):
            return verdict
        release, boot = found
        _log.info("%s: slot %s of release %s", record.name, boot.slot or "not known", release.name)
        return dataclasses.replace(
            verdict, release=release.name, slot=boot.slot, rollback_index=release.rollback_index
        )

    def _state(
        self, evidence: Evidence, challenge: Challenge, found: tuple[Release, Boot] | None
    ) -> Iterator[Finding]:
        """Yield what is wrong with the PCRs and the log that explains them."""
        if _BANK not in evidence.log.algorithms:
            yield finding("attest.log", "device", f"the event log has no {_BANK} digests")
            return
        if evidence.quote.selection != ((challenge.bank, challenge.pcrs),):
            return
        if not self._boots:
            yield finding("attest.release", "device", "no release is approved: the list is empty")
            return
        values = eventlog.replay(evidence.log.events, _BANK)
        quoted = (evidence.quote.pcr_digest, evidence.signature.hash_name, challenge.pcrs)
        as_logged = _is_quoted(values, (), *quoted)
        if found is not None:
            if _is_quoted(values, found[0].runtime, *quoted):
                return
            if as_logged:
                left_out = "; ".join(extension.why for extension in found[0].runtime)
                yield finding(
                    "attest.not-capped", "device", f"the system skipped a step: {left_out}"
                )
                return
        elif as_logged or any(_is_quoted(values, one, *quoted) for one in self._runtimes):
            yield finding("attest.release", "device", self._nearest(evidence.log.events))
            return
        message = "the event log does not add up to the quoted PCR values: it was altered, or PCRs"
        yield finding(
            "attest.log", "device", f"{message} were extended by something that is not in it"
        )

    def _nearest(self, events: Sequence[Event]) -> str:
        """Say how a log that was not approved differs from the nearest one that is."""
        best = closest(events, self._logs)
        wrong = [e for e in best.entries if e.match is not Match.MATCHING][:_SHOWN]
        said = "; ".join(f"{e.match} in PCR {e.event.pcr}: {e.meaning}" for e in wrong)
        return f"the device runs a release that is not approved; compared with {best.name}: {said}"


def _untrusted(evidence: Evidence, record: Record) -> Iterator[Finding]:
    """Yield why the signature says nothing."""
    if not record.certified:
        message = f"the attestation key of {record.name} was never certified"
        yield finding("attest.key-not-certified", "device", message)
    public = parse_public(bytes.fromhex(record.ak), _KEY)
    try:
        tpm_keys.check_attestation_key(public)
    except VerificationRefused as error:
        yield finding("attest.key", "device", error.message)
    try:
        key = tpm_keys.public_key(public.key)
        tpm_keys.verify(public, key, evidence.attested, evidence.signature)
    except VerificationRefused as error:
        yield finding("attest.signature", "device", error.message)


def _off_the_point(
    evidence: Evidence, record: Record, challenge: Challenge, now: int
) -> Iterator[Finding]:
    """Yield where a quote that the key did sign is not the answer to the challenge."""
    quote = evidence.quote
    if challenge.device != record.name or not hmac.compare_digest(
        quote.nonce, bytes.fromhex(challenge.nonce)
    ):
        message = f"the quote answers {quote.nonce.hex() or 'no nonce'}: expected"
        yield finding(
            "attest.nonce", "device", f"{message} {challenge.nonce} of {challenge.device}"
        )
    if now > challenge.expires:
        message = f"the challenge expired {now - challenge.expires} seconds ago"
        yield finding("attest.nonce", "device", message)
    if quote.selection != ((challenge.bank, challenge.pcrs),):
        said = "; ".join(f"{bank}: {', '.join(map(str, pcrs))}" for bank, pcrs in quote.selection)
        asked = f"{challenge.bank}: {', '.join(map(str, challenge.pcrs))}"
        yield finding(
            "attest.selection",
            "device",
            f"the quote is over PCRs {said or 'none'}: expected {asked}",
        )
    counted = (quote.reset_count, quote.restart_count, quote.clock)
    last = (record.reset_count, record.restart_count, record.clock)
    if counted < last:
        message = f"the TPM counts resets, restarts and milliseconds {counted}: last were {last}"
        yield finding(
            "attest.counter", "device", f"{message}, so the quote is old or from another TPM"
        )


def unasked(evidence: Evidence, refusal: VerificationRefused) -> AttestVerdict:
    """Return the verdict on an answer whose challenge is not open: used, expired or unknown."""
    nonce = evidence.quote.nonce.hex()
    return AttestVerdict(
        device="", nonce=nonce, findings=(finding("attest.nonce", "device", refusal.message),)
    )


def seen(record: Record, verdict: AttestVerdict, evidence: Evidence) -> Record:
    """Return a device's record after an accepted answer.

    Raises:
        UsageError: The answer was not accepted.
    """
    if not verdict.accepted:
        raise UsageError(f"the answer of {record.name} was refused: no record is changed")
    return dataclasses.replace(
        record,
        reset_count=evidence.quote.reset_count,
        restart_count=evidence.quote.restart_count,
        clock=evidence.quote.clock,
    )


def _is_quoted(
    values: Mapping[int, bytes],
    runtime: Sequence[Extension],
    quoted: bytes,
    hash_name: str,
    pcrs: Sequence[int],
) -> bool:
    """Tell whether these PCR values, extended at run time, make the quoted digest."""
    after = dict(values)
    for extension in runtime:
        old = after.get(extension.pcr, tpm.ZERO_DIGEST)
        after[extension.pcr] = tpm.pcr_extend(old, bytes.fromhex(extension.digests[_BANK]))
    joined = b"".join(after.get(pcr, tpm.ZERO_DIGEST) for pcr in pcrs)
    return hmac.compare_digest(hashlib.new(hash_name, joined).digest(), quoted)


def _key(events: Sequence[Event]) -> tuple[object, ...]:
    return tuple((e.pcr, e.type, e.data, e.digests.get(_BANK, b"")) for e in events)
