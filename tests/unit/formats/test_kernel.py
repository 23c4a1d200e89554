# SPDX-License-Identifier: MIT
from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootseal.formats import kernel


def header(offset: int, magic: bytes) -> bytes:
    return bytes(offset) + magic


def elf(machine: int, *, bits: int = 2, little: bool = True) -> bytes:
    start = b"\x7fELF" + bytes([bits, 1 if little else 2, 1]) + bytes(9)
    return start + struct.pack("<HH" if little else ">HH", 2, machine)


def boot_protocol(flags: int) -> bytes:
    return header(0x202, b"HdrS").ljust(0x236, b"\0") + bytes([flags])


@pytest.mark.parametrize(
    ("start", "name"),
    [
        (header(0x38, b"ARM\x64"), "arm64"),
        (header(0x30, b"RISCV\0\0\0"), "riscv"),
        (header(0x38, b"RSC\x05"), "riscv"),
        (header(0x24, bytes.fromhex("18286f01")), "arm"),
        (header(0x24, bytes.fromhex("016f2818")), "arm"),
        (boot_protocol(1), "x86_64"),
        (boot_protocol(0), "x86"),
        (elf(183), "arm64"),
        (elf(243), "riscv"),
        (elf(40, bits=1), "arm"),
        (elf(8, bits=1, little=False), "mips"),
        (elf(8, little=False), "mips64"),
        (elf(20, bits=1, little=False), "ppc"),
        (elf(0xFFFF), ""),
        (b"\x7fELF", ""),
        (b"", ""),
        (bytes(0x240), ""),
    ],
)
def test_architecture_is_the_one_of_the_header(start: bytes, name: str) -> None:
    assert kernel.architecture(start) == name
    assert name in {"", *kernel.ARCHITECTURES}


@given(st.binary(max_size=600))
def test_any_bytes_are_a_known_architecture_or_none(data: bytes) -> None:
    assert kernel.architecture(data) in {"", *kernel.ARCHITECTURES}
    assert isinstance(kernel.wrapping(data), str)
