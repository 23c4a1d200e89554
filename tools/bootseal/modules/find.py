# SPDX-License-Identifier: MIT
"""Kernel modules as files: found in directories, and told from what is none."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bootseal.check.rootfs.programs import MODULES
from bootseal.errors import FormatError, UsageError
from bootseal.formats import elf

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_MOST: Final = 20_000
_SECTIONS: Final = frozenset({b".modinfo", b".gnu.linkonce.this_module"})
"""What each module has, and nothing else: what it says of itself, and its `struct module`."""


def find(paths: Sequence[Path]) -> tuple[Path, ...]:
    """Return files that are named, and those in directories that are called like modules.

    In directories, links are not followed.

    Raises:
        UsageError: A directory has none, there are too many, or something does not exist.
        OSError: A directory cannot be read.
    """
    found: dict[Path, None] = {}
    for path in paths:
        if not path.exists():
            raise UsageError(f"there is no {path}: expected a kernel module or a directory")
        here = _below(path) if path.is_dir() else [path]
        count = len(found)
        for each in here:
            found[each] = None
            if len(found) > _MOST:
                raise UsageError(f"there are more than {_MOST} kernel modules")
        if path.is_dir() and len(found) == count:
            raise UsageError(f"{path} has no files called *{', *'.join(MODULES)}")
    return tuple(found)


def _below(directory: Path) -> Iterator[Path]:
    def stop(error: OSError) -> None:
        raise error

    for place, directories, files in os.walk(directory, onerror=stop):
        directories.sort()
        for name in sorted(files):
            path = Path(place) / name
            if name.endswith(MODULES) and not path.is_symlink():
                yield path


def demand_module(content: bytes, name: str) -> None:
    """Demand a kernel module.

    Args:
        content: The file, decompressed, without a signature.
        name: What messages call it.

    Raises:
        FormatError: It is something else, or damaged.
    """
    try:
        sections = elf.sections(content)
    except FormatError as error:
        raise FormatError(f"{name} is not a kernel module: {error.message}") from error
    if sections is None:
        raise FormatError(f"{name} is not a kernel module: it is an ELF file of another type")
    if missing := sorted(_SECTIONS - sections):
        raise FormatError(
            f"{name} is not a kernel module: it has no section {missing[0].decode()}",
            hint="sign what modpost made, NAME.ko, and not NAME.o",
        )
