# SPDX-License-Identifier: MIT
"""The read-only root file system image and its dm-verity hash tree."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bootseal import device, documents, proc
from bootseal.disk.layout import NAMESPACE
from bootseal.errors import FormatError
from bootseal.files import write_file

BLOCK: Final = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Verity:
    """What opens a hash tree.

    Attributes:
        root_hash: SHA-256 at the root of the tree, lower-case hex.
        salt: Lower-case hex.
        blocks: Number of 4096-byte data blocks.
    """

    root_hash: str
    salt: str
    blocks: int


def make_erofs(tree: Path, image: Path, *, epoch: int) -> None:
    """Write a tree as a compressed read-only file system, everything owned by root.

    Raises:
        ToolError: mkfs.erofs failed.
    """
    args = ["-zlz4hc", f"-T{epoch}", f"-U{uuid.uuid5(NAMESPACE, 'root')}", "--all-root", "-x-1"]
    # It would take that variable for the latest time of a file, where -T is the time of all.
    command = ["-u", "SOURCE_DATE_EPOCH", proc.find_tool("mkfs.erofs"), "--quiet", *args]
    proc.run("env", [*command, image, tree], timeout=600)


def format_tree(image: Path, tree: Path) -> Verity:
    """Write the hash tree of an image.

    Salt and UUID follow from the content, so the same content has the same root hash.

    Args:
        image: The data; its size is a multiple of 4096 bytes.
        tree: Receives the superblock and the hash tree.

    Raises:
        FormatError: The image does not end on a block.
        ToolError: veritysetup failed.
    """
    size = image.stat().st_size
    if size == 0 or size % BLOCK:
        raise FormatError(f"{image} is {size} bytes long: expected a multiple of {BLOCK}")
    salt = device.digest_file(image)
    hash_file = tree.with_suffix(".roothash")
    options = {
        "hash": "sha256",
        "salt": salt,
        "uuid": str(uuid.uuid5(NAMESPACE, salt)),
        "data-block-size": str(BLOCK),
        "hash-block-size": str(BLOCK),
        "root-hash-file": str(hash_file),
    }
    args = [f"--{name}={value}" for name, value in options.items()]
    proc.run("veritysetup", ["format", *args, image, tree], timeout=600)
    root_hash = hash_file.read_text().strip()
    hash_file.unlink()
    tree.chmod(image.stat().st_mode)
    return Verity(root_hash=root_hash, salt=salt, blocks=size // BLOCK)


def save(verity: Verity, path: Path) -> None:
    """Write what opens a hash tree next to it."""
    write_file(path, documents.dump(verity))


def load(path: Path) -> Verity:
    """Read what `save` wrote."""
    return documents.load(Verity, path)
