# SPDX-License-Identifier: MIT
"""bitbake builds Trusted Firmware-A of meta-arm as a boot ROM, and the firmware that it starts.

The compiler and the kernel are Debian's, as in test_bitbake_build.py.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.layer.conftest import KERNEL_AT_HAND, LAYERS

if TYPE_CHECKING:
    from tests.layer.conftest import Bootseal, Build

pytestmark = [pytest.mark.bitbake, pytest.mark.timeout(7200)]

REQUEST = """\
OE_FRAGMENTS += "bootseal/bootseal/rom"
"""
SCENARIOS = (
    "first-boot",
    "second-boot",
    "firmware-u-boot",
    "firmware-other-rom",
    "firmware-fallback",
)


@pytest.fixture
def layers(oe_sources: Path) -> tuple[Path, ...]:
    """This layer, that of the tests, and the two of meta-arm that Trusted Firmware-A needs."""
    arm = oe_sources / "meta-arm"
    if not arm.is_dir():
        pytest.skip("BOOTSEAL_OE names a directory without meta-arm")
    return (*LAYERS, arm / "meta-arm-toolchain", arm / "meta-arm")


def root_hash(keys: Path) -> bytes:
    """Return the hash of the master root key, as openssl computes it."""
    done = subprocess.run(
        ["openssl", "pkey", "-pubin", "-in", keys / "DEV-mrk.pub", "-outform", "DER"],
        capture_output=True,
        check=True,
    )
    return hashlib.sha256(done.stdout).digest()


def test_the_rom_holds_the_hash_of_the_master_root_key(
    debhost: Build, settings: str, keys: Path, layers: tuple[Path, ...]
) -> None:
    debhost.configure(settings + REQUEST, layers=layers)
    done = debhost.bitbake("trusted-firmware-a:do_deploy")
    assert done.code == 0, done.text
    assert done.complaints == []
    built = debhost.deployed / "trusted-firmware-a"
    assert {path.name for path in built.glob("*.bin")} == {"bl1.bin", "bl2.bin", "bl31.bin"}
    for name in ("bl1.bin", "bl2.bin"):
        assert (built / name).read_bytes().count(root_hash(keys)) == 1


@pytest.fixture
def device(debhost: Build, settings: str, layers: tuple[Path, ...], tmp_path: Path) -> Path:
    """An image with a boot ROM, as bitbake deployed it."""
    debhost.configure(settings + REQUEST + KERNEL_AT_HAND, layers=layers)
    done = debhost.bitbake("bootseal-image")
    assert done.code == 0, done.text
    return Path(shutil.copytree(debhost.deployed / "bootseal-image", tmp_path / "device"))


def test_the_firmware_is_signed_for_this_rom(bootseal: Bootseal, device: Path, keys: Path) -> None:
    described = json.loads((device / "device.json").read_text())
    assert described["firmware"]["mrk"] == root_hash(keys).hex()
    fip, key = device / "firmware.fip", keys / "DEV-mrk.pub"
    assert bootseal("firmware", "verify", fip, "--mrk", key).returncode == 0

    changed = bytearray(fip.read_bytes())
    changed[changed.index((device / "bl31.bin").read_bytes()[4096:4160])] ^= 1
    fip.write_bytes(changed)
    refused = bootseal("firmware", "verify", fip, "--mrk", key)
    assert refused.returncode != 0
    assert "firmware.hash" in refused.stderr + refused.stdout


def test_the_rom_starts_the_firmware_and_stands_the_attacks(
    bootseal: Bootseal, device: Path, keys: Path
) -> None:
    only = [word for name in SCENARIOS for word in ("--scenario", name)]
    done = bootseal("boot", "matrix", device, "--keys", keys, *only, "--json", "-")
    assert done.returncode == 0, done.stderr
    results = json.loads(done.stdout)["results"]
    assert {each["id"]: each["verdict"] for each in results} == dict.fromkeys(SCENARIOS, "passed")


def test_a_rom_without_the_layer_of_trusted_firmware_is_refused(
    debhost: Build, settings: str
) -> None:
    debhost.configure(settings + REQUEST, layers=LAYERS)
    done = debhost.bitbake("-n", "bootseal-image")
    assert done.code != 0
    assert "rom needs the layer meta-arm" in done.text
