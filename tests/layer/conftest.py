# SPDX-License-Identifier: MIT
"""bitbake in a build directory of its own, for the tests with the marker `bitbake`.

BOOTSEAL_OE names a directory with openembedded-core, bitbake, meta-openembedded and meta-security.
Without it those tests are not run, and the summary says so in one line. README.md next to this file
has the other variables.
"""

from __future__ import annotations

import filecmp
import os
import pwd
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

Bootseal = Callable[..., subprocess.CompletedProcess[str]]

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
LAYER = ROOT / "meta-secureboot"
LAYERS = (LAYER, HERE / "meta-debhost", HERE / "meta-product")
"""Of a build in which Debian is the compiler and the native tools."""
PACKAGES = (*LAYERS, HERE / "meta-debroot")
"""Of one whose root file systems are made of packages besides."""
FRAGMENTS = "bootseal/bootseal"
KERNEL_AT_HAND = 'PREFERRED_PROVIDER_virtual/kernel:forcevariable = "linux-reference"\n'
"""For local.conf of a test that is about something else: the kernel of the reference device."""
# Whichever copy of meta-tpm is at hand, it is the one to test with.
_HEAD = """\
POKY_BBLAYERS_CONF_VERSION = "2"
LCONF_VERSION = "7"
BBPATH = "${TOPDIR}"
BBFILES ?= ""
LAYERSERIES_COMPAT_tpm-layer:append = " wrynose"
"""
_LOCAL = """\
CONF_VERSION = "2"
MACHINE ??= "qemuarm64"
INHERIT_DISTRO:remove = "uninative"
CONNECTIVITY_CHECK_URIS = ""
BB_HASHSERVE_UPSTREAM = ""
BB_HASHSERVE_DB_DIR = "${SSTATE_DIR}"
"""
BASE = (
    "openembedded-core/meta",
    "meta-openembedded/meta-oe",
    "meta-openembedded/meta-python",
    "meta-security/meta-tpm",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What one command of bitbake said."""

    code: int
    text: str

    @property
    def complaints(self) -> list[str]:
        """Its errors and warnings."""
        return [line for line in self.text.splitlines() if line.startswith(("ERROR", "WARNING"))]


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """A build directory, and the user bitbake runs as: it refuses to be root."""

    sources: Path
    directory: Path
    user: str | None

    def configure(
        self, local: str, *, layers: tuple[Path, ...] = (LAYER,), base: tuple[str, ...] = BASE
    ) -> None:
        """Write bblayers.conf and local.conf, keeping what was built and parsed."""
        conf = self.directory / "conf"
        conf.mkdir(parents=True, exist_ok=True)
        paths = [*(str(self.sources / name) for name in base), *map(str, layers)]
        _write(conf / "bblayers.conf", f'{_HEAD}BBLAYERS = "{" ".join(paths)}"\n')
        site = os.environ.get("BOOTSEAL_OE_CONF")
        _write(conf / "local.conf", _LOCAL + local + (f"require {site}\n" if site else ""))
        self.own(self.directory, conf, *conf.iterdir())

    def own(self, *paths: Path) -> None:
        """Give files to the user bitbake runs as."""
        if self.user:
            for path in paths:
                shutil.chown(path, self.user, self.user)

    def run(self, *command: str) -> Run:
        """Run a command in the environment that oe-init-build-env makes, and no other."""
        script = '. ./oe-init-build-env "$0" "$1" >/dev/null && shift 1 && "$@"'
        home = pwd.getpwnam(self.user).pw_dir if self.user else os.environ["HOME"]
        environment = {
            "HOME": home,
            "LANG": "en_US.UTF-8",
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "TERM": "dumb",
            "USER": self.user or pwd.getpwuid(os.getuid()).pw_name,
        }
        done = subprocess.run(
            ["nice", "bash", "-c", script, self.directory, self.sources / "bitbake", *command],
            cwd=self.sources / "openembedded-core",
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            user=self.user,
            group=self.user,
            extra_groups=[] if self.user else None,
        )
        # The whole of it, for pytest to show when the test fails.
        sys.stdout.write(done.stdout)
        return Run(code=done.returncode, text=done.stdout)

    @property
    def deployed(self) -> Path:
        """Where the build leaves what it made."""
        return self.directory / "tmp/deploy/images/qemuarm64"

    def bitbake(self, *arguments: str) -> Run:
        """Run bitbake."""
        return self.run("bitbake", *arguments)

    def values(self, recipe: str, *names: str) -> dict[str, str]:
        """Return final values of one recipe, without parsing the others."""
        done = self.run("python3", str(HERE / "recipe_values.py"), recipe, *names)
        assert done.code == 0, done.text
        found = dict(line.split("=", 1) for line in done.text.splitlines() if "=" in line)
        return {name: found[name] for name in names}


def _write(path: Path, text: str) -> None:
    # An equal file must not make bitbake parse everything again.
    if not path.exists() or path.read_text() != text:
        path.write_text(text)


@pytest.fixture(scope="session")
def oe_sources() -> Path:
    """The directory BOOTSEAL_OE names."""
    if "BOOTSEAL_OE" not in os.environ:
        pytest.skip("BOOTSEAL_OE names no directory with openembedded-core and bitbake")
    sources = Path(os.environ["BOOTSEAL_OE"])
    for name in ("bitbake/bin/bitbake", *(f"{layer}/conf/layer.conf" for layer in BASE)):
        if not (sources / name).is_file():
            pytest.fail(f"BOOTSEAL_OE: {sources / name} is missing")
    return sources


def build(sources: Path, name: str) -> Build:
    """Return a build directory by its name."""
    user = os.environ.get("BOOTSEAL_OE_USER")
    if os.getuid() == 0 and not user:
        pytest.fail("bitbake refuses to run as root: set BOOTSEAL_OE_USER to an ordinary user")
    home = Path(pwd.getpwnam(user).pw_dir) if user else Path.home()
    parent = Path(os.environ.get("BOOTSEAL_OE_BUILD", home / ".cache/bootseal-oe"))
    directory = parent / name
    directory.mkdir(parents=True, exist_ok=True)
    return Build(sources=sources, directory=directory, user=user if os.getuid() == 0 else None)


@pytest.fixture
def whole(oe_sources: Path) -> Build:
    """A build with every recipe of every layer, as kas makes it."""
    return build(oe_sources, "whole")


@pytest.fixture
def debhost(oe_sources: Path) -> Build:
    """A build with the recipes that meta-debhost leaves, in seconds."""
    return build(oe_sources, "debhost")


@pytest.fixture
def debroot(oe_sources: Path) -> Build:
    """The same, with root file systems made of packages by OE-Core's do_rootfs."""
    return build(oe_sources, "debroot")


@pytest.fixture
def checked(oe_sources: Path) -> Build:
    """A build without this layer, for yocto-check-layer."""
    return build(oe_sources, "checked")


@pytest.fixture
def keys(oe_sources: Path) -> Path:
    """Development keys, the same ones for every test and run: they are in the hashes of tasks."""
    debhost = build(oe_sources, "debhost")
    directory = debhost.directory.parent / "keys"
    if not directory.exists():
        done = bootseal("keys", "generate", "--profile", "dev", directory)
        assert done.returncode == 0, done.stderr
        debhost.own(directory, *directory.iterdir())
    return directory


def bootseal(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run the program of the environment that the tests run in."""
    program = Path(sys.executable).parent / "bootseal"
    return subprocess.run(
        [program, *map(str, arguments)], capture_output=True, text=True, check=False
    )


@pytest.fixture(name="bootseal")
def _bootseal() -> Bootseal:
    """Return the function that runs the program."""
    return bootseal


@pytest.fixture
def parts(debhost: Build) -> Path:
    """A finished reference device: the root file system comes out of it."""
    directory = Path(os.environ.get("BOOTSEAL_OE_DEVICE", debhost.directory.parent / "reference"))
    if not (directory / "device.json").is_file():
        done = bootseal("reference", "build", directory)
        assert done.returncode == 0, done.stderr
    return directory


@pytest.fixture
def settings(debhost: Build, parts: Path, keys: Path) -> str:
    """The local.conf of a device with everything the layer offers."""
    packages = next((Path(sys.prefix) / "lib").glob("python3.*/site-packages"))
    # A copy of what the recipes read, where the user of bitbake may.
    source = debhost.directory.parent / "parts"
    source.mkdir(exist_ok=True)
    for name in ("root.erofs", "initramfs.cpio.gz", "Image.gz"):
        # Of another device than last time, perhaps.
        if not (source / name).exists() or not filecmp.cmp(parts / name, source / name):
            shutil.copy(parts / name, source / name)
    return f"""\
OE_FRAGMENTS += "{FRAGMENTS}/dev-keys {FRAGMENTS}/measured-boot {FRAGMENTS}/encrypted-data"
BOOTSEAL_KEYS = "{keys}"
DEBHOST_DEVICE = "{source}"
DEBHOST_SITE_PACKAGES = "{packages}"
require conf/debhost.inc
"""


@pytest.fixture
def packages(settings: str) -> str:
    """The same, for a build whose root file systems are made of packages."""
    if "BOOTSEAL_OE_DEBS" not in os.environ:
        pytest.skip("BOOTSEAL_OE_DEBS names no directory with packages of Debian for arm64")
    directory = Path(os.environ["BOOTSEAL_OE_DEBS"])
    return settings.replace("debhost.inc", "debroot.inc") + f'DEBHOST_DEBS = "{directory}"\n'
