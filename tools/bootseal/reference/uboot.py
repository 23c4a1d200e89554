# SPDX-License-Identifier: MIT
"""U-Boot, built from Debian's source package with the layer's fragments, patches and logic."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bootseal import proc
from bootseal.assembly import fragments
from bootseal.assembly.fragments import FragmentRole
from bootseal.assembly.layer import BOARD_CONFIG, digests
from bootseal.errors import ToolError, VerificationRefused
from bootseal.formats import kconfig
from bootseal.formats.uboot import config as uboot_config
from bootseal.reference import cache

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from bootseal.assembly.layer import Layer
    from bootseal.progress import Progress
    from bootseal.reference.apt import Apt, Download

PACKAGE: Final = "u-boot"
DEFCONFIG: Final = "qemu_arm64_defconfig"
CROSS_COMPILE: Final = "aarch64-linux-gnu-"
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
        version: Version of the source package.
        sources: The files of the source package.
        cached: Whether it was built by an earlier run.
    """

    binary: Path
    config: Path
    version: str
    sources: tuple[Download, ...]
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
    files = source_files(source)
    version = version_of(files)
    patches, environments = layer.uboot_files("*.patch"), layer.uboot_files("*.env")
    board = layer.file(BOARD_CONFIG)
    required = tuple(path for path in layer.uboot_files("*.cfg") if path != board)
    inputs = {
        "sources": {item.file: item.sha256 for item in files},
        "layer": digests(patches) | digests(environments) | digests((*required, board)),
        "compiler": proc.run(f"{CROSS_COMPILE}gcc", ["--version"], timeout=60).stdout.decode(),
        "epoch": epoch,
    }

    def fill(directory: Path) -> None:
        tree = directory / "source"
        with progress.step("U-Boot source fetched and patched"):
            unpack([source.fetch(item) for item in files], tree, patches)
            for path in environments:
                shutil.copy(path, tree / _BOARD)
        with progress.step(f"U-Boot {version} built"):
            compile_tree(tree, required, (board,), epoch=epoch)
        shutil.copy(tree / BINARY, directory)
        shutil.copy(tree / ".config", directory / "config")
        shutil.rmtree(tree)

    code = (__file__, fragments.__file__, kconfig.__file__, uboot_config.__file__)
    key = cache.key(inputs, *code)
    found, cached = cache.entry("u-boot", key, fill)
    return Uboot(
        binary=found / BINARY,
        config=found / "config",
        version=version,
        sources=tuple(files),
        cached=cached,
    )


def source_files(source: Apt) -> list[Download]:
    """Return the archives of the source package.

    The signed index of sources holds the SHA-256 of every file, so the .dsc, which repeats those,
    adds nothing; and the mirrors do not serve it for every version in the index.
    """
    return [f for f in source.source(PACKAGE) if not f.file.endswith((".dsc", ".asc"))]


def version_of(files: Sequence[Download]) -> str:
    """Return the version of the source package.

    Raises:
        ToolError: The files are not those of a usable source package.
        VerificationRefused: The version has a known way round the FIT signature.
    """
    try:
        debian = next(f.file for f in files if ".debian.tar." in f.file)
    except StopIteration:
        raise ToolError(f"Debian's index lists no usable source package {PACKAGE!r}") from None
    version = debian.split("_")[1].split(".debian.tar.")[0]
    try:
        proc.run("dpkg", ["--compare-versions", version, "ge", OLDEST], timeout=60)
    except ToolError:
        raise VerificationRefused(
            f"U-Boot {version} has the FIT signature bypass CVE-2026-46728:"
            f" {OLDEST} or newer is needed"
        ) from None
    return version


def unpack(archives: Sequence[Path], tree: Path, patches: Sequence[Path]) -> None:
    """Unpack a source package and apply Debian's patches, then the layer's.

    Raises:
        ToolError: A patch does not apply.
    """
    tree.mkdir()
    for archive in archives:
        debian = ".debian.tar." in archive.name
        args = [] if debian else ["--strip-components=1"]
        proc.run("tar", ["--extract", "--file", archive, "-C", tree, *args], timeout=300)
    series = (tree / "debian/patches/series").read_text().split("\n")
    names = [line.split()[0] for line in series if line.strip() and not line.startswith("#")]
    for patch in [*(tree / "debian/patches" / name for name in names), *patches]:
        args = ["-p1", "--batch", "--forward", "--fuzz=0", "--no-backup-if-mismatch"]
        try:
            proc.run("patch", [*args, "-i", patch], cwd=tree, timeout=120)
        except ToolError as error:
            raise ToolError(f"{patch.name} does not apply to U-Boot: {error.message}") from error


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
    env: Mapping[str, str] = {
        "SOURCE_DATE_EPOCH": str(epoch),
        "CROSS_COMPILE": CROSS_COMPILE,
        "KBUILD_BUILD_USER": "bootseal",
        "KBUILD_BUILD_HOST": "reference",
    }
    proc.run(
        "make", ["--silent", f"-j{os.cpu_count() or 1}", *targets], cwd=tree, timeout=3600, env=env
    )
