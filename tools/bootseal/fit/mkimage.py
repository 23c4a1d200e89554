# SPDX-License-Identifier: MIT
"""Lets mkimage make a FIT and any signer sign it.

mkimage runs with a placeholder for every private key. It writes all nodes, properties and free
space as it always does; then the bytes of each signature are replaced by those of the real signer,
which have the same length. That the placeholder's signature fits the digest computed here proves
first that both mean the same bytes. For a deterministic algorithm the result is the file that
mkimage makes with the private key at hand, with any version and options, but for up to three
bytes that old releases do not initialise.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bootseal import proc
from bootseal.errors import ToolError, UsageError, VerificationRefused
from bootseal.files import BOOT_LOADER, mapped, read_bounded, resolved, write_file
from bootseal.findings.model import errors, refuse
from bootseal.fit import control_dtb
from bootseal.fit.control_dtb import Trust, TrustedKey
from bootseal.fit.key_usage import digests
from bootseal.fit.sign import nodes_to_sign
from bootseal.fit.verify.digest import PayloadCache
from bootseal.fit.verify.strictness import COMPAT
from bootseal.fit.verify.structure import check_default
from bootseal.fit.verify.verdict import check_signatures, check_unsigned
from bootseal.formats.fdt import model as fdt
from bootseal.formats.fit import model as fit_format
from bootseal.formats.kinds.kind import FIT, U_BOOT
from bootseal.formats.kinds.recognise import check, checked
from bootseal.keys import placeholder
from bootseal.keys.algorithms import Algorithm
from bootseal.keys.public import EcPublicKey, verify_digest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from bootseal.formats.fit.model import Fit, Signature
    from bootseal.keys.placeholder import Placeholder
    from bootseal.keys.signers.base import Signer

_TIMEOUT: Final = 1800


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A call of mkimage.

    Attributes:
        program: mkimage by whatever name it has.
        options: Everything but the image file and what concerns keys.
        image: The FIT to write.
        update: Whether it exists and is signed as it is (`-F`).
        algorithm: Overrides what the signature nodes say (`-o`), None when it does not.
        control: Control device tree that shall get the keys (`-K`).
        required: Whether it shall require them (`-r`).
        directory: Where the keys are that images are encrypted with (`-k`), None without one.
    """

    program: str
    options: Sequence[str]
    image: Path
    update: bool
    algorithm: str | None
    control: Path | None
    required: bool
    directory: Path | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """What was signed: path of the signature node, hint, algorithm and key fingerprint."""

    path: str
    hint: str
    algorithm: str
    fingerprint: str


def sign(job: Job, find_signer: Callable[[str, Algorithm], Signer]) -> tuple[Signed, ...]:
    """Run mkimage and replace its signatures; both files are replaced at the end or not at all.

    Args:
        job: What to do.
        find_signer: Returns the signer for a `key-name-hint`.

    Returns:
        Each signature that was made.

    Raises:
        UsageError: There is nothing to sign, or a key does not fit its algorithm.
        ToolError: mkimage failed or did something else than it was asked for.
        VerificationRefused: A U-Boot with all published fixes would refuse the result.
        FormatError: What mkimage was given or made is not a FIT.
    """
    target = resolved(job.image)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}.") as name:
        work = Path(name)
        image, keys = work / "image", work / "keys"
        keys.mkdir(mode=0o700)
        model = _probe(job, work / "probe")
        needed = _needed(job, model)
        signers = {hint: find_signer(hint, algorithm) for hint, algorithm in needed.items()}
        for hint, algorithm in needed.items():
            _refuse_misfit(hint, algorithm, signers[hint])
        placeholders = {
            hint: placeholder.write(keys, hint, signer.public_key)
            for hint, signer in signers.items()
        }
        _copy_cipher_keys(job, model, keys)
        arguments = [*job.options, "-k", str(keys)]
        control = work / "control"
        if job.control:
            control.write_bytes(
                checked(read_bounded(job.control, limit=BOOT_LOADER), U_BOOT, str(job.control))
            )
            arguments += ["-K", str(control)]
        if job.required:
            arguments.append("-r")
        _run(job, arguments, image)
        data = bytearray(image.read_bytes())
        _clear_gap(data)
        done = _replace_signatures(data, signers, placeholders)
        trust = _trust(done, signers)
        _check(bytes(data), trust)
        if job.control:
            write_file(job.control, _replace_points(control.read_bytes(), placeholders))
        write_file(target, data)
    return done


