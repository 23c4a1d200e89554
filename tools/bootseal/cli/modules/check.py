# SPDX-License-Identifier: MIT
"""`bootseal modules check`."""

from __future__ import annotations

import dataclasses

from bootseal.cli import console
from bootseal.cli.disk.printing import print_findings
from bootseal.cli.key_options import CertificateOptions
from bootseal.cli.modules.keys import Modules, counted
from bootseal.cli.options import Json


def check(modules: Modules, *, trusted: CertificateOptions, as_json: Json = False) -> None:
    """Check that one key signed all of the kernel modules, as a kernel with its certificate does.

    They may be compressed. Only the form is accepted that scripts/sign-file writes unless it is
    told otherwise: RSA, the signer named by issuer and number, no certificates. In a key directory,
    the key is that with the role modules.

    Exits with 0 if that is so, and with 3 if it is not of one of them.

    Example: bootseal modules check root/usr/lib/modules --keys keys
    """
    from bootseal.findings.model import refuse
    from bootseal.keys.profile import Role
    from bootseal.modules import check as checking
    from bootseal.modules import find

    pinned = trusted.pinned(Role.MODULES)
    found = find.find(modules)
    with console.TerminalProgress().step(counted(found)):
        findings = tuple(checking.check(found, pinned))
    if as_json:
        console.emit_json(
            {
                "schema": "bootseal.modules-verdict/1",
                "accepted": not findings,
                "modules": [str(path) for path in found],
                "findings": [dataclasses.asdict(each) for each in findings],
            }
        )
    else:
        print_findings(findings, everything=True)
    refuse(findings, "the kernel modules are refused")
    subject = pinned.subject.rfc4514_string()
    console.status("OK: {} signed with the key of {}", counted(found), subject)
