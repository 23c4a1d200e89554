# SPDX-License-Identifier: MIT
"""The negative control of a verification, and that it would notice a verifier that sleeps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.tree_edits import ANY_SUFFICES

from bootseal.errors import VerificationRefused
from bootseal.fit import control_dtb, prove
from bootseal.fit.add_signature import NewSignature
from bootseal.fit.control_dtb import Trust, read_trust
from bootseal.fit.sign import Request, SigningKey, sign_request
from bootseal.fit.verify.strictness import COMPAT, STRICT
from bootseal.formats.fdt import model as fdt
from bootseal.formats.fit import model as fit_format

if TYPE_CHECKING:
    from collections.abc import Callable

    from bootseal.fit.verify.strictness import Strictness
    from bootseal.keys.signers.file import FileSigner


@pytest.fixture(scope="module")
def trust(control: bytes) -> Trust:
    return read_trust(control)


@pytest.mark.parametrize("strictness", [STRICT, COMPAT], ids=["strict", "compat"])
def test_every_change_is_refused_and_undone(
    signed: bytes, trust: Trust, strictness: Strictness
) -> None:
    fit = bytearray(signed)
    proof = prove.prove(memoryview(fit), trust, strictness=strictness, seed=7)
    assert proof.accepted == ()
    assert fit == signed
    assert all(mutant.reason for mutant in proof.mutants)


def test_every_kind_of_region_is_changed(signed: bytes, trust: Trust) -> None:
    proof = prove.prove(memoryview(bytearray(signed)), trust)
    names = {mutant.region for mutant in proof.mutants}
    assert {
        "/ timestamp value",
        "/images/kernel-1 data",
        "/images/ramdisk-1 data",
        "/images/kernel-1 load value",
        "/images/kernel-1/hash-1 name",
        "/images/kernel-1/hash-1 value value",
        "/configurations/conf-b kernel value",
        "/configurations/conf-b signature value",
        "names in the strings block",
    } <= names


def test_same_seed_makes_the_same_changes(signed: bytes, trust: Trust) -> None:
    one, two, other = (
        prove.prove(memoryview(bytearray(signed)), trust, seed=seed) for seed in (1, 1, 2)
    )
    assert one == two
    assert one.mutants != other.mutants


def test_one_configuration_is_proved_alone(signed: bytes, trust: Trust) -> None:
    proof = prove.prove(memoryview(bytearray(signed)), trust, "conf-a")
    assert not any("conf-b" in mutant.region for mutant in proof.mutants)
    assert proof.accepted == ()


def test_refused_fit_proves_nothing(unsigned: bytes, trust: Trust) -> None:
    with pytest.raises(VerificationRefused, match="refused unchanged"):
        prove.prove(memoryview(bytearray(unsigned)), trust)


def test_change_that_nobody_notices_is_reported(
    unsigned: bytes, force_sign: Callable[[bytes], bytes], trust: Trust
) -> None:
    """Twin: with its hash ignored, a payload is free to change on a U-Boot."""

    def ignore(root: fdt.Node) -> None:
        found = root.find("/images/kernel-1/hash-1")
        assert found is not None
        found.properties["uboot-ignore"] = b"\0\0\0\1"

    fit = force_sign(fdt.rewrite(unsigned, ignore))
    proof = prove.prove(memoryview(bytearray(fit)), trust, strictness=COMPAT)
    assert {mutant.region for mutant in proof.accepted} == {"/images/kernel-1 data"}


def test_one_of_two_sufficient_signatures_is_no_gap(
    signed: bytes, signer: FileSigner, p384: FileSigner, control: bytes
) -> None:
    """When any key is enough, the values of all signatures change at once."""
    keys = [SigningKey(signer=signer, hint="dev"), SigningKey(signer=p384, hint="next")]
    new = NewSignature(hint="next", algorithm="sha384,ecdsa384")
    fit = sign_request(signed, Request(keys=keys, timestamp=2, add=new))
    both = control_dtb.add_key(control, p384.public_key, hint="next", algorithm="sha384,ecdsa384")
    either = read_trust(fdt.rewrite(both, ANY_SUFFICES))
    assert prove.prove(memoryview(bytearray(fit)), either).accepted == ()


def test_regions_cover_every_signed_byte(signed: bytes) -> None:
    """Apart from bare tags, whose change breaks the format."""
    model = fit_format.parse(signed)
    spans = [
        span
        for region in prove.regions(model, list(model.configurations), 1)
        for span in region.ranges
    ]
    covered = {offset for start, end in spans for offset in range(start, end)}
    for configuration in model.configurations:
        nodes = set(fit_format.hashed_nodes(model, configuration))
        for token in model.flat.tokens:
            regions = model.regions.of(nodes)
            signed_token = any(r.start <= token.start < r.end for r in regions)
            if signed_token and token.size:
                assert set(range(token.start, token.end)) <= covered
