# SPDX-License-Identifier: MIT
from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bootseal.cli import console
from bootseal.keys import profile

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# RSA-2048 throughout: these tests are about files and chains, not about key sizes.
SMALL = """\
name = "small"
development = true
[keys.root]
name = "DEV-root"
algorithm = "sha256,rsa2048"
subject = "CN=DEV root"
authority = true
valid_days = 100
storage = "file"
[keys.fit]
name = "DEV-fit"
algorithm = "sha256,rsa2048"
subject = "CN=DEV fit"
issuer = "root"
valid_days = 100
storage = "file"
[keys.policy]
name = "DEV-policy"
algorithm = "sha256,rsa2048"
subject = "CN=DEV policy"
valid_days = 10
storage = "file"
"""


@pytest.fixture
def small_toml(tmp_path: Path) -> Path:
    path = tmp_path / "small.toml"
    path.write_text(SMALL)
    return path


@pytest.fixture
def small(small_toml: Path) -> profile.Profile:
    return profile.load(small_toml)


@pytest.fixture(autouse=True)
def _console_of_its_own() -> Iterator[None]:
    """Forget the width that a test gave the console, which is kept with it."""
    yield
    vars(console.out).pop("rich", None)