def _probe(job: Job, probe: Path) -> Fit:
    """Return the FIT as it is before anything is signed."""
    if job.update:
        probe = job.image
    else:
        _run(job, [*job.options], probe)
    with mapped(probe) as data:
        return fit_format.parse(data, lenient=True)


def _needed(job: Job, model: Fit) -> dict[str, Algorithm]:
    """Return the hints of the signature nodes and their algorithms.

    Raises:
        UsageError: There is nothing to sign, or a node names no key.
        VerificationRefused: A signature would not cover all images of its configuration.
    """
    for configuration in model.configurations:
        for signature in configuration.signatures:
            nodes_to_sign(model, configuration, signature)
    found: dict[str, Algorithm] = {}
    for signature in _signatures(model):
        if not signature.hint:
            raise UsageError(f"{signature.path} has no key-name-hint, so it names no key")
        algorithm = Algorithm.parse(job.algorithm or signature.algorithm, signature.padding)
        if found.setdefault(signature.hint, algorithm).kind is not algorithm.kind:
            raise UsageError(
                f"{signature.path} asks for {algorithm.kind} from the key {signature.hint!r}, "
                f"another node for {found[signature.hint].kind}"
            )
    if not found:
        raise UsageError(
            f"{job.image} has no signature node, so there is nothing to sign",
            hint="give its configurations a signature node in the image tree source",
        )
    return found


def _copy_cipher_keys(job: Job, model: Fit, keys: Path) -> None:
    """Give mkimage the AES keys and initialisation vectors that images are encrypted with.

    Spec: U-Boot tools/image-host.c, fit_image_setup_cipher().

    Raises:
        UsageError: One is not in the directory that `-k` names.
    """
    for image in model.images:
        cipher = image.node.child("cipher")
        if cipher is None:
            continue
        for name in ("key-name-hint", "iv-name-hint"):
            hint = (cipher.value(name) or b"").rstrip(b"\0").decode(errors="replace")
            if not hint:
                continue
            if "/" in hint:
                raise UsageError(f"{cipher.path}: {name} {hint!r} leads out of the key directory")
            source = None if job.directory is None else job.directory / f"{hint}.bin"
            if source is None or not source.is_file():
                raise UsageError(
                    f"{cipher.path} needs the file {hint}.bin: mkimage encrypts with files only, "
                    f"and there is none in {job.directory or 'any directory, as -k names none'}",
                    hint=f"name the directory that holds {hint}.bin with -k",
                )
            write_file(keys / source.name, read_bounded(source), mode=0o600)


def _refuse_misfit(hint: str, algorithm: Algorithm, signer: Signer) -> None:
    """Refuse a key of the wrong kind, with which mkimage signs what no U-Boot verifies."""
    kind = signer.public_key.kind
    if kind is not algorithm.kind:
        raise UsageError(
            f"the FIT asks for {algorithm.name} from the key {hint!r}: the key is {kind}",
            hint=f"assemble the FIT for {algorithm.hash_name},{kind}",
        )


def _run(job: Job, arguments: list[str], image: Path) -> None:
    if job.update:
        with mapped(job.image) as data:
            check(data, FIT, str(job.image))
            image.write_bytes(data)
    proc.run(job.program, [*arguments, image], timeout=_TIMEOUT)
    if not image.is_file():
        raise ToolError(f"{job.program} exited with 0 but wrote no output file")


