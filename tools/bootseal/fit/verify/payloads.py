# SPDX-License-Identifier: MIT
"""The data of images: where it is in the file, what protects it, and where it is loaded to.

Spec: U-Boot boot/image-fit.c, fit_image_get_data_and_size() and fit_image_load().
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Final

from bootseal.findings.catalogue import finding
from bootseal.fit.verify.digest import STRONG, WEAK
from bootseal.formats.fit.model import EXTERNAL, Place
from bootseal.target import UNPACKING, kernel_room
from bootseal.units import MIB

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from bootseal.findings.model import Finding
    from bootseal.fit.verify.digest import PayloadCache
    from bootseal.fit.verify.strictness import Strictness
    from bootseal.formats.fit.model import Configuration, Fit, Hash, Image
    from bootseal.target import Target

PLACED: Final = frozenset({"firmware", "loadables", "standalone", "fpga"})
"""Properties of configurations whose images are loaded to where they say."""

_UNPACKED: Final = frozenset({"", "none"})
# mkimage aligns external data and its end to 4 bytes, or to what its option -B says.
_MAX_GAP: Final = 4096
_STEP: Final = MIB


def check(
    fit: Fit, images: Iterable[Image], strictness: Strictness, cache: PayloadCache
) -> Iterator[Finding]:
    """Yield what is wrong with the data of some images of a FIT."""
    chosen = list(images)
    cache.compute(
        (image, found.algorithm) for image in chosen for found in image.hashes if found.value
    )
    placed = _placed(fit) if strictness.strict else frozenset()
    for image in chosen:
        yield from _check_place(image, strictness)
        if strictness.strict:
            yield from _check_use(image, strictness, cache, free=image.name in placed)
        yield from _check_hashes(image, strictness, cache)
    if strictness.strict:
        yield from _check_file(fit)


def check_loads(fit: Fit, configuration: Configuration, target: Target) -> Iterator[Finding]:
    """Yield images of a configuration that are loaded over each other, or over the FIT."""
    names = {name for names in configuration.references.values() for name in names}
    loaded = sorted(
        (image.load, image.load + room(image, target), image.name)
        for image in map(fit.image, names)
        if image.load is not None
    )
    for (_, end, first), (start, _, second) in pairwise(loaded):
        if start < end:
            message = f"{first} and {second} are loaded over each other at {start:#x}"
            yield finding("fit.load-overlap", configuration.path, message)
    if target.fit_address is None:
        return
    fit_end = target.fit_address + len(fit.data)
    for start, end, name in loaded:
        if start < fit_end and target.fit_address < end:
            message = (
                f"{name} is loaded to {start:#x} and may reach to {end:#x}, over the FIT, which is "
                f"at {target.fit_address:#x} to {fit_end:#x}"
            )
            yield finding("fit.load-overlap", configuration.path, message)


def room(image: Image, target: Target) -> int:
    """Return how far U-Boot may write from the load address on; the gate counts the same way."""
    if image.compression in _UNPACKED:
        return len(image.payload)
    return max(UNPACKING * len(image.payload), kernel_room(target, image.arch))


def is_zero(view: memoryview) -> bool:
    """Return whether there are only zero bytes, without copying them all."""
    return all(
        not any(bytes(view[start : start + _STEP]).lstrip(b"\0"))
        for start in range(0, len(view), _STEP)
    )


def _check_place(image: Image, strictness: Strictness) -> Iterator[Finding]:
    if image.misplaced:
        message = f"the data is outside the file: {image.misplaced}"
        yield finding("fit.external-bounds", image.path, message)
    given = sorted(image.node.properties.keys() & (EXTERNAL | {"data"}))
    if not strictness.strict:
        if image.place is Place.NOWHERE:
            yield finding("fit.no-data", image.path, "the image has no data")
        return
    alone = given == ["data-offset", "data-size"]
    if image.external and not (strictness.external_data and alone):
        expected = "embedded data only"
        if strictness.external_data:
            expected += ", or data-offset and data-size"
        names = ", ".join(name for name in given if name != "data")
        if image.place is Place.EMBEDDED:
            message = f"{names} is left over from external data, unsigned: expected {expected}"
        else:
            message = f"{names}, unsigned, give the place of the data: expected {expected}"
        yield finding("fit.external-data", image.path, message)
    elif not image.payload:
        yield finding("fit.no-data", image.path, "the image has no data")


def _placed(fit: Fit) -> frozenset[str]:
    """Return the images that must have a load address to be useful.

    Those are what an SPL starts, and what U-Boot puts next to a kernel for others to find.
    """
    found: set[str] = set()
    others: set[str] = set()
    for configuration in fit.configurations:
        spl = "kernel" not in configuration.references
        for name, images in configuration.references.items():
            (found if spl or name in PLACED else others).update(images)
    return frozenset(found - others)


def _check_use(
    image: Image, strictness: Strictness, cache: PayloadCache, *, free: bool
) -> Iterator[Finding]:
    compressed = image.compression not in _UNPACKED
    if image.load is not None and not image.type.startswith("kernel") and not free:
        yield finding(
            "fit.load-address",
            image.path,
            f"a load address on {image.type or 'an image without type'} lets it overwrite what was "
            "verified: expected one on kernels, firmware and loadables only",
        )
    if image.type == "kernel_noload" and compressed:
        yield finding(
            "fit.noload-compressed", image.path, "U-Boot may write past its buffer: set load"
        )
    kernel = image.type.startswith("kernel")
    most = kernel_room(strictness.target, image.arch)
    limit = most if kernel else UNPACKING * len(image.payload)
    # Linux unpacks a ramdisk itself; U-Boot then only passes it on.
    if compressed and image.type != "ramdisk" and cache.expanded(image, limit) > limit:
        message = f"it decompresses to more than the {limit} bytes that U-Boot has room for"
        yield finding("fit.decompressed-size", image.path, message)
    # U-Boot moves it to its load address under the same limit.
    if image.type == "kernel" and not compressed and len(image.payload) > most:
        message = f"it has {len(image.payload)} bytes: U-Boot has room for {most}"
        yield finding("fit.decompressed-size", image.path, message)


def _check_hashes(image: Image, strictness: Strictness, cache: PayloadCache) -> Iterator[Finding]:
    if not image.hashes:
        yield finding(
            "fit.no-hash", image.path, "the image has no hash node, so nothing protects it"
        )
    elif strictness.strict and not any(h.algorithm in STRONG for h in image.hashes):
        names = ", ".join(h.algorithm or "none" for h in image.hashes)
        expected = ", ".join(sorted(STRONG))
        yield finding(
            "fit.weak-hash", image.path, f"protected by {names} only: expected {expected}"
        )
    for found in image.hashes:
        yield from _check_hash(found, image, strictness, cache)


def _check_hash(
    found: Hash, image: Image, strictness: Strictness, cache: PayloadCache
) -> Iterator[Finding]:
    if found.ignored:
        if not strictness.strict:
            return
        yield finding("fit.ignored-hash", found.path, "'uboot-ignore' makes U-Boot skip this hash")
    if found.algorithm not in STRONG | WEAK:
        yield finding("fit.unknown-hash", found.path, f"unknown algorithm {found.algorithm!r}")
        return
    actual = cache.digest(image, found.algorithm) if found.value else b""
    if actual != found.value or not found.value:
        says = f"says {found.value.hex()}" if found.value else "says nothing"
        computed = actual.hex() if actual else "not computed"
        message = f"{found.algorithm} of the data is {computed}, but the node {says}"
        yield finding("fit.image-hash", found.path, message)


def _check_file(fit: Fit) -> Iterator[Finding]:
    """Check that the file is the tree and the external data, in order, and nothing else."""
    end = fit.flat.header.total_size
    external = [image for image in fit.images if image.behind]
    for image in external:
        if image.offset < end:
            message = f"the data at {image.offset:#x} is before {end:#x}, where it may begin"
            yield finding("fit.external-order", image.path, message)
        elif image.offset - end >= _MAX_GAP or not is_zero(fit.data[end : image.offset]):
            message = f"unsigned bytes between {end:#x} and the data at {image.offset:#x}"
            yield finding("fit.external-gap", image.path, message)
        end = max(end, image.offset + len(image.payload))
    trailing = len(fit.data) - end
    padding = external and trailing < _MAX_GAP and is_zero(fit.data[end:])
    if trailing and not padding:
        yield finding("fit.trailing-data", "file", f"{trailing} bytes follow the FIT")
