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
from bootseal.boot.machine.events import Ending
from bootseal.boot.scenario.model import (
    Action,
    Do,
    Expectation,
    ExpectedStatus,
    Outcome,
    Scenario,
    Step,
)
from bootseal.boot.scenario.runner import Runner
from bootseal.boot.scenario.workspace import Tpm
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
# A line of the serial log has its time in front. What the shell echoes has another form.
SEEN: Final = re.compile(
    r"^ *[0-9.]+ (services|journal|product|host): ([a-z ]+|[0-9a-f]+(?: [0-9a-f]+| +-)?)\r?$",
    re.MULTILINE,
)
# busybox's shell takes no more from a line that is longer.
LONGEST: Final = 1023


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


def ran(workspace: Workspace, boots: int) -> list[dict[str, str]]:
    """Return what was printed in all boots so far, of that number; in each, all services ran.

    Raises:
        VerificationRefused: One did not, or a boot printed something else.
    """
    found = shown(workspace)
    if [boot.get("services") for boot in found] != boots * ["active"]:
        raise VerificationRefused(f"not all services ran in {boots} boots: {found}")
    if any(boot.keys() != {"services", "journal", "product", "host"} for boot in found):
        raise VerificationRefused(f"not all of it was printed: {found}")
    return found


def same(boots: int) -> Callable[[Workspace], None]:
    """Return a check that all boots so far, of that number, had services and the same state."""

    def check(workspace: Workspace) -> None:
        found = ran(workspace, boots)
        recorded = [int(boot["journal"].split()[0]) for boot in found]
        if recorded != list(range(recorded[0], recorded[0] + boots)):
            raise VerificationRefused(f"the journal did not stay, or has not every boot: {found}")
        if any(boot["journal"].split()[1] != "1" for boot in found):
            raise VerificationRefused(f"the journal lacks the beginning of a boot: {found}")
        if len({(boot["product"], boot["host"]) for boot in found}) != 1:
            raise VerificationRefused(f"state did not stay: {found}")

    return check


def new(boots: int) -> Callable[[Workspace], None]:
    """Return a check that the last of that many boots had services, and nothing of the state."""

    def check(workspace: Workspace) -> None:
        *_, before, after = ran(workspace, boots)
        # The machine id and the application's secret are one by one others.
        pairs = zip(before["product"].split(), after["product"].split(), strict=True)
        if any(old == now for old, now in pairs) or before["host"] == after["host"]:
            raise VerificationRefused(f"still there after a wipe: {before} {after}")
        if after["journal"] != "1 1":
            raise VerificationRefused(f"the journal is not of this boot alone: {after}")

    return check


