# SPDX-License-Identifier: MIT
"""Messages of AWS IoT Jobs, held against AWS's own model, with what botocore does not check."""

from __future__ import annotations

import ast
import json
import sys
from pathlib import Path
from typing import Final

import botocore.session
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.agent_samples import execution
from tests.aws_models import check, check_shape

from bootseal_agent.errors import Refusal
from bootseal_agent.events import (
    Accepted,
    GetJob,
    Notified,
    Offered,
    Refused,
    Report,
    StartNext,
    Status,
)
from bootseal_agent.wire import Request, Thing, details

THING: Final = Thing(name="dev-1")
PREFIX: Final = "$aws/things/dev-1/jobs/"
MODEL: Final = botocore.session.get_session().get_service_model("iot-jobs-data")
PACKAGE: Final = Path(__file__).parents[3] / "tools/bootseal_agent"
REPORT: Final = Report("job-1", 1, 2, Status.FAILED, (("reason", "a\n\x00b\u20ac" + "x" * 2000),))


@pytest.mark.parametrize(
    ("asked", "operation"),
    [
        (StartNext(), "StartNextPendingJobExecution"),
        (GetJob("job-1"), "DescribeJobExecution"),
        (REPORT, "UpdateJobExecution"),
    ],
    ids=["start-next", "get", "update"],
)
def test_request_is_one_of_awss_model(asked: Request, operation: str) -> None:
    message = THING.request(asked, "t-1")
    body = json.loads(message.payload)

    # Of MQTT alone, and not in the model of the HTTP interface.
    assert body.pop("clientToken") == "t-1"
    named = {"thingName": "dev-1"}
    if not isinstance(asked, StartNext):
        named["jobId"] = "job-1"
    check("iot-jobs-data", operation, body | named)
    assert message.topic.startswith(PREFIX)


def test_topics_are_those_of_the_thing() -> None:
    assert THING.request(StartNext(), "t").topic == PREFIX + "start-next"
    assert THING.request(GetJob("j"), "t").topic == PREFIX + "j/get"
    assert THING.request(REPORT, "t").topic == PREFIX + "job-1/update"
    assert all(topic.startswith(PREFIX) for topic in THING.subscriptions)


@given(st.dictionaries(st.text(max_size=200), st.text(max_size=2000), max_size=3))
@settings(deadline=None)
def test_any_details_are_ones_that_aws_takes(given_: dict[str, str]) -> None:
    made = {k: v for k, v in details(given_.items()).items() if k}
    shape = MODEL.operation_model("UpdateJobExecution").input_shape.members["statusDetails"]
    check_shape(shape, made, "statusDetails")


def answer(**members: object) -> bytes:
    return json.dumps({"clientToken": "t-1", "timestamp": 1, **members}).encode()


def test_answers_are_read() -> None:
    described = {
        "jobId": "job-1",
        "status": "IN_PROGRESS",
        "versionNumber": 2,
        "executionNumber": 1,
    }
    missing = execution(asked=None, fault="no document was sent")
    read = THING.read
    assert read(PREFIX + "start-next/accepted", answer()) == ("t-1", Offered(None))
    assert read(PREFIX + "start-next/accepted", answer(execution=described)) == (
        "t-1",
        Offered(missing),
    )
    state = {"status": "IN_PROGRESS", "versionNumber": 5}
    assert read(PREFIX + "job-1/update/accepted", answer(executionState=state)) == (
        "t-1",
        Accepted(5),
    )
    assert read(PREFIX + "job-1/update/rejected", answer(code="VersionMismatch")) == (
        "t-1",
        Refused("VersionMismatch"),
    )
    assert read(PREFIX + "notify-next", b'{"timestamp": 1}') == ("", Notified(""))
    assert read(PREFIX + "notify-next", answer(execution=described)) == ("", Notified("job-1"))


@pytest.mark.parametrize(
    ("topic", "payload", "said"),
    [
        ("$aws/things/dev-2/jobs/notify-next", b"{}", "not of the thing dev-1"),
        ("$aws/things/dev-10/jobs/notify-next", b"{}", "not of the thing dev-1"),
        (PREFIX + "notify-next", b"[]", "expected an object"),
        (PREFIX + "notify-next", b" " * (129 << 10), "expected at most"),
        (PREFIX + "start-next/accepted", b"{}", "clientToken None"),
        (PREFIX + "job-1/get/accepted", answer(), "describes another job"),
        (PREFIX + "job-1/update/accepted", answer(), "executionState is None"),
        (PREFIX + "job-1/delete/accepted", answer(), "not one that was asked for"),
        (PREFIX + "job-1/update/rejected", answer(code="../.."), "has code"),
    ],
)
def test_what_aws_does_not_send_is_refused(topic: str, payload: bytes, said: str) -> None:
    with pytest.raises(Refusal, match=said):
        THING.read(topic, payload)


@given(st.sampled_from(THING.subscriptions), st.binary(max_size=200))
@settings(deadline=None)
def test_any_payload_is_an_event_or_a_refusal(topic: str, payload: bytes) -> None:
    try:
        token, _ = THING.read(topic.replace("+", "job-1"), payload)
    except Refusal:
        return
    assert len(token) <= 64


def test_agent_imports_the_standard_library_and_paho_alone() -> None:
    """On a device there is nothing else."""
    known = sys.stdlib_module_names | {"bootseal_agent", "paho"}
    for path in PACKAGE.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [each.name for each in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names.append(node.module or "")
            assert {name.partition(".")[0] for name in names} <= known, path.name
