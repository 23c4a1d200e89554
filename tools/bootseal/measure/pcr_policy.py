# SPDX-License-Identifier: MIT
"""PCR policies signed by the vendor, in the form systemd reads (`tpm2-pcr-signature.json`).

For each approved state the document has the digest of a TPM2_PolicyPCR and an RSA signature over
it. The TPM releases the data partition's key for a state together with its signature, so an
update needs a new document and no new enrolment. The document is neither secret nor measured: it
is in the tail of the slot's boot partition, behind the FIT.

Spec: systemd-cryptenroll(1), --tpm2-public-key=; TPM 2.0 Library part 3, 23.7 and 23.16.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bootseal import documents
from bootseal.errors import BootsealError, FormatError, UsageError, VerificationRefused
from bootseal.findings.catalogue import finding
from bootseal.findings.model import Finding, errors
from bootseal.formats.tpm import policy as tpm
from bootseal.keys.algorithms import Algorithm
from bootseal.keys.public import PublicKey, RsaPublicKey, verify_digest

if TYPE_CHECKING:
    from bootseal.keys.signers.base import Signer
    from bootseal.measure.predict import Prediction

FILE_NAME: Final = "tpm2-pcr-signature.json"
PCRS: Final = (1, 8, 9)
"""What a policy is over without a boot ROM: device tree and arguments, kernel, initramfs."""
ROM_PCRS: Final = (0, *PCRS)
"""With a boot ROM: the boot loader too, which cannot decide what was measured before it ran."""

_SHA256: Final = re.compile(r"[0-9a-f]{64}")
# systemd takes PKCS#1 v1.5 only, and 2048 bits is the RSA size every TPM can load.
_ALGORITHM: Final = Algorithm.parse("sha256,rsa2048")
# Linux can extend PCR 8 and above from zero; only firmware comes before PCR 0-7's separators.
_FIRMWARE_PCRS: Final = range(8)


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """One approved state, as systemd reads it.

    Attributes:
        pcrs: The PCRs it is over, in ascending order.
        pkfp: The key: SHA-256 of its PKCS#1 DER, lower-case hex.
        pol: The TPM2_PolicyPCR digest, lower-case hex.
        sig: PKCS#1 v1.5 signature over that.
    """

    pcrs: tuple[int, ...]
    pkfp: str
    pol: str
    sig: bytes

    @property
    def policy(self) -> bytes:
        """The TPM2_PolicyPCR digest."""
        return bytes.fromhex(self.pol)


@dataclass(frozen=True, slots=True, kw_only=True)
class PcrPolicy:
    """The whole document: approved states of the one bank that is used."""

    sha256: tuple[Approval, ...]


def sign(
    predictions: Iterable[Prediction], signer: Signer, pcrs: Sequence[int] | None = None
) -> PcrPolicy:
    """Approve the predicted states.

    Args:
        predictions: One for each configuration that may open the data partition.
        signer: Holds the policy key.
        pcrs: The PCRs the policy is over; None takes what each release declares.

    Returns:
        systemd's document, each state once, its signatures verified.

    Raises:
        UsageError: The key is not RSA-2048, no state is given, or a policy over these PCRs could
            be met without the predicted boot.
    """
    public_key = signer.public_key
    if public_key.kind is not _ALGORITHM.kind:
        raise UsageError(
            f"the policy key is {public_key.kind}: systemd and TPMs need {_ALGORITHM.kind}"
        )
    policies = {_policy(each, pcrs or covered(each)): pcrs or covered(each) for each in predictions}
    if not policies:
        raise UsageError("there is no predicted state to sign")
    approvals = tuple(
        Approval(
            pcrs=tuple(sorted(over)),
            pkfp=key_fingerprint(public_key),
            pol=policy.hex(),
            sig=signer.sign_digest(hashlib.sha256(policy).digest(), _ALGORITHM),
        )
        for policy, over in policies.items()
    )
    for approval in approvals:
        _verify_approval(approval, public_key)
    return PcrPolicy(sha256=approvals)


def keep(
    document: PcrPolicy,
    previous: PcrPolicy,
    public_key: PublicKey,
    approved: Collection[bytes] | None = None,
) -> PcrPolicy:
    """Add what earlier releases were approved with, so that they open the same data.

    Args:
        document: What approves the new release; it stays in front.
        previous: What approves earlier ones.
        public_key: The policy key that must have signed both.
        approved: Policy digests of the releases still approved; the others are left out. None
            keeps every entry.

    Returns:
        One document, each state once.

    Raises:
        VerificationRefused: An entry to be kept was not signed by this key.
    """
    kept = {approval.pol: approval for approval in document.sha256}
    for number, approval in enumerate(previous.sha256):
        if approved is not None and approval.policy not in approved:
            continue
        problems = list(_problems(approval, f"entry {number}", public_key, {approval.pcrs}))
        if problems:
            raise VerificationRefused(
                f"the previous PCR policy cannot be kept: {problems[0].where} "
                f"{problems[0].message}",
                hint="sign with the key that signed it, or leave it out",
            )
        kept.setdefault(approval.pol, approval)
    return PcrPolicy(sha256=tuple(kept.values()))


def key_fingerprint(public_key: PublicKey) -> str:
    """Return what systemd calls `pkfp`: SHA-256 of the PKCS#1 DER, not of the usual SPKI.

    Raises:
        UsageError: It is not an RSA key.
    """
    if not isinstance(public_key, RsaPublicKey):
        raise UsageError(f"a policy key is never {public_key.kind}: expected {_ALGORITHM.kind}")
    return hashlib.sha256(public_key.pkcs1_der).hexdigest()


def covered(prediction: Prediction) -> tuple[int, ...]:
    """Return the PCRs that a release's policy is over: it declares a boot ROM in what it signs."""
    return PCRS if prediction.firmware_version is None else ROM_PCRS


