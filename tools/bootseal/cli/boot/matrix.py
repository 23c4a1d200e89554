# SPDX-License-Identifier: MIT
"""`bootseal boot matrix`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bootseal.cli import console
from bootseal.cli.options import DeviceDir
from bootseal.errors import Inconclusive, VerificationRefused


def matrix(
    directory: DeviceDir,
    *,
    scenario: Annotated[
        list[str] | None, typer.Option(help="Only this scenario; may be repeated.")
    ] = None,
    keys: Annotated[
        Path | None,
        typer.Option(help="Its maker's key directory, for attacks that sign; DIR/keys if absent."),
    ] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Scenarios run at a time.")] = 2,
    patience: Annotated[
        float, typer.Option(min=0.1, help="Multiply every time limit, for slow machines.")
    ] = 1.0,
    list_: Annotated[bool, typer.Option("--list", help="List the scenarios.")] = False,
    json_: Annotated[Path | None, typer.Option("--json", help="Write JSON here; - prints.")] = None,
    junit: Annotated[Path | None, typer.Option(help="Write JUnit XML here.")] = None,
    html: Annotated[Path | None, typer.Option(help="Write a self-contained page here.")] = None,
) -> None:
    """Attack copies of the device in every way of the catalogue; the device itself is untouched."""
    from bootseal import device as devices
    from bootseal.boot.catalogue.scenarios import SCENARIOS
    from bootseal.boot.scenario import runner
    from bootseal.cli.boot import printing

    chosen = runner.choose(SCENARIOS, scenario or [])
    if list_:
        printing.show_catalogue(chosen)
        return
    device = devices.load(directory)
    watcher = printing.Ticker(len(chosen))
    engine = runner.Runner(
        device, directory, watcher, keys=keys or directory / "keys", patience=patience
    )
    result = engine.run(chosen, jobs=jobs)
    document = result.document()
    printed = json_ == Path("-")
    if printed:
        console.emit_json(document)
    else:
        printing.show_matrix(result)
    targets = {"json": None if printed else json_, "junit": junit, "html": html}
    _write_reports(document, targets, directory)
    _conclude(printing.count(result), directory)


def _write_reports(
    document: dict[str, object], targets: dict[str, Path | None], logs: Path
) -> None:
    from bootseal.files import write_file
    from bootseal.report.render import render

    for kind, target in targets.items():
        if target is not None:
            write_file(target, render(document, kind, logs=logs).encode())
            console.status(f"wrote {console.untrusted(str(target))}")


def _conclude(counts: dict[str, int], directory: Path) -> None:
    hint = f"bootseal boot matrix {directory} --scenario ID  (logs: {directory / 'matrix'}/ID/)"
    total = sum(counts.values())
    if counts["failed"]:
        raise VerificationRefused(f"{counts['failed']} of {total} scenarios failed", hint=hint)
    if counts["inconclusive"]:
        message = f"{counts['inconclusive']} of {total} scenarios proved nothing"
        raise Inconclusive(message, hint=hint)
    console.status(f"[green]OK[/]: {total} of {total} scenarios ended as they must")
