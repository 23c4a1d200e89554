# SPDX-License-Identifier: MIT
from __future__ import annotations

import fcntl
import os
from typing import TYPE_CHECKING

import pytest

from bootseal.errors import ToolError, UsageError
from bootseal.progress import Silent
from bootseal.reference import build as reference_build
from bootseal.reference.rootfs import left_out

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def _without_tools(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reference_build, "_TOOLS", ())


@pytest.mark.usefixtures("_without_tools")
def test_directory_with_other_files_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("important")

    with pytest.raises(UsageError, match="neither empty nor a built device"):
        reference_build.build(tmp_path, progress=Silent())

    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


@pytest.mark.usefixtures("_without_tools")
def test_file_in_place_of_the_directory_is_refused(tmp_path: Path) -> None:
    target = tmp_path / "file"
    target.touch()

    with pytest.raises(UsageError, match="exists and is not a directory"):
        reference_build.build(target, progress=Silent())


@pytest.mark.usefixtures("_without_tools")
def test_second_build_in_the_same_directory_is_refused(tmp_path: Path) -> None:
    handle = os.open(tmp_path, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        with pytest.raises(UsageError, match="another build is writing"):
            reference_build.build(tmp_path, progress=Silent())
    finally:
        os.close(handle)


def test_missing_programs_are_all_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reference_build, "_TOOLS", ("no-such-one", "sh", "no-such-two"))

    with pytest.raises(ToolError, match="not installed: no-such-one, no-such-two") as caught:
        reference_build.build(tmp_path, progress=Silent())

    assert "bootseal doctor" in caught.value.hint


@pytest.mark.parametrize("time", ["yesterday", "", "-1", "4294967296", "1" * 5000])
def test_time_that_is_no_number_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, time: str
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", time)

    with pytest.raises(UsageError, match=f"SOURCE_DATE_EPOCH is '{time[:80]}': expected seconds"):
        reference_build.build(tmp_path, progress=Silent())


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("usr/share/doc", True),
        ("usr/lib/systemd/system-generators/systemd-getty-generator", True),
        ("usr/lib/systemd/system/serial-getty@.service", True),
        ("usr/lib/systemd/system-preset/90-systemd.preset", True),
        ("usr/lib/systemd/systemd", False),
        ("usr/lib/systemd/system/systemd-cryptsetup@.service", False),
        ("usr/sbin/cryptsetup", False),
        ("etc/passwd", False),
    ],
)
def test_left_out_keeps_what_the_device_runs(path: str, expected: bool) -> None:  # noqa: FBT001
    assert left_out(path) is expected


@pytest.mark.usefixtures("_without_tools")
def test_too_little_space_is_said_before_anything_is_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BOOTSEAL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(reference_build, "_ROOM_FOR_NEW_CACHE", 1 << 60)

    with pytest.raises(ToolError, match=r"cache has .* free: the build needs"):
        reference_build.build(tmp_path / "device", progress=Silent())

    assert list((tmp_path / "cache").iterdir()) == []
