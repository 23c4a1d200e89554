# SPDX-License-Identifier: MIT
"""`bootseal job make`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bootseal.cli import console


def make(
    job: Annotated[str, typer.Argument(metavar="JOB", help="The job's id, which AWS keeps once.")],
    bundle: Annotated[
        Path, typer.Argument(metavar="BUNDLE", help="The bundle that devices are to install.")
    ],
    *,
    url: Annotated[str, typer.Option(help="Where devices find it: s3://BUCKET/KEY, or https.")],
    target: Annotated[
        list[str], typer.Option(metavar="TARGET", help="thing/NAME, group/NAME or an ARN.")
    ],
    account: Annotated[str, typer.Option(metavar="NUMBER", help="Number of the AWS account.")],
    region: Annotated[str, typer.Option(help="AWS region, for example eu-central-1.")],
    role: Annotated[
        str, typer.Option(metavar="ARN", help="Role by which AWS signs URLs; for s3 only.")
    ] = "",
    expires: Annotated[int, typer.Option(metavar="SECONDS", help="Life of such a URL.")] = 3600,
    per_minute: Annotated[int, typer.Option(help="Devices that are told in a minute.")] = 10,
    timeout: Annotated[int, typer.Option(metavar="MINUTES", help="For one device.")] = 240,
    abort_percent: Annotated[
        int, typer.Option(help="Cancel the rest when so many did not succeed.")
    ] = 10,
    abort_after: Annotated[
        int, typer.Option(metavar="DEVICES", help="But not before so many were told.")
    ] = 5,
    window: Annotated[
        str, typer.Option(metavar="CRON", help="Tell devices only then: cron(0 2 ? * SUN *), UTC.")
    ] = "",
    window_minutes: Annotated[int, typer.Option(help="How long a window lasts.")] = 0,
    output: Annotated[
        str, typer.Option("--output", "-o", help="File for the plan; - is standard output.")
    ] = "-",
) -> None:
    """Write the plan of a job; nothing is asked of AWS yet.

    Version, board, manifest and size are those of BUNDLE; each of its blocks is compared with its
    manifest. Who signed it is not asked: bootseal update check does.

    Example: bootseal job make release-2 release.raucb --url s3://releases/2.raucb --target
    group/gateways --account 123456789012 --region eu-central-1 --role
    arn:aws:iam::123456789012:role/jobs -o release-2.json
    """
    import hashlib

    from bootseal import documents
    from bootseal.cli.inputs import naming
    from bootseal.formats.update import manifest as manifests
    from bootseal.jobs import plan as plans
    from bootseal.update import sign

    with naming(bundle), console.TerminalProgress().step("every block of the bundle"):
        manifest = sign.whole(bundle)
    release = manifests.parse(manifest)

    aborts = (plans.Abort(failure=plans.Failure.ALL, percent=abort_percent, minimum=abort_after),)
    made = plans.Plan(
        job=job,
        account=account,
        region=region,
        targets=tuple(plans.arn(each, account, region) for each in target),
        role=role,
        pace=plans.Pace(
            per_minute=per_minute,
            timeout=timeout,
            window=window,
            window_minutes=window_minutes,
            expires=expires,
            aborts=aborts,
        ),
        document=plans.Document(
            operation="update",
            url=plans.presigned(url, region),
            version=release.version,
            compatible=release.compatible,
            manifest_sha256=hashlib.sha256(manifest).hexdigest(),
            size=bundle.stat().st_size,
        ),
    )
    console.write(output, documents.dump(plans.checked(made)))
    console.status("OK: a job for {} targets", len(target))
    console.status("next: read it, then bootseal job push PLAN")
