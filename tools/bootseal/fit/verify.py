# SPDX-License-Identifier: MIT
"""Judges a FIT the way a release gate must: more strictly than any U-Boot.

Everything is evaluated and reported, not only the first problem. A FIT passes when its structure
holds nothing unsigned, every image matches its hashes, and every configuration carries a good
signature by the keys the control device tree requires.

Spec: U-Boot boot/image-fit-sig.c since v2026.04, where the list of hashed nodes is rebuilt.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bootseal.errors import UsageError, VerificationRefused
from bootseal.events import Finding, Severity
from bootseal.fit import control_dtb as trust_store
from bootseal.fit import structure
from bootseal.fit.structure import error
from bootseal.formats import fit as fit_format
from bootseal.keys.algorithms import Algorithm
from bootseal.keys.signer import verify_digest

if TYPE_CHECKING:
    from bootseal.fit.control_dtb import TrustedKey
    from bootseal.formats.fdt import Buffer
    from bootseal.formats.fit import Configuration, Fit, Signature

_HASHED_STRINGS: Final = struct.Struct(">II")


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyVerdict:
    """Whether one configuration is signed by one required key.

    Attributes:
        configuration: Name of the configuration.
        key: Hint of the required key.
        fingerprint: SHA-256 of the key's SubjectPublicKeyInfo, lower-case hex.
        algorithm: The key's algorithm.
        hashed_nodes: Paths of the nodes a signature must cover.
        findings: What is wrong; empty when the signature is good.
    """

    configuration: str
    key: str
    fingerprint: str
    algorithm: str
    hashed_nodes: tuple[str, ...]
    findings: tuple[Finding, ...]

    @property
    def good(self) -> bool:
        """Whether the signature is good."""
        return not self.findings


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The whole judgement; `findings` holds those of `results` that count."""

    findings: tuple[Finding, ...]
    results: tuple[KeyVerdict, ...]

    @property
    def errors(self) -> tuple[Finding, ...]:
        """The findings that refuse the FIT."""
        return tuple(f for f in self.findings if f.severity is Severity.ERROR)


def inspect(fit: Buffer, control_dtb: Buffer, configuration: str | None = None) -> Verdict:
    """Judge a FIT and return everything found.

    Args:
        fit: The file, exactly; it is not copied.
        control_dtb: U-Boot's device tree, or the boot loader that ends with it.
        configuration: Check the signatures of this one only; the structure of all is checked.

    Raises:
        FormatError: One of the two is malformed.
    """
    model = fit_format.parse(fit)
    trust = trust_store.read_trust(control_dtb)
    findings = structure.check(model)
    trailing = len(fit) - model.flat.header.total_size
    if trailing:
        findings.append(error("trailing-data", "file", f"{trailing} bytes follow the FIT"))
    required = [key for key in trust.keys if key.required == "conf"]
    if not required:
        findings.append(
            error("no-required-key", "control device tree", "U-Boot would accept any FIT: no key")
        )
    findings += [
        error("image-key", key.path, "U-Boot takes an image key for any key: use required=conf")
        for key in trust.keys
        if key.required == "image"
    ]
    chosen = [c for c in model.configurations if configuration in {None, c.name}]
    if configuration is not None and not chosen:
        where = f"/configurations/{configuration}"
        findings.append(error("no-configuration", where, "there is no such configuration"))
    results: list[KeyVerdict] = []
    for each in chosen:
        verdicts = [_judge(model, each, key) for key in required]
        results += verdicts
        if not (trust.any_suffices and any(verdict.good for verdict in verdicts)):
            findings += [f for verdict in verdicts for f in verdict.findings]
    return Verdict(findings=tuple(findings), results=tuple(results))


def verify(fit: Buffer, control_dtb: Buffer, configuration: str | None = None) -> Verdict:
    """Judge a FIT and return the verdict only if it is acceptable.

    Args:
        fit: The file, exactly; it is not copied.
        control_dtb: U-Boot's device tree, or the boot loader that ends with it.
        configuration: Check the signatures of this one only.

    Raises:
        FormatError: One of the two is malformed.
        VerificationRefused: The FIT must not boot; the message names the first finding.
    """
    verdict = inspect(fit, control_dtb, configuration)
    refuse(verdict.errors, "the FIT is refused")
    return verdict


def refuse(errors: tuple[Finding, ...], what: str) -> None:
    """Raise when there are errors.

    Raises:
        VerificationRefused: There are; the message names the first and how many.
    """
    if not errors:
        return
    first = errors[0]
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    raise VerificationRefused(f"{what}: {first.id} at {first.where}: {first.message}{more}")


def _judge(fit: Fit, configuration: Configuration, key: TrustedKey) -> KeyVerdict:
    nodes = fit_format.hashed_nodes(fit, configuration)
    findings: list[Finding] = []
    good = False
    signatures = [s for s in configuration.signatures if s.value]
    for signature in signatures:
        problems = _check_signature(fit, nodes, signature, key)
        if signature.hint == key.hint:
            good = good or not problems
            findings += problems
        elif not problems:
            message = f"signed by {key.hint!r}, but the hint says {signature.hint!r}"
            findings.append(error("key-hint", signature.path, message))
    if not good and not findings:
        hints = ", ".join(repr(s.hint) for s in signatures)
        message = f"no signature by the required key {key.hint!r}: "
        message += f"there are signatures by {hints}" if hints else "it is not signed at all"
        findings.append(error("no-signature", configuration.path, message))
    return KeyVerdict(
        configuration=configuration.name,
        key=key.hint,
        fingerprint=key.public_key.fingerprint(),
        algorithm=key.algorithm,
        hashed_nodes=nodes,
        findings=() if good else tuple(findings),
    )


def _check_signature(
    fit: Fit, nodes: tuple[str, ...], signature: Signature, key: TrustedKey
) -> list[Finding]:
    """Return what is wrong with a signature node, apart from its hint."""
    where = signature.path
    try:
        algorithm = Algorithm.parse(signature.algorithm, signature.padding)
    except UsageError as problem:
        return [error("algorithm", where, problem.message)]
    findings: list[Finding] = []
    if signature.algorithm != key.algorithm:
        message = f"{signature.algorithm!r}, but the key is for {key.algorithm!r}"
        findings.append(error("algorithm", where, message))
    if set(signature.hashed_nodes) != set(nodes):
        odd = sorted(set(signature.hashed_nodes) ^ set(nodes))
        message = f"'hashed-nodes' and the configuration disagree about {', '.join(odd)}"
        findings.append(error("hashed-nodes", where, message))
    size = _strings_size(fit, signature)
    if size is None:
        expected = f"0 and at most {fit.flat.header.size_strings}"
        message = f"'hashed-strings' is {signature.hashed_strings.hex() or 'missing'}: expected "
        return [*findings, error("hashed-strings", where, message + expected)]
    digest = algorithm.digest(fit_format.signed_chunks(fit.flat, nodes, size))
    try:
        verify_digest(key.public_key, digest, signature.value, algorithm)
    except VerificationRefused as refusal:
        findings.append(error("bad-signature", where, refusal.message))
    return findings


def _strings_size(fit: Fit, signature: Signature) -> int | None:
    if len(signature.hashed_strings) != _HASHED_STRINGS.size:
        return None
    zero, size = _HASHED_STRINGS.unpack(signature.hashed_strings)
    return None if zero or size > fit.flat.header.size_strings else int(size)
