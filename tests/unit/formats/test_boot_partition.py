# SPDX-License-Identifier: MIT
"""The layout of a boot partition: a FIT in front, a policy behind, and neither in the other."""

from __future__ import annotations

import pytest

from bootseal.errors import FormatError, UsageError
from bootseal.formats import boot_partition
from bootseal.formats.fdt import model as fdt

FIT = fdt.emit(fdt.Node())


def test_boot_image_ends_with_the_policy_in_its_last_64_kib() -> None:
    image = boot_partition.emit(b"FIT", b"{}", 1 << 20)

    assert len(image) == 1 << 20
    assert image[:4] == b"FIT\0"
    assert image[-65536:].rstrip(b"\0") == b"{}"


@pytest.mark.parametrize(
    ("fit", "policy", "reason"),
    [
        (bytes((1 << 20) - 65535), b"{}", r"does not fit a boot partition of 1\.0 MiB"),
        (b"FIT", bytes(65537), "the PCR policy has 65537 bytes"),
    ],
    ids=["fit", "policy"],
)
def test_boot_image_that_would_overlap_is_refused(fit: bytes, policy: bytes, reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        boot_partition.emit(fit, policy, 1 << 20)


def test_fit_is_found_exactly() -> None:
    image = boot_partition.emit(FIT, b"{}", 1 << 20)

    assert boot_partition.find_fit(memoryview(image)) == FIT


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        (bytes(1 << 20), "magic is 0x00000000"),
        (FIT, "has no room for a FIT and a policy"),
        (FIT + bytes(65536 - len(FIT)), "0 bytes are too few"),
        (FIT + bytes(65535), "are there"),
    ],
    ids=["zeros", "smaller than a policy", "nothing in front", "overlap"],
)
def test_partition_without_a_fit_in_front_of_the_policy_is_refused(
    image: bytes, reason: str
) -> None:
    with pytest.raises(FormatError, match=reason):
        boot_partition.find_fit(memoryview(image))


def test_tail_gives_the_text_back() -> None:
    data = b'{"sha256": []}'

    tail = boot_partition.pad_policy(data)

    assert len(tail) == 65536
    assert tail.startswith(data)
    assert boot_partition.parse_policy(tail) == data


@pytest.mark.parametrize(
    ("tail", "reason"),
    [
        (bytes(65536), "only NULs"),
        (b"{}".ljust(65535, b"\0"), "has 65535 bytes"),
        (b"{}\0{}".ljust(65536, b"\0"), "more than one text"),
    ],
)
def test_tail_that_holds_no_single_text_is_refused(tail: bytes, reason: str) -> None:
    with pytest.raises(FormatError, match=reason):
        boot_partition.parse_policy(tail)


def test_text_too_long_for_the_tail_is_refused() -> None:
    assert len(boot_partition.pad_policy(b"x" * 65536)) == 65536
    with pytest.raises(UsageError, match="65537 bytes"):
        boot_partition.pad_policy(b"x" * 65537)
