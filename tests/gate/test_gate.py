# SPDX-License-Identifier: MIT
"""The gate in U-Boot against every construction, and against the release gate in Python."""

from __future__ import annotations

import os
import random
import re
import struct
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from bootseal.errors import FormatError
from bootseal.fit import assemble
from bootseal.fit.verify import inspect
from bootseal.formats import fdt, tamper, tamper_fit
from bootseal.formats.fdt import Node

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.gate.conftest import Gate

    Make = Callable[[bytes], bytes]

ROOT_NODE: Final = 56
ADDRESS: Final = 0x50000000
BEGIN, END_NODE, PROP, NOP, END = (struct.pack(">I", tag) for tag in (1, 2, 3, 4, 9))
CONF: Final = "/configurations/conf-a"
SIGNATURE: Final = f"{CONF}/signature-1"
EVIL: Final = tamper.attacker_kernel("test")
MUTANTS: Final = int(os.environ.get("BOOTSEAL_MUTANTS", "2000"))
FUZZ_SECONDS: Final = int(os.environ.get("BOOTSEAL_FUZZ_SECONDS", "5"))

BEYOND_THE_GATE: Final = {
    **dict.fromkeys(
        (
            "fit.bad-signature",
            "fit.no-signature",
            "fit.algorithm",
            "fit.hashed-nodes",
            "fit.key-hint",
        ),
        "signatures are checked behind the gate",
    ),
    **dict.fromkeys(
        ("fit.image-hash", "fit.no-hash", "fit.weak-hash", "fit.unknown-hash", "fit.ignored-hash"),
        "hashes are checked behind the gate, and the signer decides about them",
    ),
    **dict.fromkeys(
        ("fit.missing-image", "fit.image-type", "fit.unreferenced-image", "fit.no-configuration"),
        "names are looked up behind the gate, in what is signed",
    ),
    "fit.default": "U-Boot is told which configuration to boot",
    "fit.load-address": "the gate knows where the FIT lies, and refuses what would overlap",
    "fit.trailing-data": "a partition is longer than its FIT",
    "fit.description": "U-Boot itself asks for it",
}
"""Findings of the release gate that the gate in U-Boot does not make, with the reason."""

THE_GATE_ALONE: Final = {
    "a load range overlaps the FIT": "only the device knows where the FIT lies",
    "a load range does not end": "likewise",
    "two load ranges overlap": "the release gate allows load addresses on kernels only",
    "text is not printable": "the release gate escapes text when it shows it",
    "a property name is too long": "bounds the time for comparing names",
    "too many nodes": "the gate has fixed tables",
    "too many properties in a node": "likewise",
    "too many load addresses": "likewise",
}
"""Refusals of the gate in U-Boot that the release gate need not make, with the reason."""


def word(offset: int, value: int) -> Make:
    """Set a word of the header."""
    return lambda fit: fit[:offset] + struct.pack(">I", value) + fit[offset + 4 :]


def word_plus(offset: int, more: int) -> Make:
    return lambda fit: word(offset, int.from_bytes(fit[offset : offset + 4]) + more)(fit)


def blocks(fit: bytes) -> tuple[bytes, bytes]:
    """The structure block and the strings block."""
    header = fdt.read(fit).header
    end = header.off_strings
    return fit[header.off_struct : end], fit[end : end + header.size_strings]


def structure(change: Make) -> Make:
    """Change the structure block; the header fits again afterwards."""

    def make(fit: bytes) -> bytes:
        tags, strings = blocks(fit)
        return fdt.assemble(bytes(16), change(tags), strings)

    return make


def strings(change: Make) -> Make:
    """Change the strings block likewise."""

    def make(fit: bytes) -> bytes:
        tags, names = blocks(fit)
        return fdt.assemble(bytes(16), tags, change(names))

    return make


