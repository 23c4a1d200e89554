# SPDX-License-Identifier: MIT
from __future__ import annotations

import contextlib
import uuid
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootseal.device import RawArea
from bootseal.disk.layout import parse_wks
from bootseal.errors import FormatError
from bootseal.units import MIB

SHIPPED = Path(__file__).parents[3] / "meta-secureboot/files/wic/bootseal-ab.wks"
WITH_ROM = SHIPPED.with_name("bootseal-ab-rom.wks")
TYPE = "3DE21764-95BD-54BD-A5C3-4ABE786F38A8"
TABLE = "bootloader --ptable gpt\n"
PART = f"part --part-name one --part-type {TYPE} --align 1024 --fixed-size 1M"


def test_shipped_layout_holds_both_slots_in_order() -> None:
    layout = parse_wks(SHIPPED.read_text())

    assert [partition.name for partition in layout.partitions] == [
        "bootstate",
        "fw-a",
        "fw-b",
        "boot-a",
        "boot-b",
        "root-a",
        "root-a-verity",
        "root-b",
        "root-b-verity",
    ]
    assert layout.partitions[0].offset == MIB
    assert layout.end == 474 * MIB


def test_shipped_boot_loaders_are_where_the_boot_rom_reads_them() -> None:
    layout = parse_wks(SHIPPED.read_text())

    places = [(p.offset, p.size) for p in map(layout.partition, ("fw-a", "fw-b"))]
    assert places == [(2 * MIB, 4 * MIB), (6 * MIB, 4 * MIB)]


def test_shipped_layout_for_a_boot_rom_differs_in_what_is_in_the_banks_alone() -> None:
    layout, with_rom = parse_wks(SHIPPED.read_text()), parse_wks(WITH_ROM.read_text())

    assert with_rom.partitions == layout.partitions
    assert with_rom.label_id == layout.label_id
    assert with_rom.files == layout.files | dict.fromkeys(("fw-a", "fw-b"), "firmware.fip")


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
        pytest.param(TABLE + "include common.wks\n" + PART, "not followed", id="include"),
        pytest.param(TABLE + "partion x\n" + PART, "is neither", id="no such line"),
        pytest.param("bootloader --timeout=0\n" + PART, "wic writes an MBR", id="no-ptable"),
        pytest.param(TABLE + PART + " --size ${ROOM}", r"\$\{ROOM\} is a variable", id="variable"),
        pytest.param(TABLE + PART + " --sorce rawcopy", "did you mean --source", id="misspelt"),
        pytest.param(TABLE + PART + " --no-such-thing", "not an option of wic", id="unknown"),
        pytest.param(TABLE + PART + " /boot /mnt", "'/mnt' is not an option", id="two-mounts"),
        pytest.param(TABLE + PART + " --hidden", "bootseal devices cannot boot from", id="hidden"),
        pytest.param(TABLE + PART + " --mbr", "bootseal devices cannot boot from", id="hybrid"),
        pytest.param(TABLE + PART + " --type logical", "a GPT has none", id="logical"),
        pytest.param(TABLE + PART + " --uuid", "--uuid lacks its value", id="no-value"),
        pytest.param(TABLE + PART + " --align 1024", "--align is given twice", id="twice"),
        pytest.param(TABLE + PART.replace("--align 1024", ""), "lacks --align", id="no-align"),
        pytest.param(TABLE + PART.replace("1024", "4"), "multiple of 1024", id="small-align"),
        pytest.param(TABLE + PART.replace("1024", "0"), "multiple of 1024", id="zero-align"),
        pytest.param(TABLE + PART.replace("1024", "1M"), "'1M' is not a number", id="align-unit"),
        pytest.param(TABLE + PART.replace("1M", "1000K"), "multiple of 1 MiB", id="odd-size"),
        pytest.param(
            TABLE + PART.replace("--fixed-size", "--size").replace("one", "root-a"),
            "lacks --fixed-size",
            id="size",
        ),
        pytest.param(
            TABLE + PART.replace("--fixed-size", "--size").replace("1M", "big"),
            "size 'big'",
            id="least",
        ),
        pytest.param(
            TABLE + PART.replace("--part-name one", "--label a/b"), "--label 'a/b'", id="label"
        ),
        pytest.param(TABLE + PART + " --offset 16K", "expected a whole sector", id="offset"),
        pytest.param(TABLE + PART.replace("1M", "0"), "multiple of 1 MiB", id="no-size"),
        pytest.param(TABLE + PART.replace("1M", "big"), "size 'big'", id="no-number"),
        pytest.param(TABLE + PART.replace("1M", "1" * 5000), "is not understood", id="endless"),
        pytest.param(TABLE + PART.replace("1024", "1" * 5000), "is not a number", id="long-align"),
        pytest.param(TABLE + PART.replace(TYPE, "efi"), "badly formed", id="type"),
        pytest.param(TABLE + PART.replace("one", "a/b"), "--part-name 'a/b'", id="name"),
        pytest.param(f"{TABLE}{PART}\n{PART}", "that of partition 1", id="same-name"),
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


