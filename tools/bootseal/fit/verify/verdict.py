# SPDX-License-Identifier: MIT
"""Checks a FIT: whether it may boot, and which U-Boot releases would decide otherwise.

Everything is evaluated and reported, not only the first problem. Checked strictly, a FIT
passes when its structure holds nothing unsigned, every image matches its hashes, and every
configuration carries a good signature by the keys the control device tree requires. Under the
compatible one the configuration that would boot is checked as a fixed U-Boot does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bootseal.findings.catalogue import finding
from bootseal.findings.model import Finding, errors, refuse
from bootseal.fit import control_dtb as trust_store
from bootseal.fit.verify import gate, payloads, releases, starting, structure
from bootseal.fit.verify.digest import PayloadCache
from bootseal.fit.verify.signature import check_configuration, check_image, holds_by_list
from bootseal.fit.verify.strictness import COMPAT, STRICT
from bootseal.formats.fit import model as fit_format

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bootseal.fit.control_dtb import Trust, TrustedKey
    from bootseal.fit.verify.releases import ReleaseNote
    from bootseal.fit.verify.strictness import Strictness
    from bootseal.formats.fdt.model import Buffer
    from bootseal.formats.fit.model import Configuration, Fit, Image


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
        good_by_list: Whether a U-Boot that trusts `hashed-nodes` finds a good signature.
    """

    configuration: str
    key: str
    fingerprint: str
    algorithm: str
    hashed_nodes: tuple[str, ...]
    findings: tuple[Finding, ...]
    good_by_list: bool

    @property
    def good(self) -> bool:
        """Whether the signature is good."""
        return not self.findings


@dataclass(frozen=True, slots=True, kw_only=True)
class FitVerdict:
    """What was found about a FIT.

    Attributes:
        policy: Name of the strictness it was checked with: `strict` or `compat`.
        findings: Everything found; of `results`, what counts.
        results: Each configuration, checked with each required key.
        notes: Which U-Boot releases answer otherwise.
    """

    policy: str
    findings: tuple[Finding, ...]
    results: tuple[KeyVerdict, ...]
    notes: tuple[ReleaseNote, ...]

    @property
    def errors(self) -> tuple[Finding, ...]:
        """The findings that refuse the FIT."""
        return errors(self.findings)


def inspect(
    fit: Buffer,
    control_dtb: Buffer,
    configuration: str | None = None,
    *,
    strictness: Strictness = STRICT,
) -> FitVerdict:
    """Check a FIT and return everything found.

    Args:
        fit: The file, exactly; it is not copied.
        control_dtb: U-Boot's device tree, or the boot loader that holds it.
        configuration: Check the signatures of this one only. None means all of them under a
            strict check, and else the default one, as U-Boot does.
        strictness: How severely.

    Raises:
        FormatError: One of the two is malformed.
    """
    trust = trust_store.read_trust(control_dtb)
    return check_fit(strictness.parse(fit), trust, configuration, strictness=strictness)


def verify(
    fit: Buffer,
    control_dtb: Buffer,
    configuration: str | None = None,
    *,
    strictness: Strictness = STRICT,
) -> FitVerdict:
    """Check a FIT and return the verdict only if it is acceptable; arguments as `inspect`.

    Raises:
        FormatError: One of the two is malformed.
        VerificationRefused: The FIT must not boot; the message names the first finding.
    """
    verdict = inspect(fit, control_dtb, configuration, strictness=strictness)
    refuse(verdict.errors, "the FIT is refused")
    return verdict


def check_fit(
    fit: Fit,
    trust: Trust,
    configuration: str | None = None,
    *,
    strictness: Strictness = STRICT,
    cache: PayloadCache | None = None,
) -> FitVerdict:
    """Check a FIT that has been read, by keys that have been read; like `inspect` otherwise.

    Args:
        fit: The FIT, as `strictness.parse` read it.
        trust: The keys.
        configuration: Which one.
        strictness: How severely.
        cache: What is known about the payloads of this file already.

    Raises:
        ValueError: The FIT was read leniently and is to be checked strictly, or the reverse.
    """
    if fit.lenient is strictness.strict:
        raise ValueError(f"a FIT to be checked as {strictness.name} is read by its parse()")
    known = PayloadCache() if cache is None else cache
    chosen, findings = _choose(fit, configuration, strictness)
    return _verdict(fit, trust, chosen, findings, strictness, known)


def check_all(
    fit: Fit, trust: Trust, *, strictness: Strictness, cache: PayloadCache | None = None
) -> FitVerdict:
    """Check every configuration of a FIT as one that may boot, strictly or not.

    A default that does not exist is refused as well. The arguments are those of `check_fit`.
    """
    known = PayloadCache() if cache is None else cache
    about_choice = list(structure.check_default(fit))
    return _verdict(fit, trust, fit.configurations, about_choice, strictness, known)


