# SPDX-License-Identifier: MIT
"""The marker `tool`: a test that needs a program is skipped without it, except in CI.

And U-Boot's own tools, which the first test that wants them builds, or takes from the cache.
"""

from __future__ import annotations

import os
import shutil

import pytest
from hypothesis import settings
from tests import uboot_verdict

from bootseal.errors import BootsealError

# On a busy machine any example may take long.
settings.register_profile("bootseal", deadline=None)
settings.load_profile("bootseal")

_SEARCH_PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip, or in CI fail, a test whose program is not installed."""
    for marker in item.iter_markers("tool"):
        for name in marker.args:
            if shutil.which(name, path=_SEARCH_PATH) is None:
                if os.environ.get("BOOTSEAL_CI") == "1":
                    pytest.fail(f"the program {name} is missing: see bootseal doctor")
                pytest.skip(f"the program {name} is not installed")


@pytest.fixture(scope="session")
def uboot(tmp_path_factory: pytest.TempPathFactory) -> uboot_verdict.Uboot:
    """U-Boot's host tools of the version the reference device has; the first build takes a minute.

    Without a way to Debian's source package it is a skip, and in CI a failure.
    """
    try:
        return uboot_verdict.build(tmp_path_factory.mktemp("uboot"))
    except BootsealError as error:
        if os.environ.get("BOOTSEAL_CI") == "1":
            raise
        pytest.skip(f"U-Boot's tools cannot be had: {error}")
