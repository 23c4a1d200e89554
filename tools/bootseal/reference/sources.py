# SPDX-License-Identifier: MIT
"""Debian's source packages: found, unpacked with Debian's patches and the layer's, and made."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bootseal import proc
from bootseal.errors import ToolError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bootseal.reference.apt import Apt, Download

CROSS_COMPILE: Final = "aarch64-linux-gnu-"
_AWK: Final = "gawk"
"""What is called awk here: U-Boot's environment is sorted by GNU's alone."""
_PYTHON: Final = "/usr/bin/python3"
_TOOLS: Final = (f"{CROSS_COMPILE}gcc", "gcc", _AWK, "bc", "bison", "dtc", "flex", "make")
_PATCH: Final = ("-p1", "--batch", "--forward", "--fuzz=0", "--no-backup-if-mismatch")


@dataclass(frozen=True, slots=True, kw_only=True)
class SourcePackage:
    """A source package in Debian's signed index.

    Attributes:
        name: Its name.
        version: Its version.
        files: Its archives.
    """

    name: str
    version: str
    files: tuple[Download, ...]

    @property
    def digests(self) -> dict[str, str]:
        """The SHA-256 of each archive by its name."""
        return {item.file: item.sha256 for item in self.files}

    def at_least(self, version: str) -> bool:
        """Tell whether it is of this version or newer, as dpkg compares them.

        Raises:
            ToolError: dpkg is not installed.
        """
        tool = proc.find_tool("dpkg")
        try:
            proc.run(tool, ["--compare-versions", self.version, "ge", version], timeout=60)
        except ToolError:
            return False
        return True


def find(source: Apt, name: str) -> SourcePackage:
    """Return a source package as Debian's index lists it.

    Raises:
        ToolError: The index lists none that can be used.
    """
    return of_files(name, source.source(name))


def of_files(name: str, files: Sequence[Download]) -> SourcePackage:
    """Return the source package that these files make.

    The signed index of sources holds the SHA-256 of every file, so the .dsc, which repeats those,
    adds nothing; and the mirrors do not serve it for every version in the index.

    Raises:
        ToolError: They are not those of a usable source package.
    """
    archives = tuple(f for f in files if not f.file.endswith((".dsc", ".asc")))
    try:
        debian = next(f.file for f in archives if ".debian.tar." in f.file)
    except StopIteration:
        raise ToolError(f"Debian's index lists no usable source package {name!r}") from None
    version = debian.split("_")[1].split(".debian.tar.")[0]
    return SourcePackage(name=name, version=version, files=archives)


def unpack(source: Apt, package: SourcePackage, tree: Path, patches: Sequence[Path]) -> None:
    """Fetch and unpack a source package, and apply Debian's patches, then the layer's.

    Raises:
        ToolError: It cannot be fetched, or a patch does not apply.
    """
    tree.mkdir()
    for archive in [source.fetch(item) for item in package.files]:
        args = [] if ".debian.tar." in archive.name else ["--strip-components=1"]
        proc.run("tar", ["--extract", "--file", archive, "-C", tree, *args], timeout=300)
    lines = (tree / "debian/patches/series").read_text().split("\n")
    names = [line.split()[0] for line in lines if line.strip() and not line.startswith("#")]
    apply(package, tree, [*(tree / "debian/patches" / name for name in names), *patches])


def apply(package: SourcePackage, tree: Path, patches: Sequence[Path]) -> None:
    """Apply patches to an unpacked source package.

    Raises:
        ToolError: A patch does not apply.
    """
    for patch in patches:
        try:
            proc.run("patch", [*_PATCH, "-i", patch], cwd=tree, timeout=120)
        except ToolError as error:
            what = f"{patch.name} does not apply to {package.name} {package.version}"
            raise ToolError(f"{what}: {error.message}") from error


def tools() -> dict[str, str]:
    """Return what each program that makes a binary says of its version: a part of cache keys.

    Raises:
        ToolError: One is not installed.
    """
    return {name: proc.run(name, ["--version"], timeout=60).stdout.decode() for name in _TOOLS}


def make(tree: Path, arguments: Sequence[str], *, env: Mapping[str, str]) -> None:
    """Run make in a source tree, on all processors, with the same awk on every machine.

    Python is Debian's, for which setuptools is installed: a virtual environment may have none.

    Raises:
        ToolError: It failed, or GNU's awk is not installed.
    """
    args = ["--silent", f"-j{os.cpu_count() or 1}", *arguments]
    with tempfile.TemporaryDirectory(prefix="bootseal-make-") as first:
        (Path(first) / "awk").symlink_to(proc.find_tool(_AWK))
        (Path(first) / "python3").symlink_to(_PYTHON)
        path = os.pathsep.join([first, proc.environment()["PATH"]])
        proc.run("make", args, cwd=tree, timeout=3600, env={"PATH": path, **env})
