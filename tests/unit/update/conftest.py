# SPDX-License-Identifier: MIT
"""A sample device and a good bundle for it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from tests import update_samples as samples
from tests.unit.check.conftest import Base, make_base

from bootseal.progress import Silent
from bootseal.update import check as update_check

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from bootseal.update.check import BundleVerdict, Wanted


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Base:
    return make_base(tmp_path_factory.mktemp("update-disk"))


@pytest.fixture
def sample(base: Base) -> samples.Bundle:
    keys = samples.keys()
    return samples.Bundle(files=samples.images(base), signer=keys.update, when=keys.when)


@pytest.fixture(scope="session")
def good(base: Base, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    keys = samples.keys()
    made = samples.Bundle(files=samples.images(base), signer=keys.update, when=keys.when)
    return made.to_bytes(tmp_path_factory.mktemp("good") / "files")


@pytest.fixture
def wanted(base: Base) -> Wanted:
    return update_check.for_device(
        base.target,
        samples.keys().authority.certificate,
        lowest=0,
        compatible=samples.COMPATIBLE,
        inside=False,
    )


@pytest.fixture
def verdict(wanted: Wanted, tmp_path: Path) -> Callable[..., BundleVerdict]:
    def run(data: bytes, **changes: object) -> BundleVerdict:
        path = tmp_path / "bundle.raucb"
        path.write_bytes(data)
        return update_check.check(path, replace(wanted, **changes), Silent())  # type: ignore[arg-type]

    return run


@pytest.fixture
def refused(verdict: Callable[..., BundleVerdict]) -> Callable[..., dict[str, str]]:
    """Return the errors: id to the place of the first."""

    def run(data: bytes, **changes: object) -> dict[str, str]:
        found: dict[str, str] = {}
        for each in verdict(data, **changes).errors:
            found.setdefault(each.id, each.where)
        return found

    return run
