# SPDX-License-Identifier: MIT
"""Two verifiers, one verdict: `--compat` against fit_check_sign, for every vector there is.

fit_check_sign is of the release that the reference device has. Where the two disagree, the vector
stands in `DOCUMENTED` with both answers and the reason; docs/fit.md names the same cases.
"""

from __future__ import annotations

import hashlib
import subprocess
import zlib
from typing import TYPE_CHECKING, Final, NamedTuple

import pytest
from tests import samples
from tests.samples import CONFIGURATION, Sample, sample, signer
from tests.uboot_verdict import OK, REFUSED, ours
from tests.vectors.fit_attacks import CATALOGUE

from bootseal.boot.attacks import forge_fit
from bootseal.boot.attacks.state import offer_configuration
from bootseal.fit import control_dtb
from bootseal.formats.fdt import model as fdt

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.uboot_verdict import Uboot

    Change = Callable[[fdt.Node], object]

# Building U-Boot's tools for the first time takes a minute, or a few on a busy machine.
pytestmark = pytest.mark.timeout(900)
EVIL: Final = b"an evil kernel"
KERNEL: Final = "/images/kernel-1"
HASH: Final = f"{KERNEL}/hash-1"
CONF: Final = f"/configurations/{CONFIGURATION}"


class Disagreement(NamedTuple):
    """What both say to one vector, and why."""

    ours: str
    tool: str
    reason: str


DOCUMENTED: Final = {
    **dict.fromkeys(
        ("good sha256,ecdsa256", "good sha384,ecdsa384"),
        Disagreement(OK, REFUSED, "host tools verify ECDSA since v2025.10"),
    ),
    **dict.fromkeys(
        ("no key", "key not required"),
        Disagreement(REFUSED, OK, "fit.no-required-key: U-Boot accepts anything"),
    ),
    **dict.fromkeys(
        ("size", "S18e"), Disagreement(REFUSED, OK, "the tree goes beyond the end of the file")
    ),
    "hash that U-Boot ignores": Disagreement(
        OK, REFUSED, "the target skips a hash with uboot-ignore, host tools do not"
    ),
}


def edited(fit: bytes, path: str, change: Change) -> bytes:
    def edit(root: fdt.Node) -> None:
        node = root.find(path)
        assert node is not None
        change(node)

    return fdt.rewrite(fit, edit)


def put(fit: bytes, path: str, **values: bytes) -> bytes:
    named = {name.replace("_", "-"): value for name, value in values.items()}
    return edited(fit, path, lambda node: node.properties.update(named))


def careless(fit: bytes, path: str, **values: bytes) -> bytes:
    """Changed, and then signed with the right key."""
    return samples.force_sign(put(fit, path, **values), signer("rsa2048", 1))


def tampered(good: Sample) -> dict[str, bytes]:
    """Every function of `tamper_fit`, and what no attack of the catalogue does."""
    fit = good.fit
    evil = hashlib.sha256(EVIL).digest()
    return {
        "payload replaced": forge_fit.replace_payload(fit, "kernel-1", EVIL),
        "payload and hash replaced": put(put(fit, KERNEL, data=EVIL), HASH, value=evil),
        "signatures stripped": forge_fit.strip_signatures(fit),
        "configuration shadowed": forge_fit.shadow_configurations(fit, EVIL),
        "configuration added": forge_fit.add_configuration(fit, EVIL),
        "images cloned": forge_fit.clone_images(fit, EVIL),
        "unit address": forge_fit.add_unit_address(fit, EVIL),
        "number": forge_fit.set_number(fit, KERNEL, "load", 0x50000000),
        "version 16": forge_fit.set_version(fit, 16),
        "size": forge_fit.set_size(fit, len(fit) + 1),
        "text": forge_fit.set_text(fit, KERNEL, "type", "ramdisk"),
        "text that is not signed": forge_fit.set_text(fit, "/images", "note", "\x1b[2J"),
        "nested 20": forge_fit.nested(20),
        "payload moved": forge_fit.move_payload(fit, "ramdisk-1", 0x4000),
        "no default": edited(fit, "/configurations", lambda node: node.properties.clear()),
        "weak hash, signed": careless(
            edited(fit, HASH, lambda node: node.properties.clear()),
            HASH,
            algo=b"crc32\0",
            value=zlib.crc32(samples.PARTS["kernel-1"][1]).to_bytes(4),
        ),
        "hash that U-Boot ignores": careless(fit, HASH, uboot_ignore=b"\0\0\0\1", value=bytes(32)),
        "wrong hash, signed": careless(fit, HASH, value=bytes(32)),
        "hash of a configuration": edited(
            fit, CONF, lambda node: node.children.append(fdt.Node("hash-1", {"algo": b"sha256\0"}))
        ),
    }


