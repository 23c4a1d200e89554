# SPDX-License-Identifier: MIT
"""The declared disk layout, read from a wic kickstart file.

Every option of wic's is known here. Those that decide nothing about the partition table are taken
and not looked at: what fills a partition is checked on the disk, not in the layout. What a disk
cannot be checked without, such as the fixed size of a slot's partition, is asked for in one message
for the whole file. The size of what no check follows may be left to wic: then the disk says it.

Spec: Yocto Project Reference Manual, "OpenEmbedded Kickstart (.wks) Reference"; wic, ksparser.py
and plugins/imager/direct.py.
"""

from __future__ import annotations

import difflib
import re
import shlex
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from bootseal.device import Partition, RawArea
from bootseal.errors import BootsealError, FormatError
from bootseal.units import KIB, MIB, SECTOR, align_up, parse_size

# Identifiers that wic would draw at random follow from names, so that equal input gives equal
# disks. The namespace means nothing beyond this project.
NAMESPACE: Final = uuid.UUID("6f1d9b0e-51a5-4e0b-9b6f-6f0b7c1de2a4")
LABEL_ID: Final = str(uuid.uuid5(NAMESPACE, "disk"))

# wic's options of a partition, by how many values follow.
_FLAGS: Final = frozenset(
    {"--active", "--hidden", "--mbr", "--no-fstab-update", "--no-table", "--use-label"}
    | {"--use-uuid"}
)
_LISTS: Final = frozenset({"--exclude-path", "--include-path"})
_USED: Final = frozenset(
    {"--align", "--fixed-size", "--fstype", "--label", "--offset", "--part-name", "--part-type"}
    | {"--source", "--sourceparams", "--type", "--uuid"}
)
_LEFT: Final = frozenset(
    {"--change-directory", "--extra-filesystem-space", "--extra-partition-space", "--extra-space"}
    | {"--fsoptions", "--fspassno", "--fsuuid", "--mkfs-extraopts", "--ondisk", "--ondrive"}
    | {"--overhead-factor", "--rootfs-dir", "--size", "--system-id"}
)
_OPTIONS: Final = _FLAGS | _LISTS | _USED | _LEFT
_TABLE_OPTIONS: Final = frozenset(
    {"--append", "--configfile", "--diskid", "--ptable", "--source", "--timeout"}
)
_DIGITS: Final = 20
"""Of a number: those of 2^64."""
_NO_SIZES: Final[Mapping[str, int]] = MappingProxyType({})
_RAWCOPY, _EMPTY = "rawcopy", "empty"
# The type that parted gives a partition without a declared one, by its file system.
_LINUX: Final = "0fc63daf-8483-4772-8e79-3d69d8477de4"
_BASIC: Final = "ebd0a0a2-b9e5-4433-87c0-68b6b72699c7"
_SWAP: Final = "0657fd6d-a4ab-43c4-84e5-0933c84b4f4f"
_TYPES: Final = {"vfat": _BASIC, "msdos": _BASIC, "swap": _SWAP}
_LEGACY_BOOT: Final = 1 << 2
# The protective MBR and the primary GPT, behind which wic begins.
_TABLE_END: Final = 34 * SECTOR
_VARIABLE: Final = re.compile(r"\$\{[^}]*\}")
# A GPT entry holds 36 UTF-16 code units; what follows keeps names usable in device paths.
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,35}")
# What the checks of a disk follow: slots, their state, and the two banks of a boot ROM of ours.
_FOLLOWED: Final = re.compile(r"bootstate|data|fw-[ab]|boot-.+|root-.+")
_FILE: Final = re.compile(r"file=([A-Za-z0-9][A-Za-z0-9._-]*)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """A declared disk: GPT, partitions in order.

    Attributes:
        partitions: In the order of their offsets.
        files: The file of the deploy directory that a partition holds, by the partition's name.
        label_id: GUID of the disk, lower case.
        names_disk: Whether the file gives that GUID; wic draws another one otherwise.
        areas: What belongs outside of the partitions (`--no-table`), in order.
        drawn: The partitions whose GUID is not declared, which wic draws.
        sources: What fills a partition if not a file, by the partition's name: a plugin of wic's.
        open: The partitions whose size wic decides by what they hold: nothing is compared with it.
    """

    partitions: tuple[Partition, ...]
    files: dict[str, str]
    label_id: str = LABEL_ID
    names_disk: bool = False
    areas: tuple[RawArea, ...] = ()
    drawn: frozenset[str] = frozenset()
    sources: dict[str, str] = field(default_factory=dict)
    open: frozenset[str] = frozenset()

    @property
    def end(self) -> int:
        """Offset of the first byte after the last partition."""
        return self.partitions[-1].end

    @property
    def unverified(self) -> tuple[RawArea, ...]:
        """What no check of a disk follows, such as what a boot ROM reads: areas and partitions."""
        return self.areas + tuple(
            RawArea(
                name=each.name,
                offset=each.offset,
                size=each.size,
                file=self.files.get(each.name, ""),
            )
            for each in self.partitions
            if _FOLLOWED.fullmatch(each.name) is None
        )

    def partition(self, name: str) -> Partition:
        """Return the partition called `name`.

        Raises:
            FormatError: There is none.
        """
        for partition in self.partitions:
            if partition.name == name:
                return partition
        known = ", ".join(p.name for p in self.partitions)
        raise FormatError(f"the layout has no partition {name!r}: it declares {known}")


def parse_wks(text: str, name: str = "layout", sizes: Mapping[str, int] = _NO_SIZES) -> Layout:
    """Read a kickstart file.

    Args:
        text: Its content.
        name: File name for messages.
        sizes: Bytes of partitions on the disk, by name, for those whose size wic decides. Without
            them, and where one is smaller, these are as large as `--size` says, and what comes
            behind them is where that leads.

    Raises:
        FormatError: A line is not understood, the layout contradicts itself, or it does not say
            all that a disk is checked against.
    """
    reader = _Reader(sizes)
    for number, line in enumerate(text.splitlines(), start=1):
        try:
            reader.line(shlex.split(line, comments=True), number)
        except (BootsealError, ValueError) as error:
            raise FormatError(f"{name}:{number}: {error}") from error
    if reader.missing:
        raise FormatError(
            f"{name} lacks something that a disk is checked against: " + "; ".join(reader.missing),
            hint="declare it there: docs/disk.md lists what a layout needs",
        )
    if len(reader.tables) != 1 or not reader.partitions:
        raise FormatError(
            f"{name}: expected one line 'bootloader --ptable gpt' and at least one partition,"
            f" found {len(reader.tables)} and {len(reader.partitions)}"
        )
    return Layout(
        partitions=tuple(reader.partitions),
        files=reader.files,
        label_id=reader.tables[0] or LABEL_ID,
        names_disk=bool(reader.tables[0]),
        areas=tuple(reader.areas),
        drawn=frozenset(reader.drawn),
        sources=reader.sources,
        open=frozenset(reader.open),
    )


class _Reader:
    """What the lines so far have declared."""

    def __init__(self, sizes: Mapping[str, int]) -> None:
        self.open: set[str] = set()
        self._sizes = sizes
        self.tables: list[str] = []
        self.partitions: list[Partition] = []
        self.areas: list[RawArea] = []
        self.files: dict[str, str] = {}
        self.sources: dict[str, str] = {}
        self.drawn: set[str] = set()
        self.missing: list[str] = []
        self._end = _TABLE_END

    def line(self, words: list[str], number: int) -> None:
        """Take one line.

        Raises:
            FormatError: It is not understood.
        """
        if variable := next((m for word in words if (m := _VARIABLE.search(word))), None):
            raise FormatError(
                f"{variable[0]} is a variable of the build: give the .wks file that the build made"
            )
        match words:
            case []:
                return
            case ["bootloader", *rest]:
                self.tables.append(_label_id(_options(rest, _TABLE_OPTIONS)[0]))
            case ["part" | "partition", *rest]:
                options, mount_point = _options(rest, _OPTIONS)
                if "--no-table" in options:
                    self._area(options, mount_point)
                else:
                    self._partition(options, mount_point, number)
            case ["include", *_]:
                raise FormatError("include is not followed: put the lines of that file here")
            case _:
                raise FormatError(f"{words[0]!r} is neither 'bootloader --ptable gpt' nor 'part'")

    def _partition(self, options: dict[str, str], mount_point: str, number: int) -> None:
        """Place a partition behind what was declared before."""
        # wic takes the label where there is no other name.
        name = options.get("--part-name") or options.get("--label", "")
        followed = not name or _FOLLOWED.fullmatch(name) is not None
        missing = [] if name else ["--part-name"]
        if not {"--align", "--offset"} & options.keys():
            missing.append("--align")
        if followed and "--fixed-size" not in options:
            missing.append("--fixed-size")
        if missing:
            called = mount_point or name
            where = f"line {number}" + (f" ({called})" if called else "")
            self.missing.append(f"{where} lacks {', '.join(missing)}")
            return
        if "--fixed-size" not in options:
            self.open.add(name)
            least = align_up(max(_size(options.get("--size", "0")), 1), SECTOR)
            size = max(self._sizes.get(name, 0), least)
        else:
            size = _fixed_size(options["--fixed-size"])
        placed = _place(options, name, len(self.partitions) + 1, self._end, size)
        for other in self.partitions:
            if placed.name == other.name or placed.uuid == other.uuid:
                raise FormatError(
                    f"name {placed.name!r} or its UUID is that of partition {other.number}"
                )
        self.partitions.append(placed)
        self._end = placed.end
        if "--uuid" not in options:
            self.drawn.add(placed.name)
        source = options.get("--source", _EMPTY)
        if file := _file(options):
            self.files[placed.name] = file
        elif source != _EMPTY:
            self.sources[placed.name] = source

    def _area(self, options: dict[str, str], mount_point: str) -> None:
        """Place what is outside of the partition table."""
        file = _file(options)
        names = (options.get("--part-name"), mount_point, options.get("--label"), file)
        found = next((name.strip("/") for name in names if name and name.strip("/")), "")
        if _NAME.fullmatch(found) is None:
            raise FormatError(f"--no-table needs a name, such as a label: {found!r} is not one")
        if any(found == other.name for other in self.areas):
            raise FormatError(f"two areas outside of the partition table are called {found!r}")
        alignment = _number("--align", options.get("--align", "0")) * KIB
        offset = _offset(options, self._end, alignment or 1)
        size = _size(options["--fixed-size"]) if "--fixed-size" in options else 0
        self.areas.append(RawArea(name=found, offset=offset, size=size, file=file))
        # Without a size it is taken to end before what the next alignment leads to.
        self._end = offset + max(size, 1)


def _label_id(options: dict[str, str]) -> str:
    """Return the disk's GUID from the line `bootloader`; empty where it gives none."""
    if options.get("--ptable") != "gpt":
        given = options.get("--ptable", "is missing, so wic writes an MBR")
        raise FormatError(f"--ptable {given}: expected gpt")
    return str(uuid.UUID(options["--diskid"])) if "--diskid" in options else ""


def _options(words: list[str], known: frozenset[str]) -> tuple[dict[str, str], str]:
    """Pair options with their values, `--name value` and `--name=value` alike.

    Returns:
        The options, and the mount point.
    """
    options: dict[str, str] = {}
    mount_point = ""
    queue = list(words)
    while queue:
        word = queue.pop(0)
        if not word.startswith("--") and not mount_point and known is _OPTIONS:
            mount_point = word
            continue
        option, equals, value = word.partition("=")
        if option not in known:
            near = difflib.get_close_matches(option, known, n=1)
            hint = f", did you mean {near[0]}?" if near else ""
            raise FormatError(f"{option!r} is not an option of wic{hint}")
        if option in options and option not in _LISTS:
            raise FormatError(f"{option} is given twice")
        if option in _FLAGS:
            options[option] = ""
            continue
        if not equals and (not queue or queue[0].startswith("--")):
            raise FormatError(f"{option} lacks its value")
        options[option] = value if equals else queue.pop(0)
        while option in _LISTS and queue and not queue[0].startswith("--"):
            queue.pop(0)
    return options, mount_point


def _fixed_size(text: str) -> int:
    size = _size(text)
    if size == 0 or size % MIB:
        raise FormatError(f"--fixed-size {text} is not a multiple of 1 MiB")
    return size


def _place(options: dict[str, str], name: str, number: int, end: int, size: int) -> Partition:
    """Return a partition of a size in bytes, placed behind `end`."""
    for option in ("--hidden", "--mbr"):
        if option in options:
            raise FormatError(f"{option} makes a partition that bootseal devices cannot boot from")
    if options.get("--type", "primary") != "primary":
        raise FormatError(f"--type {options['--type']}: a GPT has none")
    if _NAME.fullmatch(name) is None:
        option = "--part-name" if "--part-name" in options else "--label"
        raise FormatError(f"{option} {name!r} is not up to 36 letters, digits and . _ -")
    alignment = _number("--align", options.get("--align", "1024")) * KIB
    if alignment == 0 or alignment % MIB:
        raise FormatError(f"--align {options['--align']} is not a multiple of 1024 (KiB)")
    kind = options.get("--part-type") or _TYPES.get(options.get("--fstype", ""), _LINUX)
    return Partition(
        number=number,
        name=name,
        type=str(uuid.UUID(kind)),
        uuid=str(uuid.UUID(options.get("--uuid") or str(uuid.uuid5(NAMESPACE, name)))),
        offset=_offset(options, end, alignment),
        size=size,
        attributes=_LEGACY_BOOT if "--active" in options else 0,
    )


def _offset(options: dict[str, str], end: int, alignment: int) -> int:
    """Return where something begins behind `end`, or where `--offset` puts it (KiB)."""
    if "--offset" not in options:
        return align_up(end, alignment)
    text = options["--offset"]
    sectors = text[-1:] in {"s", "S"}
    offset = _number("--offset", text[:-1]) * SECTOR if sectors else _size(text, KIB)
    if offset < end or offset % SECTOR:
        raise FormatError(
            f"--offset {text} is {offset:#x}: expected a whole sector at or after {end:#x}, where "
            "the previous one ends"
        )
    return offset


def _size(text: str, unit: int = MIB) -> int:
    """Read a size; wic counts a bare number in MiB, for an offset in KiB."""
    return parse_size(text) * (unit if text.isdigit() else 1)


def _file(options: dict[str, str]) -> str:
    """Return the file that is copied as it is, empty if there is none."""
    parameters = options.get("--sourceparams", "")
    source = options.get("--source", _EMPTY)
    if source == _EMPTY and parameters:
        raise FormatError("--sourceparams needs --source rawcopy")
    if source != _RAWCOPY:
        return ""
    match = _FILE.fullmatch(parameters)
    if match is None:
        raise FormatError(f"--sourceparams {parameters!r} is not file=NAME")
    return match[1]


def _number(option: str, text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > _DIGITS:
        raise FormatError(f"{option} {text[:80]!r} is not a number")
    return int(text)
