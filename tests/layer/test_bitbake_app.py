# SPDX-License-Identifier: MIT
"""Applications that bitbake makes and signs run on a device that bitbake makes; twins do not.

Of Debian come compiler, C library, kernel and root file system, as in test_bitbake_build.py.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from typing import TYPE_CHECKING, Final

import pytest
from tests.layer.conftest import FRAGMENTS, KERNEL_AT_HAND, LAYERS

from bootseal import device as devices
from bootseal.boot.catalogue.bench import applications, images, station
from bootseal.boot.catalogue.bench.applications import Request
from bootseal.boot.catalogue.steps import came_up
from bootseal.boot.scenario.model import Action, Do, Outcome, Scenario, Step
from bootseal.boot.scenario.runner import Runner

if TYPE_CHECKING:
    from pathlib import Path

    from tests.layer.conftest import Bootseal, Build

    from bootseal.boot.scenario.model import ScenarioResult
    from bootseal.boot.scenario.workspace import Workspace

pytestmark = [pytest.mark.bitbake, pytest.mark.timeout(7200)]

RECIPE: Final = "bootseal-hello"
IMAGE_RECIPE: Final = "product-app"
OF_RECIPE, OF_IMAGE = "1.2.0", "1.3.0"
APPLICATIONS: Final = f"""\
{KERNEL_AT_HAND}\
OE_FRAGMENTS += "{FRAGMENTS}/apps"
BOOTSEAL_APPS = "hello"
BOOTSEAL_APP_MINIMUM[hello] = "1.1.0"
BOOTSEAL_APP_HEALTH[hello] = "5"
BOOTSEAL_APP_LIMITS[hello] = "MemoryMax=32M TasksMax=16"
DEBHOST_RECIPES:append:pn-bootseal-image = " bootseal-app"
DEBHOST_PACKAGES:append:pn-bootseal-image = " bootseal-app bootseal-device-development"
"""


@pytest.fixture
def local(settings: str) -> str:
    """The local.conf of a device that may run the example, and has a shell on its console."""
    return settings + APPLICATIONS


def made(build: Build, local: str, recipe: str, version: str, target: Path) -> str:
    """Have bitbake make an application and keep the image; return what bitbake said."""
    build.configure(local, layers=LAYERS)
    done = build.bitbake(recipe)
    assert done.code == 0, done.text
    assert done.complaints == []
    shutil.copy(build.deployed / f"hello_{version}_arm64.raw", target)
    return done.text


def foreign(debhost: Build, keys: Path, bootseal: Bootseal) -> Path:
    """Return keys of another maker, the same ones for every test and run."""
    directory = keys.with_name("keys-of-another-maker")
    if not directory.exists():
        done = bootseal("keys", "generate", "--profile", "dev", directory)
        assert done.returncode == 0, done.stderr
        debhost.own(directory, *directory.iterdir())
    return directory


def check(bootseal: Bootseal, image: Path, keys: Path) -> subprocess.CompletedProcess[str]:
    return bootseal("app", "check", image, "--keys", keys, "--name", "hello")


def flipped(image: Path, target: Path, *, middle: bool) -> None:
    """Write an image with a bit flipped in the first block of its root, or in the middle of it."""
    read = subprocess.run(["sfdisk", "--json", image], capture_output=True, text=True, check=True)
    root = json.loads(read.stdout)["partitiontable"]["partitions"][0]
    assert root["name"] == "root-arm64"
    data = bytearray(image.read_bytes())
    data[root["start"] * 512 + (root["size"] * 512 // 2 if middle else 1024)] ^= 1
    target.write_bytes(data)


@pytest.mark.parametrize(
    ("recipe", "version"), [(RECIPE, OF_RECIPE), (IMAGE_RECIPE, OF_IMAGE)], ids=["recipe", "image"]
)
def test_application_is_signed_and_its_twins_are_refused(
    debhost: Build,
    local: str,
    keys: Path,
    bootseal: Bootseal,
    tmp_path: Path,
    recipe: str,
    version: str,
) -> None:
    good, changed, others = (tmp_path / f"{name}.raw" for name in ("good", "changed", "others"))
    other_keys = foreign(debhost, keys, bootseal)
    # With other keys first: what they signed must not be taken for what the maker's keys sign.
    made(debhost, local.replace(f'"{keys}"', f'"{other_keys}"'), recipe, version, others)
    made(debhost, local, recipe, version, good)
    accepted = check(bootseal, good, keys)
    assert accepted.returncode == 0, accepted.stderr
    assert check(bootseal, others, other_keys).returncode == 0
    refused = check(bootseal, others, keys)
    assert refused.returncode == 3
    assert "app.certificate" in refused.stdout + refused.stderr
    flipped(good, changed, middle=True)
    refused = check(bootseal, changed, keys)
    assert refused.returncode == 3
    assert "app.block" in refused.stdout + refused.stderr


def test_application_is_taken_from_the_shared_state(
    debhost: Build, local: str, tmp_path: Path
) -> None:
    first, again = tmp_path / "first.raw", tmp_path / "again.raw"
    made(debhost, local, RECIPE, OF_RECIPE, first)
    cleaned = debhost.bitbake("-c", "clean", RECIPE)
    assert cleaned.code == 0, cleaned.text
    assert not (debhost.deployed / f"hello_{OF_RECIPE}_arm64.raw").exists()
    said = made(debhost, local, RECIPE, OF_RECIPE, again)
    assert "do_bootseal_app_setscene: Started" in said
    assert "do_compile: Started" not in said
    assert again.read_bytes() == first.read_bytes()


def test_application_that_was_not_requested_is_skipped_and_says_why(
    debhost: Build, settings: str
) -> None:
    debhost.configure(settings, layers=LAYERS)
    done = debhost.bitbake("-n", RECIPE)
    assert done.code != 0
    assert "apps was not requested: fragment bootseal/bootseal/apps" in done.text


def test_application_without_its_program_ends_the_build(debhost: Build, local: str) -> None:
    entry = f'BOOTSEAL_APP_ENTRY:pn-{RECIPE} = "/usr/bin/other"\n'
    debhost.configure(local + entry, layers=LAYERS)
    done = debhost.bitbake(RECIPE)
    assert done.code != 0
    assert "/usr/bin/other" in done.text
    assert "do_bootseal_app: Failed" in done.text or "do_bootseal_app) failed" in done.text


_IMAGES: Final = "/tmp/images"  # noqa: S108 - on the device
_UNIT: Final = "bootseal-app@hello.service"
_PLACE: Final = "/data/apps/hello.raw.v"
_GREETED: Final = (
    "import socket; s = socket.socket(socket.AF_UNIX); s.settimeout(60); "
    "s.connect('/data/app-state/hello/socket'); print(s.recv(99).decode(), end='')"
)


def _verify(file: str, said: str, *, accepted: bool = False) -> Request:
    command = f"bootseal-app verify hello {_IMAGES}/{file}.raw"
    return Request(command=command, accepted=accepted, said=(said,))


def _install(file: str, version: str) -> Request:
    command = (
        f"mkdir -p -m 0700 /data/apps {_PLACE} && "
        f"cp {_IMAGES}/{file}.raw {_PLACE}/hello_{version}_arm64.raw && sync"
    )
    return Request(command=command, accepted=True)


def _start(said: str, *, accepted: bool = False) -> Request:
    command = (
        f"systemctl reset-failed {_UNIT}; systemctl restart {_UNIT}; r=$?; "
        "bootseal-app status; exit $r"
    )
    return Request(command=command, accepted=accepted, said=(f"^hello {said}",))


def _running(version: str, starts: int) -> tuple[Request, Request]:
    """See which version runs, and that it answers at its socket."""
    runs = rf"^hello {version} [0-9a-f]{{64}} running$"
    greeted = f'for i in $(seq 60); do python3 -c "{_GREETED}" && break; sleep 1; done'
    return (
        Request(command="bootseal-app status", accepted=True, said=(runs,)),
        Request(command=greeted, accepted=True, said=(rf"^hello, start {starts}$",)),
    )


_FIRST: Final = (
    _verify("good", rf"^version={OF_RECIPE}\n", accepted=True),
    _verify("others", "no certificate in /etc/verity.d signed the image"),
    _verify("first", "the root of the image is not the one that was signed"),
    _verify("middle", "a block of the image is not the one that was signed"),
    # At the start as well, put there by root.
    _install("others", OF_RECIPE),
    _start("- - refused: no certificate in /etc/verity.d signed the image"),
    _install("first", OF_RECIPE),
    _start("- - refused: the root of the image is not the one that was signed"),
    _install("good", OF_RECIPE),
    _start(rf"{OF_RECIPE} [0-9a-f]{{64}} running$", accepted=True),
    *_running(OF_RECIPE, 1),
    Request(
        command=f"systemctl show -p MemoryMax -p TasksMax -p User {_UNIT}",
        accepted=True,
        said=("^MemoryMax=33554432$", "^TasksMax=16$", "^User=app-hello$"),
    ),
    # The one of the image recipe is newer.
    _install("newer", OF_IMAGE),
    _start(rf"{OF_IMAGE} [0-9a-f]{{64}} running$", accepted=True),
    *_running(OF_IMAGE, 2),
    # And without it the one before is the newest again.
    Request(command=f"rm {_PLACE}/hello_{OF_IMAGE}_arm64.raw", accepted=True),
    _start(rf"{OF_RECIPE} [0-9a-f]{{64}} running$", accepted=True),
)
_SECOND: Final = _running(OF_RECIPE, 4)


def _asked(title: str, *requests: Request, status: str) -> Step:
    call = applications.asking(*requests)
    action = Action(do=Do.TYPE, when="shell", text=applications.STAY, call=call)
    return came_up(
        "root-verified:a",
        "shell",
        applications=status,
        title=title,
        actions=(action,),
        timeout=1200.0,
    )


class Quiet:
    """Nobody is told how it proceeds."""

    def started(self, scenario: Scenario) -> None:
        """Do nothing."""

    def finished(self, result: ScenarioResult) -> None:
        """Do nothing."""


def test_application_of_bitbake_runs_on_the_device_of_bitbake(
    debhost: Build, local: str, keys: Path, bootseal: Bootseal, tmp_path: Path
) -> None:
    files = tmp_path / "files"
    files.mkdir()
    other_keys = foreign(debhost, keys, bootseal)
    foreign_local = local.replace(f'"{keys}"', f'"{other_keys}"')
    made(debhost, foreign_local, RECIPE, OF_RECIPE, files / "others.raw")
    made(debhost, local, RECIPE, OF_RECIPE, files / "good.raw")
    made(debhost, local, IMAGE_RECIPE, OF_IMAGE, files / "newer.raw")
    flipped(files / "good.raw", files / "first.raw", middle=False)
    flipped(files / "good.raw", files / "middle.raw", middle=True)
    done = debhost.bitbake("bootseal-image")
    assert done.code == 0, done.text
    directory = tmp_path / "device"
    shutil.copytree(debhost.deployed / "bootseal-image", directory)

    def plug(workspace: Workspace) -> None:
        station.plug(workspace)
        disk = workspace.work / "applications.img"
        options = ["-U", images.UUID, "--all-root", "-T", "0", "--quiet"]
        subprocess.run(["mkfs.erofs", *options, disk, files], check=True, capture_output=True)
        workspace.medium = disk

    runs = f"^hello {OF_RECIPE}: running$"
    scenario = Scenario(
        id="application",
        title="An application that bitbake made",
        group="application",
        prepare=plug,
        steps=(
            _asked("installed", *_FIRST, status=runs),
            _asked("by itself", *_SECOND, status=runs),
        ),
    )
    runner = Runner(devices.load(directory), directory, Quiet(), keys=keys, patience=3)
    result = runner.run((scenario,), jobs=1)
    assert [(each.id, each.verdict, each.reason) for each in result.results] == [
        ("first-boot", Outcome.PASSED, ""),
        ("application", Outcome.PASSED, ""),
    ]
