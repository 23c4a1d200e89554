# SPDX-License-Identifier: MIT
"""Signs the configurations of a FIT in place, byte for byte as mkimage does.

What is written is parsed and verified again before it is returned: a signer that says it signed
proves nothing.

Spec: U-Boot tools/image-host.c and tools/fit_image.c (v2023.01) for order, placement and growth.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import bootseal
from bootseal.errors import UsageError, VerificationRefused
from bootseal.events import Severity
from bootseal.fit import control_dtb, structure
from bootseal.fit.verify import refuse, verify
from bootseal.formats import fdt
from bootseal.formats import fit as fit_format
from bootseal.formats.fdt_edit import Editor
from bootseal.keys.algorithms import Algorithm
from bootseal.units import align_up

if TYPE_CHECKING:
    from bootseal.formats.fit import Configuration, Fit, Signature
    from bootseal.keys.signer import Signer

# mkimage grows the file in these steps, and its list of regions ends there without a check.
_GROWTH: Final = 1024
_MAX_REGIONS: Final = 100
_DEFAULT_SIGN_IMAGES: Final = ("kernel", "fdt", "script")


def sign(
    fit: bytes,
    signer: Signer,
    hint: str,
    *,
    timestamp: int,
    algorithm: str | None = None,
    name: str = "bootseal",
    version: str = bootseal.__version__,
) -> bytes:
    """Sign every configuration with the signature nodes that wait for this key.

    Args:
        fit: A FIT whose images are hashed and whose configurations have signature nodes.
        signer: Who signs.
        hint: The `key-name-hint` of the signature nodes to fill.
        timestamp: Time of signing, seconds since 1970.
        algorithm: Insist on this algorithm; None takes what the signature nodes say.
        name: Written as `signer-name`.
        version: Written as `signer-version`.

    Returns:
        The signed FIT, verified with the public key of the signer.

    Raises:
        FormatError: `fit` is not a FIT.
        VerificationRefused: The FIT has a flaw no signature should cover, or U-Boot would refuse
            the result.
        UsageError: A configuration has no signature node for this hint, or the key does not fit.
    """
    model = fit_format.parse(fit)
    found = structure.check(model)
    refuse(
        tuple(f for f in found if f.severity is Severity.ERROR), "the FIT is not fit to be signed"
    )
    editor = Editor(fit)
    packed = editor.size
    used = ""
    for configuration in model.configurations:
        nodes = _nodes_to_sign(model, configuration, hint)
        for signature, paths in nodes:
            chosen = _choose(signature, algorithm, signer)
            _sign_one(editor, signer, signature, paths, chosen, (name, version, timestamp))
            used = chosen.name
    size = packed + align_up(editor.peak - packed, _GROWTH)
    signed = editor.to_bytes(size)
    trust = control_dtb.add_key(fdt.emit(fdt.Node()), signer.public_key, hint=hint, algorithm=used)
    verify(signed, trust)
    return signed


def _nodes_to_sign(
    fit: Fit, configuration: Configuration, hint: str
) -> list[tuple[Signature, list[str]]]:
    """Return the signature nodes for this key, each with the list of nodes to hash."""
    chosen = [s for s in configuration.signatures if s.hint == hint]
    if not chosen:
        hints = ", ".join(sorted({repr(s.hint) for s in configuration.signatures})) or "none"
        raise UsageError(
            f"{configuration.path} has no signature node for the key {hint!r}: it has {hints}",
            hint="build the FIT with this key name hint, or sign with another",
        )
    expected = fit_format.hashed_nodes(fit, configuration)
    result: list[tuple[Signature, list[str]]] = []
    for signature in chosen:
        paths = ["/", configuration.path]
        for name in signature.sign_images or _DEFAULT_SIGN_IMAGES:
            for image in configuration.references.get(name, ()):
                paths += fit_format.image_nodes(fit.image(image))
        if uncovered := set(expected) - set(paths):
            raise VerificationRefused(
                f"{signature.path}: 'sign-images' leaves out {', '.join(sorted(uncovered))}, "
                "which U-Boot v2026.04 and later demand",
                hint="list every property of the configuration that names an image",
            )
        result.append((signature, paths))
    return result


def _choose(signature: Signature, algorithm: str | None, signer: Signer) -> Algorithm:
    chosen = Algorithm.parse(signature.algorithm, signature.padding)
    if algorithm not in {None, chosen.name}:
        raise UsageError(
            f"{signature.path} is for {chosen.name}: signing with {algorithm} was asked for"
        )
    if signer.public_key.kind is not chosen.kind:
        raise UsageError(
            f"{signature.path} is for {chosen.name}: a key of {signer.public_key.bits} bits does "
            "not fit",
            hint=f"build the FIT for {chosen.hash_name},{signer.public_key.kind}",
        )
    return chosen


def _sign_one(
    editor: Editor,
    signer: Signer,
    signature: Signature,
    paths: list[str],
    algorithm: Algorithm,
    signed_by: tuple[str, str, int],
) -> None:
    name, version, timestamp = signed_by
    flat = fdt.read(editor.to_bytes())
    if len(fit_format.hashed_regions(flat, set(paths))) + 1 > _MAX_REGIONS:
        raise UsageError(f"{signature.path}: the configuration has more parts than U-Boot can hash")
    strings_size = editor.strings_size
    chunks = fit_format.signed_chunks(flat, set(paths), strings_size)
    value = signer.sign_digest(algorithm.digest(chunks), algorithm)
    for key, content in (
        ("value", value),
        ("signer-name", name.encode() + b"\0"),
        ("signer-version", version.encode() + b"\0"),
        ("timestamp", timestamp.to_bytes(4)),
        ("hashed-nodes", b"".join(path.encode() + b"\0" for path in paths)),
        ("hashed-strings", bytes(4) + strings_size.to_bytes(4)),
    ):
        editor.set_property(signature.path, key, content)
