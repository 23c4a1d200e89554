# SPDX-License-Identifier: MIT
"""A job as a plan: what devices are asked for, which, how fast, and when AWS is to stop.

Distribution, batches, time limits and aborts are AWS IoT Jobs'; a plan only says what they are.

Spec: AWS IoT API reference, CreateJob; AWS IoT Jobs configurations and presigned URLs.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Final, TypeAlias
from urllib.parse import urlsplit

from bootseal import documents
from bootseal.errors import FormatError, UsageError

SCHEMA: Final = "bootseal.job/1"
_MAX_SIZE: Final = 1 << 20
_SIGNED: Final = "${aws:iot:s3-presigned-url-v2:https://s3."
_S3: Final = r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])/([A-Za-z0-9!_.*()/-]{1,512})"
_ACCOUNT: Final = r"\d{12}"
_REGION: Final = r"[a-z]{2,}(-[a-z]+)+-\d+"
_ARN: Final = r"arn:aws[a-z-]*:iot:[a-z0-9-]+:\d{12}:thing(group)?/[a-zA-Z0-9:_-]{1,128}"
_ROLE: Final = r"arn:aws[a-z-]*:iam::\d{12}:role/[\w+=,.@/-]{1,576}"
_HTTPS: Final = r"https://[!$-;=?-\[\]_a-z|~]{1,4087}"
VERSION: Final = r"(0|[1-9]\d{0,8})(\.(0|[1-9]\d{0,8})){0,3}"
"""A release's version, as devices compare it."""
_NAME: Final = r"[a-z][a-z0-9-]{0,26}"
_DIGEST: Final = r"[0-9a-f]{64}"
_FORMS: Final = {
    "update": {
        "version": VERSION,
        "compatible": r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}",
        "manifest_sha256": _DIGEST,
    },
    "app": {
        "name": _NAME,
        "version": r"[0-9A-Za-z][0-9A-Za-z.-]{0,31}",
        "sha256": _DIGEST,
    },
    "app-remove": {"name": _NAME},
}
_MAX_FILE: Final = 8 << 30
_MAX_TARGETS: Final = 100
_EXPIRES: Final = (60, 3600)
_ALL: Final = 100


class Failure(StrEnum):
    """What a device may report, as AWS counts it for aborts."""

    FAILED = "FAILED"
    REJECTED = "REJECTED"
    TIMED_OUT = "TIMED_OUT"
    ALL = "ALL"


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """The document by which a device installs a release.

    Attributes:
        schema: Always `bootseal.job/1`.
        operation: Always `update`.
        url: Where the bundle is, or what AWS replaces by a presigned URL.
        version: The release's version.
        compatible: The board, in RAUC's words.
        manifest_sha256: SHA-256 of the bundle's manifest, lower-case hex.
        size: Bytes of the bundle.
    """

    schema: str = SCHEMA
    operation: str = "update"
    url: str
    version: str
    compatible: str
    manifest_sha256: str
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class App:
    """The document by which a device installs an application.

    Attributes:
        schema: Always `bootseal.job/1`.
        operation: Always `app`.
        name: The application's name.
        version: Its version.
        url: Where its image is, or what AWS replaces by a presigned URL.
        sha256: SHA-256 of the image, lower-case hex.
        size: Bytes of the image.
    """

    schema: str = SCHEMA
    operation: str = "app"
    name: str
    version: str
    url: str
    sha256: str
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Removal:
    """The document by which a device removes an application.

    Attributes:
        schema: Always `bootseal.job/1`.
        operation: Always `app-remove`.
        name: The application's name.
    """

    schema: str = SCHEMA
    operation: str = "app-remove"
    name: str


