# SPDX-License-Identifier: MIT
from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import pytest
from tests.vectors import luks2_headers as headers
from tests.vectors.luks2_changes import CHANGES, Change
from tests.vectors.luks2_headers import drop, put

from bootseal.check.data import check as data_partition
from bootseal.device import Partition
from bootseal.errors import FormatError
from bootseal.findings.model import Finding, Severity
from bootseal.formats import luks2
from bootseal.keys import certificate
from bootseal.keys.algorithms import KeyKind
from bootseal.keys.public import from_crypto

if TYPE_CHECKING:
    from collections.abc import Callable

Json = dict[str, Any]

KEY = headers.policy_key()
OTHER = from_crypto(certificate.make_private(KeyKind.RSA2048).public_key())
ENTRY = Partition(number=8, name="data", type="", uuid="", offset=4096, size=1 << 25)


def inspect(document: Json, **binary: bytes) -> list[Finding]:
    header = luks2.parse(headers.binary(document, **binary))
    return list(data_partition.inspect(header, ENTRY, KEY))


def errors(document: Json, **binary: bytes) -> list[Finding]:
    return [found for found in inspect(document, **binary) if found.severity is Severity.ERROR]


def sealed(change: Callable[[bytes], bytes]) -> Callable[[Json], None]:
    def apply(document: Json) -> None:
        token = document["tokens"]["0"]
        blob = change(base64.b64decode(token["tpm2-blob"]))
        token["tpm2-blob"] = base64.b64encode(blob).decode()

    return apply


SEALS: dict[str, Callable[[Json], None]] = {
    "token-other-policy": put("tokens/0/tpm2-policy-hash", "00" * 32),
    "token-other-key": put("tokens/0/tpm2_pubkey", base64.b64encode(OTHER.pem).decode()),
    "blob-password": sealed(
        lambda blob: blob.replace(bytes.fromhex("00000412"), bytes.fromhex("00000452"))
    ),
    "blob-other-policy": sealed(lambda blob: blob.replace(bytes.fromhex("6053ab74"), bytes(4))),
    "blob-short": sealed(lambda blob: blob[:-1]),
    "blob-more": sealed(lambda blob: blob + b"x"),
    "blob-empty": put("tokens/0/tpm2-blob", "AAAA"),
}


@pytest.mark.parametrize("stage", headers.STAGES)
def test_header_is_accepted_at_every_stage(stage: str) -> None:
    assert errors(headers.STAGES[stage]()) == []


@pytest.mark.parametrize(
    ("stage", "said"),
    [
        ("made", "opened only by the TPM"),
        ("cut-off-in-escrow", "with a recovery key that was not handed out"),
        ("escrowed", "with a recovery key that was handed out"),
        ("erased", "without a key slot"),
    ],
)
def test_stage_is_named(stage: str, said: str) -> None:
    assert said in inspect(headers.STAGES[stage]())[0].message


@pytest.mark.parametrize("change", CHANGES, ids=[change.steps for change in CHANGES])
def test_header_that_the_device_would_not_write_is_refused(change: Change) -> None:
    document = headers.escrowed()
    change.apply(document)
    try:
        found = {each.id for each in errors(document)}
    except FormatError:
        found = {"disk.data-header"}

    assert f"disk.{change.finding}" in found


@pytest.mark.parametrize("case", SEALS)
def test_token_that_is_sealed_otherwise_is_refused(case: str) -> None:
    document = headers.escrowed()
    SEALS[case](document)

    assert {found.id for found in errors(document)} == {"disk.data-token"}


def test_every_field_removed_or_added_or_of_another_type_is_refused() -> None:
    def places(value: object, path: str = "") -> list[str]:
        if not isinstance(value, dict):
            return []
        return [
            place
            for name, inner in value.items()
            for place in (f"{path}{name}", *places(inner, f"{path}{name}/"))
        ]

    whole = headers.escrowed()
    optional = {"tokens", "tokens/1", "tokens/2", "tokens/0"}
    for place in places(whole):
        for change in (drop(place), put(place, ["x"]), put(f"{place}-x", "x")):
            document = headers.escrowed()
            change(document)
            try:
                found = errors(document)
            except FormatError:
                continue
            assert found or place in optional, f"{place}: {json.dumps(document)[:200]}"


@pytest.mark.parametrize("binary", [{"label": b"root"}, {"subsystem": b"x"}])
def test_other_binary_header_is_refused(binary: dict[str, bytes]) -> None:
    assert {found.id for found in errors(headers.made(), **binary)} == {"disk.data-metadata"}


def test_difference_says_place_expected_and_observed() -> None:
    document = headers.made()
    document["keyslots"]["0"]["area"]["encryption"] = "aes-ecb"

    (found,) = errors(document)

    assert found.message == (
        'its LUKS2 header has "aes-ecb" at keyslots.0.area.encryption: '
        'the device writes "aes-xts-plain64"'
    )
    assert (found.expected, found.observed) == ('"aes-xts-plain64"', '"aes-ecb"')


@pytest.mark.parametrize("gone", [["1"], ["2"], ["1", "2"]])
def test_slot_of_the_recovery_key_is_never_to_be_killed_untested(gone: list[str]) -> None:
    document = headers.escrowed()
    for number in gone:
        del document["tokens"][number]

    for found in inspect(document):
        assert "luksKillSlot" not in found.remedy or "test whether the recovery key" in found.remedy
    if "1" in gone and "2" not in gone:
        assert all("luksKillSlot" not in found.remedy for found in inspect(document))


def test_no_slot_of_a_whole_header_is_to_be_killed() -> None:
    for make in headers.STAGES.values():
        assert all("luksKillSlot" not in found.remedy for found in inspect(make()))


def test_hostile_header_gives_few_findings() -> None:
    document = headers.made()
    document["config"] |= {f"x{number}": 1 for number in range(500)}

    assert len(errors(document)) <= 20
