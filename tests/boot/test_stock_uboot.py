# SPDX-License-Identifier: MIT
"""FITs signed here boot in the U-Boots that Debian ships for QEMU, and changed ones do not.

These are builds without a line of ours: the key comes in the device tree that QEMU hands over.
One boot of a second or two checks all algorithms, each with a tampered twin, by `bootm start`, and
ends in a kernel of ten instructions.
"""

from __future__ import annotations

import os
import re
import struct
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import pytest
from tests import samples
from tests.samples import CONFIGURATION, sample
from tests.tree_edits import ANY_SUFFICES

from bootseal.errors import BootsealError
from bootseal.formats.fdt import model as fdt
from bootseal.progress import Silent
from bootseal.reference import apt
from bootseal.reference.apt import Apt

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.tool("qemu-system-aarch64"), pytest.mark.timeout(900)]

ADDRESS: Final = 0x48000000
STRIDE: Final = 0x10000
MACHINE: Final = ("-cpu", "cortex-a57", "-m", "256", "-nic", "none", "-nographic")
RELEASES: Final = {"bookworm": "2023.01", "trixie": "2025.01"}
# The head of an arm64 kernel that may run where it is, and code that writes "K\n" to the serial
# port and switches the machine off.
KERNEL: Final = struct.pack(
    "<II6Q4sI", 0x14000010, 0, 0, 0x1000, 8, 0, 0, 0, b"ARM\x64", 0
) + b"".join(
    word.to_bytes(4, "little")
    for word in (
        0xD2A12001,  # mov x1, #0x9000000
        0x52800962,  # mov w2, #'K'
        0x39000022,  # strb w2, [x1]
        0x52800142,  # mov w2, #'\n'
        0x39000022,  # strb w2, [x1]
        0x52800100,  # mov w0, #8
        0x72B08000,  # movk w0, #0x8400, lsl #16: PSCI SYSTEM_OFF
        0xD4000002,  # hvc #0
        0x14000000,  # b .
    )
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A FIT, and what the console must say of its configuration when it is good."""

    name: str
    fit: bytes
    good: bool
    says: str


@pytest.fixture(scope="module", params=RELEASES)
def stock(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Debian's u-boot.bin for QEMU, out of the package of one release."""
    tree = tmp_path_factory.mktemp("stock") / "tree"
    try:
        source = Apt.prepare(request.param)
        source.update(Silent())
        closure = source.resolve(["u-boot-qemu"])
        apt.extract(source.download(["u-boot-qemu"], closure), tree)
    except BootsealError as error:
        if os.environ.get("BOOTSEAL_CI") == "1":
            raise
        pytest.skip(f"the package cannot be had: {error}")
    (package,) = (item for item in closure if item.package == "u-boot-qemu")
    assert package.version.startswith(RELEASES[request.param])
    return tree / "usr/lib/u-boot/qemu_arm64/u-boot.bin"


def make_cases(control: bytes) -> tuple[list[Case], bytes]:
    """One good FIT and one tampered twin for each algorithm; and the tree that trusts the keys."""
    cases = []
    parts = samples.PARTS | {"kernel-1": ("kernel", KERNEL)}
    algorithms = [f"{name},{key}" for name in samples.HASHES for key in samples.RSA]
    for algorithm in [*algorithms, "sha256,ecdsa256"]:
        elliptic = "ecdsa" in algorithm
        for padding in ("",) if elliptic else ("", "pss"):
            hint = algorithm.replace(",", "-")
            made = sample(algorithm, padding=padding, base=control, parts=parts, hint=hint)
            control = made.control
            evil = fdt.rewrite(made.fit, change_load)
            name = f"{algorithm} {padding}".strip()
            says = f"{algorithm}:{hint}-1+ OK"
            cases += [
                # ECDSA needs a hardware driver that QEMU's boards do not have, and PSS a setting
                # that Debian's builds do not.
                Case(name=name, fit=made.fit, good=not elliptic and not padding, says=says),
                Case(name=f"{name}, tampered", fit=evil, good=False, says=says),
            ]
    return cases, fdt.rewrite(control, ANY_SUFFICES)


def change_load(root: fdt.Node) -> None:
    kernel = root.find("/images/kernel-1")
    assert kernel is not None
    kernel.properties["load"] = (0x40600000).to_bytes(4)


def boot(stock: Path, directory: Path) -> tuple[list[Case], str]:
    """Boot once and return the cases with what the console said."""
    virt = directory / "virt.dtb"
    dump = ["-M", f"virt,dtb-randomness=off,dumpdtb={virt}", *MACHINE]
    subprocess.run(["qemu-system-aarch64", *dump], check=True, capture_output=True)
    cases, control = make_cases(virt.read_bytes())
    addresses = [f"{ADDRESS + number * STRIDE:x}#{CONFIGURATION}" for number in range(len(cases))]
    commands = [f"echo CASE; bootm start {address}; echo GOT $?" for address in addresses]
    commands += [f"echo CASE; bootm {addresses[0]}; poweroff"]
    config = {"bootcmd": "; ".join(commands).encode() + b"\0", "bootdelay": b"\xff\xff\xff\xfe"}
    tree = fdt.rewrite(control, lambda root: root.children.insert(0, fdt.Node("config", config)))
    (directory / "control.dtb").write_bytes(tree)
    blob = b"".join(case.fit.ljust(STRIDE, b"\0") for case in cases)
    (directory / "fits").write_bytes(blob)
    done = subprocess.run(
        [
            *("qemu-system-aarch64", "-M", "virt", "-no-reboot", *MACHINE, "-bios", stock),
            *("-dtb", directory / "control.dtb", "-device"),
            f"loader,file={directory}/fits,addr={ADDRESS:#x},force-raw=on",
        ],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=300,
        check=True,
    )
    return cases, done.stdout.decode(errors="replace").replace("\r", "")


def test_every_algorithm_and_its_tampered_twin(stock: Path, tmp_path: Path) -> None:
    cases, console = boot(stock, tmp_path)
    said = re.split(r"^CASE\n", console, flags=re.MULTILINE)
    assert len(said) == len(cases) + 2, console[-2000:]

    for case, text in zip(cases, said[1:], strict=False):
        started = text.rstrip().endswith("GOT 0")
        assert started is case.good, f"{case.name}\n{text}"
        assert (case.says in text) is case.good, f"{case.name}\n{text}"
        if case.good:
            # Kernel, ramdisk and device tree, each after the configuration that names it.
            assert text.count(case.says) == 3
            hash_name = case.name.split(",")[0]
            assert text.count(f"Verifying Hash Integrity ... {hash_name}+ OK") == 3
        else:
            assert "Verifying Hash Integrity" in text
            assert "Bad Data Hash" in text

    assert re.search(r"Starting kernel \.\.\.\s+K\n", said[-1])
