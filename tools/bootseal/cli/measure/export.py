# SPDX-License-Identifier: MIT
"""`bootseal measure export`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from bootseal.cli import console
from bootseal.cli.inputs import approved_list
from bootseal.cli.options import ApprovedList


class Form(StrEnum):
    """The formats an approved list is exported in."""

    KEYLIME_TPM_POLICY = "keylime-tpm-policy"
    KEYLIME_REFSTATE = "keylime-refstate"
    COMID_JSON = "comid-json"
    CORIM = "corim"


def export(
    *,
    approved: ApprovedList,
    form: Annotated[
        Form, typer.Option("--format", metavar="FORMAT", help=f"One of {', '.join(Form)}.")
    ],
    output: Annotated[
        str, typer.Option("--output", "-o", help="File to write; - is standard output.")
    ] = "-",
) -> None:
    """Write the approved list in a format that another verifier reads."""
    from bootseal.measure import export as exports

    found = approved_list(approved)
    forms = {
        Form.KEYLIME_TPM_POLICY: exports.keylime_tpm_policy,
        Form.KEYLIME_REFSTATE: exports.keylime_refstate,
        Form.COMID_JSON: exports.comid_json,
        Form.CORIM: exports.corim,
    }
    console.write(output, forms[form](found))
