# SPDX-License-Identifier: MIT
"""How two FITs differ: nodes, properties, and the data of images by digest."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bootseal.fit.verify.digest import digest

if TYPE_CHECKING:
    from bootseal.formats.fdt.model import FlatNode
    from bootseal.formats.fit.model import Fit

# Numbers and digests are shown whole, anything longer by its own digest.
_SHOWN: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class FitChange:
    """One difference.

    Attributes:
        path: Path of the node.
        name: Name of the property, `data` for the data of an image wherever it is, empty when
            the node itself was added, removed, or moved among its siblings.
        before: Its value in the first FIT as text, empty when it is not there.
        after: Its value in the second.
    """

    path: str
    name: str
    before: str
    after: str


def diff(first: Fit, second: Fit) -> tuple[FitChange, ...]:
    """Compare two FITs.

    Args:
        first: A FIT, read leniently; it need not be acceptable.
        second: Another.

    Returns:
        The differences in the order of the nodes, those of the first FIT before what is only in
        the second. None means the trees are the same; headers, free space and the order of
        properties are not compared.
    """
    nodes, others = _nodes(first), _nodes(second)
    changes: list[FitChange] = []
    for path in dict.fromkeys((*nodes, *others)):
        changes += _compare(path, nodes.get(path), others.get(path))
    return tuple(changes)


def _nodes(fit: Fit) -> dict[str, tuple[FlatNode, dict[str, str]]]:
    """Return all nodes by path, a second one of the same path with a number appended."""
    payloads = {image.node.start: image.payload for image in fit.images}
    result: dict[str, tuple[FlatNode, dict[str, str]]] = {}
    for node in fit.flat.root.walk():
        path, number = node.path, 1
        while path in result:
            number += 1
            path = f"{node.path} ({number})"
        texts = {
            name: _text(found.value) for name, found in node.properties.items() if name != "data"
        }
        payload = payloads.get(node.start)
        if payload is not None:
            texts["data"] = f"{len(payload)} bytes, sha256 {digest('sha256', payload).hex()}"
        result[path] = node, texts
    return result


def _compare(
    path: str,
    old: tuple[FlatNode, dict[str, str]] | None,
    new: tuple[FlatNode, dict[str, str]] | None,
) -> Iterator[FitChange]:
    if old is None or new is None:
        before, after = ("", "node") if old is None else ("node", "")
        yield FitChange(path=path, name="", before=before, after=after)
    names, others = (dict[str, str]() if side is None else side[1] for side in (old, new))
    for name in dict.fromkeys((*names, *others)):
        before, after = names.get(name, ""), others.get(name, "")
        if before != after or (name in names) != (name in others):
            yield FitChange(path=path, name=name, before=before, after=after)
    if old is not None and new is not None:
        yield from _compare_order(path, old[0], new[0])


def _compare_order(path: str, old: FlatNode, new: FlatNode) -> Iterator[FitChange]:
    before, after = ([child.name for child in node.children] for node in (old, new))
    if before != after and sorted(before) == sorted(after):
        yield FitChange(path=path, name="", before=", ".join(before), after=", ".join(after))


def _text(value: memoryview) -> str:
    """Render a value: strings as such, anything else in hex or by its digest."""
    raw = bytes(value[:4096])
    parts = raw[:-1].split(b"\0") if raw.endswith(b"\0") else []
    if parts and len(value) == len(raw) and all(_is_text(part) for part in parts):
        return ", ".join(repr(part.decode()) for part in parts)
    if len(value) <= _SHOWN:
        return f"0x{raw.hex()}" if raw else "no value"
    return f"{len(value)} bytes, sha256 {digest('sha256', value).hex()}"


def _is_text(part: bytes) -> bool:
    return bool(part) and part.isascii() and part.decode().isprintable()
