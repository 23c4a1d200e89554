# SPDX-License-Identifier: MIT
"""Each attack on the FIT is what it claims to be, and our own verifier refuses it for that."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest

from bootseal.boot.attacks import forge, forge_bits, forge_fit, forge_signed
from bootseal.boot.catalogue.fit_attacks import FIT_ATTACKS
from bootseal.errors import FormatError
from bootseal.fit import control_dtb
from bootseal.fit import sign as fit_sign
from bootseal.fit.verify.verdict import inspect
from bootseal.formats.fdt import model as fdt
from bootseal.formats.fit import model as fit_format
from bootseal.keys.algorithms import Algorithm
from bootseal.keys.directory import directory as key_directory
from bootseal.keys.profile import Profile, Role, load
from bootseal.keys.public import verify_digest
from bootseal.keys.signers.base import Signer

if TYPE_CHECKING:
    from collections.abc import Callable

    from bootseal.keys.signers.base import Signer

MALFORMED = "malformed"
ATTACKS = {attack.boot.id: attack for attack in FIT_ATTACKS if attack.boot is not None}
ALGORITHM = "sha256,rsa2048"
PROFILE = f"""
name = "test"
development = true
[keys.fit]
name = "DEV-fit"
algorithm = "{ALGORITHM}"
subject = "CN=DEV test"
valid_days = 1
storage = "file"
"""


@pytest.fixture(scope="session")
def signer(tmp_path_factory: pytest.TempPathFactory) -> Signer:
    directory = tmp_path_factory.mktemp("profile")
    path = directory / "test.toml"
    path.write_text(PROFILE)
    profile: Profile = load(path)
    key_directory.generate(profile, directory / "keys")
    return key_directory.signer(directory / "keys", Role.FIT)


def image(name: str, kind: str, data: bytes) -> fdt.Node:
    properties = {"data": data, "type": kind.encode() + b"\0", "compression": b"gzip\0"}
    if kind == "kernel":
        properties |= {"load": (0x40200000).to_bytes(4), "entry": (0x40200000).to_bytes(4)}
    digest = hashlib.sha256(data).digest()
    return fdt.Node(name, properties, [fdt.Node("hash-1", {"algo": b"sha256\0", "value": digest})])


def configuration(slot: str) -> fdt.Node:
    names = {"kernel": "kernel-1", "fdt": f"fdt-{slot}", "ramdisk": "ramdisk-1"}
    signature = {
        "algo": f"{ALGORITHM}\0".encode(),
        "key-name-hint": b"DEV-fit\0",
        "sign-images": b"kernel\0fdt\0ramdisk\0",
    }
    properties = {name: value.encode() + b"\0" for name, value in names.items()}
    return fdt.Node(f"conf-{slot}", properties, [fdt.Node("signature-1", signature)])


@pytest.fixture(scope="session")
def genuine(signer: Signer) -> bytes:
    images = [
        image("kernel-1", "kernel", b"kernel " * 999),
        image("ramdisk-1", "ramdisk", b"ramdisk" * 777),
        image("fdt-a", "flat_dt", b"tree a"),
        image("fdt-b", "flat_dt", b"tree b"),
    ]
    configurations = fdt.Node(
        "configurations", {"default": b"conf-a\0"}, [configuration("a"), configuration("b")]
    )
    root = fdt.Node(
        "", {"description": b"test\0"}, [fdt.Node("images", {}, images), configurations]
    )
    return fit_sign.sign(fdt.emit(root), signer, "DEV-fit", timestamp=1_700_000_000)


@pytest.fixture(scope="session")
def control(signer: Signer) -> bytes:
    tree = fdt.emit(fdt.Node("", {"model": b"board\0"}, []))
    return control_dtb.add_key(tree, signer.public_key, hint="DEV-fit", algorithm=ALGORITHM)


def attacked(scenario: str, fit: bytes) -> bytes:
    return ATTACKS[scenario].change(fit)


def refusals(fit: bytes, control: bytes, name: str | None = "conf-a") -> set[str]:
    return {finding.id for finding in inspect(fit, control, name).errors}


def test_genuine_fit_is_accepted(genuine: bytes, control: bytes) -> None:
    assert refusals(genuine, control, None) == set()


def test_genuine_fit_written_again_is_accepted(genuine: bytes, control: bytes) -> None:
    assert refusals(fdt.rewrite(genuine, lambda _: None), control, None) == set()


@pytest.mark.parametrize(
    ("scenario", "finding"),
    [
        *(
            (name, f"fit.{attack.strict}")
            for name, attack in ATTACKS.items()
            if attack.strict != MALFORMED
        ),
        ("configuration-shadowed", "fit.bad-signature"),
        ("images-cloned", "fit.bad-signature"),
    ],
)
def test_attack_without_the_key_is_refused(
    genuine: bytes, control: bytes, scenario: str, finding: str
) -> None:
    assert finding in refusals(attacked(scenario, genuine), control, None)


@pytest.mark.parametrize(
    "bit",
    [forge_bits.DEVICE_TREE, forge_bits.CONFIGURATION, forge_bits.SIGNATURE, forge_bits.HINT],
)
def test_flipped_bit_of_one_configuration_leaves_the_signature_of_the_other(
    genuine: bytes, control: bytes, bit: forge_bits.PropertyBit
) -> None:
    verdict = inspect(forge_bits.flip(bit)(genuine), control, "conf-b")

    assert all(result.good for result in verdict.results)


def test_header_of_another_version_is_refused(genuine: bytes) -> None:
    with pytest.raises(FormatError, match="version 18"):
        fit_format.parse(attacked("header-version", genuine))


def test_header_of_another_size_is_refused(genuine: bytes) -> None:
    with pytest.raises(FormatError, match="total size is 33554432 bytes"):
        fit_format.parse(attacked("header-size", genuine))


def test_nested_nodes_are_refused(genuine: bytes) -> None:
    with pytest.raises(FormatError, match="more than 262144 tags"):
        fit_format.parse(attacked("nodes-nested", genuine))


def test_spoofed_hint_is_in_every_signature_and_is_refused(genuine: bytes, control: bytes) -> None:
    spoofed = attacked("console-spoofed", genuine)

    assert spoofed.count(b"\nbootseal: root-") == 2
    assert refusals(spoofed, control, None) == {"fit.key-hint", "fit.property-form"}


@pytest.mark.parametrize(
    ("make", "also"),
    [(forge_signed.overlapping, {"fit.load-overlap"}), (forge_signed.self_overwriting, set())],
)
def test_mistaken_load_address_is_signed_and_still_refused(
    genuine: bytes,
    control: bytes,
    signer: Signer,
    make: Callable[[bytes, Signer], bytes],
    also: set[str],
) -> None:
    assert refusals(make(genuine, signer), control, None) == {"fit.load-address"} | also


@pytest.mark.parametrize("scenario", ["legacy-image", "raw-kernel"])
def test_other_format_is_not_a_fit(genuine: bytes, scenario: str) -> None:
    with pytest.raises(FormatError, match="expected a FIT"):
        fit_format.parse(attacked(scenario, genuine))


@pytest.mark.parametrize(
    "scenario",
    [
        "fit-unsigned",
        "fit-foreign-key",
        "configuration-shadowed",
        "configuration-added",
        "images-cloned",
        "unit-address",
        "legacy-image",
        "raw-kernel",
    ],
)
def test_attack_carries_code_that_says_so(genuine: bytes, scenario: str) -> None:
    assert forge.SENTINEL.encode() in attacked(scenario, genuine)


def test_foreign_fit_is_valid_for_its_own_key_size_and_hint(genuine: bytes) -> None:
    signature = (
        fit_format.parse(attacked("fit-foreign-key", genuine)).configurations[0].signatures[0]
    )

    assert (signature.hint, len(signature.value)) == ("DEV-fit", 256)


def test_cloned_fit_satisfies_a_verifier_that_trusts_hashed_nodes(
    genuine: bytes, signer: Signer
) -> None:
    fit = fit_format.parse(attacked("images-cloned", genuine))
    signature = fit.configuration("conf-a").signatures[0]
    size = int.from_bytes(signature.hashed_strings[4:])
    algorithm = Algorithm.parse(ALGORITHM)

    chunks = fit.regions.chunks(signature.hashed_nodes, size)
    verify_digest(signer.public_key, algorithm.digest(chunks), signature.value, algorithm)

    kernel = fit.image("kernel-1")
    assert forge.SENTINEL.encode() in bytes(kernel.payload)
    assert kernel.hashes[0].value == hashlib.sha256(kernel.payload).digest()


def test_added_configuration_leaves_the_pinned_one_signed(genuine: bytes, control: bytes) -> None:
    verdict = inspect(attacked("configuration-added", genuine), control, "conf-a")

    assert all(result.good for result in verdict.results)
    assert fit_format.parse(attacked("configuration-added", genuine)).default == "conf-evil"


def test_moved_payload_is_refused_although_signed_and_hashed(
    genuine: bytes, control: bytes, signer: Signer
) -> None:
    moved = forge_signed.overwriting(genuine, signer)

    verdict = inspect(moved, control, "conf-a")
    assert all(result.good for result in verdict.results)
    assert {"fit.external-data", "fit.load-address"} <= {f.id for f in verdict.errors}


def test_moved_payload_lies_where_the_initramfs_will_be_loaded(
    genuine: bytes, signer: Signer
) -> None:
    moved = forge_signed.overwriting(genuine, signer)

    model = fit_format.parse(moved)
    kernel = model.image("kernel-1").node
    start = int.from_bytes(kernel.value("data-position") or b"")
    size = int.from_bytes(kernel.value("data-size") or b"")
    original = bytes(fit_format.parse(genuine).image("kernel-1").payload)
    assert model.image("ramdisk-1").load == forge_fit.FIT_ADDRESS + start
    assert start > model.flat.header.total_size
    assert moved[start : start + size] == original


def test_other_initramfs_is_validly_signed(genuine: bytes, control: bytes, signer: Signer) -> None:
    other = forge_signed.other_initramfs(genuine, signer)

    assert refusals(other, control, None) == set()
    before, after = (fit_format.parse(f).image("ramdisk-1").payload for f in (genuine, other))
    assert bytes(after).endswith(bytes(before))
    assert bytes(after).startswith(b"070701")
    assert len(after) > len(before)