def _verdict(
    fit: Fit,
    trust: Trust,
    chosen: Sequence[Configuration],
    about_choice: list[Finding],
    strictness: Strictness,
    cache: PayloadCache,
) -> FitVerdict:
    findings = [*check_unsigned(fit, chosen, strictness, cache), *about_choice]
    findings += _check_trust(trust)
    findings += _check_image_keys(chosen, trust, strictness)
    if strictness.strict and trust.gated:
        findings += gate.check(fit, strictness.target)
    results: list[KeyVerdict] = []
    for each in chosen:
        verdicts, found = check_signatures(fit, each, trust, strictness, cache)
        results += verdicts
        findings += found
    unique = tuple(dict.fromkeys(findings))
    return FitVerdict(
        policy=strictness.name,
        findings=unique,
        results=tuple(results),
        notes=releases.notes(unique, [(r.good, r.good_by_list) for r in results]),
    )


def uboot_accepts(
    data: Buffer,
    trust: Trust,
    *,
    strictness: Strictness = COMPAT,
    cache: PayloadCache | None = None,
) -> dict[str, bool]:
    """Say for each configuration whether a U-Boot with all published fixes boots it.

    Raises:
        FormatError: It would boot none of them, as the FIT is malformed to it as well.
    """
    fit, known = strictness.parse(data), PayloadCache() if cache is None else cache
    if errors([*_check_tree(fit, strictness), *_check_trust(trust)]):
        return dict.fromkeys((each.name for each in fit.configurations), False)
    found: dict[str, bool] = {}
    for each in fit.configurations:
        # Of two with one name it takes the first.
        if each.name not in found:
            problems = list(_check_one(fit, each, strictness, known))
            problems += check_signatures(fit, each, trust, strictness, known)[1]
            found[each.name] = not errors(problems)
    return found


def check_unsigned(
    fit: Fit, configurations: Sequence[Configuration], strictness: Strictness, cache: PayloadCache
) -> list[Finding]:
    """Return what is wrong with a FIT apart from its signatures.

    Args:
        fit: The FIT.
        configurations: Those that may boot; a strict check looks at all.
        strictness: How severely.
        cache: What is known about the payloads already.
    """
    if strictness.strict:
        return structure.check(fit, strictness, cache)
    found = list(_check_tree(fit, strictness))
    for each in configurations:
        found += _check_one(fit, each, strictness, cache)
    return found


def _choose(
    fit: Fit, name: str | None, strictness: Strictness
) -> tuple[list[Configuration], list[Finding]]:
    """Return the configurations to check, and what is wrong with the choice."""
    if name is None and strictness.strict:
        findings = []
        if len(fit.configurations) > 1:
            message = "the choice of the default is not signed: boot with ADDRESS#NAME"
            findings.append(finding("fit.default-unsigned", "/configurations", message))
        return list(fit.configurations), findings
    wanted = fit.default if name is None else name
    found = [c for c in fit.configurations if c.name == wanted][: None if strictness.strict else 1]
    return found, [] if found else list(_no_choice(fit, name))


def _no_choice(fit: Fit, name: str | None) -> Iterator[Finding]:
    """Yield why none of a FIT's configurations would boot."""
    names = ", ".join(each.name for each in fit.configurations)
    if not fit.configurations:
        return  # Which is a finding about the tree.
    if name is not None:
        message = f"there is no such configuration: the FIT has {names}"
        remedy = f"--configuration NAME, with one of {names}"
        yield finding("fit.no-configuration", f"/configurations/{name}", message, remedy=remedy)
    elif fit.default is not None:
        yield from structure.check_default(fit)
    else:
        message = f"the FIT has no default: name one of {names} with --configuration"
        remedy = "name the configuration that the device boots: --configuration NAME"
        yield finding("fit.no-configuration", "/configurations", message, remedy=remedy)


def _check_tree(fit: Fit, strictness: Strictness) -> Iterator[Finding]:
    """Yield what a U-Boot refuses for any configuration."""
    yield from structure.check_size(fit, strictness)
    yield from structure.check_addresses(fit)
    if "description" not in fit.flat.root.properties:
        yield finding("fit.description", "/", "there is no description, which U-Boot requires")
    yield from structure.check_configurations(fit)


def _check_one(
    fit: Fit, configuration: Configuration, strictness: Strictness, cache: PayloadCache
) -> Iterator[Finding]:
    """Yield what a U-Boot refuses in one configuration, apart from its signatures."""
    if not configuration.references:
        yield finding("fit.missing-image", configuration.path, "the configuration names no image")
    yield from payloads.check(fit, _images(fit, configuration), strictness, cache)


