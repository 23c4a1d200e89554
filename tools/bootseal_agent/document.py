# SPDX-License-Identifier: MIT
"""The document of a job: what the cloud may ask of a device, `bootseal.job/1`.

It chooses among what the maker signed, and nothing else: there is no command in it, no path and no
user. Every value is text or a whole number, every key is known, and each has bounds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias
from urllib.parse import urlsplit

from bootseal_agent import strict
from bootseal_agent.errors import Refusal

SCHEMA: Final = "bootseal.job/1"
MAX_SIZE: Final = 32768
"""Bytes that a document may have; AWS allows as many characters."""

VERSION: Final = r"(0|[1-9]\d{0,8})(\.(0|[1-9]\d{0,8})){0,3}"
COMPATIBLE: Final = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"
DIGEST: Final = r"[0-9a-f]{64}"
NAME: Final = r"[a-z][a-z0-9-]{0,26}"
"""Of an application; part of the name of its user, too."""
APP_VERSION: Final = r"[0-9A-Za-z][0-9A-Za-z.-]{0,31}"
"""Of an application: a part of its file's name, in systemd's order of versions."""
MAX_BUNDLE: Final = 8 << 30
"""Bytes that a bundle may have."""
MAX_APP: Final = 8 << 30
"""Bytes that the image of an application may have."""

# Printable, without what ends a URL in other places: space, ", angle brackets, backslash, caret,
# backquote, braces, and the fragment's #.
_URL: Final = r"https://[!$-;=?-\[\]_a-z|~]{1,4087}"
_KEYS: Final = {
    "update": frozenset({"url", "version", "compatible", "manifest_sha256", "size"}),
    "app": frozenset({"name", "version", "url", "sha256", "size"}),
    "app-remove": frozenset({"name"}),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """A release to install.

    Attributes:
        url: Where its bundle is; https, and as a rule good for an hour only.
        version: Its version.
        compatible: The board it is for, in RAUC's words.
        manifest_sha256: SHA-256 of the bundle's manifest, lower-case hex.
        size: Bytes of the bundle.
    """

    url: str
    version: str
    compatible: str
    manifest_sha256: str
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class App:
    """An application to install.

    Attributes:
        name: Its name.
        version: Its version.
        url: Where its image is; https.
        sha256: SHA-256 of the image, lower-case hex.
        size: Bytes of the image.
    """

    name: str
    version: str
    url: str
    sha256: str
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Removal:
    """An application to remove.

    Attributes:
        name: Its name.
    """

    name: str


Asked: TypeAlias = Update | App | Removal


def read(members: Mapping[str, object]) -> Asked:
    """Read the document of a job, which is part of a message.

    Args:
        members: The object, as `strict.parse` returned it.

    Raises:
        Refusal: It is of another schema, asks for an unknown operation, has an unknown or missing
            key, or a value that is out of bounds.
    """
    what = "the document"
    if members.get("schema") != SCHEMA:
        raise Refusal(f"{what} has schema {strict.shown(members.get('schema'))}: expected {SCHEMA}")
    operation = members.get("operation")
    keys = _KEYS.get(operation) if isinstance(operation, str) else None
    if keys is None:
        expected = ", ".join(_KEYS)
        raise Refusal(f"{what} has operation {strict.shown(operation)}: expected {expected}")
    if unknown := sorted(members.keys() - keys - {"schema", "operation"}):
        raise Refusal(f"{what} has the unknown key {strict.shown(unknown[0])}")
    if operation == "app-remove":
        return Removal(name=strict.text(members, "name", what, NAME))
    if operation == "app":
        return App(
            name=strict.text(members, "name", what, NAME),
            version=strict.text(members, "version", what, APP_VERSION),
            url=_url(strict.text(members, "url", what, _URL)),
            sha256=strict.text(members, "sha256", what, DIGEST),
            size=strict.number(members, "size", what, 1, MAX_APP),
        )
    return Update(
        url=_url(strict.text(members, "url", what, _URL)),
        version=strict.text(members, "version", what, VERSION),
        compatible=strict.text(members, "compatible", what, COMPATIBLE),
        manifest_sha256=strict.text(members, "manifest_sha256", what, DIGEST),
        size=strict.number(members, "size", what, 1, MAX_BUNDLE),
    )


def order(version: str) -> tuple[int, ...]:
    """Return what versions are compared by: their numbers, without zeros at the end.

    >>> order("1.10") > order("1.9"), order("2.0") == order("2")
    (True, True)
    """
    numbers = [int(part) for part in version.split(".")]
    while numbers and not numbers[-1]:
        numbers.pop()
    return tuple(numbers)


def _url(url: str) -> str:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise Refusal(f"the document has url {strict.shown(url)}: {error}") from error
    # A name in front of an @ would be shown, and the host behind it would be asked.
    if not parts.hostname or "@" in parts.netloc or port == 0:
        raise Refusal(f"the document has url {strict.shown(url)}: expected https://HOST/PATH")
    return url
