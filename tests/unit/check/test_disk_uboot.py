# SPDX-License-Identifier: MIT
"""What U-Boot has and should not have is named."""

from __future__ import annotations

import pytest

from bootseal.check import uboot
from bootseal.findings.model import Severity

GOOD = b"\0bootcmd=run bootseal\0bootdelay=-2\0\0bootseal gate 1\0"
CONFIG = "".join(
    f"CONFIG_{name}=y\n"
    for name in ("FIT", "FIT_SIGNATURE", "FIT_FULL_CHECK", "RSA_VERIFY", "ENV_IS_NOWHERE")
)


def test_good_uboot_has_no_findings() -> None:
    assert list(uboot.check_binary(GOOD)) == []
    assert list(uboot.check_config(CONFIG)) == []


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
        pytest.param(CONFIG.replace("CONFIG_FIT=y\n", ""), "CONFIG_FIT is not set", id="missing"),
        pytest.param(CONFIG + "CONFIG_CMD_GO=y\n", "CONFIG_CMD_GO is set", id="unwanted"),
    ],
)
def test_configuration_is_judged(text: str, named: str) -> None:
    assert [f.message for f in uboot.check_config(text)] == [named]
