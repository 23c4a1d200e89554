# SPDX-License-Identifier: MIT
"""Signs application images: new ones, and others by replacing their signature."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bootseal.app import image as images
from bootseal.errors import FormatError, VerificationRefused
from bootseal.files import mapped, write_parts
from bootseal.findings.model import errors, refuse
from bootseal.formats.app import signature
from bootseal.formats.app.signature import Signature
from bootseal.keys import cms

if TYPE_CHECKING:
    from pathlib import Path

    from bootseal.app.image import Image
    from bootseal.keys.cms import Certificate
    from bootseal.keys.signers.base import Signer


@dataclass(frozen=True, slots=True, kw_only=True)
class Signing:
    """Who signs an application.

    Attributes:
        signer: The key.
        certificate: Its certificate, which devices have.
        asked: Signatures are only asked for, so that there is none to check.
    """

    signer: Signer
    certificate: Certificate
    asked: bool = False

    def partition(self, root_hash: bytes) -> bytes:
        """Return the signature partition of a root hash, read and checked again.

        Raises:
            UsageError: The certificate is for another key.
            VerificationRefused: The signature would be refused.
        """
        text = root_hash.hex().encode()
        made = Signature(
            root_hash=root_hash.hex(),
            certificate=cms.digest(self.certificate),
            message=cms.sign_detached(text, self.certificate, self.signer),
        )
        partition = signature.emit(made)
        if signature.parse(partition) != made:
            raise FormatError("the signature partition that was written says something else")
        if not self.asked:
            found = cms.check_detached(made.message, text, self.certificate)
            refuse(found, "the signed image does not verify")
        return partition


def whole(path: Path) -> Image:
    """Return an image in which every block matches its root hash, by any signer.

    Raises:
        UsageError: It is not a file.
        FormatError: It is not an application image.
        VerificationRefused: Its layout is not that of one, or a block is not as its tree says.
    """
    with images.opened(path) as disk:
        found, findings = images.read(disk)
        # Its signature is what is replaced.
        wrong = [each for each in errors(findings) if each.id != "app.signature"]
        refuse(wrong, "it cannot be signed")
        if found is None:
            raise VerificationRefused("it cannot be signed: it has no partitions")
        refuse(images.blocks(disk, found, found.root_hash), "it cannot be signed")
    return found


def sign(path: Path, image: Image, signing: Signing, output: Path) -> None:
    """Replace the signature of an image.

    Args:
        path: The image.
        image: What `whole` found in it.
        signing: Who signs.
        output: Where the signed image is written; may be the same file.

    Raises:
        UsageError: The certificate is for another key.
        VerificationRefused: What was signed does not verify.
    """
    partition = signing.partition(image.root_hash)
    place = image.signature
    with mapped(path) as view:
        write_parts(output, [view[: place.offset], partition, view[place.end :]])
