# SPDX-License-Identifier: MIT
"""The recipes of the device's files install what the reference build installs, where it does."""

from __future__ import annotations

import fnmatch
import re
import subprocess
import tomllib
from pathlib import Path
from types import SimpleNamespace

import pytest

import bootseal
from bootseal.assembly.layer import (
    AGENT,
    APP,
    BOOT_LOADERS,
    DEVICE,
    IDENTITY,
    STATE,
    UPDATE,
    Layer,
)
from bootseal.boot.catalogue.bench import cloud, station
from bootseal.reference import rootfs
from bootseal_agent import main

LAYER = Path(__file__).parents[3] / "meta-secureboot"
RECIPE = LAYER / "recipes-core/bootseal-device/bootseal-device_1.0.bb"
MINIMAL = RECIPE.with_name("bootseal-device-minimal_1.0.bb")
KEY = LAYER / "recipes-core/bootseal-identity/bootseal-identity_1.0.bb"
APPLICATIONS = LAYER / APP / "../bootseal-app_1.0.bb"
STATE_RECIPE = LAYER / STATE / "../bootseal-state_1.0.bb"
BOOT_LOADERS_RECIPE = LAYER / BOOT_LOADERS / "../bootseal-boot-loaders_1.0.bb"
UPDATES = LAYER / UPDATE / "../bootseal-update_1.0.bb"
AGENT_RECIPE = (LAYER / AGENT).parent / "bootseal-agent_0.1.0.bb"
BASE_FILES = LAYER / "recipes-core/base-files/base-files-bootseal.inc"
_MANY_LINES = re.MULTILINE | re.DOTALL
FOLDERS = {
    RECIPE: DEVICE,
    MINIMAL: DEVICE,
    KEY: IDENTITY,
    APPLICATIONS: APP,
    STATE_RECIPE: STATE,
    BOOT_LOADERS_RECIPE: BOOT_LOADERS,
    UPDATES: UPDATE,
    AGENT_RECIPE: AGENT,
}
# What bitbake.conf and systemd.bbclass say of a distribution with merged /usr.
VARIABLES = {
    "bindir": "/usr/bin",
    "datadir": "/usr/share",
    "libdir": "/usr/lib",
    "nonarch_libdir": "/usr/lib",
    "sysconfdir": "/etc",
    "systemd_unitdir": "/usr/lib/systemd",
    "systemd_system_unitdir": "/usr/lib/systemd/system",
    "PN": "bootseal-device",
    "BOOTSEAL_POLICY_KEY": "DEV-policy",
    "BOOTSEAL_ESCROW_KEY": "DEV-escrow",
    "BOOTSEAL_APP_KEY": "DEV-app-1",
    "BOOTSEAL_UPDATE_CA_KEY": "DEV-update-ca",
    "BOOTSEAL_COMPATIBLE": "gateway",
    "BOOTSEAL_CONSOLE": "ttymxc1",
    "BOOTSEAL_AGENT_HOST": "iot.example.com",
    "BOOTSEAL_RELEASE": "1.0.0",
    "BOOTSEAL_WATCHDOG": "",
    # With updates in BOOTSEAL_REQUESTS.
    "BOOTSEAL_BENCH_DHCP": "0",
    "BOOTSEAL_MASKED": "minimal-masked-units",
}


def value(name: str, recipe: Path = RECIPE) -> str:
    """Return the words of a variable of a recipe."""
    match = re.search(rf'^{re.escape(name)} \+?= "([^"]*)"', recipe.read_text(), re.MULTILINE)
    assert match is not None, name
    return match[1].replace("\\\n", " ")


def expanded(text: str, more: dict[str, str] | None = None) -> str:
    for name, replacement in {**VARIABLES, **(more or {})}.items():
        text = text.replace(f"${{{name}}}", replacement)
    assert "${" not in text, text
    return text


