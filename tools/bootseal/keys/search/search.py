# SPDX-License-Identifier: MIT
"""Finds keys and certificates inside any file, whatever is around them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from bootseal.keys.search.der import binary_keys
from bootseal.keys.search.documents import document_keys
from bootseal.keys.search.pem import pem_keys

if TYPE_CHECKING:
    import mmap

    from bootseal.keys.search.found import FoundKey

MAX_FOUND: Final = 1000
"""Keys reported of one file; a trust store has some hundreds of certificates."""


def find(data: mmap.mmap | bytes) -> Iterator[FoundKey]:
    """Yield the keys and certificates in a file, up to `MAX_FOUND`."""
    count = 0
    for source in (pem_keys, binary_keys, document_keys):
        for found in source(data):
            yield found
            count += 1
            if count == MAX_FOUND:
                return