Document: TypeAlias = Update | App | Removal
"""What the agent of a device takes, and nothing else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Abort:
    """When AWS cancels the rest of a job.

    Attributes:
        failure: What counts.
        percent: Share of the devices, in percent.
        minimum: Devices that have to have been told before.
    """

    failure: Failure
    percent: int
    minimum: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How fast, when, and how long.

    Attributes:
        per_minute: Devices that are notified per minute.
        timeout: Minutes that a device may take.
        window: When devices are notified, AWS's cron expression in UTC; empty for at once.
        window_minutes: How long that lasts; 0 without a window.
        expires: Seconds that a presigned URL is good for.
        aborts: When the rest is cancelled.
    """

    per_minute: int
    timeout: int
    window: str
    window_minutes: int
    expires: int
    aborts: tuple[Abort, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A job.

    Attributes:
        schema: Always `bootseal.job-plan/1`.
        job: Its id.
        account: Number of the account.
        region: Region.
        targets: Things and groups of things, ARNs.
        role: The role by which AWS signs URLs, an ARN; empty if the URL is used as it is.
        pace: How fast, when, and how long.
        document: What the devices are asked for.
    """

    schema: str = "bootseal.job-plan/1"
    job: str
    account: str
    region: str
    targets: tuple[str, ...]
    role: str
    pace: Pace
    document: Document


def checked(plan: Plan) -> Plan:
    """Return a plan that AWS and the devices take.

    Raises:
        UsageError: They would not.
    """
    if wrong := next(_faults(plan), ""):
        raise UsageError(f"the job would be refused: {wrong}", hint="bootseal job make --help")
    return plan


def parse(data: bytes, what: str) -> Plan:
    """Read a plan.

    Args:
        data: The document.
        what: Where it is from, for messages.

    Raises:
        FormatError: It is none, or asks for what plans do not have.
    """
    plan = documents.read(Plan, data, what, limit=_MAX_SIZE)
    if wrong := next(_faults(plan), ""):
        raise FormatError(f"{what} has {wrong}", hint="bootseal job make")
    return plan


def presigned(url: str, region: str) -> str:
    """Return what AWS replaces by a presigned URL of an object; another URL as it is.

    >>> presigned("s3://releases/2.raucb", "eu-central-1")
    '${aws:iot:s3-presigned-url-v2:https://s3.eu-central-1.amazonaws.com/releases/2.raucb}'
    """
    if found := re.fullmatch(_S3, url, re.ASCII):
        domain = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
        return f"{_SIGNED}{region}.{domain}/{found[1]}/{found[2]}}}"
    return url


def arn(name: str, account: str, region: str) -> str:
    """Return the ARN of a target: `thing/NAME` or `group/NAME`; an ARN as it is.

    Raises:
        UsageError: It is none of these.
    """
    if name.startswith("arn:"):
        return name
    kind, _, rest = name.partition("/")
    kinds = {"thing": "thing", "group": "thinggroup"}
    if kind not in kinds or not rest:
        raise UsageError(f"the target is {name!r}: expected thing/NAME, group/NAME or an ARN")
    prefixes = {"cn-": "aws-cn", "us-gov-": "aws-us-gov"}
    partition = next((v for k, v in prefixes.items() if region.startswith(k)), "aws")
    return f"arn:{partition}:iot:{region}:{account}:{kinds[kind]}/{rest}"


def text(plan: Plan) -> str:
    """Return the document of a job as AWS is given it."""
    members = {each.name: getattr(plan.document, each.name) for each in fields(plan.document)}
    return json.dumps(members, sort_keys=True)


def request(plan: Plan) -> dict[str, object]:
    """Return the parameters of CreateJob."""
    pace = plan.pace
    made: dict[str, object] = {
        "jobId": plan.job,
        "targets": [*plan.targets],
        "document": text(plan),
        "description": f"bootseal: {_described(plan.document)}",
        "targetSelection": "SNAPSHOT",
        "jobExecutionsRolloutConfig": {"maximumPerMinute": pace.per_minute},
        "timeoutConfig": {"inProgressTimeoutInMinutes": pace.timeout},
    }
    if plan.role:
        made["presignedUrlConfig"] = {"roleArn": plan.role, "expiresInSec": pace.expires}
    if pace.aborts:
        made["abortConfig"] = {
            "criteriaList": [
                {
                    "failureType": str(each.failure),
                    "action": "CANCEL",
                    "thresholdPercentage": each.percent,
                    "minNumberOfExecutedThings": each.minimum,
                }
                for each in pace.aborts
            ]
        }
    if pace.window:
        window = {"startTime": pace.window, "durationInMinutes": pace.window_minutes}
        made["schedulingConfig"] = {"maintenanceWindows": [window]}
    return made


def _faults(plan: Plan) -> Iterator[str]:
    patterns = {"job": "[a-zA-Z0-9_-]{1,64}", "account": _ACCOUNT, "region": _REGION}
    for name, pattern in patterns.items():
        if re.fullmatch(pattern, getattr(plan, name), re.ASCII) is None:
            yield f"the {name} {getattr(plan, name)!r}: expected {pattern}"
    if not 1 <= len(plan.targets) <= _MAX_TARGETS:
        yield f"{len(plan.targets)} targets: expected 1 to {_MAX_TARGETS}"
    for target in plan.targets:
        if re.fullmatch(_ARN, target, re.ASCII) is None:
            yield f"the target {target!r}: expected the ARN of a thing or group"
        elif f":{plan.region}:{plan.account}:" not in target:
            yield f"the target {target}: expected one of {plan.region} in {plan.account}"
    yield from _document_faults(plan)
    yield from _pace_faults(plan.pace)


def _document_faults(plan: Plan) -> Iterator[str]:
    document = plan.document
    for name, pattern in _FORMS[document.operation].items():
        if re.fullmatch(pattern, getattr(document, name), re.ASCII) is None:
            yield f"the {name} {getattr(document, name)!r}: expected {pattern}"
    if not isinstance(document, Removal):
        if not 1 <= document.size <= _MAX_FILE:
            yield f"the size {document.size}: expected 1 to {_MAX_FILE}"
        yield from _url_faults(plan, document.url)
    elif plan.role:
        yield f"the role {plan.role}: expected none, as AWS signs no URL"


def _url_faults(plan: Plan, url: str) -> Iterator[str]:
    if url.startswith(_SIGNED):
        _, _, named = url.removeprefix(_SIGNED).removesuffix("}").partition("/")
        if presigned(f"s3://{named}", plan.region) != url:
            yield f"the url {url[:80]!r}: expected an object of S3 in {plan.region}"
        if re.fullmatch(_ROLE, plan.role, re.ASCII) is None:
            yield f"the role {plan.role!r}: expected the ARN of the role by which AWS signs URLs"
    elif not _is_https(url):
        yield f"the url {url[:80]!r}: expected https://HOST/PATH or s3://BUCKET/KEY"
    elif plan.role:
        yield f"the role {plan.role}: expected none, as AWS signs no URL"


def _described(document: Document) -> str:
    match document:
        case Update():
            return f"version {document.version}"
        case App():
            return f"version {document.version} of {document.name}"
        case Removal():
            return f"{document.name} removed"


def _is_https(url: str) -> bool:
    """Tell whether a device takes a URL: https, a host, no user name, nothing that ends it."""
    try:
        parts = urlsplit(url)
        usable = bool(parts.hostname) and "@" not in parts.netloc and parts.port != 0
    except ValueError:
        return False
    return usable and re.fullmatch(_HTTPS, url, re.ASCII) is not None


def _pace_faults(pace: Pace) -> Iterator[str]:
    bounds = {"per_minute": 1000, "timeout": 10080}
    for name, high in bounds.items():
        if not 1 <= getattr(pace, name) <= high:
            yield f"{name} {getattr(pace, name)}: expected 1 to {high}"
    shortest, longest = _EXPIRES
    if not shortest <= pace.expires <= longest:
        yield f"expires {pace.expires}: expected {shortest} to {longest}"
    if pace.window and re.fullmatch(r"cron\([A-Z0-9*?/,#L -]{9,200}\)", pace.window) is None:
        yield f"the window {pace.window!r}: expected cron(MINUTE HOUR DAY MONTH WEEKDAY YEAR)"
    if not (1 if pace.window else 0) <= pace.window_minutes <= (1430 if pace.window else 0):
        yield f"a window of {pace.window_minutes} minutes: expected 1 to 1430 with a window"
    for each in pace.aborts:
        if not 1 <= each.percent <= _ALL or each.minimum < 1:
            shown = f"{each.percent} % of {each.minimum}"
            yield f"an abort at {shown}: expected 1 to {_ALL} % of 1 or more"
