# SPDX-License-Identifier: MIT
"""The `bootseal` command: the tree of verbs, and errors turned into exit codes."""

from __future__ import annotations

import gc
import logging
import os
import select
import signal
import sys
from typing import TYPE_CHECKING, Annotated, Final, NoReturn

import typer

import bootseal
from bootseal.cli import console, lazy
from bootseal.errors import BootsealError, ExitCode
from bootseal.text import visible

if TYPE_CHECKING:
    from collections.abc import Callable

_NOUNS: Final = (
    *("keys", "fit", "firmware", "measure", "attest", "identity", "job"),
    *("disk", "modules", "update", "evidence", "reference", "device", "boot"),
)
_LEVELS: Final = (logging.WARNING, logging.INFO, logging.DEBUG)
_SINGLE: Final = {verb: f"bootseal.cli.{verb}:{verb}" for verb in ("doctor", "report")}
_PLACES: Final = {noun: f"bootseal.cli.{noun}:app" for noun in _NOUNS} | {
    "app": "bootseal.cli.application:app"
}

app = typer.Typer(
    name="bootseal",
    cls=lazy.group(_SINGLE | _PLACES),
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Sign, check, boot and attack the images of devices that must run only what their maker "
    "signed.",
)


def _version(value: bool) -> None:  # noqa: FBT001 - typer's callback signature
    if value:
        typer.echo(f"bootseal {bootseal.__version__}")
        raise typer.Exit


@app.callback()
def _main(
    *,
    verbose: Annotated[
        int,
        typer.Option(
            "--verbose",
            "-v",
            count=True,
            metavar="",
            show_default=False,
            help="Report which slot, key, strictness, signer and kind of file was chosen; -vv: "
            "also which programs are run.",
        ),
    ] = 0,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    del version
    log_to_stderr(_LEVELS[min(verbose, len(_LEVELS) - 1)])


class _Visible(logging.Formatter):
    """Escapes control characters: names and paths in a message are untrusted text."""

    def format(self, record: logging.LogRecord) -> str:
        return visible(super().format(record))


def log_to_stderr(level: int) -> None:
    """Print what this package logs; other packages log what may hold credentials.

    Args:
        level: INFO for what was chosen, DEBUG for the programs that are run as well.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(_Visible("%(name)s: %(message)s"))
    ours = logging.getLogger(bootseal.__name__)
    ours.handlers[:] = [handler]
    ours.setLevel(level)


def main() -> None:
    """Run the command line and end the process with a documented exit code."""
    try:
        ending(lambda: app(standalone_mode=True))
    finally:
        # Python looks for garbage once more when it ends, among all that ever was loaded.
        gc.freeze()


def ending(command: Callable[[], object]) -> None:
    """Run a command; what it raises becomes a message and a documented exit code."""
    # Leave as Ctrl-C does, so that QEMU and the TPM emulator are not left running.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    output = _standard_output()
    try:
        command()
    except SystemExit:
        # Rich and typer end with 1 when nobody reads what they write.
        if _nobody_reads(output):
            _leave_closed_pipe()
        raise
    except BootsealError as error:
        console.status("[bold red]error:[/] {}", console.lines(error.message))
        if error.hint:
            console.status("[bold]try:[/]   {}", console.lines(error.hint))
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        console.status("interrupted")
        sys.exit(ExitCode.INTERRUPTED)
    except MemoryError:
        console.status("[bold red]error:[/] there is not enough memory for a file of this size")
        sys.exit(ExitCode.TOOL)
    except OSError as error:
        if isinstance(error, BrokenPipeError) and _nobody_reads(output):
            _leave_closed_pipe()
        name = f"{error.filename}: " if error.filename else ""
        console.status("[bold red]error:[/] {}{}", name, error.strerror or error)
        wrong_path = isinstance(error, FileNotFoundError | NotADirectoryError | IsADirectoryError)
        sys.exit(ExitCode.USAGE if wrong_path else ExitCode.TOOL)


def _standard_output() -> int | None:
    """Return a descriptor of standard output that nothing redirects; None if it is closed."""
    try:
        return os.dup(1)
    except OSError:
        return None


def _nobody_reads(output: int | None) -> bool:
    """Tell whether standard output is a pipe that its reader has closed."""
    if output is None:
        return False
    poll = select.poll()
    poll.register(output, select.POLLOUT)
    return any(events & select.POLLERR for _, events in poll.poll(0))


def _leave_closed_pipe() -> NoReturn:
    """End with the code that a shell shows for a program that SIGPIPE ended."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    sys.exit(ExitCode.CLOSED_PIPE)
