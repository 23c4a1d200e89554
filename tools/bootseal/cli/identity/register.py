# SPDX-License-Identifier: MIT
"""`bootseal identity register`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bootseal.cli import console
from bootseal.cli.inputs import read
from bootseal.cli.options import Json


def register(
    plan: Annotated[Path, typer.Argument(metavar="PLAN", help="Output of identity export.")],
    *,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only list what is missing; change nothing.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Carry out a plan of identity export in AWS, with the credentials that AWS tools use.

    Steps that are already done are skipped, so run the same command again after a failure. Exits
    with 3 if AWS has something that conflicts with the plan.
    """
    from bootseal.cli.inputs import extra
    from bootseal.formats.kinds.kind import DOCUMENT
    from bootseal.identity.aws import plan as plans

    with extra("aws", "AWS"):
        from bootseal.identity.aws import register as registering
    asked = plans.parse(read(plan, DOCUMENT), str(plan))
    rows = []
    for number, done in enumerate(registering.run(asked, dry=dry_run), 1):
        step = done.step
        # At once: each of them is a fact, whatever comes of the next.
        text = "{}/{}  {}  {} {}"
        count = len(asked.steps)
        console.status(text, number, count, done.outcome, step.operation, step.subject)
        rows.append({"operation": step.operation, "subject": step.subject, "outcome": done.outcome})
    if as_json:
        console.emit_json(
            {
                "schema": "bootseal.identity-registration/1",
                "device": asked.device,
                "account": asked.account,
                "region": asked.region,
                "certificate": asked.certificate,
                "dry_run": dry_run,
                "steps": rows,
            }
        )
    left = sum(row["outcome"] == "missing" for row in rows)
    if left:
        console.status("{} steps are missing; to do them, run without --dry-run", left)
    else:
        console.status(
            "OK: {} is registered in {} of account {}", asked.device, asked.region, asked.account
        )
