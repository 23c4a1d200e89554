# SPDX-License-Identifier: MIT
"""U-Boot's own host tools, from the source that the reference device's U-Boot is built from.

They are the yardstick of tests and benchmarks: Debian's u-boot-tools leaves out fit_check_sign, and
is of another release than the device.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bootseal import proc
from bootseal.errors import ToolError
from bootseal.reference import cache, sources, uboot

if TYPE_CHECKING:
    from pathlib import Path

    from bootseal.progress import Progress
    from bootseal.reference.apt import Apt

_DEFCONFIG: Final = "tools-only_defconfig"
_NAMES: Final = ("fit_check_sign", "mkimage")
# kbuild leaves the command that linked a program here, with all its objects.
_LINKED: Final = "tools/.fit_check_sign.cmd"
_MAIN: Final = "tools/fit_check_sign.o"
LIBRARY: Final = "libfit.a"
"""All of fit_check_sign but its `main`, for programs that check many FITs in one process."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """Built host tools: `fit_check_sign`, `mkimage` and `LIBRARY` in `directory`."""

    directory: Path
    version: str


def build(source: Apt, *, epoch: int, progress: Progress) -> Tools:
    """Build the tools without any patch of the layer, or take the cached ones.

    Args:
        source: Where the source package comes from.
        epoch: SOURCE_DATE_EPOCH, seconds since 1970.
        progress: Told about the long steps.

    Raises:
        VerificationRefused: The only version to be had is known to be vulnerable.
        ToolError: It cannot be fetched or built.
    """
    package = uboot.find(source)
    inputs = {
        "sources": package.digests,
        "compiler": proc.run("cc", ["--version"], timeout=60).stdout.decode(),
        "epoch": epoch,
    }

    def fill(directory: Path) -> None:
        tree = directory / "source"
        sources.unpack(source, package, tree, [])
        with progress.step(f"U-Boot {package.version}: host tools built"):
            uboot.make(tree, [_DEFCONFIG], epoch=epoch)
            # The one tool that needs GnuTLS, and it is not called here.
            with (tree / ".config").open("a") as config:
                config.write("# CONFIG_TOOLS_MKEFICAPSULE is not set\n")
            uboot.make(tree, ["olddefconfig"], epoch=epoch)
            uboot.make(tree, ["tools-only"], epoch=epoch)
        for name in _NAMES:
            shutil.copy(tree / "tools" / name, directory)
        words = (tree / _LINKED).read_text().split()
        objects = [word for word in words if word.endswith(".o") and word != _MAIN]
        if len(objects) == len(words):
            raise ToolError(f"{_LINKED} does not tell what fit_check_sign is made of")
        proc.run("ar", ["rcs", directory / LIBRARY, *objects], cwd=tree, timeout=60)
        shutil.rmtree(tree)

    found, _ = cache.entry("u-boot-tools", cache.key(inputs, __file__, uboot.__file__), fill)
    return Tools(directory=found, version=package.version)
