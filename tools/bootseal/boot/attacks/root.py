# SPDX-License-Identifier: MIT
"""Attacks on the root file system and its hash tree, written to a scenario's disk."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bootseal import proc
from bootseal.boot.attacks import forge, forge_fit
from bootseal.errors import FormatError
from bootseal.formats.fdt import model as fdt
from bootseal.formats.fit import model as fit_format

if TYPE_CHECKING:
    from bootseal.boot.scenario.workspace import Workspace
    from bootseal.device import Slot

BLOCK: Final = 4096
SUPERBLOCK: Final = 1024
"""Offset of the erofs superblock in bytes; it is read by every mount."""

TOP_LEVEL: Final = 4096
"""Offset in bytes of the first block of the hash tree, which is the top one: veritysetup writes its
own superblock in front of it."""

_SPREAD: Final = 24
_SALT: Final = re.compile(rb"\bbootseal\.salt=([0-9a-f]+)")
_TIMEOUT: Final = 300.0
_SYSTEM: Final = "usr/lib/systemd/systemd"
# write(1, text, size), then spin; the text follows.
_WRITE_AND_SPIN: Final = struct.Struct("<6I")
_ELF: Final = struct.Struct("<16s2HI3QI6H")
_SEGMENT: Final = struct.Struct("<2I6Q")
_LOAD_ADDRESS: Final = 0x400000


def flip(kind: str, offset: int) -> Callable[[Workspace], None]:
    """Flip one bit of slot a's root (`root`) or hash tree (`verity`) at a byte offset."""

    def prepare(workspace: Workspace) -> None:
        partition = _partition(_first(workspace), kind)
        changed = forge.flip_bit(workspace.disk.read(partition, offset, 1), 0)
        workspace.disk.write(partition, offset, changed)

    return prepare


def scatter(workspace: Workspace) -> None:
    """Flip one bit in blocks all over slot a's root, but not in its first tenth."""
    slot = _first(workspace)
    content = workspace.device.artefact(workspace.directory, "root").read_bytes()
    blocks = len(content) // BLOCK
    first = blocks // 10
    for number in range(_SPREAD):
        offset = (first + number * (blocks - first) // _SPREAD) * BLOCK
        workspace.disk.write(slot.root, offset, forge.flip_bit(content[offset:][:1], 0))


def swap(workspace: Workspace) -> None:
    """Replace slot a's root and tree by another matching pair of the same geometry."""
    slot = _first(workspace)
    genuine = workspace.device.artefact(workspace.directory, "root").stat().st_size
    fit = workspace.device.artefact(workspace.directory, "fit").read_bytes()
    image, tree = make_root(workspace.work, genuine, salt(fit, slot.configuration))
    content = image.read_bytes()
    workspace.disk.write(slot.root, 0, content[: len(content.rstrip(b"\0"))])
    workspace.disk.write(slot.verity, 0, tree.read_bytes())


def salt(fit: bytes, configuration: str) -> str:
    """Return the salt of the hash tree, which anyone can read in the signed command line.

    Raises:
        FormatError: The command line has none.
    """
    name = forge_fit.referenced(fit, configuration, "fdt")
    chosen = fdt.read(fit_format.parse(fit).image(name).payload).find("/chosen")
    bootargs = (chosen and chosen.value("bootargs")) or b""
    if (found := _SALT.search(bootargs)) is None:
        raise FormatError(f"the command line in {name} has no bootseal.salt")
    return found[1].decode()


def make_root(directory: Path, size: int, salt_hex: str) -> tuple[Path, Path]:
    """Make a root file system whose init identifies itself as the attacker's, and its hash tree.

    Args:
        directory: Where to work.
        size: Size of the image in bytes, as that of the genuine one.
        salt_hex: Salt of the tree, as that of the genuine one.

    Returns:
        The paths of the image and of the tree.
    """
    system = directory / "root" / _SYSTEM
    system.parent.mkdir(parents=True)
    system.write_bytes(attacker_program("root-swapped"))
    system.chmod(0o755)
    image, tree = directory / "root.img", directory / "root.verity"
    proc.run("mkfs.erofs", ["--quiet", "-T0", image, directory / "root"], timeout=_TIMEOUT)
    with image.open("r+b") as file:
        file.truncate(size)
    format_tree(image, tree, salt_hex)
    return image, tree


def format_tree(image: Path, tree: Path, salt_hex: str) -> str:
    """Write the hash tree of an image to `tree`; return its root hash, lower-case hex."""
    options = [f"--salt={salt_hex}", f"--data-block-size={BLOCK}", f"--hash-block-size={BLOCK}"]
    root_hash = tree.with_suffix(".roothash")
    files: list[str | Path] = [f"--root-hash-file={root_hash}", image, tree]
    proc.run("veritysetup", ["format", *options, *files], timeout=_TIMEOUT)
    return root_hash.read_text().strip()


def attacker_program(detail: str) -> bytes:
    """Return a static arm64 Linux program that identifies itself and then spins.

    One ELF file of one segment: header (64 bytes), program header (56 bytes), six instructions,
    text; all little endian.
    """
    text = f"\n{forge.SENTINEL} {detail}\n".encode()
    code = _WRITE_AND_SPIN.pack(
        0xD2800020,  # mov x0, #1
        0x100000A1,  # adr x1, text
        0xD2800002 | len(text) << 5,  # mov x2, #size
        0xD2800808,  # mov x8, #64 (write)
        0xD4000001,  # svc #0
        0x14000000,  # b .
    )
    start = _ELF.size + _SEGMENT.size
    size = start + len(code) + len(text)
    executable, aarch64, loadable, read_execute = 2, 183, 1, 5
    ident = b"\x7fELF\x02\x01\x01".ljust(16, b"\0")
    entry = _LOAD_ADDRESS + start
    sizes = (_ELF.size, _SEGMENT.size, 1, 0, 0, 0)
    header = _ELF.pack(ident, executable, aarch64, 1, entry, _ELF.size, 0, 0, *sizes)
    place = (0, _LOAD_ADDRESS, _LOAD_ADDRESS, size, size, BLOCK)
    return header + _SEGMENT.pack(loadable, read_execute, *place) + code + text


def _first(workspace: Workspace) -> Slot:
    return workspace.device.slots[0]


def _partition(slot: Slot, kind: str) -> str:
    return slot.verity if kind == "verity" else slot.root
