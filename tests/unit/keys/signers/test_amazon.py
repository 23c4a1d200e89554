# SPDX-License-Identifier: MIT
"""What a user is told when AWS is not asked, or does not answer."""

from __future__ import annotations

import pytest
from botocore.exceptions import EndpointConnectionError, ParamValidationError

from bootseal.errors import ToolError
from bootseal.keys.signers import amazon


def test_request_that_boto3_does_not_know_was_not_sent() -> None:
    """As an old boto3 says of a parameter that AWS has added since."""
    report = "Unknown parameter in input"

    with (
        pytest.raises(ToolError, match=r"boto3 [0-9.]+ does not send this request") as refusal,
        amazon.explaining("AWS IoT, CreateThing", {}, {}),
    ):
        raise ParamValidationError(report=report)

    assert report in refusal.value.message
    assert "reached" not in refusal.value.message
    assert "pip install --upgrade" in refusal.value.hint


def test_service_that_does_not_answer_cannot_be_reached() -> None:
    with (
        pytest.raises(ToolError, match="cannot be reached") as refusal,
        amazon.explaining("AWS IoT", {}, {}),
    ):
        raise EndpointConnectionError(endpoint_url="https://localhost")

    assert "the network" in refusal.value.hint
