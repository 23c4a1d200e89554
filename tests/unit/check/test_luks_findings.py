# SPDX-License-Identifier: MIT
from __future__ import annotations

import base64
from dataclasses import replace

import pytest

from bootseal.check import data_partition
from bootseal.device import Partition
from bootseal.findings.model import Severity
from bootseal.formats.luks2 import Header, Keyslot, Segment, Token
from bootseal.keys import certificate
from bootseal.keys.algorithms import KeyKind
from bootseal.keys.public import from_crypto

KEY = from_crypto(certificate.make_private(KeyKind.RSA2048).public_key())
OTHER = from_crypto(certificate.make_private(KeyKind.RSA2048).public_key())
ENTRY = Partition(number=8, name="data", type="", uuid="", offset=4096, size=1 << 20)
FIELDS: dict[str, object] = {
    "tpm2-pcrs": [],
    "tpm2_pubkey_pcrs": [1, 8, 9],
    "tpm2_pubkey": base64.b64encode(KEY.pem).decode(),
}
TPM = Token(number=0, type="systemd-tpm2", keyslots=(0,), fields=FIELDS)
RECOVERY = Token(number=1, type="systemd-recovery", keyslots=(1,), fields={})
SLOT = Keyslot(number=0, type="luks2", key_size=64, kdf="pbkdf2", area=range(32768, 65536))
HEADER = Header(
    size=0x4000,
    sequence=3,
    uuid="u",
    label="",
    metadata={},
    keyslots=(SLOT,),
    segments=(
        Segment(
            type="crypt", offset=0, encryption="aes-xts-plain64", integrity="", sector_size=512
        ),
    ),
    tokens=(TPM,),
    bound=frozenset({0}),
    requirements=(),
)


def errors(header: Header) -> list[str]:
    found = data_partition.inspect(header, ENTRY, KEY)
    return [finding.id for finding in found if finding.severity is Severity.ERROR]


def test_data_that_only_an_approved_boot_opens_has_no_error() -> None:
    assert errors(HEADER) == []


def test_recovery_slot_is_named_and_no_error() -> None:
    header = replace(HEADER, keyslots=(SLOT, replace(SLOT, number=1)), tokens=(TPM, RECOVERY))

    assert errors(header) == []
    assert "disk.data-recovery" in [f.id for f in data_partition.inspect(header, ENTRY, KEY)]


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (replace(HEADER, keyslots=(SLOT, replace(SLOT, number=1))), "data-passphrase"),
        (replace(HEADER, keyslots=(replace(SLOT, key_size=32),)), "data-cipher"),
        (
            replace(HEADER, segments=(replace(HEADER.segments[0], encryption="cipher_null-ecb"),)),
            "data-cipher",
        ),
        (replace(HEADER, segments=(replace(HEADER.segments[0], type="linear"),)), "data-cipher"),
        (replace(HEADER, tokens=(replace(TPM, fields={}),)), "data-token"),
        (
            replace(HEADER, tokens=(replace(TPM, fields=FIELDS | {"tpm2-pcrs": [7]}),)),
            "data-token",
        ),
        (
            replace(HEADER, tokens=(replace(TPM, fields=FIELDS | {"tpm2_pubkey_pcrs": [11]}),)),
            "data-token",
        ),
        (
            replace(
                HEADER,
                tokens=(
                    replace(
                        TPM,
                        fields=FIELDS | {"tpm2_pubkey": base64.b64encode(OTHER.pem).decode()},
                    ),
                ),
            ),
            "data-token",
        ),
    ],
)
def test_each_way_round_the_tpm_is_an_error(header: Header, expected: str) -> None:
    assert set(errors(header)) == {f"disk.{expected}"}


def test_passphrase_alone_is_refused() -> None:
    assert set(errors(replace(HEADER, tokens=()))) == {
        "disk.data-passphrase",
        "disk.data-no-tpm",
    }
