# SPDX-License-Identifier: MIT
"""The recogniser of file kinds, asked about one file of each."""

from __future__ import annotations

import os
import random
import tempfile
import time
from pathlib import Path

import pytest
from tests.kinds import files

from bootseal.errors import FormatError
from bootseal.files import mapped
from bootseal.formats.fdt import model as fdt
from bootseal.formats.kinds import kind as kinds
from bootseal.formats.kinds.kind import Kind, Wanted
from bootseal.formats.kinds.recognise import check, recognise

with tempfile.TemporaryDirectory() as _name:
    FILES = files(Path(_name))

WANTED = {name: each for name, each in vars(kinds).items() if isinstance(each, Wanted)}


def test_there_is_a_file_of_every_kind() -> None:
    assert set(FILES) == set(Kind)


@pytest.mark.parametrize("kind", Kind, ids=lambda kind: kind.name)
def test_each_kind_is_recognised(kind: Kind) -> None:
    assert recognise(FILES[kind]) is kind
    assert recognise(memoryview(FILES[kind])) is kind


@pytest.mark.parametrize("name", WANTED)
def test_what_is_wanted_passes_and_all_else_is_named_with_what_to_type(name: str) -> None:
    wanted = WANTED[name]
    for kind, data in FILES.items():
        if wanted.takes(kind):
            assert check(data, wanted, "a file") is kind
            continue
        with pytest.raises(FormatError) as caught:
            check(data, wanted, "a file")
        assert caught.value.message == f"a file is {kind.value}: expected {wanted.phrase}"
        assert "{" not in caught.value.hint
        if kind not in {Kind.EFI, Kind.PEM} and kind not in kinds.KERNELS:
            assert caught.value.hint


@pytest.mark.parametrize(
    ("first", "second"),
    [(Kind.CERTIFICATE, Kind.PRIVATE_KEY), (Kind.PRIVATE_KEY, Kind.CERTIFICATE)],
)
def test_a_bundle_is_one_in_either_order_and_behind_text(first: Kind, second: Kind) -> None:
    bundle = b"Certificate:\n  Data:\n" + FILES[first] + FILES[second]

    assert recognise(bundle) is Kind.BUNDLE


@pytest.mark.parametrize(
    "label", ["RSA PRIVATE KEY", "EC PRIVATE KEY", "ENCRYPTED PRIVATE KEY", "OPENSSH PRIVATE KEY"]
)
def test_every_label_of_a_private_key_counts(label: str) -> None:
    block = f"-----BEGIN EC PARAMETERS-----\nAA==\n-----BEGIN {label}-----\nAA==\n".encode()

    assert recognise(block) is Kind.PRIVATE_KEY


def test_pem_inside_a_binary_file_does_not_make_it_a_key() -> None:
    assert recognise(b"\1\2\0" * 100 + FILES[Kind.PRIVATE_KEY]) is Kind.UNKNOWN


def test_document_that_quotes_a_certificate_is_a_document() -> None:
    quoted = b"-----BEGIN CERTIFICATE-----\\n"
    assert recognise(b'{"certificatePem": "' + quoted + b'"}') is Kind.JSON
    assert recognise(b"# \n" + quoted) is Kind.CERTIFICATE


def test_a_u_boot_with_the_header_of_a_kernel_is_a_u_boot() -> None:
    kernel = FILES[Kind.KERNEL_ARM64]

    assert recognise(kernel + b"Linux version 6.1") is Kind.KERNEL_ARM64
    assert recognise(kernel + b"U-Boot SPL 2025.01-rc2") is Kind.UBOOT


def test_a_fit_with_keys_in_its_root_is_a_fit() -> None:
    tree = fdt.parse(FILES[Kind.UBOOT_FIT])
    tree.children.insert(0, fdt.Node("signature", {}, [fdt.Node("key-dev")]))

    assert recognise(fdt.emit(tree)) is Kind.UBOOT_FIT


def test_a_protective_record_alone_still_says_that_there_was_a_gpt() -> None:
    disk = bytearray(FILES[Kind.GPT])
    disk[512:520] = bytes(8)

    assert recognise(bytes(disk)) is Kind.GPT


@pytest.mark.parametrize("kind", Kind, ids=lambda kind: kind.name)
def test_no_cut_or_changed_file_fails(kind: Kind) -> None:
    data, choice = FILES[kind], random.Random(kind.name)  # noqa: S311 - not for keys
    for _ in range(30):
        changed = bytearray(data)
        for _ in range(3 if data else 0):
            changed[choice.randrange(min(len(data), 600))] = choice.randrange(256)
        cut = choice.randrange(len(data) + 1)
        assert isinstance(recognise(bytes(changed)), Kind)
        assert isinstance(recognise(memoryview(data)[:cut]), Kind)


def test_reading_is_bounded(tmp_path: Path) -> None:
    sparse = tmp_path / "sparse"
    sparse.touch()
    os.truncate(sparse, 1 << 40)
    start = time.process_time()

    with mapped(sparse) as data:
        assert recognise(data) is Kind.UNKNOWN
    assert time.process_time() - start < 2


def test_a_tree_of_many_nodes_is_not_read_to_its_end() -> None:
    data = bytes(FILES[Kind.TREE])[:56] + bytes.fromhex("0000000161000000") * 500_000
    start = time.process_time()

    assert recognise(data) is Kind.TREE
    assert time.process_time() - start < 2