def at(path: str, change: Callable[[Node], object]) -> Make:
    """Change a node of the tree."""

    def make(fit: bytes) -> bytes:
        def edit(root: Node) -> None:
            node = root.find(path)
            assert node is not None
            change(node)

        return fdt.rewrite(fit, edit)

    return make


def put(path: str, name: str, value: bytes) -> Make:
    """Set a property."""
    return at(path, lambda node: node.properties.update({name: value}))


def drop(path: str, name: str) -> Make:
    return at(path, lambda node: node.properties.pop(name))


def child(path: str, *nodes: Node) -> Make:
    """Add nodes behind the children of a node."""
    return at(path, lambda node: node.children.extend(nodes))


def twice(path: str) -> Make:
    """Put a copy of a node behind it."""

    def make(fit: bytes) -> bytes:
        parent, _, name = path.rpartition("/")

        def change(node: Node) -> None:
            found = node.child(name)
            assert found is not None
            node.children.append(found)

        return at(parent, change)(fit)

    return make


def rename(path: str, name: str) -> Make:
    return at(path, lambda node: setattr(node, "name", name))


def prop(nameoff: int, value: bytes = b"", *, size: int | None = None) -> bytes:
    """A property tag."""
    length = len(value) if size is None else size
    return PROP + struct.pack(">II", length, nameoff) + value + bytes(-len(value) % 4)


def named(name: bytes) -> Make:
    """Rename the property `description` in the strings block."""
    return strings(lambda names: names.replace(b"description\0", name + b"\0", 1))


def first(tag: bytes) -> Make:
    """Put tags in front of the first property of the root."""
    return structure(lambda tags: tags[:8] + tag + tags[8:])


def last(tag: bytes) -> Make:
    """Put tags in place of the last one."""
    return structure(lambda tags: tags[:-4] + tag)


def deep(depth: int) -> Node:
    node = Node("hash-x")
    for _ in range(depth):
        node = Node("hash-x", {}, [node])
    return node


def deep_tags(depth: int) -> bytes:
    return fdt.encode_begin("n") * depth + END_NODE * depth


def load(value: int, size: int = 4, image: str = "ramdisk-1") -> Make:
    return put(f"/images/{image}", "load", value.to_bytes(size))


def both(*makes: Make) -> Make:
    def make(fit: bytes) -> bytes:
        for each in makes:
            fit = each(fit)
        return fit

    return make


def many_loads(fit: bytes) -> bytes:
    nodes = [
        Node(f"i-{i}", {"data": b"x", "load": (0x1000 * i).to_bytes(4)}, []) for i in range(65)
    ]
    return child("/images", *nodes)(fit)


