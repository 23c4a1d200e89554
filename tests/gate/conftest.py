# SPDX-License-Identifier: MIT
"""The gate of the layer's U-Boot patch, compiled for this machine, and FITs to check with it."""

from __future__ import annotations

import hashlib
import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
from tests import samples

from bootseal.fit import control_dtb
from bootseal.fit.sign import sign
from bootseal.formats.fdt import model as fdt

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bootseal.keys.signers.file import FileSigner

ROOT: Final = Path(__file__).parents[2]
HERE: Final = Path(__file__).parent
FILES: Final = ROOT / "meta-secureboot/recipes-bsp/u-boot/files"
SOURCES: Final = ("boot/bootseal_gate.c", "include/bootseal_gate.h")
ADDRESS: Final = 0x50000000
UNPACKED: Final = 0x8000000
ACCEPTED: Final = ""
_SANITIZERS: Final = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all")
_TIMESTAMP: Final = 1_700_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """The compiled gate."""

    program: Path

    def check(self, fits: Sequence[bytes], *, unpacked: int = UNPACKED) -> list[str]:
        """Return the reason of each refusal, `ACCEPTED` without one."""
        frames = b"".join(struct.pack(">I", len(fit)) + fit for fit in fits)
        args = [str(self.program), str(ADDRESS), str(unpacked)]
        done = subprocess.run(args, input=frames, capture_output=True, timeout=240, check=False)
        assert done.returncode == 0, done.stderr.decode(errors="replace")
        lines = done.stdout.decode("ascii").splitlines()
        assert len(lines) == len(fits)
        return [ACCEPTED if line == "ok" else line.partition(" ")[2] for line in lines]

    def check_one(self, fit: bytes) -> str:
        return self.check([fit])[0]


def unpack_gate(tree: Path) -> Path:
    """Write the files that the patch adds to U-Boot: the patch is their only source."""
    (patch,) = FILES.glob("0001-*.patch")
    only = [f"--include={name}" for name in SOURCES]
    subprocess.run(["git", "apply", *only, str(patch)], cwd=tree, check=True)
    return tree


@pytest.fixture(scope="session")
def gate_source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the gate's sources."""
    return unpack_gate(tmp_path_factory.mktemp("gate"))


@pytest.fixture(scope="session", params=["gcc", "clang"])
def gate(request: pytest.FixtureRequest, gate_source: Path) -> Gate:
    program = gate_source / f"gate-{request.param}"
    warnings = ["-std=gnu11", "-Wall", "-Wextra", "-Wshadow", "-Werror"]
    files = [gate_source / SOURCES[0], HERE / "gate_main.c"]
    command: list[str | Path] = [
        request.param,
        "-g",
        "-O1",
        *warnings,
        *_SANITIZERS,
        f"-I{gate_source}/include",
    ]
    subprocess.run([*command, *files, "-o", program], check=True)
    return Gate(program=program)


def make_image(name: str, kind: str, data: bytes, **more: bytes) -> fdt.Node:
    """An image with a hash; `more` are further properties."""
    properties = {
        "description": b"An image\0",
        "data": data,
        "type": kind.encode() + b"\0",
        "arch": b"arm64\0",
        "compression": b"none\0",
    }
    value = hashlib.sha256(data).digest()
    hash_node = fdt.Node("hash-1", {"algo": b"sha256\0", "value": value})
    return fdt.Node(name, properties | more, [hash_node])


def make_configuration(slot: str) -> fdt.Node:
    signature = {
        "algo": b"sha256,rsa2048\0",
        "key-name-hint": b"dev\0",
        "sign-images": b"kernel\0fdt\0ramdisk\0",
    }
    properties = {
        "description": b"A slot\0",
        "kernel": b"kernel-1\0",
        "fdt": f"fdt-{slot}\0".encode(),
        "ramdisk": b"ramdisk-1\0",
    }
    return fdt.Node(f"conf-{slot}", properties, [fdt.Node("signature-1", signature)])


def make_tree() -> fdt.Node:
    """An unsigned FIT as the reference build makes it, with small payloads."""
    address = (0x40200000).to_bytes(4)
    images = [
        make_image(
            "kernel-1",
            "kernel",
            b"kernel " * 9,
            compression=b"gzip\0",
            os=b"linux\0",
            load=address,
            entry=address,
        ),
        make_image("fdt-a", "flat_dt", b"tree a"),
        make_image("fdt-b", "flat_dt", b"tree b"),
        make_image("ramdisk-1", "ramdisk", b"ramdisk" * 7, os=b"linux\0"),
    ]
    slots = [make_configuration("a"), make_configuration("b")]
    return fdt.Node(
        "",
        {
            "timestamp": _TIMESTAMP.to_bytes(4),
            "description": b"bootseal\0",
            "#address-cells": (1).to_bytes(4),
        },
        [
            fdt.Node("images", {}, images),
            fdt.Node("configurations", {"default": b"conf-a\0"}, slots),
        ],
    )


@pytest.fixture(scope="session")
def signer() -> FileSigner:
    return samples.signer("rsa2048", 1)


@pytest.fixture(scope="session")
def genuine(signer: FileSigner) -> bytes:
    """A signed FIT that both accept."""
    return sign(fdt.emit(make_tree()), signer, "dev", timestamp=_TIMESTAMP)


@pytest.fixture(scope="session")
def trust(signer: FileSigner) -> bytes:
    """A boot loader with the gate, whose control device tree requires the signer's key."""
    empty = b"bootseal gate 1\0" + fdt.emit(fdt.Node("", {"compatible": b"test\0"}))
    return control_dtb.add_key(
        empty, signer.public_key, hint="dev", algorithm="sha256,rsa2048", required="conf"
    )
