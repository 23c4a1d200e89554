# SPDX-License-Identifier: MIT
"""The requests to AWS for a device, in order, as a document that can be reviewed.

The certificate is registered without its authority (RegisterCertificateWithoutCA): no key of
`device-ca` ever admits a device by itself. The policy allows what Greengrass nucleus lite does, on
the topics of the thing that the certificate is attached to.

Spec: AWS IoT API reference; AWS IoT policy variables (iot:Connection.Thing).
"""

from __future__ import annotations

import hashlib
import json
import re
import ssl
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from bootseal import documents
from bootseal.errors import FormatError, UsageError
from bootseal.keys import identity as certificates

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from bootseal.attest.store import Record
    from bootseal.identity.registry import Entry

_MAX_SIZE: Final = 1 << 20
_THING: Final = "${iot:Connection.Thing.ThingName}"


class Operation(StrEnum):
    """What a plan may ask of AWS IoT, by AWS's names."""

    REVOKE = "UpdateCertificate"
    CREATE_POLICY = "CreatePolicy"
    CREATE_ROLE_ALIAS = "CreateRoleAlias"
    CREATE_THING = "CreateThing"
    REGISTER = "RegisterCertificateWithoutCA"
    ATTACH_POLICY = "AttachPolicy"
    ATTACH_THING = "AttachThingPrincipal"


