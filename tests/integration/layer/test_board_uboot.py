# SPDX-License-Identifier: MIT
"""U-Boot for three boards: the layer's patches and fragments on their defconfigs, compiled.

The sources are those of the reference device's U-Boot, Debian's package, and so is the compiler.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from tests import samples
from tests.uboot_verdict import EPOCH

from bootseal.assembly import fragments
from bootseal.assembly.fragments import FragmentRole
from bootseal.assembly.layer import Layer
from bootseal.errors import BootsealError
from bootseal.progress import Silent
from bootseal.reference import sources, uboot
from bootseal.reference.apt import Apt

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.uboot_verdict import Uboot

    from bootseal.assembly.fragments import Fragment, Problem

pytestmark = [pytest.mark.slow, pytest.mark.tool("aarch64-linux-gnu-gcc")]

LAYER = Layer(Path(__file__).parents[3] / "meta-secureboot")
FILES = LAYER.directory / "recipes-bsp/u-boot/files"
KEY = "DEV-fit-1"
# For a board that the layer has no machine for. The eMMC is device 0, and RAM starts at 0x80000000.
AM62X = """\
CONFIG_BOOTSEAL_DISK_MMC=y
CONFIG_BOOTSEAL_DISK=0
CONFIG_BOOTSEAL_STATE_ADDRESS=0x88000000
CONFIG_BOOTSEAL_FIT_ADDRESS=0x90000000
CONFIG_SYS_BOOTM_LEN=0x4000000
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """What a machine of the layer says of its U-Boot.

    Attributes:
        defconfig: Its defconfig.
        directory: Where U-Boot looks for the boot logic.
        harden: The layer's fragments that not every board can hold, and this one does.
        disk: Number of the disk that the boot logic reads.
        before: What the defconfig has on and the fragments have off, without `CONFIG_`.
    """

    defconfig: str
    directory: str
    harden: tuple[str, ...]
    disk: int
    before: str

    @classmethod
    def of(cls, machine: str, defconfig: str, *, disk: int, before: str) -> Board:
        """Read it out of the include file of a machine."""
        path = LAYER.directory / f"conf/machine/include/bootseal-{machine}.inc"
        said = dict(re.findall(r'^(BOOTSEAL_\w+) \??= "(.*)"$', path.read_text(), re.MULTILINE))
        return cls(
            defconfig=defconfig,
            directory=said["BOOTSEAL_UBOOT_BOARD_DIR"],
            harden=tuple(said["BOOTSEAL_UBOOT_HARDEN"].split()),
            disk=disk,
            before=before,
        )


