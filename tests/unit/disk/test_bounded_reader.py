# SPDX-License-Identifier: MIT
"""Programs that read a file system run within bounds, or not at all."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bootseal import proc
from bootseal.disk.filesystems import node
from bootseal.errors import ToolError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("there", "missing"), [("fsck.erofs", "prlimit"), ("prlimit", "fsck.erofs")]
)
def test_missing_program_is_not_taken_for_a_damaged_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: str, missing: str
) -> None:
    (tmp_path / there).write_text("#!/bin/sh\n")
    (tmp_path / there).chmod(0o755)
    monkeypatch.setattr(proc, "_SEARCH_PATH", str(tmp_path))
    with pytest.raises(ToolError, match=f"'{missing}' is not installed") as refusal:
        node.bounded("fsck.erofs", [], cwd=tmp_path, output=tmp_path / "output")
    assert "bootseal doctor" in refusal.value.hint
