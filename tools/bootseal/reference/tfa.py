# SPDX-License-Identifier: MIT
"""Trusted Firmware-A: BL1, BL2 and BL31, built from Debian's source packages with our patches.

They are compiled without any key, and once for all keys: `bootseal.firmware.rom` puts the hash of
the master root key into BL1 and BL2 afterwards.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bootseal.assembly.layer import digests
from bootseal.errors import VerificationRefused
from bootseal.firmware import rom
from bootseal.reference import cache, sources
from bootseal.reference.sources import CROSS_COMPILE

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from bootseal.assembly.layer import Layer
    from bootseal.progress import Progress
    from bootseal.reference.apt import Apt
    from bootseal.reference.sources import SourcePackage

PACKAGE: Final = "arm-trusted-firmware"
MBEDTLS: Final = "mbedtls"
IMAGES: Final = ("bl1.bin", "bl2.bin", "bl31.bin")
# CVE-2022-47630: up to 2.8 a certificate's extensions are read behind their end, by BL1 too.
OLDEST: Final = "2.9"
# CVE-2026-34878: older versions do not check where in a FIP an image is said to be.
FIXED: Final = "2.15"
BOUNDS: Final = "CVE-2026-34878"
OWN: Final = "plat/qemu/bootseal"
"""Where in TF-A the layer's own files go."""
_OPTIONS: Final = (
    "PLAT=qemu", f"CROSS_COMPILE={CROSS_COMPILE}", "DEBUG=0", "LOG_LEVEL=20",
    "QEMU_USE_GIC_DRIVER=QEMU_GICV3", "TRUSTED_BOARD_BOOT=1",
    # The largest key that the chain may have.
    "KEY_ALG=rsa", "KEY_SIZE=4096",
    # The headers of mbedtls 3.6 declare some functions twice.
    "E=0",
    # In the place of date, time and the state of a git checkout.
    "BUILD_STRING=bootseal", 'BUILD_MESSAGE_TIMESTAMP="bootseal"',
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Tfa:
    """A built TF-A, without the hash of a master root key.

    Attributes:
        directory: Holds `IMAGES`.
        packages: The source packages.
        cached: Whether it was built by an earlier run.
    """

    directory: Path
    packages: tuple[SourcePackage, ...]
    cached: bool


def build(source: Apt, layer: Layer, *, epoch: int, progress: Progress) -> Tfa:
    """Build TF-A, or take the cached build of the same inputs.

    Args:
        source: Where the source packages come from.
        layer: Where our patches and files come from.
        epoch: SOURCE_DATE_EPOCH, seconds since 1970.
        progress: Told about the long steps.

    Raises:
        VerificationRefused: The only version to be had is known to be vulnerable.
        ToolError: It cannot be fetched or built.
    """
    patches, own = layer.tfa_patches(), layer.tfa_sources()
    firmware = safe(sources.find(source, PACKAGE), patches)
    crypto = sources.find(source, MBEDTLS)
    inputs = {
        "sources": firmware.digests | crypto.digests,
        "layer": digests((*patches, *own)),
        "tools": sources.tools(),
        "options": _OPTIONS,
        "epoch": epoch,
    }

    def fill(directory: Path) -> None:
        tree, library = directory / "source", directory / "mbedtls"
        with progress.step("TF-A source fetched and patched"):
            sources.unpack(source, crypto, library, [])
            sources.unpack(source, firmware, tree, patches)
            place = tree / OWN
            place.mkdir(parents=True, exist_ok=True)
            for path in own:
                shutil.copy(path, place)
        with progress.step(f"TF-A {firmware.version} built"):
            compile_tree(tree, library, epoch=epoch)
        for name in IMAGES:
            shutil.copy(tree / "build/qemu/release" / name, directory)
        shutil.rmtree(tree)
        shutil.rmtree(library)

    key = cache.key(inputs, __file__, sources.__file__, rom.__file__)
    found, cached = cache.entry("tf-a", key, fill)
    return Tfa(directory=found, packages=(firmware, crypto), cached=cached)


def safe(package: SourcePackage, patches: Sequence[Path]) -> SourcePackage:
    """Return the source package, if a device can start with it.

    Args:
        package: The source package.
        patches: What is applied to it.

    Raises:
        VerificationRefused: The version is known to be vulnerable, and no patch answers that.
    """
    if not package.at_least(OLDEST):
        raise VerificationRefused(
            f"TF-A {package.version} reads past the end of certificates (CVE-2022-47630): "
            f"{OLDEST} or newer is needed"
        )
    if not package.at_least(FIXED) and not any(BOUNDS in path.name for path in patches):
        raise VerificationRefused(
            f"TF-A {package.version} reads outside of a FIP ({BOUNDS}): {FIXED} or newer is "
            f"needed, or a patch with {BOUNDS} in its name"
        )
    return package


def compile_tree(tree: Path, library: Path, *, epoch: int) -> None:
    """Compile an unpacked source tree.

    Args:
        tree: TF-A.
        library: mbedtls.
        epoch: SOURCE_DATE_EPOCH, seconds since 1970.

    Raises:
        VerificationRefused: The result does not have the place for the hash in it.
        ToolError: The compiler failed.
    """
    key, root_hash = tree / "no-key", tree / "root-hash"
    key.touch()
    root_hash.write_bytes(rom.PLACEHOLDER)
    # make would make a key, and the hash of it, unless both are there and the hash is the newer.
    os.utime(key, (0, 0))
    given = (f"MBEDTLS_DIR={library}", f"ROT_KEY={key}", f"ROTPK_HASH={root_hash}")
    targets = (name.removesuffix(".bin") for name in IMAGES)
    sources.make(tree, [*_OPTIONS, *given, *targets], env={"SOURCE_DATE_EPOCH": str(epoch)})
    for name in ("bl1.bin", "bl2.bin"):
        image = (tree / "build/qemu/release" / name).read_bytes()
        if image.count(rom.HEAD + rom.PLACEHOLDER) != 1 or image.count(rom.HEAD) != 1:
            raise VerificationRefused(
                f"TF-A's {name} does not have exactly one master root key hash: expected the "
                "placeholder once"
            )