BOARDS = {
    "raspberrypi4-64": Board.of("raspberrypi4-64", "rpi_arm64", disk=0, before="ENV_IS_IN_FAT"),
    "imx8mp-lpddr4-evk": Board.of(
        "imx8mp-lpddr4-evk", "imx8mp_evk", disk=2, before="ENV_IS_IN_MMC"
    ),
    # K3 selects LTO, its SPL reads U-Boot from FAT, and nothing of its U-Boot switches it off.
    "am62x-evm": Board(
        defconfig="am62x_evm_a53",
        directory="board/ti/am62x",
        harden=(),
        disk=0,
        before="EFI_LOADER",
    ),
}


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """U-Boot's sources with the layer's patches and boot logic."""
    source = Apt.prepare()
    path = tmp_path_factory.mktemp("u-boot") / "source"
    try:
        source.update(Silent())
        sources.unpack(source, uboot.find(source), path, LAYER.uboot_files("*.patch"))
    except BootsealError as error:
        pytest.skip(f"U-Boot's sources cannot be had: {error}")
    for board in BOARDS.values():
        shutil.copy(FILES / "bootseal.env", path / board.directory)
    return path


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key and its certificate under the names that mkimage looks for."""
    directory = tmp_path_factory.mktemp("keys")
    samples.write_key(directory, KEY, rsa.generate_private_key(65537, 4096))
    return directory


def make(tree: Path, out: Path, *targets: str) -> None:
    uboot.make(tree, [f"O={out}", *targets], epoch=EPOCH)


def configure(tree: Path, out: Path, board: Board, paths: Sequence[Path]) -> None:
    make(tree, out, f"{board.defconfig}_defconfig")
    with (out / ".config").open("a") as config:
        config.writelines(f"\n{path.read_text()}\n" for path in paths)
    make(tree, out, "olddefconfig")


def given(machine: str, directory: Path) -> list[Fragment]:
    """Return the layer's fragments for a board without a TPM, and the board's own."""
    names = ("verify.cfg", "harden.cfg", "env.cfg", *BOARDS[machine].harden)
    own = FILES / machine / f"{machine}.cfg"
    if machine == "am62x-evm":
        own = directory / "am62x.cfg"
        own.write_text(AM62X)
    found = [fragments.read(FILES / name, FragmentRole.REQUIRED) for name in names]
    return [*found, fragments.read(own, FragmentRole.BOARD)]


def problems(tree: Path, out: Path, wanted: Sequence[Fragment]) -> tuple[Problem, ...]:
    return fragments.problems(out / ".config", wanted, uboot=True, sources=tree)


def environments(out: Path) -> set[str]:
    """Return the places that the linked U-Boot can read an environment from."""
    said = subprocess.run(
        ["aarch64-linux-gnu-nm", out / "u-boot"], capture_output=True, text=True, check=True
    ).stdout
    return set(re.findall(r"_u_boot_list_2_env_driver_2_(\w+)", said))


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("machine", BOARDS)
def test_u_boot_of_a_board_holds_every_fragment_and_links(
    tree: Path, tmp_path: Path, uboot: Uboot, keys: Path, machine: str
) -> None:
    board, out = BOARDS[machine], tmp_path / "out"
    wanted = given(machine, tmp_path)
    configure(tree, out, board, [Path(each.file) for each in wanted])
    assert [problem.message for problem in problems(tree, out, wanted)] == []

    make(tree, out, "u-boot.dtb", "u-boot-nodtb.bin")
    assert environments(out) == {"nowhere"}
    binary = (out / "u-boot-nodtb.bin").read_bytes()
    assert f"part start mmc {board.disk} bootstate".encode() in binary
    assert b"bootcmd=run bootseal\0" in binary

    control = out / "u-boot.dtb"
    assert required(control) is None
    # As uboot-sign.bbclass of OE-Core does it: an empty FIT, for the sake of the key.
    args: list[str | Path] = ["-f", "auto-conf", "-d", "/dev/null"]
    args += ["-K", control, "-k", keys, "-g", KEY]
    args += ["-o", "sha256,rsa4096", "-r", "-A", "arm64", "-O", "linux", "-T", "kernel"]
    args += ["-C", "none", "-a", "0", "-e", "0", "-n", "key", tmp_path / "unused.itb"]
    subprocess.run([uboot.tools / "mkimage", *args], capture_output=True, check=True)
    assert required(control) == "conf"


@pytest.mark.parametrize("machine", BOARDS)
def test_defconfig_of_a_board_alone_is_refused(tree: Path, tmp_path: Path, machine: str) -> None:
    out, wanted = tmp_path / "out", given(machine, tmp_path)
    configure(tree, out, BOARDS[machine], [])
    found = {problem.symbol: problem.observed for problem in problems(tree, out, wanted)}
    assert found[f"CONFIG_{BOARDS[machine].before}"] == "y"


def test_what_a_board_cannot_hold_is_named(tree: Path, tmp_path: Path) -> None:
    # SPL's FS_FAT selects it.
    out, machine = tmp_path / "out", "am62x-evm"
    extra = fragments.read(FILES / "harden-fat.cfg", FragmentRole.REQUIRED)
    wanted = [extra, *given(machine, tmp_path)]
    configure(tree, out, BOARDS[machine], [Path(each.file) for each in wanted])
    assert [problem.symbol for problem in problems(tree, out, wanted)] == ["CONFIG_FS_FAT"]


def required(control: Path) -> str | None:
    """Return what a control device tree demands of the key, if it has it."""
    node = f"/signature/key-{KEY}"
    done = subprocess.run(
        ["fdtget", control, node, "required"], capture_output=True, text=True, check=False
    )
    return done.stdout.strip() if done.returncode == 0 else None
