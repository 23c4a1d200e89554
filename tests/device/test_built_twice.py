# SPDX-License-Identifier: MIT
"""Two whole builds make the same bytes, with everything different that may differ.

Takes minutes, so it is started by hand: BOOTSEAL_TWICE=1 (docs/device.md).
"""

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
from bootseal.formats import fip
from bootseal.units import MIB

if TYPE_CHECKING:
    from bootseal.device import Device

pytestmark = [
    pytest.mark.device,
    pytest.mark.skipif("BOOTSEAL_TWICE" not in os.environ, reason="BOOTSEAL_TWICE is not set"),
    pytest.mark.timeout(3600),
]


@pytest.mark.tool("mawk")
@pytest.mark.tool("taskset")
def test_second_build_is_the_first_to_the_byte(tmp_path: Path) -> None:
    """Another umask, awk, locale, time zone, place, cache, number of processors; the same keys."""
    first = Path(os.environ["BOOTSEAL_DEVICE"])
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/awk").symlink_to(str(shutil.which("mawk")))
    second = tmp_path / "another place"
    cache = tmp_path / "cache"
    cache.mkdir()
    # The packages themselves: apt compares their digests with its signed index.
    known = Path(os.environ.get("BOOTSEAL_CACHE", Path.home() / ".cache/bootseal")) / "apt"
    shutil.copytree(known, cache / "apt", symlinks=True)
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
    assert differ <= {"firmware", "disk"}
    assert images(expected, first) == images(found, second)
    assert disk_without_banks(expected, first) == disk_without_banks(found, second)
    assert replace(found, artefacts={}) == replace(expected, artefacts={})


def images(device: Device, directory: Path) -> dict[str, bytes | None]:
    """Return the boot loaders of a FIP, without their certificates."""
    found = fip.parse(device.artefact(directory, "firmware").read_bytes())
    names = [entry.name for entry in found.entries if not entry.name.endswith("-cert")]
    return {name: found.image(name) for name in names}


def disk_without_banks(device: Device, directory: Path) -> str:
    """Return the SHA-256 of a disk, its banks of boot loaders taken for zeros."""
    assert device.firmware is not None
    banks = [device.partition(name) for name in device.firmware.banks]
    digest = hashlib.sha256()
    with device.artefact(directory, "disk").open("rb") as file:
        while chunk := file.read(MIB):
            start = file.tell() - len(chunk)
            inside = any(bank.offset <= start < bank.end for bank in banks)
            digest.update(bytes(len(chunk)) if inside else chunk)
    return digest.hexdigest()
