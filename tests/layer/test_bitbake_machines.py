# SPDX-License-Identifier: MIT
"""Every machine of the layer, with the layers of its BSP and what the layer adds to them.

Nothing is built: bitbake parses, resolves what the image needs, and prints final values. Without a
machine's layers in BOOTSEAL_OE its tests are skipped.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from tests.layer.conftest import BASE, FRAGMENTS, build

if TYPE_CHECKING:
    from pathlib import Path

    from tests.layer.conftest import Build

pytestmark = [pytest.mark.bitbake, pytest.mark.timeout(7200)]

# The ROM verifies U-Boot, says a product, and a board without a TPM has no more than that.
BOARD = 'BOOTSEAL_CAPABILITIES:append = " verified-boot"\n'
RAUC = """\
DISTRO_FEATURES:append = " rauc"
IMAGE_INSTALL:append:pn-bootseal-image = " bootseal-update"
"""
GREENGRASS = f"""\
OE_FRAGMENTS += "{FRAGMENTS}/measured-boot {FRAGMENTS}/encrypted-data"
OE_FRAGMENTS += "{FRAGMENTS}/rom {FRAGMENTS}/greengrass"
BOOTSEAL_GREENGRASS_REGION = "eu-central-1"
BOOTSEAL_GREENGRASS_DATA_ENDPOINT = "x-ats.iot.eu-central-1.amazonaws.com"
BOOTSEAL_GREENGRASS_CREDENTIALS_ENDPOINT = "x.credentials.iot.eu-central-1.amazonaws.com"
BOOTSEAL_GREENGRASS_ROLE_ALIAS = "fleet"
"""
# Recipes of meta-aws name sources by tags, which bitbake resolves by the network while it parses.
TAGS = f"""\
SRCREV_sigv4:pn-greengrass-lite = "{1:040x}"
SRCREV_sdk:pn-greengrass-lite = "{2:040x}"
BBMASK += "(?<!dynamic-layers)/meta-aws/recipes-(?!iot/aws-iot-greengrass/greengrass-lite)"
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """A machine, as `kas` would build it.

    Attributes:
        layers: Besides those of every build, below BOOTSEAL_OE.
        local: Lines of local.conf.
        needs: What must be in the build of the image.
        always: Lines of local.conf that the layers need, also without the feature.
    """

    layers: tuple[str, ...]
    local: str
    needs: frozenset[str]
    always: str = ""


MACHINES = {
    "qemuarm64": Machine(
        layers=(
            "meta-openembedded/meta-multimedia",
            "meta-openembedded/meta-networking",
            "meta-arm/meta-arm-toolchain",
            "meta-arm/meta-arm",
            "meta-aws",
            "meta-rauc",
        ),
        local=GREENGRASS + RAUC,
        needs=frozenset(
            {
                "bootseal-greengrass",
                "bootseal-identity",
                "bootseal-update",
                "greengrass-lite",
                "linux-yocto",
                "rauc",
                "trusted-firmware-a",
                "u-boot",
            }
        ),
        always=TAGS,
    ),
    "raspberrypi4-64": Machine(
        layers=("meta-raspberrypi", "meta-rauc"),
        local=f'{BOARD}{RAUC}RPI_USE_U_BOOT = "1"\n',
        needs=frozenset({"bootseal-update", "linux-raspberrypi", "u-boot"}),
    ),
    "imx8mp-lpddr4-evk": Machine(
        layers=("meta-freescale",),
        local=f'{BOARD}ACCEPT_FSL_EULA = "1"\n',
        needs=frozenset({"imx-boot", "linux-fslc-imx", "u-boot-imx"}),
    ),
}


