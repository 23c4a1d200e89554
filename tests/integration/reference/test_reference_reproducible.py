# SPDX-License-Identifier: MIT
"""What the reference build makes does not depend on umask, awk, locale, time zone or place.

The steps that take seconds; tests/device/test_built_twice.py compares two whole builds.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from typing import TYPE_CHECKING, Final

import pytest

from bootseal.assembly import verity
from bootseal.assembly.layer import Layer
from bootseal.reference import modules, rootfs, sources
from bootseal.reference.kernel import Kernel

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

EPOCH: Final = 1_767_225_600
RELEASE: Final = "6.12"


@pytest.fixture(params=[0o022, 0o027, 0o077], ids=oct)
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def packages(tree: Path) -> Path:
    """Write what of the packages the steps read."""
    files = {
        "usr/share/base-passwd/group.master": "root:*:0:\n",
        "usr/share/base-passwd/passwd.master": "root:*:0:0:root:/root:/bin/bash\n",
        "usr/share/base-files/profile": "",
        "usr/share/libc-bin/nsswitch.conf": "",
        "usr/lib/sysusers.d/a.conf": "u a - - /\n",
        "usr/lib/systemd/system/a.service": "[Install]\nWantedBy=multi-user.target\n",
        "usr/lib/systemd/system/multi-user.target": "",
    }
    for name, text in files.items():
        rootfs.write(tree / name, text.encode())
    (tree / "lib").symlink_to("usr/lib")
    for name in (*modules._BUILTIN, *(f"kernel/{name}.ko" for name in rootfs.MODULES)):
        path = tree / modules.DIRECTORY / RELEASE / name
        path.parent.mkdir(parents=True, exist_ok=True)
        # depmod takes only ELF files for modules.
        path.write_bytes(b"" if name in modules._BUILTIN else ELF)
    return tree


ELF: Final = (
    b"\x7fELF\2\1\1"
    + bytes(9)
    + b"\1\0\xb7\0\1\0\0\0"
    + bytes(28)
    + b"\x40\0\0\0\0\0\x40\0\0\0\0\0"
)


def root(directory: Path) -> str:
    """Make a root file system by the steps of the build, and return its SHA-256."""
    source = packages(directory / "packages")
    tree = directory / "root"
    dependencies: dict[str, tuple[str, ...]]
    dependencies = {f"kernel/{name}.ko": () for name in rootfs.MODULES}
    kernel = Kernel(image=directory, release=RELEASE, dependencies=dependencies)
    rootfs.copy(source, tree)
    rootfs.add_modules(source, kernel, tree)
    installed = Layer.find(None).device_files(login=True)
    rootfs.add_files(tree, installed, {rootfs.ESCROW: b"x"}, login=True)
    rootfs.configure(source, tree, ["b.service"], epoch=EPOCH)
    for path in tree.rglob("*"):
        if not path.is_symlink():
            assert path.stat().st_mode & 0o700
    verity.make_erofs(tree, directory / "root.erofs", epoch=EPOCH)
    return hashlib.sha256((directory / "root.erofs").read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> str:
    before = os.umask(0o022)
    try:
        return root(tmp_path_factory.mktemp("expected"))
    finally:
        os.umask(before)


@pytest.mark.tool("mkfs.erofs")
@pytest.mark.tool("depmod")
@pytest.mark.tool("systemd-sysusers")
def test_root_is_the_same_for_every_umask_locale_and_place(
    expected: str, umask: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LC_ALL", "tr_TR.UTF-8")
    monkeypatch.setenv("TZ", "Pacific/Kiritimati")
    place = tmp_path / f"another place {umask:o}"
    place.mkdir()
    assert root(place) == expected


@pytest.mark.tool("mkfs.erofs")
@pytest.mark.tool("depmod")
@pytest.mark.tool("systemd-sysusers")
def test_root_with_another_permission_is_another(expected: str, tmp_path: Path) -> None:
    """What the test above would see: one bit, as the umask took it before."""
    root(tmp_path)
    (tmp_path / "root/data").chmod(0o750)
    verity.make_erofs(tmp_path / "root", tmp_path / "again.erofs", epoch=EPOCH)
    assert hashlib.sha256((tmp_path / "again.erofs").read_bytes()).hexdigest() != expected


MAKEFILE: Final = """\
sorted:
\t@awk 'BEGIN { PROCINFO["sorted_in"] = "@ind_str_asc"; \\
\t\tfor (n = 40; n > 0; n--) a["v" n] = 1; for (i in a) print i }' > sorted
"""


@pytest.mark.tool("gawk")
@pytest.mark.tool("mawk")
@pytest.mark.parametrize("kind", ["gawk", "mawk"])
def test_sources_are_made_with_one_awk_whatever_awk_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    first = tmp_path / "first"
    first.mkdir()
    (first / "awk").symlink_to(str(shutil.which(kind)))
    monkeypatch.setattr("bootseal.proc._SEARCH_PATH", f"{first}:{os.environ['PATH']}")
    (tmp_path / "Makefile").write_text(MAKEFILE)
    sources.make(tmp_path, ["sorted"], env={})
    expected = sorted(f"v{number}" for number in range(1, 41))
    assert (tmp_path / "sorted").read_text().split() == expected
    # By itself, mawk does not sort: this is what U-Boot's environment came to.
    subprocess.run(
        ["make", "-C", tmp_path, "-B", "sorted"],
        env={"PATH": f"{first}:{os.environ['PATH']}"},
        check=True,
        capture_output=True,
    )
    assert ((tmp_path / "sorted").read_text().split() == expected) is (kind == "gawk")


@pytest.mark.tool("gawk")
def test_every_tool_is_part_of_the_key() -> None:
    found = sources.tools()
    assert {"gawk", "gcc", "make", "aarch64-linux-gnu-gcc"} <= found.keys()
    assert all(found.values())
