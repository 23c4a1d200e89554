# SPDX-License-Identifier: MIT
"""The FIT in a slot's boot partition: its signatures, and how it opens the root."""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bootseal.errors import FormatError
from bootseal.findings.catalogue import finding, rule
from bootseal.findings.model import Finding, Severity
from bootseal.fit.verify.strictness import STRICT
from bootseal.formats import boot_partition
from bootseal.formats.fdt import model as fdt
from bootseal.formats.fit import model as fit_format
from bootseal.formats.verity import Tree

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bootseal.device import Partition, Slot
    from bootseal.disk.image import Disk
    from bootseal.fit.control_dtb import Trust
    from bootseal.fit.verify.digest import PayloadCache
    from bootseal.fit.verify.strictness import Strictness
    from bootseal.formats.fit.model import Fit
    from bootseal.target import Target

_PARAMETER: Final = re.compile(r"bootseal\.(slot|roothash|salt|blocks)=(\S*)")
# kernel-command-line(7), bootparam(7) and the kernel's admin-guide/kernel-parameters.
_SHELL: Final = re.compile(
    r"(rd)?init=.*|(rd\.)?systemd[._](debug[-_]shell|run|unit|wants|setenv|import|extra[-_]unit).*"
    r"|single|emergency|rescue|[sS1]|-[sb]|(rd\.)?break(=.*)?|rd\.(shell|debug).*|kgdb.*"
    r"|sysrq_always_enabled.*|(rd\.)?systemd\.mount-extra=.*|(rd\.)?systemd\.set_credential.*"
)
_HEX: Final = re.compile("(?:[0-9a-f]{2})*")
_NUMBER: Final = re.compile("[1-9][0-9]{0,12}")


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotFit:
    """The FIT of one slot.

    Attributes:
        slot: The slot.
        entry: Its boot partition.
        data: The FIT, exactly; slots with the same FIT share one view of it.
        parsed: What it says, or why that cannot be told.
        memory: The memory of the board that boots it.
        brings: Whether its partition has boot loaders behind it.
    """

    slot: Slot
    entry: Partition
    data: memoryview
    parsed: Fit | FormatError
    memory: Target
    brings: bool = False

    @property
    def strict(self) -> Fit:
        """The FIT, strictly read.

        Raises:
            FormatError: It is malformed.
        """
        if isinstance(self.parsed, FormatError):
            raise self.parsed
        return self.parsed

    @property
    def lenient(self) -> Fit:
        """The FIT as U-Boot reads it, which is the same where it is well formed.

        Raises:
            FormatError: It is malformed to U-Boot as well.
        """
        if isinstance(self.parsed, FormatError):
            return fit_format.parse(self.data, lenient=True)
        return self.parsed

    @property
    def room(self) -> int:
        """Bytes of the partition in front of the boot loaders, if any, and the PCR policy."""
        if self.brings:
            return boot_partition.loaders_place(self.entry.size)
        return boot_partition.room(self.entry.size)

    @property
    def strictness(self) -> Strictness:
        """How the FIT is checked: strictly, for this board and this partition."""
        return STRICT._replace(max_size=self.room, target=self.memory)

    @property
    def policy_offset(self) -> int:
        """Offset of the PCR policy on the disk."""
        return self.entry.offset + boot_partition.room(self.entry.size)


def find(
    disk: Disk, slot: Slot, entry: Partition, memory: Target, others: Sequence[SlotFit] = ()
) -> SlotFit:
    """Return the FIT at the start of a boot partition.

    Args:
        disk: The disk.
        slot: The slot.
        entry: Its boot partition.
        memory: The memory of the board.
        others: The FITs of other slots, which are not read again where they are the same.

    Raises:
        FormatError: There is none, or it says that it is larger than the partition's room for it.
    """
    partition = disk.view(entry.offset, entry.size)
    data = boot_partition.find_fit(partition)
    brings = bool(boot_partition.find_loaders(partition))
    for other in others:
        size = len(other.data)
        if size == len(data) and disk.same(other.entry.offset, entry.offset, size):
            return dataclasses.replace(other, slot=slot, entry=entry, brings=brings)
    try:
        parsed: Fit | FormatError = fit_format.parse(data)
    except FormatError as error:
        parsed = error
    return SlotFit(slot=slot, entry=entry, data=data, parsed=parsed, memory=memory, brings=brings)


