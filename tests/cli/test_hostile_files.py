# SPDX-License-Identifier: MIT
"""Every verb that reads a file, given hostile ones: it says so within bounds.

The verbs and their parameters are those of the command line itself. A parameter that names a file
or a directory must be in one of the tables below, so that a new one is tried too.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import pytest
from tests.cli import hostile_world
from typer.main import get_command

from bootseal.cli.app import app

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_CODES: Final = frozenset({0, 2, 3, 4, 5, 6})
_MEMORY: Final = 300 * 1024
_SECONDS: Final = 15.0
_LEAST: Final = 600
_CONTROLS: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]")

pytestmark = pytest.mark.slow

# Parameters that name what is written.
WRITES: Final = frozenset(
    {
        "output",
        "dtb_output",
        "sarif",
        "junit",
        "html",
        "svg",
        "json_",
        "export_requests",
    }
)
# A good value of each parameter that names what is read, by "verb parameter" or "parameter".
READS: Final = {
    "u_boot": "u-boot",
    "evidence make source": "empty",
    "evidence make kas": "kas",
    "evidence verify directory": "evidenced",
    "evidence show directory": "evidenced",
    "evidence verify key": "evidenced.pub",
    "report directory": "evidenced",
    "report before": "evidenced",
    "report key": "evidenced.pub",
    "keys generate directory": "empty/new",
    "keys generate profile": "text",
    "keys show file": "key",
    "keys impact key": "key.crt",
    "keys directory": "keys",
    "keys": "keys",
    "tree": "keys",
    "pin_file": "text",
    "module": "text",
    "key": "key",
    "token": "key",
    "kernel": "kernel",
    "fdt": "a=board",
    "ramdisk": "text",
    "fit": "fit",
    "fip": "fip",
    "firmware build image": "tb-fw=u-boot",
    "firmware sign directory": "keys",
    "firmware sign key": "mrk=key",
    "firmware sign public_key": "mrk=key.pub",
    "mrk": "key.pub",
    "other": "other",
    "dtb": "control",
    "source": "fit",
    "keep": "document",
    "approved": "approved",
    "measure log file": "log",
    "against": "approved",
    "pcrs": "text",
    "identity": "document",
    "answer": "document",
    "proof": "document",
    "store": "store",
    "identity register plan": "document",
    "identity greengrass files": "document",
    "job push plan": "document",
    "job make file": "raucb",
    "authority": "key.crt",
    "image": "disk",
    "first": "disk",
    "second": "disk",
    "layout": "layout",
    "disk sign policy_key": "key",
    "disk sign firmware_key": "mrk=key",
    "disk sign firmware_public_key": "mrk=key.pub",
    "policy_key": "key.pub",
    "public_key": "key.pub",
    "policy_public_key": "key.pub",
    "allow": "text",
    "bundle": "raucb",
    "certificate": "key.crt",
    "app build source": "tree",
    "app sign image": "app",
    "app check image": "app",
    "app show image": "app",
    "app build certificate": "app.crt",
    "app sign certificate": "app.crt",
    "app check certificate": "app.crt",
    "modules sign modules": "module.ko",
    "modules check modules": "signed.ko",
    "modules sign certificate": "app.crt",
    "modules check certificate": "app.crt",
    "update bundle device": "device",
    "update check device": "device",
    "update check decrypt_key": "key",
    "update check decrypt_certificate": "key.crt",
    "update encrypt recipient": "key.crt",
    "import_signatures": "requests",
    "requests": "requests",
    "reference build directory": "text",
    "layer": "empty",
    "finished": "text",
    "required": "text",
    "board": "text",
    "device trees board": "board",
    "bootargs": "text",
    "manifest": "text",
    "sources": "empty",
    "boot_loader": "a=u-boot",
    "directory": "device",
}
# Values of other parameters that a command needs to come to its files.
NEEDS: Final = {
    "keys generate": {"only": "policy"},
    "keys revoke": {"key": "a"},
    "keys export": {"output": "new"},
    "fit build": {"hint": "key-1", "output": "new", "arch": "arm64"},
    "fit sign": {"hint": "key-1", "output": "new", "dtb_output": "newer"},
    "fit extract": {"image": "kernel-1", "output": "new"},
    "firmware build": {"output": "new"},
    "firmware sign": {"key": "mrk=key", "output": "new"},
    "firmware verify": {"mrk": "key.pub"},
    "measure sign": {"output": "new", "keep": "document"},
    "measure approve": {"name": "1.0"},
    "measure revoke": {"names": "1.0"},
    "measure export": {"form": "comid-json"},
    "attest enrol": {"name": "a"},
    "attest certify": {"name": "a"},
    "attest challenge": {"name": "a"},
    "identity challenge": {"name": "a"},
    "identity issue": {"name": "a", "key": "key"},
    "identity crl": {"key": "key"},
    "identity revoke": {"name": "a"},
    "identity export": {
        "name": "a",
        "account": "123456789012",
        "region": "eu-central-1",
        "role_alias": "gateway",
        "role": "arn:aws:iam::123456789012:role/gateway",
    },
    "report": {"output": "new", "key": "evidenced.pub"},
    "evidence make": {"release": "1", "builder": "https://ci.example.com", "kas": "kas"},
    "disk check": {"dtb": "control", "layout": "layout"},
    "disk show": {"dtb": "control", "layout": "layout"},
    "disk prove": {"dtb": "control", "layout": "layout"},
    "disk sign": {
        "dtb": "control",
        "layout": "layout",
        "key": "key",
        "hint": "key-1",
        "output": "new",
    },
    "device describe": {"name": "a"},
    "job make": {
        "job": "a",
        "url": "https://updates.example.com/2.raucb",
        "target": "thing/a",
        "account": "123456789012",
        "region": "eu-central-1",
    },
    "job status": {"job": "a"},
    "update bundle": {"version": "1", "output": "new", "keys": "keys"},
    "update encrypt": {
        "certificate": "key.crt",
        "authority": "key.crt",
        "key": "key",
        "output": "new",
    },
    "update sign": {"certificate": "key.crt", "authority": "key.crt", "key": "key"},
    "app build": {
        "name": "a",
        "version": "1",
        "entry": "/usr/bin/a",
        "output": "new",
        "certificate": "app.crt",
        "key": "key",
    },
    "app sign": {"certificate": "app.crt", "key": "key"},
    "app check": {"certificate": "app.crt"},
    "modules sign": {"certificate": "app.crt", "key": "key"},
    "modules check": {"certificate": "app.crt"},
    "update check": {"authority": "key.crt", "lowest": "0"},
}
# What is given up when something else names the keys.
INSTEAD: Final = {"keys": "key", "public_key": "key"}
# Files in a directory that a command reads by their own names.
MEMBERS: Final = {
    "keys": ("keys.json", "a.key", "a.crt"),
    "device": ("device.json", "fit.itb", "firmware.bin", "disk.img", "root.erofs", "verity.json"),
    "requests": ("requests.json",),
    "store": ("devices", "challenges"),
    "tree": ("usr/bin/a", "usr/lib/os-release", "etc/machine-id"),
    "evidenced": (
        "device.json",
        "fit.itb",
        "evidence/disk.intoto.json",
        "evidence/release.intoto.json",
        "approved.json",
        "reports/matrix.json",
        "more.spdx.json",
    ),
}
# Nothing is booted, built or fetched here: only the description is tried of what would be.
STARTS: Final = frozenset({"boot run", "boot matrix", "reference build"})
# Read once a device runs: by attacks, and to certify it.
LATE: Final = frozenset({"boot matrix keys", "boot run keys"})
BUILDS: Final = frozenset({("reference build", "directory")})


class Parameter(NamedTuple):
    """A parameter of a verb."""

    name: str
    option: str
    required: bool
    names_a_file: bool


class Line(NamedTuple):
    """A command line; the hostile file of each kind goes to `place`."""

    verb: str
    place: str
    arguments: tuple[str, ...]


def verbs() -> dict[str, list[Parameter]]:
    found: dict[str, list[Parameter]] = {}

    def walk(command: object, path: tuple[str, ...]) -> None:
        if names := getattr(command, "list_commands", None):
            for name in names(None):
                walk(command.get_command(None, name), (*path, name))  # type: ignore[attr-defined]
            return
        found[" ".join(path)] = [
            Parameter(
                name=each.name,
                option=each.opts[0] if each.param_type_name == "option" else "",
                required=each.required,
                names_a_file="Path" in type(each.type).__name__,
            )
            for each in command.params  # type: ignore[attr-defined]
            if each.name != "help"
        ]

    walk(get_command(app), ())
    return found


def value(verb: str, name: str) -> str | None:
    room = verb.split(maxsplit=1)[0]
    keys = (f"{verb} {name}", f"{room} {name}", name)
    needed = NEEDS.get(verb, {})
    return needed.get(name) or next((READS[key] for key in keys if key in READS), None)


def line(verb: str, parameters: list[Parameter], changed: str, to: str) -> tuple[str, ...]:
    """Return a command line with what is required and needed, and one value of its own."""
    options: list[str] = []
    positional: list[str] = []
    left_out = INSTEAD.get(changed) if verb == "disk sign" else None
    for each in parameters:
        wanted = each.required or each.name in NEEDS.get(verb, {}) or each.name == changed
        if not wanted or each.name == left_out:
            continue
        given = to if each.name == changed else value(verb, each.name)
        assert given is not None, f"say in NEEDS what {verb} gets as {each.name}"
        if each.option:
            options += [each.option, given]
        else:
            positional.append(given)
    return (*verb.split(), *options, "--", *positional)


def lines() -> Iterator[Line]:
    for verb, parameters in verbs().items():
        for each in parameters:
            good = value(verb, each.name)
            named = f"{verb} {each.name}" in READS or each.name in READS
            tried = each.name not in WRITES and f"{verb} {each.name}" not in LATE
            if not tried or not (each.names_a_file or named):
                continue
            assert good is not None, f"say in READS or WRITES what {verb} {each.name} is"
            prefix = good[: good.find("=") + 1]
            yield Line(verb, "hostile", line(verb, parameters, each.name, f"{prefix}hostile"))
            for member in MEMBERS.get(good, ()) if verb not in STARTS else ("device.json",):
                if good in MEMBERS:
                    whole = line(verb, parameters, each.name, good)
                    yield Line(verb, f"{good}/{member}", whole)


LINES: Final = list(lines())
VERBS: Final = frozenset(each.verb for each in LINES)


class Answer(NamedTuple):
    """What a command came to; memory in KiB."""

    code: int
    memory: int
    seconds: float
    said: str


class Runner:
    """Talks to the process that runs commands."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        hostile_world.make(directory / "world")
        self.kinds = hostile_world.hostile(directory / "world")
        self._process = subprocess.Popen(
            [sys.executable, Path(__file__).with_name("hostile_runner.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, each: Line, kind: str) -> Answer:
        scratch = self._directory / "scratch"
        shutil.copytree(self._directory / "world", scratch)
        try:
            place = scratch / each.place
            if place.exists():
                place.unlink()
            self.kinds[kind](place)
            assert self._process.stdin
            assert self._process.stdout
            self._process.stdin.write(json.dumps([str(scratch), *each.arguments]) + "\n")
            self._process.stdin.flush()
            return Answer(**json.loads(self._process.stdout.readline()))
        finally:
            shutil.rmtree(scratch)

    def close(self) -> None:
        self._process.stdin.close()  # type: ignore[union-attr]
        self._process.wait()
        self._process.stdout.close()  # type: ignore[union-attr]


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runner]:
    found = Runner(tmp_path_factory.mktemp("hostile"))
    yield found
    found.close()


def chosen(verb: str, kinds: Iterable[str]) -> list[tuple[Line, str]]:
    """Return what is tried of a verb: every kind once, and at each place as many as come to it."""
    places = [each for each in LINES if each.verb == verb]
    first = sorted(VERBS).index(verb)
    return [
        (places[(number + first) % len(places)], kind)
        for number, kind in enumerate(kinds)
        if (verb, kind) not in BUILDS
    ]


def test_there_are_enough_lines(runner: Runner) -> None:
    assert len(runner.kinds) >= 17
    assert sum(len(chosen(verb, runner.kinds)) for verb in VERBS) >= _LEAST


@pytest.mark.parametrize("verb", sorted(VERBS))
def test_hostile_files_end_in_a_documented_exit_code(runner: Runner, verb: str) -> None:
    wrong = []
    for each, kind in chosen(verb, runner.kinds):
        done = runner.run(each, kind)
        if (
            done.code not in _CODES
            or "Traceback" in done.said
            or _CONTROLS.search(done.said)
            or done.memory > _MEMORY
            or done.seconds > _SECONDS
        ):
            wrong.append((kind, each.place, " ".join(each.arguments), *done))
    assert not wrong, "\n".join(map(str, wrong))