def _clear_gap(data: bytearray) -> None:
    """Clear what old releases leave between the tree's end and external data.

    It holds remains of earlier states of the tree, and with them of the placeholder's signature;
    later releases write zeros.
    """
    header = fdt.read(bytes(data), lenient=True).header
    if header.total_size < len(data):
        end = header.off_strings + header.size_strings
        data[end : header.total_size] = bytes(header.total_size - end)


def _signatures(model: Fit) -> Iterator[Signature]:
    for image in model.images:
        yield from image.signatures
    for configuration in model.configurations:
        yield from configuration.signatures


def _replace_signatures(
    data: bytearray, signers: dict[str, Signer], placeholders: dict[str, Placeholder]
) -> tuple[Signed, ...]:
    model = fit_format.parse(bytes(data), lenient=True)
    done = []
    for signature, digest, algorithm in digests(model):
        try:
            temporary = placeholders[signature.hint].public_key
            verify_digest(temporary, digest, signature.value, algorithm)
        except (KeyError, VerificationRefused) as error:
            raise ToolError(
                f"mkimage left {signature.path} unsigned, or signed something other than expected",
                hint="run it by hand with -k and your own key to see what it says",
            ) from error
        signer = signers[signature.hint]
        value = signer.sign_digest(digest, algorithm)
        start = signature.node.properties["value"].offset
        data[start : start + len(value)] = value
        done.append(
            Signed(
                path=signature.path,
                hint=signature.hint,
                algorithm=algorithm.name,
                fingerprint=signer.public_key.fingerprint(),
            )
        )
    return tuple(done)


def _replace_points(data: bytes, placeholders: dict[str, Placeholder]) -> bytes:
    """Put the real ECDSA keys where mkimage wrote the placeholders; RSA keys are right already."""
    changed = bytearray(data)
    tree = fdt.read(data)
    for hint, temporary in placeholders.items():
        if not isinstance(temporary.real, EcPublicKey):
            continue
        node = tree.find(f"/signature/{hint}")
        if node is None or not node.properties.keys() >= {"algo", "key-name-hint"}:
            raise ToolError(
                f"mkimage wrote the ECDSA key {hint!r} in a form that U-Boot does not enforce",
                hint="use mkimage from U-Boot 2025.01 or later, or leave -K out and use bootseal "
                "fit sign --dtb",
            )
        size = temporary.real.bits // 8
        for name, value in (
            ("ecdsa,x-point", temporary.real.x),
            ("ecdsa,y-point", temporary.real.y),
        ):
            start = node.properties[name].offset
            changed[start : start + size] = value.to_bytes(size)
    trusted = {key.public_key for key in control_dtb.read_keys(changed)}
    for hint, temporary in placeholders.items():
        if temporary.real not in trusted:
            raise ToolError(f"mkimage did not put the key {hint!r} into the control device tree")
    return bytes(changed)


def _trust(done: Sequence[Signed], signers: dict[str, Signer]) -> dict[str, Trust]:
    """Return for each configuration the keys that signed it."""
    result: dict[str, list[TrustedKey]] = {}
    for each in done:
        parent, _, _ = each.path.rpartition("/")
        if parent.startswith("/configurations/"):
            result.setdefault(parent.rpartition("/")[2], []).append(
                TrustedKey(
                    path="the signing key",
                    hint=each.hint,
                    algorithm=each.algorithm,
                    required="conf",
                    public_key=signers[each.hint].public_key,
                )
            )
    return {name: Trust(keys=tuple(keys), any_suffices=False) for name, keys in result.items()}


def _check(data: bytes, trusts: dict[str, Trust]) -> None:
    fit, cache = COMPAT.parse(data), PayloadCache()
    chosen = [each for each in fit.configurations if each.name in trusts]
    found = [*check_unsigned(fit, chosen, COMPAT, cache), *check_default(fit)]
    for each in chosen:
        found += check_signatures(fit, each, trusts[each.name], COMPAT, cache)[1]
    refuse(errors(found), "the signed FIT is refused")
