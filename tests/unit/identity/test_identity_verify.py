# SPDX-License-Identifier: MIT
"""Proofs of identity keys: a genuine one, and each that is refused for its own reason."""

from __future__ import annotations

import base64
import dataclasses
import json
from typing import TYPE_CHECKING, Final

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import given
from hypothesis import strategies as st
from tests import identity_samples as samples
from tests.identity_samples import AK, CERTIFY, CHALLENGE, IDENTITY, NOW, Device, area

from bootseal import documents
from bootseal.errors import FormatError, VerificationRefused
from bootseal.findings.catalogue import tables
from bootseal.identity import messages, verify
from bootseal.keys.signers.file import FileSigner

if TYPE_CHECKING:
    from collections.abc import Callable

    from bootseal.attest.store import Challenge, Record
    from bootseal.identity.messages import Proof

DEVICE: Final = Device()
OTHER: Final = Device()
LISTED, _ = samples.release(b"KERNEL 1")
VERIFIER: Final = verify.Verifier(LISTED)


def found(
    proof: Proof, record: Record = DEVICE.record, challenge: Challenge = CHALLENGE
) -> list[str]:
    verdict = VERIFIER.inspect(proof, record, challenge, NOW)
    return [finding.id for finding in verdict.findings]


def test_genuine_proof_is_accepted() -> None:
    verdict = VERIFIER.inspect(DEVICE.proof(), DEVICE.record, CHALLENGE, NOW)

    assert verdict.findings == ()
    assert (verdict.boot.release, verdict.boot.slot) == ("1.0", "a")
    assert verdict.key == samples.name(area(DEVICE.identity, IDENTITY)).hex()


def test_key_on_p384_is_accepted() -> None:
    device = Device(ak=DEVICE.ak, identity=samples.new_key(ec.SECP384R1()))

    assert found(device.proof()) == []


def about(key: bytes, *, nonce: bytes = samples.NONCE, kind: int = samples.CREATION) -> Proof:
    statement = DEVICE.statement(key, nonce=nonce, kind=kind)
    return DEVICE.proof(key=key, certification=statement)


# Each says what is different, and what refuses it.
ATTACKS: Final[dict[str, tuple[Callable[[], Proof], list[str]]]] = {
    "software key with the statement of another": (
        lambda: DEVICE.proof(
            key=area(OTHER.identity, IDENTITY),
            certification=DEVICE.statement(area(DEVICE.identity, IDENTITY)),
            csr=samples.request(OTHER.identity),
        ),
        ["identity.name"],
    ),
    "software key, statement signed by itself": (
        lambda: DEVICE.proof(
            certification_signature=OTHER.sign(DEVICE.statement(area(DEVICE.identity, IDENTITY)))
        ),
        ["identity.signature"],
    ),
    "imported key, TPM2_Certify": (
        lambda: about(area(DEVICE.identity, 0x00060040), kind=CERTIFY),
        ["identity.statement", "identity.attributes"],
    ),
    "key of the TPM, TPM2_Certify only": (
        lambda: about(area(DEVICE.identity, IDENTITY), kind=CERTIFY),
        ["identity.statement"],
    ),
    "duplicable key": (
        lambda: about(area(DEVICE.identity, 0x00040460)),
        ["identity.attributes"],
    ),
    "decrypting key": (lambda: about(area(DEVICE.identity, 0x00060472)), ["identity.attributes"]),
    "attestation key": (lambda: about(area(DEVICE.identity, AK)), ["identity.attributes"]),
    "key that counts wrong guesses": (
        lambda: about(area(DEVICE.identity, 0x00040072)),
        ["identity.attributes"],
    ),
    "key with an attribute that has no name here": (
        lambda: about(area(DEVICE.identity, 0x80040472)),
        ["identity.attributes"],
    ),
    "key with a scheme": (
        lambda: about(area(DEVICE.identity, IDENTITY, scheme="0018000b")),
        ["identity.form"],
    ),
    "key with a policy": (
        lambda: about(area(DEVICE.identity, IDENTITY, policy=bytes(32))),
        ["identity.form"],
    ),
    "statement of an earlier challenge": (
        lambda: about(area(DEVICE.identity, IDENTITY), nonce=bytes(32)),
        ["identity.nonce"],
    ),
    "statement with the nonce that tpm2_certify always has": (
        lambda: about(area(DEVICE.identity, IDENTITY), nonce=bytes.fromhex("00ff55aa")),
        ["identity.nonce"],
    ),
    "statement of another boot": (
        lambda: DEVICE.proof(
            certification=dataclasses.replace(DEVICE, resets=1).statement(
                area(DEVICE.identity, IDENTITY)
            )
        ),
        ["identity.boot"],
    ),
    "request of another key": (
        lambda: DEVICE.proof(csr=samples.request(OTHER.identity)),
        ["identity.csr"],
    ),
    "request with an altered signature": (
        lambda: DEVICE.proof(csr=_flipped(samples.request(DEVICE.identity), -1)),
        ["identity.csr"],
    ),
    "quote of an earlier challenge": (
        lambda: DEVICE.proof(quote=DEVICE.quote(bytes(32))),
        ["attest.nonce"],
    ),
    "unapproved boot": (
        lambda: dataclasses.replace(DEVICE, kernel=b"EVIL").proof(),
        ["attest.release"],
    ),
    "uncapped boot": (
        lambda: dataclasses.replace(DEVICE, capped=False).proof(),
        ["attest.not-capped"],
    ),
    "other attestation key": (
        lambda: dataclasses.replace(DEVICE, ak=OTHER.ak).proof(),
        ["attest.signature", "identity.signature"],
    ),
}


