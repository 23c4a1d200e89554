# SPDX-License-Identifier: MIT
"""A build directory from someone else starts no program but QEMU and writes no file outside."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from bootseal import device as devices
from bootseal.boot import run
from bootseal.boot.machine import state, swtpm
from bootseal.device import Artefact, Device, Qemu
from bootseal.errors import FormatError, UsageError
from bootseal.keys.signers import base as signers
from bootseal.progress import Silent

if TYPE_CHECKING:
    from pathlib import Path

QEMU = Qemu(
    system="qemu-system-aarch64",
    machine="virt-7.2,gic-version=3",
    cpu="cortex-a57",
    cpus=2,
    memory=1024,
)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    path = tmp_path / "device"
    path.mkdir()
    for name in ("disk.img", "firmware.bin"):
        (path / name).write_bytes(bytes(1 << 20))
    device = Device(
        name="d",
        profile="dev",
        login=True,
        epoch=0,
        qemu=QEMU,
        artefacts={
            "disk": Artefact(path="disk.img", sha256="aa", size=1 << 20),
            "bios": Artefact(path="firmware.bin", sha256="bb", size=1 << 20),
        },
        partitions=(),
        slots=(),
        keys={},
    )
    devices.save(device, path)
    return path


def change(directory: Path, section: str, name: str, value: object) -> None:
    document = json.loads((directory / "device.json").read_text())
    document[section][name] = value
    (directory / "device.json").write_text(json.dumps(document))


def test_device_need_not_be_one_of_qemu_s(directory: Path) -> None:
    devices.save(replace(devices.load(directory), qemu=None), directory)

    assert devices.load(directory).qemu is None
    # Left out is not the same as said to be none.
    document = json.loads((directory / "device.json").read_text())
    del document["qemu"]
    (directory / "device.json").write_text(json.dumps(document))
    with pytest.raises(FormatError, match="qemu"):
        devices.load(directory)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("machine", "virt"),
        ("machine", "virt,secure=on,virtualization=on"),
        ("cpu", "max,sve=off"),
        ("system", "qemu-system-riscv64"),
        ("cpus", 1),
    ],
)
def test_other_boards_of_qemu_are_taken(directory: Path, name: str, value: object) -> None:
    change(directory, "qemu", name, value)

    assert getattr(devices.load(directory).qemu, name) == value


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("system", "firmware.bin"),
        ("system", "./qemu-system-aarch64"),
        ("system", "/tmp/qemu-system-aarch64"),  # noqa: S108 - is not opened
        ("system", "sh"),
        ("system", ""),
        ("system", "qemu-system-aarch64\n"),
        ("machine", "virt-7.2,gic-version=3,dumpdtb=/tmp/victim"),
        ("machine", "virt,dtb=/etc/passwd"),
        ("machine", "virt,firmware=x"),
        ("machine", "virt,,secure=on"),
        ("machine", "-kernel"),
        ("machine", "virt,secure=/etc/passwd"),
        ("cpu", "max,sve=/etc/passwd"),
        ("cpu", "max -S"),
        ("cpu", "help\x1b[2J"),
        ("cpus", 0),
        ("cpus", 1 << 40),
        ("memory", -1),
        ("memory", 1 << 50),
    ],
)
def test_what_qemu_would_do_with_the_host_is_refused(
    directory: Path, name: str, value: object
) -> None:
    change(directory, "qemu", name, value)

    with pytest.raises(FormatError, match=rf"device\.json: qemu\.{name} is .*: expected") as seen:
        devices.load(directory)
    assert "\x1b" not in seen.value.message


@pytest.mark.parametrize("path", ["../x", "/etc/passwd", "", "link", "folder/x", ".", "pipe"])
def test_artefact_is_a_file_inside_the_directory(directory: Path, path: str) -> None:
    (directory / "link").symlink_to("/etc/passwd")
    (directory / "folder").symlink_to("/etc")
    os.mkfifo(directory / "pipe")
    change(directory, "artefacts", "bios", {"path": path, "sha256": "", "size": 1})

    with pytest.raises(FormatError, match=r"artefact 'bios' (points outside|is or is|is not)"):
        devices.load(directory)


def with_rom(directory: Path, **firmware: object) -> None:
    """Describe a boot ROM and what it starts, with some values of `firmware` changed."""
    document = json.loads((directory / "device.json").read_text())
    artefact = {"path": "firmware.bin", "sha256": "", "size": 1}
    document["artefacts"] |= dict.fromkeys(devices.ROM_ROLES, artefact)
    document["firmware"] = {"mrk": "0" * 64, "counter": 1, "banks": []} | firmware
    (directory / "device.json").write_text(json.dumps(document))


def test_device_with_a_boot_rom_starts_with_it(directory: Path) -> None:
    without = devices.load(directory).first_code(directory)
    with_rom(directory)
    change(directory, "artefacts", "rom", {"path": "disk.img", "sha256": "", "size": 1})

    assert without == directory / "firmware.bin"
    assert devices.load(directory).first_code(directory) == directory / "disk.img"


@pytest.mark.parametrize("role", devices.ROM_ROLES)
def test_boot_rom_is_there_as_a_whole(directory: Path, role: str) -> None:
    with_rom(directory)
    document = json.loads((directory / "device.json").read_text())
    del document["artefacts"][role]
    (directory / "device.json").write_text(json.dumps(document))

    with pytest.raises(FormatError, match=r"expected rom, firmware, bl2, bl31, as 'firmware' is"):
        devices.load(directory)


def test_boot_rom_without_firmware_is_refused(directory: Path) -> None:
    change(directory, "artefacts", "rom", {"path": "firmware.bin", "sha256": "", "size": 1})

    with pytest.raises(FormatError, match=r"lists rom of a boot ROM: expected none"):
        devices.load(directory)


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("mrk", "0" * 63, r"firmware\.mrk is '0+': expected 64"),
        ("mrk", "G" * 64, r"firmware\.mrk is 'G+': expected 64"),
        ("mrk", "\x1b[2J", r"firmware\.mrk is .*: expected 64"),
        ("counter", -1, r"firmware\.counter is -1: expected 0 to 63"),
        ("counter", 64, r"firmware\.counter is 64: expected 0 to 63"),
        ("banks", ["fw-a"], r"has no partition 'fw-a'"),
    ],
)
def test_firmware_is_described_in_values_that_exist(
    directory: Path, name: str, value: object, why: str
) -> None:
    with_rom(directory, **{name: value})

    with pytest.raises(FormatError, match=why) as seen:
        devices.load(directory)
    assert "\x1b" not in seen.value.message


@pytest.fixture
def booted(directory: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory that was booted here, as far as its files go."""
    monkeypatch.setattr(swtpm, "manufacture", lambda path: path.mkdir())
    run.machine(devices.load(directory), directory, Silent())
    (directory / "logs").mkdir()
    return directory


