# SPDX-License-Identifier: MIT
"""Checks one signature node against one key.

Spec: U-Boot boot/image-fit-sig.c since v2026.04, where the list of hashed nodes is rebuilt from
the configuration instead of taken from `hashed-nodes`.
"""

from __future__ import annotations

import struct
from collections.abc import Collection
from typing import TYPE_CHECKING, Final

from bootseal.errors import UsageError, VerificationRefused
from bootseal.findings.catalogue import finding
from bootseal.formats.fit import model as fit_format
from bootseal.keys.algorithms import Algorithm
from bootseal.keys.public import verify_digest

if TYPE_CHECKING:
    from bootseal.findings.model import Finding
    from bootseal.fit.control_dtb import TrustedKey
    from bootseal.fit.verify.digest import PayloadCache
    from bootseal.fit.verify.strictness import Strictness
    from bootseal.formats.fit.model import Configuration, Fit, Image, Signature

_HASHED_STRINGS: Final = struct.Struct(">II")

# Bounds of the verifier: IMAGE_MAX_HASHED_NODES, FIT_MAX_HASH_PATH_BUF, and regions by nodes. The
# first holds for 'hashed-nodes' as well, where that is what is hashed.
_MAX_NODES: Final = 100
_MAX_PATHS: Final = 4096


def check_configuration(
    fit: Fit,
    configuration: Configuration,
    signature: Signature,
    key: TrustedKey,
    strictness: Strictness,
) -> list[Finding]:
    """Return what is wrong with a configuration's signature node, apart from its hint."""
    algorithm, findings = _algorithm(signature, key)
    if algorithm is None:
        return findings
    nodes = fit_format.hashed_nodes(fit, configuration)
    if strictness.strict and set(signature.hashed_nodes) != set(nodes):
        odd = sorted(set(signature.hashed_nodes) ^ set(nodes))
        message = f"'hashed-nodes' and the configuration disagree about {', '.join(odd)}"
        findings.append(finding("fit.hashed-nodes", signature.path, message))
    if strictness.strict and len(signature.hashed_nodes) > _MAX_NODES:
        message = f"'hashed-nodes' has {len(signature.hashed_nodes)} entries: U-Boot allows up to "
        findings.append(finding("fit.hashed-nodes", signature.path, f"{message}{_MAX_NODES}"))
    findings += _check_limits(fit, configuration, nodes)
    size = _strings_size(fit, signature, strict=strictness.strict)
    if size is None:
        expected = f"0 and at most {fit.flat.header.size_strings}"
        message = f"'hashed-strings' is {signature.hashed_strings.hex() or 'missing'}: expected "
        return [*findings, finding("fit.hashed-strings", signature.path, message + expected)]
    digest = algorithm.digest(fit.regions.chunks(nodes, size))
    return findings + _verify(signature, key, digest, algorithm)


def check_image(
    image: Image, signature: Signature, key: TrustedKey, cache: PayloadCache
) -> list[Finding]:
    """Return what is wrong with an image's signature node, apart from its hint."""
    algorithm, findings = _algorithm(signature, key)
    if algorithm is None:
        return findings
    digest = cache.digest(image, algorithm.hash_name)
    return findings + _verify(signature, key, digest, algorithm)


def holds_by_list(
    fit: Fit, configuration: Configuration, signature: Signature, key: TrustedKey
) -> bool:
    """Return whether the signature is good to a U-Boot that trusts `hashed-nodes`.

    Those are the releases before 2026.04 without the fix of CVE-2026-46728.
    """
    algorithm, findings = _algorithm(signature, key)
    size = _strings_size(fit, signature, strict=False)
    if algorithm is None or size is None or configuration.path not in signature.hashed_nodes:
        return False
    chunks = fit.regions.chunks(signature.hashed_nodes, size)
    return not findings and not _verify(signature, key, algorithm.digest(chunks), algorithm)


def _algorithm(signature: Signature, key: TrustedKey) -> tuple[Algorithm | None, list[Finding]]:
    try:
        algorithm = Algorithm.parse(signature.algorithm, signature.padding)
    except UsageError as problem:
        return None, [finding("fit.algorithm", signature.path, problem.message)]
    if signature.algorithm == key.algorithm:
        return algorithm, []
    message = f"{signature.algorithm!r}, but the key is for {key.algorithm!r}"
    return algorithm, [finding("fit.algorithm", signature.path, message)]


def _check_limits(fit: Fit, configuration: Configuration, nodes: Collection[str]) -> list[Finding]:
    listed = ["/", configuration.path]
    for names in configuration.references.values():
        for name in names:
            listed += fit_format.image_nodes(fit.image(name))
    regions = len(fit.regions.of(nodes))
    if (
        len(listed) <= _MAX_NODES
        and sum(len(path) + 1 for path in listed) <= _MAX_PATHS
        and regions < 19 + 7 * len(listed)
    ):
        return []
    message = f"{len(listed)} nodes in {regions} regions are more than U-Boot can hash"
    return [finding("fit.too-many-nodes", configuration.path, message)]


def _strings_size(fit: Fit, signature: Signature, *, strict: bool) -> int | None:
    """Return how much of the strings block is signed, None when the node does not say."""
    if "hashed-strings" not in signature.node.properties and not strict:
        return 0
    given = signature.hashed_strings
    if len(given) != _HASHED_STRINGS.size and (strict or len(given) < _HASHED_STRINGS.size):
        return None
    zero, size = _HASHED_STRINGS.unpack_from(given)
    return None if (zero and strict) or size > fit.flat.header.size_strings else int(size)


def _verify(
    signature: Signature, key: TrustedKey, digest: bytes, algorithm: Algorithm
) -> list[Finding]:
    try:
        verify_digest(key.public_key, digest, signature.value, algorithm)
    except VerificationRefused as refusal:
        return [finding("fit.bad-signature", signature.path, refusal.message)]
    return []
