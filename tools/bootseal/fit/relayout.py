# SPDX-License-Identifier: MIT
"""Puts a changed tree back into its file, with the external data it had.

Data placed by `data-offset` moves along with the end of the tree; data placed by `data-position`
stays where it is, so the tree must fit in front of it.

Spec: U-Boot tools/fit_image.c, fit_extract_data() and the loop of fit_handle_file() (v2023.01).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from bootseal.errors import UsageError
from bootseal.formats.fit.model import Fit, Place
from bootseal.units import align_up

if TYPE_CHECKING:
    from bootseal.formats.fdt.edit import Editor
    from bootseal.formats.fdt.model import Buffer

# mkimage grows a tree with embedded data in these steps.
_GROWTH: Final = 1024
_ALIGNMENT: Final = 4
_ALIGNMENTS: Final = (4096, 2048, 1024, 512)


class FileLayout:
    """How one file is laid out.

    Args:
        fit: What is in the file before the change.
        packed: Size of its tree in bytes, without slack.
    """

    def __init__(self, fit: Fit, packed: int) -> None:
        self._packed = packed
        self._positions = [i.offset for i in fit.images if i.place is Place.POSITION and i.payload]
        offsets = [i.offset for i in fit.images if i.place is Place.OFFSET]
        self._external = bool(self._positions or offsets)
        total = fit.flat.header.total_size
        self._alignment = next(
            (step for step in _ALIGNMENTS if not any(n % step for n in (total, *offsets))),
            _ALIGNMENT,
        )
        start = min(self._positions, default=align_up(total, _ALIGNMENT))
        self._data = fit.data[start:] if self._external else fit.data[:0]

    def parts(self, editor: Editor) -> Iterator[Buffer]:
        """Yield the file with a changed tree.

        Raises:
            UsageError: The tree has grown into data that cannot move.
        """
        if not self._external:
            grown = align_up(editor.peak - self._packed, _GROWTH)
            yield from editor.chunks(self._packed + grown)
            return
        size = align_up(editor.size, self._alignment)
        first = min(self._positions, default=size)
        if size > first:
            raise UsageError(
                f"the tree needs {size} bytes with its signature, but the first data is at "
                f"data-position {first}",
                hint="make the FIT with a larger mkimage -p",
            )
        yield from editor.chunks(size)
        yield bytes(first - size)
        yield self._data
