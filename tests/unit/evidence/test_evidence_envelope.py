# SPDX-License-Identifier: MIT
"""Envelopes and statements are read in one form, and signatures in one."""

from __future__ import annotations

import base64
import dataclasses
import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests import evidence_samples as samples

from bootseal.errors import FormatError, UsageError, VerificationRefused
from bootseal.evidence import envelope, statement
from bootseal.evidence.statement import Release, ReleaseStatement, Resource
from bootseal.keys import public
from bootseal.keys.algorithms import Algorithm

if TYPE_CHECKING:
    from collections.abc import Callable

ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
KINDS = ("rsa2048", "rsa3072", "rsa4096", "ecdsa256")


def listed(**changes: object) -> ReleaseStatement:
    about: dict[str, object] = {
        "created": "2027-01-15T08:00:00Z",
        "device": "d",
        "name": "1",
        "sizes": {"a": 1},
        "statements": {"disk": "1" * 64},
        "tool": {},
    }
    return ReleaseStatement(
        subject=(Resource(name="a", digest={"sha256": "0" * 64}),),
        predicate=Release(**(about | changes)),  # type: ignore[arg-type]
    )


@pytest.mark.parametrize("kind", KINDS)
def test_envelope_is_read_as_it_was_signed(kind: str) -> None:
    key = samples.signer(kind)
    made = envelope.parse(envelope.sign(b'{"a":1}', key), "it")
    assert made.payload == b'{"a":1}'
    envelope.verify(made, key.public_key)
    with pytest.raises(VerificationRefused, match="it names the key"):
        envelope.verify(made, samples.signer(kind, 2).public_key)
    other = dataclasses.replace(made, payload=b'{"a":2}')
    with pytest.raises(VerificationRefused, match="signature is not by key"):
        envelope.verify(other, key.public_key)


def test_key_on_p384_is_refused() -> None:
    with pytest.raises(UsageError, match="RSA and P-256 alone"):
        envelope.sign(b"{}", samples.signer("ecdsa384"))


class Higher:
    """A token that gives the higher s of two, as tokens may."""

    def __init__(self) -> None:
        self._inner = samples.signer("ecdsa256")
        self.public_key = self._inner.public_key

    def sign_digest(self, digest: bytes, algorithm: Algorithm) -> bytes:
        signature = self._inner.sign_digest(digest, algorithm)
        s = int.from_bytes(signature[32:])
        return signature[:32] + max(s, ORDER - s).to_bytes(32)


def test_higher_s_of_a_token_becomes_the_lower_one() -> None:
    made = envelope.parse(envelope.sign(b"{}", Higher()), "it")
    raw = public.der_to_raw(made.signature, Algorithm.parse("sha256,ecdsa256"))
    assert int.from_bytes(raw[32:]) <= ORDER // 2


def test_higher_s_is_refused_although_it_verifies() -> None:
    key = samples.signer("ecdsa256")
    made = envelope.parse(envelope.sign(b"{}", key), "it")
    algorithm = Algorithm.parse("sha256,ecdsa256")
    raw = public.der_to_raw(made.signature, algorithm)
    higher = raw[:32] + (ORDER - int.from_bytes(raw[32:])).to_bytes(32)
    changed = dataclasses.replace(made, signature=public.raw_to_der(higher))
    digest = algorithm.digest([envelope.pae(b"{}")])
    public.verify_digest(key.public_key, digest, higher, algorithm)
    with pytest.raises(VerificationRefused, match="the higher one of two"):
        envelope.verify(changed, key.public_key)


@pytest.mark.parametrize("signature", [b"", b"0", bytes(70), bytes(9000)])
def test_signature_that_is_not_der_is_refused(signature: bytes) -> None:
    key = samples.signer("ecdsa256")
    made = envelope.parse(envelope.sign(b"{}", key), "it")
    with pytest.raises(VerificationRefused):
        envelope.verify(dataclasses.replace(made, signature=signature), key.public_key)


def test_file_that_differs_says_where() -> None:
    data = envelope.sign(b"{}", samples.signer())
    with pytest.raises(FormatError, match=rf"differs at byte {len(data)} of {len(data) + 1}"):
        envelope.parse(data + b"\n", "it")


def test_statement_is_read_as_it_was_written() -> None:
    data = statement.emit(listed())
    assert statement.parse_release(data, "it") == listed()
    assert json.loads(data)["_type"] == "https://in-toto.io/Statement/v1"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.update(_type="x"), "has _type 'x'"),
        (lambda d: d.update(predicateType="x"), "has predicateType 'x'"),
        (lambda d: d.update(more=1), "unknown keys: more"),
        (lambda d: d.update(subject=[]), "no subjects"),
        (lambda d: d.update(subject=d["subject"] * 2), "not each once"),
        (lambda d: d["subject"][0].update(digest={"sha256": "0" * 63}), "has no digest"),
        (lambda d: d["subject"][0].update(digest={"sha256": "A" * 64}), "has no digest"),
        (lambda d: d["subject"][0].update(digest={"md5": "0" * 32}), "has no digest"),
        (lambda d: d["subject"][0].update(digest={"gitCommit": "0" * 40}), "no SHA-256 alone"),
        (lambda d: d["subject"][0].update(uri=""), "not in the one form"),
        (lambda d: d["predicate"].update(sizes={}), "sizes of other files"),
        (lambda d: d["predicate"].update(sizes={"a": -1}), "-1 bytes"),
        (lambda d: d["predicate"].update(sizes={"a": True}), "expected a whole number"),
        (lambda d: d["predicate"].update(statements={"../x": "0" * 64}), "without its digest"),
        (lambda d: d["predicate"].update(statements={"disk": ""}), "without its digest"),
    ],
)
def test_list_of_another_form_is_refused(
    change: Callable[[dict[str, object]], object], message: str
) -> None:
    found = json.loads(statement.emit(listed()))
    change(found)
    data = json.dumps(found, sort_keys=True, separators=(",", ":")).encode()
    with pytest.raises(FormatError, match=message):
        statement.parse_release(data, "it")


@pytest.mark.parametrize("path", ["/a", "../a", "a/../b", "a//b", "./a", "", "a\n", "."])
def test_path_that_leads_elsewhere_is_refused(path: str) -> None:
    made = dataclasses.replace(
        listed(sizes={path: 1}), subject=(Resource(name=path, digest={"sha256": "0" * 64}),)
    )
    with pytest.raises(FormatError, match="expected a file"):
        statement.parse_release(statement.emit(made), "it")


@settings(deadline=None, max_examples=200)
@given(st.binary(max_size=300), st.sampled_from(["", "payload", "statement"]))
def test_any_bytes_are_an_envelope_or_refused(data: bytes, place: str) -> None:
    good = envelope.sign(statement.emit(listed()), samples.signer())
    if place == "payload":
        document = {
            "payload": base64.b64encode(data).decode(),
            "payloadType": envelope.PAYLOAD_TYPE,
            "signatures": [{"keyid": "", "sig": ""}],
        }
        data = json.dumps(document, separators=(",", ":")).encode() + b"\n"
    elif place == "statement":
        cut = len(data) * len(good) // 301
        data = good[:cut] + data + good[cut + 1 :]
    try:
        read = envelope.parse(data, "it")
        statement.parse_release(read.payload, "it")
    except FormatError:
        return
    # What is read is what would be written, so only the genuine one comes so far.
    assert data == good
