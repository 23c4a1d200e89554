# SPDX-License-Identifier: MIT
"""Changes a signed FIT at random: bits, words, tags, nodes and properties, attacks, sizes.

A mutant depends on the FIT, the seed, this file and the catalogue of attacks only, except that S27
signs with a key that is new in each process.
"""

from __future__ import annotations

import random
import struct
from copy import deepcopy
from typing import TYPE_CHECKING, Final

from tests.vectors.fit_attacks import CATALOGUE

from bootseal.errors import BootsealError
from bootseal.fit.prove import regions
from bootseal.fit.verify import forms
from bootseal.formats.fdt import model as fdt
from bootseal.formats.fdt.model import Node
from bootseal.formats.fdt.scan import Tag
from bootseal.formats.fit import model as fit_format

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

SIGNED: Final = "signed"
"""The kind of mutant that changes one bit, and that bit is signed: both must refuse it."""

_WORDS: Final = (0, 1, 2, 3, 4, 9, 16, 17, 56, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFC, 0xFFFFFFFF)
_HEADER: Final = 40
# Attacks that make everything large add nothing to a random mutant but time.
_LARGE: Final = 1 << 16
_SEEN: Final = frozenset({"kernel", "flat_dt", "ramdisk"})
_FORMS: Final = (
    b"", b"\0", b"text\0", b"text", b"a\0b\0", b"\x1b[2J\0", b"\xff\0",
    "\u202e\0".encode(), b"sandbox\0", b"riscv\0", bytes(3), bytes(4), bytes(8),
    bytes(12), bytes(7) + b"\1",
)  # fmt: skip
_NAMES: Final = (
    "data", "data-size", "data-offset", "data-position", "algo", "value", "hashed-nodes",
    "hashed-strings", "key-name-hint", "sign-images", "padding", "default", "kernel", "fdt",
    "ramdisk", "loadables", "type", "compression", "load", "entry", "uboot-ignore", "required",
    "description", "timestamp", "compatible",
)  # fmt: skip
_NODES: Final = (
    "images", "configurations", "kernel-1", "kernel-1@1", "hash-1", "hash-2", "hash", "signature-1",
    "signature-2", "signature", "cipher", "dm-verity", "conf-1", "conf-2", "x", "",
)  # fmt: skip


def mutant(fit: bytes, seed: int) -> tuple[str, bytes]:
    """Return the kind of a change and the changed FIT."""
    rng = random.Random(seed)  # noqa: S311 - repeatable on purpose
    kind = rng.choice(list(_KINDS))
    try:
        changed = _KINDS[kind](fit, rng)
    except (BootsealError, LookupError, StopIteration, ValueError):
        # A change that this FIT, or an earlier change of the same mutant, makes impossible.
        return "bits", _bits(fit, rng)
    return kind, changed


def _signed(fit: bytes, rng: Random) -> bytes:
    model = fit_format.parse(fit, lenient=True)
    found = regions(model, list(model.configurations), 1)
    data = {f"{image.path} data": image for image in model.images}
    if not any(each.signatures for each in model.configurations):
        # Keys for images sign nothing but data.
        found = [region for region in found if region.name in data]
    # U-Boot's tool does not look at the data of what an SPL loads.
    unseen = {name for name, image in data.items() if image.type not in _SEEN}
    region = rng.choice([region for region in found if region.name not in unseen])
    changed = bytearray(fit)
    for start, end in region.ranges:
        changed[rng.randrange(start, end)] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _bits(fit: bytes, rng: Random) -> bytes:
    changed = bytearray(fit)
    for _ in range(rng.choice((1, 1, 2, 4))):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _words(fit: bytes, rng: Random) -> bytes:
    changed = bytearray(fit)
    for _ in range(rng.choice((1, 1, 2))):
        where = rng.randrange(0, len(changed) - 3, 4)
        value = rng.choice((*_WORDS, len(fit), where))
        changed[where : where + 4] = value.to_bytes(4)
    return bytes(changed)


def _header(fit: bytes, rng: Random) -> bytes:
    changed = bytearray(fit)
    where = rng.randrange(4, _HEADER, 4)
    (old,) = struct.unpack_from(">I", fit, where)
    value = rng.choice((*_WORDS, old + 4, max(old, 4) - 4, old + 1, len(fit)))
    changed[where : where + 4] = (value & 0xFFFFFFFF).to_bytes(4)
    return bytes(changed)


