# SPDX-License-Identifier: MIT
"""LUKS2 headers as cryptsetup writes them, and as it describes them."""

from __future__ import annotations

import json
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from tests.vectors import luks2_headers as headers

from bootseal.check.data import check as data_partition
from bootseal.device import Partition
from bootseal.disk.image import Disk
from bootseal.errors import FormatError
from bootseal.findings.model import Severity
from bootseal.formats import luks2

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.tool("cryptsetup")
SIZE = 32 << 20


@contextmanager
def opened(path: Path) -> Iterator[Disk]:
    """Open a volume as if it were a disk, which the reader of disk images refuses."""
    with path.open("rb") as file:
        yield Disk(name=path, path=path, size=SIZE, descriptor=file.fileno())


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

    with opened(image) as disk:
        found = {finding.id for finding in data_partition.check(disk, entry, None)}

    assert {"disk.data-passphrase", "disk.data-no-tpm"} <= found


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """The header of a device that was booted with the provisioning station."""
    path = tmp_path / "data"
    path.write_bytes(headers.binary(headers.escrowed()))
    with path.open("r+b") as file:
        file.truncate(SIZE)
    return path


def errors(path: Path) -> list[str]:
    entry = Partition(number=8, name="data", type="", uuid="", offset=0, size=SIZE)
    with opened(path) as disk:
        found = list(data_partition.check(disk, entry, headers.policy_key()))
    return [each.id for each in found if each.severity is Severity.ERROR]


def test_rotation_asked_for_is_accepted(made: Path) -> None:
    token = made.with_name("token.json")
    token.write_text('{"type":"bootseal-rotate","keyslots":[]}')
    run("token", "import", "--json-file", token, made)

    assert luks2.parse(made.read_bytes()[: 1 << 20]).sequence == 8
    assert errors(made) == []


def test_wipe_cut_off_after_the_keys_is_accepted(made: Path) -> None:
    run("luksErase", "--batch-mode", made)

    assert luks2.parse(made.read_bytes()[: 1 << 20]).keyslots == ()
    assert errors(made) == []


def test_wiped_partition_on_a_disk_that_keeps_blocks_is_accepted(made: Path) -> None:
    with made.open("r+b") as file:
        file.write(bytes(16 << 20))
        file.write(b"left")

    assert errors(made) == []


@pytest.mark.parametrize("gone", ["recovery", "tpm2"])
def test_key_slot_killed_by_hand_is_told_from_the_stages(made: Path, gone: str) -> None:
    run("luksKillSlot", "--batch-mode", made, "1" if gone == "recovery" else "0")

    assert errors(made) == ["disk.data-token" if gone == "recovery" else "disk.data-no-tpm"]


def test_label_given_to_the_volume_is_refused(made: Path) -> None:
    run("config", "--label=root", made)

    assert errors(made) == ["disk.data-metadata"]


def test_empty_partition_is_accepted_and_any_other_is_not(tmp_path: Path) -> None:
    entry = Partition(number=8, name="data", type="", uuid="", offset=0, size=SIZE)
    path = tmp_path / "empty"
    with path.open("wb") as file:
        file.truncate(SIZE)
    with opened(path) as disk:
        assert list(data_partition.check(disk, entry, None)) == []
    with path.open("r+b") as file:
        file.seek(SIZE - 1)
        file.write(b"x")
    with opened(path) as disk:
        (found,) = data_partition.check(disk, entry, None, declared=True)
    assert found.id == "disk.data-header"
