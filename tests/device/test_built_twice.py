# SPDX-License-Identifier: MIT
"""Two whole builds make the same bytes, with everything different that may differ."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bootseal import device as devices
from bootseal.formats import boot_partition, fip
from bootseal.keys import server
from bootseal.units import KIB

if TYPE_CHECKING:
    from bootseal.device import Device

pytestmark = [pytest.mark.device, pytest.mark.timeout(3600)]
CHUNK = 64 * KIB


@pytest.mark.tool("mawk")
@pytest.mark.tool("taskset")
def test_second_build_is_the_first_to_the_byte(tmp_path: Path) -> None:
    """Another umask, awk, locale, time zone, place, cache, number of processors; the same keys.

    One of these is that of the servers of scenarios, whose certificate the device trusts.
    """
    first = Path(os.environ["BOOTSEAL_DEVICE"])
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/awk").symlink_to(str(shutil.which("mawk")))
    second = tmp_path / "another place"
    shutil.copytree(first / server.BENCH, second / server.BENCH)
    cache = tmp_path / "cache"
    cache.mkdir()
    # The packages themselves: apt compares their digests with its signed index.
    known = Path(os.environ.get("BOOTSEAL_CACHE", Path.home() / ".cache/bootseal")) / "apt"
    # Other builds use it meanwhile; what they are writing has these names.
    changing = shutil.ignore_patterns("partial", "*.bin", "*.bin.*")
    shutil.copytree(known, cache / "apt", symlinks=True, ignore=changing)
    command = [sys.executable, "-c", "from bootseal.cli.app import main; main()"]
    subprocess.run(
        [
            *("taskset", "--cpu-list", "0", *command, "reference", "build", str(second)),
            *("--keys", str(first.absolute() / "keys")),
        ],
        env=os.environ
        | {
            "PATH": f"{tmp_path}/bin:{os.environ['PATH']}",
            "BOOTSEAL_CACHE": str(cache),
            "LC_ALL": "tr_TR.UTF-8",
            "TZ": "Pacific/Kiritimati",
        },
        umask=0o027,
        check=True,
    )
    expected, found = devices.load(first), devices.load(second)
    differ = {r for r, a in found.artefacts.items() if expected.artefacts.get(r) != a}
    # Random salts of PSS, in the certificates of the boot loaders and nowhere else.
    assert differ <= {"firmware", "boot", "disk"}
    assert images(expected, first) == images(found, second)
    assert disk_without_banks(expected, first) == disk_without_banks(found, second)
    assert replace(found, artefacts={}) == replace(expected, artefacts={})


def images(device: Device, directory: Path) -> dict[str, bytes | None]:
    """Return the boot loaders of a FIP, without their certificates."""
    found = fip.parse(device.artefact(directory, "firmware").read_bytes())
    names = [entry.name for entry in found.entries if not entry.name.endswith("-cert")]
    return {name: found.image(name) for name in names}


def disk_without_banks(device: Device, directory: Path) -> str:
    """Return the SHA-256 of a disk, its boot loaders taken for zeros: in banks, and for them."""
    assert device.firmware is not None
    banks = [device.partition(name) for name in device.firmware.banks]
    places = [(bank.offset, bank.end) for bank in banks]
    for boot in (device.partition(slot.boot) for slot in device.slots):
        start = boot.offset + boot_partition.loaders_place(boot.size)
        places.append((start, start + boot_partition.LOADERS_SIZE))
    assert not any(edge % CHUNK for place in places for edge in place)
    digest = hashlib.sha256()
    with device.artefact(directory, "disk").open("rb") as file:
        while chunk := file.read(CHUNK):
            at = file.tell() - len(chunk)
            inside = any(start <= at < end for start, end in places)
            digest.update(bytes(len(chunk)) if inside else chunk)
    return digest.hexdigest()
