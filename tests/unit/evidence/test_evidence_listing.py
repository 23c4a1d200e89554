# SPDX-License-Identifier: MIT
"""How much a directory may hold, and still be taken for a release."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bootseal.errors import FormatError
from bootseal.evidence import listing

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("kind", ["files", "empty directories", "links", "statements"])
def test_directory_with_too_much_in_it_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(listing, "_MOST_FILES", 8)
    (tmp_path / listing.FOLDER).mkdir()

    def add(number: int) -> None:
        match kind:
            case "files":
                (tmp_path / f"{number}").touch()
            case "links":
                (tmp_path / f"{number}").symlink_to("nowhere")
            case "statements":
                listing.envelope(tmp_path, f"{number}").touch()
            case _:
                (tmp_path / f"{number}").mkdir()

    for number in range(7):
        add(number)
    assert listing.of(tmp_path).seen == 8
    add(7)
    with pytest.raises(FormatError, match="has more than 8 files and directories"):
        listing.of(tmp_path)


def test_directory_that_is_too_deep_is_refused(tmp_path: Path) -> None:
    deep = tmp_path.joinpath(*["d"] * 16)
    deep.mkdir(parents=True)
    (deep / "file").touch()
    assert list(listing.of(tmp_path).files) == [f"{'d/' * 16}file"]
    (deep / "d").mkdir()
    with pytest.raises(FormatError, match="is deeper than a release is"):
        listing.of(tmp_path)
