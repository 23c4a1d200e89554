# SPDX-License-Identifier: MIT
"""The device's own check of a LUKS2 header, in every shell and awk at hand.

The headers and their changes are those that `disk check` is tested with: what the one accepts, the
other does.
"""

from __future__ import annotations

import base64
import copy
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.vectors import luks2_headers as headers
from tests.vectors.luks2_changes import CHANGES, Change

from bootseal.check.data import check as data_partition
from bootseal.device import Partition
from bootseal.errors import FormatError
from bootseal.findings.model import Severity
from bootseal.formats import luks2

if TYPE_CHECKING:
    from tests.vectors.luks2_headers import Json

ENTRY = Partition(number=8, name="data", type="", uuid="", offset=4096, size=1 << 25)
HALF_REPLACED = {"made", "cut-off-in-escrow", "rotation-wanted", "cut-off-in-rotation"}
SEALED = {"put tokens/0/tpm2-pcrs [12]"}

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

    def __call__(self, text: str, shell: str = "dash", pcrs: str = "1,8,9") -> tuple[int, str]:
        done = subprocess.run(
            [shell, *(["sh"] if shell == "busybox" else []), SCRIPT, self.key, pcrs],
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


@pytest.mark.parametrize("stage", ["made", "cut-off-in-escrow", "rotation-wanted"])
def test_half_replaced_slot_is_accepted_while_one_is_replaced(check: Check, stage: str) -> None:
    document = headers.STAGES[stage]()
    headers.add_slot(document, "2", 548864)
    assert check(printed(document)) == (0, "")


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(
    ("held", "why"),
    [
        ([0, 1, 8, 9], ""),
        ([1, 8, 9], "tokens.0.tpm2_pubkey_pcrs.0 is 1"),
        ([0, 1, 8], "tokens.0 has 13 values: expected 14"),
        ([0, 1, 8, 9, 9], "tokens.0.tpm2_pubkey_pcrs.4 is 9"),
        ([8, 0, 1, 9], "tokens.0.tpm2_pubkey_pcrs.0 is 8"),
        ([], "tokens.0 has 10 values: expected 14"),
    ],
    ids=str,
)
def test_header_of_a_device_with_a_boot_rom_covers_pcr_0(
    check: Check, shell: str, held: list[int], why: str
) -> None:
    document = headers.escrowed()
    document["tokens"]["0"]["tpm2_pubkey_pcrs"] = held
    code, said = check(printed(document), shell, "0,1,8,9")
    assert (code, said.strip()) == (int(bool(why)), why)
    assert check(printed(document), shell)[0] == (0 if held == [1, 8, 9] else 1)
    found = offline(document, (0, 1, 8, 9))
    assert found == ({"disk.data-token"} if why else set())


@pytest.mark.parametrize("change", CHANGES, ids=[change.steps for change in CHANGES])
def test_header_that_the_device_would_not_write_is_refused(check: Check, change: Change) -> None:
    document = headers.escrowed()
    change.apply(document)
    code, said = check(printed(document))

    assert (code, len(said.splitlines())) == (1, 1)
    assert change.device in said
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


@pytest.mark.parametrize("stage", [s for s in headers.STAGES if s not in {"escrowed", "erased"}])
def test_both_checks_say_the_same_of_every_change_at_every_stage(
    tmp_path: Path, stage: str
) -> None:
    check = Check(tmp_path, AWKS[0])
    compared = 0
    for change in CHANGES:
        document = headers.STAGES[stage]()
        try:
            change.apply(document)
        except LookupError:
            continue
        code, said = check(printed(document))
        found = offline(document)
        if code == 0 and found == {"disk.data-passphrase"}:
            # A slot that a power cut left half replaced, says the device: offline it may be any.
            assert stage in HALF_REPLACED
        elif code == 0 and change.steps in SEALED:
            # The TPM compares a policy with what was sealed; the device's awk cannot read that.
            assert found == {"disk.data-token"}
        else:
            assert (code != 0) == bool(found), f"{change.steps}: {said or 'accepted'}, {found}"
        compared += 1
    assert compared > len(CHANGES) / 2


def offline(document: Json, pcrs: tuple[int, ...] = (1, 8, 9)) -> set[str]:
    """Return the errors that `disk check` finds in a header."""
    try:
        header = luks2.parse(headers.binary(document))
    except FormatError:
        return {"disk.data-header"}
    found = data_partition.inspect(header, ENTRY, headers.policy_key(), [pcrs])
    return {each.id for each in found if each.severity is Severity.ERROR}
