# SPDX-License-Identifier: MIT
"""What no U-Boot may have is found by what it is for, whether or not anyone has heard of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from bootseal.formats import kconfig
from bootseal.formats.kconfig import Setting
from bootseal.formats.uboot import config

FILES = Path(__file__).parents[4] / "meta-secureboot/recipes-bsp/u-boot/files"
GOOD = {f"CONFIG_{name}": Setting("y", 1) for name in config.WANTED}
COMMAND = "a command outside of the allow-list"
NETWORK = "the network would reach U-Boot"
STORAGE = "a file system would be parsed before it is verified"
ENVIRONMENT = "the boot command would be read from where anyone can write it"


def said(*on: str) -> list[tuple[str, str, str]]:
    """Return what is wrong with a good configuration that has more symbols switched on."""
    settings = GOOD | {f"CONFIG_{name}": Setting("y", 2) for name in on}
    return [(v.symbol, v.expected, v.reason) for v in config.violations(settings)]


def test_good_configuration_has_no_violations() -> None:
    assert said() == []


@pytest.mark.parametrize("name", sorted(config.WANTED))
@pytest.mark.parametrize("value", [None, "n", "m"])
def test_wanted_symbol_that_is_not_built_in_is_named(name: str, value: str | None) -> None:
    settings = dict(GOOD)
    del settings[f"CONFIG_{name}"]
    if value:
        settings[f"CONFIG_{name}"] = Setting(value, 1)
    (found,) = config.violations(settings)
    assert (found.symbol, found.expected) == (f"CONFIG_{name}", "y")
    assert found.reason == config.WANTED[name]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("ENV_IS_IN_MMC", ENVIRONMENT),
        ("ENV_IS_IN_NAND", ENVIRONMENT),
        ("ENV_IS_IN_REMOTE", ENVIRONMENT),
        ("SPL_ENV_IS_IN_FAT", ENVIRONMENT),
        ("ENV_IS_IN_SOMETHING_NEW", ENVIRONMENT),
        ("CMD_GO", COMMAND),
        ("CMD_UBI", COMMAND),
        ("CMD_SOMETHING_NEW", COMMAND),
        ("FS_FAT", STORAGE),
        ("FS_SOMETHING_NEW", STORAGE),
        ("NET", NETWORK),
        ("NET_LWIP", NETWORK),
        ("PROT_TCP", NETWORK),
        ("FASTBOOT", "something outside of the device could load or write"),
        ("USB_FUNCTION_MASS_STORAGE", "something outside of the device could load or write"),
        ("BOOTMETH_EFILOADER", "something else than a signed configuration of a FIT could start"),
        ("OF_BOARD", "what is verified, or with which key, would not be U-Boot's own choice"),
    ],
)
def test_member_of_a_family_is_named_with_what_it_would_do(name: str, reason: str) -> None:
    assert said(name) == [(f"CONFIG_{name}", "n", reason)]


@pytest.mark.parametrize(
    "name", ["CMD_BOOTM", "CMD_PART", "CMD_MMC", "CMD_VIRTIO", "MMC", "NO_NET"]
)
def test_what_the_boot_logic_needs_is_allowed(name: str) -> None:
    assert said(name) == []


def test_size_of_a_family_is_not_a_symbol_that_is_on() -> None:
    settings = GOOD | {"CONFIG_CMD_LOADXY_TIMEOUT": Setting("90", 2)}
    assert list(config.violations(settings)) == []


def test_file_system_that_only_spl_reads_is_allowed_and_its_twin_refused() -> None:
    assert said("SPL_FS_FAT", "FS_FAT") == []
    assert said("SPL_FS_FAT", "FS_EXT4") == [("CONFIG_FS_EXT4", "n", STORAGE)]


def test_fragments_of_the_layer_ask_for_nothing_that_is_refused() -> None:
    settings = {
        symbol: setting
        for path in sorted(FILES.glob("*.cfg"))
        for symbol, setting in kconfig.parse(path.read_bytes(), path.name).items()
    }
    assert list(config.violations(settings)) == []


def test_every_place_for_the_environment_is_switched_off_by_name() -> None:
    # The family is found in the finished configuration; here Kconfig is told.
    settings = kconfig.parse((FILES / "env.cfg").read_bytes(), "env.cfg")
    places = {name for name in settings if "ENV_IS_IN_" in name}
    assert {settings[name].value for name in places} == {kconfig.OFF}
    for place in ("EEPROM", "EXT4", "FAT", "FLASH", "MMC", "MTD", "NAND", "NVRAM", "ONENAND"):
        assert f"CONFIG_ENV_IS_IN_{place}" in places
    for place in ("REMOTE", "SCSI", "SPI_FLASH", "UBI"):
        assert f"CONFIG_ENV_IS_IN_{place}" in places
