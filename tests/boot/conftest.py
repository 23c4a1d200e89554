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

from bootseal.boot.qemu import Machine
from bootseal.device import Qemu

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
