# SPDX-License-Identifier: MIT
"""The map of what is signed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.vectors.fit_attacks import CATALOGUE

from bootseal.errors import FormatError
from bootseal.fit.coverage import coverage
from bootseal.fit.verify.strictness import COMPAT
from bootseal.fit.verify.verdict import inspect
from bootseal.formats.fdt import model as fdt
from bootseal.formats.fit import model as fit_format
from bootseal.protection import State

if TYPE_CHECKING:
    from collections.abc import Callable

    from bootseal.boot.catalogue.fit_attacks import FitAttack


def states(fit: bytes) -> dict[tuple[str, str], State]:
    parts = coverage(fit_format.parse(fit, lenient=True)).parts
    return {(part.path, part.name): part.state for part in parts}


def test_every_byte_is_in_the_map_once(
    signed: bytes, unsigned: bytes, external: Callable[..., bytes]
) -> None:
    for fit in (signed, unsigned, external(signed), external(signed, position=0x3000)):
        found = coverage(fit_format.parse(fit, lenient=True))
        place = 0
        for part in found.parts:
            assert part.start == place
            place += part.size
        assert place == len(fit) == sum(found.totals.values())


@pytest.mark.parametrize("attack", CATALOGUE, ids=[attack.id for attack in CATALOGUE])
def test_every_byte_of_an_attack_is_in_the_map_once(attack: FitAttack, signed: bytes) -> None:
    """Found by fuzzing: D5 lays data into the tree, and it was counted twice."""
    evil = attack.change(signed)
    try:
        fit = fit_format.parse(evil, lenient=True)
    except FormatError:
        return
    assert sum(coverage(fit).totals.values()) == len(evil)


def test_signed_fit_leaves_only_known_things_open(signed: bytes) -> None:
    found = states(signed)
    assert found["/images/kernel-1", "data"] is State.SIGNED
    assert found["/images/kernel-1", "padding"] is State.UNUSED
    assert found["/images/kernel-1", "load"] is State.SIGNED
    assert found["/images/kernel-1/hash-1", "value"] is State.SIGNED
    assert found["/configurations", "default"] is State.UNSIGNED
    assert found["/configurations/conf-a/signature-1", "hashed-nodes"] is State.UNSIGNED
    assert found["/configurations/conf-a/signature-1", "timestamp"] is State.UNUSED
    assert found["header", ""] is State.UNSIGNED
    assert State.HASHED not in found.values()


def test_unsigned_fit_is_hashed_only(unsigned: bytes) -> None:
    found = states(unsigned)
    assert found["/images/kernel-1", "data"] is State.HASHED
    assert found["/images/kernel-1", "load"] is State.UNSIGNED
    assert State.SIGNED not in found.values()


def test_hash_of_a_configuration_is_read_by_nobody(signed: bytes) -> None:
    def change(root: fdt.Node) -> None:
        configuration = root.find("/configurations/conf-a")
        assert configuration is not None
        configuration.children.append(fdt.Node("hash-1", {"algo": b"sha256\0"}))

    assert states(fdt.rewrite(signed, change))["/configurations/conf-a/hash-1", "algo"] is (
        State.UNUSED
    )


def test_payload_without_hash_is_unsigned(unsigned: bytes) -> None:
    def change(root: fdt.Node) -> None:
        kernel = root.find("/images/kernel-1")
        assert kernel is not None
        kernel.children.clear()

    assert states(fdt.rewrite(unsigned, change))["/images/kernel-1", "data"] is State.UNSIGNED


def test_image_that_nothing_names_is_unused(signed: bytes) -> None:
    def change(root: fdt.Node) -> None:
        images = root.find("/images")
        assert images is not None
        images.children.append(fdt.Node("extra", {"data": b"x", "type": b"kernel\0"}))

    found = states(fdt.rewrite(signed, change))
    assert found["/images/extra", "data"] is State.UNUSED
    assert found["/images/extra", "type"] is State.UNUSED


def test_places_of_external_data_are_open(signed: bytes, external: Callable[..., bytes]) -> None:
    found = states(external(signed))
    assert found["/images/kernel-1", "data-offset"] is State.UNSIGNED
    assert found["/images/kernel-1", "data-size"] is State.UNSIGNED
    assert found["/images/kernel-1", "data"] is State.SIGNED


def test_no_signed_byte_can_change(signed: bytes, control: bytes) -> None:
    """The map against the verifier that is content with the least: one bit of every byte."""
    parts = coverage(fit_format.parse(signed)).parts
    for part in parts:
        if part.state is not State.SIGNED:
            continue
        end = part.start + part.size
        for offset in (*range(part.start, end, 11), end - 1):
            evil = bytearray(signed)
            evil[offset] ^= 1 << offset % 8
            refused = []
            for configuration in ("conf-a", "conf-b"):
                try:
                    verdict = inspect(bytes(evil), control, configuration, strictness=COMPAT)
                    refused.append(bool(verdict.errors))
                except FormatError:
                    refused.append(True)
            # The length and the name of the data are not signed, its bytes are.
            head = part.name == "data" and offset < part.start + 12
            assert any(refused) or head, (part, offset)
