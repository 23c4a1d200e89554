# SPDX-License-Identifier: MIT
"""Signs bundles: new ones, and others again in their place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bootseal.disk.image import Disk
from bootseal.errors import FormatError, VerificationRefused
from bootseal.files import mapped, opened, write_parts
from bootseal.findings.model import refuse
from bootseal.formats.update import bundle, cms
from bootseal.formats.update import manifest as manifests
from bootseal.keys import cms as messages
from bootseal.update import payload

if TYPE_CHECKING:
    from pathlib import Path

    from bootseal.keys.cms import Certificate
    from bootseal.keys.signers.base import Signer


@dataclass(frozen=True, slots=True, kw_only=True)
class Signing:
    """Who signs a bundle.

    Attributes:
        signer: The key.
        certificate: Its certificate.
        authority: The certificate of the authority for updates; None to sign without the check that
            it certified the key, where signatures are only asked for.
        when: What the signature says of its time, seconds since 1970.
    """

    signer: Signer
    certificate: Certificate
    authority: Certificate | None
    when: int

    def message(self, manifest: bytes) -> bytes:
        """Return the CMS message of a manifest, read and checked again.

        Raises:
            UsageError: The certificate is for another key.
            VerificationRefused: The message would be refused.
        """
        made = messages.sign(manifest, self.certificate, self.signer, self.when)
        signed = cms.parse(made)
        if signed is None or signed.content != manifest:
            raise FormatError("the new signature does not contain the manifest")
        if self.authority is not None:
            refuse(messages.check(signed, self.authority), "the signed bundle does not verify")
        return made


def whole(path: Path) -> bytes:
    """Return the manifest that a bundle's signature holds, by any signer.

    Raises:
        UsageError: There is no such file.
        FormatError: It is not a bundle, or one of another form.
        VerificationRefused: The bundle is encrypted or of another format than verity, or its
            payload is not the one of the manifest.
    """
    with opened(path) as file:
        disk = Disk.of_file(file, path)
        parts = bundle.parse(disk.view(0, disk.size))
        signed = cms.parse(parts.message)
        if signed is None or signed.content is None:
            raise VerificationRefused(
                "it is encrypted or of format plain: expected a bundle of format "
                f"{manifests.VERITY}",
                hint="bootseal update bundle",
            )
        manifest = manifests.parse(signed.content)
        if manifest.form != manifests.VERITY:
            raise VerificationRefused(
                f"it is of format {manifest.form!r}: expected a bundle of format "
                f"{manifests.VERITY}",
                hint="bootseal update bundle",
            )
        refuse(payload.check(disk, parts.payload, manifest), "it does not match its manifest")
    return signed.content


def sign(path: Path, manifest: bytes, signing: Signing, output: Path) -> None:
    """Replace the signature of a bundle.

    Args:
        path: The bundle.
        manifest: What `whole` found in it.
        signing: Who signs.
        output: Where the signed bundle is written; may be the same file.

    Raises:
        UsageError: There is no such file, or the certificate is for another key.
        VerificationRefused: What was signed does not verify.
    """
    message = signing.message(manifest)
    with mapped(path) as view:
        write_parts(output, [view[: bundle.parse(view).payload], bundle.trailer(message)])
