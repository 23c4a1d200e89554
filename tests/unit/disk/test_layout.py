# SPDX-License-Identifier: MIT
from __future__ import annotations

import contextlib
import uuid
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootseal.disk.layout import parse_wks
from bootseal.errors import FormatError
from bootseal.units import MIB

SHIPPED = Path(__file__).parents[3] / "meta-secureboot/files/wic/bootseal-ab.wks"
TYPE = "3DE21764-95BD-54BD-A5C3-4ABE786F38A8"
TABLE = "bootloader --ptable gpt\n"
PART = f"part --part-name one --part-type {TYPE} --align 1024 --fixed-size 1M"


def test_shipped_layout_holds_both_slots_in_order() -> None:
    layout = parse_wks(SHIPPED.read_text())

    assert [partition.name for partition in layout.partitions] == [
        "bootstate",
        "boot-a",
        "boot-b",
        "root-a",
        "root-a-verity",
        "root-b",
        "root-b-verity",
    ]
    assert layout.partitions[0].offset == MIB
    assert layout.end == 466 * MIB


def test_shipped_layout_leaves_no_gap_and_no_overlap() -> None:
    layout = parse_wks(SHIPPED.read_text())

    ends = [partition.end for partition in layout.partitions[:-1]]
    assert ends == [partition.offset for partition in layout.partitions[1:]]


def test_shipped_slots_hold_the_same_files() -> None:
    layout = parse_wks(SHIPPED.read_text())

    assert layout.files["boot-a"] == layout.files["boot-b"] == "boot.img"
    assert layout.files["root-a"] == layout.files["root-b"] == "root.erofs"


def test_identifiers_are_unique_and_the_same_each_time() -> None:
    first, second = parse_wks(SHIPPED.read_text()), parse_wks(SHIPPED.read_text())

    assert first == second
    assert len({partition.uuid for partition in first.partitions}) == len(first.partitions)


def test_declared_uuid_is_kept() -> None:
    declared = str(uuid.uuid4())

    layout = parse_wks(f"{TABLE}{PART} --uuid {declared}\n")

    assert layout.partitions[0].uuid == declared


def test_unknown_partition_name_is_refused_with_the_known_ones() -> None:
    with pytest.raises(FormatError, match="'two': it declares one"):
        parse_wks(TABLE + PART).partition("two")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        pytest.param(PART, "expected one line 'bootloader", id="no-table"),
        pytest.param(TABLE, "at least one partition", id="no-partition"),
        pytest.param(TABLE + TABLE + PART, "found 2 and 1", id="two-tables"),
        pytest.param("bootloader --ptable msdos\n" + PART, "expected gpt", id="msdos"),
        pytest.param("bootloader --ptable gpt --diskid 1\n" + PART, "badly", id="diskid"),
        pytest.param(TABLE + "include common.wks\n" + PART, "is neither", id="include"),
        pytest.param(TABLE + PART + " --sorce rawcopy", "did you mean --source", id="misspelt"),
        pytest.param(TABLE + PART + " --active", "'--active' is not supported", id="unknown"),
        pytest.param(TABLE + PART.replace(" one", " /boot one"), "'one' is not sup", id="mount"),
        pytest.param(TABLE + PART + " --uuid", "--uuid lacks its value", id="no-value"),
        pytest.param(TABLE + PART + " --align 1024", "--align is given twice", id="twice"),
        pytest.param(TABLE + PART.replace("--align 1024", ""), "lacks --align", id="no-align"),
        pytest.param(TABLE + PART.replace("1024", "4"), "multiple of 1024", id="small-align"),
        pytest.param(TABLE + PART.replace("1024", "0"), "multiple of 1024", id="zero-align"),
        pytest.param(TABLE + PART.replace("1024", "1M"), "'1M' is not a number", id="align-unit"),
        pytest.param(TABLE + PART.replace("1M", "1000"), "multiple of 1 MiB", id="odd-size"),
        pytest.param(TABLE + PART.replace("1M", "0"), "multiple of 1 MiB", id="no-size"),
        pytest.param(TABLE + PART.replace("1M", "big"), "size 'big'", id="no-number"),
        pytest.param(TABLE + PART.replace(TYPE, "efi"), "badly formed", id="type"),
        pytest.param(TABLE + PART.replace("one", "a/b"), "--part-name 'a/b'", id="name"),
        pytest.param(f"{TABLE}{PART}\n{PART}", "that of partition 1", id="same-name"),
        pytest.param(TABLE + PART + " --source rootfs", "'rootfs' is not one of", id="source"),
        pytest.param(
            TABLE + PART + " --source rawcopy --sourceparams=file=../../etc/shadow",
            "is not file=NAME",
            id="escaping-file",
        ),
        pytest.param(TABLE + PART + " --sourceparams=file=x", "needs --source", id="no-source"),
        pytest.param(TABLE + PART + ' "', "No closing quotation", id="quote"),
    ],
)
def test_layout_that_is_not_understood_is_refused(text: str, reason: str) -> None:
    with pytest.raises(FormatError, match=reason):
        parse_wks(text)


def test_message_names_file_and_line() -> None:
    with pytest.raises(FormatError, match=r"^x\.wks:2: "):
        parse_wks(TABLE + "nonsense\n", "x.wks")


@given(st.text())
def test_any_text_is_a_layout_or_refused(text: str) -> None:
    with contextlib.suppress(FormatError):
        parse_wks(TABLE + PART + text)
