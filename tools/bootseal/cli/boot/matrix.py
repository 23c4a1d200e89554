# SPDX-License-Identifier: MIT
"""`bootseal boot matrix`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bootseal.cli import console
from bootseal.cli.options import DeviceDir
from bootseal.errors import Inconclusive, VerificationRefused

if TYPE_CHECKING:
    from bootseal.boot.scenario.model import MatrixResult


def matrix(
    directory: DeviceDir,
    *,
    scenario: Annotated[
        list[str] | None, typer.Option(help="Only this scenario; may be repeated.")
    ] = None,
    keys: Annotated[
        Path | None,
        typer.Option(
            help="Key directory of the device's maker, for attacks that sign; DIR/keys if left out."
        ),
    ] = None,
    jobs: Annotated[
        int, typer.Option(min=1, metavar="N", help="Number of scenarios to run in parallel.")
    ] = 2,
    patience: Annotated[
        float,
        typer.Option(
            min=0.1, metavar="FACTOR", help="Multiply every time limit, for slow machines."
        ),
    ] = 1.0,
    list_: Annotated[bool, typer.Option("--list", help="List the scenarios.")] = False,
    json_: Annotated[
        Path | None,
        typer.Option("--json", metavar="FILE", help="Write JSON; - is standard output."),
    ] = None,
    junit: Annotated[Path | None, typer.Option(metavar="FILE", help="Write JUnit XML.")] = None,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a self-contained HTML page.")
    ] = None,
) -> None:
    """Run every attack in the catalogue on copies of the device, which itself is not changed."""
    from bootseal import device as devices
    from bootseal.boot.catalogue.scenarios import SCENARIOS
    from bootseal.boot.machine.qemu import of_device
    from bootseal.boot.scenario import runner
    from bootseal.cli.boot import printing

    chosen = runner.choose(SCENARIOS, scenario or [])
    if list_:
        printing.show_catalogue(chosen)
        return
    device = devices.load(directory)
    of_device(device)
    chosen = runner.fitting(chosen, device, scenario or [])
    watcher = printing.Ticker(runner.count(chosen))
    engine = runner.Runner(
        device, directory, watcher, keys=keys or directory / "keys", patience=patience
    )
    result = engine.run(chosen, jobs=jobs)
    printed = json_ == Path("-")
    if printed:
        console.emit_json(result.document())
    else:
        printing.show_matrix(result)
    targets = {"json": None if printed else json_, "junit": junit, "html": html}
    _write_reports(result, targets, directory)
    _conclude(result, directory)


def _write_reports(result: MatrixResult, targets: dict[str, Path | None], logs: Path) -> None:
    from bootseal.report.write import write_matrix

    for kind, target in targets.items():
        if target is not None:
            write_matrix(result, kind, target, logs=logs)
            console.status("wrote {}", target)


def _conclude(result: MatrixResult, directory: Path) -> None:
    from bootseal.boot.scenario.model import Outcome

    hint = f"bootseal boot matrix {directory} --scenario ID  (logs: {directory / 'matrix'}/ID/)"
    total = len(result.results)
    if failed := result.count(Outcome.FAILED):
        raise VerificationRefused(f"{failed} of {total} scenarios failed", hint=hint)
    if unproven := result.count(Outcome.INCONCLUSIVE):
        message = f"{unproven} of {total} scenarios were inconclusive"
        raise Inconclusive(message, hint=hint)
    console.status("[green]OK[/]: {} of {} scenarios ended as expected", total, total)
