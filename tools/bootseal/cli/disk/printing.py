# SPDX-License-Identifier: MIT
"""How disks and what was found about them look on a terminal."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING, Final

from bootseal.cli import console
from bootseal.cli.console import Styled
from bootseal.findings.model import Finding, Severity
from bootseal.protection import State
from bootseal.units import format_size

if TYPE_CHECKING:
    from bootseal.check.coverage import DiskRegion
    from bootseal.check.document import DiskReport
    from bootseal.check.firmware import Held
    from bootseal.disk.image import Disk
    from bootseal.disk.partitions import Table
    from bootseal.formats.gpt import GptEntry
    from bootseal.formats.mbr import MbrPartition

_MARKS: Final = {
    Severity.ERROR: Styled("[bold red]ERROR[/]"),
    Severity.WARNING: Styled("[yellow]WARNING[/]"),
    Severity.INFO: Styled("[dim]INFO[/]"),
}


def print_findings(findings: Iterable[Finding], *, everything: bool) -> None:
    """Print findings as a table, errors first; nothing when there are none to print."""
    order = list(_MARKS)
    shown = [f for f in findings if everything or f.severity is not Severity.INFO]
    rows = [
        (
            _MARKS[each.severity],
            each.id,
            each.where,
            "" if each.offset is None else f"{each.offset:#x}",
            Styled(
                "{}\n[dim]{}[/]" if each.remedy else "{}", console.lines(each.message), each.remedy
            ),
        )
        for each in sorted(shown, key=lambda each: order.index(each.severity))
    ]
    if rows:
        console.table(("Severity", "Finding", "Where", "Offset", "What, and what to do"), rows)


# State: the character it is drawn with, which tells it apart without colour, and its colour.
_STATES: Final = {
    State.SIGNED: ("\N{FULL BLOCK}", "green"),
    State.VERITY: ("\N{DARK SHADE}", "green"),
    State.HASHED: ("\N{MEDIUM SHADE}", "yellow"),
    State.UNSIGNED: ("!", "bold red"),
    State.UNUSED: ("\N{MIDDLE DOT}", "dim"),
}
_CELLS: Final = 72


def print_map(report: DiskReport) -> None:
    """Print what protects each byte of a disk, to scale; a cell shows what most of it is."""
    from bootseal.report.disk_map import stretches

    for title, parts in stretches(report):
        console.say("[bold]{}[/]  {}", title, format_size(parts[-1].end - parts[0].start))
        console.say(_bar(parts))
    rows = []
    for state, (character, style) in _STATES.items():
        total = report.total(state)
        share = 100 * total / report.size if report.size else 0.0
        mark = Styled(f"[{style}]{character}[/]")
        rows.append((mark, state, format_size(total), f"{share:.2f} %"))
    console.table(("", "Protection", "Size", "Share of the disk"), rows)


def _bar(parts: Sequence[DiskRegion]) -> str:
    start, end = parts[0].start, parts[-1].end
    text = "  "
    for cell in range(_CELLS):
        first = start + (end - start) * cell // _CELLS
        last = max(start + (end - start) * (cell + 1) // _CELLS, first + 1)
        sizes = dict.fromkeys(_STATES, 0)
        for part in parts:
            sizes[part.state] += max(min(part.end, last) - max(part.start, first), 0)
        character, style = _STATES[max(sizes, key=lambda state: sizes[state])]
        text += f"[{style}]{character}[/]"
    return text


def print_partitions(
    disk: Disk, table: Table, declared: Collection[str] | None = None, wrong: Collection[str] = ()
) -> None:
    """Print the partitions of a disk.

    Args:
        disk: The disk.
        table: Its partition tables, at least one of them well formed.
        declared: Names of the declared partitions; None where nothing says.
        wrong: Names of those that are not as declared.
    """
    title = f"{disk.name.name}, {format_size(disk.size)}, {table.copies[0].header.disk}"
    if declared is None:
        console.table(_COLUMNS, [_row(each) for each in table.entries], title=title)
        return
    rows = []
    for each in table.entries:
        mark = "[bold red]DIFFERS[/]" if each.name in wrong else "[green]OK[/]"
        mark = mark if each.name in declared else "[yellow]NOT DECLARED[/]"
        rows.append((*_row(each), Styled(mark)))
    console.table((*_COLUMNS, "Declared"), rows, title=title)


def print_banks(banks: Iterable[Held]) -> None:
    """Print what the banks of boot loaders hold; nothing of it is verified here."""
    for each in banks:
        if not each.size:
            console.say("{}: no boot loaders", each.bank)
            continue
        names = ", ".join(each.images)
        console.say("{}: {}, {}", each.bank, format_size(each.size), names)
        console.say("  {}", each.u_boot or "no U-Boot version")


def print_mbr(disk: Disk, partitions: Sequence[MbrPartition]) -> None:
    """Print the partitions of an MBR."""
    rows = [
        (
            str(each.number),
            f"{each.offset:#x}",
            f"{each.offset + each.size:#x}",
            format_size(each.size),
            f"{each.type:#04x}{' (active)' if each.active else ''}",
        )
        for each in partitions
    ]
    title = f"{disk.name.name}, {format_size(disk.size)}, MBR (DOS) partition table"
    console.table(("#", "Start", "End", "Size", "Type"), rows, title=title)


_COLUMNS: Final = ("#", "Name", "Start", "End", "Size", "Type and GUID")


def _row(entry: GptEntry) -> tuple[object, ...]:
    return (
        str(entry.number),
        entry.name,
        f"{entry.offset:#x}",
        f"{entry.end:#x}",
        format_size(entry.size),
        Styled("{}\n{}", entry.type, entry.uuid),
    )
