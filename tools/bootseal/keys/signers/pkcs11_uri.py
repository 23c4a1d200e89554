# SPDX-License-Identifier: MIT
"""PKCS#11 URIs, which name a key in a token (RFC 7512).

`pkcs11:token=...;object=...?module-path=...&pin-source=...`. A `pin-value` is refused, since URIs
appear on command lines and in logs, and no message of this module repeats a URI.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import unquote_to_bytes

from bootseal.errors import UsageError

SCHEME: Final = "pkcs11:"
_PATH: Final = (
    "token",
    "serial",
    "manufacturer",
    "model",
    "slot-id",
    "object",
    "id",
    "type",
)
_DIGITS: Final = 20
"""Of a slot's number: those of 2^64."""
_QUERY: Final = ("module-path", "pin-source")
# Characters of RFC 7512's pk11-pchar and pk11-qchar, with the percent of an escape.
_VALUE: Final = re.compile(r"(?:[A-Za-z0-9._~:\[\]@!$'()*+,=&/?|-]|%[0-9A-Fa-f]{2})*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pkcs11Uri:
    """What a URI says; empty or None where it says nothing.

    Attributes:
        token: Label of the token.
        serial: Serial number of the token.
        manufacturer: Manufacturer of the token.
        model: Model of the token.
        slot_id: Number of the slot.
        object: Label of the key.
        id: CKA_ID of the key.
        module_path: The shared library to load.
        pin_file: File that holds the PIN.
    """

    token: str = ""
    serial: str = ""
    manufacturer: str = ""
    model: str = ""
    slot_id: int | None = None
    object: str = ""
    id: bytes = b""
    module_path: Path | None = None
    pin_file: Path | None = None

    @property
    def key_text(self) -> str:
        """The key part of it, for messages."""
        parts = [f"object={self.object!r}"] if self.object else []
        parts += [f"id={self.id.hex()}"] if self.id else []
        return " ".join(parts) or "any private key"


def parse(uri: str) -> Pkcs11Uri:
    """Read a URI.

    Raises:
        UsageError: It is malformed, has a part that is not known, names another kind of object,
            or carries a PIN.

    >>> parse("pkcs11:token=Release%20keys;object=fit-1").token
    'Release keys'
    """
    if not uri.startswith(SCHEME):
        raise UsageError(f"this is not a PKCS#11 URI: expected it to start with {SCHEME}")
    path, _, query = uri.removeprefix(SCHEME).partition("?")
    if "pin-value" in uri:
        raise UsageError(
            "the PKCS#11 URI contains a PIN (pin-value): command lines and logs would show it",
            hint="change that PIN, then use pin-source=file:/..., --pin-file or BOOTSEAL_PIN",
        )
    values = _split(path, ";", _PATH) | _split(query, "&", _QUERY)
    if values.get("type", b"private") != b"private":
        raise UsageError("the PKCS#11 URI names an object that cannot sign: expected type=private")
    return Pkcs11Uri(
        token=_text(values, "token"),
        serial=_text(values, "serial"),
        manufacturer=_text(values, "manufacturer"),
        model=_text(values, "model"),
        slot_id=_slot(values.get("slot-id")),
        object=_text(values, "object"),
        id=values.get("id", b""),
        module_path=_module(_text(values, "module-path")),
        pin_file=_pin_file(_text(values, "pin-source")),
    )


def with_object(uri: str, name: str) -> str:
    """Add `object=<name>` to a URI that does not name a key, as mkimage's pkcs11 engine does."""
    parsed = parse(uri)
    if parsed.object or parsed.id:
        return uri
    path, mark, query = uri.partition("?")
    joint = "" if path == SCHEME else ";"
    return f"{path}{joint}object={name}{mark}{query}"


def _split(text: str, separator: str, known: tuple[str, ...]) -> dict[str, bytes]:
    values: dict[str, bytes] = {}
    for part in filter(None, text.split(separator)):
        name, equals, value = part.partition("=")
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            raise UsageError(
                f"the PKCS#11 URI has a part {name!r}: expected some of {', '.join(known)}"
                + (" before the question mark" if separator == ";" else " behind it"),
                hint=f"did you mean {near[0]!r}?" if near else "",
            )
        if name in values:
            raise UsageError(f"the PKCS#11 URI has {name!r} twice")
        if not equals or not value or _VALUE.fullmatch(value) is None:
            raise UsageError(
                f"the value of {name!r} in the PKCS#11 URI is empty or not percent-encoded"
            )
        values[name] = unquote_to_bytes(value)
    return values


def _text(values: dict[str, bytes], name: str) -> str:
    try:
        return values.get(name, b"").decode()
    except UnicodeDecodeError:
        raise UsageError(f"the value of {name!r} in the PKCS#11 URI is not UTF-8") from None


def _slot(value: bytes | None) -> int | None:
    if value is None:
        return None
    if not value.isdigit() or len(value) > _DIGITS:
        raise UsageError("'slot-id' in the PKCS#11 URI is not a number")
    return int(value)


def _module(path: str) -> Path | None:
    if path and not path.startswith("/"):
        raise UsageError(f"'module-path' in the PKCS#11 URI is {path!r}: expected an absolute path")
    return Path(path) if path else None


def _pin_file(source: str) -> Path | None:
    path = source.removeprefix("file:").removeprefix("//")
    if source and not path.startswith("/"):
        raise UsageError(
            "'pin-source' in the PKCS#11 URI is not a file: expected an absolute path, or file:/..."
        )
    return Path(path) if source else None
