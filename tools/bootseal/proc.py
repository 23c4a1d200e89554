# SPDX-License-Identifier: MIT
"""The only module that starts programs.

No shell, no string splitting, a fixed environment, standard input closed, a timeout always, and
nothing left running: the whole process group is killed at the end, also by Ctrl-C or SIGTERM.
"""

from __future__ import annotations

import logging
import os
import shlex
import shutil
import signal
import subprocess
import tempfile
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Final

from bootseal.errors import ToolError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

log = logging.getLogger(__name__)

_STDERR_LINES: Final = 20
_ENDING: Final = (signal.SIGINT, signal.SIGTERM)
# Debian keeps mkfs, sfdisk and veritysetup where an ordinary user's PATH does not look.
_SEARCH_PATH: Final = os.pathsep.join(
    [os.environ.get("PATH", ""), "/usr/local/sbin", "/usr/sbin", "/sbin"]
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Completed:
    """A program that ran to its end with exit code 0."""

    stdout: bytes
    stderr: bytes


def find_tool(name: str) -> str:
    """Return the absolute path of a program.

    Raises:
        ToolError: It is not installed.
    """
    found = shutil.which(name, path=_SEARCH_PATH)
    if found is None:
        raise ToolError(
            f"the program {name!r} is not installed or not on PATH",
            hint="bootseal doctor  (lists every program, and the package it comes in)",
        )
    return found


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment programs run in: reproducible, and nothing the user left behind."""
    env = {"PATH": _SEARCH_PATH, "LC_ALL": "C", "TZ": "UTC", "HOME": os.environ.get("HOME", "/")}
    for name in ("SOURCE_DATE_EPOCH", "TMPDIR", "http_proxy", "https_proxy", "no_proxy"):
        if name in os.environ:
            env[name] = os.environ[name]
    return env | dict(extra or {})


def run(
    tool: str,
    args: Sequence[str | Path],
    *,
    timeout: float,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdin: bytes = b"",
    stdout_file: Path | None = None,
) -> Completed:
    """Run a program to its end.

    Args:
        tool: Program name, looked up on PATH and in the sbin directories.
        args: Arguments, passed as they are.
        timeout: Seconds after which the program and its children are killed.
        cwd: Directory to run in.
        env: Variables on top of the fixed environment.
        stdin: Bytes for standard input; empty closes it.
        stdout_file: Write standard output here instead of returning it.

    Raises:
        ToolError: The program is missing, failed, was killed or took too long.
    """
    argv = [find_tool(tool), *map(str, args)]
    log.debug("run %s", shlex.join(argv))
    with tempfile.TemporaryFile() as out_spool:
        out: IO[bytes] = stdout_file.open("wb") if stdout_file else out_spool
        streams = (subprocess.PIPE if stdin else subprocess.DEVNULL, out, subprocess.PIPE)
        with out, _started(argv, streams, cwd, environment(env)) as process:
            stderr = _wait(process, argv, stdin, timeout)
            if stdout_file is None:
                out.seek(0)
                return Completed(stdout=out.read(), stderr=stderr)
            return Completed(stdout=b"", stderr=stderr)


def _wait(
    process: subprocess.Popen[bytes], argv: Sequence[str], stdin: bytes, timeout: float
) -> bytes:
    """Feed a program until its end, and return what it said on standard error."""
    try:
        _, stderr = process.communicate(stdin or None, timeout=timeout)
    except subprocess.TimeoutExpired:
        raise ToolError(
            f"{shlex.join(argv)} did not finish within {timeout:g} seconds and was stopped"
        ) from None
    if process.returncode:
        raise ToolError(_failure(argv, process.returncode, stderr))
    return stderr


@contextmanager
def background(
    tool: str, args: Sequence[str | Path], *, output: Path, cwd: Path | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program for as long as the context lasts, then stop it and its children.

    Args:
        tool: Program name.
        args: Arguments, passed as they are.
        output: File that receives standard output and standard error.
        cwd: Directory to run in.

    Raises:
        ToolError: The program is not installed.
    """
    argv = [find_tool(tool), *map(str, args)]
    log.debug("start %s", shlex.join(argv))
    with output.open("wb") as sink:
        streams = (subprocess.DEVNULL, sink, subprocess.STDOUT)
        with _started(argv, streams, cwd, environment()) as process:
            yield process


def interactive(tool: str, args: Sequence[str | Path]) -> int:
    """Run a program on the user's own terminal and return its exit code."""
    argv = [find_tool(tool), *map(str, args)]
    log.debug("run %s", shlex.join(argv))
    return subprocess.run(argv, env=environment(), check=False).returncode


@contextmanager
def _started(
    argv: Sequence[str],
    streams: tuple[int, IO[bytes], int],
    cwd: Path | None,
    env: Mapping[str, str],
) -> Iterator[subprocess.Popen[bytes]]:
    """Start a program, and stop it and its children at the end of the context."""
    stdin, stdout, stderr = streams
    process = None
    try:
        with _signals_held():
            process = subprocess.Popen(
                argv,
                cwd=cwd,
                env=env,
                stdin=stdin,
                stdout=stdout,
                stderr=stderr,
                start_new_session=True,
            )
        yield process
    finally:
        if process is not None:
            with process:
                _kill_group(process)


@contextmanager
def _signals_held() -> Iterator[None]:
    """Let Ctrl-C and SIGTERM wait, where they become an exception.

    It would be raised as soon as a program runs, when nobody knows yet which one to stop.
    """
    # Python handles signals in the main thread, and nowhere else.
    main = threading.current_thread() is threading.main_thread()
    handlers = {each: signal.getsignal(each) for each in _ENDING} if main else {}
    held = [each for each, handler in handlers.items() if callable(handler)]
    arrived: list[int] = []
    try:
        for each in held:
            signal.signal(each, lambda number, _: arrived.append(number))
        yield
    finally:
        for each in held:
            signal.signal(each, handlers[each])
        for number in arrived:
            signal.raise_signal(number)


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    for sig, grace in ((signal.SIGTERM, 3.0), (signal.SIGKILL, None)):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, sig)
        try:
            process.wait(grace)
        except subprocess.TimeoutExpired:
            continue
        return


def _failure(argv: Sequence[str], code: int, stderr: bytes) -> str:
    how = (
        f"was killed by {signal.Signals(-code).name}"
        if code < 0
        else f"ended with exit code {code}"
    )
    lines = stderr.decode(errors="replace").strip().splitlines()
    if len(lines) > _STDERR_LINES:
        # Some programs say first what is wrong, and then how they are used.
        half = _STDERR_LINES // 2
        left_out = f"... ({len(lines) - 2 * half} lines left out)"
        lines = [*lines[:half], left_out, *lines[-half:]]
    said = "\n".join(lines)
    return f"{shlex.join(argv)} {how}" + (f":\n{said}" if said else "")