def _flipped(data: bytes, at: int) -> bytes:
    changed = bytearray(data)
    changed[at] ^= 1
    return bytes(changed)


@pytest.mark.parametrize("attack", ATTACKS)
def test_attack_is_refused_for_its_reason(attack: str) -> None:
    make, expected = ATTACKS[attack]

    assert found(make()) == expected


def test_every_finding_of_the_table_is_in_an_attack() -> None:
    seen = {each for _, expected in ATTACKS.values() for each in expected}

    assert {rule.id for rule in tables()["identity"]} <= seen


def test_attestation_key_that_was_never_certified_proves_nothing() -> None:
    pending = dataclasses.replace(DEVICE.record, certified=0)

    assert "attest.key-not-certified" in found(DEVICE.proof(), pending)


def test_proof_for_another_device_is_refused() -> None:
    other = dataclasses.replace(CHALLENGE, device="dev-2")

    assert found(DEVICE.proof(), challenge=other) == ["attest.nonce"]


def test_late_proof_is_refused() -> None:
    verdict = VERIFIER.inspect(DEVICE.proof(), DEVICE.record, CHALLENGE, NOW + 301)

    assert [finding.id for finding in verdict.findings] == ["attest.nonce"]


def test_refused_proof_names_no_release() -> None:
    make, _ = ATTACKS["duplicable key"]
    verdict = VERIFIER.inspect(make(), DEVICE.record, CHALLENGE, NOW)

    assert (verdict.boot.release, verdict.boot.slot) == ("", "")


def test_rsa_key_is_refused() -> None:
    signer = FileSigner(rsa.generate_private_key(65537, 2048))
    modulus = signer.public_key.crypto.public_numbers().n  # type: ignore[union-attr]
    key = bytes.fromhex("0001000b00040472000000100010080000000000") + samples.sized(
        modulus.to_bytes(256)
    )
    proof = DEVICE.proof(key=key, certification=DEVICE.statement(key), csr=samples.request(signer))

    assert found(proof) == ["identity.form"]


def test_unasked_proof_names_the_refusal() -> None:
    verdict = verify.unasked(DEVICE.proof(), VerificationRefused("a replay"))

    assert [(each.id, each.message) for each in verdict.findings] == [("attest.nonce", "a replay")]


def _encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


FIELDS: Final = ("key", "certification", "certification_signature", "csr", "quote", "signature")


@pytest.mark.slow
@pytest.mark.parametrize("field", FIELDS)
def test_structure_cut_short_or_continued_is_malformed(field: str) -> None:
    answer = DEVICE.answer()
    whole, document = getattr(answer, field), json.loads(documents.dump(answer))
    for data in (*(whole[:end] for end in range(len(whole))), whole + b"\0"):
        changed = json.dumps(document | {field: _encoded(data)})
        with pytest.raises(FormatError):
            messages.parse(changed.encode())


@pytest.mark.slow
@pytest.mark.parametrize("field", FIELDS)
def test_every_changed_byte_is_refused(field: str) -> None:
    answer = DEVICE.answer()
    document = json.loads(documents.dump(answer))
    for at in range(len(getattr(answer, field))):
        changed = document | {field: _encoded(_flipped(getattr(answer, field), at))}
        try:
            assert found(messages.parse(json.dumps(changed).encode())) != [], at
        except FormatError:
            continue


@pytest.mark.parametrize("field", [*FIELDS, "event_log"])
def test_document_without_a_field_is_malformed(field: str) -> None:
    document = json.loads(documents.dump(DEVICE.answer()))
    del document[field]

    with pytest.raises(FormatError, match=f"lacks '{field}'"):
        messages.parse(json.dumps(document).encode())


def test_document_that_is_too_long_is_refused_before_it_is_read() -> None:
    with pytest.raises(FormatError, match="expected at most 262144"):
        messages.parse(b" " * (1 << 18) + b"{}")


@given(st.binary(max_size=200))
def test_any_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(FormatError):
        messages.parse(data)
