# SPDX-License-Identifier: MIT
"""`bootseal boot run`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bootseal.cli import console
from bootseal.cli.options import DeviceDir, Json
from bootseal.errors import Inconclusive, ToolError, UsageError, VerificationRefused


def run(
    directory: DeviceDir,
    *,
    timeout: Annotated[float, typer.Option(help="Seconds until the boot is abandoned.")] = 300.0,
    reset: Annotated[
        bool,
        typer.Option("--reset", help="First discard the state of disk and TPM: boot as shipped."),
    ] = False,
    shell: Annotated[
        bool, typer.Option("--shell", help="Connect this terminal to the device's console.")
    ] = False,
    certify: Annotated[
        bool,
        typer.Option(
            "--certify",
            help="Enrol the device, certify its identity key and have it connect once "
            "(development images).",
        ),
    ] = False,
    keys: Annotated[
        Path | None,
        typer.Option("--keys", help="Key directory of the device's maker, for --certify."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Boot the device and check what it reports about itself; disk and TPM keep their state."""
    from bootseal import device as devices
    from bootseal.boot import run as boot_run
    from bootseal.boot.machine.events import Ending
    from bootseal.boot.scenario.model import Outcome
    from bootseal.cli.boot import printing

    if keys is not None and not certify:
        raise UsageError("--keys needs --certify", hint="add --certify, or leave out --keys")
    device = devices.load(directory)
    if certify and (shell or not device.login):
        raise UsageError("--certify needs a development image, without --shell")
    if reset:
        boot_run.forget(directory)
    if shell:
        _shell(device.name, login=device.login)
        raise typer.Exit(boot_run.shell(device, directory, console.TerminalProgress()))
    done = boot_run.boot(
        device,
        directory,
        timeout=timeout,
        progress=console.TerminalProgress(),
        certify=(keys or directory / "keys") if certify else None,
    )
    if as_json:
        console.emit_json(done.document())
    else:
        printing.show_run(done, device)
    result = done.result
    hint = f"less {directory / result.log}"
    if result.ending is Ending.CRASHED:
        raise ToolError(result.reason, hint=hint)
    if result.verdict is Outcome.INCONCLUSIVE:
        raise Inconclusive(result.reason, hint=hint)
    if result.verdict is Outcome.FAILED:
        raise VerificationRefused(result.reason, hint=hint)
    console.status("[green]OK[/]: up, and everything as built")


def _shell(name: str, *, login: bool) -> None:
    if not (console.err.is_terminal and console.out.is_terminal):
        raise UsageError("--shell needs a terminal", hint="leave out --shell to boot and check")
    console.status("booting {}; Ctrl-A X ends it, Ctrl-A C is QEMU's monitor", name)
    if login:
        console.status(
            "it is a development image: a root shell follows; `systemctl poweroff` ends it"
        )
