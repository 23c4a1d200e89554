# SPDX-License-Identifier: MIT
"""What the built device starts from is what its bill of materials has CPEs for."""

from __future__ import annotations

import gzip
import subprocess
from typing import TYPE_CHECKING

import pytest

from bootseal import device as devices
from bootseal.evidence import products

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.device, pytest.mark.tool("cpio")]

PACKAGES = {
    "busybox": "busybox-static",
    "veritysetup": "cryptsetup-bin",
    "libblkid.so.1": "libblkid1",
    "libc.so.6": "libc6",
    "libcap.so.2": "libcap2",
    "libcrypto.so.3": "libssl3t64",
    "libcryptsetup.so.12": "libcryptsetup12",
    "libdevmapper.so.1.02.1": "libdevmapper1.02.1",
    "libjson-c.so.5": "libjson-c5",
    "libm.so.6": "libc6",
    "libpcre2-8.so.0": "libpcre2-8-0",
    "libpopt.so.0": "libpopt0",
    "libselinux.so.1": "libselinux1",
    "libudev.so.1": "libudev1",
    "libuuid.so.1": "libuuid1",
    "libz.so.1": "zlib1g",
    "libzstd.so.1": "libzstd1",
    "ld-linux-aarch64.so.1": "libc6",
}
"""Debian's packages of the programs and libraries in the initramfs."""


def programs(initramfs: Path) -> set[str]:
    """Return the names of what can run in an initramfs, but for the layer's `init`."""
    data = gzip.decompress(initramfs.read_bytes())
    done = subprocess.run(["cpio", "-it", "--quiet"], input=data, capture_output=True, check=True)
    names = done.stdout.decode().split()
    folders = ("usr/bin/", "usr/sbin/", "usr/lib/")
    return {
        name.rpartition("/")[2]
        for name in names
        if name.startswith(folders)
        and not name.startswith("usr/lib/modules")
        and not any(other.startswith(f"{name}/") for other in names)
    }


def test_every_program_of_the_initramfs_has_a_name_that_scanners_know(directory: Path) -> None:
    device = devices.load(directory)
    inside = programs(directory / device.artefacts["initramfs"].path)
    assert inside == PACKAGES.keys()
    named = {each.name for each in device.inputs if products.identifiers(each)}
    assert set(PACKAGES.values()) - named == set()


def test_boot_loaders_and_kernel_have_names_that_scanners_know(directory: Path) -> None:
    device = devices.load(directory)
    assert len([each for each in device.inputs if products.is_kernel(each)]) == 1
    assert all(products.identifiers(each) for each in device.inputs if products.is_kernel(each))
    sources = {each.name: each for each in device.inputs if "arch=source" in each.purl}
    assert sources.keys() == products.COMPONENTS.keys()
    for name, component in products.COMPONENTS.items():
        version = products.source_version(sources[name])
        assert products.cpes(component.products, version)
