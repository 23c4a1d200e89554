# SPDX-License-Identifier: MIT
"""Signs a FIT in place, byte for byte as mkimage does.

What is written is parsed and verified again before it counts: a signer that says it signed proves
nothing. No payload is copied on the way but into the result.

Spec: U-Boot tools/image-host.c and tools/fit_image.c (v2023.01) for order, placement and growth.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import bootseal
from bootseal.errors import UsageError, VerificationRefused
from bootseal.files import mapped, write_parts
from bootseal.findings.model import refuse
from bootseal.fit import add_signature
from bootseal.fit.control_dtb import Trust, TrustedKey, read_trust
from bootseal.fit.relayout import FileLayout
from bootseal.fit.verify.digest import PayloadCache
from bootseal.fit.verify.signature import check_image
from bootseal.fit.verify.strictness import STRICT
from bootseal.fit.verify.verdict import check_all, check_unsigned
from bootseal.formats.fdt.edit import Editor
from bootseal.formats.fit import model as fit_format
from bootseal.formats.fit.regions import TagIndex
from bootseal.keys.algorithms import Algorithm
from bootseal.progress import Silent

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from bootseal.fit.add_signature import NewSignature
    from bootseal.fit.verify.strictness import Strictness
    from bootseal.formats.fdt.edit import Piece
    from bootseal.formats.fdt.model import Buffer
    from bootseal.formats.fit.model import Configuration, Fit, Signature
    from bootseal.keys.signers.base import Signer
    from bootseal.progress import Progress

_log: Final = logging.getLogger(__name__)

# mkimage's list of regions ends here without a check.
_MAX_REGIONS: Final = 100
_DEFAULT_SIGN_IMAGES: Final = ("kernel", "fdt", "script")


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningKey:
    """A key and the signature nodes it fills: those with this `key-name-hint`."""

    signer: Signer
    hint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """How to sign.

    Attributes:
        keys: The signers; nodes are signed in file order, each by the key its hint names.
        timestamp: Time of signing, seconds since 1970.
        algorithm: Insist on this algorithm; None takes what the signature nodes say.
        name: Written as `signer-name`.
        version: Written as `signer-version`.
        comment: Written as `comment`, None for none.
        strictness: What the FIT must be like; it decides on external data.
        add: Signature node to add to every configuration first, None for none.
        required: What a key will be required for, `conf` or `image`, by hint. What is not there
            follows from what the key signs.
        control: The control device tree, or boot loader, that will check the result; None when it
            is not known.
    """

    keys: Sequence[SigningKey]
    timestamp: int
    algorithm: str | None = None
    name: str = "bootseal"
    version: str = bootseal.__version__
    comment: str | None = None
    strictness: Strictness = STRICT
    add: NewSignature | None = None
    required: Mapping[str, str] = field(default_factory=dict)
    control: bytes | None = None


def sign(
    fit: Buffer,
    signer: Signer,
    hint: str,
    *,
    timestamp: int,
    algorithm: str | None = None,
    name: str = "bootseal",
    version: str = bootseal.__version__,
) -> bytes:
    """Sign with one key and return the signed FIT; see `sign_request` for what it raises."""
    request = Request(
        keys=[SigningKey(signer=signer, hint=hint)],
        timestamp=timestamp,
        algorithm=algorithm,
        name=name,
        version=version,
    )
    return sign_request(fit, request)


def sign_request(fit: Buffer, request: Request) -> bytes:
    """Sign every configuration, and every image that has a signature node for one of the keys.

    Args:
        fit: A FIT whose images are hashed and whose configurations have signature nodes.
        request: How.

    Returns:
        The signed FIT, verified with the public keys of the signers.

    Raises:
        FormatError: `fit` is not a FIT.
        VerificationRefused: The FIT has a flaw no signature should cover, or U-Boot would refuse
            the result.
        UsageError: A configuration has no signature node for a hint, or a key does not fit.
    """
    work = _Work(fit, request)
    work.run()
    result = b"".join(work.layout.parts(work.editor))
    work.check(memoryview(result))
    return result


def collect(fit: Buffer, request: Request) -> None:
    """Ask the signers for all signatures, and discard them.

    Raises:
        FormatError: As `sign_request`, as are the others.
        UsageError: Likewise.
        VerificationRefused: The FIT has a flaw no signature should cover.
    """
    _Work(fit, request).run()


def sign_file(path: Path, output: Path, request: Request, progress: Progress | None = None) -> None:
    """Sign a file; `output` may be the same one, and is replaced as a whole or not at all.

    Args:
        path: The FIT.
        output: Where the signed FIT shall be.
        request: How.
        progress: Told what is being done.

    Raises:
        OSError: A file cannot be read or written.
        FormatError: As `sign_request`, as are the others.
        VerificationRefused: Likewise.
        UsageError: Likewise.
    """
    steps = progress or Silent()
    with mapped(path) as fit:
        work = _Work(fit, request)
        with steps.step(f"Sign {work.what}"):
            work.run()
        with steps.step("Verify what was signed"):
            write_parts(output, work.layout.parts(work.editor), check=work.check)


class _Work:
    """One FIT being signed."""

    def __init__(self, fit: Buffer, request: Request) -> None:
        self._request = request
        self._cache = PayloadCache()
        self._trusted: dict[str, TrustedKey] = {}
        self._model = request.strictness.parse(fit)
        self._images = {s.hint for image in self._model.images for s in image.signatures}
        self.editor = Editor(fit, lenient=self._model.lenient)
        self.layout = FileLayout(self._model, self.editor.size)

    @property
    def what(self) -> str:
        """How much there is to sign, in words."""
        number = len(self._model.configurations)
        return "1 configuration" if number == 1 else f"{number} configurations"

    def run(self) -> None:
        """Sign images, then configurations, in file order."""
        model, request = self._model, self._request
        found = check_unsigned(model, model.configurations, request.strictness, self._cache)
        # Free space is written anew, without what mkimage before 2025.10 leaves in it.
        refuse([f for f in found if f.id != "fit.slack"], "the FIT cannot be signed as it is")
        for image in model.images:
            for signature, key in self._mine(image.signatures):
                algorithm = _choose(signature, request.algorithm, key.signer)
                digest = self._cache.digest(image, algorithm.hash_name)
                self._write(signature, key, algorithm, digest, [])
        nodes = [(each, self._signatures(each)) for each in model.configurations]
        # No signature covers what is written into a signature node from here on.
        pieces = self.editor.pieces
        index = TagIndex(pieces)
        for configuration, signatures in nodes:
            for signature, key in self._mine(signatures):
                paths = nodes_to_sign(model, configuration, signature)
                chunks = _signed_pieces(pieces, index, paths, signature)
                algorithm = _choose(signature, request.algorithm, key.signer)
                digest = algorithm.digest([*chunks, self.editor.strings])
                self._write(signature, key, algorithm, digest, paths)

    def check(self, signed: memoryview) -> None:
        """Verify the signed FIT."""
        strictness = self._request.strictness
        model = strictness.parse(signed)
        cache = self._cache.moved(zip(self._model.images, model.images, strict=True))
        verdict = check_all(model, self._trust(), strictness=strictness, cache=cache)
        refuse(verdict.errors, "the signed FIT is refused")
        if self._request.control is not None:
            trust = read_trust(self._request.control)
            verdict = check_all(model, trust, strictness=strictness, cache=cache)
            refuse(verdict.errors, "with this control device tree the signed FIT is refused")
        for image in model.images:
            for signature, key in self._mine(image.signatures):
                trusted = self._trusted[key.hint]
                found = check_image(image, signature, trusted, cache)
                refuse(found, "the signed FIT is refused")

    def _trust(self) -> Trust:
        """Return the keys that the result is checked with."""
        keys = self._trusted.values()
        # Next to keys for configurations, one for images may sign a part of them.
        sole = not any(key.required == "conf" for key in keys)
        asked = self._request.required
        chosen = [k for k in keys if k.required == "conf" or sole or k.hint in asked]
        return Trust(keys=tuple(chosen), any_suffices=False)

    def _signatures(self, configuration: Configuration) -> tuple[Signature, ...]:
        """Return the signature nodes of a configuration, with the one that is to be added."""
        signatures = configuration.signatures
        hints = [key.hint for key in self._request.keys]
        if self._request.add is not None:
            signatures = add_signature.add(self.editor, configuration, self._request.add, hints)
        for hint in hints:
            if all(signature.hint != hint for signature in signatures) and hint not in self._images:
                raise _no_node(configuration, hint)
        return signatures

    def _mine(self, signatures: Sequence[Signature]) -> list[tuple[Signature, SigningKey]]:
        keys = {key.hint: key for key in self._request.keys}
        return [(s, keys[s.hint]) for s in signatures if s.hint in keys]

    def _write(
        self,
        signature: Signature,
        key: SigningKey,
        algorithm: Algorithm,
        digest: bytes,
        paths: list[str],
    ) -> None:
        """Sign a digest and put all properties into the node, in mkimage's order."""
        _log.info("%s: %s %s by %s", signature.path, algorithm.name, algorithm.padding, key.hint)
        request, strings_size = self._request, len(self.editor.strings)
        self._trusted[key.hint] = TrustedKey(
            path="the signing key",
            hint=key.hint,
            algorithm=algorithm.name,
            required=request.required.get(key.hint, "conf" if paths else "image"),
            public_key=key.signer.public_key,
        )
        properties = {
            "value": key.signer.sign_digest(digest, algorithm),
            "signer-name": request.name.encode() + b"\0",
            "signer-version": request.version.encode() + b"\0",
        }
        if request.comment is not None:
            properties["comment"] = request.comment.encode() + b"\0"
        properties["timestamp"] = request.timestamp.to_bytes(4)
        if paths:
            properties["hashed-nodes"] = b"".join(path.encode() + b"\0" for path in paths)
            properties["hashed-strings"] = bytes(4) + strings_size.to_bytes(4)
        for name, value in properties.items():
            self.editor.set_property(signature.path, name, value)


