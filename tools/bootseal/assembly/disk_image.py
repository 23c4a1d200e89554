# SPDX-License-Identifier: MIT
"""The disk: a GPT image after the declared layout, with each partition's file in its place."""

from __future__ import annotations

import errno
import io
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

from bootseal import proc
from bootseal.errors import ToolError, UsageError
from bootseal.units import MIB, SECTOR, align_up, format_size

if TYPE_CHECKING:
    from bootseal.disk.layout import Layout

_DATA_ROOM: Final = 512 * MIB
_BACKUP_TABLE: Final = MIB
_CHUNK: Final = MIB


def write(layout: Layout, contents: Mapping[str, Path], target: Path) -> None:
    """Write the disk; it takes its name only when it is complete.

    Args:
        layout: What goes where.
        contents: The files the layout names.
        target: The disk image, sparse, with free space for the data partition at its end.

    Raises:
        UsageError: A file is missing or larger than its partition.
        ToolError: sfdisk failed, or the host's disk is full.
    """
    if layout.sources:
        name, source = next(iter(layout.sources.items()))
        raise UsageError(f"partition {name} is filled by wic's source {source!r}: use wic")
    if layout.open:
        raise UsageError(
            f"partition {min(layout.open)} has no --fixed-size, and wic alone decides it: use wic"
        )
    places = _places(layout)
    for name, (file, _, room) in places.items():
        if file not in contents:
            raise UsageError(f"partition {name} wants {file}: no such artefact")
        length = contents[file].stat().st_size
        if length > room:
            raise UsageError(
                f"{file} ({format_size(length)}) does not fit the partition"
                f" {name} ({format_size(room)})"
            )
    partial = target.with_name(f".{target.name}.partial")
    size = align_up(layout.end + _DATA_ROOM + _BACKUP_TABLE, MIB)
    try:
        with partial.open("wb") as disk:
            disk.truncate(size)
        proc.run("sfdisk", ["--quiet", partial], stdin=script(layout).encode(), timeout=60)
        for file, offset, _ in places.values():
            _copy(contents[file], partial, offset)
        partial.replace(target)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise ToolError(
            f"no space left for {target}, which takes up to {format_size(size)}"
        ) from error
    finally:
        partial.unlink(missing_ok=True)


def _places(layout: Layout) -> dict[str, tuple[str, int, int]]:
    """Return the file, the offset and the room of everything that is written, by name."""
    starts = [area.offset for area in layout.areas]
    starts += [partition.offset for partition in layout.partitions]
    found = {
        area.name: (
            area.file,
            area.offset,
            area.size or min(start for start in starts if start > area.offset) - area.offset,
        )
        for area in layout.areas
        if area.file
    }
    for name, file in layout.files.items():
        partition = layout.partition(name)
        found[name] = (file, partition.offset, partition.size)
    return found


def script(layout: Layout) -> str:
    """Return the layout as sfdisk's input; its numbers are 512-byte sectors."""
    lines = ["label: gpt", f"label-id: {layout.label_id}", f"sector-size: {SECTOR}"]
    lines += [
        f"{p.number} : start={p.offset // SECTOR}, size={p.size // SECTOR}, type={p.type},"
        f' uuid={p.uuid}, name="{p.name}"'
        for p in layout.partitions
    ]
    return "\n".join(lines) + "\n"


def write_sparse(content: bytes, target: Path) -> None:
    """Write a file and leave holes where it is empty."""
    with target.open("wb") as writer:
        writer.truncate(len(content))
        _write_chunks(io.BytesIO(content), writer, 0)


def _copy(source: Path, disk: Path, offset: int) -> None:
    """Copy a file into the disk and leave holes where it is empty."""
    with source.open("rb") as reader, disk.open("r+b") as writer:
        _write_chunks(reader, writer, offset)


def _write_chunks(reader: BinaryIO, writer: BinaryIO, offset: int) -> None:
    while chunk := reader.read(_CHUNK):
        if chunk.count(0) != len(chunk):
            writer.seek(offset)
            writer.write(chunk)
        offset += len(chunk)
