# SPDX-License-Identifier: MIT
"""OE-Core's own do_rootfs makes the layer's image and initramfs of packages, and they start.

With the deb back end, and with OE-Core's busybox. Compiler, kernel and the programs in the other
packages are Debian's (meta-debroot, and tests/layer/README.md).
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.layer.conftest import PACKAGES

if TYPE_CHECKING:
    from tests.layer.conftest import Bootseal, Build

pytestmark = [pytest.mark.bitbake, pytest.mark.timeout(7200)]

CALLED = frozenset(
    [
        "cat",
        "dd",
        "grep",
        "hexdump",
        "insmod",
        "mount",
        "printf",
        "reboot",
        "sed",
        "sh",
        "sleep",
        "switch_root",
        "sync",
    ]
)
"""By the init of the initramfs, and busybox's there."""


def tree(build: Build, image: str) -> Path:
    """Return the root file system that do_rootfs made of an image."""
    return next(build.directory.glob(f"tmp/work/*/{image}/*/rootfs"))


def manifest(build: Build, image: str) -> set[str]:
    """Return the packages that an image has, by its manifest."""
    # Without the time in its name it is a link, to the newest.
    name = f"deploy-{image}-image-complete/{image}-qemuarm64*.manifest"
    found = build.directory.glob(f"tmp/work/*/{image}/*/{name}")
    text = next(each for each in found if each.is_symlink()).read_text()
    return {line.split()[0] for line in text.splitlines()}


def program(root: Path, name: str) -> str:
    """Return the name of the file that a program's links lead to, "" where there is none."""
    for directory in ("usr/bin", "usr/sbin"):
        path = root / directory / name
        while path.is_symlink():
            target = path.readlink()
            path = root / target.relative_to("/") if target.is_absolute() else path.parent / target
        if path.is_file():
            return path.name
    return ""


@pytest.fixture
def built(debroot: Build, packages: str) -> Build:
    """The build directory after both roots were made, without a word."""
    debroot.configure(packages, layers=PACKAGES)
    done = debroot.bitbake("bootseal-initramfs:do_image_complete", "bootseal-image:do_rootfs")
    assert done.code == 0, done.text
    assert done.complaints == []
    return debroot


def test_every_package_that_was_made_is_there_to_be_installed(built: Build) -> None:
    # A part of do_package_write_deb that dies takes its package with it, and nothing fails.
    made = {path.stem for path in built.directory.glob("tmp/pkgdata/qemuarm64/runtime/*.packaged")}
    written = {path.name.split("_")[0] for path in built.directory.glob("tmp/deploy/deb/*/*.deb")}
    assert {"base-files", "busybox", "bootseal-device", "kernel-base", "systemd"} <= made
    assert made - written == set()


def test_root_has_the_packages_of_the_recipes_and_busybox_for_a_shell(built: Build) -> None:
    root, found = tree(built, "bootseal-image"), manifest(built, "bootseal-image")
    assert found >= {
        *("base-files", "bootseal-device", "bootseal-device-data", "bootseal-device-minimal"),
        *("busybox", "cryptsetup-bin", "kernel-base", "kmod", "packagegroup-bootseal", "systemd"),
    }
    assert found.isdisjoint({"bash", "dash", "mawk", "run-postinsts", "update-alternatives-opkg"})
    assert program(root, "sh") == program(root, "awk") == "busybox.nosuid"
    # Both have them, and the whole ones go before.
    assert program(root, "mount") == "mount.util-linux"
    assert program(root, "modprobe") == "kmod"
    assert program(root, "reboot") == "systemctl"
    assert not (root / "var/lib/dpkg").exists()
    assert not (root / "usr/lib/opkg").exists()
    passwd = (root / "etc/passwd").read_text()
    assert "\nsystemd-network:" in passwd
    assert passwd.startswith("root:*:")


def test_initramfs_has_all_that_its_init_calls_and_no_more_than_it_needs(built: Build) -> None:
    root, found = tree(built, "bootseal-initramfs"), manifest(built, "bootseal-initramfs")
    assert found >= {"bootseal-initramfs-init", "busybox", "cryptsetup-bin", "libc6"}
    assert found.isdisjoint({"base-files", "coreutils", "kernel-base", "systemd", "util-linux"})
    assert {name: program(root, name) for name in CALLED} == dict.fromkeys(CALLED, "busybox.nosuid")
    assert program(root, "veritysetup") == "veritysetup"


@pytest.mark.parametrize(
    ("package", "said"),
    [
        ("refused-file", "trying to overwrite '/etc/crypttab'"),
        ("refused-script", "could not be configured offline and rootfs is read-only: ['refused-sc"),
    ],
    ids=["file of another package", "script for the device"],
)
def test_package_that_does_not_fit_ends_the_build(
    debroot: Build, packages: str, package: str, said: str
) -> None:
    extra = f'IMAGE_INSTALL:append:pn-bootseal-image = " {package}"\n'
    debroot.configure(packages + extra, layers=PACKAGES)
    done = debroot.bitbake("bootseal-image:do_rootfs")
    assert done.code != 0
    assert said in done.text


def test_device_made_of_packages_boots_and_stands_attacks(
    built: Build, bootseal: Bootseal, keys: Path, tmp_path: Path
) -> None:
    done = built.bitbake("bootseal-image")
    assert done.code == 0, done.text
    device = tmp_path / "device"
    shutil.copytree(built.deployed / "bootseal-image", device)
    scenarios = ("first-boot", "second-boot", "fit-unsigned", "root-flipped")
    only = [word for name in scenarios for word in ("--scenario", name)]
    options = ("--keys", keys, "--patience", "3", "--json", "-")
    ran = bootseal("boot", "matrix", device, *options, *only)
    assert ran.returncode == 0, ran.stderr
    results = json.loads(ran.stdout)["results"]
    assert {each["id"]: each["verdict"] for each in results} == dict.fromkeys(scenarios, "passed")
