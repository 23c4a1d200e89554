# SPDX-License-Identifier: MIT
"""`bootseal job make`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bootseal.cli import console

if TYPE_CHECKING:
    from bootseal.jobs.plan import Document, Pace


@dataclass(frozen=True, slots=True, kw_only=True)
class PaceOptions:
    """When devices are notified of a job, how many at a time, and what cancels the rest."""

    expires: Annotated[int, typer.Option(metavar="SECONDS", help="Life of such a URL.")] = 3600
    per_minute: Annotated[int, typer.Option(help="Devices that are notified per minute.")] = 10
    timeout: Annotated[int, typer.Option(metavar="MINUTES", help="For one device.")] = 240
    abort_percent: Annotated[
        int, typer.Option(help="Cancel the rest if this share did not succeed.")
    ] = 10
    abort_after: Annotated[
        int, typer.Option(metavar="DEVICES", help="But not before that many were notified.")
    ] = 5
    window: Annotated[
        str,
        typer.Option(metavar="CRON", help="Notify devices only then: cron(0 2 ? * SUN *), UTC."),
    ] = ""
    window_minutes: Annotated[int, typer.Option(help="How long a window lasts.")] = 0

    def pace(self) -> Pace:
        """Return what they say, as a plan has it."""
        from bootseal.jobs.plan import Abort, Failure, Pace

        abort = Abort(failure=Failure.ALL, percent=self.abort_percent, minimum=self.abort_after)
        return Pace(
            per_minute=self.per_minute,
            timeout=self.timeout,
            window=self.window,
            window_minutes=self.window_minutes,
            expires=self.expires,
            aborts=(abort,),
        )


def make(
    job: Annotated[str, typer.Argument(metavar="JOB", help="The job's id, which AWS keeps once.")],
    file: Annotated[
        Path | None,
        typer.Argument(
            metavar="[FILE]", help="What devices are to install: a bundle, or an application."
        ),
    ] = None,
    *,
    remove: Annotated[
        str, typer.Option(metavar="NAME", help="Application to remove, instead of FILE.")
    ] = "",
    url: Annotated[
        str, typer.Option(help="Where devices find FILE: s3://BUCKET/KEY, or https.")
    ] = "",
    target: Annotated[
        list[str], typer.Option(metavar="TARGET", help="thing/NAME, group/NAME or an ARN.")
    ],
    account: Annotated[str, typer.Option(metavar="NUMBER", help="Number of the AWS account.")],
    region: Annotated[str, typer.Option(help="AWS region, for example eu-central-1.")],
    role: Annotated[
        str, typer.Option(metavar="ARN", help="Role by which AWS signs URLs; for s3 only.")
    ] = "",
    pace: PaceOptions,
    output: Annotated[
        str, typer.Option("--output", "-o", help="File for the plan; - is standard output.")
    ] = "-",
) -> None:
    """Write the plan of a job, without contacting AWS.

    What it says about FILE comes from FILE itself, once each of its blocks was checked. It does not
    check who signed FILE: bootseal update check and bootseal app check do.

    Example: bootseal job make release-2 release.raucb --url s3://releases/2.raucb --target
    group/gateways --account 123456789012 --region eu-central-1 --role
    arn:aws:iam::123456789012:role/jobs -o release-2.json
    """
    from bootseal import documents
    from bootseal.jobs import plan as plans

    document = _document(file, remove, plans.presigned(url, region) if url else "")
    made = plans.Plan(
        job=job,
        account=account,
        region=region,
        targets=tuple(plans.arn(each, account, region) for each in target),
        role=role,
        pace=pace.pace(),
        document=document,
    )
    console.write(output, documents.dump(plans.checked(made)))
    console.status("OK: a job for {} targets", len(target))
    console.status("next: read it, then bootseal job push PLAN")


def _document(file: Path | None, remove: str, url: str) -> Document:
    """Return what devices are asked for.

    Raises:
        UsageError: It is not said once, or not where FILE is.
    """
    from bootseal.errors import UsageError
    from bootseal.files import opened
    from bootseal.formats.kinds.kind import Kind
    from bootseal.formats.kinds.recognise import HEAD, recognise
    from bootseal.jobs import plan as plans

    if (file is None) is not bool(remove):
        raise UsageError("a job installs FILE or has --remove NAME, and not both")
    if bool(url) is bool(remove):
        raise UsageError("a job that installs FILE has --url, and no other")
    if file is None:
        return plans.Removal(name=remove)
    with opened(file) as source:
        kind = recognise(source.read(HEAD))
    return _app(file, url) if kind is Kind.GPT else _update(file, url)


def _update(bundle: Path, url: str) -> Document:
    import hashlib

    from bootseal.cli.inputs import naming
    from bootseal.formats.update import manifest as manifests
    from bootseal.jobs import plan as plans
    from bootseal.update import sign

    with naming(bundle), console.TerminalProgress().step("every block of the bundle"):
        manifest = sign.whole(bundle)
    release = manifests.parse(manifest)
    return plans.Update(
        url=url,
        version=release.version,
        compatible=release.compatible,
        manifest_sha256=hashlib.sha256(manifest).hexdigest(),
        size=bundle.stat().st_size,
    )


def _app(image: Path, url: str) -> Document:
    from bootseal import device
    from bootseal.app import check
    from bootseal.cli.inputs import naming
    from bootseal.findings.model import refuse
    from bootseal.jobs import plan as plans

    with naming(image):
        verdict = check.check(image, check.Wanted(certificate=None), console.TerminalProgress())
    refuse(verdict.findings, f"{image} is refused")
    assert verdict.declared is not None  # noqa: S101 - without a finding there is one
    release = verdict.declared.release
    return plans.App(
        name=release.name,
        version=release.version,
        url=url,
        sha256=device.digest_file(image),
        size=verdict.size,
    )
