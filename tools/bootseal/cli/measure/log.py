# SPDX-License-Identifier: MIT
"""`bootseal measure log`: an event log explained, and compared with what was predicted."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from bootseal.cli import console
from bootseal.cli.inputs import approved_list, naming
from bootseal.cli.options import Json

if TYPE_CHECKING:
    from bootseal.formats.tpm.eventlog import Event, EventLog
    from bootseal.measure.explain import Comparison

_STYLES: Final = {"matching": "green", "unexpected": "bold red", "missing": "bold red"}


def log(
    file: Annotated[
        Path, typer.Argument(metavar="LOG", help="binary_bios_measurements of a device.")
    ],
    *,
    against: Annotated[
        Path | None,
        typer.Option(metavar="DIR|LIST", help="Build directory or approved list to compare with."),
    ] = None,
    slot: Annotated[str, typer.Option(help="Compare with this slot only.")] = "",
    as_json: Json = False,
) -> None:
    """Replay an event log, and explain it entry by entry.

    With --against, exits with 3 unless the log is exactly that of an approved boot.
    """
    from bootseal.errors import VerificationRefused
    from bootseal.formats.tpm import eventlog
    from bootseal.measure.explain import Match, closest

    with naming(file):
        found = eventlog.parse(file.read_bytes())
    best = closest(found.events, _boots(against, slot) if against else {})
    if as_json:
        console.emit_json(_document(found, best))
    else:
        _print(found, best)
    if best.differences:
        raise VerificationRefused(
            f"the event log is not that of {best.name}, the nearest approved boot: "
            f"{best.count(Match.UNEXPECTED)} unexpected and "
            f"{best.count(Match.MISSING)} missing entries"
        )


def _boots(against: Path, slot: str) -> dict[str, tuple[Event, ...]]:
    """Return the expected logs by the names of their boots."""
    from bootseal.errors import UsageError
    from bootseal.measure import approved as lists
    from bootseal.measure import inputs as sources

    if against.is_dir():
        artefacts = sources.load(against)
        release = lists.release(
            artefacts.name, sources.predictions(artefacts), artefacts.fit, artefacts.version or b""
        )
        approved = lists.Approved(releases=(release,))
    else:
        approved = approved_list(against)
    boots = lists.boots(approved, slot=slot)
    if not boots:
        raise UsageError(f"{against} does not approve any boot{f' of slot {slot}' if slot else ''}")
    return boots


def _document(found: EventLog, best: Comparison) -> dict[str, object]:
    from bootseal.formats.tpm import event_types, eventlog

    return {
        "schema": "bootseal.event-log/2",
        "algorithms": list(found.algorithms),
        "pcrs": {
            bank: {
                str(pcr): value.hex()
                for pcr, value in sorted(eventlog.replay(found.events, bank).items())
            }
            for bank in found.algorithms
        },
        "compared_with": best.name,
        "entries": [
            {
                "match": str(entry.match) if best.name else "not compared",
                "number": entry.number,
                "pcr": entry.event.pcr,
                "type": entry.event.type,
                "name": event_types.name(entry.event.type),
                "digests": {bank: digest.hex() for bank, digest in entry.event.digests.items()},
                "data": entry.event.data.hex(),
                "meaning": entry.meaning,
            }
            for entry in best.entries
        ],
    }


def _print(found: EventLog, best: Comparison) -> None:
    from bootseal.formats.tpm import eventlog

    title = f"compared with {best.name}" if best.name else "compared with nothing"
    console.out.print(f"[bold]{len(found.events)} entries, {console.untrusted(title)}[/]")
    for entry in best.entries:
        number = f"{entry.number:3}" if entry.number >= 0 else "  -"
        word = str(entry.match)
        label = f"[{_STYLES[word]}]{word:10}[/]" if best.name else "read"
        console.out.print(
            f"{number}  {label}  PCR {entry.event.pcr:<2}  {console.untrusted(entry.meaning)}"
        )
    for bank in found.algorithms:
        for pcr, value in sorted(eventlog.replay(found.events, bank).items()):
            console.out.print(f"  {bank}  PCR {pcr:<2}  {value.hex()}")
