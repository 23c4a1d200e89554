# SPDX-License-Identifier: MIT
"""The plan that registers a device with AWS, held against AWS's own description of its requests."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from typing import Final

import botocore.session
import pytest
from tests import identity_samples as samples
from tests.identity_samples import NOW

from bootseal import documents
from bootseal.errors import FormatError, UsageError
from bootseal.identity.aws import plan as plans
from bootseal.identity.aws.plan import PARAMETERS, Operation

RECORD: Final = samples.Device().record
ENTRY: Final = samples.issued(RECORD)
FLEET: Final = plans.Fleet(
    account="123456789012",
    region="eu-central-1",
    policy="gateways",
    role_alias="gateway",
    role="arn:aws:iam::123456789012:role/gateway",
)
PLAN: Final = plans.make(RECORD, [ENTRY], FLEET, NOW)
SESSION: Final = botocore.session.get_session()
MODEL: Final = SESSION.get_service_model("iot")


def test_plan_is_what_it_was_and_names_its_certificate() -> None:
    assert [step.operation for step in PLAN.steps] == [
        "CreatePolicy",
        "CreateRoleAlias",
        "CreateThing",
        "RegisterCertificateWithoutCA",
        "AttachPolicy",
        "AttachThingPrincipal",
    ]
    assert PLAN.certificate == hashlib.sha256(ENTRY.certificate).hexdigest()
    assert PLAN.steps[-1].parameters == {
        "thingName": "dev-1",
        "principal": f"arn:aws:iot:eu-central-1:123456789012:cert/{PLAN.certificate}",
        "thingPrincipalType": "EXCLUSIVE_THING",
    }
    assert plans.parse(documents.dump(PLAN), "it") == PLAN


@pytest.mark.parametrize("operation", Operation)
def test_every_parameter_is_one_that_aws_takes(operation: Operation) -> None:
    """botocore checks names and types, and leaves patterns, enumerations and bounds to AWS."""
    shape = MODEL.operation_model(operation).input_shape
    given = PARAMETERS[operation]

    assert set(shape.required_members) <= given.keys() <= shape.members.keys()
    for name, pattern in given.items():
        member = shape.members[name]
        assert member.type_name == "string"
        if member.enum:
            assert pattern in member.enum
        if stated := member.metadata.get("pattern"):
            # Ours is AWS's with its bounds, or allows less.
            low, high = member.metadata["min"], member.metadata["max"]
            alike = stated.rstrip("+*") + f"{{{max(low, 1)},{min(high, 65536)}}}"
            assert pattern in {alike, "[0-9a-f]{64}"}


def test_policy_lets_a_device_be_itself_and_nobody_else() -> None:
    policy = json.loads(PLAN.steps[0].parameters["policyDocument"])
    prefix = "arn:aws:iot:eu-central-1:123456789012:"
    thing = "${iot:Connection.Thing.ThingName}"
    connect = policy["Statement"][0]

    assert connect == {
        "Effect": "Allow",
        "Action": ["iot:Connect"],
        "Resource": [f"{prefix}client/{thing}"],
        "Condition": {"Bool": {"iot:Connection.Thing.IsAttached": "true"}},
    }
    for statement in policy["Statement"]:
        assert statement["Effect"] == "Allow"
        assert all("*" not in action for action in statement["Action"])
        for resource in statement["Resource"]:
            services = {action.partition(":")[0] for action in statement["Action"]}
            if resource == "*":
                assert services == {"greengrass"}
            else:
                # Nothing may follow the name directly: gw-1 would be gw-10, too.
                assert re.fullmatch(
                    re.escape(prefix) + rf"(client/{re.escape(thing)}|rolealias/gateway"
                    rf"|topic(filter)?/\$aws/things/{re.escape(thing)}/[a-z0-9/*]+)",
                    resource,
                )


REGIONS: Final = [
    (region, partition)
    for partition in SESSION.get_available_partitions()
    for region in (
        SESSION.get_available_regions("iot", partition)
        + SESSION.get_available_regions("ec2", partition)
    )
]


@pytest.mark.parametrize(("region", "partition"), sorted(set(REGIONS)))
def test_arns_are_of_the_partition_that_botocore_has_the_region_in(
    region: str, partition: str
) -> None:
    fleet = dataclasses.replace(
        FLEET, region=region, role=f"arn:{partition}:iam::123456789012:role/gateway"
    )

    assert fleet.arn("cert/1") == f"arn:{partition}:iot:{region}:123456789012:cert/1"
    assert plans.make(RECORD, [ENTRY], fleet, NOW).region == region


def test_regions_of_every_partition_were_looked_at() -> None:
    found = {partition for _, partition in REGIONS}
    assert {"aws", "aws-cn", "aws-us-gov", "aws-iso", "aws-iso-b", "aws-iso-e"} <= found


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"account": "12345678901"}, "the account '12345678901'"),
        ({"region": "europe"}, "the region 'europe'"),
        ({"policy": "a b"}, "the policyName 'a b'"),
        ({"role_alias": "a/b"}, "the roleAlias 'a/b'"),
        ({"role": "gateway"}, "the roleArn 'gateway'"),
        (
            {"role": "arn:aws:iam::999999999999:role/gateway"},
            "expected one of account 123456789012",
        ),
        ({"role": "arn:aws-iso:iam::123456789012:role/gateway"}, "arn:aws:iam::123456789012:..."),
    ],
)
def test_names_that_aws_does_not_take_are_refused(changes: dict[str, str], said: str) -> None:
    with pytest.raises(UsageError, match=re.escape(said)):
        plans.make(RECORD, [ENTRY], dataclasses.replace(FLEET, **changes), NOW)


def test_device_name_that_is_no_thing_name_is_refused() -> None:
    record = dataclasses.replace(RECORD, name="dev.1")

    with pytest.raises(UsageError, match=r"the thingName 'dev\.1'") as refusal:
        plans.make(record, [dataclasses.replace(ENTRY, device="dev.1")], FLEET, NOW)
    assert "enrol the device under such a name" in refusal.value.hint


def test_newest_certificate_is_registered_and_revoked_ones_are_revoked() -> None:
    old = dataclasses.replace(ENTRY, revoked=NOW + 5, reason="superseded")
    new = samples.issued(RECORD, proven=NOW + 9, serial="5" * 32)

    made = plans.make(RECORD, [old, new], FLEET, NOW + 10)

    assert made.certificate == plans.certificate_id(new)
    assert made.steps[0] == plans.Step(
        operation=Operation.REVOKE,
        parameters={"certificateId": plans.certificate_id(old), "newStatus": "REVOKED"},
    )
    only = plans.make(RECORD, [old], FLEET, NOW + 10)
    assert (only.certificate, [step.operation for step in only.steps]) == ("", [Operation.REVOKE])


@pytest.mark.parametrize(
    "changes",
    [{"certificate": b""}, {"ak_name": "000b" + "00" * 32}, {"not_after": NOW - 1}],
    ids=["proven-only", "enrolled-again", "expired"],
)
def test_device_without_a_valid_certificate_is_refused(changes: dict[str, object]) -> None:
    entry = dataclasses.replace(ENTRY, **changes)  # type: ignore[arg-type]

    with pytest.raises(UsageError, match="has no valid certificate") as refusal:
        plans.make(RECORD, [entry], FLEET, NOW)
    assert refusal.value.hint == "bootseal identity issue dev-1"


def altered(number: int, **changes: str) -> bytes:
    document = json.loads(documents.dump(PLAN))
    document["steps"][number]["parameters"].update(changes)
    return json.dumps(document).encode()


OTHER: Final = f"arn:aws:iot:eu-central-1:123456789012:cert/{'0' * 64}"


@pytest.mark.parametrize(
    ("number", "changes", "said"),
    [
        (0, {"policyDocument": "{"}, "a policyDocument that AWS cannot read: it is not JSON"),
        (0, {"policyDocument": "[]"}, "a policyDocument that AWS cannot read"),
        (0, {"policyDocument": '{"a": 1, "a": 2}'}, "'a' is twice in one object"),
        (
            4,
            {"target": f"arn:aws-iso:iot:eu-central-1:123456789012:cert/{PLAN.certificate}"},
            "the target .*: expected the certificate of the plan, arn:aws:iot",
        ),
        (3, {"status": "INACTIVE"}, "the status 'INACTIVE'"),
        (3, {"certificatePem": "-----BEGIN"}, "another certificate"),
        (4, {"target": OTHER}, "the target .*: expected the certificate"),
        (5, {"principal": OTHER}, "the principal .*: expected the certificate"),
        (5, {"thingPrincipalType": "NON_EXCLUSIVE_THING"}, "the thingPrincipalType"),
        (
            4,
            {"target": f"arn:aws:iot:us-east-1:123456789012:cert/{PLAN.certificate}"},
            "the target",
        ),
        (2, {"thingName": "dev-2"}, "the thing dev-2: expected the device, dev-1"),
        (5, {"thingName": "dev-2"}, "the thing dev-2: expected the device, dev-1"),
        (4, {"policyName": "admin"}, "the policy admin: expected one that the plan shows"),
        (5, {"more": ""}, "the parameters thingName, principal, thingPrincipalType, more"),
        (1, {"roleArn": "arn:aws:iam::1:role/x"}, "the roleArn"),
    ],
)
def test_plan_that_asks_for_something_else_is_refused(
    number: int, changes: dict[str, str], said: str
) -> None:
    with pytest.raises(FormatError, match=said) as refusal:
        plans.parse(altered(number, **changes), "it")
    assert f"in step {number + 1}" in refusal.value.message


def test_operation_that_plans_do_not_have_is_refused() -> None:
    document = documents.dump(PLAN).replace(b'"CreateThing"', b'"DeleteThing"')

    with pytest.raises(FormatError, match="expected one of UpdateCertificate, CreatePolicy"):
        plans.parse(document, "it")
