# SPDX-License-Identifier: MIT
"""bitbake builds U-Boot, the FIT and the device through the layer's classes, and they boot.

Debian is the compiler, the native tools, the kernel's source and the packages of the root file
system (meta-debhost, and README.md next to this file).
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.layer.conftest import KERNEL_AT_HAND, LAYERS

if TYPE_CHECKING:
    from tests.layer.conftest import Bootseal, Build

pytestmark = [pytest.mark.bitbake, pytest.mark.timeout(7200)]


def required(control: Path, key: str) -> str:
    """Return what U-Boot's device tree demands of a key."""
    node = f"/signature/key-{key}"
    done = subprocess.run(
        ["fdtget", control, node, "required"], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_u_boot_demands_the_key_for_configurations(debhost: Build, settings: str) -> None:
    debhost.configure(settings, layers=LAYERS)
    done = debhost.bitbake("u-boot:do_deploy")
    assert done.code == 0, done.text
    assert done.complaints == []
    assert required(debhost.deployed / "u-boot.dtb", "DEV-fit-1") == "conf"
    # In the file that is flashed, and not only next to it.
    control = (debhost.deployed / "u-boot.dtb").read_bytes()
    assert (debhost.deployed / "u-boot.bin").read_bytes().endswith(control)


def test_a_kernel_that_nothing_of_the_layer_configures_ends_the_build(
    debhost: Build, settings: str
) -> None:
    foreign = 'PREFERRED_PROVIDER_virtual/kernel:forcevariable = "linux-foreign"\n'
    debhost.configure(settings + foreign, layers=LAYERS)
    done = debhost.bitbake("-g", "bootseal-image")
    assert done.code != 0
    assert "depends upon non-existent task do_bootseal_config_check" in done.text
    debhost.configure(settings, layers=LAYERS)
    assert debhost.bitbake("-g", "bootseal-image").code == 0


@pytest.mark.parametrize(
    ("lost", "said"),
    [
        ("DEV-fit-1.crt", "whose DEV-fit-1.crt is missing: copy it"),
        ("DEV-fit-1.key", "there is no private key at "),
    ],
    ids=["certificate", "private key"],
)
def test_a_missing_key_ends_the_build(
    debhost: Build, bootseal: Bootseal, settings: str, keys: Path, lost: str, said: str
) -> None:
    broken = keys.with_name(f"keys-without-{lost}")
    if not broken.exists():
        # Keys of its own: what was signed with others would be taken from the shared state.
        done = bootseal("keys", "generate", "--profile", "dev", broken)
        assert done.returncode == 0, done.stderr
        (broken / lost).unlink()
        debhost.own(broken, *broken.iterdir())
    debhost.configure(settings.replace(f'"{keys}"', f'"{broken}"'), layers=LAYERS)
    refused = debhost.bitbake("u-boot:do_deploy")
    assert refused.code != 0
    assert said in refused.text


CONTRADICTIONS = """\
CONFIG_CMD_GO=y
CONFIG_ENV_IS_IN_MMC=y
# CONFIG_FIT_SIGNATURE is not set
CONFIG_CMD_GETTIME=y"""


@pytest.mark.parametrize(
    ("recipe", "variable", "fragment", "said"),
    [
        # Of a product, and not declared as the board's.
        (
            "u-boot",
            "SRC_URI",
            "# CONFIG_FIT_SIGNATURE is not set",
            (r"added\.cfg:1: CONFIG_FIT_SIGNATURE should be y, as \S+verify\.cfg:\d+ requires",),
        ),
        # ENV_IS_IN_MMC is the place for the environment of i.MX 8M; CMD_GETTIME is of those that no
        # fragment of the layer names.
        (
            "u-boot",
            "BOOTSEAL_UBOOT_BOARD_FILES",
            CONTRADICTIONS,
            (
                r"added\.cfg:1: CONFIG_CMD_GO should be n, as \S+harden\.cfg:\d+ requires, found y",
                r"added\.cfg:2: CONFIG_ENV_IS_IN_MMC should be n, as \S+env\.cfg:\d+ requires",
                r"added\.cfg:3: CONFIG_FIT_SIGNATURE should be y, as \S+verify\.cfg:\d+ requires",
                r"added\.cfg:4: CONFIG_CMD_GETTIME should be n, found y: a command outside of the",
            ),
        ),
        (
            "u-boot",
            "BOOTSEAL_UBOOT_BOARD_FILES",
            "CONFIG_CMD_GO y",
            (r"added\.cfg:1: 'CONFIG_CMD_GO y' is not a setting",),
        ),
        # What it depends on is off.
        (
            "linux-debian",
            "BOOTSEAL_KERNEL_BOARD_FILES",
            "CONFIG_USB_STORAGE=y",
            (r"added\.cfg:1: CONFIG_USB_STORAGE should be y, found n",),
        ),
        (
            "linux-debian",
            "BOOTSEAL_KERNEL_BOARD_FILES",
            "CONFIG_DEVMEM=y",
            (r"added\.cfg:1: CONFIG_DEVMEM should be n, as \S+lockdown\.cfg:\d+ requires",),
        ),
    ],
    ids=[
        "u-boot, switched off by another fragment",
        "u-boot, switched on and off by the board",
        "u-boot, malformed",
        "kernel, dropped",
        "kernel, switched on by the board",
    ],
)
def test_a_fragment_that_contradicts_or_does_not_stick_ends_the_build(
    debhost: Build, settings: str, recipe: str, variable: str, fragment: str, said: tuple[str, ...]
) -> None:
    directory = debhost.directory.parent / f"{recipe}-fragment"
    directory.mkdir(exist_ok=True)
    (directory / "added.cfg").write_text(f"{fragment}\n")
    scheme = "file://" if variable == "SRC_URI" else ""
    extra = (
        f'FILESEXTRAPATHS:prepend:pn-{recipe} = "{directory}:"\n'
        f'{variable}:append:pn-{recipe} = " {scheme}added.cfg"\n'
    )
    debhost.configure(settings + extra, layers=LAYERS)
    done = debhost.bitbake("-c", "bootseal_config_check", recipe)
    assert done.code != 0
    for words in said:
        assert re.search(words, done.text), done.text


BOARDS = {
    "imx8mp_evk": ("board/freescale/imx8mp_evk", "harden-poweroff.cfg harden-fat.cfg"),
    "rpi_arm64": ("board/raspberrypi/rpi", "harden-stack.cfg harden-fat.cfg"),
    "am62x_evm_a53": ("board/ti/am62x", "harden-poweroff.cfg"),
}


def of_board(settings: str, board: str, harden: str) -> str:
    """Return the local.conf for another board's U-Boot: without a TPM, and with no fragment."""
    values = {
        "BOOTSEAL_REQUESTS": "",
        "BOOTSEAL_UBOOT_BOARD_DIR": BOARDS[board][0],
        "BOOTSEAL_UBOOT_BOARD_FILES": "",
        "BOOTSEAL_UBOOT_HARDEN": harden,
        "UBOOT_MACHINE": f"{board}_defconfig",
    }
    return settings + "".join(
        f'{name}:forcevariable = "{value}"\n' for name, value in values.items()
    )


@pytest.mark.parametrize("board", BOARDS)
def test_fragments_hold_on_other_boards(debhost: Build, settings: str, board: str) -> None:
    debhost.configure(of_board(settings, board, BOARDS[board][1]), layers=LAYERS)
    done = debhost.bitbake("-c", "bootseal_config_check", "u-boot")
    assert done.code == 0, done.text


def test_what_a_board_cannot_hold_is_named_with_what_decides_it(
    debhost: Build, settings: str
) -> None:
    harden = f"{BOARDS['am62x_evm_a53'][1]} harden-fat.cfg"
    debhost.configure(of_board(settings, "am62x_evm_a53", harden), layers=LAYERS)
    done = debhost.bitbake("-c", "bootseal_config_check", "u-boot")
    assert done.code != 0
    assert re.search(
        r"harden-fat\.cfg:\d+: CONFIG_FS_FAT should be n, found y in \S+;"
        r" selected by CONFIG_SPL_FS_FAT \(common/spl/Kconfig:\d+\)",
        done.text,
    ), done.text


def of_variants(settings: str, **defconfigs: str) -> str:
    """Return the local.conf for a U-Boot that is configured and built several times."""
    variants = "".join(f'UBOOT_CONFIG[{name}] = "{each}"\n' for name, each in defconfigs.items())
    names = " ".join(defconfigs)
    return f'{settings}UBOOT_MACHINE:forcevariable = ""\nUBOOT_CONFIG = "{names}"\n{variants}'


def test_every_configuration_of_u_boot_is_checked_and_deployed(
    debhost: Build, settings: str
) -> None:
    local = of_variants(settings, sd="qemu_arm64_defconfig", emmc="qemu_arm64_defconfig")
    debhost.configure(local, layers=LAYERS)
    done = debhost.bitbake("u-boot:do_deploy")
    assert done.code == 0, done.text
    for name in ("sd", "emmc"):
        text = (debhost.deployed / f"u-boot-{name}.config").read_text()
        assert "CONFIG_FIT_SIGNATURE=y" in text
        assert "CONFIG_ENV_IS_IN_FLASH=y" not in text


def test_one_configuration_of_u_boot_that_does_not_hold_ends_the_build(
    debhost: Build, settings: str
) -> None:
    # SPL of the second board reads U-Boot from FAT.
    local = of_variants(settings, sd="qemu_arm64_defconfig", emmc="am62x_evm_a53_defconfig")
    debhost.configure(local, layers=LAYERS)
    done = debhost.bitbake("-c", "bootseal_config_check", "u-boot")
    assert done.code != 0
    assert re.search(
        r"CONFIG_FS_FAT should be n, found y in \S+/am62x_evm_a53_defconfig-emmc/\.config",
        done.text,
    ), done.text
    assert "qemu_arm64_defconfig-sd/.config;" not in done.text


def test_u_boot_without_a_device_tree_of_its_own_ends_the_build(
    debhost: Build, settings: str
) -> None:
    # What upstream's class only warns of: nothing to put the key into.
    extra = 'UBOOT_DTB_BINARY:pn-u-boot = "none.dtb"\n'
    debhost.configure(settings + extra, layers=LAYERS)
    done = debhost.bitbake("u-boot:do_deploy")
    assert done.code != 0
    assert "holds no key and would verify nothing" in done.text


OWN = {
    "sysinit.target.requires/bootseal-cap.service",
    "sysinit.target.wants/bootseal-data.service",
    "multi-user.target.wants/bootseal-good.service",
    "multi-user.target.wants/bootseal-status.service",
}
FOREIGN = {
    "multi-user.target.wants/foreign-application.service",
    "multi-user.target.wants/systemd-networkd.service",
    "sockets.target.wants/dbus.socket",
}


def started(build: Build, settings: str, image: str) -> tuple[set[str], set[str]]:
    """Return the units that an image's root enables, and those that it masks."""
    build.configure(settings, layers=LAYERS)
    done = build.bitbake(f"{image}:do_rootfs")
    assert done.code == 0, done.text
    units = next(build.directory.glob(f"tmp/work/*/{image}/*/rootfs/etc/systemd/system"))
    links = {path: path.readlink() for path in units.rglob("*") if path.is_symlink()}
    masked = {path.name for path, target in links.items() if str(target) == "/dev/null"}
    wanted = {
        str(path.relative_to(units))
        for path in links
        if path.parent.suffix in {".requires", ".wants"}
    }
    return wanted, masked


def test_an_image_keeps_services_that_the_layer_does_not_know(
    debhost: Build, settings: str
) -> None:
    wanted, masked = started(debhost, settings, "foreign-image")
    assert wanted >= OWN | FOREIGN
    assert masked == {
        "debug-shell.service",
        "emergency.service",
        "emergency.target",
        "rescue.service",
        "rescue.target",
        "systemd-repart.service",
    }


MINIMAL = "".join(
    f'{name}:append:pn-foreign-image = " bootseal-device-minimal"\n'
    for name in ("DEBHOST_RECIPES", "DEBHOST_PACKAGES")
)


def test_the_preset_of_the_reference_device_leaves_them_off(debhost: Build, settings: str) -> None:
    # Without D-Bus: the next test has it.
    extra = f'{MINIMAL}DEBHOST_PACKAGES:remove:pn-foreign-image = "foreign-dbus"\n'
    wanted, masked = started(debhost, settings + extra, "foreign-image")
    assert wanted >= OWN
    assert wanted & FOREIGN == {
        "multi-user.target.wants/foreign-application.service",
        "multi-user.target.wants/systemd-networkd.service",
    }
    assert masked >= {"dbus.service", "dbus.socket", "systemd-networkd.socket"}


def test_the_masks_of_the_reference_device_refuse_d_bus(debhost: Build, settings: str) -> None:
    debhost.configure(settings + MINIMAL, layers=LAYERS)
    done = debhost.bitbake("foreign-image:do_rootfs")
    assert done.code != 0
    assert "/etc/systemd/system/dbus.service is masked" in done.text


def test_the_image_of_the_layer_starts_nothing_else(debhost: Build, settings: str) -> None:
    wanted, masked = started(debhost, settings, "bootseal-image")
    assert {name for name in wanted if not name.startswith("getty.target")} == {
        *OWN,
        "multi-user.target.wants/systemd-networkd.service",
    }
    assert masked >= {"dbus.service", "getty@.service", "systemd-networkd.socket"}


def test_the_last_task_of_the_image_accepts_it(debhost: Build, settings: str) -> None:
    debhost.configure(settings + KERNEL_AT_HAND, layers=LAYERS)
    done = debhost.bitbake("bootseal-image")
    assert done.code == 0, done.text
    assert (debhost.deployed / "bootseal-image/device.json").is_file()
    log = next(debhost.directory.glob("tmp/work/*/bootseal-image/*/temp/log.do_bootseal_check"))
    assert "is accepted. Checked: " in " ".join(log.read_text().split())


@pytest.fixture
def production(debhost: Build, bootseal: Bootseal, settings: str, keys: Path) -> str:
    """The local.conf of a device that ships: with other keys, and a kernel that is at hand."""
    shipped = keys.with_name("keys-production")
    if not shipped.exists():
        options = ("--profile", "production", "--insecure-file-keys")
        done = bootseal("keys", "generate", *options, shipped)
        assert done.returncode == 0, done.stderr
        debhost.own(shipped, *shipped.iterdir())
    changed = settings.replace(f'"{keys}"', f'"{shipped}"').replace("/dev-keys", "/production")
    return changed + KERNEL_AT_HAND


def test_production_image_of_a_product_is_built_and_says_that_nobody_can_log_in(
    debhost: Build, production: str
) -> None:
    debhost.configure(production, layers=LAYERS)
    done = debhost.bitbake("foreign-image")
    assert done.code == 0, done.text
    described = json.loads((debhost.deployed / "foreign-image/device.json").read_text())
    assert (described["profile"], described["login"]) == ("production", False)


def test_production_image_with_an_empty_root_password_ends_the_build(
    debhost: Build, production: str
) -> None:
    debhost.configure(production, layers=LAYERS)
    done = debhost.bitbake("open-image")
    assert done.code != 0
    assert "disk.root-empty-password" in done.text
    assert "the account 'root' has an empty password" in done.text
    assert not (debhost.deployed / "open-image/device.json").exists()


def test_other_keys_in_the_same_build_directory_take_the_place_of_the_first(
    debhost: Build, settings: str, production: str
) -> None:
    for local, key in ((settings, "DEV-fit-1"), (production, "fit-1"), (settings, "DEV-fit-1")):
        debhost.configure(local, layers=LAYERS)
        done = debhost.bitbake("u-boot:do_deploy")
        assert done.code == 0, done.text
        control = debhost.deployed / "u-boot.dtb"
        listed = subprocess.run(
            ["fdtget", "--list", control, "/signature"], capture_output=True, text=True, check=True
        )
        assert listed.stdout.split() == [f"key-{key}"]


@pytest.mark.parametrize(
    ("variable", "word"),
    [
        ("IMAGE_FEATURES", "empty-root-password"),
        ("IMAGE_FEATURES", "serial-autologin-root"),
        ("IMAGE_INSTALL", "bootseal-device-development"),
    ],
)
def test_production_image_whose_recipe_offers_a_login_is_not_begun(
    debhost: Build, production: str, variable: str, word: str
) -> None:
    extra = f'{variable}:append:pn-foreign-image = " {word}"\n'
    debhost.configure(production + extra, layers=LAYERS)
    done = debhost.bitbake("-n", "foreign-image")
    assert done.code != 0
    assert f"BOOTSEAL_PROFILE is production, and the image offers a login: {word}" in done.text


@pytest.fixture
def device(debhost: Build, settings: str, tmp_path: Path) -> Path:
    """The device that bitbake built, copied: a run writes to its disk."""
    debhost.configure(settings, layers=LAYERS)
    done = debhost.bitbake("bootseal-image")
    assert done.code == 0, done.text
    assert done.complaints == []
    published = debhost.deployed / "bootseal-image"
    copy = tmp_path / "device"
    shutil.copytree(published, copy)
    return copy


def test_the_device_is_verified_and_its_tampered_twin_refused(
    debhost: Build, bootseal: Bootseal, device: Path
) -> None:
    control = device / "control.dtb"
    checker = next(
        debhost.directory.glob("tmp/sysroots-components/*/u-boot-tools-native/usr/bin/uboot-fit_*")
    )
    assert bootseal("fit", "verify", device / "fit.itb", "--dtb", control).returncode == 0
    witness: list[str | Path] = [checker, "-f", device / "fit.itb", "-k", control]
    assert subprocess.run(witness, capture_output=True, check=False).returncode == 0

    fit = bytearray((device / "fit.itb").read_bytes())
    fit[len(fit) // 2] ^= 1
    (device / "fit.itb").write_bytes(fit)
    refused = bootseal("fit", "verify", device / "fit.itb", "--dtb", control)
    assert refused.returncode != 0
    assert "hash" in refused.stderr
    assert subprocess.run(witness, capture_output=True, check=False).returncode != 0


def test_the_disk_is_accepted_and_its_tampered_twin_refused(
    bootseal: Bootseal, device: Path
) -> None:
    done = bootseal("disk", "check", device, "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)["findings"]
    assert [finding for finding in found if finding["severity"] == "error"] == []

    disk = device / "disk.img"
    position = disk.read_bytes().index((device / "root.erofs").read_bytes()[1 << 20 : 1 << 21])
    with disk.open("r+b") as stream:
        stream.seek(position)
        stream.write(b"changed")
    refused = bootseal("disk", "check", device, "--json")
    assert refused.returncode != 0
    assert "disk.verity-data" in {each["id"] for each in json.loads(refused.stdout)["findings"]}


def test_the_device_boots_with_encrypted_data_and_stands_the_attacks(
    bootseal: Bootseal, device: Path, keys: Path
) -> None:
    scenarios = ("first-boot", "second-boot", "fit-unsigned", "root-flipped", "both-slots-broken")
    only = [word for name in scenarios for word in ("--scenario", name)]
    done = bootseal("boot", "matrix", device, "--keys", keys, *only, "--json", "-")
    assert done.returncode == 0, done.stderr
    results = json.loads(done.stdout)["results"]
    assert {each["id"]: each["verdict"] for each in results} == dict.fromkeys(scenarios, "passed")


def test_the_selftest_for_users_passes(debhost: Build, settings: str) -> None:
    debhost.configure(settings, layers=LAYERS)
    shutil.rmtree(debhost.directory.with_name("debhost-st"), ignore_errors=True)
    done = debhost.run("oe-selftest", "-r", "bootseal")
    assert done.code == 0, done.text
    assert "Ran 12 tests" in done.text
