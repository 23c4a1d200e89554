# SPDX-License-Identifier: MIT
"""What devices send: one form, bounded, and nothing beside it."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootseal.attest import messages
from bootseal.errors import FormatError


def test_identity_and_activation_are_read() -> None:
    identity = messages.emit(messages.IDENTITY, ek_certificate=b"ek", ak=b"ak")

    assert messages.parse_identity(identity) == messages.Identity(ek_certificate=b"ek", ak=b"ak")
    secret = messages.emit(messages.ACTIVATION, secret=b"s")
    assert messages.parse_activation(secret) == b"s"


GOOD = {"schema": messages.ACTIVATION, "secret": ""}


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ([], "has schema None"),
        ({}, "has schema None"),
        ({**GOOD, "schema": "bootseal.activation/2"}, "has schema 'bootseal.activation/2'"),
        ({"schema": messages.ACTIVATION}, "has the fields : expected secret"),
        ({**GOOD, "more": ""}, "has the fields 'more', 'secret'"),
        ({**GOOD, "secret": 1}, "is int: expected text"),
        ({**GOOD, "secret": "a"}, "is not base64"),
        ({**GOOD, "secret": "YQ==\n"}, "is not base64"),
    ],
)
def test_document_of_another_form_is_refused(document: object, reason: str) -> None:
    with pytest.raises(FormatError, match=reason):
        messages.parse_activation(json.dumps(document).encode())


@pytest.mark.parametrize("data", [b"", b"{", b"\xff", b"[" * 100_000], ids=str)
def test_data_that_is_no_json_is_refused(data: bytes) -> None:
    with pytest.raises(FormatError, match="is not JSON"):
        messages.parse_evidence(data)


def test_document_that_is_too_long_is_refused_before_it_is_read() -> None:
    with pytest.raises(FormatError, match="expected at most 262144"):
        messages.parse_evidence(b" " * (1 << 18) + b"{}")


@given(st.binary(max_size=100))
def test_any_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(FormatError):
        messages.parse_evidence(data)
