# SPDX-License-Identifier: MIT
"""What a FIT holds, as data for tables and JSON. Nothing here says that a FIT is trustworthy."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from bootseal.fit.verify.digest import STRONG, WEAK, digest
from bootseal.formats.fit import model as fit_format

if TYPE_CHECKING:
    from bootseal.formats.fdt.model import Buffer
    from bootseal.formats.fit.model import Hash, Image, Place, Signature


class HashState(StrEnum):
    """How a hash node relates to the data of its image."""

    MATCHES = "matches"
    DIFFERS = "differs"
    EMPTY = "empty"
    UNKNOWN = "unknown algorithm"


class SignatureState(StrEnum):
    """Whether a signature node holds a signature; `fit verify` says whether it is good."""

    UNSIGNED = "unsigned"
    NOT_CHECKED = "signed, not checked"


@dataclass(frozen=True, slots=True, kw_only=True)
class HashView:
    """A hash node; `value` is lower-case hex."""

    name: str
    algorithm: str
    value: str
    state: HashState


@dataclass(frozen=True, slots=True, kw_only=True)
class SignatureView:
    """A signature node; `timestamp` in seconds since 1970."""

    name: str
    algorithm: str
    padding: str
    hint: str
    timestamp: int | None
    sign_images: tuple[str, ...]
    state: SignatureState


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageView:
    """An image; sizes and offsets in bytes, None where the FIT says nothing."""

    name: str
    description: str
    type: str
    os: str
    arch: str
    compression: str
    offset: int
    size: int
    external: bool
    place: Place
    load: int | None
    entry: int | None
    hashes: tuple[HashView, ...]
    signatures: tuple[SignatureView, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigurationView:
    """A configuration; `images` lists the image names by property."""

    name: str
    description: str
    default: bool
    images: dict[str, tuple[str, ...]]
    signatures: tuple[SignatureView, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FitView:
    """A FIT; `size` in bytes, `timestamp` in seconds since 1970."""

    description: str
    timestamp: int | None
    size: int
    images: tuple[ImageView, ...]
    configurations: tuple[ConfigurationView, ...]


def describe(data: Buffer) -> FitView:
    """Describe a FIT.

    Args:
        data: The file; bytes behind the FIT are ignored.

    Raises:
        FormatError: It is not a FIT.
    """
    fit = fit_format.parse(data, lenient=True)
    return FitView(
        description=fit.description,
        timestamp=fit.timestamp,
        size=fit.flat.header.total_size,
        images=tuple(_image(image) for image in fit.images),
        configurations=tuple(
            ConfigurationView(
                name=each.name,
                description=each.description,
                default=each.name == fit.default,
                images=each.references,
                signatures=tuple(_signature(signature) for signature in each.signatures),
            )
            for each in fit.configurations
        ),
    )


def _image(image: Image) -> ImageView:
    return ImageView(
        name=image.name,
        description=image.description,
        type=image.type,
        os=image.os,
        arch=image.arch,
        compression=image.compression,
        offset=image.offset,
        size=len(image.payload),
        external=image.external,
        place=image.place,
        load=image.load,
        entry=image.entry,
        hashes=tuple(
            HashView(
                name=_name(found.path),
                algorithm=found.algorithm,
                value=found.value.hex(),
                state=_state(found, image),
            )
            for found in image.hashes
        ),
        signatures=tuple(_signature(signature) for signature in image.signatures),
    )


def _state(found: Hash, image: Image) -> HashState:
    if found.algorithm not in STRONG | WEAK:
        return HashState.UNKNOWN
    if not found.value:
        return HashState.EMPTY
    matches = digest(found.algorithm, image.payload) == found.value
    return HashState.MATCHES if matches else HashState.DIFFERS


def _signature(signature: Signature) -> SignatureView:
    return SignatureView(
        name=_name(signature.path),
        algorithm=signature.algorithm,
        padding=signature.padding,
        hint=signature.hint,
        timestamp=signature.timestamp,
        sign_images=signature.sign_images or (),
        state=SignatureState.NOT_CHECKED if signature.value else SignatureState.UNSIGNED,
    )


def _name(path: str) -> str:
    return path.rpartition("/")[2]
