# SPDX-License-Identifier: MIT
"""Two releases of one device with evidence by one key, and what verifies them."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, NamedTuple

import pytest
from tests import evidence_samples as samples
from tests.unit.check.conftest import make_base

from bootseal.evidence import verify
from bootseal.evidence.verify import Wanted

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class Releases(NamedTuple):
    """Directories; nothing is to be changed in them."""

    first: Path
    second: Path


@pytest.fixture(scope="session")
def releases(tmp_path_factory: pytest.TempPathFactory) -> Releases:
    top = tmp_path_factory.mktemp("releases")
    found = []
    for name in ("1.0", "2.0"):
        base = make_base(tmp_path_factory.mktemp("disk"))
        found.append(samples.sign(samples.device(base, top / name, name), name))
    return Releases(*found)


@pytest.fixture
def release(releases: Releases, tmp_path: Path) -> Path:
    """Return a copy of the first release, which may be changed."""
    return shutil.copytree(releases.first, tmp_path / "release")


@pytest.fixture
def refused() -> Callable[..., dict[str, str]]:
    """Return the errors: id to the place of the first."""

    def run(directory: Path, **changes: str) -> dict[str, str]:
        wanted = Wanted(key=samples.signer().public_key, **changes)
        found: dict[str, str] = {}
        for each in verify.verify(directory, wanted).errors:
            found.setdefault(each.id, each.where)
        return found

    return run
