# SPDX-License-Identifier: MIT
"""What U-Boot has and should not have is named."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bootseal.check import uboot
from bootseal.check.expected import Expected
from bootseal.device import Device, Qemu, describe
from bootseal.findings.model import Severity
from bootseal.formats.uboot import config

if TYPE_CHECKING:
    from pathlib import Path

GOOD = b"\0bootcmd=run bootseal\0bootdelay=-2\0\0bootseal gate 1\0"
CONFIG = "".join(f"CONFIG_{name}=y\n" for name in config.WANTED)


def test_good_uboot_has_no_findings() -> None:
    assert list(uboot.check_binary(GOOD)) == []
    assert list(uboot.check_config(CONFIG.encode(), "u-boot.config")) == []


@pytest.mark.parametrize("name", sorted(uboot.FORBIDDEN))
def test_command_is_found_by_the_text_of_its_help(name: str) -> None:
    for text in uboot.FORBIDDEN[name]:
        found = list(uboot.check_binary(GOOD + f"\0{text}\0".encode()))
        assert [(f.id, f.severity) for f in found] == [("disk.uboot-command", Severity.ERROR)]
        assert repr(name) in found[0].message


def test_text_that_only_begins_so_is_no_command() -> None:
    assert uboot.commands(b"\0memory display of something\0") == []


def test_missing_gate_is_a_warning() -> None:
    found = list(uboot.check_binary(GOOD.replace(b"gate 1", b"gate x")))

    assert [(f.id, f.severity) for f in found] == [("disk.uboot-gate", Severity.WARNING)]


@pytest.mark.parametrize("delay", [b"2", b"0", b"-1"])
def test_boot_that_can_be_stopped_is_refused(delay: bytes) -> None:
    found = list(uboot.check_binary(GOOD.replace(b"-2", delay)))

    assert [(f.id, f.severity) for f in found] == [("disk.uboot-environment", Severity.ERROR)]


def test_environment_that_is_not_found_is_a_warning() -> None:
    found = list(uboot.check_binary(b"bootseal gate 1\0"))

    assert [(f.id, f.severity) for f in found] == [("disk.uboot-environment", Severity.WARNING)]


def test_damaged_elf_file_is_searched_as_text() -> None:
    assert uboot.commands(b"\x7fELF\2\1" + bytes(60) + b"\0memory display\0") == ["md"]


@pytest.mark.parametrize(
    ("text", "named"),
    [
        pytest.param(
            CONFIG.replace("CONFIG_FIT=y\n", ""),
            ("u-boot.config", "CONFIG_FIT is not set: without it nothing is verified"),
            id="missing",
        ),
        pytest.param(
            CONFIG + "CONFIG_CMD_GO=y\n",
            ("u-boot.config:6", "CONFIG_CMD_GO is set: a command outside of the allow-list"),
            id="unwanted",
        ),
        pytest.param(
            CONFIG + "CONFIG_CMD_GO y\n",
            ("u-boot.config", "u-boot.config:6: 'CONFIG_CMD_GO y' is not a setting"),
            id="malformed",
        ),
    ],
)
def test_configuration_is_checked(text: str, named: tuple[str, str]) -> None:
    (found,) = uboot.check_config(text.encode(), "u-boot.config")
    assert found.id == "disk.uboot-config"
    assert found.severity is Severity.ERROR
    assert found.where == named[0]
    assert found.message.startswith(named[1])


def target(directory: Path, configs: dict[str, str]) -> Expected:
    """Return what a disk is checked against, whose U-Boot was configured several times."""
    for name, text in configs.items():
        (directory / name).write_text(text)
    device = Device(
        name="board",
        profile="dev",
        login=False,
        epoch=0,
        qemu=Qemu(system="", machine="", cpu="", cpus=1, memory=1),
        artefacts={
            f"uboot-config-{name}": describe(directory, directory / name) for name in configs
        },
        partitions=(),
        slots=(),
        keys={},
    )
    return Expected(
        image=directory / "disk.img",
        control=GOOD,
        partitions=(),
        slots=(),
        device=device,
        directory=directory,
    )


def test_every_configuration_of_uboot_is_checked(tmp_path: Path) -> None:
    open_environment = f"{CONFIG}CONFIG_ENV_IS_IN_MMC=y\n"
    configs = {"u-boot-sd.config": CONFIG, "u-boot-emmc.config": open_environment}
    (found,) = uboot.check(target(tmp_path, configs))
    assert found.where == "u-boot-emmc.config:6"
    assert found.message.startswith("CONFIG_ENV_IS_IN_MMC is set: the boot command would be read")


def test_every_configuration_is_compared_with_its_description(tmp_path: Path) -> None:
    configs = {"u-boot-sd.config": CONFIG, "u-boot-emmc.config": CONFIG}
    described = target(tmp_path, configs)
    assert list(uboot.check(described)) == []
    (tmp_path / "u-boot-emmc.config").write_text(f"{CONFIG}# another\n")
    assert [(f.id, f.where) for f in uboot.check(described)] == [
        ("disk.artefact", "u-boot-emmc.config")
    ]
