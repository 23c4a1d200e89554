# SPDX-License-Identifier: MIT
"""The kernel out of Debian's package, in the form U-Boot starts."""

from __future__ import annotations

import gzip
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bootseal.errors import FormatError
from bootseal.reference import cache, modules

if TYPE_CHECKING:
    from bootseal.reference.packages import Packages

FILE: Final = "Image.gz"
# arm64 Image header: "ARM\x64" at offset 56. Spec: Linux, Documentation/arch/arm64/booting.rst 4.
_MAGIC: Final = b"ARM\x64"
_MAGIC_OFFSET: Final = 56


@dataclass(frozen=True, slots=True, kw_only=True)
class Kernel:
    """The kernel and what its modules need.

    Attributes:
        image: The gzip-compressed arm64 Image.
        release: What `uname -r` says.
        dependencies: Each module file and the files it needs.
    """

    image: Path
    release: str
    dependencies: dict[str, tuple[str, ...]]


def check_image(data: bytes, name: str) -> None:
    """Demand an uncompressed arm64 Image, which is what `bootm` starts after unpacking the gzip.

    Raises:
        FormatError: It is something else.
    """
    if data[_MAGIC_OFFSET : _MAGIC_OFFSET + len(_MAGIC)] != _MAGIC:
        kind = "a self-extracting EFI image" if data[4:8] == b"zimg" else "not an arm64 Image"
        raise FormatError(
            f"{name} is {kind}: expected the magic {_MAGIC!r} at offset {_MAGIC_OFFSET}"
        )


def build(packages: Packages) -> Kernel:
    """Take the kernel from the unpacked packages.

    Raises:
        FormatError: The package holds no kernel, several, or one of an unknown kind.
    """
    found = sorted((packages.tree / "boot").glob("vmlinuz-*"))
    if len(found) != 1:
        names = ", ".join(path.name for path in found) or "none"
        raise FormatError(f"expected one kernel in the packages' /boot, found {names}")
    release = found[0].name.removeprefix("vmlinuz-")

    def make(directory: Path) -> None:
        data = found[0].read_bytes()
        check_image(data, found[0].name)
        (directory / FILE).write_bytes(gzip.compress(data, 9, mtime=0))
        with tempfile.TemporaryDirectory(dir=directory) as scratch:
            modules.dependencies(packages.tree, release, Path(scratch))
            dep = Path(scratch) / "lib" / "modules" / release / "modules.dep"
            dep.replace(directory / "modules.dep")

    key = cache.key({"packages": packages.key}, __file__, modules.__file__)
    directory, _ = cache.entry("kernel", key, make)
    return Kernel(
        image=directory / FILE,
        release=release,
        dependencies=modules.parse_dependencies((directory / "modules.dep").read_text()),
    )