def control_vectors(good: Sample) -> dict[str, Sample]:
    """The same FIT with other control device trees."""
    fit, control = good
    empty = fdt.emit(fdt.Node("", {"model": b"board\0"}))
    key = signer("rsa2048", 1).public_key
    stranger = signer("rsa2048", 2).public_key
    path = "/signature/key-key-1"

    def trusting(other_hint: str, mode: str) -> bytes:
        both = control_dtb.add_key(
            control, stranger, hint=other_hint, algorithm="sha256,rsa2048", required="conf"
        )
        return put(both, "/signature", required_mode=f"{mode}\0".encode())

    return {
        "no key": Sample(fit, offer_configuration(control, {"bootcmd": "x"})),
        "key not required": Sample(
            fit, edited(control, path, lambda node: node.properties.pop("required"))
        ),
        "another key": Sample(
            fit, control_dtb.add_key(empty, stranger, hint="key-1", algorithm="sha256,rsa2048")
        ),
        "key of another name": Sample(
            fit, control_dtb.add_key(empty, key, hint="other", algorithm="sha256,rsa2048")
        ),
        "key for another hash": Sample(
            fit, control_dtb.add_key(empty, key, hint="key-1", algorithm="sha512,rsa2048")
        ),
        "two required, all": Sample(fit, trusting("key-2", "all")),
        "two required, any": Sample(fit, trusting("key-2", "any")),
    }


@pytest.fixture(scope="module")
def vectors() -> dict[str, Sample]:
    good = sample("sha256,rsa2048")
    found = {"good": good, "external": sample("sha256,rsa2048", external=True)}
    for hash_name in samples.HASHES:
        for key in samples.RSA:
            for padding in ("", "pss"):
                name = f"{hash_name},{key}"
                found[f"good {name} {padding}".strip()] = sample(name, padding=padding)
    for name in ("sha256,ecdsa256", "sha384,ecdsa384"):
        found[f"good {name}"] = sample(name)
    found["two keys"] = two = sample("sha256,rsa2048", "sha512,rsa4096")
    found["two keys, one broken"] = Sample(
        put(two.fit, f"{CONF}/signature-2", value=bytes(512)), two.control
    )
    found |= {a.id: Sample(a.change(good.fit), good.control) for a in CATALOGUE}
    found |= {name: Sample(fit, good.control) for name, fit in tampered(good).items()}
    return found | control_vectors(good)


def test_every_vector_has_one_verdict(
    uboot: Uboot, vectors: dict[str, Sample], tmp_path: Path
) -> None:
    fit, control = tmp_path / "fit.itb", tmp_path / "control.dtb"
    found = {}
    for name, vector in vectors.items():
        fit.write_bytes(vector.fit)
        control.write_bytes(vector.control)
        command: list[str | Path] = [uboot.tools / "fit_check_sign", "-f", fit, "-k", control]
        done = subprocess.run(command, capture_output=True, check=False, timeout=60)
        tool = REFUSED if done.returncode else OK
        if (mine := ours(vector.fit, vector.control)) != tool:
            found[name] = (mine, tool)
    assert found == {name: (mine, tool) for name, (mine, tool, _) in DOCUMENTED.items()}


def test_every_vector_has_the_verdict_of_a_device(uboot: Uboot, vectors: dict[str, Sample]) -> None:
    """The device checks the format first, with the same code; nothing else may differ."""
    for name, vector in vectors.items():
        if name not in DOCUMENTED:
            (answer,) = uboot.answers([vector.fit], vector.control)
            assert (answer.device == OK) is (ours(*vector) == OK), name
