# SPDX-License-Identifier: MIT
"""Adds a signature node for the next key to those of the keys in use.

The name of a signature node is signed, so a configuration with a new one must be signed again by
every key.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bootseal.errors import UsageError
from bootseal.formats.fdt.read import FlatNode
from bootseal.formats.fit.model import Configuration, Signature
from bootseal.keys.algorithms import Algorithm, Padding

if TYPE_CHECKING:
    from bootseal.formats.fdt.edit import Editor


@dataclass(frozen=True, slots=True, kw_only=True)
class NewSignature:
    """A signature node that every configuration shall have.

    Attributes:
        hint: Its `key-name-hint`.
        algorithm: U-Boot name of its algorithm.
        padding: RSA padding.

    Raises:
        UsageError: The algorithm or padding is not supported.
    """

    hint: str
    algorithm: str
    padding: str = Padding.PKCS1

    def __post_init__(self) -> None:
        Algorithm.parse(self.algorithm, self.padding)


def add(
    editor: Editor, configuration: Configuration, new: NewSignature, signing: Collection[str]
) -> tuple[Signature, ...]:
    """Add an empty signature node to a configuration that has none of this hint.

    Args:
        editor: The tree to change.
        configuration: As it is before.
        new: What to add.
        signing: Hints of the keys that will sign now.

    Returns:
        All signature nodes of the configuration, in file order.

    Raises:
        UsageError: A signature would be broken and not made again.
    """
    if any(signature.hint == new.hint for signature in configuration.signatures):
        return configuration.signatures
    broken = {s.hint for s in configuration.signatures if s.value} - set(signing)
    if broken:
        names = ", ".join(map(repr, sorted(broken)))
        raise UsageError(
            f"{configuration.path}: a new signature node invalidates the signature by {names}",
            hint="sign with that key in the same run: repeat --key and --hint",
        )
    taken = {child.name for child in configuration.node.children}
    name = next(name for n in range(1, len(taken) + 2) if (name := f"signature-{n}") not in taken)
    path = f"{configuration.path}/{name}"
    editor.add_node(configuration.path, name)
    sign_images = tuple(configuration.references)
    for key, value in _properties(new, sign_images):
        editor.set_property(path, key, value)
    added = Signature(
        path=path,
        algorithm=new.algorithm,
        hint=new.hint,
        padding=new.padding,
        value=b"",
        sign_images=sign_images,
        hashed_nodes=(),
        hashed_strings=b"",
        timestamp=None,
        node=FlatNode(name=name, path=path, start=0, end=0, properties={}, children=()),
    )
    return added, *configuration.signatures


def _properties(new: NewSignature, sign_images: tuple[str, ...]) -> Iterator[tuple[str, bytes]]:
    yield "sign-images", b"".join(image.encode() + b"\0" for image in sign_images)
    if new.padding != Padding.PKCS1:
        yield "padding", new.padding.encode() + b"\0"
    yield "key-name-hint", new.hint.encode() + b"\0"
    yield "algo", new.algorithm.encode() + b"\0"
