# SPDX-License-Identifier: MIT
"""Constructions of FITs, each with what the gate says to it; nothing when it lets it pass."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from tests.gate.edits import (
    BEGIN,
    END,
    END_NODE,
    NOP,
    PROP,
    at,
    blocks,
    both,
    child,
    deep,
    deep_tags,
    drop,
    first,
    last,
    load,
    many_loads,
    named,
    prop,
    put,
    rename,
    strings,
    structure,
    twice,
    word,
    word_plus,
)

from bootseal.boot.attacks import forge, forge_fit
from bootseal.formats.fdt.model import Node

if TYPE_CHECKING:
    from tests.gate.edits import Make

ADDRESS: Final = 0x50000000
CONF: Final = "/configurations/conf-a"
SIGNATURE: Final = f"{CONF}/signature-1"
EVIL: Final = forge.attacker_kernel("test")
NOT_A_FIT: Final = "not a flattened image tree"
BLOCKS: Final = "blocks are not one behind the other"
STRINGS: Final = "strings block does not hold names"
PLACE: Final = "a node where none belongs"
SAME: Final = "two nodes have the same path"
NAME: Final = "a node name has a character that is not allowed"
UNSIGNED: Final = "a property that nothing signs"
PLACED: Final = "data is placed by a property that nothing signs"
TEXT: Final = "text is not printable"
NUMBER: Final = "a number is neither 32 nor 64 bits wide"
EXTENT: Final = "'hashed-strings' is not inside the strings block"
OVER_FIT: Final = "a load range overlaps the FIT"
EARLY: Final = "the structure block ends early"

VECTORS: Final[dict[str, tuple[Make, str]]] = {
    "genuine": (lambda fit: fit, ""),
    # what does not concern the gate
    "payload-flipped": (lambda fit: forge.flip_bit(fit, fit.index(b"kernel ")), ""),
    "payload-replaced": (lambda fit: forge_fit.replace_payload(fit, "kernel-1", EVIL), ""),
    "signatures-stripped": (forge_fit.strip_signatures, ""),
    "configuration-added": (
        lambda fit: forge_fit.add_configuration(fit, EVIL),
        "",
    ),
    "trailing-data": (lambda fit: fit + b"the rest of the partition", ""),
    "hash-below-configuration": (child(CONF, Node("hash-1", {"algo": b"sha256\0"})), ""),
    "hash-below-configuration-with-value": (
        child(CONF, Node("hash-1", {"algo": b"sha256\0", "value": bytes(32)})),
        UNSIGNED,
    ),
    "hash-below-configuration-with-node": (
        child(CONF, Node("hash-1", {}, [Node("hash-1")])),
        PLACE,
    ),
    "image-signature": (child("/images/kernel-1", Node("signature-1", {"algo": b"x\0"})), ""),
    "value-padding": (lambda fit: fit.replace(b"bootseal\0\0\0\0", b"bootseal\0abc", 1), ""),
    "load-behind": (load(0x58000000), ""),
    "load-64-bit": (load(0x140000000, 8), ""),
    "load-none": (load(0), ""),
    # header
    "empty": (lambda _: b"", NOT_A_FIT),
    "cut-short": (lambda fit: fit[:55], NOT_A_FIT),
    "magic": (word(0, 0xD00DFEEE), NOT_A_FIT),
    "legacy-image": (lambda _: forge.legacy_image(EVIL, load=0x40200000), NOT_A_FIT),
    "raw-kernel": (lambda _: EVIL, NOT_A_FIT),
    "version-2": (word(20, 2), "header version is not 17/16"),
    "version-16": (word(20, 16), "header version is not 17/16"),
    "version-18": (word(20, 18), "header version is not 17/16"),
    "last-compatible-17": (word(24, 17), "header version is not 17/16"),
    "boot-cpu": (word(28, 1), "a boot CPU is set"),
    "total-too-large": (word_plus(4, 1), "larger than what was read"),
    "total-huge": (word(4, 0xFFFFFFFF), "larger than what was read"),
    "total-zero": (word(4, 0), BLOCKS),
    "total-below-strings": (word(4, 64), BLOCKS),
    "struct-moved": (word(8, 60), BLOCKS),
    "struct-outside": (word(8, 0xFFFFFFFC), BLOCKS),
    "strings-moved": (word_plus(12, 4), BLOCKS),
    "strings-unaligned": (word_plus(12, 1), BLOCKS),
    "strings-in-struct": (word_plus(12, -4), BLOCKS),
    "strings-outside": (word(12, 0xFFFFFFFC), BLOCKS),
    "reservations-moved": (word(16, 48), BLOCKS),
    "strings-size-huge": (word(32, 0xFFFFFFFF), BLOCKS),
    "struct-size-huge": (word(36, 0xFFFFFFFC), BLOCKS),
    "struct-size-small": (word_plus(36, -4), BLOCKS),
    "reserved": (
        lambda fit: fit[:40] + struct.pack(">QQ", 0x50000000, 4096) + fit[56:],
        "memory is reserved",
    ),
    "slack": (
        lambda fit: word_plus(4, 4)(fit) + b"evil",
        "space behind the strings block is not empty",
    ),
    "strings-none": (strings(lambda _: b""), STRINGS),
    "strings-unended": (strings(lambda names: names[:-1] + b"x"), STRINGS),
    "strings-gap": (strings(lambda names: names + b"\0"), STRINGS),
    "strings-leading-gap": (strings(lambda names: b"\0" + names), STRINGS),
    # tags
    "nop-first": (structure(lambda tags: NOP + tags), "a tag that has no place in a FIT"),
    "nop-inside": (first(NOP), "a tag that has no place in a FIT"),
    "tag-unknown": (first(struct.pack(">I", 5)), "a tag that has no place in a FIT"),
    "tag-zero": (first(bytes(4)), "a tag that has no place in a FIT"),
    "struct-none": (structure(lambda _: b""), "the structure block has no end"),
    "end-missing": (structure(lambda tags: tags[:-4]), "the structure block has no end"),
    "end-early": (structure(lambda tags: tags[:8] + END + tags[8:]), EARLY),
    "end-twice": (last(END + END), EARLY),
    "end-only": (structure(lambda _: END), "images or configurations are missing"),
    "root-twice": (last(BEGIN + bytes(4) + END_NODE + END), "a second root node"),
    "root-not-closed": (structure(lambda tags: tags[:-8] + END), EARLY),
    "root-closed-twice": (last(END_NODE + END), "the end of a node that never began"),
    "property-before-root": (
        structure(lambda tags: prop(0, b"x\0") + tags),
        "a property outside the root node",
    ),
    "property-after-root": (last(prop(0, b"x\0") + END), "a property outside the root node"),
    "property-after-child": (
        structure(lambda tags: tags[:-8] + prop(0, b"x\0") + END_NODE + END),
        "a property behind a node",
    ),
    "property-cut": (structure(lambda tags: tags[:8] + PROP + bytes(4)), "a property is cut off"),
    "property-too-large": (
        first(prop(0, size=0x7FFFFFFF)),
        "a property is larger than what is left",
    ),
    "property-huge": (first(prop(0, size=0xFFFFFFFF)), "a property is larger than what is left"),
    "property-name-outside": (
        first(prop(0xFFFFFFFF)),
        "a property name is outside the strings block",
    ),
    "property-name-at-end": (
        lambda fit: first(prop(len(blocks(fit)[1])))(fit),
        "a property name is outside the strings block",
    ),
    "property-name-empty": (
        lambda fit: first(prop(len(blocks(fit)[1]) - 1))(fit),
        "a property name has a character that is not allowed",
    ),
    "property-name-slash": (named(b"a/b"), "a property name has a character that is not allowed"),
    "property-name-escape": (
        named(b"\x1b[2J"),
        "a property name has a character that is not allowed",
    ),
    "property-name-long": (named(b"n" * 64), "a property name is too long"),
    "property-twice": (
        structure(lambda tags: tags[:8] + tags[8:24] + tags[8:]),
        "two properties of a node have the same name",
    ),
    "properties-many": (
        at("/", lambda node: node.properties.update({f"p{i}": b"" for i in range(64)})),
        "too many properties in a node",
    ),
    # nodes
    "root-named": (rename("/", "f@keroot"), "the root has a name"),
    "name-none": (child("/images", Node("")), "a node has no name"),
    "name-unended": (
        structure(lambda tags: tags[:8] + BEGIN + b"n" * 40),
        "a node name has no end",
    ),
    "name-long": (child("/images", Node("n" * 300)), "a node name has no end"),
    "name-padding": (
        structure(lambda tags: tags.replace(BEGIN + b"conf-a\0\0", BEGIN + b"conf-a\0x")),
        "padding is not empty",
    ),
    "name-at": (lambda fit: forge_fit.add_unit_address(fit, EVIL), NAME),
    "name-escape": (child("/images", Node("\x1b[2J")), NAME),
    "name-slash": (child("/images", Node("a/b")), NAME),
    "name-space": (child("/images", Node("a b")), NAME),
    "path-long": (child("/images", Node("n" * 191)), "the path of a node is too long"),
    "path-longest": (child("/images", Node("n" * 190, {"data": b"x"})), ""),
    "nodes-many": (
        child("/images", *(Node(f"i-{i}", {"data": b"x"}) for i in range(1024))),
        "too many nodes",
    ),
    "depth-5": (child("/images/kernel-1/hash-1", Node("hash-2")), PLACE),
    "depth-40": (child("/images/kernel-1", deep(40)), PLACE),
    "depth-100000": (first(deep_tags(100_000)), PLACE),
    "images-twice": (twice("/images"), SAME),
    "configurations-twice": (twice("/configurations"), SAME),
    "image-twice": (twice("/images/kernel-1"), SAME),
    "configuration-twice": (twice(CONF), SAME),
    "configuration-shadowed": (
        lambda fit: forge_fit.shadow_configurations(fit, EVIL),
        SAME,
    ),
    "hash-twice": (twice("/images/kernel-1/hash-1"), SAME),
    "signature-twice": (twice(SIGNATURE), SAME),
    "images-missing": (rename("/images", "image"), PLACE),
    "images-gone": (
        at("/", lambda node: node.children.pop(0)),
        "images or configurations are missing",
    ),
    "configurations-gone": (
        at("/", lambda node: node.children.pop(1)),
        "images or configurations are missing",
    ),
    "node-below-root": (child("/", Node("extra")), PLACE),
    "node-below-image": (child("/images/kernel-1", Node("cipher")), PLACE),
    "node-below-configuration": (child(CONF, Node("extra")), PLACE),
    "node-below-signature": (child(SIGNATURE, Node("signature-1")), PLACE),
    "images-cloned": (lambda fit: forge_fit.clone_images(fit, EVIL), PLACE),
    # properties
    "property-of-images": (put("/images", "x", b""), UNSIGNED),
    "property-of-configurations": (put("/configurations", "x", b""), UNSIGNED),
    "property-of-signature": (put(SIGNATURE, "required", b"no\0"), UNSIGNED),
    "data-of-root": (put("/", "data", EVIL), PLACED),
    "data-of-configuration": (put(CONF, "data", EVIL), PLACED),
    "data-of-hash": (put("/images/kernel-1/hash-1", "data", EVIL), PLACED),
    "data-size": (put("/images/kernel-1", "data-size", bytes(4)), PLACED),
    "data-offset": (put("/images/kernel-1", "data-offset", b"\xff" * 4), PLACED),
    "data-position": (lambda fit: forge_fit.move_payload(fit, "kernel-1", 0x4000), PLACED),
    "data-missing": (drop("/images/kernel-1", "data"), "an image has no data"),
    "data-empty": (put("/images/kernel-1", "data", b""), "an image has no data"),
    "noload-compressed": (
        put("/images/kernel-1", "type", b"kernel_noload\0"),
        "a kernel to unpack has no place",
    ),
    "type-unended": (put("/images/kernel-1", "type", b"kernel"), TEXT),
    "type-empty": (put("/images/kernel-1", "type", b""), TEXT),
    "type-two-strings": (put("/images/kernel-1", "type", b"kernel\0firmware\0"), TEXT),
    "default-unended": (put("/configurations", "default", b"conf-a"), TEXT),
    "hint-escape": (put(SIGNATURE, "key-name-hint", b"\x1b]0;evil\x07\0"), TEXT),
    "hint-line-end": (put(SIGNATURE, "key-name-hint", b"dev\nbootseal: root-a\0"), TEXT),
    "hint-beyond-ascii": (put(SIGNATURE, "key-name-hint", "d\u202eev\0".encode()), TEXT),
    "signer-escape": (put(SIGNATURE, "signer-name", b"\x9b2J\0"), TEXT),
    "entry-odd": (put("/images/kernel-1", "entry", bytes(5)), NUMBER),
    "load-empty": (put("/images/kernel-1", "load", b""), NUMBER),
    "load-wide": (put("/images/kernel-1", "load", bytes(12)), NUMBER),
    "timestamp-odd": (put("/", "timestamp", bytes(3)), NUMBER),
    "strings-extent-short": (put(SIGNATURE, "hashed-strings", bytes(4)), EXTENT),
    "strings-extent-empty": (put(SIGNATURE, "hashed-strings", b""), EXTENT),
    "strings-extent-start": (put(SIGNATURE, "hashed-strings", struct.pack(">II", 1, 8)), EXTENT),
    "strings-extent-outside": (
        put(SIGNATURE, "hashed-strings", struct.pack(">II", 0, 0x10000)),
        EXTENT,
    ),
    "strings-extent-missing": (
        drop(SIGNATURE, "hashed-strings"),
        "a signature without 'hashed-strings'",
    ),
    # load ranges: the kernel of these FITs is compressed, and loaded to 0x40200000
    "load-in-fit": (load(ADDRESS + 16), OVER_FIT),
    "load-into-fit": (load(ADDRESS - 48), OVER_FIT),
    "load-up-to-fit": (load(ADDRESS - 49), ""),
    "load-unpacks-into-fit": (load(ADDRESS - 0x8000000 + 1, image="kernel-1"), OVER_FIT),
    "load-unpacks-up-to-fit": (load(ADDRESS - 0x8000000, image="kernel-1"), ""),
    "load-in-kernel": (load(0x40200000 + 0x7FFFFFF), "two load ranges overlap"),
    "load-behind-kernel": (load(0x40200000 + 0x8000000), ""),
    "load-same": (
        both(load(0x60000000, image="fdt-a"), load(0x60000000, image="fdt-b")),
        "two load ranges overlap",
    ),
    "load-wraps": (load(0xFFFFFFFFFFFFFFF0, 8), "a load range does not end"),
    "loads-many": (many_loads, "too many load addresses"),
}
