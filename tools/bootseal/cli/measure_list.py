# SPDX-License-Identifier: MIT
"""`bootseal measure approve|revoke|export`: the approved list and its other forms."""

# typer reads the annotations when the command line is built.
# ruff: noqa: TC001

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bootseal.cli import output as files
from bootseal.cli import ui
from bootseal.cli.fit_input import naming
from bootseal.cli.measure_options import Source, UBoot

if TYPE_CHECKING:
    from bootseal.measure.approved import Approved

_List = Annotated[Path, typer.Option("--list", "-l", metavar="LIST", help="The approved list.")]


class Form(StrEnum):
    """The forms an approved list is handed on in."""

    KEYLIME_TPM_POLICY = "keylime-tpm-policy"
    KEYLIME_REFSTATE = "keylime-refstate"
    COMID_JSON = "comid-json"
    CORIM = "corim"


def approve(
    source: Source,
    *,
    approved: _List,
    name: Annotated[str, typer.Option(help="What to call the release.")],
    u_boot: UBoot = None,
) -> None:
    """Add what a release measures to the approved list, which is made when there is none."""
    from bootseal.measure import approved as lists
    from bootseal.measure import inputs as sources

    artefacts = sources.load(source, u_boot=u_boot)
    with naming(source):
        found = sources.predictions(artefacts)
    release = lists.release(name, found, artefacts.fit, artefacts.version or b"")
    before = load(approved) if approved.exists() else lists.Approved()
    files.write(approved, lists.emit(before.add(release)))
    ui.status(
        f"OK: {ui.untrusted(name)}, rollback index {release.rollback_index}, "
        f"FIT {release.fit}: {len(release.boots)} boots approved"
    )


def revoke(
    names: Annotated[list[str], typer.Argument(metavar="NAME", help="The releases.")],
    *,
    approved: _List,
) -> None:
    """Take releases off the approved list."""
    from bootseal.measure import approved as lists

    after = load(approved).remove(names)
    files.write(approved, lists.emit(after))
    ui.status(f"OK: {len(after.releases)} releases are left on the list")


def export(
    *,
    approved: _List,
    form: Annotated[Form, typer.Option("--format", help="Whose verifier it is for.")],
    output: Annotated[
        str, typer.Option("--output", "-o", help="Where to write it; - is stdout.")
    ] = "-",
) -> None:
    """Write the approved list in the form another verifier reads."""
    from bootseal.measure import export as exports

    found = load(approved)
    forms = {
        Form.KEYLIME_TPM_POLICY: exports.keylime_tpm_policy,
        Form.KEYLIME_REFSTATE: exports.keylime_refstate,
        Form.COMID_JSON: exports.comid_json,
        Form.CORIM: exports.corim,
    }
    files.write(output, forms[form](found))


def load(path: Path) -> Approved:
    """Read an approved list; errors name the file."""
    from bootseal.errors import UsageError
    from bootseal.measure import approved as lists

    try:
        with naming(path):
            return lists.parse(path.read_bytes())
    except FileNotFoundError:
        raise UsageError(
            f"there is no approved list at {path}",
            hint=f"bootseal measure approve DIR --name RELEASE --list {path}",
        ) from None