@pytest.mark.tool("qemu-img")
def test_state_of_this_device_is_used_again(booted: Path) -> None:
    machine = run.machine(devices.load(booted), booted, Silent())

    assert machine.disk == booted / "state/disk.qcow2"


@pytest.mark.tool("qemu-img")
@pytest.mark.parametrize(
    "options",
    [
        ["-o", "data_file=victim,data_file_raw=on"],
        ["-F", "raw", "-b", "{victim}"],
        ["-F", "qcow2", "-b", "{disk}"],
        ["-o", "extended_l2=on", "-F", "raw", "-b", "{disk}"],
        [],
    ],
    ids=["data-file", "other-backing", "other-format", "other-features", "no-backing"],
)
def test_shipped_overlay_that_opens_another_file_is_refused_and_made_anew(
    booted: Path, options: list[str]
) -> None:
    (booted / "victim").write_bytes(bytes(1 << 20))
    backing = booted / "disk.img"
    if "qcow2" in options:
        backing = booted / "other.qcow2"
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", backing, "1M"], check=True)
    given = [each.format(victim=booted / "victim", disk=backing) for each in options]
    overlay = booted / "state/disk.qcow2"
    overlay.unlink()
    command = ["qemu-img", "create", "-q", "-f", "qcow2", *given, str(overlay), "1M"]
    subprocess.run(command, check=True, cwd=booted)

    with pytest.raises(UsageError, match="is not the overlay that `boot run` made") as seen:
        run.machine(devices.load(booted), booted, Silent())
    assert seen.value.hint == f"bootseal boot run --reset {booted}"
    run.forget(booted)
    run.machine(devices.load(booted), booted, Silent())
    assert (booted / "victim").read_bytes() == bytes(1 << 20)


@pytest.mark.tool("qemu-img")
@pytest.mark.parametrize(
    "name", ["state", "tpm", "logs", "logs/boot-001.log", "state/origin", "state/disk.qcow2"]
)
def test_links_in_the_state_are_refused_and_removed_but_not_followed(
    booted: Path, tmp_path: Path, name: str
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "precious").write_text("precious")
    place = booted / name
    state.remove(place)
    place.symlink_to(elsewhere / "precious" if "/" in name else elsewhere)

    with pytest.raises(UsageError, match="is a link, or not a file"):
        run.machine(devices.load(booted), booted, Silent())
    run.forget(booted)
    assert not place.is_symlink()
    assert (elsewhere / "precious").read_text() == "precious"
    run.machine(devices.load(booted), booted, Silent())


def test_key_file_names_no_library_of_its_own(tmp_path: Path) -> None:
    key = tmp_path / "fit.key"
    key.write_text(f"bootseal-signer: pkcs11:token=a;object=b?module-path={tmp_path}/evil.so\n")
    (tmp_path / "evil.so").touch()

    with pytest.raises(UsageError, match=r"evil\.so: a key file may only name one below /usr"):
        signers.open(str(key))

    (tmp_path / "usr").symlink_to("/usr")
    for module in ("/usr/lib/none.so", f"{tmp_path}/usr/lib/none.so"):
        key.write_text(f"bootseal-signer: pkcs11:token=a;object=b?module-path={module}\n")
        with pytest.raises(Exception, match=r"none\.so") as seen:
            signers.open(str(key))
        assert "may only name" not in str(seen.value)


@pytest.mark.parametrize("text", ["abc", "0x00", "AB", "zz"])
@pytest.mark.parametrize("field", ["pcrs.8", "events.0.sha256", "events.0.data"])
def test_prediction_that_is_not_hex_is_refused(directory: Path, field: str, text: str) -> None:
    path = directory / "device.json"
    event = {"pcr": 8, "type": 12, "sha256": "ab" * 32, "data": ""}
    slot = {"name": "a", "configuration": "conf-a", "boot": "boot-a", "root": "root-a"}
    slot |= {"verity": "root-a-verity", "root_hash": "ab" * 32}
    good = slot | {"pcrs": {"8": "ab" * 32}, "events": [event]}
    path.write_text(json.dumps(json.loads(path.read_text()) | {"slots": [good]}))
    assert devices.load(directory).slots[0].events[0].data == ""

    name = field.rpartition(".")[2]
    bad = {"pcrs": {"8": text}} if field == "pcrs.8" else {"events": [event | {name: text}]}
    path.write_text(json.dumps(json.loads(path.read_text()) | {"slots": [good | bad]}))

    with pytest.raises(FormatError, match=f"slot 'a': {field} is '{text}': expected bytes"):
        devices.load(directory)
