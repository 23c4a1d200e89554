# SPDX-License-Identifier: MIT
"""The declared disk layout: the subset of wic's kickstart files that a secure-boot disk needs.

Only GPT and raw partitions of a fixed size are understood. Anything else is an error, because a
partition that this reader skips would be one that is not checked.

Spec: Yocto Project Reference Manual, "OpenEmbedded Kickstart (.wks) Reference".
"""

from __future__ import annotations

import difflib
import re
import shlex
import uuid
from dataclasses import dataclass
from typing import Final

from bootseal.device import Partition
from bootseal.errors import BootsealError, FormatError
from bootseal.units import KIB, MIB, align_up, parse_size

# Identifiers that wic would draw at random follow from names, so that equal input gives equal
# disks. The namespace means nothing beyond this project.
NAMESPACE: Final = uuid.UUID("6f1d9b0e-51a5-4e0b-9b6f-6f0b7c1de2a4")
LABEL_ID: Final = str(uuid.uuid5(NAMESPACE, "disk"))

_OPTIONS: Final = frozenset(
    {
        "--source",
        "--sourceparams",
        "--part-name",
        "--part-type",
        "--uuid",
        "--align",
        "--fixed-size",
    }
)
_TABLE_OPTIONS: Final = frozenset({"--ptable", "--diskid"})
_REQUIRED: Final = ("--part-name", "--part-type", "--align", "--fixed-size")
_SOURCES: Final = ("rawcopy", "empty")
# A GPT entry holds 36 UTF-16 code units; what follows keeps names usable in device paths.
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,35}")
_FILE: Final = re.compile(r"file=([A-Za-z0-9][A-Za-z0-9._-]*)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """A declared disk: GPT, partitions in order.

    Attributes:
        partitions: In the order of their offsets.
        files: The file of the deploy directory that a partition holds, by the partition's name.
        label_id: GUID of the disk, lower case.
        names_disk: Whether the file gives that GUID; wic draws another one otherwise.
    """

    partitions: tuple[Partition, ...]
    files: dict[str, str]
    label_id: str = LABEL_ID
    names_disk: bool = False

    @property
    def end(self) -> int:
        """Offset of the first byte behind the last partition."""
        return self.partitions[-1].end

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


def parse_wks(text: str, name: str = "layout") -> Layout:
    """Read a kickstart file.

    Args:
        text: Its content.
        name: File name for messages.

    Raises:
        FormatError: A line is not understood, or the layout contradicts itself.
    """
    tables: list[str] = []
    partitions: list[Partition] = []
    files: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        try:
            words = shlex.split(line, comments=True)
            match words:
                case []:
                    continue
                case ["bootloader", *options]:
                    tables.append(_label_id(_options(options, _TABLE_OPTIONS)))
                case ["part" | "partition", *options]:
                    given = _options(options, _OPTIONS)
                    partitions.append(_partition(given, partitions))
                    if file := _file(given):
                        files[partitions[-1].name] = file
                case _:
                    raise FormatError(f"{line!r} is neither 'bootloader --ptable gpt' nor 'part'")
        except (BootsealError, ValueError) as error:
            raise FormatError(f"{name}:{number}: {error}") from error
    if len(tables) != 1 or not partitions:
        raise FormatError(
            f"{name}: expected one line 'bootloader --ptable gpt' and at least one partition,"
            f" found {len(tables)} and {len(partitions)}"
        )
    return Layout(
        partitions=tuple(partitions),
        files=files,
        label_id=tables[0] or LABEL_ID,
        names_disk=bool(tables[0]),
    )


def _label_id(options: dict[str, str]) -> str:
    """Return the disk's GUID from the line `bootloader`; empty where it gives none."""
    if options.get("--ptable") != "gpt":
        raise FormatError(f"--ptable {options.get('--ptable', 'is not given')}: expected gpt")
    return str(uuid.UUID(options["--diskid"])) if "--diskid" in options else ""


def _options(words: list[str], known: frozenset[str]) -> dict[str, str]:
    """Pair options with their values, `--name value` and `--name=value` alike."""
    options: dict[str, str] = {}
    queue = list(words)
    while queue:
        option, equals, value = queue.pop(0).partition("=")
        if option not in known:
            near = difflib.get_close_matches(option, known, n=1)
            hint = f", did you mean {near[0]}?" if near else ""
            raise FormatError(f"{option!r} is not supported{hint}")
        if not equals and not queue:
            raise FormatError(f"{option} lacks its value")
        if option in options:
            raise FormatError(f"{option} is given twice")
        options[option] = value if equals else queue.pop(0)
    return options


def _partition(options: dict[str, str], before: list[Partition]) -> Partition:
    """Place a partition behind those before it."""
    if missing := [option for option in _REQUIRED if option not in options]:
        raise FormatError(f"the partition lacks {', '.join(missing)}")
    name = options["--part-name"]
    if _NAME.fullmatch(name) is None:
        raise FormatError(f"--part-name {name!r} is not up to 36 letters, digits and . _ -")
    alignment = _number("--align", options["--align"]) * KIB
    if alignment == 0 or alignment % MIB:
        raise FormatError(f"--align {options['--align']} is not a multiple of 1024 (KiB)")
    size = parse_size(options["--fixed-size"])
    if size == 0 or size % MIB:
        raise FormatError(f"--fixed-size {options['--fixed-size']} is not a multiple of 1 MiB")
    unique = options.get("--uuid") or str(uuid.uuid5(NAMESPACE, name))
    placed = Partition(
        number=len(before) + 1,
        name=name,
        type=str(uuid.UUID(options["--part-type"])),
        uuid=str(uuid.UUID(unique)),
        offset=align_up(before[-1].end if before else 1, alignment),
        size=size,
    )
    for other in before:
        if placed.name == other.name or placed.uuid == other.uuid:
            raise FormatError(f"name {name!r} or its UUID is that of partition {other.number}")
    return placed


def _file(options: dict[str, str]) -> str:
    source = options.get("--source", "empty")
    if source not in _SOURCES:
        raise FormatError(f"--source {source!r} is not one of {', '.join(_SOURCES)}")
    parameters = options.get("--sourceparams", "")
    if source == "empty":
        if parameters:
            raise FormatError("--sourceparams needs --source rawcopy")
        return ""
    match = _FILE.fullmatch(parameters)
    if match is None:
        raise FormatError(f"--sourceparams {parameters!r} is not file=NAME")
    return match[1]


def _number(option: str, text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise FormatError(f"{option} {text!r} is not a number")
    return int(text)
