# SPDX-License-Identifier: MIT
"""Kernel modules: which ones a set of names needs, in loading order, and copying them."""

from __future__ import annotations

import lzma
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Final

from bootseal import proc
from bootseal.errors import FormatError

DIRECTORY: Final = "usr/lib/modules"
# depmod reads these to tell built-in drivers from missing ones.
_BUILTIN: Final = ("modules.builtin", "modules.builtin.modinfo", "modules.order")


def name_of(path: str) -> str:
    """Return the name the kernel knows a module file by.

    >>> name_of("kernel/drivers/md/dm-verity.ko.xz")
    'dm_verity'
    """
    return PurePosixPath(path).name.split(".")[0].replace("-", "_")


def parse_dependencies(text: str) -> dict[str, tuple[str, ...]]:
    r"""Read `modules.dep`: each module file and the files it needs.

    Raises:
        FormatError: A line has no colon.

    >>> parse_dependencies("a.ko: b.ko c.ko\n")
    {'a.ko': ('b.ko', 'c.ko')}
    """
    found = {}
    for number, line in enumerate(text.splitlines(), start=1):
        path, colon, needs = line.partition(":")
        if not colon:
            raise FormatError(f"modules.dep:{number}: {line!r} has no colon")
        found[path] = tuple(needs.split())
    return found


def closure(names: Iterable[str], dependencies: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    """Return the files of the named modules and all they need, each after what it needs.

    Raises:
        FormatError: The kernel has no such module.
    """
    by_name = {name_of(path): path for path in dependencies}
    ordered: dict[str, None] = {}

    def add(path: str) -> None:
        if path not in ordered:
            for needed in dependencies[path]:
                add(needed)
            ordered[path] = None

    for name in names:
        path = by_name.get(name_of(name))
        if path is None:
            raise FormatError(f"the kernel package has no module {name!r}")
        add(path)
    return tuple(ordered)


def dependencies(tree: Path, release: str, scratch: Path) -> dict[str, tuple[str, ...]]:
    """Run depmod over all modules of the unpacked kernel package.

    Args:
        tree: The unpacked packages, which are not written to.
        release: Kernel release, the name of the modules' directory.
        scratch: An empty directory to work in.
    """
    base = scratch / "lib" / "modules"
    base.mkdir(parents=True)
    shutil.copytree(tree / DIRECTORY / release, base / release, copy_function=_link)
    proc.run("depmod", ["-b", scratch, release], timeout=300)
    return parse_dependencies((base / release / "modules.dep").read_text())


def _link(source: str, target: str) -> None:
    Path(target).symlink_to(source)


def install(tree: Path, release: str, files: Iterable[str], target: Path) -> tuple[str, ...]:
    """Copy modules, uncompressed, and return their paths below `target`.

    They stay signed: the signature is part of the uncompressed file. Whatever holds them is
    compressed as a whole, and xz is slow on the device.

    Args:
        tree: The unpacked packages.
        release: Kernel release.
        files: Paths below the directory of the release.
        target: Root of the tree to copy to.
    """
    source, copied = tree / DIRECTORY / release, []
    for name in files:
        plain = name.removesuffix(".xz")
        data = (source / name).read_bytes()
        path = target / DIRECTORY / release / plain
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(lzma.decompress(data) if plain != name else data)
        copied.append(f"{DIRECTORY}/{release}/{plain}")
    return tuple(copied)


def index(tree: Path, release: str, target: Path) -> None:
    """Write the index files that modprobe needs for the modules installed in `target`."""
    for name in _BUILTIN:
        shutil.copy(tree / DIRECTORY / release / name, target / DIRECTORY / release / name)
    proc.run("depmod", ["-b", target, release], timeout=300)
