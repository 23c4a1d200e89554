# SPDX-License-Identifier: MIT
"""A FIT is checked for the memory of the board that boots it."""

from __future__ import annotations

import gzip
import hashlib

import pytest

from bootseal import documents
from bootseal.errors import FormatError
from bootseal.fit.verify.strictness import STRICT
from bootseal.fit.verify.structure import check
from bootseal.formats.fdt import model as fdt
from bootseal.formats.fit import model as fit_format
from bootseal.target import UNKNOWN_TARGET, Target, kernel_room
from bootseal.units import MIB

LOAD = 0x40400000


def kernel(data: bytes, *, arch: str, compression: str, kind: str = "kernel") -> fdt.Node:
    properties = {
        "data": data,
        "type": kind.encode() + b"\0",
        "arch": arch.encode() + b"\0",
        "compression": compression.encode() + b"\0",
        "load": LOAD.to_bytes(4),
        "entry": LOAD.to_bytes(4),
    }
    hash_node = fdt.Node("hash-1", {"algo": b"sha256\0", "value": hashlib.sha256(data).digest()})
    return fdt.Node("kernel-1", properties, [hash_node])


def found(node: fdt.Node, target: Target = UNKNOWN_TARGET) -> list[str]:
    """Return what is wrong with a FIT of one kernel, on a board."""
    configuration = fdt.Node("conf-1", {"kernel": b"kernel-1\0"})
    root = fdt.Node(
        "",
        {"timestamp": bytes(4), "description": b"d\0"},
        [
            fdt.Node("images", {}, [node]),
            fdt.Node("configurations", {"default": b"conf-1\0"}, [configuration]),
        ],
    )
    strictness = STRICT._replace(target=target)
    problems = check(fit_format.parse(fdt.emit(root)), strictness)
    return [f"{one.id}: {one.message}" for one in problems]


@pytest.mark.parametrize(
    ("arch", "size"),
    [("arm64", 128), ("riscv", 128), ("ppc", 128), ("x86_64", 16), ("arm", 8), ("mips", 8)],
)
def test_room_for_a_kernel_is_that_of_u_boots_kconfig(arch: str, size: int) -> None:
    assert kernel_room(UNKNOWN_TARGET, arch) == size * MIB
    assert kernel_room(Target(bootm_len=3), arch) == 3


@pytest.mark.parametrize(
    ("target", "refused"),
    [
        (UNKNOWN_TARGET, True),
        (Target(bootm_len=9 * MIB - 1), True),
        (Target(bootm_len=9 * MIB), False),
    ],
    ids=["default", "short", "enough"],
)
@pytest.mark.parametrize("compression", ["gzip", "none"])
def test_kernel_larger_than_its_room_is_refused(
    compression: str, target: Target, *, refused: bool
) -> None:
    data = bytes(9 * MIB)
    packed = gzip.compress(data) if compression == "gzip" else data

    problems = found(kernel(packed, arch="arm", compression=compression), target)

    assert [one.split(":")[0] for one in problems] == ["fit.decompressed-size"] * refused


def test_kernel_that_is_not_moved_may_have_any_size() -> None:
    node = kernel(bytes(9 * MIB), arch="arm", compression="none", kind="kernel_noload")
    del node.properties["load"]

    assert not found(node)


@pytest.mark.parametrize(
    ("address", "refused"),
    [
        (LOAD, True),
        (LOAD + 128 * MIB - 1, True),
        (LOAD + 128 * MIB, False),
        (LOAD - 1, True),
        (LOAD - MIB, False),
    ],
)
def test_kernel_that_may_be_unpacked_over_the_fit_is_refused(
    address: int, *, refused: bool
) -> None:
    node = kernel(gzip.compress(b"kernel"), arch="arm64", compression="gzip")

    problems = found(node, Target(fit_address=address))

    assert bool(problems) is refused
    assert all("over the FIT" in one for one in problems)


def test_kernel_that_is_stored_as_it_runs_reaches_as_far_as_it_is_long() -> None:
    node = kernel(b"kernel", arch="arm64", compression="none")

    assert not found(node, Target(fit_address=LOAD + 6))
    assert found(node, Target(fit_address=LOAD + 5))


@pytest.mark.parametrize("name", ["bootm_len", "fit_address"])
@pytest.mark.parametrize("number", [-1, 1 << 64, 10**30])
def test_place_that_no_board_has_is_refused(name: str, number: int) -> None:
    """Nothing would overlap with a FIT that is there."""
    with pytest.raises(FormatError, match=f"target.{name} is {number}: expected 0 to"):
        Target(**{name: number})
    with pytest.raises(FormatError, match=f"target.{name} is {number}"):
        documents.decode(Target, {name: number}, "it")
    assert documents.decode(Target, {name: (1 << 64) - 1}, "it") == Target(**{name: (1 << 64) - 1})
