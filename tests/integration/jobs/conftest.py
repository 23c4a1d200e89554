# SPDX-License-Identifier: MIT
"""A broker with a double of AWS IoT Jobs behind it, and one device."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.integration.jobs import site as sites
from tests.integration.jobs.device import Simulated

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.integration.jobs.site import Site


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with sites.opened(tmp_path) as opened:
        yield opened
        assert opened.plane.refused == []


@pytest.fixture
def device(site: Site, tmp_path: Path) -> Iterator[Simulated]:
    made = Simulated(root=tmp_path / "device", endpoint=site.endpoint("dev-1"))
    made.on()
    yield made
    made.off()
