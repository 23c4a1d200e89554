# SPDX-License-Identifier: MIT
"""The negative control of a FIP: what is covered is refused, and what is not is named."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

import pytest
from tests.unit.firmware import fips
from typer.testing import CliRunner

from bootseal.cli.app import app
from bootseal.errors import VerificationRefused
from bootseal.firmware import prove
from bootseal.firmware import verify as verifier

if TYPE_CHECKING:
    from pathlib import Path

    from bootseal.formats.fip import Fip


@pytest.mark.parametrize("kind", ["ecdsa256", "rsa2048"])
def test_changes_of_what_is_covered_are_all_refused(kind: str) -> None:
    data, root = fips.signed(kind), fips.root_hash(kind)
    regions = fips.verdict(data, root).regions

    proofs = list(prove.prove(data, root, regions, seed=1, tries=20))

    assert {each.name for each in proofs if each.covered} == {*fips.IMAGES, *fips.ROWS}
    assert {each.name for each in proofs if not each.covered} == {"header", "ToC", "padding"}
    assert all(each.refused == each.tries == 20 for each in proofs)
    assert sum(each.size for each in proofs) == len(data)
    assert list(prove.prove(data, root, regions, seed=1, tries=20)) == proofs


def test_proof_is_printed_and_in_the_document(tmp_path: Path) -> None:
    file = tmp_path / "fip.bin"
    file.write_bytes(fips.signed())
    command = ["firmware", "verify", str(file), "--mrk-hash", fips.root_hash(), "--prove"]

    result = CliRunner().invoke(app, [*command, "--json"], catch_exceptions=False)

    assert result.exit_code == 0
    assert "OK: 1800 of 1800 changes in covered regions were refused (seed 0)" in result.stderr
    assert "not covered: ToC (consumed but unsigned; 200 of 200 detected)" in result.stderr
    assert len(json.loads(result.stdout)["proof"]) == 12


def test_change_that_is_not_noticed_breaks_the_proof(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "fip.bin"
    file.write_bytes(fips.signed())
    monkeypatch.setattr(verifier, "_image", _good)

    command = ["firmware", "verify", str(file), "--mrk-hash", fips.root_hash(), "--prove"]
    result = CliRunner().invoke(app, command)

    assert isinstance(result.exception, VerificationRefused)
    assert "600 of 1800 changes were not refused: first in tb-fw" in result.exception.message


def _good(
    found: Fip, name: str, algorithm: str, digest: bytes, state: verifier._State
) -> tuple[()]:
    """Take any image for a good one."""
    assert len(digest) == hashlib.new(algorithm).digest_size
    if found.image(name) is not None:
        state.good.add(name)
    return ()
