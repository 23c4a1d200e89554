# SPDX-License-Identifier: MIT
from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bootseal.errors import ToolError
from bootseal.reference.apt import host_mirror

if TYPE_CHECKING:
    from pathlib import Path

DEB822 = """\
Types: deb
# http://old.example/archive/debian/20250520T000000Z
URIs: http://mirror.example/debian
Suites: bookworm
"""


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("sources.list.d/debian.sources", DEB822),
        ("sources.list", "deb http://mirror.example/debian bookworm main\n"),
        ("sources.list", "deb [signed-by=/k.gpg] http://mirror.example/debian/ bookworm main\n"),
        ("sources.list", "# deb http://off.example/debian x\ndeb http://mirror.example/debian x\n"),
    ],
    ids=["deb822", "line", "options", "comment"],
)
def test_host_mirror_is_read_from_the_hosts_sources(tmp_path: Path, name: str, text: str) -> None:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    assert host_mirror(tmp_path) == "http://mirror.example"


def test_host_without_debian_sources_is_told_what_to_set(tmp_path: Path) -> None:
    (tmp_path / "sources.list").write_text("deb http://mirror.example/debian-security x main\n")
    with pytest.raises(ToolError, match="names a mirror") as refusal:
        host_mirror(tmp_path)
    assert "BOOTSEAL_DEBIAN_MIRROR" in refusal.value.hint