NOT_A_FIT: Final = "not a flattened image tree"
BLOCKS: Final = "blocks are not one behind the other"
STRINGS: Final = "strings block does not hold names"
PLACE: Final = "a node stands where it has no place"
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
    # what is no concern of the gate
    "payload-flipped": (lambda fit: tamper.flip_bit(fit, fit.index(b"kernel ")), ""),
    "payload-replaced": (lambda fit: tamper_fit.replace_payload(fit, "kernel-1", EVIL), ""),
    "signatures-stripped": (tamper_fit.strip_signatures, ""),
    "configuration-added": (
        lambda fit: tamper_fit.add_configuration(fit, "conf-evil", "conf-a", EVIL),
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
    "legacy-image": (lambda _: tamper.legacy_image(EVIL, load=0x40200000), NOT_A_FIT),
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
    "name-at": (lambda fit: tamper_fit.add_unit_address(fit, "conf-a", EVIL), NAME),
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
        lambda fit: tamper_fit.shadow_configurations(fit, ["conf-a"], EVIL),
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
    "images-cloned": (lambda fit: tamper_fit.clone_images(fit, EVIL), PLACE),
    # properties
    "property-of-images": (put("/images", "x", b""), UNSIGNED),
    "property-of-configurations": (put("/configurations", "x", b""), UNSIGNED),
    "property-of-signature": (put(SIGNATURE, "required", b"no\0"), UNSIGNED),
    "data-of-root": (put("/", "data", EVIL), PLACED),
    "data-of-configuration": (put(CONF, "data", EVIL), PLACED),
    "data-of-hash": (put("/images/kernel-1/hash-1", "data", EVIL), PLACED),
    "data-size": (put("/images/kernel-1", "data-size", bytes(4)), PLACED),
    "data-offset": (put("/images/kernel-1", "data-offset", b"\xff" * 4), PLACED),
    "data-position": (lambda fit: tamper_fit.move_payload(fit, "kernel-1", 0x4000), PLACED),
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


def agree(reason: str, fit: bytes, trust: bytes) -> bool:
    """Whether the release gate refuses for a reason that is the gate's concern when this does."""
    if reason in THE_GATE_ALONE:
        return True
    try:
        found = {finding.id for finding in inspect(fit, trust).errors}
    except FormatError:
        return bool(reason)
    if "hashed-strings" in reason and found & {"fit.algorithm", "fit.no-signature"}:
        # The release gate reads no further in a signature that cannot be the required one.
        return True
    return bool(reason) is not (found <= BEYOND_THE_GATE.keys())


@pytest.fixture(scope="session")
def reasons(gate: Gate, genuine: bytes) -> dict[str, str]:
    """What the gate says to each vector."""
    judged = gate.judge([make(genuine) for make, _ in VECTORS.values()])
    return dict(zip(VECTORS, judged, strict=True))


@pytest.mark.parametrize("name", VECTORS)
def test_gate_vector_has_the_named_verdict(reasons: dict[str, str], name: str) -> None:
    assert reasons[name] == VECTORS[name][1]


@pytest.mark.parametrize("name", VECTORS)
def test_gate_vector_has_the_same_verdict_from_the_release_gate(
    genuine: bytes, trust: bytes, name: str
) -> None:
    make, reason = VECTORS[name]
    assert agree(reason, make(genuine), trust)


def test_gate_every_reason_has_a_vector(gate_source: Path) -> None:
    text = (gate_source / "boot/bootseal_gate.c").read_text()
    body = text[text.index("static const char *check_header") :]
    spoken = set(re.findall(r'"([a-z\'][^"%:]+ [^"%:]+)"', body)) - {"images", "configurations"}
    assert spoken == {reason for _, reason in VECTORS.values() if reason}


@pytest.mark.tool("mkimage")
def test_gate_lets_pass_what_mkimage_makes(gate: Gate, tmp_path: Path) -> None:
    for name in ("kernel", "initramfs", "a.dtb", "b.dtb"):
        content = fdt.emit(Node("", {})) if name.endswith("dtb") else name.encode() * 1000
        (tmp_path / name).write_bytes(content)
    spec = assemble.FitSpec(
        description="mkimage",
        kernel=tmp_path / "kernel",
        compression="none",
        load=0x40400000,
        entry=0x40400000,
        fdts={"a": tmp_path / "a.dtb", "b": tmp_path / "b.dtb"},
        ramdisk=tmp_path / "initramfs",
        hint="dev",
        algorithm="sha256,rsa2048",
    )
    assemble.build(spec, tmp_path / "fit.itb", epoch=0)
    unsigned = (tmp_path / "fit.itb").read_bytes()
    key = ["-newkey", "rsa:2048", "-nodes", "-keyout", "dev.key", "-subj", "/CN=dev"]
    request = ["openssl", "req", "-x509", *key, "-out", "dev.crt"]
    sign = ["mkimage", "-F", "-k", ".", "fit.itb"]
    for command in (request, sign):
        subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    signed = (tmp_path / "fit.itb").read_bytes()

    assert b"signer-version\0" in signed
    assert gate.judge([unsigned, signed]) == ["", ""]


def test_gate_sees_one_size_less_than_loaded_as_too_large(gate: Gate, genuine: bytes) -> None:
    assert gate.judge_one(genuine[:-1]) == "larger than what was read"


def test_gate_every_prefix_of_a_fit_is_refused(gate: Gate, genuine: bytes) -> None:
    reasons = gate.judge([genuine[:size] for size in range(len(genuine))])
    assert "" not in reasons


def mutant(fit: bytes, rng: random.Random) -> bytes:
    """A few random changes of words, bytes and whole runs of tags."""
    tags, names = (bytearray(block) for block in blocks(fit))
    header = bytearray(fdt.assemble(bytes(16), b"", b""))[:ROOT_NODE]
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        block = rng.choice((tags, tags, tags, names))
        where = rng.randrange(0, len(block), 4)
        match rng.randrange(6):
            case 0:
                block[rng.randrange(len(block))] ^= 1 << rng.randrange(8)
            case 1:
                value = rng.choice((0, 1, 2, 3, 4, 9, 0x7FFFFFFF, 0xFFFFFFFF, len(block)))
                tags[where : where + 4] = struct.pack(">I", value)
            case 2:
                del block[where : where + 4 * rng.randrange(1, 24)]
            case 3:
                run = block[where : where + 4 * rng.randrange(1, 48)]
                there = rng.randrange(0, len(block), 4)
                block[there:there] = run
            case 4:
                header[rng.randrange(len(header))] ^= 1 << rng.randrange(8)
            case _:
                block[where : where + 4] = rng.randbytes(4)
        if not tags or not names:
            break
    whole = bytearray(fdt.assemble(bytes(16), tags, names))
    blank = fdt.assemble(bytes(16), b"", b"")[:ROOT_NODE]
    for i, (old, new) in enumerate(zip(blank, header, strict=True)):
        whole[i] ^= old ^ new
    return bytes(whole)


def test_gate_and_release_gate_agree_on_random_mutants(
    gate: Gate, genuine: bytes, trust: bytes
) -> None:
    # Repeatable on purpose.
    fits = [mutant(genuine, random.Random(seed)) for seed in range(MUTANTS)]  # noqa: S311
    wrong = [
        (seed, reason)
        for seed, (fit, reason) in enumerate(zip(fits, gate.judge(fits), strict=True))
        if not agree(reason, fit, trust)
    ]
    assert wrong == []


@pytest.mark.tool("clang")
@pytest.mark.timeout(FUZZ_SECONDS + 300)
def test_gate_survives_the_fuzzer(gate_source: Path, genuine: bytes, tmp_path: Path) -> None:
    """A smoke test; `BOOTSEAL_FUZZ_SECONDS=600` makes a campaign of it, `-s` shows the figures."""
    harness = Path(__file__).with_name("fuzz_gate.c")
    program = tmp_path / "fuzz_gate"
    sanitizers = ["-fsanitize=fuzzer,address,undefined", "-fno-sanitize-recover=all"]
    sources = [gate_source / "boot/bootseal_gate.c", harness]
    include = f"-I{gate_source}/include"
    subprocess.run(
        ["clang", "-g", "-O1", *sanitizers, include, *sources, "-lfdt", "-o", program], check=True
    )
    seeds = tmp_path / "seeds"
    seeds.mkdir()
    for name, (make, _) in VECTORS.items():
        if len(content := make(genuine)) < 65536:
            (seeds / name).write_bytes(content)
    limits = [f"-max_total_time={FUZZ_SECONDS}", "-max_len=16384", "-timeout=5", "-seed=1"]
    done = subprocess.run(
        [program, *limits, "-print_final_stats=1", seeds],
        cwd=tmp_path,
        capture_output=True,
        check=False,
        timeout=FUZZ_SECONDS + 120,
    )
    said = done.stderr.decode(errors="replace")
    print(said[said.find("stat::number") :])  # noqa: T201 - the figures of a campaign
    assert done.returncode == 0, said[-4000:]
