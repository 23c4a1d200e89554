# SPDX-License-Identifier: MIT
"""Keys in U-Boot's control device tree."""

from __future__ import annotations

import struct
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bootseal.errors import FormatError, UsageError
from bootseal.fit import control_dtb
from bootseal.formats.fdt import model as fdt

if TYPE_CHECKING:
    from bootseal.keys.signers.file import FileSigner

ALGORITHM = "sha256,rsa2048"


def test_added_key_is_read_again(control: bytes, signer: FileSigner) -> None:
    (key,) = control_dtb.read_keys(control)
    assert key.public_key == signer.public_key
    assert (key.hint, key.algorithm, key.required) == ("dev", ALGORITHM, "conf")


def test_other_nodes_stay(control: bytes) -> None:
    root = fdt.parse(control)
    assert root.properties == {"model": b"board\0"}
    assert [child.name for child in root.children] == ["signature", "chosen"]


def test_adding_the_same_key_again_changes_nothing(control: bytes, signer: FileSigner) -> None:
    again = control_dtb.add_key(control, signer.public_key, hint="dev", algorithm=ALGORITHM)
    assert again == control


def test_hint_of_another_key_is_refused(control: bytes, stranger: FileSigner) -> None:
    with pytest.raises(UsageError, match="another key"):
        control_dtb.add_key(control, stranger.public_key, hint="dev", algorithm=ALGORITHM)


@pytest.mark.parametrize("hint", ["", "a/b", "a" * 65, "a b", "key@1"])
def test_unusable_hint_is_refused(control: bytes, signer: FileSigner, hint: str) -> None:
    with pytest.raises(UsageError, match="hint"):
        control_dtb.add_key(control, signer.public_key, hint=hint, algorithm=ALGORITHM)


def test_key_that_does_not_fit_is_refused(control: bytes, big_signer: FileSigner) -> None:
    with pytest.raises(UsageError, match="3072 bits"):
        control_dtb.add_key(control, big_signer.public_key, hint="big", algorithm=ALGORITHM)


def test_unknown_requirement_is_refused(control: bytes, signer: FileSigner) -> None:
    with pytest.raises(UsageError, match="'none'"):
        control_dtb.add_key(
            control, signer.public_key, hint="a", algorithm=ALGORITHM, required="none"
        )


def test_free_space_stays(signer: FileSigner) -> None:
    data = fdt.emit(fdt.Node())
    roomy = bytearray(data + bytes(500))
    struct.pack_into(">I", roomy, 4, len(roomy))
    result = control_dtb.add_key(bytes(roomy), signer.public_key, hint="dev", algorithm=ALGORITHM)
    tight = control_dtb.add_key(data, signer.public_key, hint="dev", algorithm=ALGORITHM)
    assert len(result) == len(tight) + 500


def test_boot_loader_with_appended_tree_gets_the_key(signer: FileSigner) -> None:
    loader = b"\x14\0\0\x14" + b"code \xd0\x0d\xfe\xed more code" + bytes(5)
    whole = loader + fdt.emit(fdt.Node("", {"model": b"x\0"}))
    result = control_dtb.add_key(whole, signer.public_key, hint="dev", algorithm=ALGORITHM)
    assert result.startswith(loader)
    assert control_dtb.read_keys(result)[0].public_key == signer.public_key


@pytest.mark.parametrize(
    "data",
    [b"", b"no tree at all", b"x" + fdt.emit(fdt.Node()) + b"not the end"],
    ids=["empty", "text", "tree in the middle"],
)
def test_file_without_control_tree_is_refused(data: bytes) -> None:
    with pytest.raises(FormatError, match="no device tree found"):
        control_dtb.read_keys(data)


@pytest.mark.parametrize("name", ["rsa,num-bits", "rsa,n0-inverse", "rsa,r-squared"])
def test_number_that_does_not_belong_to_the_modulus_is_refused(control: bytes, name: str) -> None:
    def change(root: fdt.Node) -> None:
        node = root.find("/signature/key-dev")
        assert node is not None
        value = bytearray(node.properties[name])
        value[-1] ^= 1
        node.properties[name] = bytes(value)

    with pytest.raises(FormatError, match=name):
        control_dtb.read_keys(fdt.rewrite(control, change))


def test_key_node_without_numbers_is_refused(control: bytes) -> None:
    def change(root: fdt.Node) -> None:
        node = root.find("/signature")
        assert node is not None
        node.children.append(fdt.Node("other", {"algo": b"sha256,rsa2048\0"}))

    with pytest.raises(FormatError, match="expected an RSA or ECDSA public key"):
        control_dtb.read_keys(fdt.rewrite(control, change))


def test_even_modulus_is_refused(control: bytes) -> None:
    def change(root: fdt.Node) -> None:
        node = root.find("/signature/key-dev")
        assert node is not None
        modulus = node.properties["rsa,modulus"]
        node.properties["rsa,modulus"] = modulus[:-1] + bytes([modulus[-1] ^ 1])

    with pytest.raises(FormatError, match="the modulus is even"):
        control_dtb.read_keys(fdt.rewrite(control, change))


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_damaged_tree_gives_keys_or_a_format_error(
    control: bytes, p256: FileSigner, data: st.DataObject
) -> None:
    both = control_dtb.add_key(control, p256.public_key, hint="ec", algorithm="sha256,ecdsa256")
    damaged = bytearray(both)
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    with suppress(FormatError):
        control_dtb.read_trust(bytes(damaged))
