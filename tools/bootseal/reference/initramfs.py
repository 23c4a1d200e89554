# SPDX-License-Identifier: MIT
"""The initramfs: busybox, veritysetup, a handful of kernel modules and the layer's `init`."""

from __future__ import annotations

import gzip
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from elftools.common.exceptions import ELFError
from elftools.elf.dynamic import DynamicSection
from elftools.elf.elffile import ELFFile
from elftools.elf.segments import InterpSegment

from bootseal import device
from bootseal.assembly import layer
from bootseal.errors import FormatError
from bootseal.formats import cpio
from bootseal.reference import cache, modules

if TYPE_CHECKING:
    from bootseal.assembly.layer import Layer
    from bootseal.reference.kernel import Kernel
    from bootseal.reference.packages import Packages

FILE: Final = "initramfs.cpio.gz"
# What `init` needs before it has a root file system: the disk, dm-verity with the processor's own
# instructions for its digests, and the TPM, which remembers the oldest release accepted. And a
# watchdog, which systemd opens before anything else could load its driver.
MODULES: Final = (
    "virtio_mmio", "virtio_blk", "dm-verity", "erofs", "sha2-ce", "tpm_tis", "softdog",
)  # fmt: skip
PROGRAMS: Final = ("usr/bin/busybox", "usr/sbin/veritysetup")
# The loader is asked for as /lib/ld-linux-aarch64.so.1, so its directory comes first.
_LIBRARY_DIRECTORIES: Final = ("usr/lib", "usr/lib/aarch64-linux-gnu")
_LINKS: Final = {"bin": "usr/bin", "sbin": "usr/sbin", "lib": "usr/lib"}
_DEVICES: Final = {"console": (5, 1), "null": (1, 3)}


def build(layer_files: Layer, packages: Packages, kernel: Kernel, *, epoch: int) -> Path:
    """Make the initramfs, or take the cached one of the same inputs.

    Returns:
        A gzip-compressed cpio archive.

    Raises:
        UsageError: The layer has no `init`.
        FormatError: A program, library or module is missing in the packages.
    """
    init = layer_files.file(layer.INITRAMFS_INIT)
    inputs = {"packages": packages.key, "init": device.digest_file(init), "epoch": epoch}

    def make(directory: Path) -> None:
        with tempfile.TemporaryDirectory(dir=directory) as scratch:
            entries = _entries(init, packages, kernel, Path(scratch))
        archive = cpio.pack(entries, epoch=epoch)
        (directory / FILE).write_bytes(gzip.compress(archive, 9, mtime=0))

    key = cache.key(inputs, __file__, cpio.__file__, modules.__file__)
    return cache.entry("initramfs", key, make)[0] / FILE


def _entries(init: Path, packages: Packages, kernel: Kernel, scratch: Path) -> list[cpio.Entry]:
    """List the files; `/etc/modules` names the modules in loading order, for `init`."""
    files = {"init": (init.read_bytes(), 0o755)}
    for name in [*PROGRAMS, *libraries(packages.tree, PROGRAMS)]:
        files[name] = ((packages.tree / name).read_bytes(), 0o755)
    wanted = modules.closure(MODULES, kernel.dependencies)
    copied = modules.install(packages.tree, kernel.release, wanted, scratch)
    for name in copied:
        files[name] = ((scratch / name).read_bytes(), 0o644)
    files["etc/modules"] = ("".join(f"/{name}\n" for name in copied).encode(), 0o644)

    parents = {str(parent) for name in files for parent in Path(name).parents} - {"."}
    directories = sorted(parents | {"dev", "proc", "sys", "run", "sysroot"})
    return [
        *(cpio.directory(name) for name in directories),
        *(cpio.symlink(name, target) for name, target in _LINKS.items()),
        *(cpio.character_device(f"dev/{name}", *number) for name, number in _DEVICES.items()),
        *(cpio.file(name, data, mode=mode) for name, (data, mode) in sorted(files.items())),
    ]


def libraries(tree: Path, programs: Iterable[str]) -> tuple[str, ...]:
    """Return the shared libraries, and the loader, that programs need, as paths below `tree`.

    Raises:
        FormatError: A program is not ELF, or a library is not there.
    """
    found: dict[str, None] = {}
    queue = list(programs)
    while queue:
        name = queue.pop()
        for needed in _needed(tree, name):
            if needed not in found:
                found[needed] = None
                queue.append(needed)
    return tuple(sorted(found))


def _needed(tree: Path, name: str) -> list[str]:
    try:
        with (tree / name).open("rb") as file:
            elf = ELFFile(file)
            wanted = [
                str(tag.needed)  # type: ignore[attr-defined]  # set by name when it is parsed
                for section in elf.iter_sections()
                if isinstance(section, DynamicSection)
                for tag in section.iter_tags()
                if tag.entry.d_tag == "DT_NEEDED"
            ]
            wanted += [
                Path(segment.get_interp_name()).name
                for segment in elf.iter_segments()
                if isinstance(segment, InterpSegment)
            ]
    except FileNotFoundError:
        raise FormatError(f"the packages hold no file /{name}") from None
    except ELFError as error:
        raise FormatError(f"/{name} in the packages is not a program: {error}") from error
    return [_locate(tree, library, name) for library in wanted]


def _locate(tree: Path, library: str, user: str) -> str:
    for directory in _LIBRARY_DIRECTORIES:
        if (tree / directory / library).exists():
            return f"{directory}/{library}"
    raise FormatError(f"/{user} needs {library}, which none of the packages holds")
