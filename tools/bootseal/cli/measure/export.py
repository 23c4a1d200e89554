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
    """The forms an approved list is handed on in."""

    KEYLIME_TPM_POLICY = "keylime-tpm-policy"
    KEYLIME_REFSTATE = "keylime-refstate"
    COMID_JSON = "comid-json"
    CORIM = "corim"


def export(
    *,
    approved: ApprovedList,
    form: Annotated[Form, typer.Option("--format", help="Whose verifier it is for.")],
    output: Annotated[
        str, typer.Option("--output", "-o", help="Where to write it; - is stdout.")
    ] = "-",
) -> None:
    """Write the approved list in the form another verifier reads."""
    from bootseal.measure import export as exports

    found = approved_list(approved)
    forms = {
        Form.KEYLIME_TPM_POLICY: exports.keylime_tpm_policy,
        Form.KEYLIME_REFSTATE: exports.keylime_refstate,
        Form.COMID_JSON: exports.comid_json,
        Form.CORIM: exports.corim,
    }
    console.write(output, forms[form](found))