def nodes_to_sign(fit: Fit, configuration: Configuration, signature: Signature) -> list[str]:
    """Return the nodes a signature shall cover, as mkimage lists them.

    Raises:
        VerificationRefused: `sign-images` leaves out an image that the configuration names.
    """
    paths = ["/", configuration.path]
    for name in signature.sign_images or _DEFAULT_SIGN_IMAGES:
        for image in configuration.references.get(name, ()):
            paths += fit_format.image_nodes(fit.image(image))
    if uncovered := set(fit_format.hashed_nodes(fit, configuration)) - set(paths):
        raise VerificationRefused(
            f"{signature.path}: 'sign-images' leaves out {', '.join(sorted(uncovered))}, which "
            "U-Boot v2026.04 and later require",
            hint="list every property of the configuration that names an image",
        )
    return paths


def _signed_pieces(
    pieces: Sequence[Piece], index: TagIndex, paths: Sequence[str], signature: Signature
) -> list[Buffer]:
    """Return what a signature over `paths` covers of the structure block."""
    runs = index.runs(paths)
    if len(runs) + 1 > _MAX_REGIONS:
        raise UsageError(f"{signature.path}: the configuration has more parts than U-Boot can hash")
    return [piece.raw for start, end in runs for piece in pieces[start:end]]


def _choose(signature: Signature, algorithm: str | None, signer: Signer) -> Algorithm:
    chosen = Algorithm.parse(signature.algorithm, signature.padding)
    if algorithm not in {None, chosen.name}:
        raise UsageError(f"{signature.path} is for {chosen.name}: {algorithm} was requested")
    if signer.public_key.kind is not chosen.kind:
        raise UsageError(
            f"{signature.path} is for {chosen.name}: a key of {signer.public_key.bits} bits does "
            "not fit",
            hint=f"build the FIT for {chosen.hash_name},{signer.public_key.kind}",
        )
    return chosen


def _no_node(configuration: Configuration, hint: str) -> UsageError:
    hints = ", ".join(sorted({repr(s.hint) for s in configuration.signatures})) or "none"
    return UsageError(
        f"{configuration.path} has no signature node for the key {hint!r}: it has {hints}",
        hint=f"add one with --add-signature {hint}=ALGORITHM, or sign with another key",
    )
