# SPDX-License-Identifier: MIT
"""An image of a product's own layer: built by bitbake, started in QEMU, its services looked at.

OE-Core's do_rootfs makes root file system and initramfs of packages, with OE-Core's busybox.
Compiler, kernel and the programs in the other packages are Debian's (meta-debroot, and README.md
next to this file).
"""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import time
from typing import TYPE_CHECKING, Final

import pytest
from tests.layer.conftest import PACKAGES

from bootseal import device as devices
from bootseal.boot.attacks import release
from bootseal.boot.catalogue.steps import came_up
from bootseal.boot.scenario.model import Action, Do, Outcome, Scenario
from bootseal.boot.scenario.runner import Runner
from bootseal.errors import VerificationRefused

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.layer.conftest import Build

    from bootseal.boot.scenario.model import ScenarioResult
    from bootseal.boot.scenario.workspace import Workspace

pytestmark = [pytest.mark.bitbake, pytest.mark.timeout(7200)]

PLACES: Final = (
    "/etc/machine-id",
    "/var/lib/dropbear",
    "/var/lib/product",
    "/var/log/journal",
)
SERVICES: Final = (
    "dbus.service product.service dropbear.socket systemd-networkd.service "
    "systemd-timesyncd.service"
)
BUS: Final = "com.example.Product /com/example/Product com.example.Product Key"
HOST_KEY: Final = "/var/lib/dropbear/dropbear_rsa_host_key"
# What the application says of its secret on D-Bus, and the public half of the ssh server's key.
SHOW: Final = (
    "systemctl start dropbearkey.service; "
    f"echo services: $(systemctl is-active {SERVICES} | sort -u); "
    # The boots that the journal has, and whether this one is in it from its beginning.
    "echo journal: $(journalctl --list-boots -q | wc -l) "
    "$(journalctl -b -k -q -o cat | grep -c '^Linux version'); "
    "echo product: $(cat /etc/machine-id) "
    f"$(busctl get-property {BUS} | tr -dc 0-9a-f); "
    f"echo host: $(dropbearkey -y -f {HOST_KEY} | grep ^ssh-rsa | cut -d ' ' -f 2 | sha256sum); "
)
# A line of the serial log has its time in front.
SEEN: Final = re.compile(r"^ *[0-9.]+ (services|journal|product|host): (.*?)\r?$", re.MULTILINE)


def make_login(key: Path) -> None:
    """Make a key to log in with, and its public half next to it."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", key], check=True)


@pytest.fixture
def login(debroot: Build) -> Path:
    """The private key of who may log in, the same one for every run: its twin is in a package."""
    key = debroot.directory.parent / "login"
    if not key.exists():
        make_login(key)
    return key


@pytest.fixture
def local(packages: str, login: Path) -> str:
    """The local.conf of the product, whose image has a shell on its console."""
    return (
        f"{packages}"
        f'BOOTSEAL_STATE = "{" ".join(PLACES)}"\n'
        f'PRODUCT_LOGIN = "{login.with_suffix(".pub").read_text().strip()}"\n'
        'IMAGE_INSTALL:append:pn-product-image = " bootseal-device-development"\n'
    )


def test_state_from_which_code_could_be_started_is_refused_before_anything_is_built(
    debroot: Build, local: str
) -> None:
    debroot.configure(local.replace("/var/lib/product", "/etc/pam.d"), layers=PACKAGES)
    done = debroot.bitbake("-n", "product-image")
    assert done.code != 0
    assert "bootseal: BOOTSEAL_STATE names '/etc/pam.d': what is there could decide" in done.text


def test_root_of_the_product_starts_its_services_and_mounts_its_state(
    debroot: Build, local: str
) -> None:
    debroot.configure(local, layers=PACKAGES)
    done = debroot.bitbake("product-image:do_rootfs")
    assert done.code == 0, done.text
    assert done.complaints == []
    root = next(debroot.directory.glob("tmp/work/*/product-image/*/rootfs"))
    enabled = root / "etc/systemd/system"
    for name in (
        "multi-user.target.wants/product.service",
        "multi-user.target.wants/systemd-networkd.service",
        "sockets.target.wants/dropbear.socket",
        "sysinit.target.wants/bootseal-state.service",
        "sysinit.target.wants/systemd-timesyncd.service",
    ):
        assert (enabled / name).is_symlink(), name
    wants = root / "usr/lib/systemd/system/local-fs.target.wants"
    mounts = {path.name for path in wants.glob("var-*.mount")}
    assert mounts == {"var-lib-dropbear.mount", "var-lib-product.mount", "var-log-journal.mount"}


def shown(workspace: Workspace) -> list[dict[str, str]]:
    """Return what was printed in each boot so far."""
    found: list[dict[str, str]] = []
    for log in sorted(workspace.work.glob("step-*.log")):
        for name, said in SEEN.findall(log.read_text(errors="replace")):
            if name == "services":
                found.append({})
            found[-1][name] = said
    return found


def same(boots: int) -> Callable[[Workspace], None]:
    """Return a check that all boots so far, of that number, had services and the same state."""

    def check(workspace: Workspace) -> None:
        found = shown(workspace)
        if [boot.get("services") for boot in found] != boots * ["active"]:
            raise VerificationRefused(f"not all services ran in {boots} boots: {found}")
        recorded = [int(boot["journal"].split()[0]) for boot in found]
        if recorded != list(range(recorded[0], recorded[0] + boots)):
            raise VerificationRefused(f"the journal did not stay, or has not every boot: {found}")
        if any(boot["journal"].split()[1] != "1" for boot in found):
            raise VerificationRefused(f"the journal lacks the beginning of a boot: {found}")
        if len({(boot["product"], boot["host"]) for boot in found}) != 1:
            raise VerificationRefused(f"state did not stay: {found}")

    return check


def typed(then: str) -> Action:
    return Action(do=Do.TYPE, when="shell", text=f"{SHOW}{then}\r")


def forwarded(workspace: Workspace) -> None:
    """Lead a port of this computer's loopback to the device's ssh server."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    workspace.kept["port"] = port
    workspace.add_qemu("-netdev", f"user,id=net,restrict=on,hostfwd=tcp:127.0.0.1:{port}-:22")
    workspace.add_qemu("-device", "virtio-net-device,netdev=net")


