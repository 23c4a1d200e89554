# SPDX-License-Identifier: MIT
"""Gives a job to AWS once, and tells how far the devices are."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bootseal import documents
from bootseal.errors import UsageError, VerificationRefused
from bootseal.jobs import plan as plans
from bootseal.keys.signers import amazon
from bootseal.keys.signers.amazon import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bootseal.jobs.plan import Plan

_PAGE: Final = 250
_REASONS: Final = 20
_BAD: Final = ("FAILED", "REJECTED", "TIMED_OUT")
_HINTS: Final = {
    "LimitExceededException": "AWS has limits for jobs and targets: aws service-quotas",
    "InvalidRequestException": "compare the plan with docs/jobs.md",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far the devices are with a job.

    Attributes:
        job: Its id.
        status: The job's status, in AWS's words.
        counts: Devices by their status, in AWS's words.
        reasons: Devices that did not succeed, up to 20, with what they said.
    """

    job: str
    status: str
    counts: dict[str, int]
    reasons: dict[str, str]

    @property
    def bad(self) -> int:
        """How many devices failed, refused, or took too long."""
        return sum(self.counts.get(each, 0) for each in _BAD)


def push(plan: Plan, *, dry: bool) -> Outcome:
    """Create the job, unless it is there.

    Args:
        plan: The plan.
        dry: Only look; change nothing.

    Raises:
        UsageError: The credentials are of another account, or a target does not exist.
        VerificationRefused: There is a job of that name with another document or other targets.
        ToolError: AWS refuses, or cannot be asked.
    """
    client = amazon.connect_iot(plan.account, plan.region)
    named = {"jobId": plan.job}
    found = amazon.look(client, "DescribeJob", named, _HINTS)
    if found is not None:
        there = amazon.ask(client, "GetJobDocument", named, _HINTS)
        _check_same(str(there["document"]), found["job"]["targets"], plan)
        return Outcome.THERE
    for target in plan.targets:
        _check_target(client, target)
    if dry:
        return Outcome.MISSING
    amazon.ask(client, "CreateJob", plans.request(plan), _HINTS)
    return Outcome.DONE


def status(job: str, region: str | None) -> Progress:
    """Ask AWS how far the devices are.

    Args:
        job: The job's id.
        region: Region; None for that of the environment.

    Raises:
        UsageError: There is no such job.
        ToolError: AWS refuses, or cannot be asked.
    """
    with amazon.explaining("AWS", {}, {}):
        client = amazon.connect("iot", region)
    found = amazon.look(client, "DescribeJob", {"jobId": job}, _HINTS)
    if found is None:
        raise UsageError(f"AWS IoT has no job {job}", hint="aws iot list-jobs")
    counts: Counter[str] = Counter()
    bad: list[str] = []
    asked: dict[str, object] = {"jobId": job, "maxResults": _PAGE}
    while True:
        page = amazon.ask(client, "ListJobExecutionsForJob", asked, _HINTS)
        for each in page["executionSummaries"]:
            state = str(each["jobExecutionSummary"]["status"])
            counts[state] += 1
            if state in _BAD:
                bad.append(str(each["thingArn"]).rpartition("/")[2])
        if not page.get("nextToken"):
            break
        asked["nextToken"] = page["nextToken"]
    return Progress(
        job=job,
        status=str(found["job"]["status"]),
        counts=dict(sorted(counts.items())),
        reasons={thing: _reason(client, job, thing) for thing in bad[:_REASONS]},
    )


def _reason(client: object, job: str, thing: str) -> str:
    named = {"jobId": job, "thingName": thing}
    found = amazon.ask(client, "DescribeJobExecution", named, _HINTS)["execution"]
    details = found.get("statusDetails", {}).get("detailsMap", {})
    return f"{found['status']}: {details.get('reason', 'no reason was given')}"


def _check_same(document: str, targets: Iterable[str], plan: Plan) -> None:
    there = documents.parse(document.encode(), "the document in AWS")
    if there != documents.parse(plans.text(plan).encode(), "the document in the plan"):
        raise VerificationRefused(
            f"there is a job {plan.job} with another document than the plan's",
            hint=f"compare: aws iot get-job-document --job-id {plan.job}; or another id",
        )
    if set(targets) != set(plan.targets):
        raise VerificationRefused(
            f"there is a job {plan.job} for other targets than the plan's",
            hint=f"compare: aws iot describe-job --job-id {plan.job}; or another id",
        )


def _check_target(client: object, target: str) -> None:
    kind, _, name = target.rpartition(":")[2].partition("/")
    key, operation = {
        "thing": ("thingName", "DescribeThing"),
        "thinggroup": ("thingGroupName", "DescribeThingGroup"),
    }[kind]
    if amazon.look(client, operation, {key: name}, _HINTS) is None:
        raise UsageError(
            f"AWS IoT has no {kind} {name}, which the job is for",
            hint="aws iot list-things, or list-thing-groups",
        )