def forwarded(workspace: Workspace) -> None:
    """Lead a port of this computer's loopback to the device's ssh server."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    workspace.kept["port"] = port
    workspace.add_qemu("-netdev", f"user,id=net,restrict=on,hostfwd=tcp:127.0.0.1:{port}-:22")
    workspace.add_qemu("-device", "virtio-net-device,netdev=net")


def ssh(
    workspace: Workspace, user: str, key: Path, command: str, *, known: str = "known_hosts"
) -> subprocess.CompletedProcess[str]:
    """Run a command on the device, once its ssh server answers.

    A host key is believed if the file `known` of the workspace has none yet; ssh refuses another
    one later.

    Raises:
        VerificationRefused: Nobody answered.
    """
    options = {
        "BatchMode": "yes",
        "ConnectTimeout": "120",
        "IdentitiesOnly": "yes",
        "PubkeyAcceptedAlgorithms": "ssh-ed25519",
        "StrictHostKeyChecking": "accept-new",
        "UserKnownHostsFile": str(workspace.work / known),
    }
    words = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
    words += ["-i", str(key), "-p", str(workspace.kept["port"]), f"{user}@127.0.0.1", command]
    deadline = time.monotonic() + 900
    while True:
        done = subprocess.run(
            ["ssh", "-F", "none", *words], capture_output=True, text=True, check=False
        )
        # Until the network is up, QEMU closes the connection.
        answered = re.search("Permission denied|IDENTIFICATION HAS CHANGED", done.stderr)
        if done.returncode != NO_CONNECTION or answered:
            return done
        if time.monotonic() > deadline:
            raise VerificationRefused(f"no answer at port 22: {done.stderr}")
        time.sleep(2)


def logs_in(key: Path, stranger: Path) -> Callable[[Workspace], None]:
    """Return what logs in with the key, as the technician only, and with no other key."""

    def call(workspace: Workspace) -> None:
        done = ssh(workspace, "technician", key, "id -un")
        if done.stdout != "technician\n":
            raise VerificationRefused(f"no login: {done.stdout!r} {done.stderr}")
        for user, other in (("technician", stranger), ("root", key)):
            refused = ssh(workspace, user, other, "id -un")
            if "Permission denied (publickey" not in refused.stderr:
                raise VerificationRefused(f"{user} was not refused: {refused.stderr}")
        ssh(workspace, "technician", key, f"touch {ASKED}")

    return call


def other_host(key: Path) -> Callable[[Workspace], None]:
    """Return what sees ssh refuse the device, for its host key is not the one of before."""

    def call(workspace: Workspace) -> None:
        refused = ssh(workspace, "technician", key, "id -un")
        if "REMOTE HOST IDENTIFICATION HAS CHANGED" not in refused.stderr:
            raise VerificationRefused(f"the host key stayed: {refused.stdout!r} {refused.stderr}")
        ssh(workspace, "technician", key, f"touch {ASKED}", known="known_hosts.new")

    return call


NO_CONNECTION: Final = 255
RESTART: Final = "reboot; read wait"
STAY: Final = "systemctl restart bootseal-status.service"
WIPE: Final = f"bootseal-data wipe && {RESTART}"
ASKED: Final = "/tmp/asked"  # noqa: S108 - of the device
# Some seconds, for ssh to end before the device is gone.
WAIT: Final = f"timeout 1200 sh -c 'until [ -e {ASKED} ]; do sleep 1; done'; sleep 15; "


def typed(text: str, call: Callable[[Workspace], None] | None = None) -> Action:
    """Return what is typed at the shell's prompt, and what talks with the device meanwhile."""
    assert len(text) <= LONGEST
    return Action(do=Do.TYPE, when="shell", text=f"{text}\r", call=call)


def kept(logs_in: Callable[[Workspace], None], other: Callable[[Workspace], None]) -> Scenario:
    """Return the scenario in which the product's state stays, until it is wiped."""
    return Scenario(
        id="product",
        title="An image of a product's own layer",
        group="product",
        prepare=forwarded,
        steps=(
            came_up(
                *("root-verified:a", "product-state"),
                *("root-verified:a", "product-state"),
                state="kept",
                actions=(typed(SHOW + WAIT + RESTART, logs_in), typed(SHOW + STAY)),
                check=same(2),
                timeout=1200.0,
            ),
            came_up(
                *("root-verified:b", "product-state"),
                slot="b",
                state="kept",
                prepare=release.update(),
                actions=(typed(SHOW + WAIT + STAY, logs_in),),
                check=same(3),
                timeout=1200.0,
            ),
            came_up(
                *("root-verified:b", "data-wiped", "root-verified:b", "product-state"),
                slot="b",
                created=True,
                state="kept",
                actions=(typed(WIPE), typed(SHOW + WAIT + STAY, other)),
                check=new(4),
                timeout=1200.0,
            ),
        ),
    )


CLOSED: Final = Scenario(
    id="product-closed",
    title="An image of a product's own layer, whose data stays closed",
    group="product",
    tpm=Tpm.FRESH,
    steps=(
        Step(
            expect=Expectation(
                ending=Ending.UP,
                console=("root-verified:a", "data-closed", "product-state"),
                forbidden=("state-kept",),
                status=ExpectedStatus(
                    findings=("data.closed",),
                    reason=r"(?i)tpm|unseal|policy",
                    state="volatile",
                ),
            ),
            actions=(typed(SHOW + STAY),),
            check=same(1),
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
    product = kept(logs_in(login, stranger), other_host(login))
    result = runner.run((product, CLOSED), jobs=1)
    assert [(each.id, each.verdict, each.reason) for each in result.results] == [
        ("first-boot", Outcome.PASSED, ""),
        ("product", Outcome.PASSED, ""),
        ("product-closed", Outcome.PASSED, ""),
    ]
