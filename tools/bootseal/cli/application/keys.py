# SPDX-License-Identifier: MIT
"""What the commands share that sign applications: the key."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bootseal.app.sign import Signing
    from bootseal.cli.key_options import CertifiedKeyOptions
    from bootseal.keys.cms import Certificate
    from bootseal.keys.signers.base import Access
    from bootseal.keys.signers.offline import Recorder


def signing(who: CertifiedKeyOptions, access: Access) -> tuple[Signing, Recorder | None]:
    """Return who signs, and in step 1 what only notes what it is asked to sign.

    Raises:
        UsageError: Something is missing, or two things exclude each other.
        FormatError: A certificate or key cannot be read.
        VerificationRefused: The certificate is not one to sign applications with.
    """
    from bootseal.app.sign import Signing
    from bootseal.keys.profile import Role

    signer, certificate, recorder = who.signing(Role.APP, _demand_purpose, access)
    return Signing(signer=signer, certificate=certificate, asked=recorder is not None), recorder


def _demand_purpose(found: Certificate) -> None:
    from bootseal.findings.model import refuse
    from bootseal.keys import cms

    refuse(cms.check_purpose(found), "the certificate is not for applications")
