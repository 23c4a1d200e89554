# SPDX-License-Identifier: MIT
"""How two disks differ: partitions, FITs, command lines, root hashes, keys, and files."""

from __future__ import annotations

import dataclasses
import hashlib
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bootseal.check import contents, firmware, slot_fit
from bootseal.check.rootfs import check as rootfs
from bootseal.device import Partition, Slot
from bootseal.disk import partitions
from bootseal.errors import FormatError
from bootseal.firmware import banks
from bootseal.fit import diff as fit_diff
from bootseal.fit.control_dtb import read_trust
from bootseal.formats.boot_partition import POLICY_SIZE
from bootseal.formats.gpt import GptEntry
from bootseal.target import UNKNOWN_TARGET

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from bootseal.check.slot_fit import SlotFit
    from bootseal.disk.filesystems.node import Node
    from bootseal.disk.image import Disk

_BOOT: Final = "boot-"
_ROOT: Final = "root-"


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One of the two disks, and U-Boot's file where it is known."""

    disk: Disk
    control: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskChange:
    """One difference.

    Attributes:
        part: `partition`, `key`, `firmware`, `policy`, `bootargs`, `root-hash`, `fit` or `file`.
        where: The partition, node, slot or path.
        name: What about it, such as `size` or a property; empty for the whole thing.
        before: The value in the first disk, empty when it is not there.
        after: The value in the second.
    """

    part: str
    where: str
    name: str = ""
    before: str = ""
    after: str = ""


def diff(first: Side, second: Side) -> Iterator[DiskChange]:
    """Yield the differences, from the outside to the inside.

    What cannot be read on both sides in the same way counts as a difference.

    Raises:
        FormatError: A disk has no partition table, or a root that differs cannot be read.
        ToolError: The program that reads a file system is not installed.
    """
    old, new = (_entries(side.disk) for side in (first, second))
    yield from _partitions(old, new)
    yield from _compare("key", _keys(first), _keys(second))
    seen: set[tuple[bytes, ...]] = set()
    for name in (name for name in old if name in new):
        entries = old[name], new[name]
        if name.startswith(_BOOT):
            yield from _slot(first.disk, second.disk, *entries, seen)
            continue
        if name in banks.NAMES and (changes := [*_bank(first.disk, second.disk, *entries)]):
            yield from changes
            continue
        pair = tuple(
            contents.digest(side.disk, entry)
            for side, entry in zip((first, second), entries, strict=True)
        )
        if pair[0] == pair[1] or pair in seen:
            continue
        seen.add(pair)
        if f"{name}-verity" in old:
            yield from _files(first.disk, second.disk, *entries)
        else:
            texts = [f"sha256 {digest.hex()}" for digest in pair]
            yield DiskChange(
                part="partition", where=name, name="content", before=texts[0], after=texts[1]
            )


def _entries(disk: Disk) -> dict[str, GptEntry]:
    found = partitions.read(disk, disk.size)
    if not found.copies:
        raise FormatError(f"{disk.name} has no partition table")
    return {entry.name: entry for entry in found.entries}


def _partitions(old: Mapping[str, GptEntry], new: Mapping[str, GptEntry]) -> Iterator[DiskChange]:
    for name in dict.fromkeys((*old, *new)):
        before, after = old.get(name), new.get(name)
        if before is None or after is None:
            sizes = [str(entry.size) if entry else "" for entry in (before, after)]
            yield DiskChange(part="partition", where=name, before=sizes[0], after=sizes[1])
            continue
        for field in dataclasses.fields(GptEntry):
            values = [str(getattr(entry, field.name)) for entry in (before, after)]
            if values[0] != values[1]:
                yield DiskChange(
                    part="partition",
                    where=name,
                    name=field.name,
                    before=values[0],
                    after=values[1],
                )


def _keys(side: Side) -> dict[str, str]:
    """Return U-Boot's keys by fingerprint."""
    if side.control is None:
        return {}
    keys = read_trust(side.control).keys
    return {
        key.public_key.fingerprint(): f"{key.hint}, {key.algorithm}, required for {key.required}"
        for key in keys
    }


def _bank(old: Disk, new: Disk, before: Partition, after: Partition) -> Iterator[DiskChange]:
    """Compare the boot loaders of a bank, image by image."""
    sides = firmware.inside(old, before), firmware.inside(new, after)
    for name in dict.fromkeys((*sides[0].images, *sides[1].images)):
        digests = [side.images.get(name, "") for side in sides]
        if digests[0] != digests[1]:
            texts = [f"sha256 {digest}" if digest else "" for digest in digests]
            yield DiskChange(
                part="firmware", where=f"{before.name}: {name}", before=texts[0], after=texts[1]
            )
    if sides[0].u_boot != sides[1].u_boot:
        yield DiskChange(
            part="firmware",
            where=before.name,
            name="U-Boot",
            before=sides[0].u_boot,
            after=sides[1].u_boot,
        )