def policy_digest(prediction: Prediction, pcrs: Sequence[int] | None = None) -> bytes:
    """Return the TPM2_PolicyPCR digest of a predicted state.

    Args:
        prediction: The state.
        pcrs: The PCRs the policy is over; None takes what the release declares.

    Raises:
        UsageError: One of the PCRs was not predicted.
    """
    pcrs = pcrs or covered(prediction)
    if missing := [pcr for pcr in pcrs if pcr not in prediction.pcrs]:
        raise UsageError(
            f"PCR {missing[0]} of {prediction.configuration} is not predicted: "
            f"known are {', '.join(map(str, sorted(prediction.pcrs)))}",
            hint="give the boot loader that starts it: --u-boot FIP" if 0 in missing else "",
        )
    return tpm.policy_pcr({pcr: prediction.pcrs[pcr] for pcr in pcrs})


def parse(data: bytes) -> PcrPolicy:
    """Read a document; more than systemd understands is an error.

    Raises:
        FormatError: It is not JSON, or not of this shape.
    """
    found = documents.read(PcrPolicy, data, "the PCR policy")
    for number, approval in enumerate(found.sha256):
        for text in (approval.pkfp, approval.pol):
            if _SHA256.fullmatch(text) is None:
                raise FormatError(
                    f"the PCR policy: entry {number} has {text!r:.80}: "
                    "expected a SHA-256 in lower-case hex"
                )
    return found


def verify(
    data: bytes,
    public_key: PublicKey,
    predictions: Iterable[Prediction],
    pcrs: Sequence[int] | None = None,
) -> None:
    """Check that a document approves every predicted state, by this key.

    Raises:
        VerificationRefused: It does not.
        FormatError: It is not such a document.
    """
    findings = inspect(data, public_key, predictions, pcrs)
    if found := errors(findings):
        raise VerificationRefused(
            "the PCR policy is refused:\n"
            + "\n".join(f"{error.where}: {error.message}" for error in found)
        )


def inspect(
    data: bytes,
    public_key: PublicKey,
    predictions: Iterable[Prediction],
    pcrs: Sequence[int] | None = None,
) -> tuple[Finding, ...]:
    """Like `verify`, but return what was found; a state beyond the predicted is a warning.

    Raises:
        FormatError: It is not such a document.
        UsageError: What a policy must be over was not predicted.
    """
    wanted = {policy_digest(prediction, pcrs): prediction for prediction in predictions}
    allowed = {tuple(sorted(pcrs or covered(each))) for each in wanted.values()}
    findings: list[Finding] = []
    approved: set[bytes] = set()
    for number, approval in enumerate(parse(data).sha256):
        where = f"entry {number}"
        problems = list(_problems(approval, where, public_key, allowed))
        findings += problems
        policy = approval.policy
        if not problems and policy not in wanted:
            findings.append(
                finding(
                    "policy.unexpected",
                    where,
                    f"approves a state that is not predicted: {policy.hex()}",
                )
            )
        if not problems:
            approved.add(policy)
    for policy, prediction in wanted.items():
        if policy not in approved:
            findings.append(
                finding(
                    "policy.missing",
                    prediction.configuration,
                    f"no valid entry approves its state {policy.hex()}",
                )
            )
    return tuple(findings)


def _policy(prediction: Prediction, pcrs: Sequence[int]) -> bytes:
    digest = policy_digest(prediction, pcrs)
    if not any(pcr in _FIRMWARE_PCRS for pcr in pcrs):
        raise UsageError(
            f"a policy over PCR {', '.join(map(str, sorted(pcrs)))} can be satisfied from Linux "
            "when U-Boot failed to measure: include one of PCR 0 to 7"
        )
    for pcr in pcrs:
        if prediction.pcrs[pcr] == tpm.ZERO_DIGEST:
            raise UsageError(
                f"PCR {pcr} of {prediction.configuration} is all zeros, so nothing was measured "
                "into it: a policy over it proves nothing"
            )
    return digest


def _verify_approval(approval: Approval, public_key: PublicKey) -> None:
    digest = hashlib.sha256(approval.policy).digest()
    verify_digest(public_key, digest, approval.sig, _ALGORITHM)


def _problems(
    approval: Approval, where: str, public_key: PublicKey, allowed: Collection[tuple[int, ...]]
) -> Iterator[Finding]:
    if approval.pcrs not in allowed:
        expected = " or ".join(str(list(pcrs)) for pcrs in sorted(allowed))
        message = f"is over PCR {list(approval.pcrs)}: expected {expected}"
        yield finding("policy.pcrs", where, message)
    if approval.pkfp != (expected := key_fingerprint(public_key)):
        yield finding("policy.key", where, f"names the key {approval.pkfp}: expected {expected}")
    try:
        _verify_approval(approval, public_key)
    except BootsealError as error:
        yield finding("policy.signature", where, error.message)
