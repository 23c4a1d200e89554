# SPDX-License-Identifier: MIT
"""Every row of the attack catalogue: refused for its reason, and what a fixed U-Boot says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.vectors.fit_attacks import CATALOGUE

from bootseal.errors import FormatError, VerificationRefused
from bootseal.fit.verify.strictness import COMPAT
from bootseal.fit.verify.verdict import inspect, verify
from bootseal.formats.fdt import model as fdt

if TYPE_CHECKING:
    from bootseal.boot.catalogue.fit_attacks import FitAttack

ROWS = pytest.mark.parametrize("attack", CATALOGUE, ids=[attack.id for attack in CATALOGUE])


def test_unchanged_fit_is_accepted_by_both(signed: bytes, control: bytes) -> None:
    """S1: writing the FIT anew breaks nothing, so that is not what refuses the attacks."""
    same = fdt.rewrite(signed, lambda _: None)
    verify(same, control)
    verify(same, control, strictness=COMPAT)


@ROWS
def test_strict_policy_names_the_reason(attack: FitAttack, signed: bytes, control: bytes) -> None:
    evil = attack.change(signed)
    assert evil != signed
    if attack.strict == "malformed":
        with pytest.raises(FormatError):
            inspect(evil, control)
        return
    found = {finding.id for finding in inspect(evil, control).errors}
    if attack.strict:
        assert f"fit.{attack.strict}" in found
        with pytest.raises(VerificationRefused):
            verify(evil, control)
    else:
        assert not found


@ROWS
def test_compatible_policy_answers_as_uboot(
    attack: FitAttack, signed: bytes, control: bytes
) -> None:
    evil = attack.change(signed)
    try:
        accepted = not inspect(evil, control, strictness=COMPAT).errors
    except FormatError:
        accepted = False
    assert accepted is attack.uboot


def test_ids_are_unique() -> None:
    ids = [attack.id for attack in CATALOGUE]
    assert len(set(ids)) == len(ids)


# What the others are: mistakes of the signer or of the control device tree, tested on their own.
@pytest.mark.parametrize(("kind", "mistakes"), [("S", {1, *range(20, 25)}), ("D", {*range(6, 12)})])
def test_catalogue_has_every_number_an_attacker_can_use(kind: str, mistakes: set[int]) -> None:
    numbers = {int("".join(c for c in a.id if c.isdigit())) for a in CATALOGUE if a.id[0] == kind}
    assert numbers & mistakes == set()
    assert numbers | mistakes == set(range(1, max(numbers | mistakes) + 1))