def _size(fit: bytes, rng: Random) -> bytes:
    if rng.randrange(2):
        return fit[: rng.randrange(len(fit))]
    more = fit + rng.randbytes(rng.randrange(1, 64))
    return more[:4] + len(more).to_bytes(4) + more[8:] if rng.randrange(2) else more


def _tags(fit: bytes, rng: Random) -> bytes:
    """Remove, repeat, move or insert whole tags; the header fits again afterwards."""
    flat = fdt.read(fit, lenient=True)
    tags = [fit[token.start : token.end] for token in flat.tokens]
    names = bytearray(flat.strings)
    for _ in range(rng.choice((1, 1, 2))):
        first = rng.randrange(len(tags))
        last = min(first + rng.choice((1, 1, 2, 8)), len(tags))
        there = rng.randrange(len(tags) + 1)
        match rng.randrange(5):
            case 0:
                del tags[first:last]
            case 1:
                tags[there:there] = tags[first:last]
            case 2:
                moved = tags[first:last]
                del tags[first:last]
                tags[there:there] = moved
            case 3:
                tags[there:there] = [rng.choice((Tag.NOP, Tag.END, Tag.END_NODE)).to_bytes(4)]
            case _:
                offset, value = rng.randrange(len(names)), rng.randbytes(4)
                tags[there:there] = [struct.pack(">III", Tag.PROP, len(value), offset) + value]
    changed = fdt.assemble(bytes(16), b"".join(tags), names)
    return changed + fit[flat.header.total_size :]


def _tree(fit: bytes, rng: Random) -> bytes:
    """Change nodes and properties as a tree."""

    def change(root: Node) -> None:
        for _ in range(rng.choice((1, 1, 2, 3))):
            _change_node(root, rng)

    total = fdt.total_size(fit)
    return fdt.rewrite(fit[:total], change) + fit[total:]


def _change_node(root: Node, rng: Random) -> None:
    nodes = [root]
    for node in nodes:
        nodes += node.children
    node, other = rng.choice(nodes), rng.choice(nodes)
    values = [value for each in nodes for value in each.properties.values()]
    match rng.randrange(8):
        case 0 if node.children:
            node.children.pop(rng.randrange(len(node.children)))
        case 1:
            place = rng.randrange(len(other.children) + 1)
            other.children.insert(place, deepcopy(node) if node is not root else Node("x"))
        case 2 if node is not root:
            node.name = rng.choice((*_NODES, other.name, f"{node.name}@1"))
        case 3 if node.properties:
            del node.properties[rng.choice(list(node.properties))]
        case 4 if node.children:
            rng.shuffle(node.children)
        case 5 if node.properties and other.properties:
            mine, theirs = rng.choice(list(node.properties)), rng.choice(list(other.properties))
            node.properties[mine] = other.properties[theirs]
        case _:
            numbers = [value.to_bytes(4) for value in _WORDS]
            name = rng.choice((*_NAMES, *node.properties))
            node.properties[name] = rng.choice((*values, *numbers, b"", b"sha1,rsa2048\0"))


def _forms(fit: bytes, rng: Random) -> bytes:
    """Give one property another form: no text, two texts, a number of three bytes, a long list."""

    def change(root: Node) -> None:
        nodes = [root]
        for node in nodes:
            nodes += node.children
        node = rng.choice([*nodes, *(n for n in nodes if n.name.startswith("signature"))])
        name = rng.choice((*forms.RULES, *node.properties))
        old = node.properties.get(name, b"x\0")
        node.properties[name] = rng.choice((*_FORMS, old[:-1], old + b"\0", old * 101))

    total = fdt.total_size(fit)
    return fdt.rewrite(fit[:total], change) + fit[total:]


def _attack(fit: bytes, rng: Random) -> bytes:
    changed = rng.choice(CATALOGUE).change(fit)
    if len(changed) > _LARGE:
        return _words(fit, rng)
    return changed if rng.randrange(2) else _bits(changed, rng)


_KINDS: Final[dict[str, Callable[[bytes, Random], bytes]]] = {
    SIGNED: _signed,
    "bits": _bits,
    "words": _words,
    "header": _header,
    "size": _size,
    "tags": _tags,
    "tree": _tree,
    "forms": _forms,
    "attack": _attack,
}
