# SPDX-License-Identifier: MIT
"""What devices send: one form, bounded, and nothing next to it."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootseal import documents
from bootseal.attest import messages
from bootseal.errors import FormatError


def test_identity_and_activation_are_read() -> None:
    identity = messages.Identity(ek_certificate=b"ek", ak=b"ak")

    assert messages.parse_identity(documents.dump(identity)) == identity
    secret = documents.dump(messages.Activation(secret=b"s"))
    assert messages.parse_activation(secret) == b"s"


GOOD = {"schema": "bootseal.activation/1", "secret": ""}


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ([], "is .*: expected an object"),
        ({}, "has schema None"),
        ({**GOOD, "schema": "bootseal.activation/2"}, "has schema 'bootseal.activation/2'"),
        ({"schema": "bootseal.activation/1"}, "lacks 'secret'"),
        ({**GOOD, "more": ""}, "has unknown keys: more"),
        ({**GOOD, "secret": 1}, "secret is 1: expected base64"),
        ({**GOOD, "secret": "a"}, "secret is 'a': expected base64"),
        ({**GOOD, "secret": "YQ==\n"}, r"secret is 'YQ==\\n': expected base64"),
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
