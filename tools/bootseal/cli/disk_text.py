# SPDX-License-Identifier: MIT
"""How disks and what was found about them look on a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bootseal.cli import ui
from bootseal.events import Severity

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bootseal.events import Finding

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
            ui.untrusted(each.id),
            ui.untrusted(each.where),
            "" if each.offset is None else f"{each.offset:#x}",
            ui.untrusted_lines(each.message)
            + (f"\n[dim]{ui.untrusted(each.mend)}[/]" if each.mend else ""),
        )
        for each in sorted(shown, key=lambda each: order.index(each.severity))
    ]
    if rows:
        ui.table(("Severity", "Finding", "Where", "Offset", "What, and what to do"), rows)
