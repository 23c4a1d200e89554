# SPDX-License-Identifier: MIT
"""U-Boot, built from Debian's source package with the layer's fragments, patches and logic."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bootseal.assembly import fragments
from bootseal.assembly.fragments import FragmentRole
from bootseal.assembly.layer import BOARD, digests
from bootseal.errors import VerificationRefused
from bootseal.formats import kconfig
from bootseal.formats.uboot import config as uboot_config
from bootseal.reference import cache, sources
from bootseal.reference.sources import CROSS_COMPILE

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from bootseal.assembly.layer import Layer
    from bootseal.progress import Progress
    from bootseal.reference.apt import Apt
    from bootseal.reference.sources import SourcePackage

PACKAGE: Final = "u-boot"
DEFCONFIG: Final = "qemu_arm64_defconfig"
BINARY: Final = "u-boot-nodtb.bin"
# CVE-2026-46728: older versions let the FIT say which of its nodes the signature covers.
OLDEST: Final = "2025.01-3+deb13u1"
# The board's own directory: CONFIG_ENV_SOURCE_FILE names a file here without its suffix.
_BOARD: Final = "board/emulation/qemu-arm"


@dataclass(frozen=True, slots=True, kw_only=True)
class Uboot:
    """A built U-Boot without its control device tree.

    Attributes:
        binary: `u-boot-nodtb.bin`.
        config: The finished `.config`.
        package: The source package.
        cached: Whether it was built by an earlier run.
    """

    binary: Path
    config: Path
    package: SourcePackage
    cached: bool


def build(source: Apt, layer: Layer, *, epoch: int, progress: Progress) -> Uboot:
    """Build U-Boot, or take the cached build of the same inputs.

    Args:
        source: Where the source package comes from.
        layer: Where fragments, patches and boot logic come from.
        epoch: SOURCE_DATE_EPOCH, seconds since 1970.
        progress: Told about the long steps.

    Raises:
        VerificationRefused: The only version to be had is known to be vulnerable, a fragment's
            setting did not stick, or two fragments contradict each other.
        FormatError: A fragment is malformed.
        ToolError: It cannot be fetched or built.
    """
    package = find(source)
    patches, environments = layer.uboot_files("*.patch"), layer.uboot_files("*.env")
    board = tuple(map(layer.file, BOARD.configs))
    others = {*board, *map(layer.file, BOARD.others)}
    required = tuple(path for path in layer.uboot_files("*.cfg") if path not in others)
    inputs = {
        "sources": package.digests,
        "layer": digests(patches) | digests(environments) | digests((*required, *board)),
        "tools": sources.tools(),
        "epoch": epoch,
    }

    def fill(directory: Path) -> None:
        tree = directory / "source"
        with progress.step("U-Boot source fetched and patched"):
            sources.unpack(source, package, tree, patches)
            for path in environments:
                shutil.copy(path, tree / _BOARD)
        with progress.step(f"U-Boot {package.version} built"):
            compile_tree(tree, required, board, epoch=epoch)
        shutil.copy(tree / BINARY, directory)
        shutil.copy(tree / ".config", directory / "config")
        shutil.rmtree(tree)

    code = (__file__, sources.__file__, fragments.__file__, kconfig.__file__, uboot_config.__file__)
    key = cache.key(inputs, *code)
    found, cached = cache.entry("u-boot", key, fill)
    return Uboot(
        binary=found / BINARY,
        config=found / "config",
        package=package,
        cached=cached,
    )


def find(source: Apt) -> SourcePackage:
    """Return the source package, if it is safe to build.

    Raises:
        ToolError: Debian's index lists none.
        VerificationRefused: The version has a known way round the FIT signature.
    """
    return safe(sources.find(source, PACKAGE))


def safe(package: SourcePackage) -> SourcePackage:
    """Return the package.

    Raises:
        VerificationRefused: The version has a known way round the FIT signature.
    """
    if not package.at_least(OLDEST):
        raise VerificationRefused(
            f"U-Boot {package.version} has the FIT signature bypass CVE-2026-46728:"
            f" {OLDEST} or newer is needed"
        )
    return package


def compile_tree(
    tree: Path, required: Sequence[Path], board: Sequence[Path], *, epoch: int
) -> None:
    """Configure and compile an unpacked source tree.

    Args:
        tree: The sources.
        required: Kconfig fragments whose settings must hold.
        board: Kconfig fragments that may only add to them.
        epoch: SOURCE_DATE_EPOCH, seconds since 1970.

    Raises:
        VerificationRefused: A fragment's setting did not stick, or two contradict each other.
        FormatError: A fragment is malformed.
        ToolError: The compiler failed.
    """
    given = [fragments.read(path, FragmentRole.REQUIRED) for path in required]
    given += [fragments.read(path, FragmentRole.BOARD) for path in board]
    # `all` ends with a check that the board takes its device tree from QEMU's memory, which is
    # what the fragments switch off on purpose: the tree with the key is part of the binary.
    make(tree, [DEFCONFIG], epoch=epoch)
    with (tree / ".config").open("a") as config:
        config.writelines(f"\n{path.read_text()}\n" for path in (*required, *board))
    make(tree, ["olddefconfig"], epoch=epoch)
    finished = tree / ".config"
    found = fragments.problems(finished, given, uboot=True, sources=tree)
    fragments.refuse(found, finished)
    make(tree, [BINARY], epoch=epoch)


def make(tree: Path, targets: Sequence[str], *, epoch: int) -> None:
    """Run make in a source tree, with the cross compiler and nothing of today in the result.

    Raises:
        ToolError: It failed.
    """
    env = {
        "SOURCE_DATE_EPOCH": str(epoch),
        "CROSS_COMPILE": CROSS_COMPILE,
        "KBUILD_BUILD_USER": "bootseal",
        "KBUILD_BUILD_HOST": "reference",
    }
    sources.make(tree, targets, env=env)
