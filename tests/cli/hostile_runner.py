# SPDX-License-Identifier: MIT
"""Runs command lines, each in a process of its own that is a copy of this one.

Everything is imported once, so a command takes as long as what it does. Reads a JSON list from each
line of standard input, `[directory, argument...]`, and answers with a line of exit code, peak
memory in KiB, seconds of processor time and what was said.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import pkgutil
import resource
import signal
import sys
from pathlib import Path
from typing import NoReturn

import bootseal

_SECONDS = 10
"""Of processor time."""
_WAITING = 120
"""Seconds, for a command that waits for something."""


def load() -> None:
    """Import every module of the package whose own imports are installed."""
    for module in pkgutil.walk_packages(bootseal.__path__, "bootseal."):
        with contextlib.suppress(ImportError):
            importlib.import_module(module.name)
    gc.collect()
    gc.freeze()


def child(directory: Path, arguments: list[str]) -> NoReturn:
    """Become the command."""
    from bootseal.cli.app import main  # noqa: PLC0415 - of the parent

    os.chdir(directory)
    said = os.open(directory.parent / "said", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(said, 1)
    os.dup2(said, 2)
    resource.setrlimit(resource.RLIMIT_CPU, (_SECONDS, _SECONDS))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.alarm(_WAITING)
    sys.argv = ["bootseal", *arguments]
    code = 1
    try:
        main()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # noqa: BLE001 - what Python would print
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def run(directory: Path, arguments: list[str]) -> dict[str, object]:
    """Run one command to its end."""
    pid = os.fork()
    if not pid:
        child(directory, arguments)
    _, status, usage = os.wait4(pid, 0)
    return {
        "code": os.waitstatus_to_exitcode(status),
        "memory": usage.ru_maxrss,
        "seconds": usage.ru_utime + usage.ru_stime,
        "said": (directory.parent / "said").read_bytes().decode(errors="replace"),
    }


if __name__ == "__main__":
    load()
    for line in sys.stdin:
        where, *rest = json.loads(line)
        print(json.dumps(run(Path(where), rest)), flush=True)  # noqa: T201 - the answer