def _slot(
    old: Disk, new: Disk, before: Partition, after: Partition, seen: set[tuple[bytes, ...]]
) -> Iterator[DiskChange]:
    """Compare the FITs of a slot, what they say of its root, and the PCR policy behind them.

    Two slots with the same pair of FITs are reported once.
    """
    policies = [_policy(disk, entry) for disk, entry in ((old, before), (new, after))]
    if policies[0] != policies[1]:
        yield DiskChange(part="policy", where=before.name, before=policies[0], after=policies[1])
    fits = _fit(old, before), _fit(new, after)
    if fits[0] is None or fits[1] is None:
        states = ["a FIT" if fit else "no FIT" for fit in fits]
        if states[0] != states[1]:
            yield DiskChange(part="fit", where=before.name, before=states[0], after=states[1])
        return
    if fits[0].data == fits[1].data:
        return
    for part, values in (
        ("bootargs", [_bootargs(fit) for fit in fits if fit]),
        ("root-hash", [_root_hash(fit) for fit in fits if fit]),
    ):
        if values[0] != values[1]:
            yield DiskChange(part=part, where=before.name, before=values[0], after=values[1])
    pair = tuple(hashlib.sha256(fit.data).digest() for fit in fits if fit)
    if pair in seen:
        return
    seen.add(pair)
    for change in fit_diff.diff(fits[0].lenient, fits[1].lenient):
        yield DiskChange(
            part="fit",
            where=f"{before.name}: {change.path}",
            name=change.name,
            before=change.before,
            after=change.after,
        )


def _policy(disk: Disk, entry: Partition) -> str:
    size = min(POLICY_SIZE, entry.size)
    tail = disk.read(entry.end - size, size).rstrip(b"\0")
    return f"{len(tail)} bytes, sha256 {hashlib.sha256(tail).hexdigest()}" if tail else ""


def _fit(disk: Disk, entry: Partition) -> SlotFit | None:
    name = entry.name.removeprefix(_BOOT)
    slot = Slot(
        name=name,
        configuration=f"conf-{name}",
        boot=entry.name,
        root=f"{_ROOT}{name}",
        verity=f"{_ROOT}{name}-verity",
        root_hash="",
        pcrs={},
    )
    try:
        found = slot_fit.find(disk, slot, entry, UNKNOWN_TARGET)
        _ = found.lenient
    except FormatError:
        return None
    return found


def _bootargs(fit: SlotFit) -> str:
    try:
        return slot_fit.command_line(fit)
    except FormatError:
        return ""


def _root_hash(fit: SlotFit) -> str:
    try:
        return slot_fit.opens(fit).root_hash.hex()
    except FormatError:
        return ""


def _files(old: Disk, new: Disk, before: Partition, after: Partition) -> Iterator[DiskChange]:
    with rootfs.opened(old, before) as nodes:
        first = {node.path: _described(node) for node in nodes}
    with rootfs.opened(new, after) as nodes:
        second = {node.path: _described(node) for node in nodes}
    for path in sorted(first.keys() | second.keys()):
        where = f"{before.name}:/{path}"
        facts = first.get(path), second.get(path)
        if facts[0] is None or facts[1] is None:
            texts = ["" if each is None else ", ".join(each.values()) for each in facts]
            yield DiskChange(part="file", where=where, before=texts[0], after=texts[1])
            continue
        for name in facts[0]:
            if facts[0][name] != facts[1].get(name, ""):
                yield DiskChange(
                    part="file",
                    where=where,
                    name=name,
                    before=facts[0][name],
                    after=facts[1].get(name, ""),
                )


def _described(node: Node) -> dict[str, str]:
    """Return what is compared of a file; sizes of directories differ for no reason."""
    facts = {"mode": stat.filemode(node.mode), "owner": f"{node.uid}:{node.gid}"}
    if node.target:
        facts["target"] = node.target
    if node.capabilities:
        facts["capabilities"] = node.capabilities.hex()
    if node.content is not None:
        with node.content.view() as data:
            facts["content"] = f"{node.size} bytes, sha256 {hashlib.sha256(data).hexdigest()}"
    return facts


def _compare(part: str, old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[DiskChange]:
    for where in dict.fromkeys((*old, *new)):
        before, after = old.get(where, ""), new.get(where, "")
        if before != after:
            yield DiskChange(part=part, where=where, before=before, after=after)
