# SPDX-License-Identifier: MIT
"""The boot ROM's code, compiled for this machine."""

from __future__ import annotations

import os

import pytest
from tests.rom import host

from bootseal.errors import BootsealError


@pytest.fixture(scope="session")
def rom() -> host.Programs:
    """The programs; the first build takes a minute.

    Without a way to Debian's source packages it is a skip, and in CI a failure.
    """
    try:
        return host.build()
    except BootsealError as error:
        if os.environ.get("BOOTSEAL_CI") == "1":
            raise
        pytest.skip(f"the boot ROM's code cannot be built: {error}")
