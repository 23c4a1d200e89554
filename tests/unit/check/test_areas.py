# SPDX-License-Identifier: MIT
"""What is declared besides the slots, such as a boot loader: compared, and nothing next to it."""

from __future__ import annotations

import uuid
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bootseal.check import expected
from bootseal.device import RawArea
from bootseal.disk.layout import parse_wks
from bootseal.errors import UsageError
from bootseal.units import KIB, MIB

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.check.conftest import Base

    from bootseal.check.disk import DiskVerdict
    from bootseal.check.expected import Expected

SHIPPED = Path(__file__).parents[3] / "meta-secureboot/files/wic/bootseal-ab.wks"
START = 32 * KIB
LOADER = bytes(range(256)) * 5


def declaring(path: Path | None, size: int = 0) -> Callable[[Expected], Expected]:
    """Declare a boot loader at 32 KiB, with its file if there is one to compare with."""
    area = RawArea(name="u-boot", offset=START, size=size, file="imx-boot")

    def change(target: Expected) -> Expected:
        return replace(target, areas=(area,), area_files={} if path is None else {"u-boot": path})

    return change


@pytest.fixture
def loader(tmp_path: Path) -> Path:
    path = tmp_path / "imx-boot"
    path.write_bytes(LOADER)
    return path


def with_loader(base: Base, *, at: int = START, content: bytes = LOADER) -> bytes:
    image = bytearray(base.image)
    image[at : at + len(content)] = content
    return bytes(image)


def test_boot_loader_that_is_not_declared_is_refused(
    base: Base, errors: Callable[..., dict[str, str]]
) -> None:
    assert errors(with_loader(base)) == {"disk.hidden-data": "unallocated"}


def test_declared_boot_loader_is_its_file(
    base: Base, check_image: Callable[..., DiskVerdict], loader: Path
) -> None:
    verdict = check_image(with_loader(base), declaring(loader))

    assert not verdict.errors
    assert "disk.boot-loader-unchecked" not in {found.id for found in verdict.findings}


def test_declared_boot_loader_without_a_file_is_said_to_be_unchecked(
    base: Base, check_image: Callable[..., DiskVerdict]
) -> None:
    verdict = check_image(with_loader(base), declaring(None))

    assert not verdict.errors
    (found,) = [each for each in verdict.findings if each.id == "disk.boot-loader-unchecked"]
    assert (found.where, found.offset) == ("u-boot", START)


@pytest.mark.parametrize(
    ("content", "offset"),
    [
        (LOADER[:-1] + b"x", START + len(LOADER) - 1),
        (LOADER + b"behind", START + len(LOADER)),
        (b"", START + 1),
    ],
    ids=["changed", "longer", "missing"],
)
def test_declared_boot_loader_that_is_not_its_file_is_refused(
    base: Base,
    check_image: Callable[..., DiskVerdict],
    loader: Path,
    content: bytes,
    offset: int,
) -> None:
    verdict = check_image(with_loader(base, content=content), declaring(loader))

    (found,) = verdict.errors
    assert (found.id, found.where, found.offset) == ("disk.boot-loader", "u-boot", offset)


@pytest.mark.parametrize("place", [START - 512, START + 2 * KIB], ids=["in front", "behind"])
def test_bytes_next_to_a_declared_boot_loader_are_refused(
    base: Base, errors: Callable[..., dict[str, str]], loader: Path, place: int
) -> None:
    image = with_loader(replace(base, image=with_loader(base)), at=place, content=b"hidden")

    found = errors(image, declaring(loader, size=2 * KIB))

    assert found == {"disk.hidden-data": "unallocated"}


def test_file_for_a_boot_loader_that_the_layout_lacks_is_refused(tmp_path: Path) -> None:
    text = SHIPPED.read_text() + "part x --no-table --offset 512M\n"

    with pytest.raises(UsageError, match="declares no 'y' besides the slots: it declares x"):
        expected.of_layout(
            tmp_path / "d.img", b"", parse_wks(text), area_files={"y": tmp_path / "y"}
        )


def with_part(base: Base, path: Path | None) -> tuple[bytearray, Callable[[Expected], Expected]]:
    """Return the disk with a partition that holds `LOADER`, and its declaration."""
    last = base.target.partitions[-1]
    place, number, unique = last.end, last.number + 1, str(uuid.UUID(int=99))
    part = replace(last, name="firmware", number=number, uuid=unique, offset=place, size=MIB)
    image = bytearray(base.partitioned([*base.target.partitions, part]))
    image[place : place + len(LOADER)] = LOADER
    area = RawArea(name=part.name, offset=place, size=MIB, file="firmware.vfat")

    def change(target: Expected) -> Expected:
        files = {} if path is None else {part.name: path}
        partitions = (*target.partitions, part)
        return replace(target, partitions=partitions, areas=(area,), area_files=files)

    return image, change


def test_partition_besides_the_slots_is_its_file(
    base: Base, check_image: Callable[..., DiskVerdict], loader: Path
) -> None:
    image, change = with_part(base, loader)

    verdict = check_image(bytes(image), change)
    assert not verdict.errors
    assert [area.name for area in verdict.areas] == ["firmware"]
    assert "disk.boot-loader-unchecked" not in {found.id for found in verdict.findings}

    end = base.target.partitions[-1].end
    for at in (end + 5, end + len(LOADER), end + MIB - 1):
        changed = bytearray(image)
        changed[at] ^= 1
        (found,) = check_image(bytes(changed), change).errors
        assert (found.id, found.where, found.offset) == ("disk.boot-loader", "firmware", at)


def test_partition_besides_the_slots_without_a_file_is_said_to_be_unchecked(
    base: Base, check_image: Callable[..., DiskVerdict]
) -> None:
    image, change = with_part(base, None)

    verdict = check_image(bytes(image), change)

    assert not verdict.errors
    unchecked = [each for each in verdict.findings if each.id == "disk.boot-loader-unchecked"]
    assert [each.where for each in unchecked] == ["firmware"]
