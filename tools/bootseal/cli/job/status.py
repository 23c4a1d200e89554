# SPDX-License-Identifier: MIT
"""`bootseal job status`."""

from __future__ import annotations

from typing import Annotated

import typer

from bootseal.cli import console
from bootseal.cli.options import Json


def status(
    job: Annotated[str, typer.Argument(metavar="JOB", help="The job's id.")],
    *,
    region: Annotated[
        str, typer.Option(help="AWS region; without it, that of the environment.")
    ] = "",
    as_json: Json = False,
) -> None:
    """Show how far the devices are with a job, and why those failed that did.

    Exits with 3 if a device failed, refused the job or took too long.
    """
    from bootseal.cli.inputs import extra
    from bootseal.errors import VerificationRefused

    with extra("aws", "AWS"):
        from bootseal.jobs import run
    found = run.status(job, region or None)
    if as_json:
        console.emit_json(
            {
                "schema": "bootseal.job-status/1",
                "job": found.job,
                "status": found.status,
                "devices": found.counts,
                "reasons": found.reasons,
            }
        )
    else:
        console.say("{}  {}", found.job, found.status)
        for state, count in found.counts.items():
            console.say("  {}  {}", count, state)
        for thing, reason in found.reasons.items():
            console.say("  {}: {}", thing, reason)
    if found.bad:
        total = sum(found.counts.values())
        raise VerificationRefused(
            f"{found.bad} of {total} devices did not take {found.job}",
            hint=f"aws iot describe-job-execution --job-id {found.job} --thing-name THING",
        )
