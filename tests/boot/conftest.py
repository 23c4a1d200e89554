# SPDX-License-Identifier: MIT
"""Firmware of a few instructions, so that the machinery is tested on a real QEMU in a second."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from bootseal.boot.machine.qemu import Machine
from bootseal.device import Device, Qemu, Slot, describe, save
from bootseal.units import MIB

VIRT = Qemu(
    system="qemu-system-aarch64",
    machine="virt-7.2,gic-version=3",
    cpu="cortex-a57",
    cpus=1,
    memory=128,
)
_CC = "aarch64-linux-gnu-gcc"
_FLAGS = ["-nostdlib", "-ffreestanding", "-static", "-O1", "-mstrict-align", "-fno-pic", "-no-pie"]
_LINK = "-Wl,-Ttext=0x100,--section-start=.start=0,--build-id=none,-e0"

_REFUSAL = "bootseal: slot a refused\nbootseal: no slot could be started, powering off\n"

MakeMachine = Callable[[str, str], Machine]


@pytest.fixture
def make_machine(tmp_path: Path) -> MakeMachine:
    """Return a function: text to print and what to do then (see payload.c) -> a machine."""
    for tool in (_CC, VIRT.system):
        if shutil.which(tool) is None:
            if os.environ.get("BOOTSEAL_CI") == "1":
                pytest.fail(f"{tool} is missing")
            pytest.skip(f"{tool} is missing")

    def make(text: str, end: str) -> Machine:
        elf, bios = tmp_path / "payload.elf", tmp_path / "payload.bin"
        defines = [f"-DTEXT={json.dumps(text)}", f"-DEND='{end}'"]
        source = Path(__file__).parent / "payload.c"
        paths = ["-o", str(elf), str(source)]
        subprocess.run([_CC, *_FLAGS, _LINK, *defines, *paths], check=True)
        binary = ["aarch64-linux-gnu-objcopy", "-O", "binary", elf, bios]
        subprocess.run(list(map(str, binary)), check=True)
        return Machine(qemu=VIRT, bios=bios, disk=None, tpm=None)

    return make


@pytest.fixture
def tiny_device(make_machine: MakeMachine, tmp_path: Path) -> Path:
    """Make a build directory around a firmware that refuses slot a and switches itself off."""
    return _device(make_machine(_REFUSAL, "o"), tmp_path)


@pytest.fixture
def hanging_device(make_machine: MakeMachine, tmp_path: Path) -> Path:
    """Make a build directory around a firmware that says one line and then nothing for ever."""
    return _device(make_machine("bootseal: trying slot a\n", "h"), tmp_path)


def _device(machine: Machine, tmp_path: Path) -> Path:
    disk = tmp_path / "disk.img"
    with disk.open("wb") as file:
        file.truncate(8 * MIB)
    table = b"label: gpt\nsize=1MiB, name=boot-a\nsize=2MiB, name=root-a\n"
    subprocess.run(["sfdisk", "-q", str(disk)], input=table, check=True)
    device = Device(
        name="tiny",
        profile="dev",
        login=False,
        epoch=0,
        qemu=machine.qemu,
        artefacts={
            "disk": describe(tmp_path, disk),
            "bios": describe(tmp_path, machine.bios),
        },
        partitions=(),
        slots=(
            Slot(
                name="a",
                configuration="conf-a",
                boot="boot-a",
                root="root-a",
                verity="root-a-verity",
                root_hash="00",
                pcrs={},
            ),
        ),
        keys={},
    )
    save(device, tmp_path)
    return tmp_path
