# SPDX-License-Identifier: MIT
from __future__ import annotations

import base64
import copy
import json
from typing import TYPE_CHECKING, Any

import pytest
from tests.vectors import luks2_headers as headers
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


def passphrase(document: Json) -> None:
    headers.add_slot(document, "2", 548864)


def listed(document: Json) -> None:
    passphrase(document)
    document["tokens"]["0"]["keyslots"] = ["0", "2"]


def second_recovery(document: Json) -> None:
    passphrase(document)
    document["tokens"]["3"] = {"type": "systemd-recovery", "keyslots": ["2"]}


def second_tpm(document: Json) -> None:
    passphrase(document)
    document["tokens"]["3"] = copy.deepcopy(document["tokens"]["0"]) | {"keyslots": ["2"]}


def unbound(document: Json) -> None:
    passphrase(document)
    document["digests"]["0"]["keyslots"].remove("2")


def tpm_and_recovery(document: Json) -> None:
    document["tokens"]["1"]["keyslots"] = ["0"]
    document["tokens"]["2"]["keyslots"] = ["0"]


def sealed(change: Callable[[bytes], bytes]) -> Callable[[Json], None]:
    def apply(document: Json) -> None:
        token = document["tokens"]["0"]
        blob = change(base64.b64decode(token["tpm2-blob"]))
        token["tpm2-blob"] = base64.b64encode(blob).decode()

    return apply


SEGMENT: Json = headers.made()["segments"]["0"]
RESTING = SEGMENT | {"flags": ["backup-final"]}
REENCRYPT: Json = {"type": "reencrypt", "mode": "reencrypt", "direction": "forward"}
NULL = "cipher_null-ecb"
CHANGES: dict[str, tuple[Callable[[Json], None], str]] = {
    "segment-null": (put("segments/0/encryption", NULL), "data-cipher"),
    "segment-cbc": (put("segments/0/encryption", "aes-cbc-essiv:sha256"), "data-cipher"),
    "segment-plain": (put("segments/0/encryption", "aes-xts-plain"), "data-cipher"),
    "segment-linear": (put("segments/0/type", "linear"), "data-cipher"),
    "segment-offset": (put("segments/0/offset", "33554432"), "data-cipher"),
    "segment-size": (put("segments/0/size", "1048576"), "data-cipher"),
    "segment-tweak": (put("segments/0/iv_tweak", "8"), "data-cipher"),
    "segment-sector": (put("segments/0/sector_size", 2048), "data-cipher"),
    "segment-flags": (put("segments/0/flags", ["in-reencryption"]), "data-cipher"),
    "segment-integrity": (put("segments/0/integrity", {"type": "hmac(sha256)"}), "data-cipher"),
    "segment-second": (put("segments/1", SEGMENT), "data-cipher"),
    "segment-backup": (put("segments/1", RESTING), "data-cipher"),
    "area-null": (put("keyslots/0/area/encryption", NULL), "data-cipher"),
    "area-ecb": (put("keyslots/0/area/encryption", "aes-ecb"), "data-cipher"),
    "area-key-size": (put("keyslots/0/area/key_size", 32), "data-cipher"),
    "slot-key-size": (put("keyslots/0/key_size", 32), "data-cipher"),
    "area-type": (put("keyslots/0/area/type", "journal"), "data-metadata"),
    "area-offset": (put("keyslots/1/area/offset", "294912"), "data-metadata"),
    "area-short": (put("keyslots/0/area/size", "4096"), "data-metadata"),
    "area-more": (put("keyslots/0/area/shift_size", "4096"), "data-metadata"),
    "slot-type": (put("keyslots/1/type", "reencrypt"), "data-metadata"),
    "slot-priority": (put("keyslots/1/priority", 2), "data-metadata"),
    "slot-more": (put("keyslots/0/x", {}), "data-metadata"),
    "slot-no-kdf": (drop("keyslots/0/kdf"), "data-metadata"),
    "slot-no-af": (drop("keyslots/0/af"), "data-metadata"),
    "slot-empty-af": (put("keyslots/0/af", {}), "data-metadata"),
    "af-stripes": (put("keyslots/0/af/stripes", 1), "data-metadata"),
    "af-hash": (put("keyslots/0/af/hash", "sha1"), "data-metadata"),
    "kdf-type": (put("keyslots/1/kdf/type", "argon2id"), "data-metadata"),
    "kdf-iterations": (put("keyslots/1/kdf/iterations", 1), "data-metadata"),
    "kdf-text": (put("keyslots/1/kdf/iterations", "1000"), "data-metadata"),
    "af-stripes-list": (put("keyslots/0/af/stripes", [4000]), "data-metadata"),
    "kdf-hash": (put("keyslots/1/kdf/hash", "sha1"), "data-metadata"),
    "kdf-salt": (put("keyslots/1/kdf/salt", ""), "data-metadata"),
    "digest-type": (put("digests/0/type", "none"), "data-metadata"),
    "digest-hash": (put("digests/0/hash", "sha1"), "data-metadata"),
    "digest-iterations": (put("digests/0/iterations", 1), "data-metadata"),
    "digest-short": (put("digests/0/digest", "AA=="), "data-metadata"),
    "digest-second": (
        put("digests/1", headers.made()["digests"]["0"] | {"segments": []}),
        "data-metadata",
    ),
    "digest-no-segment": (put("digests/0/segments", []), "data-metadata"),
    "requirements": (put("config/requirements", {"mandatory": ["unheard-of"]}), "data-metadata"),
    "requirements-empty": (put("config/requirements", {}), "data-metadata"),
    "flags": (put("config/flags", ["allow-discards"]), "data-metadata"),
    "config-more": (put("config/x", "y"), "data-metadata"),
    "keyslots-size": (put("config/keyslots_size", "33554432"), "data-metadata"),
    "passphrase": (passphrase, "data-passphrase"),
    "passphrase-listed": (listed, "data-token"),
    "unbound": (unbound, "data-metadata"),
    "tpm-twice": (second_tpm, "data-token"),
    "recovery-twice": (second_recovery, "data-token"),
    "tpm-and-recovery": (tpm_and_recovery, "data-metadata"),
    "no-tpm": (drop("tokens/0"), "data-no-tpm"),
    "escrowed-other-slot": (put("tokens/2/keyslots", ["0"]), "data-token"),
    "escrowed-no-slot": (put("tokens/2/keyslots", []), "data-token"),
    "token-unknown": (put("tokens/3", {"type": "clevis", "keyslots": ["0"]}), "data-token"),
    "token-terminal": (put("tokens/3", {"type": "\x1b[2J\n", "keyslots": []}), "data-token"),
    "token-pin": (put("tokens/0/tpm2-pin", 1), "data-token"),
    "token-pcrlock": (put("tokens/0/tpm2_pcrlock", 1), "data-token"),
    "token-pcrs": (put("tokens/0/tpm2-pcrs", [7]), "data-token"),
    "token-pcr12": (put("tokens/0/tpm2-pcrs", [12]), "data-token"),
    "token-bank": (put("tokens/0/tpm2-pcr-bank", "sha1"), "data-token"),
    "token-other-pcrs": (put("tokens/0/tpm2_pubkey_pcrs", [11]), "data-token"),
    "token-other-policy": (put("tokens/0/tpm2-policy-hash", "00" * 32), "data-token"),
    "token-no-key": (drop("tokens/0/tpm2_pubkey"), "data-token"),
    "token-not-a-key": (put("tokens/0/tpm2_pubkey", "AAAA"), "data-token"),
    "token-other-key": (
        put("tokens/0/tpm2_pubkey", base64.b64encode(OTHER.pem).decode()),
        "data-token",
    ),
    "blob-password": (
        sealed(lambda blob: blob.replace(bytes.fromhex("00000412"), bytes.fromhex("00000452"))),
        "data-token",
    ),
    "blob-other-policy": (
        sealed(lambda blob: blob.replace(bytes.fromhex("6053ab74"), bytes(4))),
        "data-token",
    ),
    "blob-short": (sealed(lambda blob: blob[:-1]), "data-token"),
    "blob-more": (sealed(lambda blob: blob + b"x"), "data-token"),
    "blob-empty": (put("tokens/0/tpm2-blob", "AAAA"), "data-token"),
}


