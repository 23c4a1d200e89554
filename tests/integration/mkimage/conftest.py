# SPDX-License-Identifier: MIT
"""Keys, and a build directory that wants a signature by them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.integration.mkimage.oe_build import Build

from bootseal.formats.fdt import model as fdt
from bootseal.keys import profile
from bootseal.keys.directory import directory as key_directory
from bootseal.keys.directory import export

if TYPE_CHECKING:
    from pathlib import Path

PROFILE = """\
name = "small"
development = true
[keys.fit]
name = "DEV-fit-1"
algorithm = "sha256,rsa2048"
subject = "CN=DEV fit"
valid_days = 100
storage = "file"
[keys.fit-next]
name = "DEV-fit-2"
algorithm = "sha256,ecdsa256"
subject = "CN=DEV fit 2"
valid_days = 100
storage = "file"
"""


@pytest.fixture(scope="module")
def own_keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("keys")
    (directory / "profile.toml").write_text(PROFILE)
    key_directory.generate(profile.load(directory / "profile.toml"), directory / "own")
    return directory / "own"


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    for name in ("BOOTSEAL_SIGNER", "BOOTSEAL_MKIMAGE", "BOOTSEAL_PIN_FILE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def build(own_keys: Path, tmp_path: Path) -> Build:
    directory = tmp_path / "build"
    directory.mkdir()
    (directory / "linux.bin").write_bytes(bytes(range(256)) * 20)
    (directory / "initramfs").write_bytes(b"initramfs " * 50)
    (directory / "board.dtb").write_bytes(fdt.emit(fdt.Node()))
    export.for_mkimage(own_keys, tmp_path / "keydir", signers={})
    made = Build(directory=directory, keys=tmp_path / "keydir")
    made.assemble()
    return made