def packages() -> dict[str, list[str]]:
    """Return the patterns of FILES by package, in the order in which they take files."""
    return {
        package: expanded(value(f"FILES:${{PN}}{package}")).split()
        for package in ("-data", "-development")
    }


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run the own do_install of the recipes, as a shell would."""
    target, keys = tmp_path_factory.mktemp("image"), tmp_path_factory.mktemp("keys")
    (keys / "DEV-policy.pub").write_text("policy key")
    (keys / "DEV-escrow.crt").write_text("escrow certificate")
    (keys / "DEV-app-1.crt").write_text("certificate of applications")
    (keys / "DEV-update-ca.crt").write_text("authority of updates")
    (keys / "cloud.pem").write_text("authority of servers")
    for recipe, folder in FOLDERS.items():
        paths = {"D": str(target), "S": str(LAYER / folder), "BOOTSEAL_KEYS": str(keys)}
        paths["BOOTSEAL_AGENT_CA"] = str(keys / "cloud.pem")
        text = recipe.read_text()
        body = re.search(
            r"^do_install(?::append)?\(\) \{\n(.*?)^\}", text, re.MULTILINE | re.DOTALL
        )
        assert body is not None
        script = f"set -e\numask 022\n{expanded(body[1], paths)}"
        subprocess.run(["/bin/sh", "-c", script], check=True)
    return target


def files(tree: Path) -> dict[str, int]:
    """Return the mode of every file below a directory, links left out."""
    return {
        str(path.relative_to(tree)): path.stat().st_mode & 0o777
        for path in tree.rglob("*")
        if path.is_file() and not path.is_symlink()
    }


def test_recipes_fetch_every_file_of_the_device() -> None:
    paths = [path for path in (LAYER / DEVICE).rglob("*") if path.is_file()]
    wanted = {f"file://{path.relative_to(LAYER / DEVICE)}" for path in paths} - {"file://fstab"}
    fetched = value("SRC_URI").split() + value("SRC_URI", MINIMAL).split()
    assert sorted(fetched) == sorted(wanted)
    for recipe in (KEY, STATE_RECIPE, BOOT_LOADERS_RECIPE, APPLICATIONS, UPDATES):
        wanted = {f"file://{path.name}" for path in (LAYER / FOLDERS[recipe]).iterdir()}
        assert sorted(value("SRC_URI", recipe).split()) == sorted(wanted)


def test_recipes_install_what_the_reference_build_installs(installed: Path) -> None:
    wanted = {str(f.target): f.mode for f in Layer(LAYER).device_files(login=True)}
    # base-files installs this one, from the same file: see its bbappend.
    del wanted["etc/fstab"]
    # useradd.bbclass makes the account while the image is built.
    del wanted["usr/lib/sysusers.d/bootseal-agent.conf"]
    made = (
        *(rootfs.POLICY_KEY, rootfs.ESCROW, rootfs.UPDATE_CA, rootfs.RAUC),
        rootfs.APPLICATIONS,
        *(rootfs.DEVELOPMENT_MARK, rootfs.AGENT, rootfs.CLOUD_CA),
    )
    assert files(installed) == wanted | dict.fromkeys(made, 0o644)


def test_rauc_has_the_same_configuration_from_both_builds(installed: Path) -> None:
    made = (installed / rootfs.RAUC).read_bytes()
    assert made == Layer(LAYER).rauc("gateway")
    assert b"\ncompatible=gateway\n" in made
    assert b"@" not in made


def test_agent_has_the_same_configuration_from_both_builds(installed: Path) -> None:
    made = (installed / rootfs.AGENT).read_bytes()
    said = {"host": "iot.example.com", "compatible": "gateway", "version": "1.0.0"}
    assert made == Layer(LAYER).agent_configuration(**said)
    assert b"@" not in made
    found = tomllib.loads(made.decode())
    assert found.keys() == main._KEYS
    assert said.items() <= found.items()


def test_key_of_the_token_is_a_file_for_programs_that_take_no_uri() -> None:
    found = (LAYER / IDENTITY / "identity-key.pem").read_text()
    assert found == cloud.wrapped(station.URI.format("private"))


def test_agent_has_no_right_but_its_users() -> None:
    unit = (LAYER / AGENT / "bootseal-agent.service").read_text()
    account = (LAYER / AGENT / "bootseal-agent.conf").read_text()
    policy = (LAYER / UPDATE / "de.pengutronix.rauc.conf").read_text()
    wanted = {
        *("User=bootseal-agent", "CapabilityBoundingSet=", "NoNewPrivileges=yes"),
        *("ProtectSystem=strict", "ReadWritePaths=-/data/agent", "DevicePolicy=closed"),
        "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6",
    }
    assert wanted <= {*unit.splitlines()}
    assert re.findall("^DeviceAllow=(.*)$", unit, re.MULTILINE) == ["/dev/tpmrm0 rw"]
    # Root is only who makes its directory.
    privileged = re.findall(r"^Exec\w+=[-+!:@]*\+.*$", unit, re.MULTILINE)
    state = "systemd-tmpfiles --create /usr/lib/bootseal/agent.tmpfiles"
    assert privileged == [f"ExecStartPre=+{state}"]
    assert re.search("^u bootseal-agent - ", account, re.MULTILINE)
    assert '<policy user="bootseal-agent">' in policy


def test_bus_is_masked_where_nothing_is_updated() -> None:
    lists = re.search(r'^BOOTSEAL_MASKED = "(.*)"$', MINIMAL.read_text(), re.MULTILINE)
    assert lists is not None
    choice = "bb.utils.contains_any('BOOTSEAL_REQUESTS', 'updates apps', '', 'bus-masked-units', d)"
    assert lists[1] == f"minimal-masked-units ${{@{choice}}}"
    names = (LAYER / DEVICE / "bus-masked-units").read_text().splitlines()[1:]
    assert names == ["dbus.service", "dbus.socket"]
    assert not {*names} & {*Layer(LAYER).masked_units()}


@pytest.mark.parametrize(
    ("dhcp", "profiles"),
    [("0", ["10-bench.network", "20-bench-dhcp.network"]), ("1", ["20-bench-dhcp.network"])],
)
def test_bench_has_the_profile_that_is_asked_for(
    tmp_path: Path, dhcp: str, profiles: list[str]
) -> None:
    whole = re.search(
        r"^do_install\(\) \{\n(.*?)^    fi\n", MINIMAL.read_text(), re.MULTILINE | re.DOTALL
    )
    assert whole is not None
    paths = {"D": str(tmp_path), "S": str(LAYER / DEVICE), "BOOTSEAL_BENCH_DHCP": dhcp}
    subprocess.run(["/bin/sh", "-ec", f"{expanded(whole[1], paths)}fi\n"], check=True)

    assert sorted(path.name for path in tmp_path.rglob("*.network")) == profiles


def test_shell_of_a_development_image_is_on_the_console_of_the_machine(installed: Path) -> None:
    unit = (installed / "usr/lib/systemd/system/bootseal-shell.service").read_text()
    assert re.findall("^TTYPath=(.*)$", unit, re.MULTILINE) == ["/dev/ttymxc1"]


def test_recipes_mask_what_the_reference_build_masks(installed: Path) -> None:
    links = {path.name: str(path.readlink()) for path in installed.rglob("*") if path.is_symlink()}
    assert links == dict.fromkeys(Layer(LAYER).masked_units(), "/dev/null")


def test_a_product_gets_only_the_masks_that_keep_it_safe() -> None:
    # The rest, and the preset, are for the reference device: a product's services stay as they are.
    never = {
        "debug-shell.service",
        "emergency.service",
        "emergency.target",
        "rescue.service",
        "rescue.target",
        "systemd-repart.service",
    }
    listed = (LAYER / DEVICE / "masked-units").read_text().splitlines()
    assert {line for line in listed if not line.startswith("#")} == never
    assert "preset" not in RECIPE.read_text()
    assert "udev-trigger" not in RECIPE.read_text()


def test_only_the_images_of_the_layer_keep_everything_else_off() -> None:
    named = {
        path.relative_to(LAYER).as_posix()
        for path in LAYER.rglob("*")
        if path.is_file() and path.suffix in {".bb", ".bbclass", ".conf", ".inc", ".bbappend"}
        if "bootseal-device-minimal" in path.read_text()
    }
    assert named == {"recipes-core/images/bootseal-image.inc"}


def test_every_unit_of_the_layer_is_enabled_by_its_package_and_by_the_preset() -> None:
    folders = (DEVICE, BOOT_LOADERS, IDENTITY, STATE, APP, UPDATE, AGENT)
    units = {path.name for each in folders for path in (LAYER / each).glob("*.service")}
    # A path unit and a timer start two, and bootseal-apps.service the instances of the other.
    units -= {"bootseal-agent-restart.service", "bootseal-fall-back.service"}
    units -= {"bootseal-app@.service"}
    # A path unit starts one of them, and a boot after a power cut.
    units |= {"bootseal-agent-restart.path", "bootseal-app-install.path"}
    units |= {"bootseal-fall-back.timer"}
    packages = ("", "-data", "-development")
    services = [
        name for each in packages for name in value(f"SYSTEMD_SERVICE:${{PN}}{each}").split()
    ]
    others = (KEY, STATE_RECIPE, BOOT_LOADERS_RECIPE, APPLICATIONS, UPDATES, AGENT_RECIPE)
    for recipe in others:
        services += value("SYSTEMD_SERVICE:${PN}", recipe).split()
    assert sorted(services) == sorted(units)
    for recipe in (RECIPE, *others):
        assert re.search(r"^inherit .*\bsystemd\b", recipe.read_text(), re.MULTILINE)
    preset = (LAYER / DEVICE / "90-bootseal.preset").read_text()
    # The one unit of systemd itself, for the network of the test bench.
    units.add("systemd-networkd.service")
    assert set(re.findall(r"^enable (\S+)$", preset, re.MULTILINE)) == units
    assert preset.endswith("disable *\n")


def test_recipe_of_the_tool_has_the_version_of_the_tool() -> None:
    recipes = [path.name for path in (LAYER / "recipes-devtools/python").glob("*bootseal*")]
    assert recipes == [f"python3-bootseal_{bootseal.__version__}.bb"]


def test_base_files_takes_fstab_from_where_the_device_has_it() -> None:
    text = BASE_FILES.read_text()
    assert "${THISDIR}/../bootseal-device/files:" in text
    assert (LAYER / DEVICE / "fstab").is_file()


def run(body: str, root: Path, **variables: str) -> None:
    """Run a part of a recipe as a shell would."""
    text = expanded(body, {"D": str(root), **variables})
    subprocess.run(["/bin/sh", "-c", f"set -e\n{text}"], check=True)


@pytest.mark.parametrize("size", ["10%", "64M"])
def test_size_of_var_is_the_products_to_say(tmp_path: Path, size: str) -> None:
    (tmp_path / "etc").mkdir()
    before = (LAYER / DEVICE / "fstab").read_text()
    (tmp_path / "etc/fstab").write_text(before)
    body = re.search(r"^do_install:append\(\) \{\n(.*?)^\}", BASE_FILES.read_text(), _MANY_LINES)
    assert body is not None
    run(body[1], tmp_path, BOOTSEAL_VAR_SIZE=size)

    old, new = before.splitlines(), (tmp_path / "etc/fstab").read_text().splitlines()
    (var,) = (line for line in new if line.split()[1:2] == ["/var"])
    assert var.split()[3] == f"mode=0755,nosuid,nodev,size={size}"
    assert [line for line in old if " /var " not in line] == [x for x in new if x != var]


@pytest.mark.parametrize(("seconds", "written"), [("30", True), ("", False)])
def test_watchdog_is_on_where_the_product_says_so(
    tmp_path: Path, seconds: str, *, written: bool
) -> None:
    part = re.search(
        r'^    if \[ -n "\$\{BOOTSEAL_WATCHDOG\}" \].*?^    fi\n', RECIPE.read_text(), _MANY_LINES
    )
    assert part is not None
    run(part[0], tmp_path, BOOTSEAL_WATCHDOG=seconds)
    path = tmp_path / "usr/lib/systemd/system.conf.d/50-bootseal-watchdog.conf"
    assert path.exists() == written
    assert not written or path.read_text() == "[Manager]\nRuntimeWatchdogSec=30\n"


def test_what_only_development_images_hold_is_in_a_package_of_its_own(installed: Path) -> None:
    product = {str(f.target) for f in Layer(LAYER).device_files(login=False)}
    patterns = packages()["-development"]
    found = {name for name in files(installed) if f"/{name}" in patterns}
    assert found == files(installed).keys() - product - {
        *(rootfs.POLICY_KEY, rootfs.ESCROW, rootfs.UPDATE_CA, rootfs.RAUC),
        *(rootfs.AGENT, rootfs.APPLICATIONS, rootfs.CLOUD_CA),
    }


def test_unit_that_waits_for_the_data_comes_with_what_opens_them(installed: Path) -> None:
    # systemd takes the one in /etc of two units with the same name.
    units = {
        name: text
        for name in files(installed)
        if name.endswith("/bootseal-good.service")
        for text in [(installed / name).read_text()]
    }
    waits = {name for name, text in units.items() if "ConditionPathExists=/dev/mapper/data" in text}
    assert units.keys() - waits == {"usr/lib/systemd/system/bootseal-good.service"}
    assert waits == {"etc/systemd/system/bootseal-good.service"}
    assert {f"/{name}" for name in waits} <= set(packages()["-data"])


@pytest.mark.parametrize("package", ["-data", "-development"])
def test_every_pattern_of_a_package_names_a_file(installed: Path, package: str) -> None:
    # Masks are links to /dev/null, which is not a file.
    links = [path for path in installed.rglob("*") if path.is_symlink()]
    names = [f"/{name}" for name in files(installed)]
    names += [f"/{path.relative_to(installed)}" for path in links]
    idle = [p for p in packages()[package] if not fnmatch.filter(names, p)]
    assert idle == []


@pytest.mark.parametrize(("requests", "asks"), [("measured-boot rom", "2"), ("measured-boot", "")])
def test_only_a_release_for_a_boot_rom_asks_for_a_boot_loader(requests: str, asks: str) -> None:
    text = (LAYER / "classes-recipe/bootseal_fit.bbclass").read_text()
    default = re.search(r'^BOOTSEAL_FIRMWARE_LOWEST \?= "\$\{@(.*)\}"$', text, re.MULTILINE)
    assert default is not None

    def contains(name: str, words: str, yes: str, no: str, _: object) -> str:
        assert name == "BOOTSEAL_REQUESTS"
        return yes if {*words.split()} <= {*requests.split()} else no

    names = {
        "bb": SimpleNamespace(utils=SimpleNamespace(contains=contains)),
        "d": SimpleNamespace(getVar={"BOOTSEAL_FIRMWARE_VERSION": "2"}.get),
    }
    assert eval(default[1], names) == asks  # noqa: S307 - as bitbake does it