def _check_trust(trust: Trust) -> Iterator[Finding]:
    where = "control device tree"
    if not trust.required("conf") and not trust.required("image"):
        yield finding("fit.no-required-key", where, "U-Boot would accept any FIT: no key")
    elif trust.gated and not trust.required("conf"):
        message = "no key is required for configurations: the gate of this U-Boot refuses every FIT"
        yield finding("fit.no-required-key", where, message)
    for key in trust.keys:
        if key.required not in {"", "conf", "image"}:
            message = f"required is {key.required!r}, which U-Boot ignores: expected conf or image"
            yield finding("fit.required-value", key.path, message)
    for key in trust.required("image"):
        message = "U-Boot accepts a signature by any key in place of this one: use required=conf"
        yield finding("fit.image-key", key.path, message)


def _check_image_keys(
    chosen: Sequence[Configuration], trust: Trust, strictness: Strictness
) -> Iterator[Finding]:
    """Yield the configurations that no key is required for, though one is for their images.

    An SPL has no other way in many releases. A kernel must not be started like that.
    """
    if trust.required("conf") or not trust.required("image"):
        return
    message = (
        "only the data of its images is signed: anyone can combine images of several FITs, and "
        "change their load addresses and entry points"
    )
    for each in chosen:
        kernel = strictness.strict and "kernel" in each.references
        identifier = "fit.kernel-by-image-key" if kernel else "fit.unsigned-configuration"
        yield finding(identifier, each.path, message)


def check_signatures(
    fit: Fit,
    configuration: Configuration,
    trust: Trust,
    strictness: Strictness,
    cache: PayloadCache,
) -> tuple[list[KeyVerdict], list[Finding]]:
    """Check the signatures of one configuration and of its images."""
    verdicts = [_check_key(fit, configuration, key, strictness) for key in trust.required("conf")]
    findings: list[Finding] = []
    if not (trust.any_suffices and any(verdict.good for verdict in verdicts)):
        findings = [f for verdict in verdicts for f in verdict.findings]
    findings += _check_images(fit, configuration, trust, strictness, cache)
    if not strictness.strict and not trust.required("conf"):
        findings += starting.check(fit, configuration)
    return verdicts, findings


def _check_key(
    fit: Fit, configuration: Configuration, key: TrustedKey, strictness: Strictness
) -> KeyVerdict:
    findings: list[Finding] = []
    good = by_list = False
    signatures = [s for s in configuration.signatures if s.value]
    if strictness.strict and not key.hint:
        message = "the required key has no key-name-hint, so no signature can name it"
        findings.append(finding("fit.key-hint", key.path, message))
    for signature in signatures:
        problems = check_configuration(fit, configuration, signature, key, strictness)
        by_list = by_list or holds_by_list(fit, configuration, signature, key)
        if signature.hint == key.hint or not strictness.strict:
            good = good or not (problems or (strictness.strict and not key.hint))
            findings += problems
        elif not problems:
            message = f"signed by {key.hint!r}, but the hint says {signature.hint!r}"
            findings.append(finding("fit.key-hint", signature.path, message))
    if not good and not findings:
        hints = ", ".join(repr(s.hint) for s in signatures)
        message = f"no signature by the required key {key.hint!r}: "
        message += f"there are signatures by {hints}" if hints else "it is not signed at all"
        findings.append(finding("fit.no-signature", configuration.path, message))
    return KeyVerdict(
        configuration=configuration.name,
        key=key.hint,
        fingerprint=key.public_key.fingerprint(),
        algorithm=key.algorithm,
        hashed_nodes=fit_format.hashed_nodes(fit, configuration),
        findings=() if good else tuple(findings),
        good_by_list=by_list,
    )


def _check_images(
    fit: Fit,
    configuration: Configuration,
    trust: Trust,
    strictness: Strictness,
    cache: PayloadCache,
) -> Iterator[Finding]:
    """Check the signatures of single images, for keys that are required for images."""
    for key in trust.required("image"):
        for image in _images(fit, configuration):
            # U-Boot is content with a signature by any key (boot/image-fit-sig.c).
            keys = (key,) if strictness.strict else trust.keys
            problems = [
                check_image(image, signature, accepted, cache)
                for signature in image.signatures
                for accepted in keys
                if signature.value and (signature.hint == key.hint or not strictness.strict)
            ]
            if not problems:
                message = f"no signature of the image by the required key {key.hint!r}"
                yield finding("fit.no-signature", image.path, message)
            elif all(problems):
                yield from problems[0]


def _images(fit: Fit, configuration: Configuration) -> list[Image]:
    """Return the images a configuration names, each once."""
    names = [name for named in configuration.references.values() for name in named]
    return [fit.image(name) for name in dict.fromkeys(names)]
