# SPDX-License-Identifier: MIT
"""Hash trees that are large enough to be shared among processes, and what ends one of these."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest
from tests.unit.check.conftest import SALT, make_tree

from bootseal.disk import hash_tree, workers
from bootseal.disk import image as source
from bootseal.errors import FormatError, ToolError
from bootseal.formats.verity import BLOCK, Tree
from bootseal.units import MIB

if TYPE_CHECKING:
    from pathlib import Path

SIZE = 17 * MIB
"""Just more than one process checks by itself."""
HASHES = 2 * SIZE


@pytest.fixture(scope="module")
def disk_image(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes]:
    """Write two roots with the same content, and behind them the tree of both."""
    data = os.urandom(SIZE)
    root_hash, hashes = make_tree(data)
    path = tmp_path_factory.mktemp("tree") / "disk.img"
    path.write_bytes(data + data + hashes)
    return path, root_hash


def bad_blocks(image: tuple[Path, bytes], changed: dict[int, bytes]) -> list[tuple[str, int, int]]:
    """Check the disk with some bytes changed; return root, level and number of bad blocks."""
    path, root_hash = image
    opened = Tree(root_hash=root_hash, salt=SALT, blocks=SIZE // BLOCK)
    roots = [
        hash_tree.Root(name=name, tree=opened, data=place, hashes=HASHES)
        for name, place in (("root-a", 0), ("root-b", SIZE))
    ]
    with path.open("r+b") as file, source.opened(path) as disk:
        old = {place: disk.read(place, len(data)) for place, data in changed.items()}
        try:
            for place, data in changed.items():
                os.pwrite(file.fileno(), data, place)
            with hash_tree.checking(disk, roots) as bad:
                found = list(bad)
        finally:
            for place, data in old.items():
                os.pwrite(file.fileno(), data, place)
    starts = [layer.start for layer in roots[0].layers()]
    for each in found:
        first = SIZE if each.root == "root-b" and each.level == 0 else starts[each.level]
        assert each.offset == first + each.number * BLOCK
    return [(each.root, each.level, each.number) for each in found]


def test_two_good_roots_have_no_bad_block(disk_image: tuple[Path, bytes]) -> None:
    assert bad_blocks(disk_image, {}) == []


def test_bad_blocks_of_every_share_come_in_order(disk_image: tuple[Path, bytes]) -> None:
    numbers = [0, 255, 256, 700, 1300, SIZE // BLOCK - 1]

    changed = {number * BLOCK + 17: b"changed" for number in reversed(numbers)}

    assert bad_blocks(disk_image, changed) == [("root-a", 0, number) for number in numbers]


@pytest.mark.parametrize("name", ["root-a", "root-b"])
def test_a_change_in_one_of_two_roots_is_laid_to_that_one(
    disk_image: tuple[Path, bytes], name: str
) -> None:
    place = (SIZE if name == "root-b" else 0) + 1000 * BLOCK

    assert bad_blocks(disk_image, {place: b"changed"}) == [(name, 0, 1000)]


def test_a_changed_tree_is_found_at_the_level_above_and_below(
    disk_image: tuple[Path, bytes],
) -> None:
    lowest = HASHES + 2 * BLOCK

    found = bad_blocks(disk_image, {lowest: bytes(32)})

    assert found == [("root-a", 1, 0), ("root-b", 1, 0), ("root-a", 0, 0), ("root-b", 0, 0)]


def test_more_bad_blocks_than_a_pipe_holds_are_all_found(disk_image: tuple[Path, bytes]) -> None:
    found = bad_blocks(disk_image, {0: bytes(SIZE)})

    assert found == [("root-a", 0, number) for number in range(SIZE // BLOCK)]


def test_a_disk_that_ends_within_the_root_is_malformed(disk_image: tuple[Path, bytes]) -> None:
    path, root_hash = disk_image
    short = path.with_name("short.img")
    short.write_bytes(path.read_bytes()[: -2 * BLOCK])
    opened = Tree(root_hash=root_hash, salt=SALT, blocks=SIZE // BLOCK)
    root = hash_tree.Root(name="root-a", tree=opened, data=0, hashes=HASHES)

    with (
        source.opened(short) as disk,
        hash_tree.checking(disk, [root]) as bad,
        pytest.raises(FormatError, match="the disk ends at"),
    ):
        list(bad)


def test_every_task_is_done_and_the_results_are_in_order() -> None:
    with workers.started(lambda number: number**2, 2_000, 3) as found:
        assert list(found) == [number**2 for number in range(2_000)]


def test_a_process_that_is_killed_is_no_good_result() -> None:
    def job(number: int) -> int:
        if number == 7:
            os.kill(os.getpid(), signal.SIGKILL)
        return number

    with (
        pytest.raises(ToolError, match="ended before it was done"),
        workers.started(job, 100, 2) as found,
    ):
        list(found)


def test_a_process_that_is_killed_while_tasks_are_given_out_is_no_good_result() -> None:
    def job(_number: int) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    with (
        pytest.raises(ToolError, match="ended before it was done"),
        workers.started(job, 200_000, 2) as found,
    ):
        list(found)


def test_a_lack_of_memory_in_a_process_is_no_good_result() -> None:
    def job(number: int) -> int:
        raise MemoryError(number)

    with (
        pytest.raises(ToolError, match="ended before it was done"),
        workers.started(job, 1, 1) as found,
    ):
        list(found)


def test_a_fault_in_a_process_is_no_good_result(capfd: pytest.CaptureFixture[str]) -> None:
    def job(number: int) -> float:
        return (number + 1) / 0

    with workers.started(job, 1, 1) as found, pytest.raises(ZeroDivisionError):
        list(found)
    assert capfd.readouterr().err == ""


def test_processes_end_with_the_context() -> None:
    with workers.started(lambda _: os.getpid(), 100, 1) as found:
        process = next(found)
        os.kill(process, 0)

    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)
