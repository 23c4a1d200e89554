# SPDX-License-Identifier: MIT
"""The negative control: what is covered is refused, and what is not is named."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from bootseal.check import disk as disk_check
from bootseal.check import prove
from bootseal.check.coverage import CheckedBy, regions
from bootseal.disk import hash_tree, image
from bootseal.progress import Silent
from bootseal.protection import State

if TYPE_CHECKING:
    from tests.unit.check.conftest import Base

    from bootseal.check.expected import Expected
    from bootseal.check.prove import DiskProof


def proof_of(target: Expected, seed: int = 1, tries: int = 12) -> DiskProof:
    with image.opened(target.image) as disk:
        verdict = disk_check.check(disk, target, Silent(), inside=False)
        return prove.prove(disk, target, verdict, Silent(), seed=seed, tries=tries)


@pytest.fixture(scope="module")
def proof(base: Base) -> DiskProof:
    return proof_of(base.target)


def test_every_change_of_a_covered_region_is_refused(proof: DiskProof) -> None:
    covered = [region for region in proof.regions if region.covered]

    assert proof.broken == ()
    assert {region.name for region in covered} >= {
        "boot-a: /images/kernel-1",
        "boot-a: FIT structure",
        "boot-b: PCR policy",
        "root-a: data blocks",
        "root-b-verity: hash tree",
        "boot-a: each signed property of the FIT",
    }
    assert all(region.refused == region.tries >= 12 for region in covered)


def test_uncovered_regions_are_named(proof: DiskProof) -> None:
    assert {region.name for region in proof.uncovered} == {
        "protective MBR",
        "primary GPT",
        "backup GPT",
        "unallocated",
        "bootstate: slot state",
        "bootstate: slot state, second copy",
        "bootstate, unused",
        "bootstate, unused end",
        *(f"boot-{slot}: FIT structure" for slot in "ab"),
        *(f"boot-{slot}, unused end" for slot in "ab"),
        *(f"boot-{slot}: PCR policy, padding" for slot in "ab"),
        *(f"root-{slot}, unused end" for slot in "ab"),
        *(f"root-{slot}-verity: superblock" for slot in "ab"),
        *(f"root-{slot}-verity, unused end" for slot in "ab"),
    }


def test_same_seed_gives_the_same_proof(base: Base, proof: DiskProof) -> None:
    assert proof_of(base.target) == proof
    assert proof_of(base.target, seed=2).seed == 2


def test_policy_is_not_covered_when_nobody_knows_its_key(base: Base) -> None:
    found = proof_of(replace(base.target, policy_key=None), tries=2)

    assert {"boot-a: PCR policy", "boot-b: PCR policy"} <= {r.name for r in found.uncovered}
    assert all(r.refused == 0 for r in found.uncovered if r.name.endswith("PCR policy"))


def test_change_that_nobody_notices_breaks_the_proof(
    base: Base, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hash_tree, "holds", lambda *_: True)

    found = proof_of(base.target, tries=2)

    assert {r.name.partition(":")[0] for r in found.broken} == {
        "root-a", "root-a-verity", "root-b", "root-b-verity",
    }  # fmt: skip
    assert all(r.accepted is not None for r in found.broken)


def test_disk_is_not_written(base: Base, proof: DiskProof) -> None:
    assert proof.regions
    assert base.target.image.read_bytes() == base.image


def test_regions_are_the_whole_disk_once(base: Base) -> None:
    with image.opened(base.target.image) as disk:
        found = regions(disk, disk_check.check(disk, base.target, Silent(), inside=False))

    assert found[0].start == 0
    assert found[-1].end == len(base.image)
    assert all(a.end == b.start for a, b in pairwise(found))
    assert not [region for region in found if region.kind is CheckedBy.NONE]


def test_refused_slot_is_not_drawn_as_signed(base: Base) -> None:
    with image.opened(base.target.image) as disk:
        good = disk_check.check(disk, base.target, Silent(), inside=False)
        refused = replace(good, chain=replace(good.chain, refused=frozenset("a")))
        states = {region.name: region.state for region in regions(disk, refused)}

    assert states["boot-a: /images/kernel-1"] is State.UNSIGNED
    assert states["root-a: data blocks"] is State.HASHED
    assert states["boot-b: /images/kernel-1"] is State.SIGNED
    assert states["root-b: data blocks"] is State.VERITY
