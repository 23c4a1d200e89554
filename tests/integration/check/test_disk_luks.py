# SPDX-License-Identifier: MIT
"""LUKS2 headers as cryptsetup writes them, and as it describes them."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

import pytest

from bootseal.check import data_partition
from bootseal.device import Partition
from bootseal.disk import image as source
from bootseal.errors import FormatError
from bootseal.formats import luks2

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.tool("cryptsetup")
SIZE = 32 << 20


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "data"
    with path.open("wb") as file:
        file.truncate(SIZE)
    (tmp_path / "passphrase").write_text("never used again")
    run("luksFormat", "-q", "--type=luks2", "--pbkdf=pbkdf2", "--pbkdf-force-iterations=1000", path)
    return path


def run(verb: str, *args: object) -> bytes:
    path = args[-1]
    key = [f"--key-file={path}".replace("/data", "/passphrase")] if verb == "luksFormat" else []
    argv = ["/sbin/cryptsetup", verb, *key, *map(str, args)]
    return subprocess.run(argv, check=True, capture_output=True).stdout


def test_metadata_are_those_cryptsetup_shows(image: Path) -> None:
    token = image.with_name("token.json")
    token.write_text('{"type": "systemd-recovery", "keyslots": ["0"]}')
    run("token", "import", "--json-file", token, image)

    found = luks2.parse(image.read_bytes()[: 1 << 20])

    assert found.metadata == json.loads(run("luksDump", "--dump-json-metadata", image))
    assert found.uuid == run("luksUUID", image).decode().strip()
    assert [t.type for t in found.tokens] == ["systemd-recovery"]


def test_damage_that_cryptsetup_mends_is_refused(image: Path) -> None:
    with image.open("r+b") as file:
        file.seek(0x4000 + 5000)
        file.write(b"\xff")

    with pytest.raises(FormatError, match="header at 16384 does not match its checksum"):
        luks2.parse(image.read_bytes()[: 1 << 20])


def test_partition_with_a_passphrase_is_refused(image: Path) -> None:
    entry = Partition(number=8, name="data", type="", uuid="", offset=0, size=SIZE)

    with source.opened(image) as disk:
        found = {finding.id for finding in data_partition.check(disk, entry, None)}

    assert {"disk.data-passphrase", "disk.data-no-tpm"} <= found


def test_empty_partition_is_accepted_and_any_other_is_not(tmp_path: Path) -> None:
    entry = Partition(number=8, name="data", type="", uuid="", offset=0, size=SIZE)
    path = tmp_path / "empty"
    with path.open("wb") as file:
        file.truncate(SIZE)
    with source.opened(path) as disk:
        assert list(data_partition.check(disk, entry, None)) == []
    with path.open("r+b") as file:
        file.seek(SIZE - 1)
        file.write(b"x")
    with source.opened(path) as disk:
        (found,) = data_partition.check(disk, entry, None)
    assert found.id == "disk.data-header"
