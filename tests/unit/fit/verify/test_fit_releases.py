# SPDX-License-Identifier: MIT
"""Which releases are said to answer otherwise."""

from __future__ import annotations

import pytest
from tests.vectors.fit_attacks import CATALOGUE

from bootseal.errors import FormatError
from bootseal.fit.control_dtb import read_trust
from bootseal.fit.verify import releases
from bootseal.fit.verify.strictness import COMPAT
from bootseal.fit.verify.verdict import inspect, uboot_accepts
from bootseal.formats.fdt import model as fdt

ATTACKS = {attack.id: attack.change for attack in CATALOGUE}


def identifiers(fit: bytes, control: bytes) -> set[str]:
    notes = inspect(fit, control).notes
    return {identifier for note in notes for identifier in note.identifiers}


def test_clone_is_accepted_by_releases_that_trust_the_list(signed: bytes, control: bytes) -> None:
    verdict = inspect(ATTACKS["S2"](signed), control)
    assert releases.ACCEPTS_BY_LIST in verdict.notes
    assert "CVE-2026-46728" in identifiers(ATTACKS["S2"](signed), control)


def test_other_attacks_are_not_said_to_be_accepted_by_list(signed: bytes, control: bytes) -> None:
    for number in ("S3", "S6d", "S13g", "S15a", "S25", "D1"):
        notes = inspect(ATTACKS[number](signed), control).notes
        assert releases.ACCEPTS_BY_LIST not in notes, number


def test_missing_list_is_refused_by_releases_that_need_it(signed: bytes, control: bytes) -> None:
    verdict = inspect(ATTACKS["S16b"](signed), control, strictness=COMPAT)
    assert verdict.errors == ()
    assert verdict.notes == (releases.REFUSES_BY_LIST,)


@pytest.mark.parametrize(
    ("number", "identifier"),
    [("S5", "CVE-2021-27138"), ("S15c", "BRLY-2026-039"), ("D3a", "BRLY-2026-041")],
)
def test_note_names_the_advisory(
    signed: bytes, control: bytes, number: str, identifier: str
) -> None:
    assert identifier in identifiers(ATTACKS[number](signed), control)


def test_second_root_names_the_advisory(signed: bytes, control: bytes) -> None:
    with pytest.raises(FormatError) as caught:
        inspect(ATTACKS["S4"](signed), control)
    assert "CVE-2021-27097" in caught.value.hint


def test_control_tree_without_key_is_accepted_by_every_release(signed: bytes) -> None:
    """S24."""
    notes = inspect(signed, fdt.emit(fdt.Node())).notes
    assert releases.BY_FINDING["fit.no-required-key"] in notes


def test_default_that_nobody_signed_is_noted(signed: bytes, control: bytes) -> None:
    """B11: any signed configuration can be made the default."""

    def change(root: fdt.Node) -> None:
        configurations = root.find("/configurations")
        assert configurations is not None
        configurations.properties["default"] = b"conf-b\0"

    verdict = inspect(fdt.rewrite(signed, change), control)
    assert verdict.errors == ()
    assert releases.BY_FINDING["fit.default-unsigned"] in verdict.notes


def test_verity_node_is_noted(unsigned: bytes, control: bytes) -> None:
    def change(root: fdt.Node) -> None:
        kernel = root.find("/images/kernel-1")
        assert kernel is not None
        kernel.children.append(fdt.Node("dm-verity"))

    notes = inspect(fdt.rewrite(unsigned, change), control).notes
    assert releases.UNSIGNED_VERITY in notes


def test_each_configuration_gets_the_answer_of_a_fixed_uboot(
    signed: bytes, control: bytes, unsigned: bytes
) -> None:
    trust = read_trust(control)
    assert uboot_accepts(signed, trust) == {"conf-a": True, "conf-b": True}
    assert uboot_accepts(unsigned, trust) == {"conf-a": False, "conf-b": False}
    assert uboot_accepts(ATTACKS["S17"](signed), trust) == {"conf-a": True, "conf-b": True}
    assert uboot_accepts(ATTACKS["S13b"](signed), trust) == {"conf-a": False, "conf-b": True}
