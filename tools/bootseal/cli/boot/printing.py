# SPDX-License-Identifier: MIT
"""How boots and matrices look on a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from threading import Lock
from typing import TYPE_CHECKING, Final

from bootseal.boot.scenario import device_status
from bootseal.boot.scenario.device_findings import CAPPED_PCR
from bootseal.boot.scenario.model import MatrixResult, Outcome, Scenario, ScenarioResult, StepResult
from bootseal.cli import console
from bootseal.cli.console import Styled
from bootseal.errors import FormatError

if TYPE_CHECKING:
    from bootseal.boot.run import Run
    from bootseal.boot.scenario.device_status import Status
    from bootseal.device import Device

_MARKS: Final = {
    Outcome.PASSED: Styled("[green]PASSED[/]"),
    Outcome.FAILED: Styled("[bold red]FAILED[/]"),
    Outcome.INCONCLUSIVE: Styled("[yellow]INCONCLUSIVE[/]"),
}
_Row = tuple[str, str, tuple[str, ...]]


def show_run(done: Run, device: Device) -> None:
    """Print what a boot came to."""
    result = done.result
    found = {f.id: f.message for f in result.findings}
    rows: list[_Row] = [("ending", f"{result.ending} after {result.duration:.1f} s", ())]
    try:
        rows += _system(device_status.load(result.status), device) if result.status else []
    except FormatError:
        rows.append(("status", "", ("status.malformed",)))
    cells: list[tuple[object, ...]] = []
    for name, value, ids in rows:
        wrong = [found[i] for i in ids if i in found]
        mark = "[bold red]REFUSED[/]" if wrong else "[green]OK[/]" if ids else ""
        text = "\n".join(filter(None, [value, *wrong]))
        cells.append((name, console.lines(text), Styled(mark)))
    if done.connected:
        cells.append(("TLS", f"by the key in the TPM; the broker saw {done.connected}", ""))
    cells += [(name, value, "") for name, value in _course(result)]
    title = f"{device.name}, boot {done.number}"
    console.table(["what", "found", "verdict"], cells, title=title)


def _system(system: Status, device: Device) -> Iterator[_Row]:
    root, data = system.root, system.data
    yield "slot", system.slot, ("slot.unknown",)
    yield "root hash", root.hash, ("root.hash", "root.verity", "root.corruption-mode")
    options = ",".join(root.options)
    yield "root", f"{root.type} on {root.device}, {options}", ("root.mount", "root.read-only")
    kept = "created in this boot" if data.created else f"existing, boot {data.boots}"
    about = f"open, {kept}, key slot {data.keyslot} ({data.token})"
    closed = ("data.closed", "data.crypt", "data.token", "data.mount", "mount.writable")
    yield "data", about if data.state == "open" else "", closed
    slot = next((s for s in device.slots if s.name == system.slot), None)
    for pcr in slot.pcrs if slot else ():
        name = f"PCR {pcr}, then capped" if pcr == CAPPED_PCR else f"PCR {pcr}"
        yield f"{name}, as predicted", system.pcrs.get(pcr, "nothing"), (f"pcr.{pcr}",)
    if system.identity is not None and system.identity.key:
        yield "identity", f"made in the TPM: {system.identity.text()}", ()
    for each in system.applications or ():
        said = "\n".join(filter(None, [each.text().removeprefix(f"{each.name} "), each.root_hash]))
        yield f"application {each.name}", said, ()
    event_log = ("event-log.missing", "event-log.malformed", "event-log.differs")
    yield "event log", f"{system.event_log_size} bytes, as predicted", event_log
    yield "kernel", f"{system.kernel}, lockdown {system.lockdown}", ("lockdown.off",)
    yield "login", "root shell" if system.login else "none", ("login.unexpected",)


def _course(result: StepResult) -> Iterator[tuple[str, str]]:
    if result.resets:
        yield "resets", str(result.resets)
    times = [f"{p.name} {p.end - p.start:.1f} s" for p in result.phases if p.end > p.start]
    if times:
        yield "timeline", ", ".join(times)
    yield "console", result.log


def show_catalogue(scenarios: Sequence[Scenario]) -> None:
    """Print scenarios and what each must end in."""
    from bootseal.boot.scenario.evaluate import expected

    rows = [
        (s.id, s.group, s.title, ", then ".join(expected(step.expect) for step in s.steps))
        for s in scenarios
    ]
    console.table(["scenario", "group", "title", "must end"], rows)


def show_matrix(result: MatrixResult) -> None:
    """Print one row per scenario."""
    rows = [
        [
            r.id,
            r.expected,
            console.lines("\n".join(filter(None, [r.observed, r.reason]))),
            f"{r.duration:.0f} s",
            _MARKS[r.verdict],
        ]
        for r in result.results
    ]
    title = f"{result.device}: {len(rows)} scenarios in {result.duration:.0f} s"
    console.table(["scenario", "must end", "ended", "time", "verdict"], rows, title=title)


class Ticker:
    """Says one line on stderr when a scenario begins and when it is over."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._done = 0
        self._lock = Lock()

    def started(self, scenario: Scenario) -> None:
        """Say that a scenario begins."""
        with self._lock:
            console.status("[dim]· {} begins[/]", scenario.id)

    def finished(self, result: ScenarioResult) -> None:
        """Say how a scenario went."""
        with self._lock:
            self._done += 1
            name = f"{self._done}/{self._total} {result.id}"
            console.status("{} {} ({:.0f} s)", _MARKS[result.verdict], name, result.duration)
            if result.reason:
                console.status("    {}", result.reason)
