# SPDX-License-Identifier: MIT
"""The pure mutations: exactly what they name changes, and what they make is well formed."""

from __future__ import annotations

import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootseal.boot.attacks import forge, forge_fit
from bootseal.boot.attacks.state import offer_configuration
from bootseal.errors import FormatError, UsageError
from bootseal.formats.fdt import model as fdt
from bootseal.formats.uboot.environment import emit_environment


@given(st.binary(min_size=1, max_size=64), st.data())
def test_flip_bit_twice_restores_the_data(data: bytes, draw: st.DataObject) -> None:
    offset = draw.draw(st.integers(0, len(data) - 1))
    bit = draw.draw(st.integers(0, 7))

    once = forge.flip_bit(data, offset, bit=bit)

    assert sum((a ^ b).bit_count() for a, b in zip(data, once, strict=True)) == 1
    assert forge.flip_bit(once, offset, bit=bit) == data


@pytest.mark.parametrize("offset", [-1, 3])
def test_flip_bit_outside_the_data_is_refused(offset: int) -> None:
    with pytest.raises(UsageError, match="outside"):
        forge.flip_bit(b"abc", offset)


def test_noise_of_one_seed_repeats_and_of_another_differs() -> None:
    assert forge.noise(64, seed=1) == forge.noise(64, seed=1)
    assert forge.noise(64, seed=1) != forge.noise(64, seed=2)


def test_environment_has_checksum_and_terminators() -> None:
    block = emit_environment({"a": "1", "verify": "no"}, size=64)

    assert len(block) == 64
    assert block[4:] == b"a=1\0verify=no\0\0".ljust(60, b"\0")
    assert struct.unpack("<I", block[:4]) == (zlib.crc32(block[4:]),)


def test_environment_too_large_for_its_block_is_refused() -> None:
    with pytest.raises(UsageError, match="do not fit"):
        emit_environment({"a": "x" * 60}, size=64)


def test_legacy_image_has_valid_checksums() -> None:
    wrapped = forge.legacy_image(b"kernel", load=0x1000)
    header = bytearray(wrapped[:64])
    stated = struct.unpack(">I", header[4:8])[0]
    header[4:8] = bytes(4)

    assert wrapped[:4] == bytes.fromhex("27051956")
    assert stated == zlib.crc32(header)
    assert struct.unpack(">I", wrapped[24:28])[0] == zlib.crc32(wrapped[64:])


def test_attacker_kernel_is_an_arm64_image_that_says_who_it_is() -> None:
    image = forge.attacker_kernel("test")

    assert image[56:60] == b"ARM\x64"
    assert f"{forge.SENTINEL} test\r\n\0".encode() in image


TREE = fdt.Node(
    "",
    {},
    [
        fdt.Node("images", {}, [fdt.Node("kernel-1", {"data": b"12345678"}, [])]),
        fdt.Node("configurations", {}, [fdt.Node("conf-a", {"kernel": b"kernel-1\0"}, [])]),
    ],
)


def test_locate_names_the_bytes_in_the_file() -> None:
    blob = fdt.emit(TREE)

    offset, size = forge_fit.locate(blob, "/images/kernel-1", "data")

    assert blob[offset : offset + size] == b"12345678"


@pytest.mark.parametrize(("path", "name"), [("/images/x", "data"), ("/images/kernel-1", "x")])
def test_locate_of_something_absent_is_refused(path: str, name: str) -> None:
    with pytest.raises(FormatError, match="has no property"):
        forge_fit.locate(fdt.emit(TREE), path, name)


def test_referenced_follows_the_configuration() -> None:
    assert forge_fit.referenced(fdt.emit(TREE), "conf-a", "kernel") == "kernel-1"


def test_referenced_of_an_absent_configuration_is_refused() -> None:
    with pytest.raises(FormatError, match="conf-x"):
        forge_fit.referenced(fdt.emit(TREE), "conf-x", "kernel")


def test_move_payload_into_the_tree_is_refused() -> None:
    with pytest.raises(UsageError, match="is inside the tree"):
        forge_fit.move_payload(fdt.emit(TREE), "kernel-1", 16)


def test_offer_configuration_takes_the_keys_out() -> None:
    keys = fdt.Node("signature", {}, [fdt.Node("key-dev", {"required": b"conf\0"}, [])])
    tree = fdt.emit(fdt.Node("", {}, [keys, fdt.Node("chosen")]))

    offered = fdt.parse(offer_configuration(tree, {"bootcmd": "bootm"}))

    assert offered.find("/signature") is None
    config = offered.find("/config")
    assert config is not None
    assert config.properties == {"bootcmd": b"bootm\0"}
