# SPDX-License-Identifier: MIT
"""`bootseal measure revoke`."""

from __future__ import annotations

from typing import Annotated

import typer

from bootseal.cli import console
from bootseal.cli.inputs import approved_list
from bootseal.cli.options import ApprovedList


def revoke(
    names: Annotated[list[str], typer.Argument(metavar="NAME...", help="Names of the releases.")],
    *,
    approved: ApprovedList,
) -> None:
    """Remove releases from the approved list."""
    from bootseal import documents

    after = approved_list(approved).remove(names)
    console.write(approved, documents.dump(after))
    console.status("OK: {} releases are left on the list", len(after.releases))
