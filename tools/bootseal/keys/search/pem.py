# SPDX-License-Identifier: MIT
"""Finds keys and certificates in PEM form, also indented, quoted, escaped or in UTF-16.

Spec: RFC 7468, 1421 (headers), 9580 (OpenPGP's armour).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from bootseal.keys.search.der import binary_keys
from bootseal.keys.search.found import FoundKey, private_key, private_spki, public_spki

if TYPE_CHECKING:
    import mmap

_MARK: Final = b"-----BEGIN "
_WIDE: Final = _MARK.decode().encode("utf-16-le")[:-1]
_MAX: Final = 65536
_BEGIN: Final = re.compile(
    rb"-----BEGIN ([A-Z0-9 ]{0,32}"
    rb"(?:PRIVATE KEY(?: BLOCK)?|PUBLIC KEY|(?:TRUSTED |X509 )?CERTIFICATE))-----"
)
_NEWLINE: Final = rb"(?:\\[rn]|[\r\n])"
_HEADER: Final = re.compile(
    rb"(?:%b|[\s\"'>#*|])*[A-Za-z][A-Za-z0-9-]{1,63}: [^\r\n\\]{0,200}%b" % (_NEWLINE, _NEWLINE)
)
# What editors, mail, source code and documents put around the lines of a PEM block.
_AROUND: Final = re.compile(rb"\\u000[aAdD]|\\[nrt]|\"\s*\+\s*\"|[\s\"'\\<>#*;,|]")
_BASE64: Final = re.compile(rb"[A-Za-z0-9+/]{40,}={0,2}(?:=[A-Za-z0-9+/]{4})?")
_CHECKSUM: Final = re.compile(rb"=[A-Za-z0-9+/]{4}$")


def pem_keys(data: mmap.mmap | bytes) -> Iterator[FoundKey]:
    """Yield the keys in PEM form."""
    # Looking for the fixed text first is many times quicker than the expression alone.
    for mark, step in ((_MARK, 1), (_WIDE, 2)):
        at = data.find(mark)
        while at >= 0:
            following = data.find(mark, at + len(mark))
            end = at + step * _MAX
            # In UTF-16, every second byte is zero, in front of the others or behind them.
            found = _block(data[at : end if following < 0 else min(following, end) : step])
            for key in _keys(*found) if found else ():
                form = key.form if step == 1 else f"{key.form}, UTF-16"
                yield replace(key, offset=at, form=form)
            at = following


def _block(text: bytes) -> tuple[str, bytes, bytes] | None:
    """Return the label of the block that a text begins with, its base64, and all of it."""
    begin = _BEGIN.match(text)
    if begin is None:
        return None
    last = b"-----END %b-----" % begin[1]
    end = text.find(last, begin.end())
    if end < 0:
        return None
    body = text[begin.end() : end]
    start = 0
    while header := _HEADER.match(body, start):
        start = header.end()
    content = _AROUND.sub(b"", body[start:])
    if not _BASE64.fullmatch(content):
        return None
    return begin[1].decode(), content, text[: end + len(last)]


def _keys(label: str, content: bytes, whole: bytes) -> Iterator[FoundKey]:
    form = f"PEM {label}"
    try:
        raw = base64.b64decode(_CHECKSUM.sub(b"", content), validate=True)
    except binascii.Error:
        raw = content
    if "PRIVATE" in label:
        # Again as a PEM file, for what has headers; without what was around its lines.
        plain = b"-----BEGIN %b-----\n%b\n-----END %b-----\n" % (
            label.encode(),
            content,
            label.encode(),
        )
        spki = private_spki(whole) or private_spki(plain) or private_spki(raw)
        yield private_key(0, form, raw, spki)
        return
    if "CERTIFICATE" in label:
        for found in binary_keys(raw):
            yield replace(found, form=form, certificate=raw)
        return
    if spki := public_spki(raw):
        digest = hashlib.sha256(raw).hexdigest()
        yield FoundKey(offset=0, private=False, form=form, spki=spki, digest=digest)
