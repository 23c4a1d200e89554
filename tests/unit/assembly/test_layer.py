# SPDX-License-Identifier: MIT
from __future__ import annotations

import configparser
import shutil
from pathlib import Path, PurePosixPath

import pytest

from bootseal.assembly import layer
from bootseal.assembly.layer import Layer
from bootseal.errors import UsageError

SHIPPED = Path(__file__).parents[3] / "meta-secureboot"


def test_every_file_of_the_shipped_layer_has_a_place() -> None:
    placed = Layer(SHIPPED).device_files(login=True)

    targets = {file.target for file in placed}
    assert len(targets) == len(placed)
    assert PurePosixPath("usr/bin/bootseal-status") in targets


def test_programs_and_nothing_else_may_be_executed() -> None:
    placed = Layer(SHIPPED).device_files(login=True)

    for file in placed:
        assert (file.mode == 0o755) == file.source.read_bytes().startswith(b"#!"), file


def test_shell_is_in_development_images_only() -> None:
    with_login = {f.source.name for f in Layer(SHIPPED).device_files(login=True)}
    without = {f.source.name for f in Layer(SHIPPED).device_files(login=False)}

    assert with_login - without == {"bootseal-shell.service"}


def test_rauc_reads_only_keys_that_its_oldest_version_knows() -> None:
    """RAUC refuses a whole configuration for a key that it does not know: 1.13 is the oldest."""
    text = Layer(SHIPPED).rauc("gateway").decode()
    found = configparser.ConfigParser(delimiters="=", comment_prefixes="#", interpolation=None)
    found.read_string(text)
    slots = {f"slot.{kind}.{number}" for kind in ("boot", "root", "verity") for number in (0, 1)}
    assert {*found.sections()} == {"system", "keyring", "handlers", *slots}
    system = {"compatible", "bootloader", "bundle-formats", "data-directory", "mountprefix"}
    assert found["system"].keys() == system
    assert found["system"]["compatible"] == "gateway"
    assert {*found["system"]["bundle-formats"].split()} == {"verity", "crypt"}
    keyring = {"path", "allow-partial-chain", "check-purpose", "use-bundle-signing-time"}
    assert found["keyring"].keys() == keyring
    assert found["handlers"].keys() == {"bootloader-custom-backend", "pre-install"}
    for name in slots:
        assert found[name].keys() <= {"device", "type", "parent", "bootname"}
        assert ("parent" in found[name]) != ("bootname" in found[name])


def test_repart_never_runs_on_its_own() -> None:
    assert "systemd-repart.service" in Layer(SHIPPED).masked_units()


def test_sysrq_is_off_before_the_initramfs_does_anything_else() -> None:
    lines = Layer(SHIPPED).file(layer.INITRAMFS_INIT).read_text().splitlines()
    off = lines.index("[ ! -e /proc/sys/kernel/sysrq ] || echo 0 >/proc/sys/kernel/sysrq")
    assert off < lines.index("cmdline=$(cat /proc/cmdline)")


@pytest.mark.parametrize(
    "unit",
    [
        "debug-shell.service",
        "emergency.service",
        "emergency.target",
        "rescue.service",
        "rescue.target",
        "console-getty.service",
        "getty@.service",
        "serial-getty@.service",
    ],
)
def test_no_unit_of_systemd_gives_a_shell(unit: str) -> None:
    assert unit in Layer(SHIPPED).masked_units()


def test_file_without_a_place_is_refused_by_name(tmp_path: Path) -> None:
    shutil.copytree(SHIPPED / layer.DEVICE, tmp_path / layer.DEVICE)
    (tmp_path / layer.DEVICE / "surprise.sh").touch()

    with pytest.raises(UsageError, match=r"surprise\.sh: there is no rule for where"):
        Layer(tmp_path).device_files(login=True)


def test_directory_that_is_no_layer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is not the layer meta-secureboot"):
        Layer.find(tmp_path)


def test_missing_file_is_refused_by_name() -> None:
    with pytest.raises(UsageError, match="the layer has no file files/nothing"):
        Layer(SHIPPED).file("files/nothing")
