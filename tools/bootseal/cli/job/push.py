# SPDX-License-Identifier: MIT
"""`bootseal job push`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bootseal.cli import console
from bootseal.cli.inputs import read
from bootseal.cli.options import Json


def push(
    plan: Annotated[Path, typer.Argument(metavar="PLAN", help="Output of job make.")],
    *,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only look at what is there; change nothing.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Create the job of a plan in AWS, with the credentials that AWS tools use.

    An existing job with the same document and targets is left alone, whatever its pace and
    role. Exits with 3 if it has others.
    """
    from bootseal.cli.inputs import extra
    from bootseal.formats.kinds.kind import DOCUMENT
    from bootseal.jobs import plan as plans

    with extra("aws", "AWS"):
        from bootseal.jobs import run
        from bootseal.keys.signers.amazon import Outcome

    asked = plans.parse(read(plan, DOCUMENT), str(plan))
    outcome = run.push(asked, dry=dry_run)
    if as_json:
        console.emit_json(
            {
                "schema": "bootseal.job-push/1",
                "job": asked.job,
                "account": asked.account,
                "region": asked.region,
                "dry_run": dry_run,
                "outcome": outcome,
            }
        )
    if outcome is Outcome.MISSING:
        console.status("the job {} is not there; to create it: without --dry-run", asked.job)
    else:
        console.status("OK: {} is {} for {} targets", asked.job, outcome, len(asked.targets))
        if outcome is Outcome.THERE:
            console.status(
                "Checked: document and targets. Not checked: its pace, window, aborts and role "
                "(aws iot describe-job --job-id {})",
                asked.job,
            )
        console.status("next: bootseal job status {}", asked.job)
