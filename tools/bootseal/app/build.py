# SPDX-License-Identifier: MIT
"""Makes an application image of a directory or a tar layer.

No root and no loop device is needed: mkfs.erofs writes the file system, what is around it is
written here. The same files make the same bytes.
"""

from __future__ import annotations

import hashlib
import tempfile
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bootseal.app import contents, stage
from bootseal.assembly import verity as filesystem
from bootseal.disk import hash_tree
from bootseal.disk.layout import NAMESPACE
from bootseal.errors import FormatError, UsageError
from bootseal.files import mapped, write_parts
from bootseal.findings.model import refuse
from bootseal.formats import verity
from bootseal.formats.app import layout, release
from bootseal.formats.verity import BLOCK, Superblock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bootseal.findings.model import Finding
    from bootseal.formats.app.layout import Layout
    from bootseal.formats.app.release import Release
    from bootseal.progress import Progress

_MAX_EPOCH: Final = (1 << 32) - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Application:
    """What an image is made from.

    Attributes:
        source: A directory, or a tar archive.
        release: Name and version.
        entry: Absolute path of the program that a device starts.
        epoch: Time of every file, seconds since 1970.
    """

    source: Path
    release: Release
    entry: str
    epoch: int


def build(
    application: Application,
    output: Path,
    seal: Callable[[bytes], bytes],
    progress: Progress,
) -> tuple[Finding, ...]:
    """Write an image; it appears complete or not at all.

    Args:
        application: What it is made from.
        output: The image.
        seal: Makes the signature partition of a root hash.
        progress: Told about the long steps.

    Returns:
        What is worth knowing of what it holds; there are no errors among that.

    Raises:
        UsageError: Name, version or entry are not what they may be, or there is no such source.
        FormatError: The source is damaged, or holds what an application cannot.
        VerificationRefused: It holds what an application may not.
        ToolError: mkfs.erofs is not installed, or failed.
    """
    _check(application)
    with tempfile.TemporaryDirectory(prefix="bootseal-app-") as name:
        tree, image = Path(name) / "root", Path(name) / "root.erofs"
        tree.mkdir(0o755)
        tree.chmod(0o755)
        with progress.step("copy the files"):
            stage.fill(application.source, tree)
            stage.complete(tree, application.release, application.entry)
        with progress.step("check the contents of the application"):
            found = tuple(contents.check(stage.nodes(tree)))
        refuse(found, f"{application.source} is not an application")
        with progress.step("pack the files"):
            filesystem.make_erofs(tree, image, epoch=application.epoch)
        with mapped(image) as data, progress.step("hash every block, and sign"):
            write_parts(output, parts(data, seal))
    return found


def _check(application: Application) -> None:
    said = application.release
    for option, text, form in (
        ("name", said.name, release.NAME),
        ("version", said.version, release.VERSION),
    ):
        if form.fullmatch(text) is None:
            raise UsageError(f"--{option} is {text!r}: expected {form.pattern}")
    entry = application.entry
    if not entry.startswith("/") or not entry.isprintable() or ".." in entry.split("/"):
        raise UsageError(
            f"--entry is {entry!r}: expected the absolute path of a program in the application"
        )
    if not 0 <= application.epoch <= _MAX_EPOCH:
        raise UsageError(
            f"SOURCE_DATE_EPOCH is {application.epoch}: expected at most {_MAX_EPOCH}, the last "
            "time that a file of an application can have"
        )


def parts(data: memoryview, seal: Callable[[bytes], bytes]) -> Iterator[bytes | memoryview]:
    """Yield an image, from its first byte to its last.

    Args:
        data: Its root, a file system.
        seal: Makes the signature partition of a root hash.

    Raises:
        FormatError: The root does not end on a block, or the image would be too large.
    """
    if not data or len(data) % BLOCK:
        raise FormatError(f"the root has {len(data)} bytes: expected a multiple of {BLOCK}")
    salt = hashlib.sha256(data).digest()
    tree, levels = hash_tree.build(data, salt)
    superblock = verity.emit_superblock(
        Superblock(uuid=uuid.uuid5(NAMESPACE, salt.hex()).bytes, salt=salt, blocks=tree.blocks)
    )
    planned = layout.plan(tree.root_hash, len(data), tree.end)
    root, hashes, signature = planned.entries
    contents_: dict[int, bytes | memoryview] = {**planned.tables()}
    contents_ |= {
        root.offset: data,
        hashes.offset: superblock,
        hashes.offset + BLOCK: levels,
        signature.offset: seal(tree.root_hash),
    }
    yield from _in_order(planned, contents_)


def _in_order(
    planned: Layout, parts: dict[int, bytes | memoryview]
) -> Iterator[bytes | memoryview]:
    """Yield parts by their place, with zeros in between."""
    place = 0
    for offset, part in sorted(parts.items()):
        yield bytes(offset - place)
        yield part
        place = offset + len(part)
    yield bytes(planned.size - place)
