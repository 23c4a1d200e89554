# SPDX-License-Identifier: MIT
"""The manifest of an update bundle: what it updates, and the digests of everything in it.

Groups and keys of GLib's key files, read strictly: printable ASCII, no escapes, nothing twice, and
only keys that RAUC 1.8 knows.

Spec: RAUC's reference manual, "Manifest"; RAUC src/manifest.c.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from bootseal.errors import FormatError

MAX_SIZE: Final = 32 * 1024
VERITY: Final = "verity"
"""The format of a bundle whose payload has a hash tree."""
CRYPT: Final = "crypt"
"""Likewise, of an encrypted payload; the manifest has its key, and is encrypted for recipients."""
SUFFIX: Final = ".block-hash-index"
"""What the name of an image ends in where its digests of each 4096 bytes are next to it."""
ADAPTIVE: Final = "block-hash-index"

_GROUP: Final = re.compile(r"\[([a-z][a-z0-9.-]{0,63})\]")
# GLib reads a backslash as the start of an escape, and leaves out spaces in front of a value.
_PAIR: Final = re.compile(r"([a-z][a-z0-9-]{0,31})=((?! )[ -\[\]-~]{0,1024})")
_HEX: Final = re.compile("[0-9a-f]{64}")
_NUMBER: Final = re.compile("0|[1-9][0-9]{0,12}")
_FILE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_TEXT: Final = re.compile(r"[!-\[\]-~]([ -\[\]-~]{0,126}[!-\[\]-~])?")
_IMAGE: Final = "image."
_MAX_IMAGES: Final = 16
_UPDATE: Final = ("compatible", "version", "description", "build")
_BUNDLE: Final = ("format", "verity-hash", "verity-salt", "verity-size")
_KEY: Final = "crypt-key"
_OF_IMAGE: Final = ("filename", "size", "sha256", "adaptive")
_CODE: Final = ("hooks", "hook", "handler", "handlers", "pre-install", "post-install")


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """An image for one slot.

    Attributes:
        slot: Class of the slot, such as `root`.
        filename: Its name in the bundle.
        size: Bytes.
        sha256: Lower-case hex.
        adaptive: Whether digests of each 4096 bytes are next to it.
    """

    slot: str
    filename: str
    size: int
    sha256: str
    adaptive: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """A manifest.

    Attributes:
        compatible: Which devices it is for.
        version: Of the release.
        build: Of the release; empty without one.
        form: Format of the bundle: `verity`, or `crypt` for an encrypted payload.
        root_hash: Of the hash tree, lower-case hex.
        salt: Likewise, 32 bytes.
        tree_size: Bytes of the hash tree.
        images: In the order in which they are written.
        crypt_key: Of the format crypt: the key of the payload, 32 bytes in lower-case hex. It is
            a secret, and not part of the text form.
    """

    compatible: str
    version: str
    build: str
    form: str
    root_hash: str
    salt: str
    tree_size: int
    images: tuple[Image, ...]
    crypt_key: str = field(default="", repr=False)


def is_text(value: str) -> bool:
    """Tell whether a manifest can name devices or a release so."""
    return _TEXT.fullmatch(value) is not None


def parse(data: bytes) -> Manifest:
    """Read a manifest.

    Raises:
        FormatError: It is malformed, lacks something, or holds a key that is not known.
    """
    groups = _groups(data)
    update, bundle = groups.pop("update", {}), groups.pop("bundle", {})
    _check_keys("update", update, _UPDATE)
    form = bundle.get("format", "plain")
    _check_keys("bundle", bundle, (*_BUNDLE, _KEY) if form == CRYPT else _BUNDLE)
    if "verity-hash" not in bundle:
        raise FormatError(
            f"a bundle of format {form!r} whose manifest has no hash tree: expected verity"
        )
    images = tuple(_image(name, values) for name, values in groups.items())
    if not 0 < len(images) <= _MAX_IMAGES:
        raise FormatError(f"a manifest of {len(images)} images: expected 1 to {_MAX_IMAGES}")
    names = [image.filename for image in images]
    if len({*names}) != len(names):
        raise FormatError("two images of the manifest are the same file")
    return Manifest(
        compatible=_value("update", update, "compatible", _TEXT),
        version=_value("update", update, "version", _TEXT),
        build=update.get("build", ""),
        form=_value("bundle", bundle, "format", _TEXT),
        root_hash=_value("bundle", bundle, "verity-hash", _HEX),
        salt=_value("bundle", bundle, "verity-salt", _HEX),
        tree_size=int(_value("bundle", bundle, "verity-size", _NUMBER)),
        images=images,
        crypt_key=_value("bundle", bundle, _KEY, _HEX) if form == CRYPT else "",
    )


def emit(manifest: Manifest) -> bytes:
    """Write a manifest; what `parse` reads from it is the same."""
    update = {"compatible": manifest.compatible, "version": manifest.version}
    if manifest.build:
        update["build"] = manifest.build
    groups = {
        "update": update,
        "bundle": {
            "format": manifest.form,
            "verity-hash": manifest.root_hash,
            "verity-salt": manifest.salt,
            "verity-size": str(manifest.tree_size),
        },
    }
    if manifest.crypt_key:
        groups["bundle"][_KEY] = manifest.crypt_key
    for image in manifest.images:
        values = {"filename": image.filename, "size": str(image.size), "sha256": image.sha256}
        if image.adaptive:
            values["adaptive"] = ADAPTIVE
        groups[f"{_IMAGE}{image.slot}"] = values
    texts = (
        "\n".join([f"[{name}]", *(f"{key}={value}" for key, value in values.items()), ""])
        for name, values in groups.items()
    )
    return "\n".join(texts).encode()


def _groups(data: bytes) -> dict[str, dict[str, str]]:
    if len(data) > MAX_SIZE:
        raise FormatError(f"a manifest of {len(data)} bytes: expected at most {MAX_SIZE}")
    try:
        lines = data.decode("ascii").split("\n")
    except UnicodeDecodeError as error:
        raise FormatError(f"the manifest is not ASCII: {error.reason} at {error.start}") from error
    groups: dict[str, dict[str, str]] = {}
    group: dict[str, str] | None = None
    for number, line in enumerate(lines, start=1):
        if not line:
            continue
        if found := _GROUP.fullmatch(line):
            if found[1] in groups:
                raise FormatError(f"the manifest's group [{found[1]}] comes twice")
            group = groups[found[1]] = {}
        elif (pair := _PAIR.fullmatch(line)) and group is not None:
            if pair[1] in group:
                raise FormatError(f"line {number} of the manifest gives {pair[1]} again")
            group[pair[1]] = pair[2]
        else:
            raise FormatError(
                f"line {number} of the manifest is {line[:40]!r}: expected [GROUP] or KEY=VALUE "
                "in printable ASCII without a backslash"
            )
    return groups


def _check_keys(group: str, values: dict[str, str], known: tuple[str, ...]) -> None:
    for key in values:
        if key in known:
            continue
        why = "which runs code of the bundle as root" if key in _CODE else "which is not known"
        raise FormatError(
            f"the manifest's group [{group}] has {key}, {why}: expected only {', '.join(known)}"
        )


def _value(group: str, values: dict[str, str], key: str, pattern: re.Pattern[str]) -> str:
    value = values.get(key)
    if value is None or pattern.fullmatch(value) is None:
        raise FormatError(
            f"the manifest's {key} in [{group}] is {value!r}: expected {pattern.pattern}"
        )
    return value


def _image(group: str, values: dict[str, str]) -> Image:
    slot = group.removeprefix(_IMAGE)
    if slot == group or "." in slot or not slot:
        why = ", which runs code of the bundle as root" if group in _CODE else ""
        raise FormatError(f"the manifest has a group [{group}]{why}: expected [image.SLOT]")
    _check_keys(group, values, _OF_IMAGE)
    adaptive = values.get("adaptive")
    if adaptive not in {None, ADAPTIVE, f"{ADAPTIVE};"}:
        raise FormatError(f"[{group}] is adaptive by {adaptive!r}: expected {ADAPTIVE}")
    return Image(
        slot=slot,
        filename=_value(group, values, "filename", _FILE),
        size=int(_value(group, values, "size", _NUMBER)),
        sha256=_value(group, values, "sha256", _HEX),
        adaptive=adaptive is not None,
    )
