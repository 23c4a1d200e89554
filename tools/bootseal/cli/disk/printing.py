# SPDX-License-Identifier: MIT
"""How disks and what was found about them look on a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich.text import Text

from bootseal.cli import console
from bootseal.findings.model import Severity
from bootseal.units import format_size

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from bootseal.findings.model import Finding
    from bootseal.report.disk_document import Part

_MARKS: Final = {
    Severity.ERROR: "[bold red]ERROR[/]",
    Severity.WARNING: "[yellow]WARNING[/]",
    Severity.INFO: "[dim]INFO[/]",
}


def print_findings(findings: Iterable[Finding], *, everything: bool) -> None:
    """Print findings as a table, errors first; nothing when there are none to print."""
    order = list(_MARKS)
    shown = [f for f in findings if everything or f.severity is not Severity.INFO]
    rows = [
        (
            _MARKS[each.severity],
            console.untrusted(each.id),
            console.untrusted(each.where),
            "" if each.offset is None else f"{each.offset:#x}",
            console.untrusted_lines(each.message)
            + (f"\n[dim]{console.untrusted(each.remedy)}[/]" if each.remedy else ""),
        )
        for each in sorted(shown, key=lambda each: order.index(each.severity))
    ]
    if rows:
        console.table(("Severity", "Finding", "Where", "Offset", "What, and what to do"), rows)


# State: the character it is drawn with, which tells it apart without colour, and its colour.
_STATES: Final = {
    "signed": ("\N{FULL BLOCK}", "green"),
    "verity-covered": ("\N{DARK SHADE}", "green"),
    "hashed only": ("\N{MEDIUM SHADE}", "yellow"),
    "consumed but unsigned": ("!", "bold red"),
    "unused": ("\N{MIDDLE DOT}", "dim"),
}
_CELLS: Final = 72


def print_map(document: dict[str, object]) -> None:
    """Print what protects each byte of a disk, to scale; a cell shows what most of it is."""
    from bootseal.report.disk_document import parse
    from bootseal.report.disk_map import stretches

    verdict = parse(document)
    for title, parts in stretches(verdict):
        console.out.print(
            f"[bold]{console.untrusted(title)}[/]  {format_size(parts[-1].end - parts[0].start)}"
        )
        console.out.print(_bar(parts), soft_wrap=False)
    rows = []
    for state, (character, style) in _STATES.items():
        total = verdict.total(state)
        share = 100 * total / verdict.size if verdict.size else 0.0
        rows.append((f"[{style}]{character}[/]", state, format_size(total), f"{share:.2f} %"))
    console.table(("", "Protection", "Size", "Share of the disk"), rows)


def _bar(parts: Sequence[Part]) -> Text:
    start, end = parts[0].start, parts[-1].end
    text = Text("  ")
    for cell in range(_CELLS):
        first = start + (end - start) * cell // _CELLS
        last = max(start + (end - start) * (cell + 1) // _CELLS, first + 1)
        sizes = dict.fromkeys(_STATES, 0)
        for part in parts:
            sizes[part.state] += max(min(part.end, last) - max(part.start, first), 0)
        character, style = _STATES[max(sizes, key=lambda state: sizes[state])]
        text.append(character, style=style)
    return text


def print_partitions(document: dict[str, object]) -> None:
    """Print the partitions of a document of schema `bootseal.disk/2`."""
    from bootseal.report.document import JsonObject

    top = JsonObject(document, "disk")
    rows = []
    for each in top.objects("partitions"):
        offset, size = (int(str(each.get(name))) for name in ("offset", "size"))
        mark = "[green]OK[/]" if each.get("as_declared") is True else "[bold red]DIFFERS[/]"
        declared = each.get("declared") is True
        rows.append(
            (
                str(each.get("number")),
                console.untrusted(each.text("name")),
                f"{offset:#x}",
                f"{offset + size:#x}",
                format_size(size),
                f"{each.text('type')}\n{each.text('uuid')}",
                mark if declared else "[yellow]NOT DECLARED[/]",
            )
        )
    columns = ("#", "Name", "Start", "End", "Size", "Type and GUID", "Declared")
    disk = JsonObject(top.get("disk"), "disk")
    whole = format_size(int(str(disk.get("size"))))
    title = f"{disk.text('name')}, {whole}, {disk.text('guid')}"
    console.table(columns, rows, title=console.untrusted(title))
