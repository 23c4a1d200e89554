# SPDX-License-Identifier: MIT
"""The catalogue of what people without a key do to a signed FIT.

Every entry changes a valid FIT with embedded data whose first configuration names images by
`kernel` and `ramdisk`; it says what a strict verifier must find and whether a U-Boot with all
published fixes boots the result. docs/fit.md has the same list in prose.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tests.vectors import fit_attacks_raw as raw
from tests.vectors import fit_attacks_tree as tree
from tests.vectors.fit_attacks_tree import KERNEL

from bootseal.boot.attacks import forge_fit

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True, kw_only=True)
class Attack:
    """One way to change a signed FIT.

    Attributes:
        id: Number in the catalogue, and a letter when there are several of one kind.
        title: What is changed.
        change: Makes the attacked FIT of a valid one.
        finding: What a strict verifier says first or among others, without `fit.`; `malformed`
            when it cannot even be read, empty when the change is harmless and accepted.
        uboot: Whether a fixed U-Boot boots it all the same: the image may be unchanged, or, where
            docs/fit.md says so, the attacker's.
    """

    id: str
    title: str
    change: Callable[[bytes], bytes]
    finding: str
    uboot: bool = False


def _row(
    number: str,
    title: str,
    change: Callable[[bytes], bytes],
    finding: str,
    *,
    boots: bool = False,
) -> Attack:
    return Attack(id=number, title=title, change=change, finding=finding, uboot=boots)


_HUGE: Final = 0xFFFFFFFF
_LARGE: Final = 0x7FFFFFFF
_LIMIT: Final = 0x10000000

CATALOGUE: Final = (
    _row(
        "S2",
        "clone, CVE-2026-46728: hash the genuine copies, boot the replaced original",
        lambda fit: forge_fit.clone_images(fit, KERNEL),
        "hashed-nodes",
    ),
    _row(
        "S3",
        "forge, CVE-2020-10648: a copied configuration with another kernel, as default",
        tree.forged,
        "bad-signature",
    ),
    _row("S4", "fakeroot, CVE-2021-27097: a second root node in front", raw.fake_root, "malformed"),
    _row(
        "S5",
        "kernel@, CVE-2021-27138: a node that libfdt finds under the kernel's name",
        tree.unit_address,
        "unit-address",
    ),
    _row(
        "S6a",
        "a second node of the kernel's name",
        tree.on(tree.root_of, tree.second_kernel),
        "duplicate-name",
    ),
    _row("S6b", "a second /images", tree.on(tree.root_of, tree.second_images), "duplicate-name"),
    _row("S6c", "a child of root", tree.add_child(tree.root_of), "bad-signature"),
    _row("S6d", "a child of an image", tree.add_child(tree.kernel_of), "bad-signature"),
    _row(
        "S6e",
        "a child of a configuration",
        tree.add_child(tree.first_configuration),
        "bad-signature",
    ),
    _row(
        "S7a",
        "an image that nothing names",
        tree.on(tree.root_of, tree.unused_image),
        "unreferenced-image",
        boots=True,
    ),
    _row(
        "S7b",
        "a property of /images",
        tree.put(tree.images_of, x=b""),
        "unsigned-property",
        boots=True,
    ),
    _row("S7c", "a NOP in /images", raw.nop("/images"), "nop", boots=True),
    _row(
        "S7d",
        "another configuration",
        tree.on(tree.root_of, tree.unused_configuration),
        "bad-signature",
        boots=True,
    ),
    _row("S8", "a NOP in a signed node", raw.nop("/"), "bad-signature"),
    *(
        _row(
            f"S9{letter}",
            f"header version {version}",
            raw.header(version=version, last_compatible=min(version, 16)),
            "malformed",
        )
        for letter, version in zip("abc", (2, 3, 15), strict=True)
    ),
    *(
        _row(
            f"S10{letter}",
            f"header version {version}, compatible with {last}",
            raw.header(version=version, last_compatible=last),
            "malformed",
            boots=True,
        )
        for letter, version, last in (("a", 16, 16), ("b", 18, 16), ("c", 255, 16), ("d", 17, 17))
    ),
    _row("S11a", "boot_cpuid", raw.header(boot_cpuid=1), "layout", boots=True),
    _row("S11b", "a memory reservation", raw.reservation, "layout", boots=True),
    _row("S11c", "a gap before the strings", raw.gap_before_strings, "layout", boots=True),
    _row("S11d", "bytes behind the FIT", lambda fit: fit + b"hidden", "trailing-data", boots=True),
    _row("S11e", "bytes behind the strings", raw.hidden_slack, "slack", boots=True),
    _row("S12", "a NOP before the root node", raw.leading_nop, "malformed"),
    _row(
        "S13a",
        "no signature",
        tree.on(tree.first_configuration, lambda node: node.children.clear()),
        "no-signature",
    ),
    _row(
        "S13b", "signature value", tree.put(tree.first_signature, value=bytes(256)), "bad-signature"
    ),
    _row(
        "S13c",
        "a shorter signature value",
        tree.put(tree.first_signature, value=bytes(255)),
        "bad-signature",
    ),
    _row("S13d", "no signature value", tree.drop(tree.first_signature, "value"), "no-signature"),
    _row("S13e", "timestamp", tree.put(tree.root_of, timestamp=bytes(4)), "bad-signature"),
    _row(
        "S13f",
        "a configuration's kernel",
        tree.on(
            tree.first_configuration,
            lambda node: node.properties.update(kernel=node.properties["ramdisk"]),
        ),
        "bad-signature",
    ),
    _row("S13g", "load address", tree.put(tree.kernel_of, load=bytes(4)), "bad-signature"),
    _row("S13h", "type", tree.put(tree.kernel_of, type=b"script\0"), "bad-signature"),
    _row(
        "S13i",
        "the value of a hash",
        tree.put(tree.kernel_hash, value=hashlib.sha256(KERNEL).digest()),
        "bad-signature",
    ),
    _row("S13j", "a signed name", raw.rename_first_string, "bad-signature"),
    _row(
        "S14a",
        "algorithm sha1",
        tree.put(tree.first_signature, algo=b"sha1,rsa2048\0"),
        "algorithm",
    ),
    _row(
        "S14b",
        "another hash",
        tree.put(tree.first_signature, algo=b"sha512,rsa2048\0"),
        "algorithm",
    ),
    _row("S14c", "padding pss", tree.put(tree.first_signature, padding=b"pss\0"), "bad-signature"),
    _row("S15a", "no strings signed", tree.hashed_strings(0), "bad-signature"),
    _row("S15b", "more strings than there are", tree.hashed_strings(_LARGE), "hashed-strings"),
    _row(
        "S15c",
        "hashed-strings of four bytes",
        tree.put(tree.first_signature, hashed_strings=bytes(4)),
        "hashed-strings",
    ),
    _row(
        "S16a",
        "first word of hashed-strings",
        tree.on(
            tree.first_signature,
            lambda node: node.properties.update(
                {"hashed-strings": b"junk" + node.properties["hashed-strings"][4:]}
            ),
        ),
        "hashed-strings",
        boots=True,
    ),
    _row(
        "S16b",
        "no hashed-nodes",
        tree.drop(tree.first_signature, "hashed-nodes"),
        "hashed-nodes",
        boots=True,
    ),
    _row(
        "S16c", "no hint", tree.drop(tree.first_signature, "key-name-hint"), "key-hint", boots=True
    ),
    _row(
        "S16d",
        "no timestamp, signer-name, signer-version, sign-images of the signature",
        tree.drop(
            tree.first_signature, "timestamp", "signer-name", "signer-version", "sign-images"
        ),
        "",
        boots=True,
    ),
    _row(
        "S16e",
        "a new property of the signature",
        tree.put(tree.first_signature, extra=b""),
        "unsigned-property",
        boots=True,
    ),
    _row(
        "S17",
        "the hint of another key",
        tree.put(tree.first_signature, key_name_hint=b"other\0"),
        "key-hint",
        boots=True,
    ),
    _row("S18a", "a size larger than the file", raw.header(total_size=_LIMIT + 1), "malformed"),
    _row("S18b", "a size smaller than the blocks", raw.header(total_size=64), "malformed"),
    _row("S18c", "a structure block inside the header", raw.header(off_struct=0), "malformed"),
    _row("S18d", "strings over the structure block", raw.overlapping_strings, "malformed"),
    _row(
        "S19a",
        "nodes 33 deep",
        tree.on(tree.root_of, lambda root: tree.nest(root, 32)),
        "malformed",
    ),
    _row(
        "S19b", "a path of 200 characters", tree.add_child(tree.images_of, "n" * 191), "malformed"
    ),
    _row("S19c", "nodes 100,000 deep", raw.deep(100_000), "malformed"),
    _row(
        "S25",
        "payloads of two images exchanged",
        tree.on(tree.root_of, tree.swap_payloads),
        "image-hash",
    ),
    _row("D1", "another payload", tree.put(tree.kernel_of, data=KERNEL), "image-hash"),
    _row(
        "D2",
        "data-size beside embedded data",
        tree.external(data_size=4),
        "external-data",
        boots=True,
    ),
    *(
        _row(
            f"D3{letter}",
            ", ".join(f"{name} {value:#x}" for name, value in numbers.items()),
            tree.external(**numbers),
            "external-bounds",
        )
        for letter, numbers in zip(
            "abcdefghi",
            (
                {"data_position": _HUGE, "data_size": 4},
                {"data_position": _LARGE, "data_size": 4},
                {"data_position": _LIMIT, "data_size": 4},
                {"data_position": _LIMIT + 1, "data_size": 0},
                {"data_offset": _HUGE, "data_size": 4},
                {"data_offset": _LARGE, "data_size": 4},
                {"data_offset": _LIMIT, "data_size": 4},
                {"data_offset": 0, "data_size": _HUGE},
                {"data_position": 0, "data_size": _LARGE},
            ),
            strict=True,
        )
    ),
    _row("D3j", "data-offset without data-size", tree.external(data_offset=0), "external-bounds"),
    _row(
        "D3k",
        "the data of another place",
        tree.external(data_position=0, data_size=64),
        "image-hash",
    ),
    _row(
        "D4",
        "the kernel's data where another image may be loaded",
        tree.overwriting,
        "external-data",
        boots=True,
    ),
    _row(
        "D5",
        "the kernel's data inside the tree, by data-position",
        tree.overlapping,
        "external-order",
        boots=True,
    ),
)
