# SPDX-License-Identifier: MIT
"""The marker `tool`: a test that needs a program is skipped without it, except in CI."""

from __future__ import annotations

import os
import shutil

import pytest

_SEARCH_PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip, or in CI fail, a test whose program is not installed."""
    for marker in item.iter_markers("tool"):
        for name in marker.args:
            if shutil.which(name, path=_SEARCH_PATH) is None:
                if os.environ.get("BOOTSEAL_CI") == "1":
                    pytest.fail(f"the program {name} is missing: see bootseal doctor")
                pytest.skip(f"the program {name} is not installed")
