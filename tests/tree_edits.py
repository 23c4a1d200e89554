# SPDX-License-Identifier: MIT
"""Changes of a tree, as `fdt.rewrite` takes them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from bootseal.formats.fdt import model as fdt


def node(root: fdt.Node, path: str) -> fdt.Node:
    found = root.find(path)
    assert found is not None
    return found


def put(path: str, name: str, value: bytes) -> Callable[[fdt.Node], None]:
    def change(root: fdt.Node) -> None:
        node(root, path).properties[name] = value

    return change


def drop(path: str, name: str) -> Callable[[fdt.Node], None]:
    def change(root: fdt.Node) -> None:
        del node(root, path).properties[name]

    return change


ANY_SUFFICES = put("/signature", "required-mode", b"any\0")
"""Makes one required key of a control device tree enough, instead of all of them."""
