# SPDX-License-Identifier: MIT
"""`bootseal measure log`: an event log explained, and compared with predictions and PCR values."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from bootseal.cli import console
from bootseal.cli.console import Styled
from bootseal.cli.inputs import approved_list, naming, read
from bootseal.cli.options import Json

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bootseal.formats.tpm.eventlog import Event, EventLog
    from bootseal.measure import pcr_values
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
    pcrs: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="PCR values of the TPM, as tpm2_pcrread prints them."),
    ] = None,
    slot: Annotated[str, typer.Option(help="Compare with this slot only.")] = "",
    as_json: Json = False,
) -> None:
    """Replay an event log, and explain it entry by entry.

    With --against, exits with 3 unless the log is exactly that of an approved boot; with --pcrs,
    unless it adds up to the values of the TPM.
    """
    from bootseal.formats.kinds.kind import EVENT_LOG
    from bootseal.formats.tpm import eventlog
    from bootseal.measure.explain import closest

    data = read(file, EVENT_LOG)
    with naming(file):
        found = eventlog.parse(data)
    best = closest(found.events, _boots(against, slot) if against else {})
    values = _compare(found, pcrs) if pcrs else None
    if as_json:
        console.emit_json(_document(found, best, values))
    else:
        _print(found, best)
        if values is not None:
            _print_values(values)
    _refuse(best, values)


def _compare(found: EventLog, path: Path) -> pcr_values.PcrComparison:
    from bootseal.formats.kinds.kind import TEXT
    from bootseal.measure import pcr_values
    from bootseal.measure.approved import CAPPED

    data = read(path, TEXT)
    with naming(path):
        return pcr_values.compare(found, pcr_values.parse(data), [CAPPED])


def _refuse(best: Comparison, values: pcr_values.PcrComparison | None) -> None:
    from bootseal.errors import VerificationRefused
    from bootseal.measure.explain import Match

    if values is not None and values.differences:
        first = values.differences[0]
        more = len(values.differences) - 1
        raise VerificationRefused(
            f"the event log does not add up to the PCR values: {first.bank} PCR {first.pcr} holds "
            f"{first.read.hex()}, the log gives {first.logged.hex()}"
            + (f" (and {more} more)" if more else ""),
            hint="the log was altered, or the PCR was extended by something that is not in the log",
        )
    if best.differences:
        raise VerificationRefused(
            f"the event log is not that of {best.name}, the closest approved boot: "
            f"{best.count(Match.UNEXPECTED)} unexpected and {best.count(Match.MISSING)} missing "
            "entries"
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


def _document(
    found: EventLog, best: Comparison, values: pcr_values.PcrComparison | None
) -> dict[str, object]:
    from bootseal.formats.tpm import event_types, eventlog

    return {
        "schema": "bootseal.event-log/2",
        "tpm": found.tpm,
        "algorithms": list(found.algorithms),
        "algorithms_skipped": list(found.skipped),
        "padding": found.padding,
        "startup_locality": eventlog.startup_locality(found.events),
        "pcrs": {
            bank: {
                str(pcr): value.hex()
                for pcr, value in sorted(eventlog.replay(found.events, bank).items())
            }
            for bank in found.algorithms
        },
        "compared_with": best.name,
        "pcr_values": None if values is None else _values_document(values),
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


def _values_document(values: pcr_values.PcrComparison) -> dict[str, object]:
    return {
        "matches": not values.differences,
        "compared": {bank: list(pcrs) for bank, pcrs in values.compared.items()},
        "differences": [
            {"bank": one.bank, "pcr": one.pcr, "read": one.read.hex(), "logged": one.logged.hex()}
            for one in values.differences
        ],
        "capped": {bank: list(pcrs) for bank, pcrs in values.extended.items()},
        "not_logged": {bank: list(pcrs) for bank, pcrs in values.not_logged.items()},
        "not_read": {bank: list(pcrs) for bank, pcrs in values.not_read.items()},
    }


def _print(found: EventLog, best: Comparison) -> None:
    from bootseal.formats.tpm import eventlog

    title = f"compared with {best.name}" if best.name else "not compared with a boot"
    console.say("[bold]{} entries, {}[/]", len(found.events), title)
    for note in _notes(found):
        console.say("note: {}", note)
    for entry in best.entries:
        number = f"{entry.number:3}" if entry.number >= 0 else "  -"
        word = str(entry.match)
        label = Styled(f"[{_STYLES[word]}]{word:10}[/]" if best.name else "read")
        console.say("{}  {}  PCR {:<2}  {}", number, label, entry.event.pcr, entry.meaning)
    for bank in found.algorithms:
        for pcr, value in sorted(eventlog.replay(found.events, bank).items()):
            console.say("  {}  PCR {:<2}  {}", bank, pcr, value.hex())


def _notes(found: EventLog) -> Iterator[str]:
    """Yield what a reader has to know about the log as a whole."""
    if found.tpm == "1.2":
        yield (
            "this is a log in TPM 1.2 format, with SHA-1 digests only; if the firmware also "
            "writes a crypto-agile log, the kernel shows that as binary_bios_measurements of tpm0"
        )
    if found.skipped:
        yield f"the digests of {', '.join(found.skipped)} were skipped, so those PCRs are unknown"
    if found.padding:
        yield f"{found.padding} bytes of filler after the last entry: a dump of the log's memory"


def _print_values(values: pcr_values.PcrComparison) -> None:
    """Print what was compared with the TPM, and what was not."""
    wrong = {(one.bank, one.pcr) for one in values.differences}
    for bank, pcrs in values.compared.items():
        same = [pcr for pcr in pcrs if (bank, pcr) not in wrong]
        console.say("  {}  as logged: PCR {}", bank, _join(same))
        for one in values.differences:
            if one.bank == bank:
                holds = f"PCR {one.pcr}: the TPM holds {one.read.hex()}"
                console.say("  {}  [bold red]differs:[/] {}", bank, holds)
        for text, found in (
            ("and then capped by the running system", values.extended[bank]),
            ("in no entry, extended by the running system, not checked", values.not_logged[bank]),
            ("in the log, its value was not given, not checked", values.not_read[bank]),
        ):
            if found:
                console.say("  {}  {}: PCR {}", bank, text, _join(found))


def _join(pcrs: Sequence[int]) -> str:
    return ", ".join(map(str, pcrs)) or "none"
