# SPDX-License-Identifier: MIT
"""`bootseal measure approve`."""

from __future__ import annotations

from typing import Annotated

import typer

from bootseal.cli import console
from bootseal.cli.inputs import approved_list, naming
from bootseal.cli.options import ApprovedList, MeasuredInput, UBootBinary


def approve(
    source: MeasuredInput,
    *,
    approved: ApprovedList,
    name: Annotated[str, typer.Option(help="Name of the release.")],
    u_boot: UBootBinary = None,
) -> None:
    """Add the measurements of a release to the approved list, which is created if missing."""
    from bootseal import documents
    from bootseal.measure import approved as lists
    from bootseal.measure import inputs as sources

    artefacts = sources.load(source, u_boot=u_boot)
    with naming(source):
        found = sources.predictions(artefacts)
    release = lists.release(name, found, artefacts.fit, artefacts.version or b"")
    before = approved_list(approved) if approved.exists() else lists.Approved()
    console.write(approved, documents.dump(before.add(release)))
    console.status(
        "OK: {}, rollback index {}, FIT {}: {} boots approved",
        name,
        release.rollback_index,
        release.fit,
        len(release.boots),
    )
