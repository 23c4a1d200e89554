# SPDX-License-Identifier: MIT
"""A small application and its image."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests import app_samples as samples

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture(scope="session")
def good(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    directory = tmp_path_factory.mktemp("app")
    return samples.build(samples.tree(directory / "root"), directory / "image").read_bytes()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return samples.tree(tmp_path / "root")


@pytest.fixture
def refused(tmp_path: Path) -> Callable[..., dict[str, str]]:
    """Return the errors: id to the place of the first."""

    def run(data: bytes, name: str = "") -> dict[str, str]:
        path = tmp_path / "image.raw"
        path.write_bytes(data)
        found: dict[str, str] = {}
        for each in samples.check(path, name=name).errors:
            found.setdefault(each.id, each.where)
        return found

    return run
