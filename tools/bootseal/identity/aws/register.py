# SPDX-License-Identifier: MIT
"""Runs a plan: for each step looks whether it is done, and asks AWS for it only if it is not.

The same plan run again changes nothing, and goes on where a run ended early.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from bootseal import documents
from bootseal.errors import ToolError, VerificationRefused
from bootseal.identity.aws.plan import Operation
from bootseal.keys.signers import amazon
from bootseal.keys.signers.amazon import Outcome

if TYPE_CHECKING:
    from bootseal.identity.aws.plan import Plan, Step

# AWS attaches at most 10 of either to a certificate: this is all of them.
_ALL: Final = 250
_HINTS: Final = {
    "ResourceAlreadyExistsException": "someone else created it in the meantime: run the same "
    "command again",
    "CertificateValidationException": "run bootseal identity export again; AWS cannot read this "
    "plan",
    amazon.MISSING: (
        "something that the plan relies on was deleted in the meantime: run the same command again"
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """A step that was checked.

    Attributes:
        step: The step.
        outcome: Whether it was done now, before, or not at all, as nothing was to be changed.
    """

    step: Step
    outcome: Outcome


def run(plan: Plan, *, dry: bool) -> Iterator[Done]:
    """Carry out a plan, step by step; what is yielded has happened.

    Args:
        plan: The plan.
        dry: Only look; change nothing.

    Raises:
        UsageError: The credentials are of another account.
        VerificationRefused: Something is there already, and is not what the plan asks for.
        ToolError: AWS refuses, or cannot be asked.
    """
    client = amazon.connect_iot(plan.account, plan.region)
    for step in plan.steps:
        # Nothing that a step needs is made in a dry run: what is missing there is just missing.
        if _is_done(client, step, plan):
            yield Done(step=step, outcome=Outcome.THERE)
        elif dry:
            yield Done(step=step, outcome=Outcome.MISSING)
        else:
            answer = _ask(client, step.operation, step.parameters)
            if step.operation is Operation.REGISTER:
                _check_number(answer, plan)
            yield Done(step=step, outcome=Outcome.DONE)


def _is_done(client: object, step: Step, plan: Plan) -> bool:
    """Look whether a step is done.

    Raises:
        VerificationRefused: Something else is in its place.
    """
    given = step.parameters
    match step.operation:
        case Operation.REVOKE:
            found = _look(client, "DescribeCertificate", certificateId=given["certificateId"])
            # What AWS never saw needs no end.
            return found is None or found["certificateDescription"]["status"] == "REVOKED"
        case Operation.CREATE_POLICY:
            found = _look(client, "GetPolicy", policyName=given["policyName"])
            return found is not None and _is_same_policy(found["policyDocument"], given)
        case Operation.CREATE_ROLE_ALIAS:
            found = _look(client, "DescribeRoleAlias", roleAlias=given["roleAlias"])
            return found is not None and _is_same_role(found["roleAliasDescription"], given)
        case Operation.CREATE_THING:
            return _look(client, "DescribeThing", thingName=given["thingName"]) is not None
        case Operation.REGISTER:
            found = _look(client, "DescribeCertificate", certificateId=plan.certificate)
            return found is not None and _is_active(found["certificateDescription"])
        case Operation.ATTACH_POLICY | Operation.ATTACH_THING:
            return _is_attached(client, step)


def _is_attached(client: object, step: Step) -> bool:
    given = step.parameters
    if step.operation is Operation.ATTACH_POLICY:
        found = _look(client, "ListAttachedPolicies", target=given["target"], pageSize=_ALL)
        names = [each["policyName"] for each in found["policies"]] if found else []
        return given["policyName"] in names
    found = _look(client, "ListPrincipalThings", principal=given["principal"], maxResults=_ALL)
    return _is_only(found["things"] if found else [], given["thingName"])


def _is_same_policy(document: str, given: Mapping[str, str]) -> bool:
    there = documents.parse(document.encode(), "the policy in AWS")
    if there != documents.parse(given["policyDocument"].encode(), "the policy in the plan"):
        name = given["policyName"]
        raise VerificationRefused(
            f"there is a policy {name} that differs from the plan's",
            hint=f"compare: aws iot get-policy --policy-name {name}; or another --policy",
        )
    return True


def _is_same_role(description: Mapping[str, Any], given: Mapping[str, str]) -> bool:
    if description["roleArn"] != given["roleArn"]:
        raise VerificationRefused(
            f"the role alias {given['roleAlias']} is of {description['roleArn']}: expected "
            f"{given['roleArn']}",
            hint="export with another --role-alias, or with that --role",
        )
    return True


def _is_active(description: Mapping[str, Any]) -> bool:
    number, status = description["certificateId"], description["status"]
    if status != "ACTIVE":
        raise VerificationRefused(
            f"the certificate {number} is registered in AWS as {status}: expected ACTIVE",
            hint="a revoked certificate stays revoked; for a new one: bootseal identity challenge"
            if status == "REVOKED"
            else f"aws iot update-certificate --certificate-id {number} --new-status ACTIVE",
        )
    return True


def _is_only(things: list[str], name: str) -> bool:
    if others := [each for each in things if each != name]:
        raise VerificationRefused(
            f"the certificate is attached to the thing {others[0]}: expected only {name}",
            hint="aws iot detach-thing-principal, if that was a mistake",
        )
    return name in things


def _check_number(answer: Mapping[str, Any], plan: Plan) -> None:
    if answer["certificateId"] != plan.certificate:
        raise ToolError(
            f"AWS numbers the certificate {answer['certificateId']}: expected {plan.certificate}"
        )


def _look(client: object, operation: str, **parameters: object) -> Mapping[str, Any] | None:
    return amazon.look(client, operation, parameters, _HINTS)


def _ask(client: object, operation: str, parameters: Mapping[str, object]) -> Mapping[str, Any]:
    return amazon.ask(client, operation, parameters, _HINTS)
