# SPDX-License-Identifier: MIT
"""A kernel with the layer's fragments loads the modules that are signed here, and no others.

It is Debian's source with next to nothing switched on, and one module of its own. Compiling it
takes minutes, and is kept in the cache of the reference build; a boot takes seconds.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Final

import pytest
from tests.unit.modules import module_samples as samples
from typer.testing import CliRunner

from bootseal.cli.app import app
from bootseal.errors import BootsealError
from bootseal.formats import cpio
from bootseal.progress import Silent
from bootseal.reference import apt, cache
from bootseal.reference.apt import Apt

pytestmark = [
    pytest.mark.boot,
    pytest.mark.tool("qemu-system-aarch64"),
    pytest.mark.tool("aarch64-linux-gnu-gcc"),
    pytest.mark.timeout(7200),
]

PACKAGE: Final = "linux-source-6.12"
FILES: Final = Path(__file__).parents[2] / "meta-secureboot/recipes-kernel/linux/files"
FRAGMENTS: Final = ("lockdown.cfg", "modules-key.cfg")
BASE: Final = """\
CONFIG_BINFMT_ELF=y
CONFIG_BLK_DEV_INITRD=y
CONFIG_CRC4=m
CONFIG_PRINTK=y
CONFIG_SERIAL_AMBA_PL011=y
CONFIG_SERIAL_AMBA_PL011_CONSOLE=y
CONFIG_TTY=y
"""
CROSS: Final = "aarch64-linux-gnu-"
MACHINE: Final = ("-M", "virt", "-cpu", "cortex-a57", "-m", "256", "-nic", "none", "-nographic")
# What the kernel calls reasons, before it refuses.
UNSIGNED: Final = "Loading of unsigned module is rejected"
UNKNOWN: Final = "Loading of module with unavailable key is rejected"


def bootseal(*arguments: object) -> None:
    result = CliRunner().invoke(app, list(map(str, arguments)))
    if isinstance(result.exception, BootsealError):
        raise result.exception
    assert result.exit_code == 0, result.output


@pytest.fixture(scope="module")
def kernel() -> Path:
    """A directory with Image, config, crc4.ko, sign-file, and the keys."""
    try:
        source = Apt.prepare("trixie")
        source.update(Silent())
        closure = source.resolve([PACKAGE])
        (package,) = (each for each in closure if each.package == PACKAGE)
        files = source.download([PACKAGE], closure)
    except BootsealError as error:
        if os.environ.get("BOOTSEAL_CI") == "1":
            raise
        pytest.skip(f"the package cannot be had: {error}")
    config = BASE + "".join((FILES / name).read_text() for name in FRAGMENTS)

    def make(directory: Path) -> None:
        with tempfile.TemporaryDirectory(dir=directory) as scratch:
            apt.extract(files, Path(scratch) / "package")
            compile_kernel(Path(scratch), config, directory)

    inputs = {"version": package.version, "config": config}
    return cache.entry("kernel-with-modules", cache.key(inputs), make)[0]


def compile_kernel(scratch: Path, config: str, directory: Path) -> None:
    bootseal(
        "keys", "generate", directory / "keys", "--profile=dev", "--only=root", "--only=modules"
    )
    build = scratch / "build"
    (build / "certs").mkdir(parents=True)
    (build / "wanted.cfg").write_text(config)
    shutil.copy(directory / "keys/DEV-modules-1.crt", build / "certs/bootseal-modules.pem")
    run("tar", "-C", scratch, "-xf", scratch / f"package/usr/src/{PACKAGE}.tar.xz")
    settings = ("ARCH=arm64", f"CROSS_COMPILE={CROSS}", f"KCONFIG_ALLCONFIG={build}/wanted.cfg")
    make = ("make", "-s", "-C", scratch / PACKAGE, f"O={build}", *settings)
    run(*make, "allnoconfig")
    run(*make, f"-j{os.cpu_count()}", "Image", "modules")
    # The build did not make a key of its own.
    assert [each.name for each in build.glob("certs/*.pem")] == ["bootseal-modules.pem"]
    for name in ("arch/arm64/boot/Image", "lib/crc4.ko", "scripts/sign-file", ".config"):
        shutil.copy(build / name, directory / Path(name).name.lstrip("."))


def run(*command: object) -> str:
    return subprocess.run(
        ["nice", *map(str, command)], check=True, stdout=subprocess.PIPE, text=True
    ).stdout


@pytest.fixture(scope="module")
def stripped(kernel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The module as a build leaves it, without a signature."""
    path = tmp_path_factory.mktemp("modules") / "plain.ko"
    options = ("--strip-debug", "--remove-section=.comment", "--remove-section=.note")
    run(f"{CROSS}strip", *options, "-o", path, kernel / "crc4.ko")
    return path


