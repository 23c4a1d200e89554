# SPDX-License-Identifier: MIT
"""An image of a product's own layer: built by bitbake, started in QEMU, its services looked at.

Of Debian come compiler, kernel and root file system, as in test_bitbake_build.py, and dropbear.
"""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
from tests.layer.conftest import KERNEL_AT_HAND, LAYERS

from bootseal import device as devices
from bootseal.boot.attacks import release
from bootseal.boot.catalogue.steps import came_up
from bootseal.boot.scenario.model import Action, Do, Outcome, Scenario
from bootseal.boot.scenario.runner import Runner
from bootseal.errors import VerificationRefused

if TYPE_CHECKING:
    from collections.abc import Callable

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
DEBS: Final = ("dropbear-bin", "libsystemd-dev", "libsystemd0", "libtomcrypt1", "libtommath1")
SERVICES: Final = "dbus.service product.service dropbear.socket systemd-networkd.service"
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


@pytest.fixture
def local(settings: str) -> str:
    """The local.conf of the product, whose image has a shell on its console."""
    if "BOOTSEAL_OE_DEBS" not in os.environ:
        pytest.skip("BOOTSEAL_OE_DEBS names no directory with packages of Debian for arm64")
    directory = Path(os.environ["BOOTSEAL_OE_DEBS"])
    for name in DEBS:
        if not list(directory.glob(f"{name}_*_arm64.deb")):
            pytest.fail(f"BOOTSEAL_OE_DEBS: {directory} lacks {name}")
    return (
        f"{settings}{KERNEL_AT_HAND}"
        f'BOOTSEAL_STATE = "{" ".join(PLACES)}"\n'
        f'DEBHOST_DEBS = "{directory}"\n'
        'DEBHOST_PACKAGES:append:pn-product-image = " bootseal-device-development"\n'
    )


def test_state_from_which_code_could_be_started_is_refused_before_anything_is_built(
    debhost: Build, local: str
) -> None:
    debhost.configure(local.replace("/var/lib/product", "/etc/pam.d"), layers=LAYERS)
    done = debhost.bitbake("-n", "product-image")
    assert done.code != 0
    assert "bootseal: BOOTSEAL_STATE names '/etc/pam.d': what is there could decide" in done.text


def test_root_of_the_product_starts_its_services_and_mounts_its_state(
    debhost: Build, local: str
) -> None:
    debhost.configure(local, layers=LAYERS)
    done = debhost.bitbake("product-image:do_rootfs")
    assert done.code == 0, done.text
    root = next(debhost.directory.glob("tmp/work/*/product-image/*/rootfs"))
    enabled = root / "etc/systemd/system"
    for name in (
        "multi-user.target.wants/product.service",
        "multi-user.target.wants/systemd-networkd.service",
        "sockets.target.wants/dropbear.socket",
        "sysinit.target.wants/bootseal-state.service",
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


RESTART = typed("reboot; read wait")
STAY = typed("systemctl restart bootseal-status.service")
PRODUCT: Final = Scenario(
    id="product",
    title="An image of a product's own layer",
    group="product",
    steps=(
        came_up(
            *("root-verified:a", "product-state"),
            *("root-verified:a", "product-state"),
            state="kept",
            actions=(RESTART, STAY),
            check=same(2),
        ),
        came_up(
            *("root-verified:b", "product-state"),
            slot="b",
            state="kept",
            prepare=release.update(),
            actions=(STAY,),
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


def test_product_starts_with_its_services_and_keeps_its_state(
    debhost: Build, local: str, keys: Path, tmp_path: Path
) -> None:
    debhost.configure(local, layers=LAYERS)
    done = debhost.bitbake("product-image")
    assert done.code == 0, done.text
    directory = tmp_path / "device"
    shutil.copytree(debhost.deployed / "product-image", directory)
    runner = Runner(devices.load(directory), directory, Quiet(), keys=keys, patience=3)
    result = runner.run((PRODUCT,), jobs=1)
    assert [(each.id, each.verdict, each.reason) for each in result.results] == [
        ("first-boot", Outcome.PASSED, ""),
        ("product", Outcome.PASSED, ""),
    ]
