# SPDX-License-Identifier: MIT
from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest

from bootseal.formats.fdt import model as fdt
from bootseal.keys import profile
from bootseal.keys.directory import directory as key_directory
from bootseal.keys.profile import Role

if TYPE_CHECKING:
    from pathlib import Path

    from bootseal.keys.signers.base import Signer


def image(name: str, data: bytes, kind: bytes) -> fdt.Node:
    digest = hashlib.sha256(data).digest()
    return fdt.Node(
        name,
        {"data": data, "type": kind + b"\0", "compression": b"none\0"},
        [fdt.Node("hash-1", {"algo": b"sha256\0", "value": digest})],
    )


def board(slot: bytes) -> bytes:
    arguments = b"bootseal.slot=" + slot + b"\0"
    return fdt.emit(fdt.Node("", {}, [fdt.Node("chosen", {"bootargs": arguments})]))


def configuration(slot: bytes) -> fdt.Node:
    return fdt.Node(
        f"conf-{slot.decode()}",
        {
            "kernel": b"kernel-1\0",
            "ramdisk": b"ramdisk-1\0",
            "fdt": b"fdt-" + slot + b"\0",
        },
    )


@pytest.fixture
def tree() -> fdt.Node:
    """A FIT for two slots that differ in their device trees only."""
    images = [
        image("kernel-1", b"KERNEL", b"kernel"),
        image("ramdisk-1", b"RAMDISK", b"ramdisk"),
        image("fdt-a", board(b"a"), b"flat_dt"),
        image("fdt-b", board(b"b"), b"flat_dt"),
    ]
    configurations = [configuration(b"a"), configuration(b"b")]
    return fdt.Node(
        "",
        {"timestamp": bytes(4), "description": b"two slots\0"},
        [
            fdt.Node("images", {}, images),
            fdt.Node("configurations", {"default": b"conf-a\0"}, configurations),
        ],
    )


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Policy keys of two vendors, and a FIT key, which is too long for a policy."""
    directory = tmp_path_factory.mktemp("keys")
    dev = profile.load(profile.find("dev"))
    key_directory.generate(dev, directory / "ours", only=[Role.ROOT, Role.POLICY])
    key_directory.generate(dev, directory / "theirs", only=[Role.ROOT, Role.POLICY])
    return directory


@pytest.fixture(scope="session")
def signer(keys: Path) -> Signer:
    return key_directory.signer(keys / "ours", Role.POLICY)


@pytest.fixture(scope="session")
def stranger(keys: Path) -> Signer:
    return key_directory.signer(keys / "theirs", Role.POLICY)
