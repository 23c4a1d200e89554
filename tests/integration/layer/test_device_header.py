# SPDX-License-Identifier: MIT
"""The device's own check of a LUKS2 header, in every shell and awk at hand.

The headers are those that `disk check` is tested with: what the one accepts, the other does.
"""

from __future__ import annotations

import base64
import copy
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.vectors import luks2_headers as headers
from tests.vectors.luks2_headers import drop, put

from bootseal.check.data import header as described
from bootseal.errors import FormatError
from bootseal.formats import luks2

if TYPE_CHECKING:
    from collections.abc import Callable

Json = dict[str, Any]

SCRIPT = (
    Path(__file__).parents[3] / "meta-secureboot/recipes-core/bootseal-device/files/check-header"
)
SHELLS = [s for s in ("dash", "bash", "busybox") if shutil.which(s)]
AWKS = [a for a in ("mawk", "gawk", "busybox") if shutil.which(a)]


class Check:
    """The script with one awk in its path."""

    def __init__(self, directory: Path, awk: str) -> None:
        self.directory = directory
        self.key = directory / "policy.pem"
        self.key.write_bytes(base64.b64decode(headers.escrowed()["tokens"]["0"]["tpm2_pubkey"]))
        (directory / "awk").symlink_to(shutil.which(awk) or awk)

    def __call__(self, text: str, shell: str = "dash") -> tuple[int, str]:
        done = subprocess.run(
            [shell, *(["sh"] if shell == "busybox" else []), SCRIPT, self.key],
            env={"PATH": f"{self.directory}:{os.environ['PATH']}"},
            input=text,
            capture_output=True,
            text=True,
            check=False,
            timeout=20,
        )
        assert done.stderr == ""
        return done.returncode, done.stdout


@pytest.fixture(params=AWKS)
def check(tmp_path: Path, request: pytest.FixtureRequest) -> Check:
    return Check(tmp_path, request.param)


def printed(document: Json) -> str:
    """Return metadata as `cryptsetup luksDump --dump-json-metadata` prints them."""
    return json.dumps(document, indent=2, separators=(",", ":")).replace("[]", "[\n]")


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("stage", [s for s in headers.STAGES if s != "erased"])
def test_header_is_accepted_at_every_stage(check: Check, shell: str, stage: str) -> None:
    assert check(printed(headers.STAGES[stage]()), shell) == (0, "")


def test_sectors_of_4096_bytes_are_as_good(check: Check) -> None:
    document = headers.made()
    document["segments"]["0"]["sector_size"] = 4096
    assert check(printed(document)) == (0, "")


def test_token_of_cryptenroll_is_accepted_as_that_of_repart_is(check: Check) -> None:
    document = headers.rotated()
    document["tokens"]["3"] |= {"tpm2-pcr-bank": "sha256", "tpm2-primary-alg": "ecc"}
    assert check(printed(document)) == (0, "")
    for name, value in (("tpm2-pcr-bank", "sha1"), ("tpm2-primary-alg", "keyedhash")):
        wrong = copy.deepcopy(document)
        wrong["tokens"]["3"][name] = value
        assert check(printed(wrong)) == (1, f'tokens.3.{name} is "{value}"\n')


def interrupted(document: Json) -> None:
    """Leave a key slot that has no token yet."""
    headers.add_slot(document, "2", 548864)


@pytest.mark.parametrize("stage", ["made", "cut-off-in-escrow", "rotation-wanted"])
def test_half_replaced_slot_is_accepted_while_one_is_replaced(check: Check, stage: str) -> None:
    document = headers.STAGES[stage]()
    interrupted(document)
    assert check(printed(document)) == (0, "")


def many(number: int) -> Callable[[Json], None]:
    def change(document: Json) -> None:
        for name in range(3, 3 + number):
            document["tokens"][str(name)] = copy.deepcopy(document["tokens"]["1"])

    return change


