# SPDX-License-Identifier: MIT
"""What an attacker can still change: every byte of a FIT and what protects it.

Coverage is what a signature would protect if it is good; `bootseal.fit.verify.verdict` says whether
it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bootseal.fit.verify.digest import STRONG
from bootseal.formats.fdt.scan import Tag, Token
from bootseal.formats.fit import model as fit_format
from bootseal.formats.fit.regions import covered
from bootseal.protection import State

if TYPE_CHECKING:
    from bootseal.formats.fit.model import Fit, Image

# U-Boot reads these of a signature node; the rest of it is for people.
_READ_OF_SIGNATURES: Final = frozenset(
    {"algo", "hashed-nodes", "hashed-strings", "key-name-hint", "padding", "value"}
)


STATES: Final = (State.SIGNED, State.HASHED, State.UNSIGNED, State.UNUSED)
"""The states that bytes of a FIT can be in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Some bytes of the file.

    Attributes:
        path: Path of the node they belong to, or what they are, such as `header`.
        name: Name of the property; empty for the tags and the name of a node.
        start: Offset in the file.
        size: Size in bytes.
        state: What protects them.
    """

    path: str
    name: str
    start: int
    size: int
    state: State


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """Every byte of the file, in file order; `totals` is bytes by state."""

    parts: tuple[Part, ...]
    totals: dict[State, int]


def coverage(fit: Fit) -> Coverage:
    """Say for every byte of a FIT what protects it.

    A payload counts as signed when a strong hash of it is, and as hashed only when nothing signs
    that hash.
    """
    parts = tuple(part for part in _Map(fit).parts() if part.size)
    totals = {s: sum(part.size for part in parts if part.state is s) for s in STATES}
    return Coverage(parts=parts, totals=totals)


class _Map:
    """The parts of one FIT."""

    def __init__(self, fit: Fit) -> None:
        self._fit = fit
        self._nodes: set[str] = set()
        self._strings = 0
        for configuration in fit.configurations:
            signatures = [s for s in configuration.signatures if s.value]
            if signatures:
                self._nodes |= set(fit_format.hashed_nodes(fit, configuration))
                sizes = [int.from_bytes(s.hashed_strings[4:8]) for s in signatures]
                self._strings = max(self._strings, *sizes)
        self._images = {image.path: image for image in fit.images}
        self._used = {
            fit.image(name).path
            for configuration in fit.configurations
            for names in configuration.references.values()
            for name in names
        }

    def parts(self) -> Iterator[Part]:
        """Yield all parts in file order."""
        flat, header = self._fit.flat, self._fit.flat.header
        yield from self._between("header", 0, header.off_reservations, State.UNSIGNED)
        start, end = header.off_reservations, flat.reservations_end
        yield from self._between("memory reservations", start, end, State.UNUSED)
        yield from self._between("gap", end, header.off_struct, State.UNUSED)
        yield from self._structure()
        end = header.off_struct + header.size_struct
        yield from self._between("gap", end, header.off_strings, State.UNUSED)
        start, end = header.off_strings, header.off_strings + header.size_strings
        signed = min(start + self._strings, end)
        yield from self._between("strings", start, signed, State.SIGNED)
        yield from self._between("strings", signed, end, State.UNSIGNED)
        yield from self._behind(end)

    def _behind(self, end: int) -> Iterator[Part]:
        """Yield what follows the strings block: slack, external data, and the gaps between."""
        external = [image for image in self._fit.images if image.behind]
        yield from self._between("slack", end, self._fit.flat.header.total_size, State.UNUSED)
        end = self._fit.flat.header.total_size
        for image in sorted(external, key=lambda image: image.offset):
            yield from self._between("gap", end, image.offset, State.UNUSED)
            # By data-position it may be in what the map has shown already.
            start, end = max(end, image.offset), max(end, image.offset + len(image.payload))
            yield from self._between(image.path, start, end, self._payload(image), "data")
        yield from self._between("behind the FIT", end, len(self._fit.data), State.UNUSED)

    @staticmethod
    def _between(path: str, start: int, end: int, state: State, name: str = "") -> Iterator[Part]:
        if start < end:
            yield Part(path=path, name=name, start=start, size=end - start, state=state)

    def _structure(self) -> Iterator[Part]:
        tokens, names = self._fit.flat.tokens, list[str]()
        for token, signed in zip(tokens, covered(tokens, self._nodes), strict=True):
            if token.tag is Tag.BEGIN_NODE:
                names.append(token.name)
            path = "/".join(names) or "/"
            name = token.name if token.tag is Tag.PROP else ""
            in_signature = signed and bool(self._nodes)
            state = State.SIGNED if in_signature else self._unsigned(token, path)
            # A hash of a payload ends where that does; a signature goes over the padding, too.
            ends = not in_signature and token.tag is Tag.PROP
            end = token.value + token.size if ends else token.end
            yield from self._between(path, token.start, end, state, name)
            yield from self._between(path, end, token.end, State.UNUSED, "padding")
            if token.tag is Tag.END_NODE:
                names.pop()

    def _unsigned(self, token: Token, path: str) -> State:
        """Return the state of a tag that no signature covers."""
        image = self._images.get(path)
        if image is not None and token.name == "data" and token.tag is Tag.PROP:
            return self._payload(image)
        parent, _, name = path.rpartition("/")
        if name.startswith("signature"):
            read = token.tag is not Tag.PROP or token.name in _READ_OF_SIGNATURES
        elif path == "/configurations":
            read = token.tag is not Tag.PROP or token.name == "default"
        elif path.startswith("/images/"):
            read = path in self._used or parent in self._used
        elif path.startswith("/configurations/"):
            # Below a configuration U-Boot reads signatures only; OE puts hashes there as well.
            read = parent == "/configurations"
        else:
            read = path in {"/", "/images"}
        return State.UNSIGNED if read and token.tag is not Tag.NOP else State.UNUSED

    def _payload(self, image: Image) -> State:
        if image.path not in self._used:
            return State.UNUSED
        if any(h.path in self._nodes and h.algorithm in STRONG for h in image.hashes):
            return State.SIGNED
        return State.HASHED if image.hashes else State.UNSIGNED
