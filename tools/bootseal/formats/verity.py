# SPDX-License-Identifier: MIT
"""dm-verity: where the blocks of a hash tree are, and the superblock in front of it.

Only the one form that our initramfs opens: format 1 (the salt comes first), SHA-256, data and hash
blocks of 4096 bytes, the tree 4096 bytes into its partition. All numbers are little-endian.

Spec: Linux Documentation/admin-guide/device-mapper/verity.rst; cryptsetup's wiki, "DMVerity".
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bootseal.errors import FormatError

if TYPE_CHECKING:
    from bootseal.formats.fdt.scan import Buffer

BLOCK: Final = 4096
DIGEST: Final = 32
TREE_AT: Final = BLOCK
"""Offset of the tree in its partition; the superblock, which nothing reads, is in front of it."""
MAX_BLOCKS: Final = 1 << 40
MAX_SALT: Final = 256

_PER_BLOCK: Final = BLOCK // DIGEST
_SUPERBLOCK: Final = struct.Struct("<8sII16s32sIIQH6x256s168x")
_MAGIC: Final = b"verity\0\0"
_ALGORITHM: Final = b"sha256"
_ZEROS: Final = bytes(BLOCK)


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """Blocks side by side: the data, or one level of the tree; `start` is an offset in bytes."""

    start: int
    blocks: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """What opens a hash tree.

    Attributes:
        root_hash: SHA-256 at its root.
        salt: What is hashed in front of each block.
        blocks: Number of data blocks.
    """

    root_hash: bytes
    salt: bytes
    blocks: int

    def __post_init__(self) -> None:
        if len(self.root_hash) != DIGEST or len(self.salt) > MAX_SALT:
            raise FormatError(
                f"a root hash of {len(self.root_hash)} bytes and a salt of {len(self.salt)}: "
                f"expected {DIGEST} and at most {MAX_SALT}"
            )
        if not 0 < self.blocks <= MAX_BLOCKS:
            raise FormatError(f"{self.blocks} data blocks: expected 1 to {MAX_BLOCKS}")

    def levels(self) -> tuple[Layer, ...]:
        """Return the levels of the tree, the lowest first; starts count from the partition's.

        >>> Tree(root_hash=bytes(32), salt=b"", blocks=129).levels()
        (Layer(start=8192, blocks=2), Layer(start=4096, blocks=1))
        """
        counts: list[int] = []
        blocks = self.blocks
        while blocks > 1:
            blocks = -(-blocks // _PER_BLOCK)
            counts.append(blocks)
        start = TREE_AT + sum(counts) * BLOCK
        layers = []
        for count in counts:
            start -= count * BLOCK
            layers.append(Layer(start=start, blocks=count))
        return tuple(layers)

    @property
    def end(self) -> int:
        """Offset in the tree's partition of the first byte behind the tree."""
        return TREE_AT + sum(layer.blocks for layer in self.levels()) * BLOCK


def digests(salt: bytes, content: Buffer) -> bytes:
    """Return the digests of whole blocks, one after the other, as a level of a tree holds them."""
    view = memoryview(content)
    salted = hashlib.sha256(salt)
    empty = hashlib.sha256(salt + _ZEROS).digest()
    copy = salted.copy
    found = []
    for start in range(0, len(view), BLOCK):
        block = view[start : start + BLOCK]
        if not view[start] and bytes(block) == _ZEROS:
            found.append(empty)
        else:
            digest = copy()
            digest.update(block)
            found.append(digest.digest())
    return b"".join(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class Superblock:
    """What veritysetup writes in front of a tree, for those who do not know better."""

    uuid: bytes
    salt: bytes
    blocks: int


def parse_superblock(block: bytes) -> Superblock:
    """Read a superblock.

    Args:
        block: The 4096 bytes in front of the tree.

    Raises:
        FormatError: It is none, describes a tree of another form, or holds more than it should.
    """
    if len(block) != BLOCK:
        raise FormatError(f"{len(block)} bytes: expected {BLOCK}")
    magic, version, kind, uuid, name, data, hashes, blocks, size, salt = _SUPERBLOCK.unpack_from(
        block
    )
    if magic != _MAGIC:
        raise FormatError(f"found {magic!r}: expected {_MAGIC!r}")
    if (version, kind, data, hashes) != (1, 1, BLOCK, BLOCK) or name.rstrip(b"\0") != _ALGORITHM:
        raise FormatError("it describes a tree of another form: expected format 1, SHA-256, 4096")
    salt = salt[:size]
    found = Superblock(uuid=uuid, salt=salt, blocks=blocks)
    if size > MAX_SALT or emit_superblock(found) != block:
        raise FormatError("it holds more than a superblock does")
    return found


def emit_superblock(superblock: Superblock) -> bytes:
    """Write a superblock: the 4096 bytes in front of the tree."""
    return _SUPERBLOCK.pack(
        *(_MAGIC, 1, 1, superblock.uuid, _ALGORITHM, BLOCK, BLOCK),
        *(superblock.blocks, len(superblock.salt), superblock.salt),
    ).ljust(BLOCK, b"\0")
