# SPDX-License-Identifier: MIT
"""What U-Boot requires where keys are required for images only.

The signature of a configuration covers these properties, and a signer who leaves one out signs what
does not boot. A signature of an image does not cover them, so anyone can change them.

Spec: U-Boot boot/image-fit.c, fit_image_load() and fit_check_format().
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bootseal.findings.catalogue import finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bootseal.findings.model import Finding
    from bootseal.formats.fit.model import Configuration, Fit

_ANYWHERE: Final = frozenset({"firmware", "tee", "tfa-bl31"})
_TYPES: Final = {
    "kernel": frozenset({"kernel", "kernel_noload"}),
    "fdt": frozenset({"flat_dt"}),
    "ramdisk": frozenset({"ramdisk"}),
}
_SYSTEMS: Final = frozenset({"linux", "u-boot", "tee", "openrtos", "efi", "vxworks", "elf"})
_COMPRESSIONS: Final = frozenset({"none", "gzip", "bzip2", "lzma", "lzo", "lz4", "zstd"})


def check(fit: Fit, configuration: Configuration) -> Iterator[Finding]:
    """Yield the images of a configuration that U-Boot would not start or pass on.

    Names are compared as U-Boot compares them, without regard to case.
    """
    if "timestamp" not in fit.flat.root.properties:
        yield finding("fit.timestamp", "/", "there is no timestamp, which U-Boot requires")
    for name, types in _TYPES.items():
        for image in map(fit.image, configuration.references.get(name, ())):
            wrong = {"type": image.type} if image.type.lower() not in types | _ANYWHERE else {}
            if name != "fdt" and image.os.lower() not in _SYSTEMS:
                wrong["os"] = image.os
            packed = name == "fdt" and "compression" in image.node.properties
            if packed and image.compression.lower() not in _COMPRESSIONS:
                wrong["compression"] = image.compression
            for what, value in wrong.items():
                message = f"{name!r} names {image.name}, whose {what} is {value!r}"
                yield finding("fit.image-type", configuration.path, message)
