# SPDX-License-Identifier: MIT
"""The commands of the verifier with the device's own script on the other side."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pytest
from tests.integration.attest.fleet import command, listed, powered

from bootseal import documents
from bootseal.attest.store import Store
from bootseal.errors import ToolError, UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.attest.fleet import Fleet

pytestmark = [pytest.mark.tool("swtpm"), pytest.mark.tool("swtpm_setup"), pytest.mark.tool("tpm2")]


def test_command_line_accepts_once_and_names_the_replay(fleet: Fleet) -> None:
    approved_list, evidence = fleet.directory / "approved.json", fleet.directory / "evidence"
    approved_list.write_bytes(documents.dump(listed(b"KERNEL 1", "1.0")))
    verify = ("verify", evidence, "--store", fleet.directory / "store", "--approved", approved_list)
    with powered(fleet.state) as chip:
        chip.boot(b"KERNEL 1")
        nonce = command("challenge", "dev-1", "--store", fleet.directory / "store").strip()
        evidence.write_bytes(chip.script("quote", nonce))

    document = json.loads(command(*verify, "--json"))

    assert (document["schema"], document["verdict"]) == ("bootseal.attestation/1", "accepted")
    assert (document["device"], document["release"], document["slot"]) == ("dev-1", "1.0", "a")
    replay = json.loads(command(*verify, "--json", code=3))
    assert (replay["verdict"], replay["device"]) == ("refused", "")
    (finding,) = replay["findings"]
    assert finding["id"] == "attest.nonce"
    assert "was answered before: the quote is a replay" in finding["message"]


def test_command_line_refuses_what_is_not_approved_with_exit_code_3(fleet: Fleet) -> None:
    approved_list, evidence = fleet.directory / "other.json", fleet.directory / "evidence-2"
    approved_list.write_bytes(documents.dump(listed(b"KERNEL 2", "2.0")))
    store = fleet.directory / "store"
    with powered(fleet.state) as chip:
        chip.boot(b"KERNEL 1")
        nonce = command("challenge", "dev-1", "--store", store).strip()
        evidence.write_bytes(chip.script("quote", nonce))

    verify = ("verify", evidence, "--store", store, "--approved", approved_list)
    said = command(*verify, code=3)

    assert said.startswith("REFUSED  dev-1: no approved release")
    assert "attest.release" in said
    assert "unexpected in PCR 8: the kernel" in said


def test_script_refuses_what_is_no_nonce(fleet: Fleet) -> None:
    with powered(fleet.state) as chip:
        for nonce in ("", "XYZ", "00;reboot"):
            with pytest.raises(ToolError, match="not lower-case hex"):
                chip.script("quote", nonce)


def test_enrolled_name_is_not_taken_over_silently(fleet: Fleet, tmp_path: Path) -> None:
    shutil.copytree(fleet.directory / "store", tmp_path / "store")
    options = [f"--ca={path}" for path in fleet.authorities]
    known = fleet.directory / "identity"
    enrol: tuple[str | Path, ...] = (
        "enrol",
        "dev-1",
        known,
        *options,
        "--store",
        tmp_path / "store",
    )

    with pytest.raises(UsageError, match="already has a device 'dev-1'"):
        command(*enrol)
    command(*enrol, "--again")

    assert Store(tmp_path / "store").record("dev-1").certified == 0
