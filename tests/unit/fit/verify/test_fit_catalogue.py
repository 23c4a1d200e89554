# SPDX-License-Identifier: MIT
"""Every row of the attack catalogue: refused for its reason, and what a fixed U-Boot says."""

from __future__ import annotations

import pytest
from tests.vectors.fit_attacks import CATALOGUE, Attack

from bootseal.errors import FormatError, VerificationRefused
from bootseal.fit.verify.strictness import COMPAT
from bootseal.fit.verify.verdict import inspect, verify
from bootseal.formats.fdt import model as fdt

ROWS = pytest.mark.parametrize("attack", CATALOGUE, ids=[attack.id for attack in CATALOGUE])


def test_unchanged_fit_is_accepted_by_both(signed: bytes, control: bytes) -> None:
    """S1: writing the FIT anew breaks nothing, so that is not what refuses the attacks."""
    same = fdt.rewrite(signed, lambda _: None)
    verify(same, control)
    verify(same, control, strictness=COMPAT)


@ROWS
def test_strict_policy_names_the_reason(attack: Attack, signed: bytes, control: bytes) -> None:
    evil = attack.change(signed)
    assert evil != signed
    if attack.finding == "malformed":
        with pytest.raises(FormatError):
            inspect(evil, control)
        return
    found = {finding.id for finding in inspect(evil, control).errors}
    if attack.finding:
        assert f"fit.{attack.finding}" in found
        with pytest.raises(VerificationRefused):
            verify(evil, control)
    else:
        assert not found


@ROWS
def test_compatible_policy_answers_as_uboot(attack: Attack, signed: bytes, control: bytes) -> None:
    evil = attack.change(signed)
    try:
        accepted = not inspect(evil, control, strictness=COMPAT).errors
    except FormatError:
        accepted = False
    assert accepted is attack.uboot


@pytest.mark.parametrize("kind", ["S", "D"])
def test_catalogue_has_every_number_an_attacker_can_use(kind: str) -> None:
    numbers = {int("".join(c for c in a.id if c.isdigit())) for a in CATALOGUE if a.id[0] == kind}
    # The others are mistakes of the signer or of the control device tree, tested on their own.
    expected = {*range(2, 20), 25} if kind == "S" else {*range(1, 6)}
    assert numbers == expected
