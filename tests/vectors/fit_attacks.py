# SPDX-License-Identifier: MIT
"""The catalogue of what anyone without the key can do to a signed FIT.

`CATALOGUE` has the attacks that devices are booted with, which are part of the package because
`bootseal boot matrix` carries them out, and the ones here, which only the tests need. All are rows
of the same kind, and docs/fit.md lists them.

To add an attack that is not booted, put the mutation into `fit_attacks_tree` (nodes, properties)
or `fit_attacks_raw` (header, tags, blocks) and the row here; `python -m tests.attack_tables` writes
the table of docs/fit.md. An attack that devices are booted with goes into the package, mutation and
row: see `bootseal.boot.catalogue.fit_attacks`.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from tests.vectors import fit_attacks_raw as raw
from tests.vectors import fit_attacks_tree as tree
from tests.vectors.fit_attacks_tree import KERNEL

from bootseal.boot.catalogue.fit_attacks import FIT_ATTACKS, FitAttack

if TYPE_CHECKING:
    from collections.abc import Callable


def _row(
    number: str,
    title: str,
    change: Callable[[bytes], bytes],
    strict: str,
    *,
    boots: bool = False,
) -> FitAttack:
    return FitAttack(id=number, title=title, change=change, strict=strict, uboot=boots)


_HUGE: Final = 0xFFFFFFFF
_LARGE: Final = 0x7FFFFFFF
_LIMIT: Final = 0x10000000

_OFFLINE: Final = (
    _row(
        "S4",
        "Second root node in front of the genuine one (CVE-2021-27097)",
        raw.fake_root,
        "malformed",
    ),
    _row(
        "S6a",
        "Second image node of the kernel's name",
        tree.on(tree.root_of, tree.second_kernel),
        "duplicate-name",
    ),
    _row("S6b", "Second /images node", tree.on(tree.root_of, tree.second_images), "duplicate-name"),
    _row("S6c", "Child node added to the root", tree.add_child(tree.root_of), "bad-signature"),
    _row("S6d", "Child node added to an image", tree.add_child(tree.kernel_of), "bad-signature"),
    _row(
        "S6e",
        "Child node added to a configuration",
        tree.add_child(tree.first_configuration),
        "bad-signature",
    ),
    _row(
        "S7a",
        "Image added that nothing names",
        tree.on(tree.root_of, tree.unused_image),
        "unreferenced-image",
        boots=True,
    ),
    _row(
        "S7b",
        "Property added to /images",
        tree.put(tree.images_of, x=b""),
        "unsigned-property",
        boots=True,
    ),
    _row("S7c", "NOP added to /images", raw.nop("/images"), "nop", boots=True),
    _row(
        "S7d",
        "Copy of a configuration added",
        tree.on(tree.root_of, tree.unused_configuration),
        "bad-signature",
        boots=True,
    ),
    _row("S8", "NOP added to a signed node", raw.nop("/"), "bad-signature"),
    *(
        _row(
            f"S9{letter}",
            f"Header version {version}",
            raw.header(version=version, last_compatible=min(version, 16)),
            "malformed",
        )
        for letter, version in zip("abc", (2, 3, 15), strict=True)
    ),
    *(
        _row(
            f"S10{letter}",
            f"Header version {version}, compatible with {last}",
            raw.header(version=version, last_compatible=last),
            "malformed",
            boots=True,
        )
        for letter, version, last in (("a", 16, 16), ("c", 255, 16), ("d", 17, 17))
    ),
    _row("S11a", "Boot CPU set in the header", raw.header(boot_cpuid=1), "layout", boots=True),
    _row("S11b", "Memory reservation added", raw.reservation, "layout", boots=True),
    _row("S11c", "Gap before the strings block", raw.gap_before_strings, "layout", boots=True),
    _row(
        "S11d",
        "Bytes added after the FIT",
        lambda fit: fit + b"hidden",
        "trailing-data",
        boots=True,
    ),
    _row(
        "S11e",
        "Bytes added inside the FIT, after the strings block",
        raw.hidden_slack,
        "slack",
        boots=True,
    ),
    _row("S12", "NOP before the root node", raw.leading_nop, "malformed"),
    _row(
        "S13a",
        "Signature node removed",
        tree.on(tree.first_configuration, lambda node: node.children.clear()),
        "no-signature",
    ),
    _row(
        "S13b",
        "Signature value zeroed",
        tree.put(tree.first_signature, value=bytes(256)),
        "bad-signature",
    ),
    _row(
        "S13c",
        "Signature value one byte short",
        tree.put(tree.first_signature, value=bytes(255)),
        "bad-signature",
    ),
    _row(
        "S13d", "Signature value removed", tree.drop(tree.first_signature, "value"), "no-signature"
    ),
    _row(
        "S13e",
        "Timestamp of the FIT changed",
        tree.put(tree.root_of, timestamp=bytes(4)),
        "bad-signature",
    ),
    _row(
        "S13f",
        "Configuration that names the initramfs as its kernel",
        tree.on(
            tree.first_configuration,
            lambda node: node.properties.update(kernel=node.properties["ramdisk"]),
        ),
        "bad-signature",
    ),
    _row("S13g", "Load address changed", tree.put(tree.kernel_of, load=bytes(4)), "bad-signature"),
    _row("S13h", "Image type changed", tree.put(tree.kernel_of, type=b"script\0"), "bad-signature"),
    _row(
        "S13i",
        "Hash value changed",
        tree.put(tree.kernel_hash, value=hashlib.sha256(KERNEL).digest()),
        "bad-signature",
    ),
    _row("S13j", "Signed property name changed", raw.rename_first_string, "bad-signature"),
    _row(
        "S14a",
        "Signature algorithm changed to SHA-1",
        tree.put(tree.first_signature, algo=b"sha1,rsa2048\0"),
        "algorithm",
    ),
    _row(
        "S14b",
        "Signature algorithm changed to another hash",
        tree.put(tree.first_signature, algo=b"sha512,rsa2048\0"),
        "algorithm",
    ),
    _row(
        "S14c",
        "Padding of the signature changed to PSS",
        tree.put(tree.first_signature, padding=b"pss\0"),
        "bad-signature",
    ),
    _row("S15a", "hashed-strings that covers no strings", tree.hashed_strings(0), "bad-signature"),
    _row(
        "S15b",
        "hashed-strings that covers more than there is",
        tree.hashed_strings(_LARGE),
        "hashed-strings",
    ),
    _row(
        "S15c",
        "hashed-strings of four bytes",
        tree.put(tree.first_signature, hashed_strings=bytes(4)),
        "hashed-strings",
    ),
    _row(
        "S16a",
        "First word of hashed-strings changed",
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
        "hashed-nodes removed",
        tree.drop(tree.first_signature, "hashed-nodes"),
        "hashed-nodes",
        boots=True,
    ),
    _row(
        "S16c",
        "Key name hint removed",
        tree.drop(tree.first_signature, "key-name-hint"),
        "key-hint",
        boots=True,
    ),
    _row(
        "S16d",
        "timestamp, signer-name, signer-version and sign-images removed from the signature",
        tree.drop(
            tree.first_signature, "timestamp", "signer-name", "signer-version", "sign-images"
        ),
        "",
        boots=True,
    ),
    _row(
        "S16e",
        "Property added to the signature",
        tree.put(tree.first_signature, extra=b""),
        "unsigned-property",
        boots=True,
    ),
    _row(
        "S17",
        "Key name hint of another key",
        tree.put(tree.first_signature, key_name_hint=b"other\0"),
        "key-hint",
        boots=True,
    ),
    _row("S18a", "Total size larger than the file", raw.header(total_size=_LIMIT + 1), "malformed"),
    _row("S18b", "Total size smaller than the blocks", raw.header(total_size=64), "malformed"),
    _row("S18c", "Structure block inside the header", raw.header(off_struct=0), "malformed"),
    _row(
        "S18d",
        "Strings block that overlaps the structure block",
        raw.overlapping_strings,
        "malformed",
    ),
    _row(
        "S19a",
        "Nodes 33 deep",
        tree.on(tree.root_of, lambda root: tree.nest(root, 32)),
        "malformed",
    ),
    _row(
        "S19b",
        "Node path of 200 characters",
        tree.add_child(tree.images_of, "n" * 191),
        "malformed",
    ),
    _row("S19c", "Nodes 100,000 deep", raw.deep(100_000), "malformed"),
    _row(
        "S25",
        "Payloads of kernel and initramfs exchanged",
        tree.on(tree.root_of, tree.swap_payloads),
        "image-hash",
    ),
    _row("D1", "Data of the kernel replaced", tree.put(tree.kernel_of, data=KERNEL), "image-hash"),
    _row(
        "D2",
        "data-size next to embedded data",
        tree.external(data_size=4),
        "external-data",
        boots=True,
    ),
    *(
        _row(
            f"D3{letter}",
            ", ".join(f"{n.replace('_', '-')} {value:#x}" for n, value in numbers.items()),
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
    _row(
        "S30a",
        "Padding of the signature emptied",
        tree.put(tree.first_signature, padding=b"\0"),
        "algorithm",
    ),
    _row(
        "S30b",
        "More than 100 entries in `hashed-nodes`",
        tree.repeat_hashed_nodes,
        "hashed-nodes",
        boots=True,
    ),
    _row(
        "S30c",
        "Text for a terminal in `signer-name`",
        tree.put(tree.first_signature, signer_name=b"\x1b[2J\0"),
        "property-form",
        boots=True,
    ),
    _row(
        "S30d",
        "`comment` without even a NUL",
        tree.put(tree.first_signature, comment=b""),
        "property-form",
        boots=True,
    ),
    _row("D3j", "data-offset without data-size", tree.external(data_offset=0), "external-bounds"),
    _row(
        "D3k",
        "Data of the kernel taken from elsewhere in the FIT",
        tree.external(data_position=0, data_size=64),
        "image-hash",
    ),
    _row(
        "D4",
        "Data of the kernel placed where another image may be loaded",
        tree.overwriting,
        "external-data",
        boots=True,
    ),
    _row(
        "D5",
        "Data of the kernel placed inside the tree, by data-position",
        tree.overlapping,
        "external-order",
        boots=True,
    ),
)


def _number(attack: FitAttack) -> tuple[bool, int, str]:
    """Order S before D, and then by number."""
    kind, letter = attack.id[0], attack.id[1:].lstrip("0123456789")
    return kind == "D", int(attack.id[1 : len(attack.id) - len(letter)]), letter


CATALOGUE: Final = tuple(sorted((*FIT_ATTACKS, *_OFFLINE), key=_number))
"""Every attack, by its number."""