def machine(sources: Path, keys: Path, name: str, *, feature: bool = True) -> Build:
    """Return the build directory of a machine, configured, or skip the test."""
    entry = MACHINES[name]
    missing = [each for each in entry.layers if not (sources / each).is_dir()]
    if missing:
        pytest.skip(f"BOOTSEAL_OE names a directory without {', '.join(missing)}")
    local = f"MACHINE = '{name}'\n{entry.always}"
    if feature:
        local += f"OE_FRAGMENTS += '{FRAGMENTS}/dev-keys'\nBOOTSEAL_KEYS = '{keys}'\n{entry.local}"
    directory = build(sources, f"whole-{name}")
    directory.configure(local, base=(*BASE, *entry.layers))
    return directory


@pytest.mark.parametrize("name", MACHINES)
def test_image_of_a_machine_resolves_without_a_word_about_this_layer(
    oe_sources: Path, keys: Path, name: str
) -> None:
    whole = machine(oe_sources, keys, name)
    done = whole.bitbake("-g", "bootseal-image")
    assert done.code == 0, done.text
    assert [line for line in done.complaints if line.startswith("ERROR")] == []
    assert [line for line in done.complaints if "bootseal" in line or "secureboot" in line] == []
    # Nor is it left to chance which of several packages is taken.
    assert not re.search("[Mm]ultiple providers are available for .*bootseal", done.text)
    built = set((whole.directory / "pn-buildlist").read_text().split())
    assert MACHINES[name].needs <= built


@pytest.mark.parametrize(
    ("name", "recipe", "words"),
    [
        ("raspberrypi4-64", "u-boot", ["0001-boot-fit-put-a-gate", "raspberrypi4-64.cfg"]),
        ("raspberrypi4-64", "linux-raspberrypi", ["verity.cfg", "lockdown.cfg"]),
        ("imx8mp-lpddr4-evk", "u-boot-imx", ["0001-boot-fit-put-a-gate", "imx8mp-lpddr4-evk.cfg"]),
        ("imx8mp-lpddr4-evk", "linux-fslc-imx", ["verity.cfg", "lockdown.cfg"]),
    ],
)
def test_recipes_of_a_bsp_get_the_layer_s_files_with_the_feature_alone(
    oe_sources: Path, keys: Path, name: str, recipe: str, words: list[str]
) -> None:
    found = machine(oe_sources, keys, name).values(recipe, "SRC_URI")["SRC_URI"]
    assert [word for word in words if word not in found] == []
    assert "maxsize.cfg" not in found
    without = machine(oe_sources, keys, name, feature=False).values(recipe, "SRC_URI")["SRC_URI"]
    assert [word for word in words if word in without] == []
    assert "bootseal" not in without


def test_what_deploys_components_is_not_in_the_package_of_greengrass(
    oe_sources: Path, keys: Path
) -> None:
    names = ("SYSTEMD_SERVICE:greengrass-lite", "PACKAGECONFIG")
    services, options = (
        machine(oe_sources, keys, "qemuarm64").values("greengrass-lite", *names).values()
    )
    units = {"ggl.core.ggdeploymentd.service", "ggl.gg_deployment.socket"}
    units.add("ggl.aws.greengrass.TokenExchangeService.service")
    assert units.isdisjoint(services.split())
    assert "ggl.core.iotcored.service" in services.split()
    assert {"fleetprovisioning", "localdeployment"}.isdisjoint(options.split())
    plain = machine(oe_sources, keys, "qemuarm64", feature=False)
    assert units <= set(plain.values("greengrass-lite", names[0])[names[0]].split())


def test_every_unit_of_greengrass_that_starts_waits_for_the_token(
    oe_sources: Path, keys: Path
) -> None:
    whole = machine(oe_sources, keys, "qemuarm64")
    (started,) = whole.values("greengrass-lite", "SYSTEMD_SERVICE:greengrass-lite").values()
    services, sockets = whole.values("bootseal-greengrass", "SERVICES", "SOCKETS").values()
    configured = {f"{name}.service" for name in services.split()}
    configured |= {f"{name}.socket" for name in sockets.split()}
    assert configured == set(started.split()) - {"greengrass-lite.target"}
