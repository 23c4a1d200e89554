# SPDX-License-Identifier: MIT
"""Findings about a FIT and the keys U-Boot checks it with."""

from __future__ import annotations

from typing import Final

from bootseal.findings.model import Rule, Severity

_BUILD: Final = "build the FIT again: bootseal fit build"
_SIGN: Final = "sign the FIT again: bootseal fit sign"
_LOAD: Final = "correct the load addresses in the image source, build and sign again"

FIT: Final = (
    Rule("fit.too-large", "the FIT is larger than the room U-Boot reads it from", _BUILD),
    Rule("fit.layout", "unsigned bytes between or inside the blocks of the device tree", _BUILD),
    Rule("fit.slack", "bytes behind the strings block that are not zero", _BUILD),
    Rule("fit.nop", "a NOP tag", _BUILD),
    Rule("fit.name", "a node name with a character other than `[A-Za-z0-9,._+-]`", _BUILD),
    Rule(
        "fit.unit-address",
        "a node name with `@`, which U-Boot can mistake for another (CVE-2021-27138)",
        "rename the node to one without a unit address",
    ),
    Rule("fit.duplicate-name", "two nodes with the same path", _BUILD),
    Rule("fit.description", "no description, which U-Boot demands", _BUILD),
    Rule("fit.unexpected-node", "a node where none belongs", _BUILD),
    Rule("fit.unsigned-property", "a property that no signature covers", _BUILD),
    Rule(
        "fit.image-signature",
        "an image is signed on its own, which binds it to no configuration",
        "sign configurations only",
        Severity.WARNING,
    ),
    Rule("fit.missing-image", "a configuration names no image, or one that is not there", _BUILD),
    Rule("fit.image-type", "an image of another type than its place wants", _BUILD),
    Rule("fit.unreferenced-image", "an image that no configuration names", "leave it out"),
    Rule("fit.no-configuration", "there is no configuration, or not the one asked for", _BUILD),
    Rule("fit.default", "the default configuration does not exist", _BUILD),
    Rule(
        "fit.default-unsigned",
        "no signature covers which configuration is the default: boot with ADDRESS#NAME",
        severity=Severity.INFO,
    ),
    Rule("fit.no-data", "an image without data", _BUILD),
    Rule("fit.external-data", "the place of the data is given by unsigned numbers", _BUILD),
    Rule("fit.external-bounds", "the data is outside the file", _BUILD),
    Rule("fit.external-order", "external data begins before the end of what precedes it", _BUILD),
    Rule("fit.external-gap", "unsigned bytes in front of external data", _BUILD),
    Rule("fit.trailing-data", "bytes follow the FIT", "cut the file at the end of the FIT"),
    Rule("fit.load-overlap", "two images of a configuration are loaded over each other", _LOAD),
    Rule("fit.load-address", "a load address on an image that is not a kernel", _LOAD),
    Rule("fit.noload-compressed", "a compressed `kernel_noload`: U-Boot may write past it", _LOAD),
    Rule(
        "fit.decompressed-size",
        "an image decompresses to more than U-Boot has room for",
        "make the image smaller",
    ),
    Rule("fit.no-hash", "an image without a hash node, so nothing protects it", _BUILD),
    Rule("fit.weak-hash", "an image is protected by crc32, md5 or sha1 only", "use sha256"),
    Rule("fit.unknown-hash", "a hash algorithm that is not known", "use sha256"),
    Rule("fit.ignored-hash", "`uboot-ignore` makes U-Boot skip a hash", "remove the property"),
    Rule("fit.image-hash", "the data does not have the digest its hash node gives", _BUILD),
    Rule(
        "fit.no-required-key",
        "the control device tree requires no key, so U-Boot would accept any FIT",
        "put the key there with required=conf: bootseal fit sign --dtb",
    ),
    Rule("fit.required-value", "`required` is neither conf nor image", "use required=conf"),
    Rule(
        "fit.image-key",
        "a key is required for images: U-Boot takes a signature by any key for one by it",
        "use required=conf",
        Severity.WARNING,
    ),
    Rule("fit.no-signature", "no signature by a required key", _SIGN),
    Rule("fit.bad-signature", "a signature does not verify", _SIGN),
    Rule("fit.key-hint", "a good signature whose key name hint names another key", _SIGN),
    Rule("fit.algorithm", "the algorithm is not known, or not the key's", _SIGN),
    Rule("fit.hashed-nodes", "`hashed-nodes` and the configuration disagree", _SIGN),
    Rule("fit.hashed-strings", "`hashed-strings` is missing or out of bounds", _SIGN),
    Rule("fit.too-many-nodes", "more nodes are signed than U-Boot can hash", _BUILD),
    Rule(
        "fit.no-gate",
        "a U-Boot without the gate in front of its FIT code",
        "apply the patches of meta-secureboot",
        Severity.WARNING,
    ),
)
"""Structure, data, keys and signatures."""
