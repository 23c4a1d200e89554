# SPDX-License-Identifier: MIT
"""The boot commands on the tiny device: what they print, and the exit code they end in."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.boot


_COMMAND = [sys.executable, "-c", "from bootseal.cli.app import main; main()", "boot"]


def bootseal(*args: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*_COMMAND, *map(str, args)],
        env={**os.environ, "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )


def look(pattern: str, pid: int) -> list[str]:
    """Read files of a process, none of them if it has ended meanwhile."""
    try:
        return [path.read_text() for path in Path(f"/proc/{pid}").glob(pattern)]
    except (FileNotFoundError, ProcessLookupError):
        return []


def descendants(pid: int) -> set[int]:
    found = {pid}
    for text in look("task/*/children", pid):
        for child in text.split():
            found |= descendants(int(child))
    return found


def children(pid: int) -> set[str]:
    """Return the names of all descendants, each cut to 15 bytes by the kernel."""
    return {name.strip() for child in descendants(pid) for name in look("comm", child)}


def test_run_refused_device_exits_3_with_the_reason(tiny_device: Path) -> None:
    done = bootseal("run", tiny_device)
    assert done.returncode == 3
    assert "ended powered-off: expected up" in done.stderr
    assert "boot-001.log" in done.stdout


def test_run_silent_device_exits_6(hanging_device: Path) -> None:
    assert bootseal("run", hanging_device, "--timeout", "0").returncode == 6


def test_terminated_run_leaves_neither_qemu_nor_swtpm_behind(hanging_device: Path) -> None:
    with subprocess.Popen([*_COMMAND, "run", hanging_device], stderr=subprocess.DEVNULL) as run:
        deadline = time.monotonic() + 60
        while not {"qemu-system-aar", "swtpm"} <= children(run.pid):
            assert time.monotonic() < deadline, "the machine did not start"
            time.sleep(0.05)
        started = {pid for pid in descendants(run.pid) if pid != run.pid}
        run.terminate()
        assert run.wait(30) == 130
    deadline = time.monotonic() + 10
    while left := {pid for pid in started if Path(f"/proc/{pid}").exists()}:
        assert time.monotonic() < deadline, [look("comm", pid) for pid in left]
        time.sleep(0.05)


def test_run_json_is_one_document(tiny_device: Path) -> None:
    done = bootseal("run", tiny_device, "--json")
    document = json.loads(done.stdout)
    assert (document["schema"], document["ending"]) == ("bootseal.boot-run/2", "powered-off")


def test_run_shell_without_a_terminal_is_a_usage_error(tiny_device: Path) -> None:
    assert bootseal("run", tiny_device, "--shell").returncode == 2


def test_run_certify_without_a_shell_exits_2(tiny_device: Path) -> None:
    done = bootseal("run", tiny_device, "--certify")
    assert done.returncode == 2
    assert "--certify needs a development image" in done.stderr


def test_run_keys_without_certify_exits_2(tiny_device: Path) -> None:
    done = bootseal("run", tiny_device, "--keys", tiny_device)
    assert done.returncode == 2
    assert "--keys needs --certify" in done.stderr


def test_run_directory_without_a_device_is_a_usage_error(tmp_path: Path) -> None:
    assert bootseal("run", tmp_path).returncode == 2


def test_matrix_unknown_scenario_is_a_usage_error(tiny_device: Path) -> None:
    done = bootseal("matrix", tiny_device, "--scenario", "no-such-thing")
    assert done.returncode == 2
    assert "--list" in done.stderr


def test_matrix_failed_first_boot_exits_3_and_writes_reports(
    tiny_device: Path, tmp_path: Path
) -> None:
    names = {kind: tmp_path / f"matrix.{kind}" for kind in ("json", "junit", "html")}
    options = [text for kind, path in names.items() for text in (f"--{kind}", str(path))]
    done = bootseal("matrix", tiny_device, "--scenario", "first-boot", *options)
    assert done.returncode == 3
    document = json.loads(names["json"].read_text())
    assert [r["verdict"] for r in document["results"]] == ["failed"]
    assert all(path.stat().st_size for path in names.values())


def test_matrix_list_names_every_scenario_and_its_end(tiny_device: Path) -> None:
    done = bootseal("matrix", tiny_device, "--list")
    assert done.returncode == 0
    assert "first-boot" in done.stdout
