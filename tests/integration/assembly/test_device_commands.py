# SPDX-License-Identifier: MIT
"""`bootseal device`: the steps that the layer's tasks take, on parts made in a moment."""

from __future__ import annotations

import dataclasses
import gzip
import json
import os
import shutil
from pathlib import Path

import pytest
from tests.integration import board_layouts
from typer.testing import CliRunner

from bootseal import device
from bootseal.assembly import disk_image, verity
from bootseal.cli.app import app
from bootseal.disk.layout import parse_wks
from bootseal.errors import BootsealError, UsageError, VerificationRefused
from bootseal.formats.fdt import model as fdt
from bootseal.formats.uboot import config as uboot_config
from bootseal.target import Target

LAYER = Path(__file__).parents[3] / "meta-secureboot"
FILES = LAYER / "recipes-bsp/u-boot/files"
WKS = LAYER / "files/wic/bootseal-ab.wks"
BOARD = FILES / "qemu-virt-bootseal.dts"
EPOCH = "1767225600"

pytestmark = [
    pytest.mark.tool("mkimage"),
    pytest.mark.tool("dtc"),
    pytest.mark.tool("fsck.erofs"),
    pytest.mark.tool("mkfs.erofs"),
    pytest.mark.tool("veritysetup"),
    pytest.mark.tool("sfdisk"),
]


def run(*args: str | Path) -> BaseException | None:
    """Run `bootseal` and return the error it ended in, None for success."""
    result = CliRunner().invoke(
        app, [str(arg) for arg in args], env={"SOURCE_DATE_EPOCH": EPOCH, "COLUMNS": "80"}
    )
    error = result.exception
    if error is not None and not isinstance(error, BootsealError | SystemExit):
        raise error
    return error


