# SPDX-License-Identifier: MIT
"""Finds and changes the control device trees in a file, whatever packs the U-Boot.

A control device tree is a separate file, or at the end of `u-boot.bin`; that may be in a legacy
uImage (`u-boot.img`). In a FIT (`u-boot.itb`) the tree is an image, one for each board. All of them
may follow an SPL (`u-boot-with-spl.bin`). What protects the changed bytes, hashes and checksums, is
computed anew; a signature cannot be, so a signed FIT is not changed.

Spec: U-Boot doc/usage/fit/source_file_format.rst and common/spl/spl_fit.c.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from bootseal.errors import FormatError, UsageError
from bootseal.fit.boot_loader import ELF_MAGIC, locate
from bootseal.fit.packed import images
from bootseal.formats.fdt import model as fdt
from bootseal.formats.fit import model as fit_format
from bootseal.formats.kinds import recognise, trees
from bootseal.formats.kinds.kind import U_BOOT, Kind
from bootseal.formats.uboot import uimage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bootseal.formats.fdt.model import Buffer
    from bootseal.formats.fit.model import Fit, Image

_UBOOT: Final = "u-boot"
_BUILD: Final = "put the key into the device tree that it is built from, and build it again"


class _Package(NamedTuple):
    """A FIT or uImage in a file: its first byte, and the one after its end."""

    kind: Kind
    start: int
    end: int


def find(data: Buffer) -> Iterator[memoryview]:
    """Yield the control device trees in a file, in file order, without a copy.

    Args:
        data: A control device tree, or a U-Boot with one, packed or not.

    Raises:
        FormatError: There is none, or what holds it is damaged or compressed.
    """
    recognise.check(data, U_BOOT, "the file")
    view, package = memoryview(data), _package(data)
    if package is None:
        yield view[slice(*_alone(data))]
    elif package.kind is Kind.UBOOT_UIMAGE:
        yield from find(uimage.payload(view[package.start : package.end]))
    else:
        fit = fit_format.parse(view[package.start : package.end], lenient=True)
        for image in _holders(fit):
            images.check_hashes(image)
            yield from find(image.payload)


def edit(data: bytes, change: Callable[[bytes], bytes]) -> bytes:
    """Change every control device tree in a file.

    Args:
        data: As `find`.
        change: Returns the changed device tree.

    Raises:
        FormatError: As `find`.
        UsageError: There is no room for the change, or a signature covers what would change.
    """
    recognise.check(data, U_BOOT, "the file")
    if data.startswith(ELF_MAGIC):
        raise UsageError(
            "an ELF file has no room for keys: change the device tree that goes into it",
            hint="give u-boot.bin, or the .dtb file it is built with",
        )
    package = _package(data)
    if package is None:
        start, end = _alone(data)
        return data[:start] + change(data[start:end]) + data[end:]
    inner = data[package.start : package.end]
    if package.kind is Kind.UBOOT_UIMAGE:
        changed = uimage.wrap(inner, edit(bytes(uimage.payload(inner)), change))
    else:
        changed = _edit_fit(inner, change)
    if len(changed) != len(inner) and any(data[package.end :]):
        raise UsageError(
            f"{package.kind} would become larger, but other data follows it: it cannot be changed",
            hint=_BUILD,
        )
    return data[: package.start] + changed + data[package.end :]


def _alone(data: Buffer) -> tuple[int, int]:
    """Return where the control device tree is in a file without packages."""
    start, end = locate(data)
    recognise.check(memoryview(data)[start:end], U_BOOT, "the device tree in it")
    return start, end


def _package(data: Buffer) -> _Package | None:
    """Return the FIT or uImage that a U-Boot is packed into, None when it is not."""
    view, raw = memoryview(data), bytes(data)
    if raw.startswith(ELF_MAGIC):
        return None
    starts = [(start, _as_fit) for start in _occurrences(raw, trees.MAGIC)]
    starts += [(start, _as_uimage) for start in _occurrences(raw, uimage.MAGIC)]
    for start, as_package in sorted(starts, key=lambda found: found[0]):
        if (found := as_package(view, start)) is not None:
            return found
    return None


def _as_fit(view: memoryview, start: int) -> _Package | None:
    if trees.recognise(view[start:]) is not Kind.UBOOT_FIT:
        return None
    try:
        fit = fit_format.parse(view[start:], lenient=True)
    except FormatError:
        if start:
            return None
        raise
    ends = [image.offset + len(image.payload) for image in fit.images]
    return _Package(Kind.UBOOT_FIT, start, start + max(fdt.total_size(view[start:]), *ends))


def _as_uimage(view: memoryview, start: int) -> _Package | None:
    if not uimage.is_header(view[start:]):
        return None
    size = len(uimage.payload(view[start:]))
    return _Package(Kind.UBOOT_UIMAGE, start, start + uimage.HEADER_SIZE + size)


def _occurrences(raw: bytes, magic: bytes) -> Iterator[int]:
    start = raw.find(magic)
    while start >= 0:
        yield start
        start = raw.find(magic, start + 1)


def _holders(fit: Fit) -> list[Image]:
    """Return the images that are a control device tree, or a U-Boot with one at its end.

    Raises:
        FormatError: There is none, or one is compressed.
    """
    named = [each.references.get("fdt", ())[:1] for each in fit.configurations]
    names = list(dict.fromkeys(name for first in named for name in first))
    if not names:
        names = [image.name for image in fit.images if image.os == _UBOOT]
    found = [fit.image(name) for name in names]
    for image in found:
        if image.compression not in {"", "none"}:
            raise FormatError(
                f"{image.path} is compressed with {image.compression}: expected a device tree that "
                "is not",
                hint=_BUILD,
            )
        if image.misplaced or not image.payload:
            raise FormatError(f"{image.path} has no data: {image.misplaced or 'it is empty'}")
    return found


def _edit_fit(data: bytes, change: Callable[[bytes], bytes]) -> bytes:
    fit = fit_format.parse(data, lenient=True)
    signatures = [s for image in fit.images for s in image.signatures]
    signatures += [s for each in fit.configurations for s in each.signatures]
    if signed := [each.path for each in signatures if each.value]:
        raise UsageError(
            f"the FIT of U-Boot is signed ({signed[0]}): adding a key to it would invalidate the "
            "signature",
            hint=_BUILD,
        )
    for name in [image.name for image in _holders(fit)]:
        image = fit.image(name)
        images.check_hashes(image)
        old = bytes(image.payload)
        if (new := edit(old, change)) != old:
            data = images.replace(fit, image, new)
            fit = fit_format.parse(data, lenient=True)
    for image in fit.images:
        images.check_hashes(image)
    return data
