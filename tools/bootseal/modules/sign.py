# SPDX-License-Identifier: MIT
"""Signs kernel modules as the kernel's `scripts/sign-file` does, by any signer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bootseal.check.rootfs.programs import MAX_MODULE
from bootseal.errors import FormatError, UsageError
from bootseal.files import read_bounded, write_parts
from bootseal.findings.model import refuse
from bootseal.formats import module_signature
from bootseal.keys import certificate, cms
from bootseal.modules.find import demand_module

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from bootseal.keys.cms import Certificate
    from bootseal.keys.signers.base import Signer
    from bootseal.progress import Progress

_COMPRESSED: Final = (
    (b"\xfd7zXZ\0", "xz -d"),
    (b"\x28\xb5\x2f\xfd", "zstd -d --rm"),
    (b"\x1f\x8b", "gzip -d"),
)
"""How compressed files start, and what to type."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signing:
    """Who signs modules.

    Attributes:
        signer: The key.
        certificate: Its certificate, which the kernel has.
        asked: Signatures are only asked for: nothing is checked or written.
    """

    signer: Signer
    certificate: Certificate
    asked: bool = False

    def parts(self, content: bytes, name: str) -> tuple[bytes, ...]:
        """Return the parts of a signed module, whose signature was checked.

        Args:
            content: The module without a signature.
            name: What messages call it.

        Raises:
            UsageError: The certificate is for another key.
            VerificationRefused: The signature would be refused.
        """
        message = cms.sign_detached(content, self.certificate, self.signer, bare=True)
        if not self.asked:
            found = cms.check_module(message, content, self.certificate, name)
            refuse(found, "the signed module does not verify")
        return module_signature.append(content, message)


def demand_signer(found: Certificate) -> None:
    """Demand a certificate of a key that kernels take, for code signing alone.

    Raises:
        UsageError: It is another.
    """
    hint = "make the key with the role modules: bootseal keys generate DIR --only modules"
    if problem := cms.purpose_problem(found):
        raise UsageError(f"the certificate is not for kernel modules: it {problem}", hint=hint)
    kind = certificate.key_of(found).kind
    if not kind.is_rsa:
        raise UsageError(f"the key is {kind}: kernels verify modules with RSA", hint=hint)


def content_of(module: bytes, name: str, *, replace: bool) -> bytes:
    """Return a module without its signature.

    Args:
        module: The file.
        name: What messages call it.
        replace: It may be signed.

    Raises:
        UsageError: It is signed already, and that was not to be replaced; or it is compressed.
        FormatError: It is not a module, or damaged.
    """
    for start, command in _COMPRESSED:
        if module.startswith(start):
            raise UsageError(
                f"{name} is compressed, and the signature belongs into it: sign it, then compress",
                hint=f"{command} {name}",
            )
    try:
        signed = module_signature.split(module)
    except FormatError as error:
        raise FormatError(f"{name}: {error.message}") from error
    if signed is not None:
        if not replace:
            raise UsageError(
                f"{name} is signed already", hint="to sign it again instead: --replace"
            )
        module = module[: signed.content]
        if module.endswith(module_signature.MARK):
            raise FormatError(
                f"{name} has a second signature below the first",
                hint="take the module that the kernel's build made",
            )
    demand_module(module, name)
    return module


def sign(paths: Sequence[Path], signing: Signing, *, replace: bool, progress: Progress) -> None:
    """Sign modules, each replaced by its signed form at once; none if one of them cannot be.

    Args:
        paths: The modules.
        signing: Who signs.
        replace: Sign again what is signed; else it is refused.
        progress: Told what is done.

    Raises:
        UsageError: As `content_of`, or the certificate is for another key.
        FormatError: As `content_of`.
        VerificationRefused: What was signed does not verify.
        OSError: A file cannot be read or written.
    """
    with progress.step(f"reading kernel modules: {len(paths)}"):
        for path in paths:
            content_of(read_bounded(path, limit=MAX_MODULE), str(path), replace=replace)
    with progress.step(f"signing kernel modules: {len(paths)}"):
        for path in paths:
            module = read_bounded(path, limit=MAX_MODULE)
            content = content_of(module, str(path), replace=replace)
            parts = signing.parts(content, str(path))
            if not signing.asked:
                write_parts(path, parts)