# The partitions of AWS, by how the names of their regions begin.
_PARTITIONS: Final = {
    "cn-": "aws-cn",
    "us-gov-": "aws-us-gov",
    "us-iso-": "aws-iso",
    "us-isob-": "aws-iso-b",
    "eu-isoe-": "aws-iso-e",
    "us-isof-": "aws-iso-f",
    "eusc-": "aws-eusc",
}
_THING_NAME: Final = "[a-zA-Z0-9:_-]{1,128}"
_POLICY_NAME: Final = r"[\w+=,.@-]{1,128}"
_CERTIFICATE: Final = r"arn:aws[a-z-]*:iot:[a-z0-9-]+:\d{12}:cert/[0-9a-f]{64}"
_TEXT: Final = r"[\s\S]{1,65536}"
PARAMETERS: Final[dict[Operation, dict[str, str]]] = {
    Operation.REVOKE: {"certificateId": "[0-9a-f]{64}", "newStatus": "REVOKED"},
    Operation.CREATE_POLICY: {"policyName": _POLICY_NAME, "policyDocument": _TEXT},
    Operation.CREATE_ROLE_ALIAS: {
        "roleAlias": r"[\w=,@-]{1,128}",
        "roleArn": r"arn:aws[a-z-]*:iam::\d{12}:role/[\w+=,.@/-]{1,576}",
    },
    Operation.CREATE_THING: {"thingName": _THING_NAME},
    Operation.REGISTER: {"certificatePem": _TEXT, "status": "ACTIVE"},
    Operation.ATTACH_POLICY: {"policyName": _POLICY_NAME, "target": _CERTIFICATE},
    Operation.ATTACH_THING: {
        "thingName": _THING_NAME,
        "principal": _CERTIFICATE,
        # The certificate can then be of no other thing.
        "thingPrincipalType": "EXCLUSIVE_THING",
    },
}
"""Exactly the parameters of each operation, with the pattern of each; all of them are text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One request.

    Attributes:
        operation: What is asked.
        parameters: Its parameters, by AWS's names.
    """

    operation: Operation
    parameters: dict[str, str]

    @property
    def subject(self) -> str:
        """What it is about, for human readers."""
        return "" if self.operation is Operation.REGISTER else next(iter(self.parameters.values()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """All requests to AWS for one device.

    Attributes:
        schema: Always `bootseal.identity-aws/1`.
        device: The device; the name of the thing.
        account: Number of the account.
        region: Region.
        certificate: AWS's number of the certificate, SHA-256 of its DER form, lower-case hex; empty
            if the device has none, and the plan only revokes.
        steps: The requests, in order.
    """

    schema: str = "bootseal.identity-aws/1"
    device: str
    account: str
    region: str
    certificate: str
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """What all devices in an account share.

    Attributes:
        account: Number of the account.
        region: Region.
        policy: Name of the policy.
        role_alias: What devices call the role that AWS gives them credentials for.
        role: The role, an ARN.
    """

    account: str
    region: str
    policy: str
    role_alias: str
    role: str

    def arn(self, resource: str) -> str:
        """Return the ARN of a resource of AWS IoT."""
        return f"arn:{partition(self.region)}:iot:{self.region}:{self.account}:{resource}"


def partition(region: str) -> str:
    """Return the part of AWS that a region is in."""
    return next((v for k, v in _PARTITIONS.items() if region.startswith(k)), "aws")


def make(record: Record, entries: Sequence[Entry], fleet: Fleet, now: int) -> Plan:
    """Plan the registration of a device's newest certificate, and the end of those revoked.

    Args:
        record: The device.
        entries: What is known of its identities, the oldest first.
        fleet: What all devices share.
        now: Seconds since 1970.

    Raises:
        UsageError: No certificate was issued or revoked, or AWS does not take a name.
    """
    issued = [
        entry
        for entry in entries
        if entry.state(now) == "issued" and entry.ak_name == record.ak_name and record.certified
    ]
    steps = [
        _step(Operation.REVOKE, certificate_id(entry), "REVOKED")
        for entry in entries
        if entry.revoked and entry.certificate
    ]
    if not issued and not steps:
        raise UsageError(
            f"{record.name} has no valid certificate", hint=f"bootseal identity issue {record.name}"
        )
    certificate = certificate_id(issued[-1]) if issued else ""
    if issued:
        arn = fleet.arn(f"cert/{certificate}")
        pem = certificates.pem(issued[-1].certificate).decode()
        steps += [
            _step(Operation.CREATE_POLICY, fleet.policy, policy(fleet)),
            _step(Operation.CREATE_ROLE_ALIAS, fleet.role_alias, fleet.role),
            _step(Operation.CREATE_THING, record.name),
            _step(Operation.REGISTER, pem, "ACTIVE"),
            _step(Operation.ATTACH_POLICY, fleet.policy, arn),
            _step(Operation.ATTACH_THING, record.name, arn, "EXCLUSIVE_THING"),
        ]
    made = Plan(
        device=record.name,
        account=fleet.account,
        region=fleet.region,
        certificate=certificate,
        steps=tuple(steps),
    )
    if wrong := next(_faults(made), ""):
        raise UsageError(f"AWS would not accept {wrong}", hint=_hint(wrong))
    return made


def _hint(fault: str) -> str:
    if not fault.startswith("the thingName"):
        return "bootseal identity export --help"
    # Its name in the registry is that in its certificate.
    return (
        "thing names have letters, digits, ':', '_' and '-': enrol the device under such a name, "
        "bootseal attest enrol"
    )


def parse(data: bytes, what: str) -> Plan:
    """Read a plan.

    Args:
        data: The document.
        what: Where it is from, for messages.

    Raises:
        FormatError: It is none, or asks for something else than plans do.
    """
    plan = documents.read(Plan, data, what, limit=_MAX_SIZE)
    if wrong := next(_faults(plan), ""):
        raise FormatError(f"{what} has {wrong}", hint="bootseal identity export --format aws")
    return plan


def certificate_id(entry: Entry) -> str:
    """Return AWS's number of a certificate."""
    return hashlib.sha256(entry.certificate).hexdigest()


def policy(fleet: Fleet) -> str:
    """Return the policy of a device as JSON: to be itself, and nothing on behalf of others.

    The variables are empty, and nothing is allowed, unless the certificate is attached to a thing.
    The topics are those of Greengrass nucleus lite 2.5 and 2.6.
    """
    topics = f"$aws/things/{_THING}"
    attached = {"Bool": {"iot:Connection.Thing.IsAttached": "true"}}
    statements = [
        _allow(["iot:Connect"], [fleet.arn(f"client/{_THING}")]) | {"Condition": attached},
        _allow(
            ["iot:Publish"],
            [
                fleet.arn(f"topic/{topics}/greengrassv2/health/json"),
                fleet.arn(f"topic/{topics}/jobs/*"),
            ],
        ),
        _allow(["iot:Receive"], [fleet.arn(f"topic/{topics}/jobs/*")]),
        _allow(["iot:Subscribe"], [fleet.arn(f"topicfilter/{topics}/jobs/*")]),
        _allow(
            ["iot:AssumeRoleWithCertificate"],
            [fleet.arn(f"rolealias/{fleet.role_alias}")],
        ),
        # AWS knows no resources for these; it answers a device about itself.
        _allow(
            [
                "greengrass:GetComponentVersionArtifact",
                "greengrass:ListThingGroupsForCoreDevice",
                "greengrass:ResolveComponentCandidates",
            ],
            ["*"],
        ),
    ]
    return json.dumps({"Version": "2012-10-17", "Statement": statements}, indent=1)


def _allow(actions: list[str], resources: list[str]) -> dict[str, object]:
    return {"Effect": "Allow", "Action": actions, "Resource": resources}


def _step(operation: Operation, *values: str) -> Step:
    return Step(
        operation=operation, parameters=dict(zip(PARAMETERS[operation], values, strict=True))
    )


def _faults(plan: Plan) -> Iterator[str]:
    """Yield what in a plan AWS or this program would not take."""
    for name, pattern in {"account": r"\d{12}", "region": r"[a-z]{2,}(-[a-z]+)+-\d+"}.items():
        if re.fullmatch(pattern, getattr(plan, name), re.ASCII) is None:
            yield f"the {name} {getattr(plan, name)!r}: expected {pattern}"
    for number, step in enumerate(plan.steps, 1):
        for fault in _step_faults(step, plan):
            yield f"{fault}, in step {number}, {step.operation}"


def _step_faults(step: Step, plan: Plan) -> Iterator[str]:
    expected, given = PARAMETERS[step.operation], step.parameters
    if given.keys() != expected.keys():
        yield f"the parameters {', '.join(given)}: expected {', '.join(expected)}"
        return
    for name, value in given.items():
        if re.fullmatch(expected[name], value, re.ASCII) is None:
            yield f"the {name} {value[:80]!r}: expected {expected[name]}"
    yield from _arn_faults(given, plan)
    if step.operation is Operation.CREATE_POLICY:
        yield from _policy_faults(given["policyDocument"])
    if given.get("thingName", plan.device) != plan.device:
        yield f"the thing {given['thingName']}: expected the device, {plan.device}"
    made = {
        s.parameters.get("policyName") for s in plan.steps if s.operation is Operation.CREATE_POLICY
    }
    if step.operation is Operation.ATTACH_POLICY and given["policyName"] not in made:
        yield f"the policy {given['policyName']}: expected one that the plan shows"
    if (
        step.operation is Operation.REGISTER
        and _number(given["certificatePem"]) != plan.certificate
    ):
        yield f"another certificate: expected number {plan.certificate}"


def _arn_faults(given: Mapping[str, str], plan: Plan) -> Iterator[str]:
    part = partition(plan.region)
    role, prefix = given.get("roleArn"), f"arn:{part}:iam::{plan.account}:"
    if role is not None and not role.startswith(prefix):
        yield f"the roleArn {role}: expected one of account {plan.account}, {prefix}..."
    certificate = f"arn:{part}:iot:{plan.region}:{plan.account}:cert/{plan.certificate}"
    for name in given.keys() & {"principal", "target"}:
        if given[name] != certificate:
            yield f"the {name} {given[name]}: expected the certificate of the plan, {certificate}"


def _policy_faults(document: str) -> Iterator[str]:
    try:
        documents.parse(document.encode(), "it")
    except FormatError as error:
        yield f"a policyDocument that AWS cannot read: {error.message}"


def _number(pem: str) -> str:
    try:
        return hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).hexdigest()
    except ValueError:
        return ""