def check(found: SlotFit, trust: Trust, cache: PayloadCache) -> list[Finding]:
    """Return what is wrong with a FIT, strictly, and with its declarations about its slot.

    Args:
        found: The FIT.
        trust: The keys of U-Boot's control device tree.
        cache: What is known about the payloads of this FIT.
    """
    from bootseal.fit.verify.verdict import check_fit  # noqa: PLC0415 - while the roots are hashed

    try:
        verdict = check_fit(found.strict, trust, strictness=found.strictness, cache=cache)
    except FormatError as error:
        return [malformed(found.entry, error)]
    return list(dict.fromkeys(_place(found, each) for each in verdict.findings))


def relabel(findings: list[Finding], old: SlotFit, new: SlotFit) -> list[Finding]:
    """Return what was found about a FIT as findings about the same bytes in another slot."""
    moved = new.entry.offset - old.entry.offset
    return [
        dataclasses.replace(
            each,
            where=each.where.replace(old.entry.name, new.entry.name, 1),
            offset=None if each.offset is None else each.offset + moved,
        )
        for each in findings
    ]


def malformed(entry: Partition, error: FormatError) -> Finding:
    """Return the finding that there is no usable FIT in a partition."""
    return finding(
        "disk.fit", entry.name, f"there is no well-formed FIT: {error.message}", offset=entry.offset
    )


def shells(found: SlotFit) -> Iterator[Finding]:
    """Yield the words of a slot's command line that open a shell or start another system."""
    try:
        words = command_line(found).split()
    except FormatError:
        return
    for word in words:
        if _SHELL.fullmatch(word.strip("\"'")):
            message = f"the command line has {word}, which opens a shell or starts another system"
            offset = found.entry.offset
            yield finding("disk.bootargs-shell", found.entry.name, message, offset=offset)


def opens(found: SlotFit) -> Tree:
    """Return what the signed command line of a slot opens its root with.

    Raises:
        FormatError: It does not say, says it twice, or is the command line of another slot.
    """
    return parse_bootargs(command_line(found), found.slot.name)


def command_line(found: SlotFit) -> str:
    """Return the signed command line of a slot; empty where its device tree has none.

    Raises:
        FormatError: The slot has no device tree that can be read, or several.
    """
    model = found.lenient
    configuration = model.configuration(found.slot.configuration)
    names = configuration.references.get("fdt", ())
    if len(names) != 1:
        raise FormatError(f"{configuration.path} names {len(names)} device trees: expected one")
    chosen = fdt.read(model.image(names[0]).payload).find("/chosen")
    return ((chosen and chosen.value("bootargs")) or b"").rstrip(b"\0").decode("latin-1")


def parse_bootargs(text: str, slot: str) -> Tree:
    """Return what a command line opens its root with.

    Args:
        text: The command line.
        slot: The slot it must be for.

    Raises:
        FormatError: It does not say, says it twice, or is the command line of another slot.
    """
    values: dict[str, str] = {}
    for name, value in _PARAMETER.findall(text):
        if name in values:
            raise FormatError(f"the command line gives bootseal.{name} twice")
        values[name] = value
    if values.get("slot") != slot:
        raise FormatError(f"the command line is for slot {values.get('slot')!r}: expected {slot!r}")
    root_hash, salt = values.get("roothash", ""), values.get("salt", "-")
    blocks = values.get("blocks", "")
    if not (_HEX.fullmatch(root_hash) and _HEX.fullmatch(salt) and _NUMBER.fullmatch(blocks)):
        raise FormatError(
            f"the command line opens no root: roothash={root_hash!r}, salt={salt!r}, "
            f"blocks={blocks!r}"
        )
    return Tree(root_hash=bytes.fromhex(root_hash), salt=bytes.fromhex(salt), blocks=int(blocks))


def _place(found: SlotFit, each: Finding) -> Finding:
    """Say where on the disk a finding about a FIT is."""
    offset = found.entry.offset + next(_offsets(found.data, each.where), 0)
    where = f"{found.entry.name}: {each.where}"
    remedy = rule("disk.fit").remedy if each.severity is Severity.ERROR else each.remedy
    return dataclasses.replace(each, where=where, offset=offset, remedy=remedy)


def _offsets(data: memoryview, path: str) -> Iterator[int]:
    """Yield the offset of a node's payload, or of the node itself."""
    if not path.startswith("/"):
        return
    try:
        node = fdt.read(data, lenient=True).find(path)
    except FormatError:
        return
    if node is not None:
        payload = node.properties.get("data")
        yield node.start if payload is None else payload.offset
