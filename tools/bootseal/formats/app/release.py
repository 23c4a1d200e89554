# SPDX-License-Identifier: MIT
"""The name and version that an application declares in os-release.

Spec: os-release(5), `IMAGE_ID` and `IMAGE_VERSION`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from bootseal.errors import FormatError

NAME: Final = re.compile(r"[a-z][a-z0-9-]{0,26}")
"""Of an application: part of the name of a unit, of a file, and of a user, `app-NAME`, which has at
most 31 characters."""
VERSION: Final = re.compile(r"[0-9A-Za-z][0-9A-Za-z.-]{0,31}")
"""What systemd takes for a version in a file's name (`version_is_valid`), without `_`, which
separates the parts of the name, `+`, which begins a counter of attempts, and `,`."""
_ID, _VERSION = "IMAGE_ID", "IMAGE_VERSION"
_FORMS: Final = {_ID: NAME, _VERSION: VERSION}
_LINE: Final = re.compile(r"\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=(.*)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """Name and version of an application."""

    name: str
    version: str


def parse(text: bytes) -> Release:
    """Read an os-release file; of other lines only their names matter.

    Raises:
        FormatError: Name or version is missing, given twice, or not one an application may have.
    """
    found: dict[str, str] = {}
    for line in text.decode(errors="replace").splitlines():
        match = _LINE.fullmatch(line)
        if match is None or match[1] not in _FORMS:
            continue
        if match[1] in found:
            raise FormatError(f"{match[1]} is given twice")
        value = match[2]
        quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "\"'"
        found[match[1]] = value[1:-1] if quoted else value
    for name, form in _FORMS.items():
        if name not in found:
            raise FormatError(f"{name} is missing")
        if form.fullmatch(found[name]) is None:
            raise FormatError(f"{name} is {found[name][:60]!r}: expected {form.pattern}")
    return Release(name=found[_ID], version=found[_VERSION])


def emit(text: bytes, release: Release) -> bytes:
    """Return an os-release file with the name and version of an application.

    Args:
        text: The file as it was, empty where there is none.
        release: What it shall say.
    """
    lines = text.decode(errors="surrogateescape").splitlines()
    kept = [line for line in lines if (m := _LINE.fullmatch(line)) is None or m[1] not in _FORMS]
    if not kept:
        kept = [f"ID={release.name}"]
    kept += [f"{_ID}={release.name}", f"{_VERSION}={release.version}"]
    return "".join(f"{line}\n" for line in kept).encode(errors="surrogateescape")