def make_root(directory: Path, files: dict[str, str]) -> None:
    """Write root.erofs with some files."""
    tree = directory.parent / "tree"
    shutil.rmtree(tree, ignore_errors=True)
    for name, text in files.items():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text(text)
    (directory / "root.erofs").unlink(missing_ok=True)
    verity.make_erofs(tree, directory / "root.erofs", epoch=int(EPOCH))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with every part, and the keys next to it, as far as the disk."""
    keys = tmp_path_factory.mktemp("device") / "keys"
    directory = keys.parent / "parts"
    directory.mkdir()
    roles = [f"--only={role}" for role in ("root", "fit", "policy")]
    assert run("keys", "generate", keys, *roles) is None
    make_root(directory, {"etc/passwd": "root:*:0:0::/root:/bin/sh\n"})
    (directory / "Image.gz").write_bytes(gzip.compress(bytes(0x38) + b"ARM\x64", mtime=0))
    (directory / "initramfs.cpio.gz").write_bytes(gzip.compress(b"initramfs", mtime=0))
    version = b"U-Boot 2026.01 (Jan 01 2026 - 00:00:00 +0000)\0"
    (directory / "u-boot.bin").write_bytes(
        b"code" + version + b"\0fit_addr=0x50000000\0" + fdt.emit(fdt.Node())
    )
    (directory / "u-boot.config").write_text("CONFIG_SYS_BOOTM_LEN=0x4000000\n")
    assert run("device", "verity", directory) is None
    assert run("device", "trees", directory, *trees(BOARD)) is None
    sign(directory, keys)
    policy = directory / "tpm2-pcr-signature.json"
    fit, key = directory / "fit.itb", keys / "DEV-policy.key"
    assert run("measure", "sign", fit, "--key", key, "-o", policy) is None
    assert run("device", "parts", directory, "--layout", WKS) is None
    layout = parse_wks(WKS.read_text())
    contents = {file: directory / file for file in layout.files.values()}
    disk_image.write(layout, contents, directory / "disk.img")
    return directory


def trees(board: Path) -> list[str | Path]:
    return ["--board", board, "--bootargs", FILES / "bootargs", "--rollback-index", "7"]


def sign(directory: Path, keys: Path) -> None:
    """Assemble and sign the FIT, and give the key to the boot loader."""
    fit = directory / "fit.itb"
    parts: list[str | Path] = [
        "--kernel",
        directory / "Image.gz",
        "--ramdisk",
        directory / "initramfs.cpio.gz",
    ]
    for slot in "ab":
        parts += ["--fdt", f"{slot}={directory / f'fdt-{slot}.dtb'}"]
    assert run("fit", "build", *parts, "--hint", "DEV-fit-1", "-o", fit) is None
    loader = directory / "u-boot.bin"
    key = keys / "DEV-fit-1.key"
    assert run("fit", "sign", fit, "--key", key, "--hint", "DEV-fit-1", "--dtb", loader) is None
    data = loader.read_bytes()
    (directory / "control.dtb").write_bytes(data[data.index(bytes.fromhex("d00dfeed")) :])


def chosen(path: Path) -> dict[str, bytes]:
    node = fdt.parse(path.read_bytes()).child("chosen")
    assert node is not None
    return node.properties


def describe(directory: Path) -> BaseException | None:
    keys = directory.parent / "keys"
    names: list[str | Path] = [
        "--name",
        "try-arm64",
        "--keys",
        keys,
        "--layout",
        WKS,
        "--layer",
        LAYER,
    ]
    return run(
        "device", "describe", directory, *names, "--qemu-machine", "virt", "--qemu-memory", "512"
    )


def copy(made: Path, tmp_path: Path) -> Path:
    shutil.copytree(made.parent / "keys", tmp_path / "keys")
    # The disk is large, and no test here writes to it.
    disk = shutil.ignore_patterns("disk.img")
    directory = Path(shutil.copytree(made, tmp_path / "parts", ignore=disk))
    (directory / "disk.img").hardlink_to(made / "disk.img")
    return directory


def test_described_device_is_one_like_any_other(made: Path) -> None:
    assert describe(made) is None

    found = device.load(made)
    assert (found.name, found.profile, found.login) == ("try-arm64", "dev", False)
    assert found.qemu is not None
    assert (found.epoch, found.qemu.memory) == (int(EPOCH), 512)
    assert found.artefacts["disk"].sha256 == device.digest_file(made / "disk.img")
    root_hash = json.loads((made / "verity.json").read_text())["root_hash"]
    assert [slot.root_hash for slot in found.slots] == [root_hash] * 2
    assert {i.name for i in found.inputs} >= {"meta-secureboot/files/wic/bootseal-ab.wks"}
    assert found.target == Target(bootm_len=0x4000000, fit_address=0x50000000)


@pytest.mark.parametrize(
    "files",
    [
        {"etc/shadow": "root::1::::::\n"},
        {"etc/inittab": "ttyAMA0::askfirst:-/bin/sh\n"},
        {"etc/systemd/system/getty@.service": "[Service]\nExecStart=/sbin/agetty -a root tty1\n"},
    ],
    ids=["empty-password", "inittab", "automatic"],
)
def test_login_is_what_the_root_says_and_nobody_else(
    made: Path, tmp_path: Path, files: dict[str, str]
) -> None:
    directory = copy(made, tmp_path)
    make_root(directory, files)

    assert describe(directory) is None

    assert device.load(directory).login is True


def test_configuration_of_each_uboot_is_an_artefact(made: Path, tmp_path: Path) -> None:
    directory = copy(made, tmp_path)
    (directory / "u-boot.config").unlink()
    for kind in ("sd", "emmc"):
        (directory / f"u-boot-{kind}.config").write_text(f"# {kind}\n")

    assert describe(directory) is None

    found = device.load(directory).artefacts
    roles = {role: found[role].path for role in found if role.startswith("uboot-config")}
    assert roles == {
        "uboot-config-emmc": "u-boot-emmc.config",
        "uboot-config-sd": "u-boot-sd.config",
    }


@pytest.mark.parametrize("machine", board_layouts.FIRMWARE)
def test_disk_of_a_board_passes_but_for_its_firmware_which_is_said(
    made: Path, tmp_path: Path, machine: str
) -> None:
    directory = copy(made, tmp_path)
    layout, (name, file) = tmp_path / "board.wks", board_layouts.FIRMWARE[machine]
    layout.write_text(board_layouts.text(machine))
    describing: list[str | Path] = ["device", "describe", directory, "--layout", layout]
    describing += ["--name", machine, "--keys", tmp_path / "keys", "--layer", LAYER]
    assert f"has no {file}: an earlier step makes it" in str(run(*describing))
    (directory / file).write_bytes(b"what a ROM reads" * 70_000)
    declared = parse_wks(layout.read_text())
    contents = {path.name: path for path in directory.iterdir()}
    config = "".join(f"CONFIG_{name}=y\n" for name in uboot_config.WANTED)
    (directory / "u-boot.config").write_text(config)
    (directory / "disk.img").unlink()
    disk_image.write(declared, contents, directory / "disk.img")

    assert run(*describing) is None

    found = device.load(directory)
    assert found.artefacts[f"part-{name}"].sha256 == device.digest_file(directory / file)
    (area,) = found.areas
    done = CliRunner().invoke(app, ["disk", "check", str(directory), "--no-inside"])
    assert done.exit_code == 0, done.output
    said = f"NOT SIGNED: {name} at {area.offset:#x}: not verified here; a boot ROM may verify it"
    assert said in " ".join(done.stderr.split())
    error = run("boot", "run", directory)
    assert f"{machine} is for a board that QEMU does not have" in str(error)

    with (directory / "disk.img").open("r+b") as disk:
        os.pwrite(disk.fileno(), b"X", area.offset + 1_000_000)
    assert "disk.boot-loader" in CliRunner().invoke(app, ["disk", "check", str(directory)]).output


HOME = "part /home --fstype ext4 --label home --align 1024 --size 2 --extra-space 1M"


@pytest.mark.parametrize(("least", "accepted"), [("2", True), ("9", False)])
def test_partition_whose_size_wic_decides_is_taken_as_it_is_and_named(
    made: Path, tmp_path: Path, least: str, *, accepted: bool
) -> None:
    directory = copy(made, tmp_path)
    text = WKS.read_text().replace("part --source", f"{HOME}\npart --source", 1)
    decided = {"home": 5 << 20}
    as_made = dataclasses.replace(parse_wks(text, sizes=decided), open=frozenset())
    contents = {path.name: path for path in directory.iterdir()}
    (directory / "disk.img").unlink()
    disk_image.write(as_made, contents, directory / "disk.img")
    config = "".join(f"CONFIG_{name}=y\n" for name in uboot_config.WANTED)
    (directory / "u-boot.config").write_text(config)
    layout = tmp_path / "home.wks"
    layout.write_text(text.replace("--size 2", f"--size {least}"))
    describing: list[str | Path] = ["device", "describe", directory, "--layout", layout]
    describing += ["--name", "home", "--keys", tmp_path / "keys", "--layer", LAYER]

    assert run(*describing) is None
    disk = directory / "disk.img"
    alone: list[str | Path] = [disk, "--dtb", directory / "u-boot.bin", "--layout", layout]
    for checked in ([directory], alone):
        arguments = ["disk", "check", *map(str, checked), "--no-inside"]
        done = CliRunner().invoke(app, arguments)
        assert (done.exit_code == 0) == accepted, done.output
        assert ("disk.partition-place at home" in str(done.exception)) != accepted
        assert "NOT SIGNED: home at 0x100000" in " ".join(done.stderr.split())


def test_disk_with_a_partition_whose_size_wic_decides_is_for_wic(tmp_path: Path) -> None:
    layout = parse_wks(f"bootloader --ptable gpt\n{HOME}\n")
    with pytest.raises(UsageError, match=r"partition home has no --fixed-size, .*: use wic"):
        disk_image.write(layout, {}, tmp_path / "disk.img")


def test_slot_trees_name_root_hash_and_rollback_index(made: Path) -> None:
    properties = chosen(made / "fdt-b.dtb")
    root_hash = json.loads((made / "verity.json").read_text())["root_hash"]
    assert f"bootseal.slot=b bootseal.roothash={root_hash}".encode() in properties["bootargs"]
    assert properties["bootseal,rollback-index"] == (7).to_bytes(4, "big")


def test_compiled_board_gives_the_same_slot_trees(made: Path, tmp_path: Path) -> None:
    directory = copy(made, tmp_path)
    board = tmp_path / "board.dtb"
    board.write_bytes((made / "fdt-b.dtb").read_bytes())

    assert run("device", "trees", directory, *trees(board)) is None

    assert chosen(directory / "fdt-a.dtb") == chosen(made / "fdt-a.dtb")


def test_step_before_its_time_names_the_missing_part(tmp_path: Path) -> None:
    error = run("device", "verity", tmp_path)
    assert isinstance(error, UsageError)
    assert "has no root.erofs" in error.message


def test_board_that_is_not_there_is_named(made: Path) -> None:
    error = run("device", "trees", made, *trees(made / "other.dtb"))
    assert isinstance(error, UsageError)
    assert "other.dtb" in error.message


def test_fit_that_was_changed_after_signing_is_not_described(made: Path, tmp_path: Path) -> None:
    directory = copy(made, tmp_path)
    data = bytearray((directory / "fit.itb").read_bytes())
    data[data.index(b"bootseal.slot=a") + len("bootseal.slot=")] ^= 3
    (directory / "fit.itb").write_bytes(data)

    assert isinstance(describe(directory), VerificationRefused)
    assert not (directory / device.FILE_NAME).exists()


def test_control_tree_of_another_build_is_refused(made: Path, tmp_path: Path) -> None:
    directory = copy(made, tmp_path)
    (directory / "control.dtb").write_bytes(fdt.emit(fdt.Node()))

    error = describe(directory)
    assert isinstance(error, UsageError)
    assert "different builds" in error.message
