# SPDX-License-Identifier: MIT
"""The payload of a bundle: a file system with the images, and the hash tree behind it.

The tree is that of `formats.verity` without its superblock: RAUC hands the kernel what the signed
manifest says of it.
"""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING, Final

from bootseal import proc
from bootseal.disk import hash_tree
from bootseal.disk.hash_tree import Root
from bootseal.errors import FormatError
from bootseal.files import mapped
from bootseal.findings.catalogue import finding
from bootseal.formats.verity import BLOCK, TREE_AT, Tree

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from bootseal.disk.image import Disk
    from bootseal.findings.model import Finding
    from bootseal.formats.update.manifest import Manifest

_TIMEOUT: Final = 1800.0
_FILE: Final = 0o644
_WHERE: Final = "payload"
_LISTED: Final = 4
"""Bad blocks that get a finding each; the rest is counted."""


def pack(directory: Path, names: Iterable[str], image: Path, *, epoch: int) -> None:
    """Write files of a directory as a file system; the same files give the same bytes.

    Args:
        directory: Holds the files, and becomes private to this function.
        names: The files.
        image: The file system to write.
        epoch: The time of every file, seconds since 1970.

    Raises:
        ToolError: mksquashfs is not installed, or failed.
    """
    files = [directory / name for name in names]
    for file in files:
        file.chmod(_FILE)
        os.utime(file, (epoch, epoch))
    options = [
        "-noappend",
        "-all-root",
        "-root-mode",
        "0755",
        "-no-xattrs",
        "-no-progress",
        "-quiet",
        "-comp",
        "gzip",
    ]
    # One processor: what it writes then does not depend on the machine at all.
    options += ["-processors", "1"]
    env = {"SOURCE_DATE_EPOCH": str(epoch)}
    proc.run("mksquashfs", [*files, image, *options], timeout=_TIMEOUT, env=env)


def append_tree(image: Path) -> Tree:
    """Append the hash tree of a file to it; the salt follows from the content.

    Raises:
        FormatError: The file does not end on a block.
    """
    with mapped(image) as data:
        size = len(data)
        if not size or size % BLOCK:
            raise FormatError(f"{image} is {size} bytes long: expected a multiple of {BLOCK}")
        tree, levels = hash_tree.build(data, hashlib.sha256(data).digest())
    with image.open("ab") as file:
        file.write(levels)
    return tree


def tree_size(tree: Tree) -> int:
    """Return the bytes of a tree behind its data."""
    return tree.end - TREE_AT


def check(disk: Disk, size: int, manifest: Manifest) -> Iterator[Finding]:
    """Yield what of a payload the manifest does not lead to.

    Args:
        disk: The bundle.
        size: Bytes of the payload.
        manifest: What it is held against.
    """
    data = size - manifest.tree_size
    if data <= 0 or data % BLOCK:
        message = f"a tree of {manifest.tree_size} bytes in a payload of {size}"
        yield finding("update.payload", _WHERE, message)
        return
    tree = Tree(
        root_hash=bytes.fromhex(manifest.root_hash),
        salt=bytes.fromhex(manifest.salt),
        blocks=data // BLOCK,
    )
    if tree_size(tree) != manifest.tree_size:
        message = f"the tree has {manifest.tree_size} bytes: expected {tree_size(tree)}"
        yield finding("update.payload", _WHERE, message)
        return
    root = Root(name=_WHERE, tree=tree, data=0, hashes=data - TREE_AT)
    count = 0
    with hash_tree.checking(disk, [root]) as bad:
        for each in bad:
            count += 1
            if count <= _LISTED:
                what = (
                    "data block" if each.level == 0 else f"block of level {each.level} of the tree"
                )
                message = f"{what} {each.number} does not match the manifest's root hash"
                yield finding("update.payload", _WHERE, message, offset=each.offset)
    if count > _LISTED:
        yield finding("update.payload", _WHERE, f"{count - _LISTED} more blocks are bad")


def index(chunks: Iterable[bytes]) -> bytes:
    """Return the digests of each 4096 bytes, which an adaptive update looks up.

    Args:
        chunks: The image, in pieces of whole blocks.
    """
    return b"".join(
        hashlib.sha256(chunk[start : start + BLOCK]).digest()
        for chunk in chunks
        for start in range(0, len(chunk), BLOCK)
    )