def ssh(
    workspace: Workspace, user: str, key: Path, command: str
) -> subprocess.CompletedProcess[str]:
    """Run a command on the device; its host key is believed once, and must be the same later."""
    options = {
        "BatchMode": "yes",
        "ConnectTimeout": "60",
        "IdentitiesOnly": "yes",
        "PubkeyAcceptedAlgorithms": "ssh-ed25519",
        "StrictHostKeyChecking": "accept-new",
        "UserKnownHostsFile": str(workspace.work / "known_hosts"),
    }
    words = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
    words += ["-i", str(key), "-p", str(workspace.kept["port"]), f"{user}@127.0.0.1", command]
    return subprocess.run(
        ["ssh", "-F", "none", *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=180,
    )


def logs_in(key: Path, stranger: Path) -> Callable[[Workspace], None]:
    """Return what logs in with the key, as the technician only, and with no other key."""

    def call(workspace: Workspace) -> None:
        deadline = time.monotonic() + 600
        while (done := ssh(workspace, "technician", key, "id -un")).returncode:
            # Until the network is up. A host key that is not the first one is refused by ssh.
            wrong = re.search("Permission denied|IDENTIFICATION HAS CHANGED", done.stderr)
            if wrong or time.monotonic() > deadline:
                raise VerificationRefused(f"no login: {done.stderr}")
            time.sleep(2)
        if done.stdout != "technician\n":
            raise VerificationRefused(f"logged in as {done.stdout!r}")
        for user, other in (("technician", stranger), ("root", key)):
            refused = ssh(workspace, user, other, "id -un")
            if refused.returncode == 0 or "Permission denied (publickey" not in refused.stderr:
                raise VerificationRefused(f"{user} was not refused: {refused.stderr}")
        ssh(workspace, "technician", key, "touch /tmp/asked")

    return call


RESTART = "reboot; read wait"
STAY = "systemctl restart bootseal-status.service"
ASKED = "while [ ! -e /tmp/asked ]; do sleep 1; done; sleep 5; "


def product(call: Callable[[Workspace], None]) -> Scenario:
    """Return the product's scenario, with what logs in at its first and its last start."""
    once = Action(do=Do.TYPE, when="shell", text=f"{SHOW}{ASKED}{RESTART}\r", call=call)
    again = Action(do=Do.TYPE, when="shell", text=f"{SHOW}{ASKED}{STAY}\r", call=call)
    return Scenario(
        id="product",
        title="An image of a product's own layer",
        group="product",
        prepare=forwarded,
        steps=(
            came_up(
                *("root-verified:a", "state-kept", "product-state"),
                *("root-verified:a", "state-kept", "product-state"),
                state="kept",
                actions=(once, typed(STAY)),
                check=same(2),
            ),
            came_up(
                *("root-verified:b", "state-kept", "product-state"),
                slot="b",
                state="kept",
                prepare=release.update(),
                actions=(again,),
                check=same(3),
            ),
        ),
    )


class Quiet:
    """Nobody is told how it proceeds."""

    def started(self, scenario: Scenario) -> None:
        """Do nothing."""

    def finished(self, result: ScenarioResult) -> None:
        """Do nothing."""


def test_product_starts_with_its_services_keeps_its_state_and_lets_its_technician_log_in(
    debroot: Build, local: str, keys: Path, login: Path, tmp_path: Path
) -> None:
    debroot.configure(local, layers=PACKAGES)
    done = debroot.bitbake("product-image")
    assert done.code == 0, done.text
    directory = tmp_path / "device"
    shutil.copytree(debroot.deployed / "product-image", directory)
    stranger = tmp_path / "stranger"
    make_login(stranger)
    runner = Runner(devices.load(directory), directory, Quiet(), keys=keys, patience=3)
    result = runner.run((product(logs_in(login, stranger)),), jobs=1)
    assert [(each.id, each.verdict, each.reason) for each in result.results] == [
        ("first-boot", Outcome.PASSED, ""),
        ("product", Outcome.PASSED, ""),
    ]
