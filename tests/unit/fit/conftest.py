# SPDX-License-Identifier: MIT
"""A small FIT, signed and unsigned, with keys that live as long as the test run."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from tests import samples

from bootseal.fit import control_dtb
from bootseal.fit.sign import sign
from bootseal.formats.fdt import model as fdt
from bootseal.keys.signers.file import FileSigner

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def make_signer(directory: Path, bits: int = 2048) -> FileSigner:
    key = rsa.generate_private_key(public_exponent=65537, key_size=bits)
    path = directory / "key.pem"
    path.touch(mode=0o600)
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return FileSigner.load(path)


def image(name: str, kind: str, data: bytes) -> fdt.Node:
    value = hashlib.sha256(data).digest()
    properties = {"data": data, "type": kind.encode() + b"\0", "compression": b"none\0"}
    if kind == "kernel":
        properties |= {"load": (0x40400000).to_bytes(4), "entry": (0x40400000).to_bytes(4)}
    return fdt.Node(name, properties, [fdt.Node("hash-1", {"algo": b"sha256\0", "value": value})])


def configuration(slot: str) -> fdt.Node:
    return fdt.Node(
        f"conf-{slot}",
        {
            "description": b"one slot\0",
            "kernel": b"kernel-1\0",
            "fdt": f"fdt-{slot}\0".encode(),
            "ramdisk": b"ramdisk-1\0",
        },
        [
            fdt.Node(
                "signature-1",
                {
                    "algo": b"sha256,rsa2048\0",
                    "key-name-hint": b"dev\0",
                    "sign-images": b"kernel\0fdt\0ramdisk\0",
                },
            )
        ],
    )


@pytest.fixture(scope="session")
def unsigned() -> bytes:
    """An unsigned FIT of two configurations with hashed images."""
    images = [
        image("kernel-1", "kernel", b"kernel " * 9),
        image("ramdisk-1", "ramdisk", b"ramdisk" * 7),
        image("fdt-a", "flat_dt", fdt.emit(fdt.Node("", {"slot": b"a\0"}))),
        image("fdt-b", "flat_dt", fdt.emit(fdt.Node("", {"slot": b"b\0"}))),
    ]
    return fdt.emit(
        fdt.Node(
            "",
            {"timestamp": (1_700_000_000).to_bytes(4), "description": b"a test\0"},
            [
                fdt.Node("images", {}, images),
                fdt.Node(
                    "configurations",
                    {"default": b"conf-a\0"},
                    [configuration("a"), configuration("b")],
                ),
            ],
        )
    )


@pytest.fixture(scope="session")
def signer(tmp_path_factory: pytest.TempPathFactory) -> FileSigner:
    """The key that signs."""
    return make_signer(tmp_path_factory.mktemp("dev"))


@pytest.fixture(scope="session")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> FileSigner:
    """A key nobody trusts."""
    return make_signer(tmp_path_factory.mktemp("stranger"))


@pytest.fixture(scope="session")
def big_signer(tmp_path_factory: pytest.TempPathFactory) -> FileSigner:
    """A key of another size."""
    return make_signer(tmp_path_factory.mktemp("big"), 3072)


@pytest.fixture(scope="session")
def signed(unsigned: bytes, signer: FileSigner) -> bytes:
    """The FIT, signed."""
    return sign(unsigned, signer, "dev", timestamp=1_700_000_001)


@pytest.fixture(scope="session")
def control(signer: FileSigner) -> bytes:
    """A control device tree that requires the key that signs."""
    tree = fdt.emit(fdt.Node("", {"model": b"board\0"}, [fdt.Node("chosen")]))
    return control_dtb.add_key(tree, signer.public_key, hint="dev", algorithm="sha256,rsa2048")


@pytest.fixture(scope="session")
def p256() -> FileSigner:
    """A key on the curve P-256."""
    return FileSigner(ec.generate_private_key(ec.SECP256R1()))


@pytest.fixture(scope="session")
def p384() -> FileSigner:
    """A key on the curve P-384."""
    return FileSigner(ec.generate_private_key(ec.SECP384R1()))


@pytest.fixture(scope="session")
def external() -> Callable[..., bytes]:
    """Turn a FIT with embedded data into one with external data, as `mkimage -E` lays it out."""

    return samples.move_out


@pytest.fixture(scope="session")
def force_sign(signer: FileSigner) -> Callable[[bytes], bytes]:
    """Sign whatever is there, as a careless signer with the right key would."""

    return lambda fit: samples.force_sign(fit, signer)
