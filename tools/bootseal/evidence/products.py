# SPDX-License-Identifier: MIT
"""Names under which databases of vulnerabilities have what a reference device starts from.

These are the boot loaders, the kernel and what is in the initramfs; products and vendors are those
of the recipes of OpenEmbedded (CVE_PRODUCT). Debian's other packages have package URLs alone.

Spec: CPE 2.3, NISTIR 7695, section 6.2 (formatted string binding).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import unquote

from bootseal.evidence import parts

if TYPE_CHECKING:
    from bootseal.device import Input

_PRODUCTS: Final = {
    "busybox-static": ("busybox",),
    "cryptsetup-bin": ("cryptsetup",),
    "libblkid1": ("util-linux",),
    "libc6": ("glibc",),
    "libcap2": ("libcap",),
    "libcryptsetup12": ("cryptsetup",),
    "libdevmapper1.02.1": ("lvm2",),
    "libjson-c5": ("json-c",),
    "libpcre2-8-0": ("pcre2",),
    "libpopt0": ("popt",),
    "libselinux1": ("libselinux",),
    "libssl3t64": ("openssl:openssl",),
    "libudev1": ("systemd",),
    "libuuid1": ("util-linux",),
    "libzstd1": ("zstandard",),
    "zlib1g": ("zlib:zlib", "gnu:zlib"),
}
"""Of Debian's packages, by name: `product`, or `vendor:product`."""
_KERNEL_PACKAGE: Final = re.compile(r"linux-image-\d.*")
_KERNEL: Final = ("linux_kernel", "linux:linux")


class Component(NamedTuple):
    """What a source package becomes.

    Attributes:
        products: `vendor:product`, or `product`.
        roles: Of the artefacts that are made from it.
        recipe: Directory of the layer with the patches that it is compiled with; "" for none.
    """

    products: tuple[str, ...]
    roles: tuple[str, ...]
    recipe: str = ""


COMPONENTS: Final = {
    "u-boot": Component(("denx:u-boot",), parts.UBOOT, "u-boot"),
    "arm-trusted-firmware": Component(
        (
            "arm:arm-trusted-firmware",
            "arm:trusted_firmware-a",
            "arm:arm_trusted_firmware",
            "arm_trusted_firmware_project:arm_trusted_firmware",
        ),
        parts.TRUSTED_FIRMWARE,
        "trusted-firmware-a",
    ),
    "mbedtls": Component(("mbed_tls",), parts.MBED_TLS),
}
"""By the name of Debian's source package."""

# An epoch, a version that was gone back from, upstream's, what Debian took out, Debian's revision.
_VERSION: Final = re.compile(
    r"(?:\d+:)?(?:[^-]*\+really)?(\d+(?:\.\d+)*)(?:\+(?:dfsg|ds)[\d.]*)?(?:-[^-]+)?"
)
_SPECIAL: Final = re.compile(r"([^A-Za-z0-9._-])")


def is_kernel(package: Input) -> bool:
    """Return whether a package has the kernel itself."""
    return bool(package.purl) and _KERNEL_PACKAGE.fullmatch(package.name) is not None


def identifiers(package: Input) -> list[str]:
    """Return the CPEs of one of Debian's binary packages; none for one without a known product."""
    products = _KERNEL if is_kernel(package) else _PRODUCTS.get(package.name, ())
    return cpes(products, package.version) if package.purl else []


def source_version(package: Input) -> str:
    """Return the version of the source package that a file of it belongs to; "" without one."""
    return unquote(package.purl.partition("@")[2].partition("?")[0])


def cpes(products: tuple[str, ...], version: str) -> list[str]:
    r"""Return the CPEs of products in one of Debian's versions; none if upstream's is not in it.

    >>> cpes(("denx:u-boot",), "2025.01-3+deb13u1")
    ['cpe:2.3:*:denx:u-boot:2025.01:*:*:*:*:*:*:*']
    >>> cpes(("json-c",), "0.18+ds-1")
    ['cpe:2.3:*:*:json-c:0.18:*:*:*:*:*:*:*']
    >>> cpes(("u-boot",), "2025.01~rc1-1")
    []
    """
    found = _VERSION.fullmatch(version)
    if not found:
        return []
    names = []
    for each in products:
        vendor, colon, product = each.rpartition(":")
        vendor = _escaped(vendor) if colon else "*"
        names.append(f"cpe:2.3:*:{vendor}:{_escaped(product)}:{found[1]}:*:*:*:*:*:*:*")
    return names


def _escaped(value: str) -> str:
    return _SPECIAL.sub(r"\\\1", value)
