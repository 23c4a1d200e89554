# SPDX-License-Identifier: MIT
"""Which labels a PEM file has: a bundle is known by all of them, not by the first.

Text before and between the blocks is allowed, as `openssl x509 -text` writes it.

Spec: RFC 7468.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from bootseal.formats.kinds.kind import Kind
from bootseal.units import MIB

if TYPE_CHECKING:
    from bootseal.formats.fdt.scan import Buffer

_SEARCHED: Final = MIB
_LABEL: Final = re.compile(rb"-----BEGIN ([A-Z0-9 .#-]{1,64})-----")
_PRIVATE: Final = b"PRIVATE KEY"
_PUBLIC: Final = b"PUBLIC KEY"
_CERTIFICATES: Final = frozenset({b"CERTIFICATE", b"X509 CERTIFICATE", b"TRUSTED CERTIFICATE"})


def recognise(data: Buffer) -> Kind | None:
    """Return which kind of PEM file this is; None when it is none."""
    found = _labels(data)
    if not found:
        return None
    private = any(label.endswith(_PRIVATE) for label in found)
    certificate = any(label in _CERTIFICATES for label in found)
    if private:
        return Kind.BUNDLE if certificate else Kind.PRIVATE_KEY
    if certificate:
        return Kind.CERTIFICATE
    return Kind.PUBLIC_KEY if any(label.endswith(_PUBLIC) for label in found) else Kind.PEM


def _labels(data: Buffer) -> list[bytes]:
    """Return the labels in the first MiB; a binary file that holds PEM somewhere has none."""
    start = bytes(data[:_SEARCHED])
    first = _LABEL.search(start)
    if first is None or b"\0" in start[: first.start()]:
        return []
    return _LABEL.findall(start)
