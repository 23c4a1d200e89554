# SPDX-License-Identifier: MIT
"""The table of properties in the gate and the one in Python, row by row and value by value."""

from __future__ import annotations

import re
import struct
from typing import TYPE_CHECKING, Final

import pytest
from tests.gate.edits import at, both, child, load, put
from tests.gate.test_gate import agree

from bootseal.errors import FormatError
from bootseal.fit.verify import forms, gate
from bootseal.fit.verify.forms import NodeKind, PropertyForm
from bootseal.fit.verify.verdict import inspect
from bootseal.formats.fdt.model import Node

if TYPE_CHECKING:
    from pathlib import Path

    from tests.gate.conftest import Gate
    from tests.gate.edits import Make

CONF: Final = "/configurations/conf-a"
WITH_HASH: Final = child(CONF, Node("hash-1", {"algo": b"sha256\0"}))
PLACES: Final = {
    NodeKind.ROOT: "/",
    NodeKind.IMAGES: "/images",
    NodeKind.CONFIGS: "/configurations",
    NodeKind.IMAGE: "/images/kernel-1",
    NodeKind.CONFIG: CONF,
    NodeKind.HASH: "/images/kernel-1/hash-1",
    NodeKind.SIGNATURE: f"{CONF}/signature-1",
    NodeKind.UNREAD: f"{CONF}/hash-1",
}
VALUES: Final = {
    "none": b"",
    "empty text": b"\0",
    "text": b"conf-a\0",
    "text without end": b"conf",
    "two texts": b"a\0b\0",
    "two ends": b"a\0\0",
    "escape": b"\x1b[2J\0",
    "tabulator": b"a\tb\0",
    "delete": b"a\x7f\0",
    "beyond ASCII": "ä\0".encode(),
    "not UTF-8": b"\xff\0",
    "3 bytes": bytes(3),
    "32 bits": bytes(4),
    "64 bits": bytes(8),
    "12 bytes": bytes(12),
    "extent of one": struct.pack(">II", 0, 1),
    "extent outside": struct.pack(">II", 0, 1 << 20),
    "extent from 1": struct.pack(">II", 1, 1),
}


def made(name: str, kind: NodeKind, value: bytes) -> Make:
    change = put(PLACES[kind], name, value)
    return both(WITH_HASH, change) if kind is NodeKind.UNREAD else change


def test_gate_has_the_table_of_the_release_gate(gate_source: Path) -> None:
    text = (gate_source / "boot/bootseal_gate.c").read_text()
    table = text[text.index("} rules[] = {") : text.index("static const char * const unsigned")]
    rows = re.findall(r'\{ "([a-z-]+)", ([A-Z |]+), ([A-Z]+) \}', table)
    there = {
        name: (frozenset(map(NodeKind, kinds.split(" | "))), PropertyForm(form))
        for name, kinds, form in rows
    }
    assert there == forms.RULES
    assert set(re.search(r"enum kind \{(.*?)\}", text, re.DOTALL)[1].split()) >= set(NodeKind)  # type: ignore[index]


def test_gate_has_the_limits_of_the_release_gate(gate_source: Path) -> None:
    text = (gate_source / "boot/bootseal_gate.c").read_text()
    defined = {
        name: int(value) for name, value in re.findall(r"#define\t?\s*(\w+)\s+(\d+)\b", text)
    }
    assert {name: defined[name] for name in gate.LIMITS} == gate.LIMITS


@pytest.mark.parametrize("kind", NodeKind)
@pytest.mark.parametrize("name", forms.RULES)
def test_gate_and_release_gate_agree_about_every_form_of_a_property(
    gate: Gate, genuine: bytes, trust: bytes, name: str, kind: NodeKind
) -> None:
    fits = {what: made(name, kind, value)(genuine) for what, value in VALUES.items()}
    reasons = gate.check(list(fits.values()))
    wrong = [
        (what, reason)
        for (what, fit), reason in zip(fits.items(), reasons, strict=True)
        if not agree(reason, fit, trust)
    ]
    assert wrong == []


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        (n, k)
        for n, (kinds, form) in forms.RULES.items()
        if form is PropertyForm.TEXT
        for k in sorted(kinds)
    ],
)
def test_text_that_is_not_one_printable_string_is_refused(
    genuine: bytes, trust: bytes, name: str, kind: NodeKind
) -> None:
    for value in ("none", "escape", "tabulator", "beyond ASCII", "not UTF-8", "two texts"):
        fit = made(name, kind, VALUES[value])(genuine)
        try:
            assert "fit.property-form" in {each.id for each in inspect(fit, trust).errors}, value
        except FormatError as error:
            assert repr(name) in error.message  # noqa: PT017


def nodes(number: int) -> Make:
    """Make a FIT of this many nodes."""

    def change(root: Node) -> None:
        there = 0
        pending = [root]
        for each in pending:
            there += 1
            pending += each.children
        images = root.child("images")
        assert images is not None
        more = [Node(f"i-{i}", {"data": b"x"}) for i in range(number - there)]
        images.children += more

    return at("/", change)


ROOM: Final[dict[str, tuple[Make, Make]]] = {
    "nodes": (nodes(1024), nodes(1025)),
    "properties": (
        at("/", lambda node: node.properties.update({f"p{i}": b"" for i in range(61)})),
        at("/", lambda node: node.properties.update({f"p{i}": b"" for i in range(62)})),
    ),
    "name": (put("/", "n" * 63, b""), put("/", "n" * 64, b"")),
    "unpacking": (
        load(0x48200000, image="fdt-a"),
        load(0x48200000 - 1, image="fdt-a"),
    ),
    "end of memory": (
        load((1 << 64) - 60, 8, image="fdt-a"),
        load((1 << 64) - 6, 8, image="fdt-a"),
    ),
}


@pytest.mark.parametrize(("fits", "beyond"), ROOM.values(), ids=ROOM.keys())
def test_gate_has_room_for_what_the_release_gate_says(
    gate: Gate, genuine: bytes, trust: bytes, fits: Make, beyond: Make
) -> None:
    small, large = fits(genuine), beyond(genuine)
    assert [bool(reason) for reason in gate.check([small, large])] == [False, True]
    assert "fit.gate" not in {each.id for each in inspect(small, trust).errors}
    assert "fit.gate" in {each.id for each in inspect(large, trust).errors}


def test_room_in_the_gate_does_not_matter_to_a_device_tree_alone(
    genuine: bytes, trust: bytes
) -> None:
    tree = trust[trust.index(b"\xd0\x0d\xfe\xed") :]
    large = nodes(1025)(genuine)
    assert "fit.gate" in {each.id for each in inspect(large, trust).errors}
    assert "fit.gate" not in {each.id for each in inspect(large, tree).errors}
