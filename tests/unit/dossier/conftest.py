# SPDX-License-Identifier: MIT
"""Two releases with all that goes with one; the root of their disk is not a file system."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
from tests import evidence_samples
from tests.unit.check.conftest import make_base

from bootseal.dossier.collect import Asked, collect
from bootseal.evidence.verify import Wanted
from bootseal.progress import Silent

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from bootseal.dossier.model import Dossier


@pytest.fixture(scope="session")
def complete(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a release; nothing is to be changed in it."""
    base = make_base(tmp_path_factory.mktemp("disk"))
    directory = tmp_path_factory.mktemp("complete") / "1.0"
    return evidence_samples.sign(evidence_samples.device(base, directory, "1.0"))


@pytest.fixture
def release(complete: Path, tmp_path: Path) -> Path:
    """Return a copy of it, which may be changed."""
    return shutil.copytree(complete, tmp_path / "release")


@pytest.fixture
def gathered() -> Callable[..., Dossier]:
    """Collect what is known of a release, with the right key if no other is given."""

    def run(directory: Path, *, before: Path | None = None, **changes: object) -> Dossier:
        values = {"key": evidence_samples.signer().public_key, "release": "1.0"} | changes
        wanted = Wanted(**values) if values["key"] else None  # type: ignore[arg-type]
        return collect(Asked(directory=directory, wanted=wanted, before=before), Silent())

    return run
