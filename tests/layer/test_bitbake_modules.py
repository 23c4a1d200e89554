# SPDX-License-Identifier: MIT
"""Kernel modules in a root file system that bitbake makes are signed there, and nowhere before.

Modules and root file system are Debian's, as in test_bitbake_build.py: this is about the task.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
from tests.layer.conftest import FRAGMENTS, KERNEL_AT_HAND, LAYERS

if TYPE_CHECKING:
    from tests.layer.conftest import Bootseal, Build

pytestmark = [pytest.mark.bitbake, pytest.mark.timeout(7200)]

SIGN: Final = "bootseal_modules_sign"
UNSIGNED: Final = "debhost_unsigned_modules"


def root(build: Build, local: str, *commands: str) -> tuple[str, Path]:
    """Make the root file system, with these commands at its end; return errors, if any, and it."""
    more = f'DEBHOST_COMMANDS:append:pn-bootseal-image = " {" ".join(commands)}"\n'
    fragment = f'OE_FRAGMENTS += "{FRAGMENTS}/modules"\n'
    build.configure(local + KERNEL_AT_HAND + fragment + more, layers=LAYERS)
    place = build.values("bootseal-image", "IMAGE_ROOTFS")["IMAGE_ROOTFS"]
    done = build.bitbake("-c", "rootfs", "bootseal-image")
    return done.text if done.code else "", Path(place)


def test_modules_of_the_root_are_signed(
    debhost: Build, settings: str, keys: Path, bootseal: Bootseal, tmp_path: Path
) -> None:
    problem, tree = root(debhost, settings, UNSIGNED, SIGN)
    assert not problem
    modules = tmp_path / "modules"
    shutil.copytree(tree / "usr/lib/modules", modules, symlinks=True)
    done = bootseal("modules", "check", modules, "--keys", keys)
    assert done.returncode == 0, done.stderr
    changed = next(iter(sorted(modules.rglob("*.ko"))))
    changed.write_bytes(changed.read_bytes().replace(b"license=GPL", b"license=BSD"))
    done = bootseal("modules", "check", modules, "--keys", keys)
    assert done.returncode == 3
    assert "module.signature" in done.stderr


def test_modules_that_another_key_signed_end_the_build(debhost: Build, settings: str) -> None:
    problem, _ = root(debhost, settings, SIGN)
    assert "is signed already" in problem