WIC = (
    "part /boot --source bootimg_partition --ondisk mmcblk0 --fstype=vfat --label boot --active"
    " --use-uuid --align 1024 --fixed-size 64 --part-name esp\n"
    "partition / --source rootfs --rootfs-dir=rootfs1 --fstype=ext4 --label root --align 4096"
    " --fixed-size 1G --part-name root --exclude-path boot/ var/ --overhead-factor 1.2"
    " --extra-space 10M --mkfs-extraopts='-O ^64bit' --fsuuid 2c71ef06\n"
    "part swap --ondisk sda --fixed-size 44 --fstype=swap --align 1024 --part-name s\n"
    'bootloader --ptable gpt --timeout=5 --append="rootwait console=tty0" --configfile=x.cfg\n'
)


def test_kickstart_file_of_other_layers_is_read() -> None:
    layout = parse_wks("# short-description: a board\n" + WIC)

    esp, root, swap = layout.partitions
    assert (esp.offset, esp.size, esp.attributes) == (MIB, 64 * MIB, 4)
    assert (root.offset, root.size, root.attributes) == (68 * MIB, 1024 * MIB, 0)
    assert (swap.number, swap.offset) == (3, 1092 * MIB)
    assert [each.type[:8] for each in layout.partitions] == ["ebd0a0a2", "0fc63daf", "0657fd6d"]
    assert layout.drawn == {"esp", "root", "s"}
    assert layout.sources == {"esp": "bootimg_partition", "root": "rootfs"}


def test_all_that_a_layout_does_not_say_is_named_at_once() -> None:
    text = "part /boot --label boot-a --size 64\npart / --align 4096 --size 100\n" + TABLE

    with pytest.raises(FormatError) as refusal:
        parse_wks(text, "x.wks")

    assert refusal.value.message == (
        "x.wks lacks something that a disk is checked against: line 1 (/boot) lacks --align, "
        "--fixed-size; line 2 (/) lacks --part-name, --fixed-size"
    )


OPEN = (
    "part /home --source rootfs --fstype ext4 --label home --align 4096 --size 100\n"
    "part /opt --source rootfs --fstype ext4 --label opt --align 4096\n" + PART
)


def test_size_that_wic_decides_is_the_least_until_a_disk_says_it() -> None:
    layout = parse_wks(TABLE + OPEN)

    home, opt, one = layout.partitions
    assert layout.open == {"home", "opt"}
    assert (home.name, home.offset, home.size) == ("home", 4 * MIB, 100 * MIB)
    assert (opt.name, opt.offset, opt.size) == ("opt", 104 * MIB, 512)
    assert (one.offset, one.size) == (105 * MIB, MIB)
    assert {each.name for each in layout.unverified} == {"home", "opt", "one"}


def test_size_that_wic_decided_is_that_of_the_disk() -> None:
    sizes = {"home": 50 * MIB, "opt": 9 * MIB + 1024, "one": 7 * MIB}
    home, opt, one = parse_wks(TABLE + OPEN, sizes=sizes).partitions

    # No smaller than is declared; and a declared size stays.
    assert (home.size, opt.size, one.size) == (100 * MIB, 9 * MIB + 1024, MIB)
    assert (opt.offset, one.offset) == (104 * MIB, 114 * MIB)


@pytest.mark.parametrize(
    ("options", "offset", "size"),
    [
        ("--align 32", 0x8000, 0),
        ("--align 33", 33 * 1024, 0),
        ("--offset 64s", 0x8000, 0),
        ("--offset 32", 0x8000, 0),
        ("--offset 8M --fixed-size 1M", 8 * MIB, MIB),
        ("", 34 * 512, 0),
    ],
)
def test_boot_loader_outside_of_the_table_is_declared(options: str, offset: int, size: int) -> None:
    loader = f"part u-boot --source rawcopy --sourceparams=file=imx-boot --no-table {options}\n"

    layout = parse_wks(TABLE + loader + PART)

    assert layout.areas == (RawArea(name="u-boot", offset=offset, size=size, file="imx-boot"),)
    assert layout.partitions[0].number == 1
    assert layout.partitions[0].offset == (offset + size if size else MIB)


@pytest.mark.parametrize(
    ("loader", "reason"),
    [
        ("part --no-table --align 32", "--no-table needs a name"),
        ("part x --no-table\npart x --no-table", "two areas .* are called 'x'"),
        ("part x --no-table --offset 8K", "expected a whole sector at or after 0x4400"),
    ],
    ids=["no name", "twice", "over the table"],
)
def test_boot_loader_that_has_no_place_is_refused(loader: str, reason: str) -> None:
    with pytest.raises(FormatError, match=reason):
        parse_wks(f"{TABLE}{loader}\n{PART}")


@given(st.text())
def test_any_text_is_a_layout_or_refused(text: str) -> None:
    with contextlib.suppress(FormatError):
        parse_wks(TABLE + PART + text)
