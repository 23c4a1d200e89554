# SPDX-License-Identifier: MIT
"""`bootseal boot`: run a device in QEMU, and attack it there."""

# Heavy modules are imported inside commands, and typer reads annotations at run time.

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bootseal.cli import ui
from bootseal.errors import Inconclusive, ToolError, UsageError, VerificationRefused

app = typer.Typer(no_args_is_help=True, help="Run a device in QEMU, and attack it there.")

_Directory = Annotated[
    Path, typer.Argument(metavar="DIR", help="Build directory with a device.json.")
]


@app.command()
def run(
    directory: _Directory,
    *,
    timeout: Annotated[float, typer.Option(help="Seconds until the boot is given up.")] = 300.0,
    reset: Annotated[
        bool, typer.Option("--reset", help="Forget disk and TPM first: boot as shipped.")
    ] = False,
    shell: Annotated[
        bool, typer.Option("--shell", help="Put the device's console on this terminal.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Boot the device and check what it says of itself; disk and TPM keep their state."""
    from bootseal import device as devices
    from bootseal.boot import run as boot_run
    from bootseal.boot.machine.events import Ending
    from bootseal.boot.scenario.model import Verdict
    from bootseal.cli import boot_view

    device = devices.load(directory)
    if reset:
        boot_run.forget(directory)
    if shell:
        _shell(device.name, login=device.login)
        raise typer.Exit(boot_run.shell(device, directory, ui.TerminalProgress()))
    done = boot_run.boot(device, directory, timeout=timeout, progress=ui.TerminalProgress())
    if as_json:
        ui.emit_json(done.document())
    else:
        boot_view.show_run(done, device)
    result = done.result
    hint = f"less {directory / result.log}"
    if result.ending is Ending.CRASHED:
        raise ToolError(result.reason, hint=hint)
    if result.verdict is Verdict.INCONCLUSIVE:
        raise Inconclusive(result.reason, hint=hint)
    if result.verdict is Verdict.FAILED:
        raise VerificationRefused(result.reason, hint=hint)
    ui.status("[green]OK[/]: up, and everything as built")


@app.command()
def matrix(
    directory: _Directory,
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
    from bootseal.boot.scenario import runner as matrices
    from bootseal.cli import boot_view

    chosen = matrices.choose(SCENARIOS, scenario or [])
    if list_:
        boot_view.show_catalogue(chosen)
        return
    device = devices.load(directory)
    watcher = boot_view.Ticker(len(chosen))
    engine = matrices.Matrix(
        device, directory, watcher, keys=keys or directory / "keys", patience=patience
    )
    result = engine.run(chosen, jobs=jobs)
    document = result.document()
    printed = json_ == Path("-")
    if printed:
        ui.emit_json(document)
    else:
        boot_view.show_matrix(result)
    targets = {"json": None if printed else json_, "junit": junit, "html": html}
    _write_reports(document, targets, directory)
    _conclude(boot_view.count(result), directory)


def _write_reports(
    document: dict[str, object], targets: dict[str, Path | None], logs: Path
) -> None:
    from bootseal.files import write_file
    from bootseal.report.render import render

    for kind, target in targets.items():
        if target is not None:
            write_file(target, render(document, kind, logs=logs).encode())
            ui.status(f"wrote {ui.untrusted(str(target))}")


def _conclude(counts: dict[str, int], directory: Path) -> None:
    hint = f"bootseal boot matrix {directory} --scenario ID  (logs: {directory / 'matrix'}/ID/)"
    total = sum(counts.values())
    if counts["failed"]:
        raise VerificationRefused(f"{counts['failed']} of {total} scenarios failed", hint=hint)
    if counts["inconclusive"]:
        message = f"{counts['inconclusive']} of {total} scenarios proved nothing"
        raise Inconclusive(message, hint=hint)
    ui.status(f"[green]OK[/]: {total} of {total} scenarios ended as they must")


def _shell(name: str, *, login: bool) -> None:
    if not (ui.err.is_terminal and ui.out.is_terminal):
        raise UsageError("--shell needs a terminal", hint="leave --shell away to boot and check")
    ui.status(f"booting {ui.untrusted(name)}; leave with Ctrl-A X, Ctrl-A C is QEMU's monitor")
    if login:
        ui.status("it is a development image: a root shell follows; `systemctl poweroff` ends it")