FIRST = "keyslots/0"
TPM = "tokens/0"
CHANGES: dict[str, tuple[Callable[[Json], None], str]] = {
    "null cipher of the data": (
        put("segments/0/encryption", "cipher_null-ecb"),
        'segments.0.encryption is "cipher_null-ecb"',
    ),
    "null cipher of a key slot": (
        put(f"{FIRST}/area/encryption", "cipher_null-ecb"),
        'keyslots.0.area.encryption is "cipher_null-ecb"',
    ),
    "weak cipher of a key slot": (
        put(f"{FIRST}/area/encryption", "aes-ecb"),
        'keyslots.0.area.encryption is "aes-ecb"',
    ),
    "cipher of other characters": (
        put("segments/0/encryption", "capi:ecb(cipher_null)"),
        "segments.0.encryption is of other characters",
    ),
    "linear segment": (put("segments/0/type", "linear"), 'segments.0.type is "linear"'),
    "second segment": (
        put("segments/1", {"type": "linear", "offset": "0", "size": "512"}),
        "segments.1 is {}",
    ),
    "segment flags": (put("segments/0/flags", ["in-reencryption"]), "segments.0.flags is []"),
    "segment elsewhere": (put("segments/0/offset", "0"), 'segments.0.offset is "0"'),
    "segment of fixed size": (put("segments/0/size", "4096"), 'segments.0.size is "4096"'),
    "tweak": (put("segments/0/iv_tweak", "8"), 'segments.0.iv_tweak is "8"'),
    "integrity": (put("segments/0/integrity", {"type": "none"}), "segments.0.integrity is {}"),
    "no segment": (drop("segments/0"), "segments.0 has 0 values: expected 7"),
    "no cipher": (drop("segments/0/encryption"), "segments.0 has 6 values: expected 7"),
    "flags": (put("config/flags", ["allow-discards"]), "config.flags is []"),
    "requirements": (
        put("config/requirements", {"mandatory": ["unknown"]}),
        "config.requirements is {}",
    ),
    "another size": (put("config/json_size", "4190208"), 'config.json_size is "4190208"'),
    "no size": (drop("config/keyslots_size"), "config lacks a size"),
    "reencryption slot": (put(f"{FIRST}/type", "reencrypt"), 'keyslots.0.type is "reencrypt"'),
    "short key": (put(f"{FIRST}/key_size", 32), "keyslots.0.key_size is 32"),
    "short key of the area": (put(f"{FIRST}/area/key_size", 32), "keyslots.0.area.key_size is 32"),
    "few stripes": (put(f"{FIRST}/af/stripes", 1), "keyslots.0.af.stripes is 1"),
    "one area twice": (
        put("keyslots/1/area/offset", "32768"),
        'keyslots.1.area.offset is "32768"',
    ),
    "area in the header": (put(f"{FIRST}/area/offset", "0"), 'keyslots.0.area.offset is "0"'),
    "area far away": (
        put(f"{FIRST}/area/offset", "16519168"),
        'keyslots.0.area.offset is "16519168"',
    ),
    "priority": (put(f"{FIRST}/priority", 0), "keyslots.0.priority is 0"),
    "other derivation": (put(f"{FIRST}/kdf/type", "argon2id"), 'keyslots.0.kdf.type is "argon2id"'),
    "passphrase": (interrupted, "key slot 2 has 0 tokens: expected one"),
    "slot number": (put("keyslots/99", {}), "keyslots.99 is {}"),
    "unbound slot": (put("digests/0/keyslots", ["0"]), "digest 0 does not name key slot 1"),
    "slot bound twice": (put("digests/0/keyslots", ["0", "1", "1"]), "digests.0 has 12 values"),
    "second digest": (put("digests/1", {}), "digests.1 is {}"),
    "digest of nothing": (put("digests/0/segments", []), "digests.0 has 10 values: expected 11"),
    "cheap digest": (put("digests/0/iterations", 1), "digests.0.iterations is 1"),
    "foreign token": (
        put("tokens/3", {"type": "systemd-fido2", "keyslots": ["1"]}),
        "there is a token of type systemd-fido2",
    ),
    "token of no type": (drop("tokens/1/type"), "key slot 1 has 0 tokens"),
    "second recovery": (many(1), "key slot 1 has 2 tokens: expected one"),
    "TPM token twice": (
        put("tokens/3", headers.escrowed()["tokens"]["0"]),
        "key slot 0 has 2 tokens: expected one",
    ),
    "no TPM": (drop(TPM), "key slot 0 has 0 tokens: expected one"),
    "token lists two": (put(f"{TPM}/keyslots", ["0", "1"]), 'tokens.0.keyslots.1 is "1"'),
    "token of no slot": (put("tokens/1/keyslots", ["7"]), 'tokens.1.keyslots.0 is "7"'),
    "escrow of nothing": (put("tokens/2/keyslots", []), "token 2 has no key slot"),
    "rotation of a slot": (
        put("tokens/3", {"type": "bootseal-rotate", "keyslots": ["0"]}),
        'tokens.3.keyslots.0 is "0"',
    ),
    "fixed PCRs": (put(f"{TPM}/tpm2-pcrs", [7]), "tokens.0.tpm2-pcrs.0 is 7"),
    "PCR 12 at rest": (put(f"{TPM}/tpm2-pcrs", [12]), "tokens.0.tpm2-pcrs.0 is 12"),
    "fewer signed PCRs": (put(f"{TPM}/tpm2_pubkey_pcrs", [8, 9]), "tokens.0.tpm2_pubkey_pcrs.0"),
    "no signed PCRs": (put(f"{TPM}/tpm2_pubkey_pcrs", []), "tokens.0 has 10 values"),
    "another policy key": (put(f"{TPM}/tpm2_pubkey", "AAAA"), 'tokens.0.tpm2_pubkey is "AAAA"'),
    "no storage key": (drop(f"{TPM}/tpm2_srk"), "tokens.0 has 12 values: expected 13"),
    "PIN": (put(f"{TPM}/tpm2-pin", value=True), "tokens.0.tpm2-pin is true"),
    "number in the place of text": (put(f"{TPM}/tpm2-blob", 5), "tokens.0.tpm2-blob is 5"),
    "line end in a value": (
        put(f"{TPM}/tpm2-blob", 'A",\n      "tpm2-pin":true'),
        "tokens.0.tpm2-blob is of other characters",
    ),
    "control in a key": (put(f"{TPM}/tpm2\x1b[2J", 1), "there is a key of other characters"),
    "section": (put("more", {}), "more is {}"),
    "no tokens": (drop("tokens"), "key slot 0 has 0 tokens: expected one"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_header_that_the_device_would_not_write_is_refused(check: Check, name: str) -> None:
    change, why = CHANGES[name]
    document = headers.escrowed()
    change(document)
    code, said = check(printed(document))

    if name in {"no TPM", "no tokens"}:
        # Without the mark of the hand-out a slot may lack its token; the TPM's may not.
        why = "expected one"
    assert (code, len(said.splitlines())) == (1, 1)
    assert why in said
    assert said.isascii()


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[\n]\n",
        '"x"',
        "{\n}\n",
        "{\n}\n}\n",
        '{\n  "keyslots":{\n  ]\n}\n',
        '{\n  "keyslots":{\n  },\n  "keyslots":{\n  }\n}\n',
        "\x00" * 100,
        '{\n  "a":"' + "x" * 100000 + '"\n}\n',
    ],
    ids=range(10),
)
def test_text_of_another_form_is_refused_in_one_line(check: Check, shell: str, text: str) -> None:
    code, said = check(text, shell)
    assert (code, len(said.splitlines())) == (1, 1)
    assert len(said) <= 201


# Offline, the key in a token is compared by the check of the seal, a list is taken as a set, and a
# token of an older systemd without the storage key is good too.
ON_THE_DEVICE_ALONE = {"another policy key", "slot bound twice", "no storage key"}


@pytest.mark.parametrize("name", [name for name in CHANGES if name not in ON_THE_DEVICE_ALONE])
def test_disk_check_refuses_the_same_headers(name: str) -> None:
    document = headers.escrowed()
    CHANGES[name][0](document)
    try:
        header = luks2.parse(headers.binary(document))
    except FormatError:
        return
    stray = any(not tokens for tokens in described.openers(header).values())
    assert stray or [*described.differences(header), *described.contradictions(header)]