@pytest.mark.parametrize("stage", headers.STAGES)
def test_header_is_accepted_at_every_stage(stage: str) -> None:
    assert errors(headers.STAGES[stage]()) == []


@pytest.mark.parametrize(
    ("stage", "said"),
    [
        ("made", "opened by the TPM alone"),
        ("cut-off-in-escrow", "with a recovery key that was not handed out"),
        ("escrowed", "with a recovery key that was handed out"),
        ("erased", "without a key slot"),
    ],
)
def test_stage_is_named(stage: str, said: str) -> None:
    assert said in inspect(headers.STAGES[stage]())[0].message


@pytest.mark.parametrize("case", CHANGES)
def test_manipulated_header_is_refused(case: str) -> None:
    change, expected = CHANGES[case]
    document = headers.escrowed()
    change(document)

    assert f"disk.{expected}" in {found.id for found in errors(document)}


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
    optional = {"tokens", "tokens/1", "tokens/2", "tokens/0/tpm2_srk", "tokens/0"}
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
        assert "luksKillSlot" not in found.remedy or "see whether the recovery key" in found.remedy
    if "1" in gone and "2" not in gone:
        assert all("luksKillSlot" not in found.remedy for found in inspect(document))


def test_no_slot_of_a_whole_header_is_to_be_killed() -> None:
    for make in headers.STAGES.values():
        assert all("luksKillSlot" not in found.remedy for found in inspect(make()))


def test_hostile_header_gives_few_findings() -> None:
    document = headers.made()
    document["config"] |= {f"x{number}": 1 for number in range(500)}

    assert len(errors(document)) <= 20
