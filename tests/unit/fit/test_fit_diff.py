# SPDX-License-Identifier: MIT
"""Comparing FITs, and taking images out of them."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest

from bootseal.errors import ExitCode, UsageError, VerificationRefused
from bootseal.fit.diff import diff
from bootseal.fit.extract import extract
from bootseal.formats.fdt import model as fdt
from bootseal.formats.fit.model import parse

if TYPE_CHECKING:
    from collections.abc import Callable


def node(root: fdt.Node, path: str) -> fdt.Node:
    found = root.find(path)
    assert found is not None
    return found


def changes(first: bytes, second: bytes) -> list[tuple[str, str, str, str]]:
    old, new = parse(first, lenient=True), parse(second, lenient=True)
    return [(c.path, c.name, c.before, c.after) for c in diff(old, new)]


def test_fit_does_not_differ_from_itself(signed: bytes) -> None:
    assert changes(signed, fdt.rewrite(signed, lambda _: None)) == []


def test_other_payload_is_named_by_digest(signed: bytes) -> None:
    def change(root: fdt.Node) -> None:
        node(root, "/images/kernel-1").properties["data"] = b"evil"

    ((path, name, before, after),) = changes(signed, fdt.rewrite(signed, change))
    assert (path, name) == ("/images/kernel-1", "data")
    assert before.startswith("63 bytes, sha256 ")
    assert after == f"4 bytes, sha256 {hashlib.sha256(b'evil').hexdigest()}"


def test_embedded_and_external_data_are_compared_by_content(
    signed: bytes, external: Callable[..., bytes]
) -> None:
    names = {name for _, name, _, _ in changes(signed, external(signed))}
    assert names == {"data-offset", "data-size"}


def test_text_number_and_nothing_are_shown_as_such(signed: bytes) -> None:
    def change(root: fdt.Node) -> None:
        properties = node(root, "/images/kernel-1").properties
        properties |= {"type": b"a\0b\0", "load": b"\0\1\2\3", "os": b""}

    found = {name: after for _, name, _, after in changes(signed, fdt.rewrite(signed, change))}
    assert found == {"type": "'a', 'b'", "load": "0x00010203", "os": "no value"}


def test_node_that_came_and_one_that_went_are_named(signed: bytes) -> None:
    def change(root: fdt.Node) -> None:
        root.children.append(fdt.Node("extra"))
        node(root, "/images").children.pop()

    found = changes(signed, fdt.rewrite(signed, change))
    assert ("/extra", "", "", "node") in found
    assert ("/images/fdt-b", "", "node", "") in found


def test_order_of_nodes_is_compared(signed: bytes) -> None:
    def change(root: fdt.Node) -> None:
        node(root, "/images").children.reverse()

    ((path, name, before, after),) = changes(signed, fdt.rewrite(signed, change))
    assert (path, name) == ("/images", "")
    assert before.split(", ") == list(reversed(after.split(", ")))


def test_second_node_of_a_name_is_not_lost(signed: bytes) -> None:
    def change(root: fdt.Node) -> None:
        node(root, "/images").children.append(fdt.Node("kernel-1", {"data": b"x"}))

    found = changes(signed, fdt.rewrite(signed, change))
    assert ("/images/kernel-1 (2)", "", "", "node") in found


def test_extracted_image_is_the_payload(signed: bytes, external: Callable[..., bytes]) -> None:
    assert bytes(extract(signed, "kernel-1")) == b"kernel " * 9
    assert bytes(extract(external(signed), "ramdisk-1")) == b"ramdisk" * 7


def test_damaged_image_is_not_extracted(signed: bytes) -> None:
    def change(root: fdt.Node) -> None:
        node(root, "/images/kernel-1").properties["data"] = b"evil"

    with pytest.raises(VerificationRefused, match=r"'kernel-1' is refused: fit\.image-hash"):
        extract(fdt.rewrite(signed, change), "kernel-1")


def test_image_whose_hashes_are_ignored_is_not_extracted(signed: bytes) -> None:
    def change(root: fdt.Node) -> None:
        node(root, "/images/kernel-1/hash-1").properties["uboot-ignore"] = b"\0\0\0\1"

    with pytest.raises(VerificationRefused, match="all its hashes are marked to be ignored"):
        extract(fdt.rewrite(signed, change), "kernel-1")


def test_unknown_image_is_named(signed: bytes) -> None:
    with pytest.raises(UsageError, match="it has kernel-1, ramdisk-1") as error:
        extract(signed, "kernel-2")

    assert error.value.exit_code == ExitCode.USAGE