def signed(module: Path, name: str, keys: Path) -> Path:
    path = module.with_name(name)
    shutil.copy(module, path)
    bootseal("modules", "sign", path, "--keys", keys)
    return path


def test_settings_of_the_fragments_are_in_the_finished_configuration(kernel: Path) -> None:
    required = [part for name in FRAGMENTS for part in ("--required", FILES / name)]

    bootseal("device", "config", *required, kernel / "config")


def test_signature_has_the_bytes_that_sign_file_makes(kernel: Path, stripped: Path) -> None:
    keys = kernel / "keys"
    ours, theirs = signed(stripped, "ours.ko", keys), stripped.with_name("theirs.ko")
    pair = (keys / "DEV-modules-1.key", keys / "DEV-modules-1.crt")

    run(kernel / "sign-file", "sha256", *pair, stripped, theirs)

    assert ours.read_bytes() == theirs.read_bytes()
    bootseal("modules", "check", theirs, "--keys", keys)
    assert run("modinfo", "-F", "sig_id", ours).strip() == "PKCS#7"


def load(kernel: Path, modules: list[Path], directory: Path) -> tuple[str, dict[str, list[int]]]:
    """Boot, load modules in this order, and return the console and the errors by their names."""
    init = directory / "init"
    flags = ("-nostdlib", "-ffreestanding", "-static", "-O1", "-fno-pic", "-no-pie", "-Werror")
    source = Path(__file__).with_name("module_loader.c")
    run(f"{CROSS}gcc", *flags, "-Wall", "-Wextra", "-o", init, source)
    files = [cpio.file("init", init.read_bytes(), mode=0o755)]
    files += [cpio.file(each.name, each.read_bytes()) for each in dict.fromkeys(modules)]
    (directory / "root.cpio").write_bytes(cpio.pack(files, epoch=0))
    names = " ".join(f"/{each.name}" for each in modules)
    done = subprocess.run(
        [
            *("nice", "qemu-system-aarch64", *MACHINE, "-no-reboot", "-kernel", kernel / "Image"),
            *("-initrd", directory / "root.cpio"),
            *("-append", f"console=ttyAMA0 loglevel=8 rdinit=/init -- {names}"),
        ],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=600,
        check=True,
    )
    console = done.stdout.decode(errors="replace").replace("\r", "")
    ends: dict[str, list[int]] = {}
    for name, number in re.findall(r"^loader: /(\S+) ended with (\d+)$", console, re.MULTILINE):
        ends.setdefault(name, []).append(int(number))
    return console, ends


def test_kernel_loads_what_was_signed_and_refuses_everything_else(
    kernel: Path, stripped: Path, tmp_path: Path
) -> None:
    keys = kernel / "keys"
    good = signed(stripped, "good.ko", keys)
    changed = stripped.with_name("changed.ko")
    changed.write_bytes(good.read_bytes().replace(b"license=GPL", b"license=BSD"))
    foreign = stripped.with_name("foreign.ko")
    foreign.write_bytes(samples.signed(stripped.read_bytes()))
    late = stripped.with_name("late.ko")
    run(f"{CROSS}strip", "--strip-debug", "-o", late, good)

    console, ends = load(kernel, [changed, stripped, foreign, late, good, good], tmp_path)

    refused = [errno.EKEYREJECTED]
    # The last answer is that the module is there.
    assert ends == {
        "changed.ko": refused,
        "plain.ko": refused,
        "foreign.ko": refused,
        "late.ko": refused,
        "good.ko": [0, errno.EEXIST],
    }, console
    said = {name: part for part, name in re.findall(r"(?s)(.*?)\nloader: /(\S+) ended", console)}
    assert UNSIGNED in said["plain.ko"]
    assert UNSIGNED in said["late.ko"]
    assert UNKNOWN in said["foreign.ko"]
    # It knows the signer here, and says nothing but the error.
    assert "Loading of" not in said["changed.ko"]
